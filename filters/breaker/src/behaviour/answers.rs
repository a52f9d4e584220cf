//! What the caller of a request gets that is shed.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[test]
fn over_grpc_it_is_unavailable() {
    let (proxy, mut running) = filter(r#""open_for": "7s", "response": {"status": 200, "body": "nothing"}"#);
    open(proxy, &mut running);
    let outcome = running.request(&[(":path", "/shop.Cart/Add"), ("content-type", "application/grpc")]);
    let reply = outcome.reply.as_ref().unwrap();
    assert_eq!((reply.status, reply.grpc_status), (503, Some(14)));
    assert_eq!(header(&outcome, "grpc-retry-pushback-ms"), Some(&b"7000"[..]));
}

#[test]
fn a_request_that_falls_back_is_sent_elsewhere_and_says_so() {
    let (proxy, mut running) = filter(r#""fallback": {"header": "x-route", "value": "fallback"}"#);
    open(proxy, &mut running);
    let outcome = get(&mut running);
    assert!(outcome.reply.is_none());
    assert_eq!(outcome.upstream.get("x-route"), Some(&b"fallback"[..]));
    assert_eq!(header(&outcome, "x-sluicegate-breaker"), Some(&b"open"[..]));
    assert_eq!(proxy.route_cache_clears(), 1);
    assert_eq!(outcome.facts.breaker, Some(BreakerFacts { state: BreakerState::Open, shed: true }));
    tick(proxy, &mut running);
    assert_eq!(proxy.metric("sluicegate_breaker_fallback_total.breaker=orders"), Some(1));
}

#[test]
fn in_shadow_nothing_is_shed() {
    let (proxy, mut running) = filter(r#""mode": "shadow""#);
    open(proxy, &mut running);
    let outcome = get(&mut running);
    assert!(outcome.reply.is_none());
    assert_eq!(outcome.facts.breaker, Some(BreakerFacts { state: BreakerState::Open, shed: false }));
    tick(proxy, &mut running);
    assert_eq!(proxy.metric("sluicegate_breaker_would_shed_total.breaker=orders"), Some(1));
    assert_eq!(proxy.metric("sluicegate_breaker_passed_total.breaker=orders"), Some(21));
}

#[test]
fn what_callers_and_proxies_read_can_be_switched_off() {
    let hints = r#""hints": {"header": false, "envoy_overloaded": false, "grpc_pushback": false}"#;
    let (proxy, mut running) = filter(hints);
    open(proxy, &mut running);
    for headers in [&[(":path", "/")][..], &[(":path", "/"), ("content-type", "application/grpc")]] {
        let outcome = running.request(headers);
        assert!(outcome.reply.is_some());
        for name in ["x-sluicegate-breaker", "x-envoy-overloaded", "x-envoy-ratelimited", "grpc-retry-pushback-ms"] {
            assert_eq!(header(&outcome, name), None, "{name}");
        }
    }
}

#[test]
fn a_fixed_response_that_is_an_error_says_when_to_come_again() {
    for (status, says) in [(503, Some(&b"60"[..])), (404, Some(b"60")), (200, None)] {
        let (proxy, mut running) = filter(&format!(r#""response": {{"status": {status}}}"#));
        open(proxy, &mut running);
        let outcome = get(&mut running);
        assert_eq!(outcome.reply.as_ref().unwrap().status, status);
        assert_eq!(
            (header(&outcome, "retry-after"), header(&outcome, "x-envoy-overloaded").is_some()),
            (says, says.is_some())
        );
    }
    let own = r#""response": {"status": 503, "headers": {"Retry-After": "5"}}"#;
    let (proxy, mut running) = filter(own);
    open(proxy, &mut running);
    let outcome = get(&mut running);
    let said: Vec<_> =
        outcome.downstream.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"retry-after")).collect();
    assert_eq!(said.len(), 1);
}

#[test]
fn a_caller_does_not_choose_the_fallback() {
    let (proxy, mut running) = filter(r#""fallback": {"header": "x-route", "value": "fallback"}"#);
    answers(proxy, 200);
    let outcome = running.request(&[(":path", "/"), ("x-route", "fallback")]);
    assert_eq!(outcome.upstream.get("x-route"), None);
    assert_eq!(proxy.route_cache_clears(), 1);
}

#[test]
fn beside_a_trial_others_are_shed_as_half_open() {
    let (proxy, root) = reopening(ONE_PROBE);
    let _trial = begin(proxy, &root, &[(":path", "/")], true);
    assert_eq!(found(proxy, &root), Some((BreakerState::HalfOpen, true)));
    let reply = proxy.reply().unwrap();
    assert!(reply.headers.contains(&("x-sluicegate-breaker".to_owned(), b"half_open".to_vec())), "{reply:?}");
}

#[test]
fn a_request_that_falls_back_beside_a_trial_says_half_open_unless_it_is_to_say_nothing() {
    let fallback = r#""fallback": {"header": "x-route", "value": "fallback"}"#;
    for (hints, expected) in [("", Some(&b"half_open"[..])), (r#", "hints": {"header": false}"#, None)] {
        let (proxy, root) = reopening(&format!("{ONE_PROBE}, {fallback}{hints}"));
        let _trial = begin(proxy, &root, &[(":path", "/")], true);
        let mut diverted = begin(proxy, &root, &[(":path", "/")], true);
        assert_eq!(proxy.headers(MapKind::RequestHeaders).get("x-route"), Some(&b"fallback"[..]));
        respond(proxy, &mut diverted, &[(":status", "200")]);
        assert_eq!(proxy.headers(MapKind::ResponseHeaders).get("x-sluicegate-breaker"), expected);
    }
}

#[test]
fn a_caller_does_not_choose_its_rule_by_the_header_of_the_fallback() {
    let section = r#""mode": "forced_open", "fallback": {"header": "x-route", "value": "fallback"}, "rules": [
        {"match": {"headers": [{"name": "x-route", "exact": "mine"}]}, "mode": "disabled"}]"#;
    let (_, mut running) = filter(section);
    let outcome = running.request(&[(":path", "/"), ("x-route", "mine")]);
    assert_eq!(outcome.upstream.get("x-route"), Some(&b"fallback"[..]));
}

#[test]
fn a_fixed_response_is_as_the_policy_has_it_and_says_the_rest() {
    let response = r#""response": {"status": 400, "headers": {"x-own": "1"}, "body": "later"}"#;
    let (proxy, mut running) = filter(&format!(r#""open_for": "7s", {response}"#));
    open(proxy, &mut running);
    let outcome = get(&mut running);
    assert_eq!(outcome.reply.as_ref().unwrap().body, b"later");
    assert_eq!(outcome.facts.reply, Some(LocalReply::BreakerOpen));
    for (name, value) in [
        ("x-own", "1"),
        ("x-sluicegate-breaker", "open"),
        ("retry-after", "7"),
        ("x-envoy-overloaded", "true"),
        ("x-envoy-ratelimited", "true"),
    ] {
        assert_eq!(header(&outcome, name), Some(value.as_bytes()), "{name}");
    }
    let hints = r#""hints": {"header": false, "envoy_overloaded": false}"#;
    let (proxy, mut running) = filter(&format!("{hints}, {response}"));
    open(proxy, &mut running);
    let outcome = get(&mut running);
    for name in ["x-sluicegate-breaker", "x-envoy-overloaded", "x-envoy-ratelimited"] {
        assert_eq!(header(&outcome, name), None, "{name}");
    }
}

#[test]
fn the_header_of_the_fallback_stands_before_the_route_is_picked_anew() {
    let (proxy, mut running) = filter(r#""fallback": {"header": "x-route", "value": "fallback"}"#);
    let is_in_time = |outcome: &Outcome, change: &str| {
        let at = |name: &str| outcome.calls.iter().position(|call| *call == name).unwrap();
        at(change) < at("proxy_call_foreign_function")
    };
    answers(proxy, 200);
    let undone = running.request(&[(":path", "/"), ("x-route", "fallback")]);
    assert!(is_in_time(&undone, "proxy_remove_header_map_value"), "{:?}", undone.calls);
    open(proxy, &mut running);
    let diverted = get(&mut running);
    assert!(is_in_time(&diverted, "proxy_replace_header_map_value"), "{:?}", diverted.calls);
}
