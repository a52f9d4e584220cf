//! The filters together, on a proxy in memory.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::Suite;
use sluicegate_host::Filter;
use sluicegate_host::double::{Double, Outcome, Running};
use std::time::Duration;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

fn suite(sections: &str) -> (&'static Double, Running<Suite>) {
    let proxy = Double::new();
    proxy.advance(Duration::from_secs(1_700_000_000));
    proxy.set("response\0code", 200i64.to_le_bytes());
    proxy.set("request\0time", 1_700_000_000_000_000_000i64.to_le_bytes());
    let policy = format!(r#"{{"version": "1.0"{sections}}}"#);
    let running = proxy.start(&policy).unwrap_or_else(|lines| panic!("{lines:?}"));
    (proxy, running)
}

fn upstream<'o>(outcome: &'o Outcome, name: &str) -> Option<std::borrow::Cow<'o, str>> {
    outcome.upstream.get(name).map(String::from_utf8_lossy)
}

fn line(proxy: &Double) -> Option<String> {
    proxy.take("access_log").map(|line| String::from_utf8(line).unwrap())
}

#[test]
fn headers_and_log_agree_with_one_decision() {
    for (rule, flags, log) in [(r#""always": true"#, "03", true), (r#""never": true"#, "02", false)] {
        let (proxy, mut running) = suite(&format!(r#", "sampling": {{"rules": [{{{rule}}}]}}"#));
        let outcome = running.request(&[(":path", "/")]);
        assert!(upstream(&outcome, "traceparent").unwrap().ends_with(&format!("-{flags}")), "{rule}");
        let line = line(proxy);
        assert_eq!(line.is_some(), log, "{rule}");
        for said in [r#""trace_flags":"03""#, r#""sluicegate.sampled_by":"rule","sluicegate.sampling_probability":1.0"#]
        {
            assert!(line.as_ref().is_none_or(|line| line.contains(said)), "{line:?}");
        }
    }
}

#[test]
fn sampling_takes_one_hostcall_more_at_most() {
    let sections = [
        "",
        r#", "trace": {"mode": "participate"}"#,
        r#", "trace": {"mode": "participate", "sampled_default": false}, "sampling": {"parent": "ignore"}"#,
        r#", "sampling": {"rules": [{"match": {"headers": [{"name": "x-tier", "exact": "gold"}]}, "always": true}]}"#,
        r#", "sampling": {"per": "handler", "key": "request_id", "rules": [{"match": {"path": {"prefix": "/x"}}, "never": true}]}"#,
        r#", "sampling": {"parent": "at_most", "max": 0.5}"#,
    ];
    let requests: [&[(&str, &str)]; 5] = [
        &[(":path", "/")],
        &[(":path", "/x"), ("x-request-id", "r-1"), ("x-tier", "gold")],
        &[(":path", "/"), ("traceparent", TRACEPARENT), ("x-request-id", "r-1")],
        &[(":path", "/"), ("traceparent", NOT_SAMPLED), ("x-request-id", "r-1"), ("tracestate", "a=b")],
        &[(":path", "/"), ("traceparent", TRACEPARENT), ("tracestate", "ot=th:8;rv:ffffffffffffff")],
    ];
    for section in sections {
        for request in requests {
            let calls = |section: &str| {
                // What the log says of a request is not the sampler's cost: it says the same of both.
                let section = format!(r#"{section}, "access_log": {{"profile": "test"}}"#);
                suite(&section).1.request(request).calls
            };
            let without = match section.contains(r#""sampling": {"#) {
                true => section.replace(r#""sampling": {"#, r#""sampling": {"enabled": false, "#),
                false => format!(r#"{section}, "sampling": {{"enabled": false}}"#),
            };
            let (with, without) = (calls(section), calls(&without));
            assert!(with.len() <= without.len() + 1, "{section} {request:?}\n{with:?}\n{without:?}");
        }
    }
}

#[test]
fn every_filter_gets_its_ticks() {
    let sections = r#", "trace": {"spans": {"otlp": {"cluster": "c"}}},
        "access_log": {"sinks": ["otlp"], "otlp": {"cluster": "c"}}, "sampling": {"target_qps": 1, "min": 0.5}"#;
    let (proxy, mut running) = suite(sections);
    for _ in 0..90 {
        running.request(&[(":path", "/")]);
    }
    for _ in 0..200 {
        proxy.advance(Suite::TICK);
        running.tick();
    }
    assert_eq!(proxy.metric("sluicegate_sampling_probability_millionths.rule=default"), Some(500_000));
    let paths: Vec<_> = proxy
        .callouts()
        .into_iter()
        .flat_map(|callout| callout.headers)
        .filter_map(|(name, value)| (name == ":path").then_some(value))
        .collect();
    assert!(["/v1/traces", "/v1/logs"].iter().all(|path| paths.iter().any(|sent| sent == path)), "{paths:?}");
}

#[test]
fn what_is_wrong_in_any_section_rejects_the_policy() {
    for section in ["trace", "sampling", "access_log"] {
        let policy = format!(r#"{{"version": "1.0", "{section}": {{"enabled": 1}}}}"#);
        let Err(lines) = Double::new().start::<Suite>(&policy) else { panic!("{section} accepted") };
        assert!(lines.iter().any(|line| line.contains(&format!("{section}.enabled: found 1"))), "{lines:?}");
    }
}
