//! The filter as a whole, on a proxy in memory.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::CircuitBreaker;
use sluicegate_host::double::{Body, Double, Outcome, Pace, Running};
use sluicegate_host::{BreakerFacts, BreakerState, Filter};
use std::time::Duration;

fn filter(section: &str) -> (&'static Double, Running<CircuitBreaker>) {
    let proxy = Double::new();
    proxy.advance(Duration::from_secs(1_700_000_000));
    proxy.set("xds\0cluster_name", *b"orders");
    let section = if section.is_empty() { String::new() } else { format!(", {section}") };
    let policy = format!(r#"{{"version": "1.0", "breaker": {{"jitter": 0{section}}}}}"#);
    let running = proxy.start(&policy).unwrap_or_else(|lines| panic!("{lines:?}"));
    (proxy, running)
}

/// The upstream answers with this status from now on.
fn answers(proxy: &Double, status: i64) {
    proxy.set("response\0code", status.to_le_bytes());
    proxy.set("response\0flags", 0i64.to_le_bytes());
    proxy.set("response\0code_details", *b"via_upstream");
}

fn get(running: &mut Running<CircuitBreaker>) -> Outcome {
    running.request(&[(":path", "/"), (":authority", "shop"), ("x-tenant", "a")])
}

fn tick(proxy: &Double, running: &mut Running<CircuitBreaker>) {
    proxy.advance(CircuitBreaker::TICK);
    running.tick();
}

fn open(proxy: &'static Double, running: &mut Running<CircuitBreaker>) {
    answers(proxy, 503);
    for _ in 0..20 {
        assert!(get(running).reply.is_none());
    }
    tick(proxy, running);
}

fn header<'o>(outcome: &'o Outcome, name: &str) -> Option<&'o [u8]> {
    outcome.downstream.get(name)
}

