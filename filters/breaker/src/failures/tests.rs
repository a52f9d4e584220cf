#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::Outcome::{Failure, Ignored, Success};
use ErrorKind as Kind;
use sluicegate_host::LocalReply;
use sluicegate_policy::Direction;
use sluicegate_telemetry::outcome::{self, ResponseFlags};

/// A complete response of the upstream.
fn answered(status: u16) -> Ending<'static> {
    Ending {
        direction: Direction::Outbound,
        status: Some(status),
        grpc_status: None,
        flags: ResponseFlags::default(),
        code_details: b"via_upstream",
        reply: None,
        ends: Ends::Upstream,
    }
}

fn grpc(code: i64) -> Ending<'static> {
    Ending { grpc_status: Some(code), ..answered(200) }
}

/// What the proxy flagged, by Envoy's letters.
fn flagged(status: u16, letters: &str) -> Ending<'static> {
    Ending { code_details: b"", ..with_flag(answered(status), letters) }
}

fn with_flag<'a>(ending: Ending<'a>, letters: &str) -> Ending<'a> {
    let number = (0..30).find(|number| ResponseFlags::from_bits(1 << number).to_string() == letters).unwrap();
    Ending { flags: ResponseFlags::from_bits(1 << number), ..ending }
}

fn detailed(status: u16, details: &'static str) -> Ending<'static> {
    Ending { code_details: details.as_bytes(), ..answered(status) }
}

/// An answer of one of our own filters, of which the proxy tells nothing.
fn replied(status: u16, reply: LocalReply) -> Ending<'static> {
    Ending { code_details: b"", reply: Some(reply), ..answered(status) }
}

fn stream(ending: Ending<'static>, ends: Ends) -> Ending<'static> {
    Ending { ends, ..ending }
}

/// A sentence, the ending that it is about, and what that is.
type Case = (&'static str, Ending<'static>, crate::Outcome);

fn check(failures: &Failures, table: &[Case]) {
    for (sentence, ending, expected) in table {
        assert_eq!(failures.judge(ending), *expected, "{sentence}: {ending:?}");
    }
}

/// An ending of each kind as it comes most often; checked to be of that kind.
fn typical() -> Vec<(Kind, Ending<'static>)> {
    let table = vec![
        (Kind::Timeout, detailed(504, "response_timeout")),
        (Kind::Connect, flagged(503, "UF")),
        (Kind::Dns, flagged(503, "DF")),
        (Kind::Reset, flagged(503, "UC")),
        (Kind::Protocol, flagged(502, "UPE")),
        (Kind::Overflow, flagged(503, "UO")),
        (Kind::Overload, flagged(503, "OM")),
        (Kind::NoRoute, flagged(404, "NR")),
        (Kind::NoHealthyUpstream, flagged(503, "UH")),
        (Kind::Upstream5xx, answered(500)),
        (Kind::UpstreamGrpc, grpc(13)),
        (Kind::ClientError, answered(404)),
        (Kind::ClientGone, flagged(0, "DC")),
        (Kind::RateLimited, flagged(429, "RL")),
        (Kind::BreakerOpen, replied(503, LocalReply::BreakerOpen)),
        (Kind::Rejected, flagged(400, "DPE")),
        (Kind::Denied, flagged(403, "UAEX")),
        (Kind::AuthUnavailable, detailed(503, "ext_authz_error")),
        (Kind::FaultInjected, flagged(503, "FI")),
        (Kind::LocalReply, detailed(500, "of_some_filter")),
        (Kind::NoResponse, Ending { status: None, ..detailed(0, "") }),
    ];
    for (kind, ending) in &table {
        assert_eq!(outcome::Outcome::of(ending).kind, Some(*kind), "{ending:?}");
    }
    table
}

#[test]
fn of_the_21_kinds_of_errors_the_default_counts_those_of_the_upstream() {
    let table = typical();
    let kinds: std::collections::BTreeSet<_> = table.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds.len(), Kind::ALL.len());
    for (kind, ending) in table {
        let expected = match kind {
            Kind::Timeout | Kind::Connect | Kind::Dns | Kind::Reset | Kind::Protocol | Kind::NoHealthyUpstream => {
                Failure
            }
            Kind::Upstream5xx | Kind::UpstreamGrpc => Failure,
            Kind::ClientError => Success,
            _ => Ignored,
        };
        assert_eq!(Failures::default().judge(&ending), expected, "{kind:?}");
    }
}

