//! What waits to be sent, and what becomes of it. No proxy: time, answers and randomness are arguments.

use crate::answer::{Answer, Meaning};
use crate::counts::{Counts, Reason};
use crate::envelope::{frame, framed_size};
use crate::settings::Tuning;
use std::collections::VecDeque;
use std::time::Duration;

/// How many requests to one destination may be under way at once.
pub(crate) const MAX_UNDER_WAY: usize = 2;

/// How long after its time limit we believe that a request is still going to be answered.
const GRACE: Duration = Duration::from_secs(5);

/// Nanoseconds since the Unix epoch.
pub(crate) type Nanos = u64;

/// Names a request that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// Records of one signal on their way to one destination.
#[derive(Default)]
pub(crate) struct Outbox {
    /// Where records are added.
    open: Batch,
    /// Full or old, in the order in which they are to be sent.
    ready: VecDeque<Batch>,
    /// Failed, and not to be sent again yet; in the order of their time.
    waiting: Vec<Waiting>,
    under_way: Vec<UnderWay>,
    /// The collector has asked for peace until then.
    hold_until: Nanos,
    /// The time as we were told last.
    now: Nanos,
    /// Of everything above.
    held_bytes: usize,
    counts: Counts,
    last_ticket: u64,
}

#[derive(Default)]
struct Batch {
    /// The records, each framed as the envelope holds them.
    frames: Vec<u8>,
    records: u64,
    /// No later than the first record's coming.
    opened: Nanos,
    requests: u32,
    failures: u32,
}

struct Waiting {
    until: Nanos,
    batch: Batch,
}

struct UnderWay {
    ticket: Ticket,
    /// From then on it counts as lost.
    deadline: Nanos,
    batch: Batch,
}

