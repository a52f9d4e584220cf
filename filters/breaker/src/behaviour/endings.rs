//! What the ending of a request says of its upstream.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[test]
fn an_answer_of_another_filter_and_a_caller_who_left_say_nothing_of_the_upstream() {
    for (status, details) in [(503, ""), (0, "downstream_remote_disconnect"), (403, "ext_authz_denied")] {
        let (proxy, mut running) = filter(r#""consecutive_failures": 1"#);
        proxy.set("response\0code", i64::from(status).to_le_bytes());
        proxy.set("response\0flags", 0i64.to_le_bytes());
        proxy.set("response\0code_details", details);
        proxy.set("sluicegate_reply", "rejected");
        for _ in 0..5 {
            get(&mut running);
        }
        tick(proxy, &mut running);
        assert!(get(&mut running).reply.is_none(), "{status} {details}");
        assert_eq!(proxy.metric("sluicegate_breaker_ignored_total.breaker=orders"), Some(5), "{status} {details}");
    }
}

fn upload(running: &mut Running<CircuitBreaker>, body: Body, answer: Duration) -> Outcome {
    running.timed_exchange(&[(":path", "/")], &[(":status", "200")], Pace { body, answer })
}

#[test]
fn slow_is_who_answers_late_and_not_who_sends_slowly() {
    for (body, answer, opens) in [
        (Body::None, SHORT, false),
        (Body::None, LONG, true),
        (Body::Takes(LONG), SHORT, false),
        (Body::Takes(SHORT), LONG, true),
        (Body::Endless, LONG, false),
    ] {
        let (proxy, mut running) = filter(SLOW);
        answers(proxy, 200);
        upload(&mut running, body, answer);
        tick(proxy, &mut running);
        assert_eq!(get(&mut running).reply.is_some(), opens, "{body:?} {answer:?}");
    }
}

#[test]
fn a_tunnel_is_to_be_answered_though_it_never_ends() {
    for head in [&[(":method", "GET"), (":path", "/"), ("upgrade", "websocket")][..], &[(":method", "CONNECT")]] {
        let (proxy, mut running) = filter(SLOW);
        answers(proxy, 101);
        running.timed_exchange(head, &[(":status", "101")], Pace { body: Body::Endless, answer: LONG });
        tick(proxy, &mut running);
        assert!(get(&mut running).reply.is_some(), "{head:?}");
    }
}

#[test]
fn a_deadline_that_its_caller_chose_too_short_says_nothing_of_the_upstream() {
    let hurried: [&[(&str, &str)]; 4] = [
        &[("grpc-timeout", "99m"), ("content-type", "application/grpc")],
        &[("x-envoy-upstream-rq-timeout-ms", "99")],
        &[("grpc-timeout", "100m"), ("content-type", "application/grpc")],
        &[],
    ];
    for (headers, ignored) in hurried.into_iter().zip([true, true, false, false]) {
        let is_grpc = headers.len() == 2;
        for is_told_by_upstream in [false, true] {
            let (proxy, mut running) = filter(r#""consecutive_failures": 1"#);
            answers(proxy, if is_grpc { 200 } else { 504 });
            if is_grpc {
                proxy.set("response\0grpc_status", 4i64.to_le_bytes());
            }
            if !is_told_by_upstream {
                // Envoy's UT.
                proxy.set("response\0flags", 4i64.to_le_bytes());
                proxy.set("response\0code_details", *b"response_timeout");
            }
            let response = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "4")];
            running.exchange(&[&[(":path", "/")], headers].concat(), &response);
            tick(proxy, &mut running);
            // An HTTP status that the upstream gave is no timeout.
            let expected = ignored && (is_grpc || !is_told_by_upstream);
            assert_eq!(get(&mut running).reply.is_none(), expected, "{headers:?} {is_told_by_upstream}");
        }
    }
}

