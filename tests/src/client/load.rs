//! Many requests over a few connections: as fast as they are answered ([`Load`]), or so many a second ([`Pace`]).

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Connection, Protocol, Reply, Request};

/// Errors that a report keeps the text of; the others are only counted.
const KEPT_ERRORS: usize = 10;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many requests in total.
    Requests(u64),
    /// When so much time has gone by.
    Elapsed(Duration),
}

/// How hard to push: each connection sends its next request when the last is answered, and is kept open.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Connections at a time.
    pub connections: usize,
    /// What they speak.
    pub protocol: Protocol,
    /// How long.
    pub until: Until,
}

/// What became of the requests.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many answers of each status.
    pub statuses: BTreeMap<u16, u64>,
    /// How many requests had no whole answer.
    pub errors: u64,
    /// The first few of those errors.
    pub error_texts: Vec<String>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

impl Load {
    /// Runs it. `request` makes the n-th request, from 0.
    pub async fn run<F>(self, to: SocketAddr, request: F) -> Report
    where
        F: Fn(u64) -> Request + Send + Sync + 'static,
    {
        let started = Instant::now();
        let request = Arc::new(request);
        let next = Arc::new(AtomicU64::new(0));
        let mut connections = tokio::task::JoinSet::new();
        for _ in 0..self.connections {
            let (request, next) = (Arc::clone(&request), Arc::clone(&next));
            connections.spawn(async move {
                let mut report = Report::default();
                let mut connection = None;
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let over = match self.until {
                        Until::Requests(total) => n >= total,
                        Until::Elapsed(duration) => started.elapsed() >= duration,
                    };
                    if over {
                        return report;
                    }
                    report.add(one(&mut connection, to, self.protocol, &request(n)).await);
                }
            });
        }
        let mut total = Report::default();
        while let Some(finished) = connections.join_next().await {
            match finished {
                Ok(report) => total.merge(report),
                Err(panic) => total.add(Err(panic.into())),
            }
        }
        total.elapsed = started.elapsed();
        total
    }
}

/// So many requests a second, at even distances, over HTTP/1.1. A late answer delays what is due on its connection, which
/// then follows as fast as it is answered.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Connections at a time, kept open; at least one.
    pub connections: u32,
    /// Requests a second, over all of them.
    pub per_second: u32,
    /// How long: the last request is due before that.
    pub lasts: Duration,
}

impl Pace {
    /// Runs it. `request` makes the n-th request, from 0; `read` takes from its answer what is wanted of it, and is told
    /// when it was sent, since the load began. The results of a connection are in order, those of all are not.
    ///
    /// # Errors
    /// When a request has no whole answer, or `read` makes nothing of it.
    pub async fn run<T, Q, R>(self, to: SocketAddr, request: Q, read: R) -> Result<Vec<T>>
    where
        T: Send + 'static,
        Q: Fn(u32) -> Request + Send + Sync + 'static,
        R: Fn(u32, Duration, &Reply) -> Result<T> + Send + Sync + 'static,
    {
        let began = Instant::now();
        let work = Arc::new((request, read));
        let mut connections = tokio::task::JoinSet::new();
        for first in 0..self.connections {
            let work = Arc::clone(&work);
            connections.spawn(async move {
                let (request, read) = &*work;
                let mut connection = Connection::open(to, Protocol::Http1).await?;
                let mut results = Vec::new();
                let mut n = first;
                while let Some(due) = self.due(n) {
                    tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
                    let at = began.elapsed();
                    results.push(read(n, at, &connection.send(&request(n)).await?)?);
                    n = n.saturating_add(self.connections);
                }
                anyhow::Ok(results)
            });
        }
        let mut all = Vec::new();
        while let Some(finished) = connections.join_next().await {
            all.extend(finished??);
        }
        Ok(all)
    }

    /// When the n-th request is due, if the load lasts so long.
    fn due(self, n: u32) -> Option<Duration> {
        let due = Duration::from_secs(n.into()).checked_div(self.per_second)?;
        (due < self.lasts).then_some(due)
    }
}

/// Sends over the connection if it is still open, else over a new one. One that failed is not used again.
async fn one(kept: &mut Option<Connection>, to: SocketAddr, protocol: Protocol, request: &Request) -> Result<u16> {
    let mut connection = match kept.take().filter(Connection::is_open) {
        Some(connection) => connection,
        None => Connection::open(to, protocol).await?,
    };
    let status = connection.send(request).await?.status.as_u16();
    *kept = Some(connection);
    Ok(status)
}

impl Report {
    /// How many requests were sent.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.statuses.values().fold(self.errors, |total, count| total.saturating_add(*count))
    }

    /// How many were answered with this status.
    #[must_use]
    pub fn answered(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// Answers per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "nobody sends 2^52 requests")]
        let total = self.total() as f64;
        total / self.elapsed.as_secs_f64()
    }

    fn add(&mut self, outcome: Result<u16>) {
        match outcome {
            Ok(status) => {
                let count = self.statuses.entry(status).or_default();
                *count = count.saturating_add(1);
            }
            Err(error) => {
                self.errors = self.errors.saturating_add(1);
                if self.error_texts.len() < KEPT_ERRORS {
                    self.error_texts.push(format!("{error:#}"));
                }
            }
        }
    }

    fn merge(&mut self, other: Self) {
        for (status, count) in other.statuses {
            let total = self.statuses.entry(status).or_default();
            *total = total.saturating_add(count);
        }
        self.errors = self.errors.saturating_add(other.errors);
        let room = KEPT_ERRORS.saturating_sub(self.error_texts.len());
        self.error_texts.extend(other.error_texts.into_iter().take(room));
    }
}

/// Such as `40000 requests in 4.2 s (9500/s): 200 × 40000, errors × 0`, and the first errors.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests in {:.1} s ({:.0}/s): ", self.total(), self.elapsed.as_secs_f64(), self.rate())?;
        for (status, count) in &self.statuses {
            write!(f, "{status} × {count}, ")?;
        }
        write!(f, "errors × {}", self.errors)?;
        self.error_texts.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}
