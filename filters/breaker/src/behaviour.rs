//! The filter as a whole, on a proxy in memory.

mod answers;
mod endings;
mod rules;
mod told;
mod trials;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::CircuitBreaker;
use sluicegate_host::double::{Body, Double, Outcome, Pace, Running};
use sluicegate_host::{BreakerFacts, BreakerState, Filter, Flow, LocalReply, MapKind, Root, Stream};
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

const IGNORED: [u64; 2] = [0, 1];

const FAILURE: [u64; 2] = [1, 0];

const SUCCESS: [u64; 2] = [0, 0];

const SLOW: &str = r#""slow_call": {"threshold": "1s", "rate": 1.0}, "min_requests": 1"#;

const ONE_PROBE: &str = r#""open_for": "1s", "probes": 1, "probe_timeout": "5s""#;

const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Its breaker has opened, and the time is over for which it stays so.
fn reopening(section: &str) -> (&'static Double, Root<CircuitBreaker>) {
    let (proxy, mut root) = root(section);
    answers(proxy, 503);
    for _ in 0..20 {
        begin(proxy, &root, &[(":path", "/")], true).log();
    }
    later(proxy, &mut root, CircuitBreaker::TICK);
    later(proxy, &mut root, LONG);
    (proxy, root)
}

/// How a request now finds the breaker: its state, and whether it is shed.
fn found(proxy: &Double, root: &Root<CircuitBreaker>) -> Option<(BreakerState, bool)> {
    let mut stream = root.stream().unwrap();
    proxy.put_headers(MapKind::RequestHeaders, &[(":path", "/")]);
    _ = stream.request_headers(true);
    stream.exchange().facts.breaker.map(|breaker| (breaker.state, breaker.shed))
}

/// How many failures and how many endings that say nothing come of this one.
fn counted(section: &str, request: &[(&str, &str)], response: &[(&str, &str)], says: &[(&str, &[u8])]) -> [u64; 2] {
    let (proxy, mut running) = filter(section);
    answers(proxy, 200);
    for (property, value) in says {
        proxy.set(property, *value);
    }
    running.exchange(&[&[(":path", "/")], request].concat(), &[&[(":status", "200")], response].concat());
    tick(proxy, &mut running);
    ["failures", "ignored"]
        .map(|name| proxy.metric(&format!("sluicegate_breaker_{name}_total.breaker=orders")).unwrap_or(u64::MAX))
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
    let body = String::from_utf8_lossy(&reply.body);
    assert!(body.contains("BREAKER_OPEN") && body.contains(r#""retry_after":7"#), "{body}");
    assert_eq!(outcome.facts.reply, Some(LocalReply::BreakerOpen));
    assert_eq!(outcome.facts.breaker, Some(BreakerFacts { state: BreakerState::Open, shed: true }));
    tick(proxy, &mut running);
    assert_eq!(proxy.metric("sluicegate_breaker_shed_total.breaker=orders"), Some(1));
    assert_eq!(proxy.metric("sluicegate_breaker_state.breaker=orders"), Some(1));
    assert_eq!(proxy.metric("sluicegate_breaker_transitions_total.breaker=orders.to=open.cause=failure_rate"), Some(1));
    assert!(proxy.log_lines().contains(&"breaker: orders: closed to open: failure_rate, for 7.0 s".to_owned()));
}

#[test]
fn it_is_probed_and_closes() {
    let (proxy, mut running) = filter(r#""open_for": "7s""#);
    open(proxy, &mut running);
    assert!(get(&mut running).reply.is_some());
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

const LONG: Duration = Duration::from_secs(2);
const SHORT: Duration = Duration::from_millis(10);

/// A filter whose exchanges a test holds in its hands, one beside another.
fn root(section: &str) -> (&'static Double, Root<CircuitBreaker>) {
    let (proxy, _) = filter(section);
    let mut root = Root::new(proxy);
    assert!(root.configure());
    (proxy, root)
}

/// The head of a request has come, and it was let through.
fn begin(proxy: &Double, root: &Root<CircuitBreaker>, head: &[(&str, &str)], is_whole: bool) -> Stream<CircuitBreaker> {
    let mut stream = root.stream().unwrap();
    proxy.put_headers(MapKind::RequestHeaders, head);
    assert_eq!(stream.request_headers(is_whole), Flow::Continue);
    stream
}

fn respond(proxy: &Double, stream: &mut Stream<CircuitBreaker>, head: &[(&str, &str)]) {
    proxy.put_headers(MapKind::ResponseHeaders, head);
    stream.response_headers();
}

fn later(proxy: &Double, root: &mut Root<CircuitBreaker>, time: Duration) {
    proxy.advance(time);
    root.tick();
}

#[test]
fn what_was_counted_last_is_merged_when_the_policy_goes() {
    let (proxy, mut running) = filter("");
    answers(proxy, 503);
    for _ in 0..20 {
        assert!(get(&mut running).reply.is_none());
    }
    drop(running);
    let mut after: Running<CircuitBreaker> = proxy.start(r#"{"version": "1.0"}"#).unwrap();
    assert!(get(&mut after).reply.is_some());
}
