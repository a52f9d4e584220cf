//! Between an outbox and the proxy.

use crate::answer::{Answer, BODY_LIMIT};
use crate::outbox::{Nanos, Ticket};
use crate::post::{Address, Post};
use crate::settings::Tuning;
use crate::{Envelope, Settings, Signal};
use sluicegate_host::{Callout, CalloutResponse, CalloutToken, HostError, Level, Vm};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How often the proxy's log hears of records that were dropped: not oftener than this.
const REPORT_EVERY: Nanos = 60_000_000_000;

const USER_AGENT: &str = concat!("sluicegate-otlp/", env!("CARGO_PKG_VERSION"));

/// Sends the records of one signal to a collector through a cluster of the proxy.
///
/// A filter has one as long as its policy lasts, adds records whenever it likes, and hands on its ticks and the answers to
/// callouts. Adding costs no hostcall. What is held is bounded by the policy.
pub struct Exporter {
    post: Rc<Post>,
    tuning: Tuning,
    under_way: RefCell<Vec<UnderWay>>,
    report: RefCell<Report>,
    entropy: Cell<u64>,
}

/// A request that this exporter made, perhaps for an outbox that has no exporter any more.
struct UnderWay {
    token: CalloutToken,
    ticket: Ticket,
    post: Rc<Post>,
}

/// What the proxy's log knows.
#[derive(Default)]
struct Report {
    last: Nanos,
    dropped: u64,
    /// The latest status or message of the collector that explains a drop.
    cause: String,
}

impl Exporter {
    /// An exporter. Make it when the filter is configured.
    ///
    /// # Errors
    /// When the proxy has no clock or takes no metrics.
    pub fn new(signal: Signal, settings: Settings, envelope: Envelope, vm: &Vm) -> Result<Exporter, HostError> {
        let Settings { destination, tuning } = settings;
        let post = Post::join(Address { signal, destination, envelope }, vm.now()?, vm.host())?;
        let report = Report { dropped: post.outbox.borrow().counts().dropped_in_all(), ..Report::default() };
        let entropy = Cell::new(u64::from_le_bytes(vm.entropy().bytes()));
        Ok(Exporter { post, tuning, under_way: RefCell::default(), report: RefCell::new(report), entropy })
    }

    /// Adds a record or span, as [`crate::LogRecord::encode`] or [`crate::Span::encode`] wrote it. One that does not fit
    /// is dropped and counted. No hostcall.
    pub fn add(&self, record: &[u8]) {
        self.post.outbox.borrow_mut().add(record, &self.tuning);
    }

    /// Sends what is due. For [`sluicegate_host::Filter::on_tick`].
    pub fn on_tick(&self, vm: &Vm) {
        let Ok(now) = vm.now() else { return };
        for post in Post::orphans() {
            self.drive(&post, now, vm);
        }
        self.drive(&self.post, now, vm);
        self.report(now, vm);
    }

    /// Takes the answer to a request of this exporter, and sends what has waited for it. `false` where the token is
    /// somebody else's. For [`sluicegate_host::Filter::on_callout_response`].
    pub fn on_callout_response(&self, token: CalloutToken, response: &CalloutResponse<'_>, vm: &Vm) -> bool {
        let request = {
            let mut under_way = self.under_way.borrow_mut();
            let position = under_way.iter().position(|request| request.token == token);
            position.map(|position| under_way.swap_remove(position))
        };
        let Some(UnderWay { ticket, post, .. }) = request else { return false };
        let status = response.status();
        let body = match status {
            Some(200..=299) => response.body(BODY_LIMIT).unwrap_or_default(),
            _ => Vec::new(),
        };
        let answer = Answer { status, retry_after: response.headers().get("retry-after"), body: &body };
        // Without a clock the batch counts as answered at the time that we knew last.
        let now = vm.now().unwrap_or_else(|_| post.outbox.borrow().now());
        self.answered(&post, ticket, &answer, now);
        self.send(&post, vm);
        post.publish();
        true
    }

