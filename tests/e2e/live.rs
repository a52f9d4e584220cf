//! A policy that changes while the proxy runs: from a real etcd and from HTTP endpoints, to two workers of a real Envoy.

mod etcd;
mod http;
mod steady;
mod swaps;
mod upgrade;

use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_tests::client::{Connection, Protocol, Request};
use sluicegate_tests::envoy::{Bootstrap, Envoy};
use sluicegate_tests::shipped;
use sluicegate_tests::upstream::Upstream;
use tokio::time::Instant;

use crate::stage::PATIENCE;

/// A policy that shows in every answer: the breaker gives it, and this is its body.
fn answering(body: &str) -> Value {
    json!({
        "version": "1.0",
        "breaker": {
            "key": "all",
            "mode": "forced_open",
            "response": {"status": 200, "headers": {"content-type": "text/plain"}, "body": body},
        },
        "sampling": {"enabled": false},
        "access_log": {"enabled": false},
    })
}

/// The same in a plugin configuration with a source.
fn of_plugin(source: Value) -> Value {
    let mut policy = answering("plugin");
    policy["policy_source"] = source;
    policy
}

/// An Envoy with two workers and the suite, and a connection to each worker.
struct Live {
    envoy: Envoy,
    workers: [Connection; 2],
    _upstream: Upstream,
}

impl Live {
    async fn set(source: Value, change: impl FnOnce(Bootstrap) -> Bootstrap) -> Live {
        Live::under(&of_plugin(source), change).await
    }

    /// With this in the plugin configuration.
    async fn under(policy: &Value, change: impl FnOnce(Bootstrap) -> Bootstrap) -> Live {
        let upstream = Upstream::start().await.unwrap();
        let shipped = Bootstrap::shipped().unwrap().upstream(upstream.address()).balanced();
        let suite = shipped::plugin("suite").unwrap();
        let alone = shipped.only("trace_context").unwrap().module("trace_context", &suite).unwrap();
        let envoy = change(alone.policy(policy)).start().await.unwrap();
        // The listener gives each new connection to the worker with the fewest.
        let open = async || Connection::open(envoy.address(), Protocol::Http1).await.unwrap();
        let workers = [open().await, open().await];
        Live { envoy, workers, _upstream: upstream }
    }

    /// What the policies in force say, worker by worker.
    async fn say(&mut self) -> [String; 2] {
        let mut said = [String::new(), String::new()];
        for (worker, said) in self.workers.iter_mut().zip(&mut said) {
            let reply = worker.send(&Request::get("/")).await.unwrap();
            assert_eq!(reply.status, 200);
            *said = reply.text();
        }
        said
    }

    /// Until this is in force on both workers; how long it took.
    async fn wait_for(&mut self, body: &str) -> Duration {
        let began = Instant::now();
        loop {
            let said = self.say().await;
            if said == [body, body] {
                return began.elapsed();
            }
            assert!(began.elapsed() < PATIENCE, "{body} is not in force: {said:?}\n{}", self.envoy.log().unwrap());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Resident memory of the proxy, in MiB.
    fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.envoy.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    async fn sum(&self, metric: &str) -> f64 {
        self.envoy.stats().await.unwrap().sum(metric, &[]).unwrap_or_default()
    }
}
