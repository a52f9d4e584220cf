//! A table of policies, and the traffic that shows what each does.

use std::time::Duration;

use serde_json::{Value, json};

use super::deployment::{KEYS, Sent};
use super::pair::{self, Pair};
use super::traffic::{self, SECRET, everything, get, grpc};

/// With these sections in the place of what keeps chance and the load out of it: everything is recorded, no line is held
/// back, and no breaker opens.
pub(super) fn policy(sections: Value) -> Value {
    let mut policy = json!({
        "version": "1.0",
        "service": {"name": "checkout", "environment": "prod"},
        "sampling": {"target_qps": 1_000_000, "error_weight": 0},
        "breaker": {"min_requests": 1_000_000},
        "access_log": {"profile": "test", "slow_threshold": "1h"},
    });
    policy.as_object_mut().unwrap().extend(sections.as_object().unwrap().clone());
    policy
}

/// Puts one policy after the other in force, sends its traffic, and looks at the log in the end.
async fn run(rows: Vec<(Value, Vec<Sent>)>) {
    through(rows).await.finish().await;
}

async fn through(rows: Vec<(Value, Vec<Sent>)>) -> Pair {
    let mut pair = Pair::set(&rows[0].0).await;
    for (row, (policy, traffic)) in rows.iter().enumerate() {
        if row > 0 {
            pair.put_in_force(policy).await;
        }
        pair.send_all(traffic).await;
    }
    pair
}

#[tokio::test]
async fn sections_that_are_absent_or_off() {
    let off = json!({"enabled": false});
    // The defaults: so few requests that the load decides nothing.
    let few = || traffic::traced().into_iter().step_by(3).chain(traffic::calls().into_iter().take(3)).collect();
    let mut rows =
        vec![(json!({"version": "1.0"}), few()), (json!({"version": "1.0", "trace": null}), vec![get("/", &[])])];
    for section in ["trace", "sampling", "breaker", "access_log"] {
        rows.push((policy(json!({section: off})), everything()));
    }
    for [one, other] in [["trace", "sampling"], ["sampling", "access_log"], ["trace", "breaker"]] {
        rows.push((policy(json!({one: off, other: off})), traffic::traced()));
    }
    for trace in [json!({"mode": "participate", "inject": ["b3"]}), json!({"inject": []})] {
        rows.push((policy(json!({"sampling": off, "trace": trace})), everything()));
    }
    rows.push((pair::off(), everything()));
    run(rows).await;
}

#[tokio::test]
async fn modes_formats_and_trust() {
    let all = json!(["w3c", "b3", "b3_multi", "jaeger", "xray", "google", "azure", "plain"]);
    let trace = |section: Value| policy(json!({"trace": section}));
    let mut rows =
        vec![(trace(json!({"mode": "forward"})), everything()), (trace(json!({"mode": "participate"})), everything())];
    let traced = || [traffic::traced(), traffic::named()].concat();
    for section in [
        json!({"mode": "forward", "inject": all}),
        json!({"mode": "participate", "inject": all}),
        json!({"mode": "forward", "inject": ["jaeger", "plain"], "extract": ["google", "w3c", "jaeger"]}),
        json!({"mode": "participate", "inject": []}),
        json!({"trust_incoming": false}),
        json!({"mode": "participate", "trust_incoming": false, "inject": all,
               "rules": [{"match": {"path": {"prefix": "/cart"}}, "trust_incoming": true}]}),
        json!({"sampled_default": false, "inject": ["w3c", "b3"]}),
        json!({"mode": "participate", "baggage": {"from_headers": {"tenant.id": "x-tenant", "tier": "x-tier"}}}),
        json!({"trust_incoming": false, "baggage": {"from_headers": {"tenant.id": "x-tenant"}}}),
        json!({"request_id": {"header": "x-correlation-id", "format": "uuidv4"}}),
        json!({"request_id": {"echo": false}, "direction": "gateway"}),
        json!({"direction": ["inbound", "outbound"]}),
        // Nobody takes the headers of a tracer for one.
        json!({"mode": "observe"}),
    ] {
        rows.push((trace(section), traced()));
    }
    // In neither list, `traceparent` is nobody's business.
    for section in [
        json!({"mode": "participate", "inject": ["b3", "xray"], "extract": ["xray", "b3"]}),
        json!({"trust_incoming": false, "inject": ["b3_multi", "google"], "extract": ["b3", "google"]}),
    ] {
        rows.push((trace(section), traced()));
    }
    run(rows).await;
}

