//! What came of a request that passed: what the proxy tells of its ending, put to `failures.rs`, and whose doing it was. What
//! a caller can bring about by itself opens no breaker for all others.

use crate::Outcome;
use crate::deadline;
use crate::policy::Guard;
use sluicegate_host::{AnswerFacts, AnswerList, EndingFacts, Exchange, GrpcStatus};
use sluicegate_telemetry::outcome::{self, Ending, Ends, ErrorKind, ResponseFlags};

/// How far an exchange had come when it ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Course {
    /// All of the request had been sent; of a tunnel, what opens it.
    pub(crate) is_sent: bool,
    /// The headers of a response had come.
    pub(crate) has_begun: bool,
}

/// What an exchange that is over says of its upstream. One hostcall where no filter of this module has asked how it ended,
/// and up to two more where it did not end well.
pub(crate) fn outcome(exchange: &mut Exchange, answer: &AnswerList, guard: &Guard, course: Course) -> Outcome {
    let AnswerFacts { status, grpc_status, ending } = exchange.answer(answer);
    let EndingFacts { flags, code_details } = ending.unwrap_or_default();
    // Whose upstream fails is told so by the proxy. Who is told nothing went away.
    if status.is_none() {
        return Outcome::Ignored;
    }
    let flags = ResponseFlags::from_bits(flags);
    let reply = sluicegate_telemetry::reply(status, flags, &code_details, exchange);
    // A caller may call its request gRPC, of whose plain answer the proxy makes a gRPC status: no failure of the upstream.
    let is_grpc = |status: &i64| exchange.is_grpc() && (*status == 0 || is_grpc_response(exchange));
    let grpc_status = grpc_status.filter(is_grpc);
    let ending = |ends| Ending {
        direction: exchange.direction(),
        status,
        grpc_status,
        flags,
        code_details: &code_details,
        reply,
        ends,
    };
    let kind = outcome::Outcome::of(&ending(Ends::Upstream)).kind;
    // A response that the proxy makes up begins as well, and is an error.
    let may_have_begun = course.has_begun && kind.is_some() && status.is_some_and(|status| status < 400);
    let has_begun = may_have_begun && !is_trailers_only(exchange);
    let judged = guard.failures.judge(&ending(sluicegate_telemetry::ends(kind, has_begun, exchange)));
    if judged != Outcome::Failure {
        return judged;
    }
    let grpc_status = grpc_status.map(GrpcStatus::from_code);
    let is_of_another = match kind {
        Some(ErrorKind::Timeout) => !course.is_sent || has_begun || is_hurried(exchange, guard),
        Some(ErrorKind::Reset) => (!course.is_sent && !has_begun) || is_malformed_grpc(exchange),
        Some(ErrorKind::UpstreamGrpc) if grpc_status == Some(GrpcStatus::DeadlineExceeded) => {
            is_hurried(exchange, guard) || is_shed(exchange, guard)
        }
        Some(ErrorKind::Upstream5xx | ErrorKind::UpstreamGrpc | ErrorKind::ClientError) => is_shed(exchange, guard),
        _ => false,
    };
    if is_of_another { Outcome::Ignored } else { judged }
}

/// Whether the headers of a response are not those of a failure. One hostcall.
pub(crate) fn begins_well(exchange: &Exchange, guard: &Guard) -> bool {
    let headers = exchange.response_headers().original();
    let number = |name| std::str::from_utf8(headers.get(name)?).ok()?.parse().ok();
    let begun = Ending {
        direction: exchange.direction(),
        status: number(":status"),
        grpc_status: number("grpc-status").filter(|_| exchange.is_grpc()).map(i64::from),
        flags: ResponseFlags::default(),
        code_details: b"via_upstream",
        reply: None,
        ends: Ends::Upstream,
    };
    guard.failures.judge(&begun) == Outcome::Success
}

/// Whether a request opens a tunnel, as that of a WebSocket does (RFC 9110 §7.8 and §9.3.6): the upstream is to answer to its
/// head, and what comes after that has no end. One that says how long its body is has one, whatever it calls itself.
pub(crate) fn opens_tunnel(exchange: &Exchange) -> bool {
    let headers = exchange.request_headers().original();
    let has = |name| headers.get(name).is_some();
    match headers.get(":method") {
        Some(b"CONNECT") => true,
        Some(b"GET") => has("upgrade") && !has("content-length") && !has("transfer-encoding"),
        _ => false,
    }
}

/// Whether the caller gave so little time that no answer within it says nothing.
fn is_hurried(exchange: &Exchange, guard: &Guard) -> bool {
    let deadline = exchange.facts.request.as_ref().and_then(|head| deadline::of(head));
    deadline.is_some_and(|deadline| deadline < guard.min_deadline)
}

/// Whether a request says that it is gRPC and is none: servers reset its stream (gRPC over HTTP/2, Requests).
fn is_malformed_grpc(exchange: &Exchange) -> bool {
    let method = exchange.facts.request.as_ref().and_then(|head| head.get(":method"));
    exchange.is_grpc() && method != Some(b"POST")
}

/// Whether a breaker behind this one gave the answer: its upstream fails, not this one's. One hostcall.
fn is_shed(exchange: &Exchange, guard: &Guard) -> bool {
    let headers = exchange.response_headers().original();
    guard.hints.header.as_deref().is_some_and(|name| headers.get(name).is_some())
}

/// Whether the response is gRPC as well. One hostcall.
fn is_grpc_response(exchange: &Exchange) -> bool {
    let headers = exchange.response_headers().original();
    headers.get("content-type").is_some_and(|content_type| content_type.starts_with(b"application/grpc"))
}

/// Whether a response is over with its headers (gRPC over HTTP/2, Trailers-Only), as one is that the proxy makes up in the
/// place of an upstream that did not answer. One hostcall.
fn is_trailers_only(exchange: &Exchange) -> bool {
    exchange.response_headers().original().get("grpc-status").is_some()
}
