//! What a worker knows of a breaker and has not merged yet.

use crate::moment::Second;
use crate::probe::{News, Report};
use crate::run::Run;
use crate::settings::Span;
use crate::state::{Epoch, UNKNOWN};
use crate::window::{Call, Window};

/// The outcomes of requests that were admitted in one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) epoch: Epoch,
    /// Of requests that were admitted in the closed state.
    pub(crate) calls: Window,
    pub(crate) run: Run,
    /// Of trial requests.
    pub(crate) reports: Vec<Report>,
}

impl Pending {
    pub(crate) fn new(span: Span) -> Pending {
        Pending { epoch: UNKNOWN, calls: Window::new(span), run: Run::default(), reports: Vec::new() }
    }

    /// What comes now belongs to this epoch. What is of an earlier one will not be wanted any more: it is given back as the
    /// number of its calls.
    pub(crate) fn begin(&mut self, epoch: Epoch) -> u64 {
        let late = if self.epoch == epoch { 0 } else { self.clear() };
        self.epoch = epoch;
        late
    }

    /// A call ended.
    pub(crate) fn call(&mut self, call: Call, now: Second) {
        self.calls.record(call, now);
        self.run.push(call.failed);
    }

    /// A trial request has something to say.
    pub(crate) fn report(&mut self, number: u32, news: News) {
        self.reports.push(Report { number, news });
    }

    /// Forgets everything; how many calls that were.
    pub(crate) fn clear(&mut self) -> u64 {
        let calls = self.calls.totals().calls;
        *self = Pending { epoch: self.epoch, ..Pending::new(self.calls.span()) };
        calls
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.reports.is_empty()
    }
}