#[test]
fn a_kind_counts_where_it_is_named_and_only_it() {
    let table = typical();
    for named in NAMED {
        let failures = Failures::of(&[named.as_str()]);
        for (kind, ending) in &table {
            let expected = match kind {
                kind if *kind == named => Failure,
                Kind::Upstream5xx | Kind::UpstreamGrpc | Kind::ClientError => Success,
                _ => Ignored,
            };
            assert_eq!(failures.judge(ending), expected, "{kind:?} where {named:?} is named");
        }
    }
}

#[test]
fn the_upstreams_answer_is_judged_by_its_status() {
    check(
        &Failures::default(),
        &[
            ("a 200", answered(200), Success),
            ("a redirect", answered(302), Success),
            ("a redirect that the proxy followed", detailed(302, "internal_redirect"), Success),
            ("a 404", answered(404), Success),
            ("a limit of the upstream's own", answered(429), Success),
            ("a 408 of the upstream's own", answered(408), Success),
            ("a 499", answered(499), Success),
            ("a 500", answered(500), Failure),
            ("a 599", answered(599), Failure),
            ("a 600", answered(600), Success),
            (
                "a 503 that retries did not better",
                Ending { code_details: b"via_upstream", ..flagged(503, "URX") },
                Failure,
            ),
            ("a 200 after a delay that was injected", with_flag(answered(200), "DI"), Success),
            ("a 503 without gRPC", Ending { grpc_status: Some(0), ..answered(503) }, Failure),
        ],
    );
}

#[test]
fn the_upstreams_answer_over_grpc_is_judged_by_its_code() {
    for status in GrpcStatus::ALL {
        let expected = match status {
            GrpcStatus::Unknown
            | GrpcStatus::DeadlineExceeded
            | GrpcStatus::ResourceExhausted
            | GrpcStatus::Internal
            | GrpcStatus::Unavailable
            | GrpcStatus::DataLoss => Failure,
            GrpcStatus::Cancelled => Ignored,
            _ => Success,
        };
        assert_eq!(Failures::default().judge(&grpc(status.code().into())), expected, "{status:?}");
    }
    assert_eq!(Failures::default().judge(&grpc(99)), Failure, "a code that gRPC does not define is UNKNOWN");
    let cancelled = Failures::of(&["CANCELLED", "NOT_FOUND"]);
    for (code, expected) in [(1, Failure), (5, Failure), (0, Success), (14, Success), (3, Success)] {
        assert_eq!(cancelled.judge(&grpc(code)), expected, "{code}");
    }
}

#[test]
fn a_caller_that_left_or_was_slow_says_nothing() {
    check(
        &Failures::default(),
        &[
            ("before the answer", flagged(0, "DC"), Ignored),
            ("before the answer, over HTTP/2", flagged(0, "DR"), Ignored),
            ("while a good answer came", flagged(200, "DC"), Ignored),
            ("after it was told of a failure", flagged(502, "DC"), Failure),
            (
                "because of a timeout",
                Ending { flags: ResponseFlags::from_bits(1 << 2 | 1 << 14), ..flagged(0, "DC") },
                Failure,
            ),
            ("a request that took too long to send", detailed(408, "request_overall_timeout"), Ignored),
            (
                "the same over gRPC",
                Ending { grpc_status: Some(2), ..detailed(200, "request_overall_timeout") },
                Ignored,
            ),
            ("a request that stopped half way", with_flag(detailed(408, "stream_idle_timeout"), "SI"), Ignored),
            ("an upstream that idles", with_flag(detailed(504, "stream_idle_timeout"), "SI"), Failure),
        ],
    );
    for details in ["request_header_timeout", "request_overall_timeout", "downstream_header_timeout"] {
        let over_grpc = Ending { grpc_status: Some(4), ..detailed(200, details) };
        assert_eq!(Failures::default().judge(&over_grpc), Ignored, "{details}");
    }
    check(&Failures::of(&["408"]), &[("named", detailed(408, "request_overall_timeout"), Failure)]);
}

