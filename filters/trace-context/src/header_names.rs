//! Which header names a policy may give the filter: to write, to take away, or to publish.

use crate::formats::Format;
use sluicegate_policy::{is_header_name, is_standard_header};

/// Ours by no format, and somebody's all the same.
const NOT_OURS: [&str; 3] = ["baggage", "req-id", "traceresponse"];

/// Headers whose values are secrets. Baggage goes to every service downstream, whoever runs it.
const SECRET: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

/// What a header name that the filter writes is, for people.
pub(crate) const A_HEADER_OF_OURS: &str = "an HTTP header name (RFC 9110 §5.1) that carries no trace context and frames, \
    routes or authorises nothing, such as \"x-request-id\"";

/// What a header name that baggage is made from is, for people.
pub(crate) const A_HEADER_TO_PUBLISH: &str =
    "an HTTP header name (RFC 9110 §5.1), not baggage itself nor one that holds credentials";

/// Whether the filter may write this header, or take it away: a standard one with an id in it would break the message, or
/// worse: be read differently by two hops. `ours` are the formats that the policy reads or writes:
/// `request-id` is a request id like any other where Azure's format is not among them.
pub(crate) fn may_be_written(name: &str, ours: &[Format]) -> bool {
    let name = name.to_ascii_lowercase();
    let carries_context =
        Format::ALL.iter().any(|format| format.owns(&name) && (*format != Format::Azure || ours.contains(format)));
    is_header_name(&name) && !carries_context && !is_standard_header(&name) && !NOT_OURS.contains(&name.as_str())
}

/// Whether every service downstream may learn the value of this header.
pub(crate) fn may_be_published(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    is_header_name(&name) && name != "baggage" && !SECRET.contains(&name.as_str())
}
