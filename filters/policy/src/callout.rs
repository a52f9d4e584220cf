//! What a policy says of requests of the module's own: whom they are addressed to, and which headers they bear.

use crate::matching::is_header_name;
use crate::secret::Secret;
use crate::section::Section;

/// The most headers that a policy may add to such a request.
const MAX_HEADERS: usize = 20;

/// The longest value of one, in bytes.
const LONGEST_VALUE: usize = 8_192;

const A_HEADER: &str = "a header name of 1 to 128 characters (RFC 9110 §5.1) that does not frame or type the request";
const A_HEADER_VALUE: &str = "at most 8,192 bytes";

/// What is the module's to say, or the proxy's.
const RESERVED: [&str; 11] = [
    "host",
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "if-none-match",
];

/// The `:authority` of requests to a cluster of the proxy, where its name has one: the host in a name as Istio writes it
/// (`outbound|4318||otel.example.svc.cluster.local`), else the whole name.
pub fn authority_of(cluster: &str) -> Option<&str> {
    cluster.rsplit('|').next().filter(|host| is_authority(host))
}

/// Whether this can be a host with an optional port, of 1 to 255 characters.
pub fn is_authority(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte);
    (1..=255).contains(&text.len()) && text.bytes().all(is_part)
}

/// Whether this can be the path of a request with its query, of at most `limit` bytes.
pub(crate) fn is_request_path(text: &str, limit: usize) -> bool {
    text.starts_with('/')
        && !text.contains('#')
        && text.len() <= limit
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Section<'_> {
    /// The list `name` of headers `{ name, value }` for requests of the module's own, at most 20, each once: names in
    /// lower case. A value is a secret.
    pub fn callout_headers(&self, name: &'static str) -> Vec<(String, Secret)> {
        let mut headers: Vec<(String, Secret)> = Vec::new();
        for item in self.items_up_to(name, MAX_HEADERS) {
            let name = item.required().string_where("name", is_ours_to_send, A_HEADER);
            let value = item.required().header_secret("value", 1);
            if value.as_ref().is_some_and(|value| value.bytes().len() > LONGEST_VALUE) {
                item.reject("value", A_HEADER_VALUE);
            }
            let (Some(name), Some(value)) = (name, value) else { continue };
            let name = name.to_ascii_lowercase();
            if headers.iter().any(|(earlier, _)| *earlier == name) {
                item.reject("name", "each header once");
            }
            headers.push((name, value));
        }
        headers
    }
}

fn is_ours_to_send(text: &str) -> bool {
    is_header_name(text) && !RESERVED.iter().any(|reserved| text.eq_ignore_ascii_case(reserved))
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{accepted, rejected};

    fn headers(list: &str) -> String {
        format!(r#""headers": [{list}]"#)
    }

    #[test]
    fn of_a_path_that_is_wrong_no_query_is_shown() {
        let read = |section: &Section<'_>| section.request_path("p", 9, "a path").map(str::to_owned);
        assert_eq!(accepted(r#""p": "/a?b=c""#, read).as_deref(), Some("/a?b=c"));
        for (path, error) in [
            (r#""a?s3cr3t""#, r#"trace.p: found "a" with a query, accepted: a path"#),
            (r#""/a\nb?s3cr3t""#, r#"trace.p: found "/a\nb" with a query, accepted: a path"#),
            (r#""/a?b=s3cr3t""#, r#"trace.p: found "/a" with a query, accepted: a path"#),
            (r#""a#b""#, r#"trace.p: found "a#b", accepted: a path"#),
            ("7", "trace.p: found 7, accepted: a path (in quotes)"),
        ] {
            assert_eq!(rejected(&format!(r#""p": {path}"#), read), error);
        }
    }

    #[test]
    fn headers_are_read_once_each_and_in_lower_case() {
        let list = r#"{"name": "X-Token", "value": {"env": "LONG_SECRET"}}, {"name": "x-b", "value": "a b"}"#;
        let headers = accepted(&headers(list), |section| section.callout_headers("headers"));
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.bytes())).collect();
        assert_eq!(headers, [("x-token", &b"0123456789abcdef-from-env"[..]), ("x-b", b"a b")]);
        assert_eq!(accepted("", |section| section.callout_headers("headers")), []);
    }

    #[test]
    fn what_cannot_be_sent_is_named_and_no_value_is_shown() {
        let long = format!(r#"{{"name": "a", "value": "{}"}}"#, "s3cr3t".repeat(1_366));
        let many = vec![r#"{"name": "a", "value": "b"}"#; MAX_HEADERS + 1].join(",");
        for (list, error) in [
            (r#"{"name": "a"}"#, "trace.headers[0].value: missing"),
            (r#"{"value": "s3cr3t"}"#, "trace.headers[0].name: missing"),
            (r#"{"name": "Host", "value": "s3cr3t"}"#, r#"trace.headers[0].name: found "Host""#),
            (r#"{"name": ":path", "value": "s3cr3t"}"#, r#"trace.headers[0].name: found ":path""#),
            (r#"{"name": "a", "value": "s3cr3t\n"}"#, "trace.headers[0].value: not a secret that can be used"),
            (long.as_str(), "trace.headers[0].value: not a secret that can be used, accepted: at most 8,192 bytes"),
            (r#"{"name": "a", "value": "b"}, {"name": "A", "value": "c"}"#, r#"trace.headers[1].name: found "A""#),
            (many.as_str(), "trace.headers: found a list of 21, accepted: at most 20"),
        ] {
            let errors = rejected(&headers(list), |section| section.callout_headers("headers"));
            assert!(errors.starts_with(error) && !errors.contains("s3cr3t"), "{errors}");
        }
    }

    #[test]
    fn the_authority_is_the_host_in_the_name_of_the_cluster() {
        for (cluster, authority) in [
            ("otel_collector", Some("otel_collector")),
            ("outbound|4318||otel.monitoring.svc.cluster.local", Some("otel.monitoring.svc.cluster.local")),
            ("otel/collector", None),
            ("outbound|4318||", None),
            ("", None),
        ] {
            assert_eq!(authority_of(cluster), authority, "{cluster}");
        }
    }
}