#[test]
fn what_fails_is_shed_with_all_that_a_caller_needs() {
    let (proxy, mut running) = filter(r#""open_for": "7s""#);
    open(proxy, &mut running);
    let outcome = get(&mut running);
    let reply = outcome.reply.as_ref().unwrap();
    assert_eq!((reply.status, reply.grpc_status), (503, None));
    assert_eq!(header(&outcome, "retry-after"), Some(&b"7"[..]));
    assert_eq!(header(&outcome, "x-sluicegate-breaker"), Some(&b"open"[..]));
    assert_eq!(header(&outcome, "x-envoy-overloaded"), Some(&b"true"[..]));
    assert_eq!(header(&outcome, "x-envoy-ratelimited"), Some(&b"true"[..]));
    assert_eq!(header(&outcome, "grpc-retry-pushback-ms"), None);
    assert!(String::from_utf8_lossy(&reply.body).contains("BREAKER_OPEN"));
    assert_eq!(outcome.facts.breaker, Some(BreakerFacts { state: BreakerState::Open, shed: true }));
    tick(proxy, &mut running);
    assert_eq!(proxy.metric("sluicegate_breaker_shed_total.breaker=orders"), Some(1));
    assert_eq!(proxy.metric("sluicegate_breaker_state.breaker=orders"), Some(1));
    assert_eq!(proxy.metric("sluicegate_breaker_transitions_total.breaker=orders.to=open.cause=failure_rate"), Some(1));
    assert!(proxy.log_lines().contains(&"breaker: orders: closed to open: failure_rate, for 7.0 s".to_owned()));
}

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
fn it_is_probed_and_closes() {
    let (proxy, mut running) = filter(r#""open_for": "7s""#);
    open(proxy, &mut running);
    answers(proxy, 200);
    proxy.advance(Duration::from_secs(8));
    tick(proxy, &mut running);
    for _ in 0..3 {
        let probe = get(&mut running);
        assert!(probe.reply.is_none());
        assert_eq!(probe.facts.breaker, Some(BreakerFacts { state: BreakerState::HalfOpen, shed: false }));
    }
    tick(proxy, &mut running);
    let after = get(&mut running);
    assert!(after.reply.is_none() && after.facts.breaker.is_none());
    tick(proxy, &mut running);
    assert_eq!(proxy.metric("sluicegate_breaker_state.breaker=orders"), Some(0));
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
fn a_worker_tells_of_a_transition_though_it_told_of_the_same_before() {
    let (one, mut running) = filter(r#""open_for": "1s", "probes": 1"#);
    let other = one.worker_beside();
    other.advance(Duration::from_secs(1_700_000_000));
    other.set("xds\0cluster_name", *b"orders");
    let policy = r#"{"version": "1.0", "breaker": {"jitter": 0, "open_for": "1s", "probes": 1}}"#;
    let mut beside: Running<CircuitBreaker> = other.start(policy).unwrap();
    open(one, &mut running);
    // The other worker finds it recovered.
    answers(other, 200);
    for proxy in [one, other] {
        proxy.advance(Duration::from_secs(2));
    }
    beside.tick();
    assert!(get(&mut beside).reply.is_none());
    tick(other, &mut beside);
    assert_eq!(other.metric("sluicegate_breaker_state.breaker=orders"), Some(0));
    for _ in 0..64 {
        tick(one, &mut running);
    }
    answers(one, 503);
    for _ in 0..20 {
        assert!(get(&mut running).reply.is_none());
    }
    let before = one.calls().len();
    tick(one, &mut running);
    assert!(one.calls()[before..].contains(&"proxy_record_metric"), "the gauge is set again");
}

#[test]
fn a_new_vm_goes_on_with_the_series_of_the_one_before() {
    let (proxy, mut running) = filter("");
    answers(proxy, 200);
    get(&mut running);
    tick(proxy, &mut running);
    let after = proxy.worker_beside();
    let _running: Running<CircuitBreaker> = after.start(r#"{"version": "1.0"}"#).unwrap();
    assert_eq!(after.metric("sluicegate_breaker_passed_total.breaker=orders"), Some(0), "defined before any request");
}

#[test]
fn routes_without_a_name_share_a_series() {
    let (proxy, mut running) = filter(r#""per": "route""#);
    answers(proxy, 200);
    get(&mut running);
    tick(proxy, &mut running);
    assert_eq!(proxy.metric("sluicegate_breaker_passed_total.breaker=_other"), Some(1));
    assert_eq!(proxy.metric("sluicegate_breaker_passed_total.breaker="), None);
}

#[test]
fn a_key_keeps_its_breaker_whatever_else_its_rule_says() {
    let rule = |path: &str| format!(r#""rules": [{{"match": {{"path": {{"prefix": "{path}"}}}}, "key": "pay"}}]"#);
    let (proxy, mut running) = filter(&rule("/a"));
    answers(proxy, 503);
    for _ in 0..20 {
        running.request(&[(":path", "/a")]);
    }
    tick(proxy, &mut running);
    let policy = format!(r#"{{"version": "1.0", "breaker": {{{}}}}}"#, rule("/b"));
    let mut reloaded: Running<CircuitBreaker> = proxy.start(&policy).unwrap();
    assert!(reloaded.request(&[(":path", "/b")]).reply.is_some());
    assert!(reloaded.request(&[(":path", "/a")]).reply.is_none());
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
}

#[test]
fn names_of_requests_are_in_no_metric() {
    let (proxy, mut running) = filter(r#""per": {"header": "x-tenant"}"#);
    open(proxy, &mut running);
    assert!(get(&mut running).reply.is_some());
    assert!(running.request(&[(":path", "/"), ("x-tenant", "b")]).reply.is_none());
    tick(proxy, &mut running);
    assert_eq!(proxy.metric("sluicegate_breaker_state.breaker=a"), None);
    assert_eq!(proxy.metric("sluicegate_breaker_state.breaker=_other"), Some(1));
    assert_eq!(proxy.metric("sluicegate_breaker_shed_total.breaker=_other"), Some(1));
}

#[test]
fn a_name_that_came_with_a_request_is_in_no_line_of_the_log() {
    let (proxy, mut running) = filter(r#""per": "host", "consecutive_failures": 1"#);
    answers(proxy, 503);
    running.request(&[(":path", "/"), (":authority", "evil\nhost")]);
    tick(proxy, &mut running);
    let lines = proxy.log_lines();
    assert!(lines.iter().any(|line| line.starts_with("breaker: _other: closed to open")), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("evil")), "{lines:?}");
}

#[test]
fn a_rule_may_be_for_a_cluster_or_a_route() {
    let rules = r#""rules": [
        {"cluster": "payments", "mode": "forced_open"},
        {"route": ["orders-v2"], "match": {"path": {"prefix": "/v2"}}, "mode": "forced_open"}]"#;
    let (proxy, mut running) = filter(rules);
    let mut is_shed = |cluster: &str, route: &str, path: &str| {
        proxy.set("xds\0cluster_name", cluster);
        proxy.set("xds\0route_name", route);
        running.request(&[(":path", path)]).reply.is_some()
    };
    assert!(is_shed("payments", "", "/"));
    assert!(!is_shed("orders", "orders-v2", "/"));
    assert!(is_shed("orders", "orders-v2", "/v2/x"));
    assert!(!is_shed("orders", "orders-v1", "/v2/x"));
}

#[test]
fn without_a_cluster_there_is_nobody_to_be_spared() {
    let (proxy, mut running) = filter("");
    proxy.take("xds\0cluster_name");
    answers(proxy, 503);
    for _ in 0..50 {
        assert!(get(&mut running).reply.is_none());
    }
    tick(proxy, &mut running);
    assert!(get(&mut running).reply.is_none());
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
fn outcomes_are_counted_and_what_passed_is_not_shed() {
    let (proxy, mut running) = filter("");
    open(proxy, &mut running);
    for _ in 0..3 {
        get(&mut running);
    }
    tick(proxy, &mut running);
    let metric = |name: &str| proxy.metric(&format!("sluicegate_breaker_{name}_total.breaker=orders")).unwrap();
    assert_eq!((metric("passed"), metric("failures"), metric("shed"), metric("ignored")), (20, 20, 3, 0));
}

#[test]
fn only_so_many_breakers_have_series_and_lines_of_their_own() {
    let (proxy, mut running) = filter(r#""consecutive_failures": 1"#);
    answers(proxy, 503);
    for number in 0..100 {
        proxy.set("xds\0cluster_name", format!("cluster-{number}"));
        get(&mut running);
    }
    tick(proxy, &mut running);
    let series = |number: usize| proxy.metric(&format!("sluicegate_breaker_failures_total.breaker=cluster-{number}"));
    assert_eq!((0..100).filter(|number| series(*number).is_some()).count(), 32);
    assert_eq!(proxy.metric("sluicegate_breaker_failures_total.breaker=_other"), Some(68));
    assert_eq!(proxy.metric("sluicegate_breaker_state.breaker=_other"), Some(1));
    let lines = proxy.log_lines();
    assert_eq!(lines.len(), 10, "{lines:?}");
    for _ in 0..20 {
        tick(proxy, &mut running);
    }
    let lines = proxy.log_lines();
    assert_eq!(lines.len(), 11, "{lines:?}");
    assert!(lines.last().unwrap().ends_with("and 90 more in this moment"), "{lines:?}");
}

#[test]
fn half_open_is_two() {
    let (proxy, mut running) = filter(r#""open_for": "1s""#);
    open(proxy, &mut running);
    answers(proxy, 200);
    proxy.advance(Duration::from_secs(2));
    tick(proxy, &mut running);
    assert!(get(&mut running).reply.is_none());
    tick(proxy, &mut running);
    assert_eq!(proxy.metric("sluicegate_breaker_state.breaker=orders"), Some(2));
}

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

#[test]
fn a_caller_does_not_choose_the_fallback() {
    let (proxy, mut running) = filter(r#""fallback": {"header": "x-route", "value": "fallback"}"#);
    answers(proxy, 200);
    let outcome = running.request(&[(":path", "/"), ("x-route", "fallback")]);
    assert_eq!(outcome.upstream.get("x-route"), None);
    assert_eq!(proxy.route_cache_clears(), 1);
}

#[test]
fn made_up_keys_take_no_place_of_what_an_operator_named() {
    let section = r#""max_keys": 8, "rules": [
        {"match": {"path": {"prefix": "/tenants"}}, "per": {"header": "x-tenant"}, "consecutive_failures": 1}]"#;
    let (proxy, mut running) = filter(section);
    answers(proxy, 503);
    for number in 0..100 {
        running.request(&[(":path", "/tenants"), ("x-tenant", format!("t{number}").as_str())]);
        tick(proxy, &mut running);
    }
    for _ in 0..20 {
        assert!(get(&mut running).reply.is_none());
    }
    tick(proxy, &mut running);
    assert!(get(&mut running).reply.is_some(), "the cluster's own breaker opens");
}

fn upload(running: &mut Running<CircuitBreaker>, body: Body, answer: Duration) -> Outcome {
    running.timed_exchange(&[(":path", "/")], &[(":status", "200")], Pace { body, answer })
}

const SLOW: &str = r#""slow_call": {"threshold": "1s", "rate": 1.0}, "min_requests": 1"#;
const LONG: Duration = Duration::from_secs(2);
const SHORT: Duration = Duration::from_millis(10);

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
    for head in [&[(":path", "/"), ("upgrade", "websocket")][..], &[(":method", "CONNECT")]] {
        let (proxy, mut running) = filter(SLOW);
        answers(proxy, 101);
        running.timed_exchange(head, &[(":status", "101")], Pace { body: Body::Endless, answer: LONG });
        tick(proxy, &mut running);
        assert!(get(&mut running).reply.is_some(), "{head:?}");
    }
}

#[test]
fn a_trial_that_has_ended_makes_room_for_the_next_without_a_tick() {
    let (proxy, mut running) = filter(r#""open_for": "1s", "probes": 1"#);
    open(proxy, &mut running);
    // Neither a success nor a failure.
    answers(proxy, 0);
    proxy.set("response\0code_details", *b"downstream_remote_disconnect");
    proxy.advance(LONG);
    tick(proxy, &mut running);
    assert!((0..5).all(|_| get(&mut running).reply.is_none()));
    answers(proxy, 200);
    assert!(get(&mut running).facts.breaker.is_some());
    assert_eq!(get(&mut running).facts.breaker, None, "it has closed");
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
fn the_gauge_shows_what_the_policy_holds_open_and_then_that_it_does_not() {
    let gauge = |proxy: &Double| proxy.metric("sluicegate_breaker_state.breaker=orders");
    let (proxy, mut running) = filter(r#""mode": "forced_open""#);
    assert!(get(&mut running).reply.is_some());
    (0..10).for_each(|_| tick(proxy, &mut running));
    assert_eq!(gauge(proxy), Some(1));
    let mut after: Running<CircuitBreaker> = proxy.start(r#"{"version": "1.0"}"#).unwrap();
    answers(proxy, 200);
    assert!(get(&mut after).reply.is_none());
    (0..10).for_each(|_| tick(proxy, &mut after));
    assert_eq!(gauge(proxy), Some(0));
}

#[test]
fn of_breakers_that_share_a_name_the_gauge_shows_the_worst() {
    let rules = |mode: &str| format!(r#""rules": [{{"match": {{"path": {{"prefix": "/v2"}}}}, "mode": "{mode}"}}]"#);
    let (proxy, mut running) = filter(&rules("normal"));
    answers(proxy, 503);
    for _ in 0..20 {
        running.request(&[(":path", "/v2")]);
    }
    answers(proxy, 200);
    for _ in 0..20 {
        get(&mut running);
        tick(proxy, &mut running);
        assert_eq!(proxy.metric("sluicegate_breaker_state.breaker=orders"), Some(1));
    }
}

#[test]
fn lines_have_a_limit_per_second_and_begin_again_with_the_next() {
    let (proxy, mut running) = filter(r#""per": "host", "consecutive_failures": 1"#);
    answers(proxy, 503);
    for second in 1..4 {
        for tick_of in 0..20 {
            for host in 0..3 {
                running.request(&[(":path", "/"), (":authority", format!("{second}-{tick_of}-{host}").as_str())]);
            }
            tick(proxy, &mut running);
        }
    }
    let lines = proxy.log_lines();
    let more: Vec<_> = lines.iter().filter(|line| line.contains("more in this moment")).collect();
    assert!((30..=40).contains(&(lines.len() - more.len())), "{lines:?}");
    assert!((2..=3).contains(&more.len()), "{lines:?}");
}
