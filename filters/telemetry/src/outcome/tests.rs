#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use Direction::{Gateway, Inbound, Outbound};
use ErrorKind as Kind;
use Severity::{Error, Info, Warn};

fn ok() -> Ending<'static> {
    Ending {
        direction: Inbound,
        status: Some(200),
        grpc_status: None,
        flags: ResponseFlags::default(),
        code_details: b"via_upstream",
        reply: None,
        ends: Ends::Upstream,
    }
}

fn answered(status: u16) -> Ending<'static> {
    Ending { status: Some(status), ..ok() }
}

fn grpc(code: i64) -> Ending<'static> {
    Ending { grpc_status: Some(code), ..ok() }
}

fn flagged(status: u16, letters: &str) -> Ending<'static> {
    let number = (0..30).find(|number| ResponseFlags::from_bits(1 << number).to_string() == letters).unwrap();
    Ending { status: Some(status), flags: ResponseFlags::from_bits(1 << number), code_details: b"", ..ok() }
}

fn detailed(status: u16, details: &'static str) -> Ending<'static> {
    Ending { status: Some(status), code_details: details.as_bytes(), ..ok() }
}

fn replied(status: u16, reply: LocalReply) -> Ending<'static> {
    Ending { status: Some(status), code_details: b"", reply: Some(reply), ..ok() }
}

/// A sentence, the ending that it is about, and what comes of it.
type Case = (&'static str, Ending<'static>, Severity, Option<Kind>, Option<ErrorType>);

fn check(table: &[Case]) {
    for (sentence, ending, severity, kind, error_type) in table {
        let expected = Outcome { severity: *severity, kind: *kind, error_type: *error_type };
        assert_eq!(Outcome::of(ending), expected, "{sentence}");
    }
}

#[test]
fn the_status_of_the_upstream() {
    let status = |status| Some(ErrorType::Status(status));
    check(&[
        ("a 200 is fine", answered(200), Info, None, None),
        ("a redirect is fine", answered(302), Info, None, None),
        ("a 404 is the caller's fault, no error of a server", answered(404), Warn, Some(Kind::ClientError), None),
        (
            "a 404 is an error of a client",
            Ending { direction: Outbound, ..answered(404) },
            Warn,
            Some(Kind::ClientError),
            status(404),
        ),
        ("a gateway is a server", Ending { direction: Gateway, ..answered(499) }, Warn, Some(Kind::ClientError), None),
        ("a 500 is an error", answered(500), Error, Some(Kind::Upstream5xx), status(500)),
        ("a 429 says that the rate is limited", answered(429), Warn, Some(Kind::RateLimited), None),
        (
            "no status and no reason is an error",
            Ending { status: None, code_details: b"", ..ok() },
            Error,
            Some(Kind::NoResponse),
            Some(ErrorType::Kind(Kind::NoResponse)),
        ),
        (
            "status 0 is none",
            Ending { code_details: b"", ..answered(0) },
            Error,
            Some(Kind::NoResponse),
            Some(ErrorType::Kind(Kind::NoResponse)),
        ),
    ]);
}

#[test]
fn the_status_of_grpc() {
    check(&[
        ("OK is fine", grpc(0), Info, None, None),
        (
            "INTERNAL from upstream is an error",
            grpc(13),
            Error,
            Some(Kind::UpstreamGrpc),
            Some(ErrorType::Grpc(GrpcStatus::Internal)),
        ),
        ("NOT_FOUND is the caller's fault", grpc(5), Warn, Some(Kind::UpstreamGrpc), None),
        (
            "NOT_FOUND is an error of a client",
            Ending { direction: Outbound, ..grpc(5) },
            Warn,
            Some(Kind::UpstreamGrpc),
            Some(ErrorType::Grpc(GrpcStatus::NotFound)),
        ),
        ("RESOURCE_EXHAUSTED says that the rate is limited", grpc(8), Warn, Some(Kind::RateLimited), None),
        (
            "an undefined code is UNKNOWN",
            grpc(99),
            Error,
            Some(Kind::UpstreamGrpc),
            Some(ErrorType::Grpc(GrpcStatus::Unknown)),
        ),
        (
            "UNAVAILABLE that the proxy made of no healthy host",
            Ending { grpc_status: Some(14), ..flagged(200, "UH") },
            Error,
            Some(Kind::NoHealthyUpstream),
            Some(ErrorType::Kind(Kind::NoHealthyUpstream)),
        ),
        (
            "a 503 without a gRPC status counts as HTTP",
            Ending { grpc_status: None, ..answered(503) },
            Error,
            Some(Kind::Upstream5xx),
            Some(ErrorType::Status(503)),
        ),
        (
            "a 503 with OK is a 503",
            Ending { grpc_status: Some(0), ..answered(503) },
            Error,
            Some(Kind::Upstream5xx),
            Some(ErrorType::Status(503)),
        ),
    ]);
}

