//! Replies that a filter makes in the place of the upstream: one error shape for the whole product.

use crate::{Facts, GrpcStatus, Host, HostError, LocalReply, LocalResponse};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Problem details for HTTP APIs (RFC 9457), with the extension members `code`, `details`, `req_id` and `trace_id`.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The gRPC status that says the same.
    pub grpc_status: GrpcStatus,
    /// A stable code in upper case, such as `BREAKER_OPEN`. Also the last part of `type`, a URN (RFC 9457 §3.1.1).
    pub code: &'static str,
    /// What the answer means to those who judge the exchange.
    pub reply: LocalReply,
    /// What kind of problem it is; the same for every occurrence (RFC 9457 §3.1.3).
    pub title: &'static str,
    /// What happened this time (RFC 9457 §3.1.4).
    pub detail: Cow<'static, str>,
    /// For machines: which limit, which key, retry after what.
    pub details: Map<String, Value>,
    /// Further headers, such as `retry-after`.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

/// A response that the policy gives in the place of the upstream's.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body.
    pub body: &'a [u8],
    /// What it means to those who judge the exchange.
    pub reply: LocalReply,
}

/// As much of a message as a gRPC caller gets, in bytes.
const MAX_GRPC_MESSAGE: usize = 256;

pub(crate) fn send(host: &dyn Host, problem: &Problem, facts: &Facts, grpc: bool) -> Result<(), HostError> {
    let mut headers: Vec<(&str, &[u8])> =
        problem.headers.iter().map(|(name, value)| (name.as_ref(), value.as_bytes())).collect();
    let body = if grpc {
        // The proxy makes grpc-message of the body as it is, so JSON has no place here.
        grpc_message(problem)
    } else {
        headers.push(("content-type", b"application/problem+json"));
        json(problem, facts)
    };
    host.send_local_response(&LocalResponse {
        status: problem.status,
        headers: &headers,
        body: &body,
        grpc_status: grpc.then_some(problem.grpc_status.code()),
    })
}

fn json(problem: &Problem, facts: &Facts) -> Vec<u8> {
    let mut members = Map::new();
    let mut text = |name: &str, value: String| members.insert(name.to_owned(), Value::String(value));
    text("type", format!("urn:sluicegate:problem:{}", problem.code));
    text("code", problem.code.to_owned());
    text("title", problem.title.to_owned());
    text("detail", problem.detail.clone().into_owned());
    if let Some(id) = &facts.request_id {
        text("req_id", id.as_str().to_owned());
    }
    if let Some(trace) = &facts.trace {
        text("trace_id", trace.trace_id.to_string());
    }
    members.insert("status".to_owned(), problem.status.into());
    members.insert("details".to_owned(), Value::Object(problem.details.clone()));
    Value::Object(members).to_string().into_bytes()
}

fn grpc_message(problem: &Problem) -> Vec<u8> {
    let mut message = format!("{}: {}", problem.code, problem.detail);
    let end = message.floor_char_boundary(MAX_GRPC_MESSAGE);
    message.truncate(end);
    message.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::double::Double;
    use crate::{Origin, RequestId, SpanId, TraceFacts, TraceFlags, TraceId};

    fn problem(detail: String) -> Problem {
        Problem {
            status: 503,
            grpc_status: GrpcStatus::Unavailable,
            code: "BREAKER_OPEN",
            reply: LocalReply::BreakerOpen,
            title: "The circuit breaker is open",
            detail: detail.into(),
            details: [("key".to_owned(), "up\"stream".into())].into_iter().collect(),
            headers: vec![("retry-after".into(), "7".into())],
        }
    }

    fn facts() -> Facts {
        let trace = TraceFacts {
            trace_id: TraceId::new([1; 16]).unwrap(),
            span_id: SpanId::new([2; 8]).unwrap(),
            parent_span_id: None,
            own_span: true,
            flags: TraceFlags::default(),
            decided: false,
            origin: Origin::Started,
            outside: None,
        };
        Facts { trace: Some(trace), request_id: RequestId::parse(b"r-1"), ..Facts::default() }
    }

    #[test]
    fn over_http_it_is_problem_details_with_the_ids_of_the_exchange() {
        let proxy = Double::new();
        send(proxy, &problem("upstream fails".into()), &facts(), false).unwrap();
        let reply = proxy.reply().unwrap();
        assert_eq!((reply.status, reply.grpc_status), (503, None));
        let header = |name: &str| reply.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_slice());
        assert_eq!(header("content-type"), Some(&b"application/problem+json"[..]));
        assert_eq!(header("retry-after"), Some(&b"7"[..]));
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let expected: Value = serde_json::from_str(
            r#"{"type": "urn:sluicegate:problem:BREAKER_OPEN", "status": 503, "code": "BREAKER_OPEN",
                "title": "The circuit breaker is open", "detail": "upstream fails", "details": {"key": "up\"stream"},
                "req_id": "r-1", "trace_id": "01010101010101010101010101010101"}"#,
        )
        .unwrap();
        assert_eq!(body, expected);
    }

    #[test]
    fn over_grpc_it_is_a_status_and_a_message_that_is_never_cut_inside_a_character() {
        for filler in ["x", "é"] {
            let proxy = Double::new();
            send(proxy, &problem(filler.repeat(300)), &facts(), true).unwrap();
            let reply = proxy.reply().unwrap();
            assert_eq!(reply.grpc_status, Some(14));
            let message = String::from_utf8(reply.body).unwrap();
            assert!(message.starts_with("BREAKER_OPEN: ") && message.len() <= 256, "{message}");
            assert_eq!(reply.headers.len(), 1);
        }
    }
}
