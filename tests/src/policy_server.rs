//! An HTTP server with one document, a policy, that tests set and take away. It speaks to a poller as such servers do:
//! with ETags (RFC 9110 §8.8.3, §13.1.2), or as Consul's KV store does, with blocking queries. It counts what it is asked,
//! and misbehaves on command.
//!
//! ```no_run
//! # use std::time::Duration;
//! # async fn example() -> anyhow::Result<()> {
//! use hyper::StatusCode;
//! use sluicegate_tests::envoy::Bootstrap;
//! use sluicegate_tests::policy_server::{Answer, PolicyServer};
//!
//! let mut server = PolicyServer::consul()?;
//! // The policy's source: `{ http: { cluster: policies, path: <server.path()>, … } }`.
//! let envoy = Bootstrap::shipped()?.cluster("policies", server.address()).start().await?;
//! server.set(r#"{"version": "1.0"}"#);
//! server.wait_for_requests(2, Duration::from_secs(5)).await?;
//! assert_eq!(server.last_query().as_deref(), Some("raw&index=2&wait=60s"));
//!
//! server.answer(Answer::Status(StatusCode::INTERNAL_SERVER_ERROR));
//! // … fails …
//! server.answer(Answer::Document);
//! server.reset_index();
//! // … was restored from a backup …
//! server.stop().await;
//! // … is gone …
//! server.restart().await?;
//! # Ok(())
//! # }
//! ```

mod consul;
mod etag;
mod server;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use hyper::StatusCode;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::seen::Seen;
use crate::serving::Serving;

/// Where a server with ETags has the document.
const FILE: &str = "/policies/checkout.json";
/// The key that a Consul has it under.
const KEY: &str = "sluicegate/policy/checkout";

/// How requests are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// With the document, as the protocol has it.
    #[default]
    Document,
    /// With this status and a line that says so.
    Status(StatusCode),
    /// With 200 and so many bytes that are no policy.
    Bytes(usize),
    /// Never: until the client gives up or the server stops.
    Never,
}

/// What `ETag` the document comes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Etags {
    /// `"…"`.
    #[default]
    Strong,
    /// `W/"…"`.
    Weak,
    /// None, and so every answer is whole.
    Absent,
}

/// A server, running or stopped. Dropping it closes the port and cuts its connections.
#[derive(Debug)]
pub struct PolicyServer {
    serving: Serving,
    desk: Arc<Desk>,
}

/// What all connections of a server share. All of it is watched, so that somebody can wait for it.
#[derive(Debug)]
struct Desk {
    kind: Kind,
    shelf: watch::Sender<Shelf>,
    orders: watch::Sender<Orders>,
    ledger: watch::Sender<Ledger>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Etag,
    Consul,
}

/// The document and what Consul knows about it.
#[derive(Clone, Debug)]
struct Shelf {
    document: Option<Bytes>,
    /// Consul's index of its last change, never 0.
    index: u64,
    created: u64,
    /// How often the index began over.
    resets: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    answer: Answer,
    etags: Etags,
}

#[derive(Debug, Default)]
struct Ledger {
    requests: u64,
    unanswered: u64,
    last: Option<Seen>,
}

impl PolicyServer {
    /// Starts a server with ETags and without a document on a free port of the loopback interface, inside the current
    /// tokio runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start() -> Result<Self> {
        Self::begin(Kind::Etag)
    }

    /// Starts one that answers as Consul does for a key, without a value at first.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn consul() -> Result<Self> {
        Self::begin(Kind::Consul)
    }

    fn begin(kind: Kind) -> Result<Self> {
        let shelf = Shelf { document: None, index: 1, created: 0, resets: 0 };
        let shelf = watch::Sender::new(shelf);
        let desk = Desk { kind, shelf, orders: watch::Sender::default(), ledger: watch::Sender::default() };
        let mut server = Self { serving: Serving::reserve("policy server")?, desk: Arc::new(desk) };
        server.listen()?;
        Ok(server)
    }

    /// Where it listens, when it does.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// The path of the document, without a query. Every other path is 404.
    #[must_use]
    pub fn path(&self) -> String {
        self.desk.kind.path()
    }

    /// Puts a document there. Consul's index goes on, even if it is the same document.
    pub fn set(&self, document: impl Into<Bytes>) {
        let document = document.into();
        self.desk.shelf.send_modify(|shelf| {
            shelf.index = shelf.index.saturating_add(1);
            if shelf.document.replace(document).is_none() {
                shelf.created = shelf.index;
            }
        });
    }

    /// Takes the document away.
    pub fn remove(&self) {
        self.desk.shelf.send_modify(|shelf| {
            shelf.index = shelf.index.saturating_add(1);
            shelf.document = None;
        });
    }

    /// Consul's index begins over at 1, with the same document, as when its state was restored from elsewhere. Queries
    /// that wait are answered, as Consul does when it drops the state that they wait on; those that come with an index
    /// of before wait in vain.
    pub fn reset_index(&self) {
        self.desk.shelf.send_modify(|shelf| {
            shelf.index = 1;
            shelf.created = 1;
            shelf.resets = shelf.resets.saturating_add(1);
        });
    }

    /// How requests that come from now on are answered.
    pub fn answer(&self, answer: Answer) {
        self.desk.orders.send_modify(|orders| orders.answer = answer);
    }

    /// What ETag the document has from now on. Consul's has none.
    pub fn etags(&self, etags: Etags) {
        self.desk.orders.send_modify(|orders| orders.etags = etags);
    }

    /// Dies as a process that is killed: closes the port and all connections.
    pub async fn stop(&mut self) {
        self.serving.stop().await;
    }

    /// Listens again on the same port, with the same document and orders. Where it still runs, it is stopped first.
    ///
    /// # Errors
    /// When the port cannot be listened on.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        self.listen()
    }

    fn listen(&mut self) -> Result<()> {
        let desk = Arc::clone(&self.desk);
        self.serving.listen(move |stream, stopped| server::serve(stream, Arc::clone(&desk), stopped))
    }

    /// How many requests have come in so far, of whatever path.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.desk.ledger.borrow().requests
    }

    /// How many of them have no answer yet, and somebody who still waits for it.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.desk.ledger.borrow().unanswered
    }

    /// The last request.
    #[must_use]
    pub fn last(&self) -> Option<Seen> {
        self.desk.ledger.borrow().last.clone()
    }

    /// The query of the last request, without its question mark.
    #[must_use]
    pub fn last_query(&self) -> Option<String> {
        self.last()?.path.split_once('?').map(|(_, query)| query.to_owned())
    }

    /// Waits until so many requests in total have come in.
    ///
    /// # Errors
    /// When there are fewer after `patience`.
    pub async fn wait_for_requests(&self, n: u64, patience: Duration) -> Result<()> {
        let mut ledger = self.desk.ledger.subscribe();
        let enough = timeout(patience, ledger.wait_for(|ledger| ledger.requests >= n)).await.is_ok();
        ensure!(enough, "{} requests of {n} after {patience:?}", self.requests());
        Ok(())
    }
}

impl Kind {
    fn path(self) -> String {
        match self {
            Self::Etag => FILE.to_owned(),
            Self::Consul => format!("/v1/kv/{KEY}"),
        }
    }
}
