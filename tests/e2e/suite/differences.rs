//! What is meant to differ, each by its name, and that it is just that. The suite's README tells all of them.

use serde_json::{Value, json};
use sluicegate_tests::envoy::Bootstrap;

use super::likeness::Field;
use super::pair::{Pair, SHIPPED, off};
use super::policies::policy;
use super::traffic::{self, get, grpc};
use crate::stage::{PATIENCE, SPAN, TRACE};

/// Of what the breaker answers, the suite's log knows when the response's headers came; the log that is a plugin of its
/// own stands behind the breaker, and never sees them.
pub(super) fn of_a_shed_request(plugins: &[Field], suite: &mut Vec<Field>) -> Vec<String> {
    const TIME: &str = "record attributes sluicegate.time_to_response_headers_ms";
    let has = |record: &[Field], name: &str| record.iter().any(|(field, _)| field == name);
    let shed = plugins.contains(&("record attributes sluicegate.shed".to_owned(), "true".to_owned()));
    // Sent to its fallback, the upstream answered it, or Envoy did, which has details.
    let answered = ["record attributes envoy.upstream.address", "record attributes envoy.response.code_details"];
    if !shed || answered.iter().any(|name| has(plugins, name)) {
        return Vec::new();
    }
    let known = (has(plugins, TIME), has(suite, TIME));
    suite.retain(|(name, _)| name != TIME);
    if known == (false, true) { Vec::new() } else { vec![format!("{TIME} of what was shed: {known:?}")] }
}

fn value<'f>(fields: &'f [Field], name: &str) -> Option<&'f str> {
    fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn headers_are_written_in_the_order_of_those_who_first_wrote_them() {
    let mut pair = Pair::set(&policy(json!({}))).await;
    let (plugins, suite) = pair.see(&get("/", &[("tracestate", b"a=b")])).await;
    let written = |fields: &[Field]| {
        let written = ["upstream traceparent", "upstream tracestate", "upstream x-request-id"];
        let names = fields.iter().map(|(name, _)| name.clone());
        names.filter(|name| written.contains(&name.as_str())).collect::<Vec<_>>()
    };
    // The sampler comes after trace-context, which took the state of no trace away: that of the suite is changed in place.
    assert_eq!(written(&plugins), ["upstream traceparent", "upstream x-request-id", "upstream tracestate"]);
    assert_eq!(written(&suite), ["upstream traceparent", "upstream tracestate", "upstream x-request-id"]);
}

/// Has Envoy's own access log print what is in filter state, in lines of their own.
fn with_state(shipped: Bootstrap) -> Bootstrap {
    let with = shipped.edit_connection_manager(|manager| {
        let mut logger = manager["access_log"][0].clone();
        let state = |name: &str| format!("%FILTER_STATE(wasm.{name}:PLAIN)%");
        logger["typed_config"]["log_format"] = json!({"json_format": {
            "trace": state("sluicegate_trace"),
            "sampling": state("sluicegate_sampling"),
            "breaker": state("sluicegate_breaker"),
            "reply": state("sluicegate_reply"),
        }});
        manager["access_log"] = json!([logger]);
    });
    with.unwrap()
}

#[tokio::test]
async fn in_filter_state_the_suite_leaves_only_that_it_answered() {
    let shedding = json!({"mode": "forced_open", "rules": [
        {"match": {"path": {"prefix": "/answered"}}, "key": "answered"},
        {"match": {"path": {"prefix": "/sent-on"}}, "key": "sent-on", "fallback": {"header": "x-fallback", "value": "stale"}},
        {"mode": "disabled"},
    ]});
    let policy = policy(json!({"breaker": shedding, "sampling": {"rules": [{"always": true}]}}));
    let mut pair = Pair::set_on(SHIPPED, &policy, with_state).await;
    for path in ["/", "/answered", "/sent-on"] {
        pair.see(&get(path, &[])).await;
    }
    let plugins = pair.plugins.envoy.wait_for_access_log(3, PATIENCE).await.unwrap();
    let suite = pair.suite.envoy.wait_for_access_log(3, PATIENCE).await.unwrap();
    let state = |trace: &str, sampling: &str, breaker: &str, reply: &str| {
        let or_null = |words: &str| if words.is_empty() { Value::Null } else { json!(words) };
        let [trace, sampling, breaker, reply] = [trace, sampling, breaker, reply].map(or_null);
        json!({"trace": trace, "sampling": sampling, "breaker": breaker, "reply": reply})
    };
    let read = |lines: &[String]| lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    assert_eq!(
        read(&plugins),
        [
            state("started", "1 rule 0", "", ""),
            state("started", "1 rule 0", "", "breaker_open"),
            state("started", "1 rule 0", "open shed", ""),
        ]
    );
    assert_eq!(read(&suite), [state("", "", "", ""), state("", "", "", "breaker_open"), state("", "", "", "")]);
}

