//! What a collector has seen and what it said to it.

use std::fmt;
use std::time::Instant;

use crate::seen::Seen;

use super::batch::{Batch, Refusal, Signal};

/// What is kept of what comes: far more than any test sends.
const MAX_REQUESTS: usize = 200_000;
/// Bytes.
const MAX_BODIES: usize = 512 << 20;
/// The first ones tell.
const MAX_PROBLEMS: usize = 100;

/// A request that came whole.
#[derive(Clone, Debug)]
pub struct Request {
    /// When the last byte of it was there.
    pub at: Instant,
    /// Method, path, version and headers.
    pub seen: Seen,
    /// `host`, or `:authority` of HTTP/2.
    pub authority: String,
    /// Bytes of its body.
    pub bytes: usize,
    /// How many log records or spans it brought; 0 where it was refused.
    pub records: usize,
    /// How it was answered; `None` where it is not, or not yet.
    pub status: Option<u16>,
}

/// So many log records, so many spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Log records.
    pub log_records: u64,
    /// Spans.
    pub spans: u64,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    requests: Vec<Request>,
    /// In the order of their acknowledgement, with how many of each were, the first ones.
    batches: Vec<(Batch, usize)>,
    bodies: usize,
    received: Counts,
    acknowledged: Counts,
    rejected: Counts,
    problems: Vec<String>,
}

/// A request in the ledger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry(usize);

impl Request {
    /// The first value of a header, by its lower-case name; each byte one `char`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.seen.header(name)
    }

    /// The header `user-agent`.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.header("user-agent")
    }
}

impl Counts {
    fn add(&mut self, signal: Signal, records: usize) {
        let count = match signal {
            Signal::Logs => &mut self.log_records,
            Signal::Traces => &mut self.spans,
        };
        *count = count.saturating_add(u64::try_from(records).unwrap_or(u64::MAX));
    }
}

impl Ledger {
    pub(super) fn requests(&self) -> &[Request] {
        &self.requests
    }

    pub(super) fn acknowledged_batches(&self, signal: Signal) -> Vec<(Batch, usize)> {
        self.batches.iter().filter(|(batch, _)| batch.signal == signal).cloned().collect()
    }

    pub(super) fn received(&self) -> Counts {
        self.received
    }

    pub(super) fn acknowledged(&self) -> Counts {
        self.acknowledged
    }

    pub(super) fn rejected(&self) -> Counts {
        self.rejected
    }

    pub(super) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Enters a request that came; `None` where there is no more room.
    pub(super) fn enter(&mut self, request: Request, content: &Result<Batch, Refusal>) -> Option<Entry> {
        let bodies = self.bodies.saturating_add(request.bytes);
        if self.requests.len() >= MAX_REQUESTS || bodies > MAX_BODIES {
            self.problem("the collector is full".to_owned());
            return None;
        }
        match content {
            Ok(batch) => {
                self.received.add(batch.signal, batch.records);
                let line = format!("{} {}", request.seen.method, request.seen.path);
                batch.complaints.iter().for_each(|complaint| self.problem(format!("{line}: {complaint}")));
            }
            Err(refusal) => self.problem(format!("{} {}: {refusal}", request.seen.method, request.seen.path)),
        }
        self.bodies = bodies;
        let entry = Entry(self.requests.len());
        self.requests.push(request);
        Some(entry)
    }

    /// Notes the answer to a request.
    pub(super) fn answered(&mut self, entry: Entry, status: u16) {
        if let Some(request) = self.requests.get_mut(entry.0) {
            request.status = Some(status);
        }
    }

    /// Notes that the first `accepted` records are acknowledged and the others rejected.
    pub(super) fn acknowledge(&mut self, batch: Batch, accepted: usize) {
        self.acknowledged.add(batch.signal, accepted);
        self.rejected.add(batch.signal, batch.records.saturating_sub(accepted));
        self.batches.push((batch, accepted));
    }

    pub(super) fn problem(&mut self, problem: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }
}

/// Such as `acknowledged: 3 log records, 0 spans; rejected: …; received: … in 2 requests`, and the problems.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, rejected, received, requests, .. } = self;
        write!(f, "acknowledged: {acknowledged}; rejected: {rejected}; received: {received}")?;
        write!(f, " in {} requests", requests.len())?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} log records, {} spans", self.log_records, self.spans)
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;

    fn request(bytes: usize) -> Request {
        let seen =
            Seen { method: "POST".into(), path: "/v1/logs".into(), version: "HTTP/1.1".into(), headers: Vec::new() };
        Request { at: Instant::now(), seen, authority: String::new(), bytes, records: 0, status: None }
    }

    fn empty() -> Result<Batch, Refusal> {
        Ok(Batch { signal: Signal::Logs, records: 1, body: bytes::Bytes::new(), complaints: Vec::new() })
    }

    #[test]
    fn it_takes_so_many_bytes_and_no_more() {
        let mut ledger = Ledger::default();
        assert!(ledger.enter(request(MAX_BODIES), &empty()).is_some());
        assert!(ledger.enter(request(1), &empty()).is_none());
        assert!(ledger.enter(request(0), &empty()).is_some());
        assert_eq!((ledger.requests().len(), ledger.received().log_records), (2, 2));
        assert_eq!(ledger.problems(), ["the collector is full"]);
    }

    #[test]
    fn it_takes_so_many_requests_and_no_more() {
        let mut ledger = Ledger::default();
        assert!((0..MAX_REQUESTS).all(|_| ledger.enter(request(0), &empty()).is_some()));
        assert!(ledger.enter(request(0), &empty()).is_none());
        assert_eq!(ledger.requests().len(), MAX_REQUESTS);
    }

    #[test]
    fn it_keeps_the_first_problems() {
        let mut ledger = Ledger::default();
        for n in 0..MAX_PROBLEMS * 2 {
            ledger.enter(request(0), &Err(Refusal::new(StatusCode::NOT_FOUND, n.to_string())));
        }
        assert_eq!(ledger.problems().len(), MAX_PROBLEMS);
        assert_eq!(ledger.problems()[0], "POST /v1/logs: 404 Not Found: 0");
    }
}