#[tokio::test]
async fn rules_and_parents_of_sampling() {
    let sampling = |mode: &str, section: Value| {
        let log = json!({"profile": "prod", "slow_threshold": "1h", "burst": {"enabled": false}});
        policy(json!({"trace": {"mode": mode}, "sampling": section, "access_log": log}))
    };
    let paths = json!([
        {"match": {"path": {"prefix": "/never"}}, "never": true},
        {"match": {"path": {"prefix": "/public"}}, "rate": 0},
        {"match": {"headers": [{"name": "x-tier", "exact": "gold,"}]}, "never": true},
        {"match": {"method": ["PUT", "BREW"]}, "never": true},
        {"match": {"path": {"template": "/orders/{id}"}}, "target_qps": 1_000_000, "error_weight": 0, "per": "handler"},
        {"always": true},
    ]);
    let force = json!({"secret": SECRET, "budget_per_second": 10_000});
    let mut rows = Vec::new();
    for mode in ["forward", "participate"] {
        rows.push((sampling(mode, json!({"rules": paths})), everything()));
        rows.push((
            sampling(mode, json!({"rules": [{"never": true}], "force": force, "parent": "ignore"})),
            everything(),
        ));
        // A part is recorded, which is the same part everywhere.
        for parent in ["respect", "ignore", "at_most"] {
            for key in ["trace_id", "request_id"] {
                let rate = json!({"parent": parent, "key": key, "rules": [{"rate": 0.25}]});
                let load = json!({"parent": parent, "key": key, "min": 0.5, "max": 0.5, "force": force});
                rows.push((sampling(mode, rate), traffic::decided()));
                rows.push((sampling(mode, load), traffic::decided()));
            }
        }
        let mut quiet = sampling(mode, json!({"parent": "at_most", "min": 0.5, "max": 0.5}));
        quiet["trace"]["sampled_default"] = json!(false);
        // Without a `traceparent` that says what was decided.
        for inject in [json!(["b3", "b3_multi", "jaeger", "xray", "google"]), json!([])] {
            quiet["trace"]["inject"] = inject;
            rows.push((quiet.clone(), traffic::decided()));
        }
    }
    let by_handler =
        json!({"per": "handler", "target_qps": 1_000_000, "error_weight": 0, "errors": ["404"], "max_keys": 3});
    let by_route = json!({"per": "route", "target_qps": 1_000_000, "error_weight": 0});
    rows.push((sampling("participate", by_route), traffic::exchanges()));
    rows.push((sampling("participate", by_handler), traffic::exchanges()));
    let pair = through(rows).await;
    // Told on the tick, so not in what `finish` compares.
    pair.wait_for_stat(KEYS, &[], 3.0).await;
    pair.finish().await;
}

#[tokio::test]
async fn what_is_logged_and_how() {
    let log = |section: Value| {
        let mut log = json!({"slow_threshold": "1h", "burst": {"enabled": false}});
        log.as_object_mut().unwrap().extend(section.as_object().unwrap().clone());
        policy(
            json!({"access_log": log, "sampling": {"target_qps": 1_000_000, "error_weight": 0, "force": {"secret": SECRET, "budget_per_second": 10_000}}}),
        )
    };
    let attributes = json!([
        {"name": "odd", "request_header": "x-odd", "max_length": 1024},
        {"name": "count", "request_header": "x-count", "type": "integer"},
        {"name": "tier", "request_header": "x-tier"},
        {"name": "kind", "response_header": "content-type"},
        {"name": "cookie", "response_header": "set-cookie"},
        {"name": "secret", "request_header": "authorization"},
        {"name": "trace", "request_header": "traceparent"},
        {"name": "began", "property": "request.method"},
        {"name": "bytes", "property": "response.size", "type": "integer"},
        {"name": "team", "value": "payments"},
    ]);
    let severity = json!([
        {"match": {"path": {"prefix": "/orders"}}, "status": ["404", "5xx"], "severity": "info"},
        {"match": {"method": "HEAD"}, "severity": "fatal"},
        {"match": {"host": "other.test"}, "severity": "debug"},
    ]);
    let drop = json!([
        {"match": {"path": {"exact": "/healthz"}}},
        {"match": {"path": {"prefix": "/cart"}}, "below": "warn"},
        {"match": {"headers": [{"name": "x-tier", "prefix": "gold"}]}},
    ]);
    let routes = json!([
        {"match": {"path": {"template": "/orders/{id}"}}},
        {"match": {"path": {"template": "/cart/{id}"}, "method": "GET"}},
    ]);
    let traffic = || [traffic::named(), traffic::exchanges(), traffic::calls(), traffic::raw()].concat();
    let rows = [
        json!({"profile": "dev", "attributes": attributes, "routes": routes}),
        json!({"profile": "prod", "severity": severity, "drop": drop, "routes": routes}),
        json!({"profile": "prod", "min_severity": "error", "always_from": "error"}),
        json!({"min_severity": "debug", "always_from": "debug", "detail": "full", "burst": {"first": 1, "every": 1}}),
        json!({"profile": "test", "redact": {"mode": "partial", "names": ["x_tier", "token"], "client_address": "truncate"}}),
        json!({"profile": "test", "attributes": attributes, "redact": {"enabled": false}}),
        json!({"profile": "test", "direction": "outbound"}),
        json!({"profile": "test", "sinks": ["proxy", "proxy_log"], "severity": severity}),
        json!({"profile": "test", "sinks": "proxy_log"}),
    ];
    run(rows.into_iter().map(|section| (log(section), traffic())).collect()).await;
}

