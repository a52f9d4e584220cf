//! What the caller of a shed request gets, and what the log says of it.

use serde_json::{Value, json};
use sluicegate_tests::client::{Protocol, Request};
use sluicegate_tests::envoy::{Bootstrap, Envoy};

use super::{TWO_TICKS, Two, failing, policy, quick};
use crate::stage::PATIENCE;

fn with(field: &str, value: Value) -> Value {
    let mut section = quick();
    section[field] = value;
    policy(section)
}

/// The record of the request with this id.
async fn record(envoy: &Envoy, id: &str) -> Value {
    let began = tokio::time::Instant::now();
    loop {
        let log = envoy.access_log().unwrap();
        if let Some(line) = log.lines().find(|line| line.contains(id)) {
            return serde_json::from_str(line).unwrap();
        }
        assert!(began.elapsed() < PATIENCE, "no record of {id}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn over_http_it_is_problem_details_and_what_proxies_read() {
    let two = Two::set(&policy(quick())).await;
    two.open().await;
    let request = Request::get("/cart").header("x-request-id", "shed-1");
    let reply = two.stage.send(&request, Protocol::Http1).await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!(reply.header("x-envoy-overloaded"), Some("true"));
    let retry_after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&retry_after), "{retry_after}");
    let body = reply.json().unwrap();
    assert_eq!((&body["code"], &body["status"]), (&json!("BREAKER_OPEN"), &json!(503)));
    assert_eq!(body["details"]["retry_after"], retry_after);
    let record = record(&two.stage.envoy, "shed-1").await;
    let attribute = |name: &str| record["attributes"][name].clone();
    assert_eq!(attribute("sluicegate.breaker_state"), "open");
    assert_eq!(attribute("sluicegate.shed"), true);
    assert_eq!(attribute("sluicegate.error.kind"), "breaker_open");
    assert_eq!(record["severity_text"], "ERROR");
}

#[tokio::test]
async fn over_grpc_it_is_unavailable_with_a_pushback() {
    let two = Two::set(&policy(quick())).await;
    two.open().await;
    let reply = two.stage.send(&Request::grpc("/shop.Cart/Add", b"x"), Protocol::Http2).await;
    assert_eq!((reply.status.as_u16(), reply.header("grpc-status")), (200, Some("14")));
    let pushback: u64 = reply.header("grpc-retry-pushback-ms").unwrap().parse().unwrap();
    assert!((1_000..=2_000).contains(&pushback), "{pushback}");
    assert!(reply.header("grpc-message").unwrap().contains("BREAKER_OPEN"));
}

#[tokio::test]
async fn grpc_statuses_open_it() {
    let two = Two::set(&policy(quick())).await;
    for _ in 0..30 {
        let call = Request::grpc("/shop.Cart/Add", b"x").header("x-upstream-grpc-status", "14");
        two.stage.send(&call, Protocol::Http2).await;
    }
    tokio::time::sleep(TWO_TICKS).await;
    assert_eq!(two.get("/").await.header("x-sluicegate-breaker"), Some("open"));
}

#[tokio::test]
async fn a_fixed_response_takes_the_place_of_the_problem() {
    let response = json!({"status": 200, "headers": {"content-type": "application/json"}, "body": "{\"items\": []}"});
    let two = Two::set(&with("response", response)).await;
    two.open().await;
    let reply = two.stage.send(&Request::get("/cart").header("x-request-id", "shed-2"), Protocol::Http1).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "{\"items\": []}"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("x-sluicegate-breaker"), Some("open"));
    assert_eq!(reply.header("x-envoy-overloaded"), None);
    let record = record(&two.stage.envoy, "shed-2").await;
    assert_eq!(record["attributes"]["sluicegate.shed"], true);
    assert_eq!(record["severity_text"], "INFO");
}

