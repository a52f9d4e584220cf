//! What a proxy tells the filters of an answer, and what it makes of one that a filter gives.

use super::message::Headers;
use super::run::Scene;
use sluicegate_host::double::Reply;
use sluicegate_host::{GrpcStatus, HeaderMap};
use std::fmt::Write;
use std::time::Duration;

/// How an exchange was answered, as the proxy tells of it once it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// The HTTP status that the caller gets.
    pub(super) status: u16,
    /// Its `grpc-status`, or what the proxy makes of its HTTP status: it does so of every answer.
    pub(super) grpc_status: i64,
    /// How long it took.
    pub(super) duration: Duration,
    /// A filter gave it: of such a one the proxy tells no details.
    pub(super) is_of_filter: bool,
    /// A gRPC request was answered 200, and nobody said how that ended. Then it ended well.
    pub(super) is_taken_to_be_ok: bool,
}

const OK: i64 = 0;

impl Answered {
    pub(super) fn of_upstream(scene: &Scene<'_>) -> Answered {
        let headers = HeaderMap::from_pairs(scene.response);
        let said = headers.text("grpc-status", usize::MAX).filter(|value| !value.is_empty());
        let may_be_grpc = headers.get("content-type").is_none_or(is_grpc);
        let is_taken_to_be_ok = is_grpc_request(scene.request) && may_be_grpc && said.is_none() && scene.status == 200;
        let grpc_status = match said {
            Some(said) => known_code(&said),
            None if is_taken_to_be_ok => OK,
            None => code(of_http(scene.status)),
        };
        Answered { status: scene.status, grpc_status, duration: scene.duration, is_of_filter: false, is_taken_to_be_ok }
    }

    /// A gRPC caller gets 200, whatever the filter says.
    pub(super) fn of_filter(scene: &Scene<'_>, reply: &Reply) -> Answered {
        Answered {
            status: if is_grpc_request(scene.request) { 200 } else { reply.status },
            grpc_status: grpc_status(reply),
            duration: Duration::ZERO,
            is_of_filter: true,
            is_taken_to_be_ok: false,
        }
    }
}

/// A filter's answer as its caller gets it: headers and a body. `headers` are those of the filters.
pub(super) fn sent<'r>(request: &Headers, reply: &'r Reply, headers: &HeaderMap) -> (Headers, &'r [u8]) {
    let has_body = !request.contains(&(":method".to_owned(), "HEAD".to_owned()));
    let body = Some(reply.body.as_slice()).filter(|_| has_body).unwrap_or_default();
    if is_grpc_request(request) {
        return (in_headers(reply, body, headers), &[]);
    }
    let mut form = Headers::new();
    form.extend(headers.iter().map(text));
    // Whoever gives a body without a type means text, says the proxy.
    if !reply.body.is_empty() && headers.get("content-type").is_none() {
        form.push(("content-type".to_owned(), "text/plain".to_owned()));
    }
    (form, body)
}

/// To the caller of a gRPC request all goes in the headers.
fn in_headers(reply: &Reply, message: &[u8], headers: &HeaderMap) -> Headers {
    const REPLACED: [&str; 5] = [":status", "content-type", "content-length", "grpc-status", "grpc-message"];
    let own = |name: &str, value: String| (name.to_owned(), value);
    let mut form = vec![own(":status", "200".to_owned())];
    form.extend(headers.iter().map(text).filter(|(name, _)| !REPLACED.contains(&name.as_str())));
    form.push(own("content-type", "application/grpc".to_owned()));
    form.push(own("grpc-status", grpc_status(reply).to_string()));
    if !message.is_empty() {
        form.push(own("grpc-message", percent_encoded(message)));
    }
    form
}

fn text((name, value): (&[u8], &[u8])) -> (String, String) {
    (String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned())
}

fn grpc_status(reply: &Reply) -> i64 {
    reply.grpc_status.map_or_else(|| code(of_http(reply.status)), i64::from)
}

/// Whether the proxy takes the request for gRPC.
pub(super) fn is_grpc_request(request: &Headers) -> bool {
    HeaderMap::from_pairs(request).get("content-type").is_some_and(is_grpc)
}

/// As the proxy decides it, and the filters: `application/grpc-web` is none.
fn is_grpc(content_type: &[u8]) -> bool {
    matches!(content_type.strip_prefix(b"application/grpc"), Some([] | [b'+', ..]))
}

