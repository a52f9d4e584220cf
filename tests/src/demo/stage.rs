//! Envoy with the shipped configuration, the sample service behind it, and requests to it.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use sluicegate_tests::client::{Connection, Protocol, Reply, Request};
use sluicegate_tests::envoy::{Bootstrap, Envoy};
use sluicegate_tests::seen::Seen;
use sluicegate_tests::shipped;
use sluicegate_tests::upstream::Upstream;

use super::live::Live;

/// Long enough for anything that happens at all, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// Connections at a time where every worker is to have some: Envoy balances them.
pub(crate) const CONNECTIONS: u32 = 8;

/// A header: name and value.
pub(crate) type Header<'a> = (&'a str, &'a str);

/// The demo's Envoy and what is behind it, and another one whose policy is in etcd. Dropping it stops all of them.
pub(crate) struct Stage {
    pub(crate) envoy: Envoy,
    pub(crate) upstream: Upstream,
    /// The policy that Envoy was started with.
    pub(crate) shipped: Value,
    pub(super) live: Live,
    /// The last policy that Envoy was handed, and what became of it.
    last: RefCell<(Value, Verdict)>,
}

/// What became of a policy that was handed to Envoy.
#[derive(Clone)]
pub(crate) enum Verdict {
    InForce,
    /// By one filter at least: the lines of Envoy's log that say why. The others have it in force.
    Rejected(Vec<String>),
}

impl Stage {
    pub(super) async fn set() -> Result<Stage> {
        let upstream = Upstream::start().await?;
        // Balanced, so that connections reach every worker.
        let bootstrap = Bootstrap::shipped()?.upstream(upstream.address()).balanced();
        let shipped = shipped::yaml("envoy/policy.yaml")?;
        let (envoy, live) = tokio::try_join!(bootstrap.start(), Live::set())?;
        for plugin in envoy.plugins() {
            envoy.wait_for_swaps(plugin, 1, 0, PATIENCE).await?;
        }
        let last = RefCell::new((shipped.clone(), Verdict::InForce));
        Ok(Stage { envoy, upstream, shipped, live, last })
    }

    /// Sends a GET.
    pub(crate) async fn get(&self, path: &str, headers: &[Header<'_>]) -> Result<(Reply, Seen)> {
        let reply = with(Request::get(path), headers).send(self.envoy.address(), Protocol::Http1).await?;
        let seen = reply.seen()?;
        Ok((reply, seen))
    }

    /// Hands Envoy a policy and waits for what it makes of it.
    pub(crate) async fn swap_policy(&self, policy: &Value) -> Result<Verdict> {
        let last = self.last.borrow().clone();
        if last.0 == *policy {
            // Envoy takes the same file twice for no change, and counts that as a success even where it was rejected.
            return Ok(last.1);
        }
        let log_before = self.envoy.log()?.len();
        let before = self.swapped().await?;
        self.envoy.swap_policy(policy)?;
        let started = Instant::now();
        let verdict = loop {
            let now = self.swapped().await?;
            let each = || now.iter().zip(&before);
            if each().all(|(now, before)| now.0 > before.0) {
                break Verdict::InForce;
            }
            let settled = each().all(|(now, before)| now.0 > before.0 || now.1 > before.1);
            let why = self.rejections(log_before)?;
            if settled && !why.is_empty() {
                break Verdict::Rejected(why);
            }
            ensure!(started.elapsed() < PATIENCE, "Envoy made nothing of a new policy in {PATIENCE:?}");
            tokio::time::sleep(POLL).await;
        };
        self.last.replace((policy.clone(), verdict.clone()));
        Ok(verdict)
    }

    /// Hands Envoy a policy and waits until every worker goes by it, as `shows` finds in what the service saw of `probe`.
    pub(crate) async fn put_in_force(
        &self,
        policy: &Value,
        probe: &Request,
        shows: fn(&Seen) -> Result<bool>,
    ) -> Result<()> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(self.envoy.address(), Protocol::Http1).await?);
        }
        let verdict = self.swap_policy(policy).await?;
        ensure!(matches!(verdict, Verdict::InForce), "the new policy was rejected");
        let started = Instant::now();
        for connection in &mut connections {
            while !shows(&connection.send(probe).await?.seen()?)? {
                ensure!(started.elapsed() < PATIENCE, "the new policy was not in force after {PATIENCE:?}");
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// For each plugin, how many configurations came into force so far, and how many were rejected.
    async fn swapped(&self) -> Result<Vec<(u64, u64)>> {
        let mut swapped = Vec::new();
        for plugin in self.envoy.plugins() {
            swapped.push(self.envoy.swapped(plugin).await?);
        }
        Ok(swapped)
    }

    pub(super) async fn restore_policy(&self) -> Result<()> {
        self.swap_policy(&self.shipped).await.map(drop)
    }

    /// What Envoy's log says of rejected policies, from this byte on; each line once and without Envoy's prefix.
    fn rejections(&self, from: usize) -> Result<Vec<String>> {
        let log = self.envoy.log()?;
        let mut lines = Vec::new();
        for line in log.get(from..).unwrap_or_default().lines() {
            // `[time][thread][level][wasm] [source] wasm log <plugin> …: <filter>: policy rejected: <what is wrong>`
            if let Some((prefix, what)) = line.split_once(": policy rejected: ") {
                let filter = prefix.rsplit(' ').next().unwrap_or_default();
                let line = format!("{filter}: policy rejected: {what}");
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
        }
        Ok(lines)
    }
}

pub(crate) fn with(request: Request, headers: &[Header<'_>]) -> Request {
    headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}