#[test]
fn what_a_breaker_behind_this_one_sheds_is_no_failure_of_its_upstream() {
    for (header, counts) in [("x-sluicegate-breaker", false), ("x-other", true)] {
        let (proxy, mut running) = filter(r#""consecutive_failures": 1"#);
        answers(proxy, 503);
        running.exchange(&[(":path", "/")], &[(":status", "503"), (header, "open")]);
        tick(proxy, &mut running);
        assert_eq!(get(&mut running).reply.is_some(), counts, "{header}");
    }
}

#[test]
fn what_other_filters_take_from_a_request_is_known_when_it_ends() {
    let (proxy, mut root) = root(r#""consecutive_failures": 1"#);
    let grpc = ("content-type", "application/grpc");
    for (timeout, expected) in [("50m", None), ("1S", Some((BreakerState::Open, true)))] {
        let mut stream = begin(proxy, &root, &[(":path", "/"), grpc, ("grpc-timeout", timeout)], true);
        proxy.put_headers(MapKind::RequestHeaders, &[(":path", "/")]);
        answers(proxy, 200);
        proxy.set("response\0grpc_status", 4i64.to_le_bytes());
        respond(proxy, &mut stream, &[(":status", "200"), grpc, ("grpc-status", "4")]);
        stream.log();
        later(proxy, &mut root, CircuitBreaker::TICK);
        assert_eq!(found(proxy, &root), expected, "{timeout}");
    }
}

#[test]
fn a_tunnel_is_timed_from_its_head_though_more_comes() {
    let (proxy, mut running) = filter(SLOW);
    answers(proxy, 101);
    let pace = Pace { body: Body::Takes(LONG), answer: SHORT };
    let outcome = running.timed_exchange(
        &[(":method", "GET"), (":path", "/"), ("upgrade", "websocket")],
        &[(":status", "101")],
        pace,
    );
    assert!(outcome.facts.response_started.is_some());
    tick(proxy, &mut running);
    assert!(get(&mut running).reply.is_some());
}

#[test]
fn a_stream_whose_client_leaves_went_well_once_it_had_begun() {
    let grpc = [(":path", "/"), ("content-type", "application/grpc")];
    for (begins, ignored) in [(true, 0), (false, 1)] {
        let (proxy, mut root) = root("");
        answers(proxy, 200);
        // Envoy's DC.
        proxy.set("response\0flags", (1i64 << 14).to_le_bytes());
        proxy.set("response\0code_details", *b"downstream_remote_disconnect");
        let mut stream = begin(proxy, &root, &grpc, true);
        if begins {
            respond(proxy, &mut stream, &[(":status", "200"), ("content-type", "application/grpc")]);
        }
        stream.log();
        later(proxy, &mut root, CircuitBreaker::TICK);
        let metric = proxy.metric("sluicegate_breaker_ignored_total.breaker=orders");
        assert_eq!(metric, Some(ignored), "{begins}");
    }
}

#[test]
fn a_code_of_grpc_is_believed_where_request_and_response_are_grpc() {
    const GRPC: (&str, &str) = ("content-type", "application/grpc");
    const HTML: (&str, &str) = ("content-type", "text/html");
    for (request, response, status, expected) in [
        (GRPC, GRPC, 200i64, FAILURE),
        (GRPC, HTML, 400, SUCCESS),
        (HTML, GRPC, 200, SUCCESS),
        (HTML, HTML, 200, SUCCESS),
    ] {
        let says: [(&str, &[u8]); 2] =
            [("response\0code", &status.to_le_bytes()), ("response\0grpc_status", &13i64.to_le_bytes())];
        assert_eq!(counted("", &[request], &[response], &says), expected, "{request:?} {response:?}");
    }
}

#[test]
fn a_breaker_behind_this_one_is_known_by_the_hint_of_an_answer_that_would_be_a_failure() {
    const GRPC: (&str, &str) = ("content-type", "application/grpc");
    const HINT: (&str, &str) = ("x-sluicegate-breaker", "open");
    let named = r#""hints": {"header": "x-own"}"#;
    let not_found = r#""failures": ["404"]"#;
    let status = |status: i64| ("response\0code", status.to_le_bytes());
    let unavailable = ("response\0grpc_status", 14i64.to_le_bytes());
    // Envoy's UR.
    let reset = ("response\0flags", 16i64.to_le_bytes());
    for (section, headers, says, expected) in [
        ("", &[HINT][..], &[status(503)][..], IGNORED),
        ("", &[GRPC, HINT], &[unavailable], IGNORED),
        ("", &[HINT], &[status(404)], SUCCESS),
        (not_found, &[HINT], &[status(404)], IGNORED),
        (not_found, &[], &[status(404)], FAILURE),
        ("", &[HINT], &[reset], FAILURE),
        (named, &[HINT], &[status(503)], FAILURE),
        (named, &[("x-own", "open")], &[status(503)], IGNORED),
    ] {
        let says: Vec<(&str, &[u8])> = says.iter().map(|(name, value)| (*name, &value[..])).collect();
        let request = headers.first().copied().filter(|header| *header == GRPC);
        assert_eq!(counted(section, request.as_slice(), headers, &says), expected, "{section} {headers:?} {says:?}");
    }
}

#[test]
fn who_was_told_nothing_went_away_and_what_a_breaker_shed_is_no_failure_by_any_name() {
    let reset: [(&str, &[u8]); 3] = [
        ("response\0code", &0i64.to_le_bytes()),
        ("response\0flags", &16i64.to_le_bytes()),
        ("response\0code_details", b""),
    ];
    assert_eq!(counted("", &[], &[], &reset), IGNORED);
    let shed: [(&str, &[u8]); 3] = [
        ("response\0code", &503i64.to_le_bytes()),
        ("response\0code_details", b""),
        ("sluicegate_reply", b"breaker_open"),
    ];
    assert_eq!(counted(r#""failures": ["503"]"#, &[], &[], &shed), IGNORED);
}

#[test]
fn the_policy_says_which_deadlines_are_too_short() {
    let timeout: [(&str, &[u8]); 3] = [
        ("response\0code", &504i64.to_le_bytes()),
        ("response\0flags", &4i64.to_le_bytes()),
        ("response\0code_details", b"response_timeout"),
    ];
    for (min, deadline, expected) in
        [("1s", "999", IGNORED), ("1s", "1000", FAILURE), ("10ms", "50", FAILURE), ("0s", "0", FAILURE)]
    {
        let section = format!(r#""min_deadline": "{min}""#);
        let request = [("x-envoy-upstream-rq-timeout-ms", deadline)];
        assert_eq!(counted(&section, &request, &[], &timeout), expected, "{min} {deadline}");
    }
}

#[test]
fn what_callers_bring_about_by_themselves_opens_nothing() {
    const TIMEOUT: i64 = 1 << 2;
    const RESET: i64 = 1 << 6;
    const GRPC: (&str, &str) = ("content-type", "application/grpc");
    type Pairs = &'static [(&'static str, &'static str)];
    /// Head, body, response; status, flags and details; whether it opens.
    type Case = (&'static str, Pairs, Body, Pairs, (i64, i64, &'static str), bool);
    let table: [Case; 9] = [
        ("an upstream that hangs", &[], Body::None, &[(":status", "504")], (504, TIMEOUT, "response_timeout"), true),
        ("who does not read", &[], Body::None, &[(":status", "200")], (200, TIMEOUT, "response_timeout"), false),
        (
            "a gRPC upstream that hangs",
            &[(":method", "POST"), GRPC],
            Body::Takes(SHORT),
            &[(":status", "200"), ("grpc-status", "4"), GRPC],
            (200, TIMEOUT, "response_timeout"),
            true,
        ),
        (
            "a gRPC request that never ends",
            &[(":method", "POST"), GRPC],
            Body::Endless,
            &[(":status", "200"), ("grpc-status", "4"), GRPC],
            (200, TIMEOUT, "stream_idle_timeout"),
            false,
        ),
        (
            "an upstream that breaks off",
            &[(":method", "POST")],
            Body::Takes(SHORT),
            &[(":status", "503")],
            (503, RESET, "upstream_reset_before_response_started{connection_termination}"),
            true,
        ),
        (
            "one that waited long enough for the rest",
            &[(":method", "POST")],
            Body::Endless,
            &[(":status", "503")],
            (503, RESET, "upstream_reset_before_response_started{connection_termination}"),
            false,
        ),
        (
            "one that could not be reached all the same",
            &[(":method", "POST")],
            Body::Endless,
            &[(":status", "503")],
            (503, 1 << 5, "upstream_reset_before_response_started{remote_connection_failure}"),
            true,
        ),
        (
            "one that breaks off what it has begun",
            &[(":method", "POST")],
            Body::Endless,
            &[(":status", "200")],
            (200, RESET, "upstream_reset_after_response_started{connection_termination}"),
            true,
        ),
        (
            "a gRPC request that is none",
            &[(":method", "GET"), GRPC],
            Body::None,
            &[(":status", "200"), ("grpc-status", "14"), GRPC],
            (200, RESET, "upstream_reset_before_response_started{remote_reset}"),
            false,
        ),
    ];
    for (what, head, body, response, (status, flags, details), opens) in table {
        let (proxy, mut running) = filter(r#""consecutive_failures": 1"#);
        proxy.set("response\0code", status.to_le_bytes());
        proxy.set("response\0flags", flags.to_le_bytes());
        proxy.set("response\0code_details", details);
        let head = [&[(":path", "/")], head].concat();
        running.timed_exchange(&head, response, Pace { body, answer: SHORT });
        tick(proxy, &mut running);
        assert_eq!(get(&mut running).reply.is_some(), opens, "{what}");
    }
}

#[test]
fn a_tunnel_is_one_that_says_nothing_of_a_length() {
    let upgrade = [(":method", "GET"), (":path", "/"), ("upgrade", "websocket")];
    for (more, is_tunnel) in
        [(None, true), (Some(("content-length", "10")), false), (Some(("transfer-encoding", "chunked")), false)]
    {
        let (proxy, mut running) = filter(SLOW);
        answers(proxy, 200);
        let head: Vec<_> = upgrade.into_iter().chain(more).collect();
        let pace = Pace { body: Body::Endless, answer: LONG };
        running.timed_exchange(&head, &[(":status", "200")], pace);
        tick(proxy, &mut running);
        assert_eq!(get(&mut running).reply.is_some(), is_tunnel, "{more:?}");
    }
}
