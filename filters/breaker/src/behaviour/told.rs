//! What is counted, and what stands in the proxy's log.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

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

#[test]
fn an_outcome_that_comes_after_its_breaker_opened_is_late() {
    let (proxy, mut root) = root("");
    let mut slow = begin(proxy, &root, &[(":path", "/")], true);
    answers(proxy, 503);
    for _ in 0..20 {
        begin(proxy, &root, &[(":path", "/")], true).log();
    }
    later(proxy, &mut root, CircuitBreaker::TICK);
    slow.log();
    later(proxy, &mut root, CircuitBreaker::TICK);
    let metric = |name: &str| proxy.metric(&format!("sluicegate_breaker_{name}_total"));
    assert_eq!((metric("late"), metric("refused"), metric("unwatched")), (Some(1), Some(0), Some(0)));
}

#[test]
fn an_outcome_whose_key_has_made_room_for_another_is_refused() {
    let (proxy, mut root) = root(r#""per": "host", "max_keys": 1"#);
    answers(proxy, 200);
    let mut first = begin(proxy, &root, &[(":path", "/"), (":authority", "a")], true);
    for _ in 0..2 {
        begin(proxy, &root, &[(":path", "/"), (":authority", "b")], true).log();
        later(proxy, &mut root, CircuitBreaker::TICK);
    }
    first.log();
    later(proxy, &mut root, CircuitBreaker::TICK);
    let metric = |name: &str| proxy.metric(&format!("sluicegate_breaker_{name}_total"));
    assert_eq!((metric("late"), metric("refused"), metric("unwatched")), (Some(0), Some(1), Some(1)));
}

#[test]
fn workers_add_their_names_to_those_that_a_new_vm_begins_with() {
    let (one, mut running) = filter("");
    let other = one.worker_beside();
    other.set("xds\0cluster_name", *b"payments");
    let mut beside: Running<CircuitBreaker> = other.start(r#"{"version": "1.0"}"#).unwrap();
    for (proxy, running) in [(one, &mut running), (other, &mut beside)] {
        answers(proxy, 200);
        get(running);
        tick(proxy, running);
    }
    let after = one.worker_beside();
    let _running: Running<CircuitBreaker> = after.start(r#"{"version": "1.0"}"#).unwrap();
    for name in ["orders", "payments"] {
        assert_eq!(after.metric(&format!("sluicegate_breaker_passed_total.breaker={name}")), Some(0), "{name}");
    }
}

#[test]
fn each_transition_is_counted_and_told_by_its_cause() {
    let (proxy, mut running) = filter(r#""open_for": "1s", "probes": 1, "consecutive_failures": 1, "backoff": 1"#);
    for status in [503, 503, 200] {
        answers(proxy, status);
        get(&mut running);
        tick(proxy, &mut running);
        proxy.advance(LONG);
        tick(proxy, &mut running);
    }
    let causes = [
        ("open", "failure_rate", 0),
        ("open", "slow_calls", 0),
        ("open", "consecutive_failures", 1),
        ("half_open", "open_time_over", 2),
        ("open", "probe_failed", 1),
        ("open", "probe_given_up", 0),
        ("closed", "recovered", 1),
    ];
    let lines = proxy.log_lines();
    for (to, cause, count) in causes {
        let metric = format!("sluicegate_breaker_transitions_total.breaker=orders.to={to}.cause={cause}");
        assert_eq!(proxy.metric(&metric), Some(count), "{metric}");
        let told = lines.iter().filter(|line| line.contains(&format!(" to {to}: {cause}"))).count();
        assert_eq!(told as u64, count, "{cause}: {lines:?}");
    }
}

#[test]
fn a_breaker_that_slow_calls_open_and_a_trial_without_an_answer_are_told_so() {
    let (proxy, mut root) = root(&format!("{SLOW}, {ONE_PROBE}"));
    answers(proxy, 200);
    let mut slow = begin(proxy, &root, &[(":path", "/")], true);
    proxy.advance(LONG);
    respond(proxy, &mut slow, &[(":status", "200")]);
    slow.log();
    later(proxy, &mut root, CircuitBreaker::TICK);
    later(proxy, &mut root, LONG);
    let _trial = begin(proxy, &root, &[(":path", "/")], true);
    later(proxy, &mut root, CircuitBreaker::TICK);
    later(proxy, &mut root, PROBE_TIMEOUT);
    for cause in ["slow_calls", "probe_given_up"] {
        let metric = format!("sluicegate_breaker_transitions_total.breaker=orders.to=open.cause={cause}");
        assert_eq!(proxy.metric(&metric), Some(1), "{cause}");
        assert!(proxy.log_lines().iter().any(|line| line.contains(&format!(" to open: {cause}"))), "{cause}");
    }
}

#[test]
fn the_gauge_shows_an_open_breaker_beside_a_closed_or_a_half_open_one_of_its_name() {
    let rules = r#""open_for": "1s", "consecutive_failures": 1, "rules": [
        {"match": {"path": {"prefix": "/v2"}}, "open_for": "9s"}, {"match": {"path": {"prefix": "/v3"}}}]"#;
    for (fails, other) in [("/v2", "/v3"), ("/v3", "/v2")] {
        let (proxy, mut running) = filter(rules);
        for (path, status) in [(fails, 503), (other, 200)] {
            answers(proxy, status);
            running.request(&[(":path", path)]);
        }
        tick(proxy, &mut running);
        assert_eq!(proxy.metric("sluicegate_breaker_state.breaker=orders"), Some(1), "{fails}");
    }
    let (proxy, mut running) = filter(rules);
    answers(proxy, 503);
    for path in ["/v2", "/v3"] {
        running.request(&[(":path", path)]);
    }
    tick(proxy, &mut running);
    proxy.advance(LONG);
    tick(proxy, &mut running);
    answers(proxy, 200);
    let trial = running.request(&[(":path", "/v3")]);
    assert_eq!(trial.facts.breaker, Some(BreakerFacts { state: BreakerState::HalfOpen, shed: false }));
    tick(proxy, &mut running);
    assert_eq!(proxy.metric("sluicegate_breaker_state.breaker=orders"), Some(1));
}

#[test]
fn a_worker_without_news_leaves_the_gauges_and_the_names_alone() {
    let said = |proxy: &Double, running: &mut Running<CircuitBreaker>| {
        let before = proxy.calls().len();
        (0..30).for_each(|_| tick(proxy, running));
        let calls = proxy.calls().split_off(before);
        calls.into_iter().filter(|call| ["proxy_record_metric", "proxy_set_shared_data"].contains(call)).count()
    };
    let (off, mut without_breakers) = filter(r#""enabled": false"#);
    let (proxy, mut running) = filter("");
    assert_eq!(said(proxy, &mut running), said(off, &mut without_breakers));
    answers(proxy, 200);
    get(&mut running);
    assert_ne!(said(proxy, &mut running), 0);
    assert_eq!(said(proxy, &mut running), 0);
}

#[test]
fn of_a_long_name_the_beginning_is_shown_and_nothing_that_breaks_a_label() {
    let (proxy, mut running) = filter("");
    answers(proxy, 200);
    for (name, shown) in [("x".repeat(200), "x".repeat(128)), ("a\nb".to_owned(), "a\\nb".to_owned())] {
        proxy.set("xds\0cluster_name", name);
        get(&mut running);
        tick(proxy, &mut running);
        assert!(proxy.metric(&format!("sluicegate_breaker_passed_total.breaker={shown}")).is_some(), "{shown}");
    }
}

#[test]
fn the_gauge_of_what_no_rule_guards_any_more_is_closed() {
    for section in [r#""mode": "disabled""#, r#""enabled": false"#, r#""key": "all""#, r#""per": "host""#] {
        let (proxy, mut running) = filter("");
        open(proxy, &mut running);
        (0..10).for_each(|_| tick(proxy, &mut running));
        assert_eq!(proxy.metric("sluicegate_breaker_state.breaker=orders"), Some(1));
        let policy = format!(r#"{{"version": "1.0", "breaker": {{{section}}}}}"#);
        let mut after: Running<CircuitBreaker> = proxy.start(&policy).unwrap();
        tick(proxy, &mut after);
        assert_eq!(proxy.metric("sluicegate_breaker_state.breaker=orders"), Some(0), "{section}");
    }
}

#[test]
fn a_worker_that_has_no_breaker_of_the_others_leaves_their_gauge_to_those_that_have() {
    let (proxy, mut running) = filter(r#""per": "host""#);
    let before = proxy.calls().len();
    (0..400).for_each(|_| tick(proxy, &mut running));
    assert!(!proxy.calls()[before..].contains(&"proxy_record_metric"));
    open(proxy, &mut running);
    let before = proxy.calls().len();
    (0..400).for_each(|_| tick(proxy, &mut running));
    let told = proxy.calls()[before..].iter().filter(|call| **call == "proxy_record_metric").count();
    assert_eq!(told, 2, "every ten seconds, whoever told something else in between");
}