/// What the proxy reads in a `grpc-status`: -1 is none that it knows.
fn known_code(value: &str) -> i64 {
    const LAST: i64 = 16;
    value.trim().parse().ok().filter(|code| (OK..=LAST).contains(code)).unwrap_or(-1)
}

/// gRPC, "HTTP to gRPC Status Code Mapping".
fn of_http(status: u16) -> GrpcStatus {
    match status {
        400 => GrpcStatus::Internal,
        401 => GrpcStatus::Unauthenticated,
        403 => GrpcStatus::PermissionDenied,
        404 => GrpcStatus::Unimplemented,
        429 | 502..=504 => GrpcStatus::Unavailable,
        _ => GrpcStatus::Unknown,
    }
}

fn code(status: GrpcStatus) -> i64 {
    i64::from(status.code())
}

/// gRPC over HTTP/2, Percent-Encoded; of `~` the proxy makes one as well.
fn percent_encoded(message: &[u8]) -> String {
    let mut text = String::new();
    for byte in message {
        match byte {
            b' '..=b'}' if *byte != b'%' => text.push(char::from(*byte)),
            // Writing to a String cannot fail.
            byte => _ = write!(text, "%{byte:02X}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::Side;
    use crate::explain::message;
    use crate::verdict::Judging;

    fn of_upstream(content_type: &str, response: &str) -> Answered {
        let request = message::request("POST /s/m", &[format!("content-type: {content_type}")]).unwrap();
        let (status, response) = message::response(response).unwrap();
        let scene = Scene {
            request: &request,
            response: &response,
            status,
            side: Side::Gateway,
            duration: Duration::from_secs(1),
            cluster: "",
            route: "",
            judging: Judging::default(),
        };
        Answered::of_upstream(&scene)
    }

    #[test]
    fn a_grpc_answer_of_which_no_more_is_said_than_200_is_one_that_is_well() {
        for grpc in ["application/grpc", "application/grpc+proto"] {
            let answer = of_upstream(grpc, "200");
            assert_eq!((answer.grpc_status, answer.is_taken_to_be_ok), (0, true));
        }
        let table = [
            ("application/grpc", "200\\ngrpc-status: 5", 5),
            ("application/grpc", "200\\ngrpc-status: 17", -1),
            ("application/grpc", "200\\ngrpc-status: five", -1),
            ("application/grpc", "200\\ncontent-type: text/html", 2),
            ("application/grpc", "503", 14),
            ("application/grpc", "404", 12),
            ("application/grpc-web", "200", 2),
            ("text/plain", "200", 2),
        ];
        for (content_type, response, status) in table {
            let answer = of_upstream(content_type, response);
            assert_eq!((answer.grpc_status, answer.is_taken_to_be_ok), (status, false), "{content_type} {response}");
        }
    }

    #[test]
    fn a_filters_answer_is_sent_as_the_proxy_sends_it() {
        let body = b"100 %, ~\xc3\xa9";
        let reply = |grpc_status| Reply { status: 429, headers: Vec::new(), body: body.to_vec(), grpc_status };
        let sent = |method: &str, content_type: &str, reply: &Reply, headers: &[(&str, &str)]| {
            let line = format!("{method} /s/m");
            let request = message::request(&line, &[format!("content-type: {content_type}")]).unwrap();
            let (headers, body) = sent(&request, reply, &HeaderMap::from_pairs(headers));
            let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            (headers.join("\n"), body.to_vec())
        };
        let typed =
            [(":status", "429"), ("retry-after", "5"), ("content-type", "application/json"), ("content-length", "9")];
        let grpc = ":status: 200\nretry-after: 5\ncontent-type: application/grpc\ngrpc-status: ";
        let message = "\ngrpc-message: 100 %25, %7E%C3%A9";
        let by_status = sent("POST", "application/grpc", &reply(None), &typed);
        assert_eq!(by_status, (format!("{grpc}14{message}"), Vec::new()));
        let named = sent("POST", "application/grpc", &reply(Some(8)), &typed);
        assert_eq!(named, (format!("{grpc}8{message}"), Vec::new()));
        assert_eq!(sent("HEAD", "application/grpc", &reply(Some(8)), &typed), (format!("{grpc}8"), Vec::new()));
        let plain = sent("GET", "text/plain", &reply(None), &typed[..2]);
        assert_eq!(plain, (":status: 429\nretry-after: 5\ncontent-type: text/plain".to_owned(), body.to_vec()));
        let head = sent("HEAD", "text/plain", &reply(None), &typed[2..3]);
        assert_eq!(head, ("content-type: application/json".to_owned(), Vec::new()));
    }
}