#[test]
fn envoys_flags() {
    let kind = |kind| Some(ErrorType::Kind(kind));
    check(&[
        ("a timeout", flagged(504, "UT"), Error, Some(Kind::Timeout), kind(Kind::Timeout)),
        ("a slow caller's timeout", flagged(408, "SI"), Warn, Some(Kind::Timeout), None),
        ("a refused connection", flagged(503, "UF"), Error, Some(Kind::Connect), kind(Kind::Connect)),
        ("a reset after a 200 was begun", flagged(200, "UC"), Error, Some(Kind::Reset), kind(Kind::Reset)),
        ("a full pool", flagged(503, "UO"), Error, Some(Kind::Overflow), kind(Kind::Overflow)),
        ("no route is the caller's fault", flagged(404, "NR"), Warn, Some(Kind::NoRoute), None),
        ("no cluster is ours", flagged(503, "NC"), Error, Some(Kind::NoRoute), kind(Kind::NoRoute)),
        ("the client left", flagged(0, "DC"), Warn, Some(Kind::ClientGone), kind(Kind::ClientGone)),
        ("the client left within a response", flagged(200, "DR"), Warn, Some(Kind::ClientGone), kind(Kind::ClientGone)),
        ("the client ends its WebSocket", flagged(101, "DC"), Info, None, None),
        ("the client ends its stream", Ending { ends: Ends::Client, ..flagged(200, "DC") }, Info, None, None),
        (
            "the upstream breaks off the stream",
            Ending { ends: Ends::Client, ..flagged(200, "UC") },
            Error,
            Some(Kind::Reset),
            kind(Kind::Reset),
        ),
        ("a rate limit", flagged(429, "RL"), Warn, Some(Kind::RateLimited), None),
        (
            "a rate limit over gRPC",
            Ending { grpc_status: Some(14), ..flagged(200, "RL") },
            Error,
            Some(Kind::RateLimited),
            kind(Kind::RateLimited),
        ),
        ("a denial", flagged(403, "UAEX"), Warn, Some(Kind::Denied), None),
        ("a redirect to the login is no error", flagged(302, "UAEX"), Info, None, None),
        ("a delay is no error", flagged(200, "DI"), Info, None, None),
        ("an answer from the cache is no error", flagged(200, "RFCF"), Info, None, None),
        (
            "too many retries do not say what failed",
            Ending { code_details: b"via_upstream", ..flagged(503, "URX") },
            Error,
            Some(Kind::Upstream5xx),
            Some(ErrorType::Status(503)),
        ),
        ("an unhealthy proxy", flagged(503, "LH"), Error, Some(Kind::LocalReply), Some(ErrorType::Status(503))),
        (
            "flags count before code details",
            Ending { code_details: b"route_not_found", ..flagged(504, "UT") },
            Error,
            Some(Kind::Timeout),
            kind(Kind::Timeout),
        ),
    ]);
}

#[test]
fn envoys_code_details() {
    let table = [
        (504, "response_timeout", Some(Kind::Timeout)),
        (504, "upstream_per_try_timeout", Some(Kind::Timeout)),
        (503, "upstream_reset_before_response_started{connection_failure}", Some(Kind::Connect)),
        (503, "upstream_reset_before_response_started{connection_timeout|TLS_error:_1}", Some(Kind::Connect)),
        (503, "upstream_reset_before_response_started{remote_connection_failure|x}", Some(Kind::Connect)),
        (503, "upstream_reset_before_response_started{overflow}", Some(Kind::Overflow)),
        (502, "upstream_reset_before_response_started{protocol_error}", Some(Kind::Protocol)),
        (503, "upstream_reset_before_response_started{connection_termination}", Some(Kind::Reset)),
        (503, "upstream_reset_before_response_started{", Some(Kind::Reset)),
        (503, "upstream_reset_before_response_started", Some(Kind::Reset)),
        (200, "upstream_reset_after_response_started{remote_reset}", Some(Kind::Reset)),
        (503, "no_healthy_upstream", Some(Kind::NoHealthyUpstream)),
        (404, "route_not_found", Some(Kind::NoRoute)),
        (503, "cluster_not_found", Some(Kind::NoRoute)),
        (503, "overload", Some(Kind::Overload)),
        (503, "maintenance_mode", Some(Kind::Overload)),
        (507, "request_payload_exceeded_retry_buffer_limit", Some(Kind::Overflow)),
        (413, "request_payload_too_large", Some(Kind::Rejected)),
        (400, "http1.codec_error", Some(Kind::Rejected)),
        (431, "http2.too_many_headers", Some(Kind::Rejected)),
        (400, "missing_host_header", Some(Kind::Rejected)),
        (403, "rbac_access_denied_matched_policy[none]", Some(Kind::Denied)),
        (401, "jwt_authn_access_denied{Jwt_is_expired}", Some(Kind::Denied)),
        (429, "local_rate_limited", Some(Kind::RateLimited)),
        (503, "fault_filter_abort", Some(Kind::FaultInjected)),
        (0, "downstream_remote_disconnect", Some(Kind::ClientGone)),
        (0, "downstream_local_disconnect(codec_error:x)", Some(Kind::Rejected)),
        (0, "downstream_local_disconnect(shutdown)", Some(Kind::Reset)),
        (0, "codec_error:x", Some(Kind::Rejected)),
        (403, "csrf_origin_mismatch", Some(Kind::Denied)),
        (200, "direct_response", None),
        (503, "direct_response", Some(Kind::LocalReply)),
        (404, "of_some_filter", Some(Kind::LocalReply)),
        (500, "", Some(Kind::LocalReply)),
        (500, "via_upstream2", Some(Kind::LocalReply)),
        (500, "{", Some(Kind::LocalReply)),
    ];
    for (status, details, kind) in table {
        assert_eq!(Outcome::of(&detailed(status, details)).kind, kind, "{status} {details}");
    }
}

