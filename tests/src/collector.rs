//! An OpenTelemetry collector's OTLP/HTTP receiver: `POST /v1/logs` and `/v1/traces`, protobuf, over HTTP/1.1 and HTTP/2
//! without TLS on one port. It reads with OpenTelemetry's own definitions, keeps what it acknowledged, and misbehaves
//! on command.
//!
//! ```no_run
//! # use std::time::Duration;
//! # const PATIENCE: Duration = Duration::from_secs(20);
//! # async fn example() -> anyhow::Result<()> {
//! use hyper::StatusCode;
//! use serde_json::json;
//! use sluicegate_tests::collector::{Answer, Collector};
//!
//! let mut collector = Collector::start().await?;
//! // … an Envoy whose cluster is `collector.address()` logs to it …
//! let records = collector.wait_for_log_records(1, PATIENCE).await?;
//! assert_eq!(records[0].resource["service.name"], json!("checkout"));
//! assert_eq!(records[0].attributes["http.response.status_code"], json!(200));
//!
//! collector.answer(Answer::status(StatusCode::SERVICE_UNAVAILABLE).retry_after(2));
//! collector.hold(Duration::from_millis(300));
//! // … refuses what comes now, and takes its time …
//! collector.stop().await;
//! // … is gone …
//! collector.restart().await?;
//! assert_eq!(collector.problems(), [""; 0]);
//! # Ok(())
//! # }
//! ```

mod answer;
mod batch;
mod conformance;
mod ledger;
mod record;
mod server;
#[cfg(test)]
mod tests;
mod value;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::watch;
use tokio::time::timeout;

pub use answer::Answer;
pub use ledger::{Counts, Request};
pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
pub use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatusCode;
pub use record::{Link, LogRecord, Scope, Span, SpanStatus};
pub use value::Attributes;

use batch::Signal;
use ledger::Ledger;

use crate::serving::Serving;

/// A collector, running or stopped. Dropping it closes the port and cuts its connections.
#[derive(Debug)]
pub struct Collector {
    serving: Serving,
    desk: Arc<Desk>,
}

/// What all connections of a collector share.
#[derive(Debug, Default)]
struct Desk {
    // Watched, so that a test can wait for what comes.
    ledger: watch::Sender<Ledger>,
    orders: watch::Sender<Orders>,
}

/// How to answer.
#[derive(Clone, Debug, Default)]
struct Orders {
    answer: Answer,
    hold: Duration,
}

impl Collector {
    /// Starts one on a free port of the loopback interface, inside the current tokio runtime. It acknowledges
    /// everything, at once.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self> {
        let mut collector = Self { serving: Serving::reserve("collector")?, desk: Arc::default() };
        collector.restart().await?;
        Ok(collector)
    }

    /// Where it listens, when it does.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// The port of [`Self::address`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// How requests that come from now on are answered. Those under way are answered as it was when they came.
    pub fn answer(&self, answer: Answer) {
        self.desk.orders.send_modify(|orders| orders.answer = answer);
    }

    /// How long each answer to a request that comes from now on is held back, whatever the answer is.
    pub fn hold(&self, hold: Duration) {
        self.desk.orders.send_modify(|orders| orders.hold = hold);
    }

    /// Dies as a process that is killed: closes the port and resets all connections. What was under way is not
    /// acknowledged, now or later; what it has received it keeps. New connections are refused.
    pub async fn stop(&mut self) {
        self.serving.stop().await;
    }

    /// Listens again on the same port, with the same orders and all that it has received. Where it still runs, it is
    /// stopped first.
    ///
    /// # Errors
    /// When the port cannot be listened on.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        let desk = Arc::clone(&self.desk);
        self.serving.listen(move |stream, stopped| server::serve(stream, Arc::clone(&desk), stopped))
    }

    /// Every log record that was acknowledged, in that order.
    #[must_use]
    pub fn log_records(&self) -> Vec<LogRecord> {
        let batches = self.desk.ledger.borrow().acknowledged_batches(Signal::Logs);
        batches.iter().flat_map(|(batch, accepted)| batch.log_records().into_iter().take(*accepted)).collect()
    }

    /// Every span that was acknowledged, in that order.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let batches = self.desk.ledger.borrow().acknowledged_batches(Signal::Traces);
        batches.iter().flat_map(|(batch, accepted)| batch.spans().into_iter().take(*accepted)).collect()
    }

    /// Every request that came whole, in that order, whatever its answer.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.desk.ledger.borrow().requests().to_vec()
    }

    /// How much came whole and could be read, whatever the answer. A record that is sent twice counts twice.
    #[must_use]
    pub fn received(&self) -> Counts {
        self.desk.ledger.borrow().received()
    }

    /// How much was acknowledged: what [`Self::log_records`] and [`Self::spans`] return, only counted. A client whose
    /// connection breaks before it has read the answer does not know, and sends again.
    #[must_use]
    pub fn acknowledged(&self) -> Counts {
        self.desk.ledger.borrow().acknowledged()
    }

    /// How much was rejected by a `partial_success` (see [`Answer::Reject`]).
    #[must_use]
    pub fn rejected(&self) -> Counts {
        self.desk.ledger.borrow().rejected()
    }

    /// What clients did wrong, the first hundred: requests that were refused, and what could be read but is not as
    /// OTLP demands it. Answers that were ordered are no problem.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.desk.ledger.borrow().problems().to_vec()
    }

    /// Waits until so many log records in total are acknowledged, and returns all there are.
    ///
    /// # Errors
    /// When there are fewer after `patience`; the error says what there is.
    pub async fn wait_for_log_records(&self, n: u64, patience: Duration) -> Result<Vec<LogRecord>> {
        self.wait_until(patience, |ledger| ledger.acknowledged().log_records >= n)
            .await
            .with_context(|| format!("no {n} log records in {patience:?}"))?;
        Ok(self.log_records())
    }

    /// Waits until so many spans in total are acknowledged, and returns all there are.
    ///
    /// # Errors
    /// When there are fewer after `patience`; the error says what there is.
    pub async fn wait_for_spans(&self, n: u64, patience: Duration) -> Result<Vec<Span>> {
        self.wait_until(patience, |ledger| ledger.acknowledged().spans >= n)
            .await
            .with_context(|| format!("no {n} spans in {patience:?}"))?;
        Ok(self.spans())
    }

    /// Waits until so many requests in total have come whole, whatever their answers, and returns all there are.
    ///
    /// # Errors
    /// When there are fewer after `patience`; the error says what there is.
    pub async fn wait_for_requests(&self, n: usize, patience: Duration) -> Result<Vec<Request>> {
        self.wait_until(patience, |ledger| ledger.requests().len() >= n)
            .await
            .with_context(|| format!("no {n} requests in {patience:?}"))?;
        Ok(self.requests())
    }

    async fn wait_until(&self, patience: Duration, enough: impl FnMut(&Ledger) -> bool) -> Result<()> {
        let mut ledger = self.desk.ledger.subscribe();
        match timeout(patience, ledger.wait_for(enough)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(anyhow!("{}", *self.desk.ledger.borrow())),
        }
    }
}