#[test]
fn what_was_answered_without_the_upstream_says_nothing() {
    check(
        &Failures::default(),
        &[
            ("a redirect of the proxy", detailed(301, "direct_response"), Ignored),
            ("a 503 of the proxy", detailed(503, "direct_response"), Ignored),
            ("an answer from the cache", with_flag(detailed(200, "cache.response_from_cache_filter"), "RFCF"), Ignored),
            ("an answer of somebody's module", detailed(200, ""), Ignored),
            (
                "one of ours, whatever else is told of it",
                Ending { reply: Some(LocalReply::Other), ..answered(200) },
                Ignored,
            ),
            ("a 204 of one of ours", replied(204, LocalReply::Other), Ignored),
            ("a 500 of one of ours", replied(500, LocalReply::Other), Ignored),
            ("what only begins like the upstream's", detailed(200, "via_upstream2"), Ignored),
            ("a limit of the proxy", detailed(429, "request_rate_limited"), Ignored),
            ("a limit of ours", replied(429, LocalReply::RateLimited), Ignored),
            (
                "a limit of ours over gRPC",
                Ending { grpc_status: Some(8), ..replied(200, LocalReply::RateLimited) },
                Ignored,
            ),
            ("a denial over gRPC", Ending { grpc_status: Some(14), ..flagged(200, "UAEX") }, Ignored),
            ("the proxy shuts down", with_flag(detailed(0, "downstream_local_disconnect(x)"), "DC"), Ignored),
        ],
    );
}

#[test]
fn a_stream_that_ends_in_order_is_a_success() {
    let quiet = |status, letters| with_flag(detailed(status, "stream_idle_timeout"), letters);
    check(
        &Failures::default(),
        &[
            (
                "its client leaves",
                with_flag(stream(detailed(200, "downstream_remote_disconnect"), Ends::Client), "DC"),
                Success,
            ),
            (
                "its client resets it",
                with_flag(stream(detailed(200, "http2.remote_reset"), Ends::Client), "DR"),
                Success,
            ),
            (
                "a web socket that its client closes",
                with_flag(detailed(101, "downstream_remote_disconnect"), "DC"),
                Success,
            ),
            (
                "a web socket that its server closes",
                with_flag(detailed(101, "upstream_reset_after_response_started{connection_termination}"), "UC"),
                Success,
            ),
            ("CONNECT", stream(answered(200), Ends::Either), Success),
            ("its server breaks it off", stream(flagged(200, "UC"), Ends::Client), Failure),
            ("its server ends it with an error", stream(grpc(14), Ends::Client), Failure),
            (
                "it fails, and its client leaves",
                stream(detailed(500, "downstream_remote_disconnect"), Ends::Client),
                Failure,
            ),
            ("the proxy ends it for its silence", stream(quiet(200, "SI"), Ends::Client), Ignored),
            ("the proxy ends a web socket for its silence", quiet(101, "SI"), Ignored),
            ("the proxy ends it for its age", stream(flagged(200, "UMSDR"), Ends::Either), Ignored),
            ("one that began as an error idles", stream(quiet(400, "SI"), Ends::Client), Failure),
            ("it never began", stream(flagged(504, "UT"), Ends::Client), Failure),
            ("a response that stops half way", quiet(200, "SI"), Failure),
            ("a response that breaks off half way", flagged(200, "UR"), Failure),
        ],
    );
}

