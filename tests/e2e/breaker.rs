//! The circuit breaker in a real Envoy with two workers: it opens and closes for all of them at once, sheds before the
//! upstream, and tells everybody who has to know.

mod caller;
mod costs;
mod cycle;
mod hostile;

use std::net::SocketAddr;

use serde_json::{Value, json};
use sluicegate_tests::client::load::{Load, Report, Until};
use sluicegate_tests::client::{Protocol, Reply, Request};
use sluicegate_tests::envoy::Bootstrap;
use sluicegate_tests::upstream::Upstream;

use crate::stage::Stage;

/// A policy with this section `breaker`, and nothing that would write into the log or the context besides.
fn policy(breaker: Value) -> Value {
    json!({
        "version": "1.0",
        "breaker": breaker,
        "sampling": {"enabled": false},
        "access_log": {"profile": "test"},
    })
}

/// One that opens soon, for two seconds.
fn quick() -> Value {
    json!({"open_for": "2s", "jitter": 0, "backoff": 1, "window": "10s", "min_requests": 20, "failure_rate": 0.6})
}

/// The stage, with a second upstream behind `/healthy`, and behind the header `x-route: fallback`.
struct Two {
    stage: Stage,
    healthy: Upstream,
}

impl Two {
    async fn set(policy: &Value) -> Two {
        let healthy = Upstream::start().await.unwrap();
        let address = healthy.address();
        let stage = Stage::set(|shipped| with_second(shipped.policy(policy).balanced(), address)).await;
        Two { stage, healthy }
    }

    /// So many requests, over so many connections.
    async fn load(&self, requests: u64, request: Request) -> Report {
        let load = Load { connections: 8, protocol: Protocol::Http1, until: Until::Requests(requests) };
        load.run(self.stage.envoy.address(), move |_| request.clone()).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.stage.send(&Request::get(path), Protocol::Http1).await
    }

    /// Has the breaker of the first upstream open, and every worker know.
    async fn open(&self) {
        self.load(40, failing("/")).await;
        tokio::time::sleep(TWO_TICKS).await;
        assert_eq!(self.get("/").await.header("x-sluicegate-breaker"), Some("open"));
    }
}

/// And a little more, for a busy machine.
const TWO_TICKS: std::time::Duration = std::time::Duration::from_millis(200);

fn failing(path: &str) -> Request {
    Request::get(path).header("x-upstream-status", "503")
}

fn with_second(shipped: Bootstrap, address: SocketAddr) -> Bootstrap {
    let to_healthy = |matched: Value| json!({"match": matched, "route": {"cluster": "healthy"}});
    let fallback = json!({"prefix": "/", "headers": [{"name": "x-route", "string_match": {"exact": "fallback"}}]});
    let to_first = |prefix: &str, more: Value| {
        let mut route = json!({"cluster": "upstream"});
        route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"match": {"prefix": prefix}, "route": route})
    };
    let retries = json!({"retry_policy": {"retry_on": "5xx,reset,connect-failure", "num_retries": 3}});
    let added = [
        to_healthy(json!({"prefix": "/healthy"})),
        to_healthy(fallback),
        to_first("/retried", retries),
        to_first("/hurried", json!({"timeout": "0.2s"})),
        to_first("/timed", json!({"max_stream_duration": {"grpc_timeout_header_max": "0s"}})),
        to_first("/redirected", json!({"internal_redirect_policy": {}})),
    ];
    let routes = "/route_config/virtual_hosts/0/routes";
    shipped
        .cluster("healthy", address)
        .edit_connection_manager(|manager| {
            let routes = manager.pointer_mut(routes).unwrap().as_array_mut().unwrap();
            routes.splice(0..0, added);
        })
        .unwrap()
}
