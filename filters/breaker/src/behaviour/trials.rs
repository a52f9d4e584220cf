//! The requests that a half-open breaker lets through.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[test]
fn what_a_trial_tells_holds_without_a_tick() {
    let (proxy, mut running) = filter(r#""open_for": "1s", "probes": 2"#);
    open(proxy, &mut running);
    answers(proxy, 200);
    proxy.advance(LONG);
    tick(proxy, &mut running);
    assert!((0..2).all(|_| get(&mut running).facts.breaker.is_some()));
    assert_eq!(get(&mut running).facts.breaker, None, "it has closed");
    assert!(proxy.log_lines().contains(&"breaker: orders: half_open to closed: recovered".to_owned()));
}

#[test]
fn callers_who_leave_do_not_have_more_sent_to_an_upstream_than_it_is_to_bear() {
    let (proxy, mut running) = filter(r#""open_for": "1s", "probes": 2"#);
    open(proxy, &mut running);
    proxy.advance(LONG);
    tick(proxy, &mut running);
    proxy.set("response\0code", 0i64.to_le_bytes());
    proxy.set("response\0code_details", *b"downstream_remote_disconnect");
    let mut passed = 0;
    for _ in 0..20 {
        for _ in 0..10 {
            passed += u32::from(get(&mut running).reply.is_none());
        }
        tick(proxy, &mut running);
    }
    // In a second, each of two slots is free again four or five times.
    assert!((8..=10).contains(&passed), "{passed}");
}

#[test]
fn a_trial_fails_where_the_upstream_does_not_answer_and_not_where_its_caller_never_ends() {
    let (trial, open) = ((BreakerState::HalfOpen, false), (BreakerState::Open, true));
    // Whether the head is all, whether the rest comes, and how the next one finds the breaker.
    for (is_whole, ends, expected) in [(true, false, open), (false, true, open), (false, false, trial)] {
        let (proxy, mut root) = reopening(ONE_PROBE);
        let mut stream = begin(proxy, &root, &[(":path", "/")], is_whole);
        if ends {
            stream.request_end();
        }
        later(proxy, &mut root, CircuitBreaker::TICK);
        later(proxy, &mut root, PROBE_TIMEOUT);
        assert_eq!(found(proxy, &root), Some(expected), "{is_whole} {ends}");
    }
}

#[test]
fn a_trial_that_goes_on_is_judged_by_how_its_response_began() {
    const GRPC: (&str, &str) = ("content-type", "application/grpc");
    let open = Some((BreakerState::Open, true));
    let table = [
        (&[][..], &[(":status", "200")][..], None),
        (&[], &[(":status", "503")], open),
        (&[GRPC], &[(":status", "200"), GRPC], None),
        (&[GRPC], &[(":status", "200"), GRPC, ("grpc-status", "14")], open),
        (&[GRPC], &[(":status", "200"), GRPC, ("grpc-status", "1")], open),
        (&[], &[(":status", "200"), ("grpc-status", "14")], None),
    ];
    for (request, response, expected) in table {
        let (proxy, mut root) = reopening(ONE_PROBE);
        let mut stream = begin(proxy, &root, &[&[(":path", "/")], request].concat(), true);
        respond(proxy, &mut stream, response);
        later(proxy, &mut root, CircuitBreaker::TICK);
        later(proxy, &mut root, PROBE_TIMEOUT);
        assert_eq!(found(proxy, &root), expected, "{request:?} {response:?}");
    }
}

#[test]
fn a_trial_that_is_answered_before_its_caller_has_ended_went_well() {
    for ends in [false, true] {
        let (proxy, mut root) = reopening(ONE_PROBE);
        let mut stream = begin(proxy, &root, &[(":path", "/")], false);
        respond(proxy, &mut stream, &[(":status", "200")]);
        later(proxy, &mut root, CircuitBreaker::TICK);
        if ends {
            stream.request_end();
        }
        later(proxy, &mut root, CircuitBreaker::TICK);
        later(proxy, &mut root, PROBE_TIMEOUT);
        assert_eq!(found(proxy, &root), None, "{ends}");
    }
}

#[test]
fn the_time_of_a_trial_does_not_begin_anew_with_its_answer() {
    let (proxy, mut root) = reopening(ONE_PROBE);
    let mut stream = begin(proxy, &root, &[(":path", "/")], true);
    later(proxy, &mut root, Duration::from_secs(4));
    respond(proxy, &mut stream, &[(":status", "200")]);
    later(proxy, &mut root, CircuitBreaker::TICK);
    assert_eq!(found(proxy, &root), Some((BreakerState::HalfOpen, true)));
    later(proxy, &mut root, Duration::from_secs(1));
    assert_eq!(found(proxy, &root), None);
}

#[test]
fn of_several_trials_the_first_without_an_answer_opens_the_breaker() {
    let (proxy, mut root) = reopening(r#""open_for": "1s", "probes": 2, "probe_timeout": "5s""#);
    let _first = begin(proxy, &root, &[(":path", "/")], true);
    later(proxy, &mut root, Duration::from_secs(3));
    let _second = begin(proxy, &root, &[(":path", "/")], true);
    later(proxy, &mut root, CircuitBreaker::TICK);
    later(proxy, &mut root, LONG);
    assert_eq!(proxy.metric("sluicegate_breaker_state.breaker=orders"), Some(1));
    assert_eq!(found(proxy, &root), Some((BreakerState::Open, true)));
}