    fn drive(&self, post: &Rc<Post>, now: Nanos, vm: &Vm) {
        post.outbox.borrow_mut().advance(now, &self.tuning, &mut || self.jitter());
        self.forget_lost(post);
        self.send(post, vm);
        post.publish();
    }

    /// Makes the requests that may be made now.
    fn send(&self, post: &Rc<Post>, vm: &Vm) {
        loop {
            let (ticket, body) = match post.outbox.borrow_mut().next(&self.tuning) {
                Some((ticket, frames)) => (ticket, post.address.envelope.seal(frames)),
                None => return,
            };
            match self.call(post, &body, vm) {
                Ok(token) => {
                    self.under_way.borrow_mut().push(UnderWay { token, ticket, post: Rc::clone(post) });
                }
                // No such cluster (yet), or none of its hosts can be reached: as good as no answer.
                Err(error) => {
                    let now = post.outbox.borrow().now();
                    self.answered(post, ticket, &Answer::default(), now);
                    self.report.borrow_mut().cause = error.to_string();
                }
            }
        }
    }

    fn call(&self, post: &Post, body: &[u8], vm: &Vm) -> Result<CalloutToken, HostError> {
        let destination = &post.address.destination;
        let mut headers = vec![("content-type", "application/x-protobuf")];
        // The operator may say who we are.
        if !destination.headers.iter().any(|(name, _)| name == "user-agent") {
            headers.push(("user-agent", USER_AGENT));
        }
        for (name, value) in &destination.headers {
            if let Ok(value) = std::str::from_utf8(value.bytes()) {
                headers.push((name, value));
            }
        }
        vm.call(&Callout {
            cluster: &destination.cluster,
            method: "POST",
            path: &destination.path,
            authority: &destination.authority,
            headers: &headers,
            body,
            timeout: self.tuning.timeout,
        })
    }

    fn answered(&self, post: &Post, ticket: Ticket, answer: &Answer<'_>, now: Nanos) {
        let message = post.outbox.borrow_mut().answered(ticket, answer, now, &self.tuning, self.jitter());
        let cause = match (message, answer.status) {
            (Some(message), _) => format!("the collector says: {message}"),
            (None, Some(200..=299)) => return,
            (None, Some(status)) => format!("the collector answers {status}"),
            (None, None) => "the collector does not answer".to_owned(),
        };
        self.report.borrow_mut().cause = cause;
    }

    /// Forgets requests that the outbox has given up.
    fn forget_lost(&self, post: &Rc<Post>) {
        let outbox = post.outbox.borrow();
        self.under_way
            .borrow_mut()
            .retain(|request| !Rc::ptr_eq(&request.post, post) || outbox.is_under_way(request.ticket));
    }

    /// Tells the operator of what was dropped, and why, at most once a minute.
    fn report(&self, now: Nanos, vm: &Vm) {
        let mut report = self.report.borrow_mut();
        let dropped = self.post.outbox.borrow().counts().dropped_in_all();
        let is_early = report.last != 0 && now.saturating_sub(report.last) < REPORT_EVERY && now >= report.last;
        if dropped == report.dropped || is_early {
            return;
        }
        let Address { signal, destination, .. } = &self.post.address;
        let more = dropped.saturating_sub(report.dropped);
        let cause = if report.cause.is_empty() { "they did not fit" } else { &report.cause };
        let line = format!("otlp: {more} {} for cluster {} were dropped: {cause}", signal.name(), destination.cluster);
        vm.log(Level::Warn, &line);
        *report = Report { last: now, dropped, cause: String::new() };
    }

    /// A random number: splitmix64, seeded once. It spreads retries, it keeps no secret.
    fn jitter(&self) -> u32 {
        let state = self.entropy.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.entropy.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) as u32
    }
}

/// The requests of a root context end with it.
impl Drop for Exporter {
    fn drop(&mut self) {
        for UnderWay { ticket, post, .. } in self.under_way.take() {
            post.outbox.borrow_mut().interrupted(ticket);
            post.publish();
        }
        self.post.leave();
    }
}

#[cfg(test)]
mod tests;