#[tokio::test]
async fn a_fallback_is_another_route() {
    let two = Two::set(&with("fallback", json!({"header": "x-route", "value": "fallback"}))).await;
    two.open().await;
    let (failing_before, healthy_before) = (two.stage.upstream.requests(), two.healthy.requests());
    let request = Request::get("/cart").header("x-request-id", "shed-3");
    let reply = two.stage.send(&request, Protocol::Http1).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-sluicegate-breaker")), (200, Some("open")));
    assert_eq!(two.stage.upstream.requests(), failing_before);
    assert_eq!(two.healthy.requests(), healthy_before + 1);
    let record = record(&two.stage.envoy, "shed-3").await;
    assert_eq!(record["attributes"]["sluicegate.breaker_state"], "open");
    assert_eq!(record["attributes"]["sluicegate.shed"], true);
    assert_eq!(record["attributes"]["envoy.upstream.cluster"], "healthy");
}

#[tokio::test]
async fn in_shadow_everything_passes_and_is_told() {
    let two = Two::set(&with("mode", json!("shadow"))).await;
    two.load(40, failing("/")).await;
    tokio::time::sleep(TWO_TICKS).await;
    let before = two.stage.upstream.requests();
    let reply = two.stage.send(&Request::get("/").header("x-request-id", "shadow-1"), Protocol::Http1).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-sluicegate-breaker")), (200, None));
    assert_eq!(two.stage.upstream.requests(), before + 1);
    let record = record(&two.stage.envoy, "shadow-1").await;
    assert_eq!(record["attributes"]["sluicegate.breaker_state"], "open");
    assert_eq!(record["attributes"]["sluicegate.shed"], false);
    two.stage.envoy.wait_for_stat("sluicegate_breaker_would_shed_total", &[], 1.0, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn rules_have_breakers_of_their_own() {
    let mut section = quick();
    section["rules"] = json!([
        {"match": {"path": {"prefix": "/free"}}, "mode": "disabled"},
        {"match": {"path": {"prefix": "/closed"}}, "mode": "forced_open"},
        {"match": {"path": {"prefix": "/tenants"}}, "per": {"header": "x-tenant"}},
    ]);
    let two = Two::set(&policy(section)).await;
    two.load(60, failing("/free")).await;
    let tenant = |name: &str| Request::get("/tenants").header("x-tenant", name);
    two.load(40, tenant("a").header("x-upstream-status", "500")).await;
    tokio::time::sleep(TWO_TICKS).await;
    let state = async |request: &Request| {
        let reply = two.stage.send(request, Protocol::Http1).await;
        reply.header("x-sluicegate-breaker").map(str::to_owned)
    };
    assert_eq!(state(&Request::get("/free")).await, None);
    assert_eq!(state(&Request::get("/closed")).await.as_deref(), Some("open"));
    assert_eq!(state(&tenant("a")).await.as_deref(), Some("open"));
    assert_eq!(state(&tenant("b")).await, None);
    assert_eq!(state(&Request::get("/")).await, None);
    // A tenant's name comes from a request, and is in no metric.
    let stats = two.stage.envoy.stats().await.unwrap();
    assert_eq!(stats.sum("sluicegate_breaker_state", &[("breaker", "a")]), None);
    two.stage
        .envoy
        .wait_for_stat("sluicegate_breaker_shed_total", &[("breaker", "_other")], 1.0, PATIENCE)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_envoy_in_front_does_not_try_again() {
    let inner = Two::set(&policy(json!({"mode": "forced_open"}))).await;
    let retries = json!({"retry_on": "5xx", "num_retries": 3});
    let outer = Bootstrap::shipped().unwrap().only("trace_context").unwrap().upstream(inner.stage.envoy.address());
    let route = "/route_config/virtual_hosts/0/routes/0/route";
    let outer = outer.edit_connection_manager(|manager| manager.pointer_mut(route).unwrap()["retry_policy"] = retries);
    let outer = outer.unwrap().start().await.unwrap();
    for _ in 0..5 {
        let reply = Request::get("/").send(outer.address(), Protocol::Http1).await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.header("x-sluicegate-breaker")), (503, Some("open")));
    }
    tokio::time::sleep(TWO_TICKS).await;
    let shed = inner.stage.envoy.wait_for_stat("sluicegate_breaker_shed_total", &[], 5.0, PATIENCE).await.unwrap();
    assert_eq!(shed, 5.0);
}
