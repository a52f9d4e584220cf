//! What the request's head says, redacted.

use crate::redact::Redactor;
use crate::{Attributes, Text};
use sluicegate_host::HeaderMap;
use std::borrow::Cow;
use std::num::NonZeroU16;

/// The parts of a request's head that are told of it.
#[derive(Clone, Debug, Default)]
pub struct Request<'h> {
    method: Option<&'h [u8]>,
    path: Option<Cow<'h, str>>,
    query: Option<Cow<'h, str>>,
    scheme: Option<&'h [u8]>,
    host: Option<Cow<'h, str>>,
    port: Option<NonZeroU16>,
    user_agent: Option<Cow<'h, str>>,
    grpc: bool,
}

/// Limits in bytes: those of the attributes, and a little more so that what is cut can be seen to be.
const MAX_URL: usize = 4096 + MORE;
const MAX_HOST: usize = 256 + MORE;
const MAX_USER_AGENT: usize = 1024 + MORE;
/// The longest character.
const MORE: usize = 4;

impl<'h> Request<'h> {
    /// Of these headers.
    pub fn read(headers: &'h HeaderMap, grpc: bool, redactor: &Redactor) -> Request<'h> {
        let mut request = Request { grpc, ..Request::default() };
        let mut authority = None;
        for (name, value) in headers.iter() {
            match name {
                b":method" => request.method = Some(value),
                b":path" => request.read_target(value, redactor),
                b":scheme" => request.scheme = Some(value),
                b":authority" => authority = Some(value),
                b"user-agent" if request.user_agent.is_none() => {
                    request.user_agent = redactor.attribute("user-agent", value, MAX_USER_AGENT);
                }
                _ => {}
            }
        }
        if let Some(authority) = authority {
            request.read_authority(authority, redactor);
        }
        request
    }

    fn read_target(&mut self, target: &'h [u8], redactor: &Redactor) {
        let end = target.iter().position(|byte| *byte == b'?');
        let (path, query) = match end.and_then(|end| target.split_at_checked(end)) {
            Some((path, query)) => (path, query.get(1..)),
            None => (target, None),
        };
        self.path = Some(redactor.path(path, MAX_URL));
        self.query = query.filter(|query| !query.is_empty()).map(|query| redactor.query(query, MAX_URL));
    }

    /// `host`, `host:port`, `[address]:port`; user information, which RFC 9113 §8.3.1 forbids here, is cut off.
    fn read_authority(&mut self, authority: &'h [u8], redactor: &Redactor) {
        let host_port = authority.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
        let colon = host_port.iter().rposition(|byte| *byte == b':');
        let split = colon.and_then(|colon| {
            let (host, port) = host_port.split_at_checked(colon)?;
            let port = std::str::from_utf8(port.get(1..)?).ok()?.parse().ok()?;
            Some((host, port))
        });
        let (host, port) = match split {
            Some((host, port)) => (host, Some(port)),
            None => (host_port, None),
        };
        let host = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
        self.host = Some(redactor.text(host, MAX_HOST)).filter(|host| !host.is_empty());
        self.port = port;
    }

    /// Fills in what stands here.
    pub(crate) fn fill<'a>(&'a self, attributes: &mut Attributes<'a>) {
        attributes.method = self.method.map(Text::from);
        attributes.path = text(&self.path);
        attributes.query = text(&self.query);
        attributes.scheme = self.scheme.map(Text::from);
        attributes.server_address = text(&self.host);
        attributes.server_port = self.port;
        attributes.user_agent = text(&self.user_agent);
        if self.grpc {
            // The path of a call is /{service}/{method}.
            attributes.rpc_method = self.path.as_deref().and_then(|path| path.strip_prefix('/')).map(Text::from);
        }
    }
}

fn text<'a>(text: &'a Option<Cow<'_, str>>) -> Option<Text<'a>> {
    text.as_deref().map(Text::from)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::Value;
    use sluicegate_policy::Document;

    fn told(headers: &[(&str, &[u8])], grpc: bool) -> Vec<String> {
        let document = Document::parse(b"{}", &|_| None).unwrap();
        let redactor = Redactor::from_policy(&document.section("access_log").subsection("redact"));
        let headers = HeaderMap::from_pairs(headers);
        let request = Request::read(&headers, grpc, &redactor);
        let mut attributes = Attributes::default();
        request.fill(&mut attributes);
        let mut told = Vec::new();
        attributes.each(&mut |name, value| {
            let value = match value {
                Value::Text(text) => text.whole().into_owned(),
                Value::Integer(integer) => integer.to_string(),
                other => format!("{other:?}"),
            };
            told.push(format!("{name}: {value}"));
        });
        told
    }

    #[test]
    fn a_head_is_told_without_its_secrets() {
        let headers: [(&str, &[u8]); 6] = [
            (":method", b"GET"),
            (":path", b"/users/jane@example.com?page=2&token=s3cr3t"),
            (":scheme", b"https"),
            (":authority", b"shop.example.com:8443"),
            ("user-agent", b"curl/8 \xff"),
            ("user-agent", b"another"),
        ];
        let expected = [
            "http.request.method: GET",
            "url.path: /users/[redacted]",
            "url.query: page=2&token=[redacted]",
            "url.scheme: https",
            "server.address: shop.example.com",
            "server.port: 8443",
            "user_agent.original: curl/8 \u{fffd}",
        ];
        assert_eq!(told(&headers, false), expected);
    }

    #[test]
    fn an_authority_is_split_into_host_and_port() {
        let table: [(&[u8], &[&str]); 10] = [
            (b"shop", &["server.address: shop"]),
            (b"shop:80", &["server.address: shop", "server.port: 80"]),
            (b"[::1]:80", &["server.address: ::1", "server.port: 80"]),
            (b"[::1]", &["server.address: ::1"]),
            (b"4111-1111-1111-1111:80", &["server.address: [redacted]", "server.port: 80"]),
            (b"user:pw@shop:80", &["server.address: shop", "server.port: 80"]),
            (b"shop:0", &["server.address: shop:0"]),
            (b"shop:http", &["server.address: shop:http"]),
            (b"", &[]),
            (b":80", &["server.port: 80"]),
        ];
        for (authority, expected) in table {
            assert_eq!(told(&[(":authority", authority)], false), expected, "{authority:?}");
        }
    }

    #[test]
    fn the_path_of_a_grpc_call_is_its_method() {
        let told = told(&[(":path", b"/shop.Cart/Add")], true);
        assert_eq!(told, ["url.path: /shop.Cart/Add", "rpc.system.name: grpc", "rpc.method: shop.Cart/Add"]);
    }

    #[test]
    fn an_empty_query_is_none_and_what_is_cut_can_be_seen_to_be() {
        assert_eq!(told(&[(":path", b"/x?")], false), ["url.path: /x"]);
        let long = "a/".repeat(5_000);
        let path = format!("/{long}?{long}");
        let told = told(&[(":path", path.as_bytes()), ("user-agent", long.as_bytes())], false);
        for (text, most) in told.iter().zip([4_096, 4_096, 1_024]) {
            let (_, value) = text.split_once(": ").unwrap();
            assert!(value.ends_with('…') && value.len() <= most, "{text}");
        }
        assert_eq!(told.len(), 3);
    }

    #[test]
    fn of_a_head_that_never_came_nothing_is_told() {
        assert!(told(&[], false).is_empty());
    }
}
