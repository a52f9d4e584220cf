//! How an exchange ended: its severity, what kind of error it was, and a signature to group errors by.
//!
//! ```
//! use sluicegate_telemetry::outcome::{Ending, Ends, ErrorKind, Outcome, ResponseFlags, Severity};
//! use sluicegate_policy::Direction;
//!
//! let outcome = Outcome::of(&Ending {
//!     direction: Direction::Inbound,
//!     status: Some(504),
//!     grpc_status: None,
//!     flags: ResponseFlags::from_bits(1 << 2),
//!     code_details: b"response_timeout",
//!     reply: None,
//!     ends: Ends::Upstream,
//! });
//! assert_eq!((outcome.severity, outcome.kind), (Severity::Error, Some(ErrorKind::Timeout)));
//! ```
//!
//! The kind comes from the first of these that knows: what our own filters did (the proxy tells nothing about a reply of
//! ours), the proxy's response flags, its code details, the gRPC status, the HTTP status. The severity follows from the
//! kind and the status; see [`ErrorKind`] and [`GrpcStatus::fails`].

mod details;
mod flags;
mod kind;
mod severity;
mod signature;

pub use flags::ResponseFlags;
pub use kind::ErrorKind;
pub use severity::Severity;
pub use signature::Signature;

use sluicegate_host::{GrpcStatus, LocalReply};
use sluicegate_policy::Direction;

/// What is known about an exchange when it is over.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    /// Which side of a call this was: outbound is a client's, everything else a server's.
    pub direction: Direction,
    /// The HTTP status that was sent downstream; `None` (or 0, as Envoy says it) where none was.
    pub status: Option<u16>,
    /// The value of `grpc-status`, where the exchange was gRPC and had one.
    pub grpc_status: Option<i64>,
    /// Envoy's `response.flags`.
    pub flags: ResponseFlags,
    /// Envoy's `response.code_details`; empty where there are none.
    pub code_details: &'a [u8],
    /// The answer, where it was one of our own filters that gave it.
    pub reply: Option<LocalReply>,
    /// Who may end the response, so that leaving is no failure. A status of 101 is a tunnel anyway.
    pub ends: Ends,
}

/// Who ends a response in good order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ends {
    /// The upstream, with its last byte.
    #[default]
    Upstream,
    /// Its client as well: server-sent events, a gRPC stream.
    Client,
    /// Either side, by closing: an upgrade such as a WebSocket, CONNECT.
    Either,
}

/// What the ending of an exchange means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How bad it is.
    pub severity: Severity,
    /// The kind of error; `None` where there was none.
    pub kind: Option<ErrorKind>,
    /// OpenTelemetry's `error.type`; `None` where its conventions see no error, as a server's 4xx.
    pub error_type: Option<ErrorType>,
}

/// A value of OpenTelemetry's `error.type` (semantic conventions 1.44: HTTP spans, gRPC spans).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// The response itself was the error: its HTTP status.
    Status(u16),
    /// The response itself was the error: its gRPC status.
    Grpc(GrpcStatus),
    /// Something else than a response from upstream ended the exchange.
    Kind(ErrorKind),
}

impl Outcome {
    /// Classifies the ending of an exchange. Anything may stand in the fields of `ending`.
    pub fn of(ending: &Ending<'_>) -> Outcome {
        let response = Response {
            status: ending.status.filter(|status| *status != 0),
            grpc: ending.grpc_status.map(GrpcStatus::from_code),
        };
        let kind = kind(ending, response);
        Outcome {
            severity: kind.map_or(Severity::Info, |kind| severity(kind, response)),
            kind,
            error_type: kind.and_then(|kind| error_type(kind, response, ending.direction)),
        }
    }
}

/// What the caller was told.
#[derive(Clone, Copy)]
struct Response {
    status: Option<u16>,
    grpc: Option<GrpcStatus>,
}

impl Response {
    /// The caller was told of a failure, its own or another's.
    fn failed(self) -> bool {
        self.grpc.is_some_and(|grpc| grpc != GrpcStatus::Ok) || self.status.is_some_and(|status| status >= 400)
    }

    /// The service failed: a 5xx, or a gRPC status that says so.
    fn is_a_failure(self) -> bool {
        self.failed() && !self.blames_the_caller()
    }

