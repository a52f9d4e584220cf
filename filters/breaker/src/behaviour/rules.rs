//! Which breaker a request meets.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

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

#[test]
fn keys_of_requests_have_no_more_room_than_the_policy_gives_them() {
    // Where there was no room, one of eight makes some on the tick.
    for (hosts, unwatched, keys) in [(3, 0, 3), (100, 92, 7)] {
        let (proxy, mut running) = filter(r#""per": "host", "max_keys": 8"#);
        answers(proxy, 200);
        for host in 0..hosts {
            running.request(&[(":path", "/"), (":authority", format!("host-{host}").as_str())]);
        }
        running.tick();
        assert_eq!(proxy.metric("sluicegate_breaker_unwatched_total"), Some(unwatched));
        assert_eq!(proxy.metric("sluicegate_breaker_keys"), Some(keys));
    }
}

#[test]
fn a_section_that_is_off_sheds_nothing_and_asks_the_proxy_nothing() {
    let (proxy, mut running) = filter(r#""enabled": false, "consecutive_failures": 1"#);
    // What is said once that a policy is in force.
    tick(proxy, &mut running);
    let before = proxy.calls().len();
    answers(proxy, 503);
    for _ in 0..2 {
        assert!(get(&mut running).reply.is_none());
        tick(proxy, &mut running);
    }
    assert_eq!(proxy.calls().split_off(before), [""; 0]);
}

#[test]
fn what_a_rule_disables_is_not_counted() {
    let (proxy, mut running) = filter(r#""mode": "disabled", "consecutive_failures": 1"#);
    answers(proxy, 503);
    for _ in 0..2 {
        assert!(get(&mut running).reply.is_none());
        tick(proxy, &mut running);
    }
    assert_eq!(proxy.metric("sluicegate_breaker_passed_total.breaker=orders"), None);
}

#[test]
fn a_request_that_goes_well_costs_no_look_at_the_clock_or_at_the_response() {
    let (proxy, mut running) = filter("");
    answers(proxy, 200);
    for content_type in ["text/html", "application/grpc"] {
        proxy.set("response\0grpc_status", 0i64.to_le_bytes());
        let outcome = running.request(&[(":path", "/"), ("content-type", content_type)]);
        let count = |name: &str| outcome.calls.iter().filter(|call| **call == name).count();
        assert_eq!(count("proxy_get_current_time_nanoseconds"), 0, "{content_type}");
        assert_eq!(count("proxy_get_header_map_pairs"), 1, "{content_type}: the request's");
    }
}

#[test]
fn no_breaker_stands_before_the_own_service_unless_the_policy_says_so() {
    for (direction, number, is_shed) in [
        ("", 1i64, false),
        ("", 2, true),
        ("", 0, true),
        (r#", "direction": "inbound""#, 1, true),
        (r#", "direction": "inbound""#, 2, false),
    ] {
        let (proxy, mut running) = filter(&format!(r#""mode": "forced_open"{direction}"#));
        proxy.set("xds\0listener_direction", number.to_le_bytes());
        assert_eq!(get(&mut running).reply.is_some(), is_shed, "{number}{direction}");
    }
}

#[test]
fn rules_for_other_requests_or_other_routes_have_other_breakers() {
    let by_path = r#""rules": [{"match": {"path": {"prefix": "/a"}}}, {"match": {"path": {"prefix": "/b"}}}]"#;
    let by_route = r#""rules": [{"route": "/a"}, {"route": "/b"}]"#;
    for rules in [by_path, by_route] {
        let (proxy, mut running) = filter(&format!(r#""consecutive_failures": 1, {rules}"#));
        let mut go = |path: &str| {
            proxy.set("xds\0route_name", path);
            let is_shed = running.request(&[(":path", path)]).reply.is_some();
            tick(proxy, &mut running);
            is_shed
        };
        answers(proxy, 503);
        assert!(!go("/a"), "{rules}");
        assert_eq!((go("/a"), go("/b"), go("/c")), (true, false, false), "{rules}");
    }
}

#[test]
fn a_host_is_the_same_however_it_is_written() {
    let (proxy, mut running) = filter(r#""per": "host", "consecutive_failures": 1"#);
    answers(proxy, 503);
    running.request(&[(":path", "/"), (":authority", "Shop.Example")]);
    tick(proxy, &mut running);
    assert!(running.request(&[(":path", "/"), (":authority", "shop.eXAMPLE")]).reply.is_some());
}
