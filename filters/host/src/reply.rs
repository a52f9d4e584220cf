//! Replies that a filter makes in the place of the upstream: one error shape for the whole product.

use crate::{Facts, Host, HostError, LocalResponse};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The statuses of gRPC that filters answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum GrpcStatus {
    /// The caller sent something that cannot be right.
    InvalidArgument = 3,
    /// The caller may not do this.
    PermissionDenied = 7,
    /// A limit was reached.
    ResourceExhausted = 8,
    /// A part of the product failed.
    Internal = 13,
    /// The upstream is not to be called now.
    Unavailable = 14,
}

/// Problem details for HTTP APIs (RFC 9457), with the extension members `code`, `details`, `req_id` and `trace_id`.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The gRPC status that says the same.
    pub grpc_status: GrpcStatus,
    /// A stable code in upper case, such as `BREAKER_OPEN`. Also the last part of `type`, a URN (RFC 9457 §3.1.1).
    pub code: &'static str,
    /// What kind of problem it is; the same for every occurrence (RFC 9457 §3.1.3).
    pub title: &'static str,
    /// What happened this time (RFC 9457 §3.1.4).
    pub detail: Cow<'static, str>,
    /// For machines: which limit, which key, retry after what.
    pub details: Map<String, Value>,
    /// Further headers, such as `retry-after`.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
}

/// As much of a message as a gRPC caller gets, in bytes.
const MAX_GRPC_MESSAGE: usize = 256;

pub(crate) fn send(host: &dyn Host, problem: &Problem, facts: &Facts, grpc: bool) -> Result<(), HostError> {
    let mut headers: Vec<(&str, &[u8])> =
        problem.headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
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
        grpc_status: grpc.then_some(problem.grpc_status as u32),
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