#[tokio::test]
async fn rules_of_the_log_see_the_request_as_it_came() {
    // Rules by what trace-context writes, what the sampler takes away, and what the caller sends.
    let rule = |header: &str, severity: &str| json!({"match": {"headers": [{"name": header, "present": true}]}, "severity": severity});
    let severity = [rule("x-tier", "debug"), rule("x-sluicegate-force", "fatal"), rule("traceparent", "warn")];
    let policy = policy(json!({
        "sampling": {"force": {"secret": "correct horse battery staple"}},
        "access_log": {"profile": "dev", "severity": severity},
    }));
    let mut pair = Pair::set(&policy).await;
    let context = format!("00-{TRACE}-{SPAN}-01");
    pair.see(&get("/", &[])).await;
    pair.see(&get("/", &[("x-sluicegate-force", b"wrong")])).await;
    pair.see(&get("/", &[("traceparent", context.as_bytes())])).await;
    pair.see(&get("/", &[("x-tier", b"gold")])).await;
    for (deployment, severities) in
        [(&pair.plugins, ["WARN", "WARN", "WARN", "DEBUG"]), (&pair.suite, ["INFO", "FATAL", "WARN", "DEBUG"])]
    {
        deployment.envoy.wait_for_access_log(4, PATIENCE).await.unwrap();
        let records = deployment.records();
        let logged: Vec<_> = records.iter().map(|record| value(record, "record severity_text").unwrap()).collect();
        assert_eq!(logged, severities);
    }
}

/// Puts a filter that denies behind trace-context, and so ahead of the plugin that is the breaker.
fn with_denial(shipped: Bootstrap) -> Bootstrap {
    let with = shipped.edit_connection_manager(|manager| {
        let filters = manager["http_filters"].as_array_mut().unwrap();
        let mut deny = filters.iter().find(|filter| filter["name"] == "refuse").unwrap().clone();
        deny["name"] = json!("deny");
        deny["typed_config"]["headers"][0]["name"] = json!("x-deny");
        let place = filters.iter().position(|filter| filter["name"] == "trace_context").unwrap();
        filters.insert(place + 1, deny);
    });
    with.unwrap()
}

#[tokio::test]
async fn the_breaker_stands_where_the_module_does() {
    let policy = policy(json!({"breaker": {"mode": "forced_open", "response": {"status": 503}}}));
    let mut pair = Pair::set_on(SHIPPED, &policy, with_denial).await;
    for (request, plugins, suite) in [
        (get("/", &[]), "HTTP/1.1 503 Service Unavailable", "HTTP/1.1 503 Service Unavailable"),
        (get("/", &[("x-deny", b"1")]), "HTTP/1.1 403 Forbidden", "HTTP/1.1 503 Service Unavailable"),
        // Ahead of both.
        (get("/", &[("x-refuse", b"1")]), "HTTP/1.1 403 Forbidden", "HTTP/1.1 403 Forbidden"),
    ] {
        let seen = pair.see(&request).await;
        assert_eq!((value(&seen.0, "client"), value(&seen.1, "client")), (Some(plugins), Some(suite)), "{request:?}");
    }
}

#[tokio::test]
async fn a_policy_that_is_wrong_in_one_section_is_rejected_for_all() {
    let mut pair = Pair::set(&off()).await;
    let mut wrong = policy(json!({"breaker": {"mode": "forced_open"}, "sampling": {"window": "INVALID"}}));
    wrong["trace"] = json!({"enabled": false});
    pair.plugins.envoy.swap_policy(&wrong).unwrap();
    pair.suite.envoy.swap_policy(&wrong).unwrap();
    // The sampler, and with it whoever looks into its section.
    pair.plugins.envoy.wait_for_swaps("sampler", 1, 1, PATIENCE).await.unwrap();
    pair.plugins.envoy.wait_for_swaps("breaker", 2, 0, PATIENCE).await.unwrap();
    pair.suite.envoy.wait_for_swaps("trace_context", 1, 1, PATIENCE).await.unwrap();
    let (plugins, suite): (Vec<_>, Vec<_>) = pair.see(&grpc("/shop.Cart/Add", &[])).await;
    let status = |seen: &[Field]| {
        let status = value(seen, "client grpc-status").or_else(|| value(seen, "client trailer grpc-status"));
        status.map(str::to_owned)
    };
    assert_eq!((status(&plugins).as_deref(), status(&suite).as_deref()), (Some("14"), Some("0")));
}

/// Not one of them: with Envoy's own tracer, whose ids both leave alone.
#[tokio::test]
async fn with_the_proxys_tracer_there_is_no_difference() {
    let off = json!({"enabled": false});
    // There is no breaker in that configuration, nor a sampler, which decides nothing then.
    let observe = |more: Value| {
        let mut trace = json!({"mode": "observe"});
        trace.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        policy(json!({"trace": trace, "breaker": off}))
    };
    let mut pair = Pair::set_on("envoy/observe.yaml", &observe(json!({})), |config| config).await;
    let traffic = [traffic::traced(), traffic::named(), traffic::calls()].concat();
    pair.send_all(&traffic).await;
    pair.put_in_force(&observe(json!({"inject": ["w3c", "b3"], "trust_incoming": false}))).await;
    pair.send_all(&traffic).await;
    pair.finish().await;
}