#[test]
fn our_own_replies_count_before_everything() {
    check(&[
        (
            "the breaker shed it",
            replied(503, LocalReply::BreakerOpen),
            Error,
            Some(Kind::BreakerOpen),
            Some(ErrorType::Kind(Kind::BreakerOpen)),
        ),
        (
            "the breaker shed it over gRPC",
            Ending { grpc_status: Some(14), ..replied(200, LocalReply::BreakerOpen) },
            Error,
            Some(Kind::BreakerOpen),
            Some(ErrorType::Kind(Kind::BreakerOpen)),
        ),
        ("a limit of ours", replied(429, LocalReply::RateLimited), Warn, Some(Kind::RateLimited), None),
        ("a request that we refuse", replied(400, LocalReply::Rejected), Warn, Some(Kind::Rejected), None),
        (
            "another answer of ours",
            replied(500, LocalReply::Other),
            Error,
            Some(Kind::LocalReply),
            Some(ErrorType::Status(500)),
        ),
        ("an answer of ours that is no error", replied(204, LocalReply::Other), Info, None, None),
        (
            "a reply of ours with a flag",
            Ending { reply: Some(LocalReply::BreakerOpen), ..flagged(503, "DC") },
            Error,
            Some(Kind::BreakerOpen),
            Some(ErrorType::Kind(Kind::BreakerOpen)),
        ),
    ]);
}

#[test]
fn the_numbers_of_severities_are_opentelemetrys() {
    let table = Severity::ALL.map(|severity| (severity.as_str(), severity.number()));
    assert_eq!(table, [("DEBUG", 5), ("INFO", 9), ("WARN", 13), ("ERROR", 17), ("FATAL", 21)]);
}

#[test]
fn the_names_of_kinds_are_distinct() {
    let names: std::collections::BTreeSet<_> = Kind::ALL.map(Kind::as_str).into();
    assert_eq!(names.len(), Kind::ALL.len());
}

#[test]
fn details_that_know_better_come_before_the_flags() {
    let both = |status, letters, details: &'static str| Ending {
        code_details: details.as_bytes(),
        ..flagged(status, letters)
    };
    check(&[
        (
            "a budget for retries that is used up is not what happened",
            both(503, "UO", "via_upstream"),
            Error,
            Some(Kind::Upstream5xx),
            Some(ErrorType::Status(503)),
        ),
        (
            "maintenance is no overflow",
            both(503, "UO", "maintenance_mode"),
            Error,
            Some(Kind::Overload),
            Some(ErrorType::Kind(Kind::Overload)),
        ),
        (
            "a proxy that shuts down is no client that left",
            both(0, "DC", "downstream_local_disconnect(connection_manager_destroyed)"),
            Error,
            Some(Kind::Reset),
            Some(ErrorType::Kind(Kind::Reset)),
        ),
        (
            "who could not be asked has not denied",
            both(403, "UAEX", "ext_authz_error"),
            Error,
            Some(Kind::AuthUnavailable),
            Some(ErrorType::Kind(Kind::AuthUnavailable)),
        ),
        ("a denial", both(403, "UAEX", "ext_authz_denied"), Warn, Some(Kind::Denied), None),
    ]);
}

#[test]
fn a_client_that_breaks_the_protocol_is_told_of_whatever_it_was_answered() {
    let error = Some(ErrorType::Kind(Kind::Rejected));
    check(&[
        ("before an answer", flagged(0, "DPE"), Warn, Some(Kind::Rejected), error),
        ("after it began", flagged(200, "DPE"), Warn, Some(Kind::Rejected), error),
        ("with a refusal", flagged(400, "DPE"), Warn, Some(Kind::Rejected), None),
    ]);
}

#[test]
fn a_tunnel_ends_when_either_side_closes_it() {
    let closed = |status, letters, ends| Ending { ends, ..flagged(status, letters) };
    let reset = (Some(Kind::Reset), Some(ErrorType::Kind(Kind::Reset)));
    check(&[
        ("a web socket that its server closes", flagged(101, "UC"), Info, None, None),
        ("one that its client closes", flagged(101, "DC"), Info, None, None),
        ("one that its server resets", flagged(101, "UR"), Error, reset.0, reset.1),
        ("CONNECT, by the server", closed(200, "UC", Ends::Either), Info, None, None),
        ("CONNECT, by the client", closed(200, "DC", Ends::Either), Info, None, None),
        ("a stream that its server breaks off", closed(200, "UC", Ends::Client), Error, reset.0, reset.1),
    ]);
}
