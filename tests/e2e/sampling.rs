//! The sampler in a real Envoy: the volume follows the target, headers and log agree, and a request costs what it may.

mod agreement;
mod costs;
mod volume;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_tests::client::Request;
use sluicegate_tests::client::load::Pace;
use sluicegate_tests::envoy::Envoy;

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

/// So many requests a second for so long, each with the path that `path` gives the n-th of them.
async fn offer(
    to: SocketAddr,
    per_second: u32,
    lasts: Duration,
    path: impl Fn(u32) -> String + Send + Sync + 'static,
) -> Vec<Sent> {
    let sent = Pace { connections: 8, per_second, lasts }.run(
        to,
        move |n| Request::get(&path(n)),
        |_, at, reply| {
            let seen = reply.seen()?;
            let flags = seen.header("traceparent").unwrap().rsplit_once('-').unwrap().1;
            Ok(Sent {
                id: seen.header("x-request-id").unwrap().to_owned(),
                sampled: u8::from_str_radix(flags, 16).unwrap() & 1 == 1,
                path: seen.path,
                at,
            })
        },
    );
    sent.await.unwrap()
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
