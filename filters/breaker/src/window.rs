//! A sliding window over the outcomes of calls: by time or by count.

mod calls;
mod seconds;

pub(crate) use calls::{Call, Calls};
pub(crate) use seconds::{Seconds, Slot};

use crate::moment::{Second, last_second};
use crate::settings::Span;

/// How many calls there were, and how many of them failed or were slow. A call can be both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// All calls.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that were slow.
    pub slow: u64,
}

/// The outcomes of the last calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    span: Span,
    counts: Counts,
}

/// What is kept of the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    Seconds(Seconds),
    Calls(Calls),
}

impl Window {
    pub(crate) fn new(span: Span) -> Window {
        let counts = match span {
            Span::Seconds(_) => Counts::Seconds(Seconds::default()),
            Span::Calls(_) => Counts::Calls(Calls::default()),
        };
        Window { span, counts }
    }

    /// A window with these counts; `None` where they are of another kind.
    pub(crate) fn of(span: Span, counts: Counts) -> Option<Window> {
        let fits =
            matches!((span, &counts), (Span::Seconds(_), Counts::Seconds(_)) | (Span::Calls(_), Counts::Calls(_)));
        fits.then_some(Window { span, counts })
    }

    pub(crate) fn span(&self) -> Span {
        self.span
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A call ended now.
    pub(crate) fn record(&mut self, call: Call, now: Second) {
        match &mut self.counts {
            Counts::Seconds(seconds) => seconds.add(Slot::of(call, self.span.slot(now))),
            Counts::Calls(calls) => calls.push(call),
        }
        self.slide(now);
    }

    /// Another length; what it held goes on to count. A window of another kind begins anew.
    pub(crate) fn resize(&mut self, span: Span) {
        if std::mem::discriminant(&span) == std::mem::discriminant(&self.span) {
            self.span = span;
        } else {
            *self = Window::new(span);
        }
    }

    /// These calls too. By count, they follow those that are there: a worker's calls of one tick stand together, in their
    /// order, and the workers' in the order in which they are merged. Calls that were counted in the other way are of a
    /// policy that is on its way out, and are left out.
    pub(crate) fn add_all(&mut self, more: &Window, now: Second) {
        match (&mut self.counts, &more.counts) {
            (Counts::Seconds(seconds), Counts::Seconds(more)) => more.iter().for_each(|slot| seconds.add(slot)),
            (Counts::Calls(calls), Counts::Calls(more)) => more.iter().for_each(|call| calls.push(call)),
            _ => {}
        }
        self.slide(now);
    }

    /// Forgets what has left the window, and what lies in the future because the clock was set back. A slot leaves when its
    /// beginning is as old as the window is long.
    pub(crate) fn slide(&mut self, now: Second) {
        match (&mut self.counts, self.span) {
            (Counts::Seconds(seconds), Span::Seconds(length)) => {
                seconds.keep(now.saturating_add(1).saturating_sub(length.into()), last_second(now));
            }
            (Counts::Calls(calls), Span::Calls(length)) => calls.keep_last(length.into()),
            _ => {}
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        match &self.counts {
            Counts::Seconds(seconds) => seconds.totals(),
            Counts::Calls(calls) => calls.totals(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.totals() == Totals::default()
    }
}

#[cfg(test)]
mod tests;
