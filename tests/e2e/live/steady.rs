//! Traffic that goes on, steadily, for as long as a test does something to the proxy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Result;
use sluicegate_tests::client::load::Pace;
use sluicegate_tests::client::{Reply, Request};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Connections at a time; they are opened anew every second.
const CONNECTIONS: u32 = 8;

/// Requests at an even pace until it is told to stop. One without a whole answer fails the test.
pub(super) struct Steady {
    is_over: Arc<AtomicBool>,
    running: JoinHandle<Result<BTreeMap<u16, u64>>>,
}

impl Steady {
    /// Begins with so many requests a second. `request` makes the n-th, from 0; `look` is shown its answer, and when it was
    /// sent.
    pub(super) fn begin<Q, L>(to: SocketAddr, per_second: u32, request: Q, look: L) -> Steady
    where
        Q: Fn(u32) -> Request + Clone + Send + Sync + 'static,
        L: Fn(u32, Instant, &Reply) + Clone + Send + Sync + 'static,
    {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, sent) = (Arc::clone(&is_over), Arc::new(AtomicU32::new(0)));
        let running = tokio::spawn(async move {
            let mut statuses = BTreeMap::new();
            while !over.load(Ordering::Relaxed) {
                let pace = Pace { connections: CONNECTIONS, per_second, lasts: Duration::from_secs(1) };
                let first = sent.fetch_add(per_second, Ordering::Relaxed);
                let (request, look) = (request.clone(), look.clone());
                let make = move |n| request(first + n);
                let began = Instant::now();
                let read = move |n, after, reply: &Reply| {
                    look(first + n, began + after, reply);
                    Ok(reply.status.as_u16())
                };
                for status in pace.run(to, make, read).await? {
                    *statuses.entry(status).or_default() += 1;
                }
            }
            Ok(statuses)
        });
        Steady { is_over, running }
    }

    /// Stops; how many answers there were of each status.
    pub(super) async fn end(self) -> BTreeMap<u16, u64> {
        self.is_over.store(true, Ordering::Relaxed);
        self.running.await.unwrap().unwrap()
    }
}
