#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::settings::{SlowCall, Span};
use sluicegate_host::HeaderMap;
use std::time::Duration;

/// The section as it is read, and what is wrong with it.
fn reading(section: &str) -> (BreakerPolicy, String) {
    reading_beside(section, "{}", "{}")
}

/// With these sections `trace` and `sampling` beside it, which their own filters read.
fn reading_beside(section: &str, trace: &str, sampling: &str) -> (BreakerPolicy, String) {
    let text = format!(r#"{{"version": "1.0", "breaker": {section}, "trace": {trace}, "sampling": {sampling}}}"#);
    let document = Document::parse(text.as_bytes(), &|_| None).unwrap();
    let policy = BreakerPolicy::read(&document);
    (policy, document.finish().map_or_else(|errors| errors.to_string(), |warnings| warnings.join("\n")))
}

fn accepted(section: &str) -> BreakerPolicy {
    let (policy, complaints) = reading(section);
    assert_eq!(complaints, "", "{section}");
    policy
}

/// What a section with this one rule makes of it.
fn rule(section: &str, rule: &str) -> Guard {
    let section = section.strip_prefix('{').and_then(|section| section.strip_suffix('}')).unwrap();
    let separator = if section.is_empty() { "" } else { "," };
    let policy = accepted(&format!(r#"{{{section}{separator} "rules": [{rule}]}}"#));
    policy.rules.values().next().unwrap().clone()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn texts(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn every_field_has_its_default() {
    let nothing = Document::parse(br#"{"version": "1.0"}"#, &|_| None).unwrap();
    let absent = BreakerPolicy::read(&nothing);
    assert!(nothing.finish().unwrap().is_empty());
    for policy in [absent, accepted("{}")] {
        assert!(policy.enabled && policy.rules.is_empty());
        for (direction, works) in [(Direction::Inbound, false), (Direction::Outbound, true), (Direction::Gateway, true)]
        {
            assert_eq!(policy.directions.contains(direction), works, "{direction:?}");
        }
        assert_eq!(policy.max_keys, 1_024);
        let Guard { only, settings, per, failures, min_deadline, degradation, hints } = policy.default;
        assert_eq!(min_deadline, Duration::from_millis(100));
        assert_eq!(only, Only::default());
        let expected = Settings {
            mode: Mode::Normal,
            window: Span::Seconds(10),
            min_requests: 20,
            failure_rate: 0.6,
            slow_call: None,
            consecutive_failures: None,
            open_for: secs(60),
            backoff: 2.0,
            max_open_for: secs(600),
            jitter: 0.1,
            probes: 3,
            probe_timeout: secs(30),
        };
        assert_eq!((settings, per, failures), (expected, Per::Cluster, Failures::default()));
        assert_eq!(degradation, Degradation::Problem);
        let header = Some("x-sluicegate-breaker".to_owned());
        assert_eq!(hints, Hints { header, envoy_overloaded: true, grpc_pushback: true });
    }
}

/// A section that says something of everything.
const WHOLE: &str = r#"{
    "mode": "shadow", "per": {"header": "X-Tenant"}, "window_calls": 100, "min_requests": 10, "failure_rate": 0.5,
    "slow_call": {"threshold": "2s", "rate": 0.9}, "consecutive_failures": 5, "open_for": "10s", "backoff": 1.5,
    "max_open_for": "1m", "jitter": 0, "probes": 1, "probe_timeout": "5s", "failures": ["503", "timeout"],
    "min_deadline": "1s",
    "response": {"status": 200, "headers": {"Content-Type": "application/json"}, "body": "[]"},
    "hints": {"header": "X-Shed", "envoy_overloaded": false, "grpc_pushback": false}}"#;

fn whole() -> Guard {
    Guard {
        only: Only::default(),
        settings: Settings {
            mode: Mode::Shadow,
            window: Span::Calls(100),
            min_requests: 10,
            failure_rate: 0.5,
            slow_call: Some(SlowCall { threshold: secs(2), rate: 0.9 }),
            consecutive_failures: Some(5),
            open_for: secs(10),
            backoff: 1.5,
            max_open_for: secs(60),
            jitter: 0.0,
            probes: 1,
            probe_timeout: secs(5),
        },
        per: Per::Header("x-tenant".to_owned()),
        failures: Failures::of(&["503", "timeout"]),
        min_deadline: secs(1),
        degradation: Degradation::Response(FixedResponse {
            status: 200,
            headers: texts(&[("content-type", "application/json")]),
            body: "[]".to_owned(),
        }),
        hints: Hints { header: Some("x-shed".to_owned()), envoy_overloaded: false, grpc_pushback: false },
    }
}

#[test]
fn every_field_is_read() {
    assert_eq!(accepted(WHOLE).default, whole());
    let policy = accepted(r#"{"enabled": false, "direction": "inbound", "max_keys": 4096}"#);
    assert!(!policy.enabled && policy.directions == Directions::NONE.with(Direction::Inbound));
    assert_eq!(policy.max_keys, 4_096);
    for (mode, expected) in [
        ("normal", Mode::Normal),
        ("shadow", Mode::Shadow),
        ("disabled", Mode::Disabled),
        ("forced_open", Mode::ForcedOpen),
    ] {
        assert_eq!(accepted(&format!(r#"{{"mode": "{mode}"}}"#)).default.settings.mode, expected);
    }
    for (section, expected) in [
        (r#"{"per": "cluster"}"#, Per::Cluster),
        (r#"{"per": "route"}"#, Per::Route),
        (r#"{"per": "host"}"#, Per::Host),
        (r#"{"key": "Payments_1.a-b"}"#, Per::Key("Payments_1.a-b".to_owned())),
    ] {
        assert_eq!(accepted(section).default.per, expected);
    }
    assert_eq!(accepted(r#"{"window": "10m"}"#).default.settings.window, Span::Seconds(600));
    let fallback = accepted(r#"{"fallback": {"header": "X-Degraded", "value": "yes, it is"}}"#).default.degradation;
    assert_eq!(fallback, Degradation::Fallback { header: "x-degraded".to_owned(), value: "yes, it is".to_owned() });
    let bare = FixedResponse { status: 503, headers: vec![], body: String::new() };
    assert_eq!(accepted(r#"{"response": {}}"#).default.degradation, Degradation::Response(bare));
}

/// What a rule says, and what is different by it.
type Change = (&'static str, fn(&mut Guard));

#[test]
fn a_rule_takes_from_the_section_what_it_does_not_say() {
    assert_eq!(rule(WHOLE, r#"{"match": {"method": "GET"}}"#), whole());
    let changes: [Change; 15] = [
        (r#"{"mode": "normal"}"#, |guard| guard.settings.mode = Mode::Normal),
        (r#"{"window": "30s"}"#, |guard| guard.settings.window = Span::Seconds(30)),
        (r#"{"window_calls": 50}"#, |guard| guard.settings.window = Span::Calls(50)),
        (r#"{"min_requests": 100}"#, |guard| guard.settings.min_requests = 100),
        (r#"{"failure_rate": 1}"#, |guard| guard.settings.failure_rate = 1.0),
        (r#"{"slow_call": {"rate": 0.2}}"#, |guard| {
            guard.settings.slow_call = Some(SlowCall { threshold: secs(2), rate: 0.2 });
        }),
        (r#"{"slow_call": {"threshold": "1ms"}}"#, |guard| {
            guard.settings.slow_call = Some(SlowCall { threshold: Duration::from_millis(1), rate: 0.9 });
        }),
        (r#"{"open_for": "1m"}"#, |guard| guard.settings.open_for = secs(60)),
        (r#"{"backoff": 1, "max_open_for": "24h"}"#, |guard| {
            guard.settings.backoff = 1.0;
            guard.settings.max_open_for = secs(86_400);
        }),
        (r#"{"jitter": 1, "probes": 100, "probe_timeout": "100ms"}"#, |guard| {
            guard.settings.jitter = 1.0;
            guard.settings.probes = 100;
            guard.settings.probe_timeout = Duration::from_millis(100);
        }),
        (r#"{"failures": "5xx"}"#, |guard| guard.failures = Failures::of(&["5xx"])),
        (r#"{"per": "host"}"#, |guard| guard.per = Per::Host),
        (r#"{"key": "mine"}"#, |guard| guard.per = Per::Key("mine".to_owned())),
        (r#"{"fallback": {"header": "x-a", "value": "1"}}"#, |guard| {
            guard.degradation = Degradation::Fallback { header: "x-a".to_owned(), value: "1".to_owned() };
        }),
        (r#"{"hints": {"envoy_overloaded": true}}"#, |guard| guard.hints.envoy_overloaded = true),
    ];
    for (changed, change) in changes {
        let mut expected = whole();
        change(&mut expected);
        assert_eq!(rule(WHOLE, changed), expected, "{changed}");
    }
    let answered = r#"{"response": {"body": "x", "headers": {"content-type": "text/plain"}}}"#;
    let headers = texts(&[("content-type", "text/plain")]);
    let expected = Degradation::Response(FixedResponse { status: 503, headers, body: "x".to_owned() });
    assert_eq!(rule(WHOLE, answered).degradation, expected, "a response is not mixed of two");
}

#[test]
fn false_takes_back_what_the_section_says() {
    let guard = rule(
        WHOLE,
        r#"{"slow_call": false, "consecutive_failures": false, "response": false, "hints": {"header": false}}"#,
    );
    assert_eq!((guard.settings.slow_call, guard.settings.consecutive_failures), (None, None));
    assert_eq!((guard.degradation, guard.hints.header), (Degradation::Problem, None));
    let guard = rule(WHOLE, r#"{"failure_rate": false}"#);
    assert!(guard.settings.failure_rate > 1.0 && guard.settings.consecutive_failures == Some(5));
    let fallback = r#"{"fallback": {"header": "x-a", "value": "1"}}"#;
    assert_eq!(rule(fallback, r#"{"fallback": false}"#).degradation, Degradation::Problem);
    assert!(matches!(rule(fallback, r#"{"response": false}"#).degradation, Degradation::Fallback { .. }));
    let guard = accepted(r#"{"consecutive_failures": 3, "failure_rate": false, "slow_call": false}"#).default;
    assert!(guard.settings.failure_rate > 1.0 && guard.settings.consecutive_failures == Some(3));
}

#[test]
fn the_first_rule_that_matches_decides() {
    let policy = accepted(
        r#"{"rules": [
            {"match": {"path": {"prefix": "/pay"}}, "key": "payment"},
            {"match": {"path": {"prefix": "/"}}, "per": "route"}]}"#,
    );
    let per = |path| policy.rules.first(&HeaderMap::from_pairs(&[(":path", path)])).map(|guard| guard.per.clone());
    assert_eq!(per("/payment/7"), Some(Per::Key("payment".to_owned())));
    assert_eq!(per("/"), Some(Per::Route));
    assert_eq!(per("x"), None);
}

#[test]
fn what_is_wrong_is_named_with_its_path_and_what_would_be_right() {
    for (section, expected) in [
        (r#"{"enabled": 1}"#, "breaker.enabled: found 1, accepted: true or false"),
        (r#"{"direction": []}"#, "breaker.direction: found an empty list"),
        (r#"{"max_keys": 0}"#, "breaker.max_keys: found 0, accepted: a whole number from 1 to 4096"),
        (r#"{"max_keys": 4097}"#, "breaker.max_keys: found 4097"),
        (
            r#"{"mode": "open"}"#,
            r#"breaker.mode: found "open", accepted: one of "normal", "shadow", "disabled", "forced_open""#,
        ),
        (r#"{"per": "all"}"#, r#"breaker.per: found "all", accepted: one of "cluster", "route", "host""#),
        (
            r#"{"per": {}}"#,
            "breaker.per.header: missing, accepted: an HTTP header name (RFC 9110 §5.1), not one that holds",
        ),
        (r#"{"per": {"header": "x y"}}"#, r#"breaker.per.header: found "x y""#),
        (r#"{"per": {"header": ":authority"}}"#, r#"breaker.per.header: found ":authority""#),
        (r#"{"per": {"header": "Host"}}"#, r#"breaker.per.header: found "Host""#),
        (r#"{"per": {"header": "Authorization"}}"#, r#"breaker.per.header: found "Authorization""#),
        (r#"{"per": {"header": "x", "name": "x"}}"#, "breaker.per.name: unknown field, accepted: header"),
        (r#"{"per": "route", "key": "x"}"#, "breaker.key: found both `key` and `per`, accepted: one of them"),
        (r#"{"per": {"header": "x"}, "key": "x"}"#, "breaker.key: found both"),
        (r#"{"key": ""}"#, r#"breaker.key: found "", accepted: a name of 1 to 64 letters, digits"#),
        (r#"{"key": "a b"}"#, r#"breaker.key: found "a b""#),
        (r#"{"key": "pr\u00e9fixe"}"#, "breaker.key: found"),
        (r#"{"window": "0s"}"#, r#"breaker.window: found "0s", accepted: a duration from 1s to 10m"#),
        (r#"{"window": "601s"}"#, r#"breaker.window: found "601s""#),
        (r#"{"window": "1.5s"}"#, r#"breaker.window: found "1.5s", accepted: whole seconds, such as "10s""#),
        (r#"{"window_calls": 0}"#, "breaker.window_calls: found 0, accepted: a whole number from 1 to 1000"),
        (r#"{"window_calls": 1001}"#, "breaker.window_calls: found 1001"),
        (
            r#"{"window": "10s", "window_calls": 10}"#,
            "breaker.window_calls: found both `window` and `window_calls`, accepted: one of them",
        ),
        (r#"{"min_requests": 0}"#, "breaker.min_requests: found 0, accepted: a whole number from 1 to 1000000"),
        (
            r#"{"window_calls": 10, "min_requests": 11}"#,
            "breaker.min_requests: found 11, accepted: not more than `window_calls`",
        ),
        (
            r#"{"window_calls": 10, "rules": [{"min_requests": 11}]}"#,
            "breaker.rules[0].min_requests: found 11, accepted: not more than `window_calls`",
        ),
        (r#"{"failure_rate": 0}"#, "breaker.failure_rate: found 0, accepted: a fraction above 0, up to 1"),
        (r#"{"failure_rate": 60}"#, "breaker.failure_rate: found 60, accepted: a fraction from 0 to 1"),
        (r#"{"failure_rate": true}"#, "breaker.failure_rate: found true"),
        (
            r#"{"slow_call": {"rate": 0.5}}"#,
            "breaker.slow_call.threshold: missing, accepted: a duration from 1ms to 1h",
        ),
        (r#"{"slow_call": {"threshold": "1s"}}"#, "breaker.slow_call.rate: missing, accepted: a fraction"),
        (r#"{"slow_call": {"threshold": "0s", "rate": 1}}"#, r#"breaker.slow_call.threshold: found "0s""#),
        (
            r#"{"slow_call": {"threshold": "1s", "rate": 0}}"#,
            "breaker.slow_call.rate: found 0, accepted: a fraction above 0",
        ),
        (r#"{"slow_call": true}"#, "breaker.slow_call: found true, accepted: an object"),
        (
            r#"{"consecutive_failures": 0}"#,
            "breaker.consecutive_failures: found 0, accepted: a whole number from 1 to 1000",
        ),
        (r#"{"consecutive_failures": 1001}"#, "breaker.consecutive_failures: found 1001"),
        (r#"{"open_for": "99ms"}"#, r#"breaker.open_for: found "99ms", accepted: a duration from 100ms to 24h"#),
        (
            r#"{"open_for": "11m"}"#,
            r#"breaker.open_for: found "11m", accepted: a duration not above `max_open_for`, or a greater"#,
        ),
        (
            r#"{"max_open_for": "59s"}"#,
            r#"breaker.max_open_for: found "59s", accepted: a duration not below `open_for`"#,
        ),
        (r#"{"open_for": "2s", "max_open_for": "1s"}"#, r#"breaker.max_open_for: found "1s""#),
        (r#"{"max_open_for": "1m", "rules": [{"open_for": "2m"}]}"#, r#"breaker.rules[0].open_for: found "2m""#),
        (r#"{"max_open_for": "25h"}"#, r#"breaker.max_open_for: found "25h""#),
        (r#"{"backoff": 0.9}"#, "breaker.backoff: found 0.9, accepted: a number from 1 to 100"),
        (r#"{"backoff": 101}"#, "breaker.backoff: found 101"),
        (r#"{"jitter": 1.1}"#, "breaker.jitter: found 1.1, accepted: a fraction from 0 to 1"),
        (r#"{"probes": 0}"#, "breaker.probes: found 0, accepted: a whole number from 1 to 100"),
        (r#"{"probes": 101}"#, "breaker.probes: found 101"),
        (
            r#"{"probe_timeout": "1ms"}"#,
            r#"breaker.probe_timeout: found "1ms", accepted: a duration from 100ms to 24h"#,
        ),
        (r#"{"failures": ["5xx", "OK"]}"#, r#"breaker.failures[1]: found "OK", accepted: an HTTP status such as"#),
        (r#"{"failures": "client_gone"}"#, r#"breaker.failures: found "client_gone""#),
        (r#"{"failures": 503}"#, "breaker.failures: found 503"),
        (r#"{"hints": {"header": ""}}"#, r#"breaker.hints.header: found "", accepted: an HTTP header name"#),
        (r#"{"hints": {"header": "retry-after"}}"#, r#"breaker.hints.header: found "retry-after""#),
        (r#"{"hints": {"header": "x-request-id"}}"#, r#"breaker.hints.header: found "x-request-id""#),
        (r#"{"hints": {"envoy_overloaded": "no"}}"#, r#"breaker.hints.envoy_overloaded: found "no""#),
        (r#"{"hints": {"grpc_pushback": 0}}"#, "breaker.hints.grpc_pushback: found 0"),
        (r#"{"rules": [{"enabled": true}]}"#, "breaker.rules[0].enabled: unknown field"),
        (r#"{"rules": [{"max_keys": 1}]}"#, "breaker.rules[0].max_keys: unknown field"),
        (r#"{"rules": [{"match": {"path": "/x"}}]}"#, "breaker.rules[0].match.path: found"),
        (r#"{"min_request": 5}"#, "breaker.min_request: unknown field"),
    ] {
        let (_, complaints) = reading(section);
        assert!(complaints.starts_with(expected), "{section}: {complaints}");
        assert_eq!(complaints.lines().count(), 1, "{section}: {complaints}");
    }
}

#[test]
fn no_two_rules_share_a_key_nor_the_sections() {
    let own = "accepted: a `key` that neither the section nor another rule has, or `per`";
    for (section, expected) in [
        (r#"{"rules": [{"key": "a"}, {"key": "b"}]}"#, String::new()),
        (
            r#"{"rules": [{"key": "a"}, {"key": "b"}, {"key": "a"}]}"#,
            format!(r#"breaker.rules[2].key: found "a", {own}"#),
        ),
        (r#"{"key": "a", "rules": [{"key": "a"}]}"#, format!(r#"breaker.rules[0].key: found "a", {own}"#)),
        (r#"{"key": "a", "rules": [{"probes": 1}]}"#, format!("breaker.rules[0].key: missing, {own}")),
        (r#"{"key": "a", "rules": [{"per": "route"}, {"per": "route"}, {"key": "b"}]}"#, String::new()),
    ] {
        let (_, complaints) = reading(section);
        assert!(complaints.starts_with(&expected), "{section}: {complaints}");
        assert_eq!(complaints.lines().count(), usize::from(!expected.is_empty()), "{section}: {complaints}");
    }
}

#[test]
fn a_fixed_response_can_be_sent() {
    let longest = "x".repeat(16 * 1024);
    let typed = r#""headers": {"content-type": "text/plain"}"#;
    accepted(&format!(r#"{{"response": {{{typed}, "body": "{longest}"}}}}"#));
    accepted(r#"{"response": {"status": 204}}"#);
    accepted(
        r#"{"response": {"headers": {"retry-after": "5", "set-cookie": "a=b; Path=/", "location": "/sorry"}, "status": 302}}"#,
    );
    let many = |count: usize| {
        let headers: Vec<_> = (0..count).map(|number| format!(r#""x-{number}": "1""#)).collect();
        format!(r#"{{"response": {{"headers": {{{}}}}}}}"#, headers.join(","))
    };
    accepted(&many(32));
    for (section, expected) in [
        (
            r#"{"response": {"status": 199}}"#.to_owned(),
            "breaker.response.status: found 199, accepted: a whole number from 200 to 599",
        ),
        (r#"{"response": {"status": 600}}"#.to_owned(), "breaker.response.status: found 600"),
        (format!(r#"{{"response": {{{typed}, "body": "{longest}x"}}}}"#), "breaker.response.body: found \"xx"),
        (
            format!(r#"{{"response": {{{typed}, "status": 204, "body": "x"}}}}"#),
            "breaker.response.body: found a body for a 204, accepted: none: such a response has no content",
        ),
        (
            format!(r#"{{"response": {{{typed}, "status": 304, "body": "x"}}}}"#),
            "breaker.response.body: found a body for a 304",
        ),
        (r#"{"response": {"body": "x"}}"#.to_owned(), "breaker.response.body: without a content-type"),
        (
            r#"{"response": {"body": "x", "headers": {"x-a": "1"}}}"#.to_owned(),
            "breaker.response.body: without a content-type",
        ),
        (many(33), "breaker.response.headers: found 33 of them, accepted: at most 32"),
        (r#"{"response": "sorry"}"#.to_owned(), "breaker.response: found a string, accepted: an object"),
        (
            r#"{"response": {"code": 503}}"#.to_owned(),
            "breaker.response.code: unknown field, accepted: status, headers, body",
        ),
        (
            r#"{"response": {}, "fallback": {"header": "x-a", "value": "1"}}"#.to_owned(),
            "breaker.fallback: found both `response` and `fallback`, accepted: one of them",
        ),
    ] {
        let (_, complaints) = reading(&section);
        assert!(complaints.starts_with(expected), "{section}: {complaints}");
        assert_eq!(complaints.lines().count(), 1, "{section}: {complaints}");
    }
}

#[test]
fn a_fixed_response_has_no_header_that_frames_it() {
    for name in [
        "",
        ":status",
        "a b",
        "Content-Length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "http2-settings",
        "x-envoy-overloaded",
        "grpc-status",
        "X-Sluicegate-Breaker",
    ] {
        let (_, complaints) = reading(&format!(r#"{{"response": {{"headers": {{"{name}": "1"}}}}}}"#));
        let expected =
            format!(r#"breaker.response.headers.{name}: found the name "{name}", accepted: an HTTP header name"#);
        let named = complaints.contains(&format!(r#"found the name "{name}", accepted: an HTTP header name"#));
        assert!(named && complaints.lines().count() == 1, "{complaints} instead of {expected}");
    }
    let (_, twice) = reading(r#"{"response": {"headers": {"x-a": "1", "X-A": "2"}}}"#);
    assert!(twice.contains(r#"found the name "X-A""#), "{twice}");
    accepted(r#"{"hints": {"header": false}, "response": {"headers": {"x-sluicegate-breaker": "mine"}}}"#);
    for value in ["", " 1", "1 ", "a\\tb", "a\\nb", "\u{e9}", &"x".repeat(1_025)] {
        let (_, complaints) = reading(&format!(r#"{{"response": {{"headers": {{"x-a": "{value}"}}}}}}"#));
        assert!(complaints.starts_with("breaker.response.headers.x-a: found"), "{value}: {complaints}");
        let (_, complaints) = reading(&format!(r#"{{"fallback": {{"header": "x-a", "value": "{value}"}}}}"#));
        assert!(complaints.starts_with("breaker.fallback.value: found"), "{value}: {complaints}");
    }
    accepted(&format!(r#"{{"fallback": {{"header": "x-a", "value": "{}"}}}}"#, "x".repeat(1_024)));
}

#[test]
fn a_fallback_is_told_by_a_header_that_is_nobodys() {
    for (section, expected) in [
        (r#"{"fallback": {}}"#, "breaker.fallback.header: missing, accepted: an HTTP header name"),
        (r#"{"fallback": {"header": "x-a"}}"#, "breaker.fallback.value: missing, accepted: 1 to 1,024 bytes"),
        (r#"{"fallback": "x-a"}"#, "breaker.fallback: found a string, accepted: an object"),
    ] {
        let (_, complaints) = reading(section);
        assert!(complaints.starts_with(expected), "{section}: {complaints}");
    }
    let trace = r#"{"request_id": {"header": "X-Correlation"}, "observe": {"header": "x-tracer"},
        "baggage": {"from_headers": {"tier": "X-Tier"}}}"#;
    let force = r#"{"force": {"header": "x-debug-me", "secret": "correct horse battery"}}"#;
    let forced = r#"{"force": {"secret": "correct horse battery"}}"#;
    for (header, trace, sampling, free) in [
        ("x-fallback", "{}", "{}", true),
        ("host", "{}", "{}", false),
        (":path", "{}", "{}", false),
        ("Authorization", "{}", "{}", false),
        ("x-forwarded-host", "{}", "{}", false),
        ("x-envoy-retry-on", "{}", "{}", false),
        ("grpc-timeout", "{}", "{}", false),
        ("traceparent", "{}", "{}", false),
        ("X-Request-Id", "{}", "{}", false),
        ("x-sluicegate-trace-id", "{}", "{}", false),
        ("x-sluicegate-trace-id", trace, "{}", true),
        ("x-tracer", trace, "{}", false),
        ("x-tier", trace, "{}", false),
        ("x-correlation", trace, "{}", false),
        ("x-debug-me", "{}", force, false),
        ("x-sluicegate-force", "{}", force, true),
        ("x-sluicegate-force", "{}", forced, false),
        ("x-sluicegate-force", "{}", "{}", true),
    ] {
        let section = format!(r#"{{"fallback": {{"header": "{header}", "value": "1"}}}}"#);
        let (_, complaints) = reading_beside(&section, trace, sampling);
        let is_refused = complaints.starts_with(&format!(r#"breaker.fallback.header: found "{header}""#));
        assert_eq!((is_refused, complaints.is_empty()), (!free, free), "{header} {trace} {sampling}: {complaints}");
    }
    let (_, complaints) = reading_beside(r#"{"per": {"header": "X-Debug-Me"}}"#, "{}", force);
    assert!(complaints.starts_with("breaker.per.header: found"), "{complaints}");
}

#[test]
fn a_breaker_that_nothing_opens_earns_one_warning() {
    let warning = "failures: nothing is left that opens this breaker; `mode: disabled` says so plainly";
    for (section, expected) in [
        (r#"{"failure_rate": false}"#, format!("breaker.{warning}")),
        (r#"{"failures": []}"#, format!("breaker.{warning}")),
        (r#"{"failures": [], "consecutive_failures": 5, "mode": "shadow"}"#, format!("breaker.{warning}")),
        (r#"{"failures": [], "rules": [{}]}"#, format!("breaker.{warning}")),
        (r#"{"rules": [{}, {"failures": []}]}"#, format!("breaker.rules[1].{warning}")),
        (r#"{"failures": [], "slow_call": {"threshold": "1s", "rate": 1}}"#, String::new()),
        (r#"{"failure_rate": false, "consecutive_failures": 5}"#, String::new()),
        (r#"{"failures": [], "mode": "disabled"}"#, String::new()),
        (r#"{"failures": [], "mode": "forced_open"}"#, String::new()),
    ] {
        assert_eq!(reading(section).1, expected, "{section}");
    }
}

#[test]
fn a_rule_may_name_clusters_and_routes() {
    let policy = accepted(r#"{"rules": [{"cluster": "a", "route": ["b", "c"]}, {"match": {}}]}"#);
    let only: Vec<_> = policy.rules.values().map(|guard| guard.only.clone()).collect();
    assert_eq!(only[0], Only { clusters: vec!["a".into()], routes: vec!["b".into(), "c".into()] });
    assert_eq!(only[1], Only::default());
    let holds = |only: &Only, cluster: &'static str, route: &'static str| {
        only.holds(|| cluster.as_bytes(), || route.as_bytes())
    };
    assert!(holds(&only[0], "a", "c") && !holds(&only[0], "a", "a") && !holds(&only[0], "b", "b"));
    assert!(holds(&only[1], "", ""));
}
