//! When it is, and since when we have been watching.

use super::slots::Second;

/// Nanoseconds since the Unix epoch.
pub(crate) type Nanos = u64;

const NANOS_PER_SECOND: Nanos = 1_000_000_000;

/// Threads read the clock at slightly different times: another may be ahead by a moment, and in the next second.
const AHEAD: Second = 1;

/// We are called several times a second. Where so much time has passed in between, the clock was set forward or we were
/// not running; either way we do not know what happened meanwhile. The length of the shortest window.
const SET_FORWARD: Nanos = 5_000_000_000;

/// The proxy's clock, which is the system's and may be set at any time. When that happens, watching begins anew: what
/// was counted before lies at times that no longer mean what they meant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    since: Nanos,
    last: Nanos,
}

/// A moment, and since when there was somebody to see what happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    now: Nanos,
    since: Nanos,
}

impl Clock {
    /// We have been watching since then, perhaps in another VM.
    pub(crate) fn new(since: Nanos, now: Nanos) -> Clock {
        Clock { since: since.min(now), last: now }
    }

    /// It is now so late.
    pub(crate) fn at(&mut self, now: Nanos) -> Moment {
        let set_back = second(self.last) > second(now).saturating_add(AHEAD);
        if set_back || now.saturating_sub(self.last) >= SET_FORWARD {
            self.since = now;
        }
        self.last = now;
        Moment { now, since: self.since }
    }
}

impl Moment {
    pub(crate) fn second(&self) -> Second {
        second(self.now)
    }

    /// When watching began; nanoseconds since the Unix epoch.
    pub(crate) fn since(&self) -> Nanos {
        self.since
    }

    /// Whether what was last done then is to be done again: after a sixtieth of the time that the window covers.
    pub(crate) fn is_due(&self, last: Nanos, window: u32) -> bool {
        let passed = self.now.abs_diff(last) as f64 / NANOS_PER_SECOND as f64;
        passed * 60.0 >= self.covered(window)
    }

    pub(crate) fn now(&self) -> Nanos {
        self.now
    }

    /// The first second of a window of so many that ends now.
    pub(crate) fn first(&self, window: u32) -> Second {
        self.second().saturating_sub(window).saturating_add(1).max(second(self.since))
    }

    /// The last second in which anything may have happened.
    pub(crate) fn last(&self) -> Second {
        self.second().saturating_add(AHEAD)
    }

    /// How much time a window of so many seconds covers, in seconds: all its whole seconds and the part of this one that
    /// has passed, but nothing from before we watched. Never less than one: a first moment says too little.
    pub(crate) fn covered(&self, window: u32) -> f64 {
        let part = (self.now % NANOS_PER_SECOND) as f64 / NANOS_PER_SECOND as f64;
        let whole = f64::from(window.saturating_sub(1));
        let watched = self.now.saturating_sub(self.since) as f64 / NANOS_PER_SECOND as f64;
        (whole + part).min(watched).max(1.0)
    }
}

fn second(time: Nanos) -> Second {
    Second::try_from(time / NANOS_PER_SECOND).unwrap_or(Second::MAX)
}
