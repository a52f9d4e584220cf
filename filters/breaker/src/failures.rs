//! What counts as a failure of the upstream, what as a success, and what says nothing of it.
//!
//! An ending is of one of three sorts, see `says`: the upstream answered, and its status decides; it was to answer and did
//! not, which is a failure unless the policy leaves it out; or something else ended the request, and the upstream has no part
//! in it.

use crate::Outcome;
use sluicegate_host::GrpcStatus;
use sluicegate_policy::Statuses;
use sluicegate_telemetry::outcome::{self, Ending, Ends, ErrorKind};

/// HTTP statuses, gRPC codes, and kinds of errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failures {
    /// As they are written: one status, or a class.
    statuses: Vec<Statuses>,
    /// Those of them that are one status: they count whoever gave it.
    single: Vec<u16>,
    grpc: Vec<GrpcStatus>,
    kinds: Vec<ErrorKind>,
}

/// The kinds that a policy may name. Not those that statuses tell of, and none by which callers could open a breaker for
/// all others: whoever leaves, is denied, or asks for what there is not.
const NAMED: [ErrorKind; 12] = [
    ErrorKind::Timeout,
    ErrorKind::Connect,
    ErrorKind::Dns,
    ErrorKind::Reset,
    ErrorKind::Protocol,
    ErrorKind::NoHealthyUpstream,
    ErrorKind::Overflow,
    ErrorKind::Overload,
    ErrorKind::RateLimited,
    ErrorKind::AuthUnavailable,
    ErrorKind::FaultInjected,
    ErrorKind::LocalReply,
];

/// Those by which an upstream fails without an answer.
const DEFAULT_KINDS: [ErrorKind; 6] = [
    ErrorKind::Timeout,
    ErrorKind::Connect,
    ErrorKind::Dns,
    ErrorKind::Reset,
    ErrorKind::Protocol,
    ErrorKind::NoHealthyUpstream,
];

/// What is with [`GrpcStatus::fails`] a failure of the service, but UNIMPLEMENTED: that a method is not there is said to one
/// caller, and the others are served as before. And RESOURCE_EXHAUSTED, which is gRPC's word for an overloaded service as
/// well as for a caller's quota.
const DEFAULT_GRPC: [GrpcStatus; 6] = [
    GrpcStatus::Unknown,
    GrpcStatus::DeadlineExceeded,
    GrpcStatus::ResourceExhausted,
    GrpcStatus::Internal,
    GrpcStatus::Unavailable,
    GrpcStatus::DataLoss,
];

impl Failures {
    /// What one of them is, for people.
    pub(crate) const ACCEPTED: &'static str = "an HTTP status such as \"503\", a class of them such as \"5xx\", a gRPC code such \
        as \"UNAVAILABLE\", or one of \"timeout\", \"connect\", \"dns\", \"reset\", \"protocol\", \"no_healthy_upstream\", \
        \"overflow\", \"overload\", \"rate_limited\", \"auth_unavailable\", \"fault_injected\", \"local_reply\"";

    /// Whether this is one of those.
    pub(crate) fn is_one(text: &str) -> bool {
        Statuses::parse(text).is_some() || grpc(text).is_some() || kind(text).is_some()
    }

    /// These, written as in a policy. None at all is possible: then nothing fails.
    pub(crate) fn of(texts: &[&str]) -> Failures {
        Failures {
            statuses: texts.iter().filter_map(|text| Statuses::parse(text)).collect(),
            single: texts
                .iter()
                .filter(|text| Statuses::parse(text).is_some())
                .filter_map(|text| text.parse().ok())
                .collect(),
            grpc: texts.iter().filter_map(|text| grpc(text)).collect(),
            kinds: texts.iter().filter_map(|text| kind(text)).collect(),
        }
    }

    /// Whether nothing is a failure.
    pub(crate) fn is_empty(&self) -> bool {
        self.statuses.is_empty() && self.grpc.is_empty() && self.kinds.is_empty()
    }

    /// What this ending is to the breaker that let its request pass. `ends` of the ending is to be told for timeouts as well:
    /// a stream that the proxy cuts off for its age is no failure.
    pub(crate) fn judge(&self, ending: &Ending<'_>) -> Outcome {
        let kind = outcome::Outcome::of(ending).kind;
        let status = ending.status.filter(|status| *status != 0);
        let grpc = ending.grpc_status.map(GrpcStatus::from_code);
        let is_listed = kind.is_some_and(|kind| self.kinds.contains(&kind));
        let is_told = status.is_some_and(|status| self.statuses.iter().any(|statuses| statuses.contains(status)))
            || grpc.is_some_and(|grpc| self.grpc.contains(&grpc));
        let is_single = status.is_some_and(|status| self.single.contains(&status));
        let (fails, otherwise) = match says(kind, ending) {
            // Cancelled was it by its caller, who went away.
            Says::Answered if grpc == Some(GrpcStatus::Cancelled) => (is_told || is_listed, Outcome::Ignored),
            Says::Answered => (is_told || is_listed, Outcome::Success),
            Says::Unanswered => (is_told || is_listed, Outcome::Ignored),
            Says::Left => (is_told, Outcome::Ignored),
            Says::Nothing => (is_single || is_listed, Outcome::Ignored),
            Says::Cut => (is_single, Outcome::Ignored),
            Says::Shed => (false, Outcome::Ignored),
        };
        if fails { Outcome::Failure } else { otherwise }
    }
}