#[test]
fn a_class_counts_where_the_upstream_was_to_answer_and_a_single_status_whoever_gave_it() {
    let class = Failures::of(&["5xx", "4xx"]);
    let single = Failures::of(&["503", "403", "429"]);
    for (sentence, ending, by_class, by_single) in [
        ("the upstream's", answered(503), Failure, Failure),
        ("another of the upstream's", answered(502), Failure, Success),
        ("the upstream's refusal", answered(403), Failure, Failure),
        ("the upstream's limit", answered(429), Failure, Failure),
        ("no connection", flagged(503, "UF"), Failure, Failure),
        ("a timeout", flagged(504, "UT"), Failure, Ignored),
        ("an overflow", flagged(503, "UO"), Ignored, Failure),
        ("a denial", flagged(403, "UAEX"), Ignored, Failure),
        ("a limit of ours", replied(429, LocalReply::RateLimited), Ignored, Failure),
        ("a breaker", replied(503, LocalReply::BreakerOpen), Ignored, Ignored),
        ("a reset after the response began", flagged(200, "UR"), Ignored, Ignored),
        ("a request that was too slow", detailed(408, "request_overall_timeout"), Ignored, Ignored),
        ("success", answered(200), Success, Success),
    ] {
        assert_eq!(class.judge(&ending), by_class, "{sentence}, by class");
        assert_eq!(single.judge(&ending), by_single, "{sentence}, by status");
    }
}

#[test]
fn a_code_of_grpc_counts_where_the_upstream_was_to_answer() {
    let failures = Failures::of(&["UNAVAILABLE", "RESOURCE_EXHAUSTED"]);
    let told = |ending, code| Ending { grpc_status: Some(code), ..ending };
    check(
        &failures,
        &[
            ("the upstream's", grpc(14), Failure),
            ("no connection", told(flagged(200, "UF"), 14), Failure),
            ("a timeout", told(flagged(200, "UT"), 4), Ignored),
            ("an overflow", told(flagged(200, "UO"), 14), Ignored),
            ("the upstream's limit", grpc(8), Failure),
            ("the proxy's limit", told(flagged(200, "RL"), 8), Ignored),
            ("the upstream's 503", answered(503), Success),
        ],
    );
}

#[test]
fn rate_limits_count_by_name_whosever_they_are() {
    let failures = Failures::of(&["rate_limited"]);
    for ending in [answered(429), grpc(8), flagged(429, "RL"), replied(429, LocalReply::RateLimited)] {
        assert_eq!(failures.judge(&ending), Failure, "{ending:?}");
    }
}

#[test]
fn with_an_empty_list_nothing_fails() {
    assert!(Failures::of(&[]).is_empty() && !Failures::default().is_empty());
    for text in ["503", "5xx", "UNAVAILABLE", "timeout"] {
        assert!(!Failures::of(&[text]).is_empty(), "{text}");
    }
    for (kind, ending) in typical() {
        assert_ne!(Failures::of(&[]).judge(&ending), Failure, "{kind:?}");
    }
}

#[test]
fn the_default_can_be_written_in_a_policy() {
    let grpc = ["UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];
    let kinds = ["timeout", "connect", "dns", "reset", "protocol", "no_healthy_upstream"];
    let texts: Vec<&str> = ["5xx"].into_iter().chain(grpc).chain(kinds).collect();
    assert_eq!(Failures::of(&texts), Failures::default());
}

#[test]
fn what_is_neither_a_status_nor_a_code_nor_a_kind_is_none() {
    for good in ["5xx", "503", "UNAVAILABLE", "CANCELLED"].into_iter().chain(NAMED.map(Kind::as_str)) {
        assert!(Failures::is_one(good), "{good}");
    }
    let not_named = Kind::ALL.into_iter().filter(|kind| !NAMED.contains(kind)).map(Kind::as_str);
    assert_eq!(not_named.clone().count(), 9);
    for bad in ["", "5", "0xx", "1000", "+503", "OK", "unavailable", "TIMEOUT", "time_out"].into_iter().chain(not_named)
    {
        assert!(!Failures::is_one(bad), "{bad}");
        assert!(Failures::of(&[bad]).is_empty(), "{bad}");
        assert_eq!(Failures::of(&[bad]).judge(&flagged(503, "UO")), Ignored, "{bad}");
    }
    for kind in NAMED {
        assert!(Failures::ACCEPTED.contains(&format!("\"{}\"", kind.as_str())), "{kind:?}");
    }
}