#[tokio::test]
async fn breakers_that_are_closed_forced_open_or_in_the_shadow() {
    let breaker = |section: Value| policy(json!({"breaker": section}));
    let fixed = json!({"status": 200, "headers": {"content-type": "application/json", "x-a": "b"}, "body": "[]"});
    let fallback = json!({"header": "x-fallback", "value": "stale"});
    let force = |more: Value| {
        let mut section = json!({"mode": "forced_open"});
        section.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        breaker(section)
    };
    let rules = json!([
        {"cluster": "second", "mode": "disabled"},
        {"route": "cart", "per": "route", "response": fixed},
        {"match": {"path": {"prefix": "/public"}}, "key": "public", "fallback": fallback},
        {"match": {"path": {"prefix": "/orders"}}, "key": "orders", "response": {"status": 204}},
        {"match": {"headers": [{"name": "x-tier", "present": true}]}, "mode": "normal", "min_requests": 1_000_000},
        {"response": {"status": 503}},
    ]);
    let rows = vec![
        (breaker(json!({"mode": "shadow", "min_requests": 1_000_000})), traffic::exchanges()),
        (breaker(json!({"mode": "disabled"})), traffic::exchanges()),
        (force(json!({})), everything()),
        (force(json!({"response": {"status": 503, "body": "later"}})), everything()),
        (force(json!({"response": fixed})), everything()),
        (force(json!({"fallback": fallback})), everything()),
        (force(json!({"rules": rules})), everything()),
        (
            force(
                json!({"response": {"status": 503}, "hints": {"header": "x-shed", "envoy_overloaded": false, "grpc_pushback": false}}),
            ),
            everything(),
        ),
        (force(json!({"direction": "outbound"})), traffic::exchanges()),
        (force(json!({"per": {"header": "x-tenant"}, "response": {"status": 500}})), traffic::named()),
        (force(json!({"per": "host", "response": {"status": 204}})), traffic::exchanges()),
    ];
    run(rows).await;
}

/// Opened by failures, shedding, tried again and closed, over HTTP and gRPC.
#[tokio::test]
async fn breakers_through_their_whole_cycle() {
    // And a little more.
    const OPEN: Duration = Duration::from_millis(2200);
    let failed = |path: &str| get(path, &[("x-upstream-status", b"503")]);
    let mut section = json!({
        "key": "all", "min_requests": 20, "open_for": "2s", "jitter": 0, "backoff": 1, "probes": 2,
        "response": {"status": 503, "headers": {"content-type": "text/plain"}, "body": "later"},
    });
    let mut pair = Pair::set(&policy(json!({"breaker": section}))).await;
    for mode in ["normal", "shadow"] {
        section["mode"] = json!(mode);
        section["key"] = json!(mode);
        pair.put_in_force(&policy(json!({"breaker": section}))).await;
        for _ in 0..20 {
            pair.send(&failed("/cart/7")).await;
        }
        let state = [("breaker", mode)];
        pair.wait_for_stat("sluicegate_breaker_state", &state, 1.0).await;
        pair.send_all(&[get("/cart/7", &[]), grpc("/shop.Cart/Add", &[]), failed("/public/7")]).await;
        tokio::time::sleep(OPEN).await;
        // A probe that fails opens it again.
        pair.send(&failed("/cart/7")).await;
        pair.send_all(&[get("/cart/7", &[]), get("/dead", &[])]).await;
        tokio::time::sleep(OPEN).await;
        pair.send_all(&[get("/cart/7", &[]), grpc("/shop.Cart/Add", &[]), get("/cart/7", &[])]).await;
        let closed = [("breaker", mode), ("to", "closed")];
        pair.wait_for_stat("sluicegate_breaker_transitions_total", &closed, 1.0).await;
        pair.send_all(&[get("/cart/7", &[]), failed("/cart/7")]).await;
    }
    pair.finish().await;
}