impl Outbox {
    pub(crate) fn new(now: Nanos) -> Outbox {
        Outbox { now, ..Outbox::default() }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The time as the outbox was told last.
    pub(crate) fn now(&self) -> Nanos {
        self.now
    }

    pub(crate) fn is_under_way(&self, ticket: Ticket) -> bool {
        self.under_way.iter().any(|request| request.ticket == ticket)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counts.queued == 0 && self.counts.under_way == 0
    }

    /// Adds a record, or drops it where it does not fit.
    pub(crate) fn add(&mut self, record: &[u8], tuning: &Tuning) {
        let size = framed_size(record);
        self.counts.made = self.counts.made.saturating_add(1);
        if size > tuning.batch.max_bytes {
            return self.counts.drop_records(Reason::TooLarge, 1);
        }
        let held_records = self.counts.queued.saturating_add(self.counts.under_way);
        let held_bytes = self.held_bytes.saturating_add(size);
        if held_records >= tuning.queue.max_records || held_bytes > tuning.queue.max_bytes {
            return self.counts.drop_records(Reason::QueueFull, 1);
        }
        if self.open.frames.len().saturating_add(size) > tuning.batch.max_bytes {
            self.close();
        }
        if self.open.records == 0 {
            self.open.opened = self.now;
        }
        frame(&mut self.open.frames, record);
        self.open.records = self.open.records.saturating_add(1);
        self.counts.queued = self.counts.queued.saturating_add(1);
        self.held_bytes = held_bytes;
        if self.open.records >= tuning.batch.max_records {
            self.close();
        }
    }

    /// Time has passed: what is old becomes ready, and requests whose answer is lost are given up.
    pub(crate) fn advance(&mut self, now: Nanos, tuning: &Tuning, jitter: &mut dyn FnMut() -> u32) {
        self.set_time(now);
        while let Some(lost) = self.under_way.iter().position(|request| request.deadline <= now) {
            let UnderWay { batch, .. } = self.under_way.swap_remove(lost);
            self.back_in_queue(&batch);
            self.fail(batch, None, tuning, jitter());
        }
        // Those that failed are the oldest, so they go first; among them, the one whose time came first.
        let due = self.waiting.partition_point(|waiting| waiting.until <= now);
        for waiting in self.waiting.drain(..due).rev() {
            self.ready.push_front(waiting.batch);
        }
        if self.open.records > 0 && now.saturating_sub(self.open.opened) >= nanos(tuning.batch.max_age) {
            self.close();
        }
    }

    /// The next request to be made now, if any, with the records in it. It is under way from here on; whoever gets it
    /// owes [`Outbox::answered`] or [`Outbox::interrupted`].
    pub(crate) fn next(&mut self, tuning: &Tuning) -> Option<(Ticket, &[u8])> {
        if self.under_way.len() >= MAX_UNDER_WAY || self.now < self.hold_until {
            return None;
        }
        let mut batch = self.ready.pop_front()?;
        if batch.requests > 0 {
            self.counts.retried = self.counts.retried.saturating_add(batch.records);
        }
        batch.requests = batch.requests.saturating_add(1);
        self.counts.queued = self.counts.queued.saturating_sub(batch.records);
        self.counts.under_way = self.counts.under_way.saturating_add(batch.records);
        self.last_ticket = self.last_ticket.wrapping_add(1);
        let ticket = Ticket(self.last_ticket);
        let deadline = self.now.saturating_add(nanos(tuning.timeout.saturating_add(GRACE)));
        self.under_way.push(UnderWay { ticket, deadline, batch });
        self.under_way.last().map(|request| (ticket, request.batch.frames.as_slice()))
    }

    /// A request was answered or failed. Returns what the collector said about records that it did not take, if it
    /// said something. An answer that comes after its request was given up changes nothing.
    pub(crate) fn answered(
        &mut self,
        ticket: Ticket,
        answer: &Answer<'_>,
        now: Nanos,
        tuning: &Tuning,
        jitter: u32,
    ) -> Option<String> {
        self.set_time(now);
        let batch = self.take(ticket)?;
        match answer.meaning(now) {
            Meaning::Taken { rejected, message } => {
                let rejected = rejected.min(batch.records);
                self.counts.sent = self.counts.sent.saturating_add(batch.records.saturating_sub(rejected));
                self.counts.drop_records(Reason::Rejected, rejected);
                self.let_go(&batch);
                return Some(message).filter(|message| !message.is_empty());
            }
            Meaning::Retry { not_before } => self.fail(batch, not_before, tuning, jitter),
            Meaning::Refused => self.drop_batch(&batch, Reason::Refused),
        }
        None
    }

    /// A request ended with the context that made it: neither the collector's fault nor the batch's.
    pub(crate) fn interrupted(&mut self, ticket: Ticket) {
        if let Some(batch) = self.take(ticket) {
            self.ready.push_front(batch);
        }
    }

    /// Gives up everything.
    pub(crate) fn stop(&mut self) {
        for UnderWay { batch, .. } in std::mem::take(&mut self.under_way) {
            self.back_in_queue(&batch);
        }
        let mut counts = self.counts;
        counts.drop_records(Reason::Stopped, counts.queued);
        counts.queued = 0;
        // Tickets go on, so that an answer to what was given up finds nothing.
        *self = Outbox { counts, last_ticket: self.last_ticket, ..Outbox::new(self.now) };
    }

    /// Takes a batch out of those under way; it counts as queued again.
    fn take(&mut self, ticket: Ticket) -> Option<Batch> {
        let position = self.under_way.iter().position(|request| request.ticket == ticket)?;
        let UnderWay { batch, .. } = self.under_way.swap_remove(position);
        self.back_in_queue(&batch);
        Some(batch)
    }

    fn fail(&mut self, mut batch: Batch, asked_for: Option<Duration>, tuning: &Tuning, jitter: u32) {
        batch.failures = batch.failures.saturating_add(1);
        if let Some(wait) = asked_for {
            self.hold_until = self.hold_until.max(self.now.saturating_add(nanos(wait)));
        }
        if batch.failures >= tuning.retry.attempts {
            return self.drop_batch(&batch, Reason::Attempts);
        }
        let until = self.now.saturating_add(nanos(tuning.retry.wait(batch.failures, asked_for, jitter)));
        if until.saturating_sub(batch.opened) > nanos(tuning.retry.max_age) {
            return self.drop_batch(&batch, Reason::Expired);
        }
        let place = self.waiting.partition_point(|waiting| waiting.until <= until);
        self.waiting.insert(place, Waiting { until, batch });
    }

    fn close(&mut self) {
        if self.open.records > 0 {
            self.ready.push_back(std::mem::take(&mut self.open));
        }
    }

    fn back_in_queue(&mut self, batch: &Batch) {
        self.counts.under_way = self.counts.under_way.saturating_sub(batch.records);
        self.counts.queued = self.counts.queued.saturating_add(batch.records);
    }

    fn drop_batch(&mut self, batch: &Batch, reason: Reason) {
        self.counts.drop_records(reason, batch.records);
        self.let_go(batch);
    }

    fn let_go(&mut self, batch: &Batch) {
        self.counts.queued = self.counts.queued.saturating_sub(batch.records);
        self.held_bytes = self.held_bytes.saturating_sub(batch.frames.len());
    }

    /// The clock is the system's and may be set back; then everything we remember goes back with it, so that no wait
    /// becomes longer than it was to be.
    fn set_time(&mut self, now: Nanos) {
        let back = self.now.saturating_sub(now);
        self.now = now;
        if back == 0 {
            return;
        }
        self.hold_until = self.hold_until.saturating_sub(back);
        self.open.opened = self.open.opened.saturating_sub(back);
        for batch in &mut self.ready {
            batch.opened = batch.opened.saturating_sub(back);
        }
        for Waiting { until, batch } in &mut self.waiting {
            *until = until.saturating_sub(back);
            batch.opened = batch.opened.saturating_sub(back);
        }
        for UnderWay { deadline, batch, .. } in &mut self.under_way {
            *deadline = deadline.saturating_sub(back);
            batch.opened = batch.opened.saturating_sub(back);
        }
    }
}

fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