/// 5xx, the gRPC codes by which a service fails, and whatever keeps the upstream from answering.
impl Default for Failures {
    fn default() -> Failures {
        Failures {
            statuses: vec![Statuses::class(5)],
            single: Vec::new(),
            grpc: DEFAULT_GRPC.to_vec(),
            kinds: DEFAULT_KINDS.to_vec(),
        }
    }
}

/// What an ending says of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// It answered. What is listed is a failure, all else a success.
    Answered,
    /// It was to answer and did not, or not to the end. What is listed by its kind or by the status that the proxy gave is a
    /// failure; all else is ignored, for it is no success either.
    Unanswered,
    /// The caller left. A failure only where it had been told of one by then.
    Left,
    /// It was not asked, or somebody else cut it short. What is listed by its kind, or as that single status, is a failure:
    /// a class such as `5xx` means the upstream's.
    Nothing,
    /// It is of a kind that is the upstream's otherwise, but it was the caller or the proxy that cut it short. What is listed
    /// as that single status is a failure.
    Cut,
    /// A breaker shed it. Never a failure, or breakers would keep each other open.
    Shed,
}

/// The table: what each kind of ending says.
fn says(kind: Option<ErrorKind>, ending: &Ending<'_>) -> Says {
    let Some(kind) = kind else {
        return if is_of_upstream(ending) { Says::Answered } else { Says::Nothing };
    };
    match kind {
        ErrorKind::Upstream5xx | ErrorKind::UpstreamGrpc | ErrorKind::ClientError => Says::Answered,
        // 429 and RESOURCE_EXHAUSTED, or a limit of this proxy.
        ErrorKind::RateLimited if is_of_upstream(ending) => Says::Answered,
        ErrorKind::Timeout if is_of_caller(ending) || is_a_stream(ending) => Says::Cut,
        // The proxy itself closed the connection, most often because it shuts down.
        ErrorKind::Reset if ending.code_details.starts_with(b"downstream_local_disconnect") => Says::Cut,
        ErrorKind::Timeout
        | ErrorKind::Connect
        | ErrorKind::Dns
        | ErrorKind::Reset
        | ErrorKind::Protocol
        | ErrorKind::NoHealthyUpstream => Says::Unanswered,
        ErrorKind::ClientGone => Says::Left,
        ErrorKind::BreakerOpen => Says::Shed,
        // A limit of the proxy, which is also reached where another route or another caller needs too much.
        ErrorKind::Overflow
        | ErrorKind::Overload
        | ErrorKind::RateLimited
        // The caller's fault, or the configuration's.
        | ErrorKind::NoRoute
        | ErrorKind::Rejected
        | ErrorKind::Denied
        // Another service fails, or nobody does.
        | ErrorKind::AuthUnavailable
        | ErrorKind::FaultInjected
        // Somebody answered, and who it was is not known.
        | ErrorKind::LocalReply
        | ErrorKind::NoResponse => Says::Nothing,
    }
}

/// Whether the response, or what there was of it, was the upstream's: it was complete, or it was a stream that somebody
/// ended in good order, or a redirect that the proxy followed in the caller's place. Not that of a filter, a redirect of the
/// proxy's own or its cache.
fn is_of_upstream(ending: &Ending<'_>) -> bool {
    // A client of HTTP/2 resets its stream, and the codec says so.
    let ended_by: [&[u8]; 3] =
        [b"upstream_reset_after_response_started", b"downstream_remote_disconnect", b"http2.remote_reset"];
    let complete: [&[u8]; 2] = [b"via_upstream", b"internal_redirect"];
    let details = ending.code_details;
    ending.reply.is_none() && (complete.contains(&details) || ended_by.iter().any(|by| details.starts_with(by)))
}

/// Whether it was the caller that took too long to send its request.
fn is_of_caller(ending: &Ending<'_>) -> bool {
    let waited_for: [&[u8]; 3] = [b"request_header_timeout", b"request_overall_timeout", b"downstream_header_timeout"];
    ending.status == Some(408) || waited_for.iter().any(|details| ending.code_details.starts_with(details))
}

/// Whether a response had begun well that is not bound to end: one that idles or grows old is cut off by the proxy.
fn is_a_stream(ending: &Ending<'_>) -> bool {
    let has_begun = ending.status.is_some_and(|status| (100..400).contains(&status));
    has_begun && (ending.ends != Ends::Upstream || ending.status == Some(101))
}

/// A code's name. OK is no failure.
fn grpc(text: &str) -> Option<GrpcStatus> {
    GrpcStatus::ALL.into_iter().find(|status| *status != GrpcStatus::Ok && status.as_str() == text)
}

fn kind(text: &str) -> Option<ErrorKind> {
    NAMED.into_iter().find(|kind| kind.as_str() == text)
}

#[cfg(test)]
mod tests;