    /// The failure is the caller's own: a 4xx, or a gRPC status that says so. A gRPC status says more than the HTTP status
    /// that it came with, which is 200 most of the time.
    fn blames_the_caller(self) -> bool {
        match (self.grpc, self.status) {
            (Some(grpc), _) if grpc != GrpcStatus::Ok => !grpc.fails(),
            (_, Some(status)) => (400..500).contains(&status),
            _ => false,
        }
    }
}

/// The order of precedence. What the details know better comes before the flags, which are few.
fn kind(ending: &Ending<'_>, response: Response) -> Option<ErrorKind> {
    let found = ending
        .reply
        .map(of_reply)
        .or_else(|| details::better_known(ending.code_details))
        .or_else(|| ending.flags.kind().filter(|kind| !is_of_retries(*kind, ending.code_details)))
        .or_else(|| details::kind(ending.code_details))
        .or_else(|| of_response(ending.code_details, response))?;
    let ends = if response.status == Some(101) { Ends::Either } else { ending.ends };
    let in_order = match found {
        ErrorKind::ClientGone => ends != Ends::Upstream,
        // A WebSocket's server closes first (RFC 6455 §7.1.1).
        ErrorKind::Reset => ends == Ends::Either && ending.flags.is_upstream_closed(),
        // A client that broke the protocol did so whatever it was told.
        ErrorKind::Rejected if ending.flags.is_protocol_error() => false,
        kind => kind.is_of_a_response() && response.status.is_some() && !response.failed(),
    };
    (!in_order).then_some(found)
}

/// The upstream answered, and no budget was left to try again: what it answered counts.
fn is_of_retries(kind: ErrorKind, code_details: &[u8]) -> bool {
    kind == ErrorKind::Overflow && details::via_upstream(code_details)
}

fn of_reply(reply: LocalReply) -> ErrorKind {
    match reply {
        LocalReply::BreakerOpen => ErrorKind::BreakerOpen,
        LocalReply::RateLimited => ErrorKind::RateLimited,
        LocalReply::Rejected => ErrorKind::Rejected,
        LocalReply::Other => ErrorKind::LocalReply,
    }
}

/// Only the response is left to tell.
fn of_response(code_details: &[u8], response: Response) -> Option<ErrorKind> {
    let Response { status: Some(status), grpc } = response else {
        return Some(ErrorKind::NoResponse);
    };
    if !response.failed() {
        return None;
    }
    if status == 429 || grpc == Some(GrpcStatus::ResourceExhausted) {
        return Some(ErrorKind::RateLimited);
    }
    if !details::via_upstream(code_details) {
        return Some(ErrorKind::LocalReply);
    }
    Some(match grpc {
        Some(grpc) if grpc != GrpcStatus::Ok => ErrorKind::UpstreamGrpc,
        _ if status >= 500 => ErrorKind::Upstream5xx,
        _ => ErrorKind::ClientError,
    })
}

fn severity(kind: ErrorKind, response: Response) -> Severity {
    match kind {
        // Whose authorisation could not be asked is not denied, whatever it is told.
        ErrorKind::AuthUnavailable => Severity::Error,
        // Unless it was told of a failure before.
        ErrorKind::ClientGone | ErrorKind::Rejected if !response.is_a_failure() => Severity::Warn,
        _ if response.blames_the_caller() => Severity::Warn,
        _ => Severity::Error,
    }
}

/// A server does not count what its callers did wrong; a client counts every failure (HTTP spans, status; gRPC spans,
/// `rpc.response.status_code`).
fn error_type(kind: ErrorKind, response: Response, direction: Direction) -> Option<ErrorType> {
    if direction != Direction::Outbound && response.blames_the_caller() && kind != ErrorKind::AuthUnavailable {
        return None;
    }
    if !kind.is_told_by_status() {
        return Some(ErrorType::Kind(kind));
    }
    match response {
        Response { grpc: Some(grpc), .. } if grpc != GrpcStatus::Ok => Some(ErrorType::Grpc(grpc)),
        Response { status: Some(status), .. } => Some(ErrorType::Status(status)),
        Response { status: None, .. } => Some(ErrorType::Kind(kind)),
    }
}

#[cfg(test)]
mod tests;
