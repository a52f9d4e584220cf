//! The sampler in a real Envoy: the volume follows the target, headers and log agree, and a request costs what it may.

mod agreement;
mod costs;
mod volume;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_tests::client::{Connection, Protocol, Request};
use sluicegate_tests::envoy::Envoy;
use tokio::time::Instant;

/// A request, as the upstream saw it.
#[derive(Clone, Debug)]
struct Sent {
    /// Its id, by which the log is searched.
    id: String,
    path: String,
    /// When it was sent, since the load began.
    at: Duration,
    /// The flag of the `traceparent` that reached the upstream.
    sampled: bool,
}

const CONNECTIONS: u32 = 8;

/// So many requests a second for so long, each with the path that `path` gives the n-th of them.
async fn offer(
    to: SocketAddr,
    rate: u32,
    how_long: Duration,
    path: impl Fn(u32) -> String + Send + Sync + 'static,
) -> Vec<Sent> {
    let path = Arc::new(path);
    let began = Instant::now();
    let mut connections = tokio::task::JoinSet::new();
    for first in 0..CONNECTIONS {
        let path = Arc::clone(&path);
        connections.spawn(async move {
            let mut connection = Connection::open(to, Protocol::Http1).await.unwrap();
            let mut sent = Vec::new();
            let mut number = first;
            loop {
                let due = Duration::from_secs(1) * number / rate;
                if due >= how_long {
                    return sent;
                }
                tokio::time::sleep_until(began + due).await;
                let (at, path) = (began.elapsed(), path(number));
                let reply = connection.send(&Request::get(&path)).await.unwrap();
                let seen = reply.seen().unwrap();
                let flags = seen.header("traceparent").unwrap().rsplit_once('-').unwrap().1.to_owned();
                sent.push(Sent {
                    id: seen.header("x-request-id").unwrap().to_owned(),
                    path,
                    at,
                    sampled: u8::from_str_radix(&flags, 16).unwrap() & 1 == 1,
                });
                number += CONNECTIONS;
            }
        });
    }
    connections.join_all().await.into_iter().flatten().collect()
}

/// The ids of the requests in the log.
fn logged(envoy: &Envoy) -> BTreeSet<String> {
    let log = envoy.access_log().unwrap();
    let records = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.map(|record| record["req_id"].as_str().unwrap().to_owned()).collect()
}

/// Holds nothing back that was sampled.
fn no_burst() -> Value {
    json!({"first": 1_000_000, "every": 1})
}
