//! The state machine of a breaker.
//!
//! ```text
//!             too many calls fail or are slow
//!   CLOSED ─────────────────────────────────────▶ OPEN ◀───────────────┐
//!     ▲                                            │                   │
//!     │                       the open time is over, a request comes   │ a probe fails,
//!     │                                            ▼                   │ or never answers
//!     └────────────────────────────────────── HALF-OPEN ───────────────┘
//!              enough probes succeeded
//! ```
//!
//! Closed, everything passes and is counted. Open, everything is shed. Half-open, a few trial requests pass and the rest is
//! shed. These four transitions are all there are.
//!
//! Every transition begins an epoch with a number of its own. A request belongs to the epoch that admitted it, and its
//! outcome counts in no other: what was under way when the breaker opened says nothing of the upstream when it is probed.

use crate::moment::{Nanos, lies_ahead, second};
use crate::pending::Pending;
use crate::probe::{Probes, Report, Stage};
use crate::run::Run;
use crate::settings::{Cause, Settings, Span};
use crate::window::Window;

/// What a breaker does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Everything passes.
    Closed,
    /// Everything is shed.
    Open,
    /// Trial requests pass.
    HalfOpen,
}

/// The number of the time between two transitions. No two of them have the same, save that all are 0 that begin when
/// nothing is known of a breaker.
pub(crate) type Epoch = u64;

/// The epoch of a breaker of which nothing is known: closed.
pub(crate) const UNKNOWN: Epoch = 0;

/// A breaker, as all workers have it in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) epoch: Epoch,
    pub(crate) phase: Phase,
}

/// A state and what is kept in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Closed {
        window: Window,
        /// Failures in a row at the end of what was counted.
        failures: u32,
    },
    Open {
        since: Nanos,
        /// How often it has opened again since it was last closed.
        reopened: u32,
        /// Drawn at random: how much jitter the open time has. The time itself follows from the settings in force.
        draw: u32,
    },
    HalfOpen {
        reopened: u32,
        probes: Probes,
    },
}

/// A transition that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) from: State,
    pub(crate) to: State,
    pub(crate) cause: Cause,
    /// For how long it opened; `None` where it did not.
    pub(crate) open_time: Option<Nanos>,
}

/// When something is decided, by which settings, and a number drawn for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) now: Nanos,
    pub(crate) draw: u32,
}

/// What a request gets that asks for a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is the trial of this number.
    Probe(Epoch, u32),
    /// It passes: the breaker has closed.
    Passes(Epoch),
    /// The breaker is open for so long yet.
    Open(Nanos),
    /// All slots are taken.
    Full,
}

impl Machine {
    /// Of which nothing is known.
    pub(crate) fn new(span: Span) -> Machine {
        Machine { epoch: UNKNOWN, phase: closed(span) }
    }

    pub(crate) fn state(&self) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// Whether what a request of that epoch has to say counts. Where nothing is known, it has not opened since.
    pub(crate) fn takes(&self, epoch: Epoch) -> bool {
        self.epoch == epoch || self.epoch == UNKNOWN
    }

    /// Calls ended that were admitted in the closed state: trips where that is too much. `in_force` says that the settings
    /// are those that requests are now admitted by, not of a policy that only waits for its last ones to end.
    pub(crate) fn count(
        &mut self,
        pending: &Pending,
        in_force: bool,
        at: At<'_>,
        epochs: &mut Epoch,
    ) -> Option<Change> {
        let Phase::Closed { window, failures } = &mut self.phase else { return None };
        if in_force {
            window.resize(at.settings.window);
        }
        window.add_all(&pending.calls, second(at.now));
        let run = Run::of(*failures).then(pending.run);
        *failures = run.trailing();
        let cause = at.settings.trips(window.totals(), run.longest())?;
        Some(self.enter(at.open(0), cause, at, epochs))
    }

    /// A request comes while the breaker is not closed: it may be a trial, the first of which makes it half-open.
    /// `stage` is how much of it has come.
    pub(crate) fn claim(&mut self, stage: Stage, at: At<'_>, epochs: &mut Epoch) -> (Claim, Option<Change>) {
        let mut change = None;
        if let Phase::Open { since, reopened, draw } = self.phase {
            let left = left(since, at.settings.open_time(reopened, draw), at.now);
            if left > 0 {
                return (Claim::Open(left), None);
            }
            let half_open = Phase::HalfOpen { reopened, probes: Probes::default() };
            change = Some(self.enter(half_open, Cause::OpenTimeOver, at, epochs));
        }
        let claim = match &mut self.phase {
            Phase::HalfOpen { probes, .. } => match probes.claim(stage, at.settings, at.now) {
                Some(number) => Claim::Probe(self.epoch, number),
                None => Claim::Full,
            },
            _ => Claim::Passes(self.epoch),
        };
        (claim, change)
    }

    /// Trials ended or have waited too long: one failure opens it again, enough successes close it. Answers whether anything
    /// is different then, and with the transition if there was one.
    pub(crate) fn settle(&mut self, reports: &[Report], at: At<'_>, epochs: &mut Epoch) -> (bool, Option<Change>) {
        let Phase::HalfOpen { probes, reopened } = &mut self.phase else { return (false, None) };
        let settled = probes.settle(reports, at.settings, at.now);
        let again = at.open(reopened.saturating_add(1));
        let (next, cause) = if settled.failed {
            (again, Cause::ProbeFailed)
        } else if settled.given_up {
            (again, Cause::ProbeGivenUp)
        } else if settled.changed && probes.successes >= at.settings.probes {
            (closed(at.settings.window), Cause::Recovered)
        } else {
            return (settled.changed, None);
        };
        (true, Some(self.enter(next, cause, at, epochs)))
    }

    /// Where it was opened in the future, the clock was set back: it is as if opened now.
    pub(crate) fn rewind(&mut self, now: Nanos) -> bool {
        match &mut self.phase {
            Phase::Open { since, .. } if lies_ahead(*since, now) => {
                *since = now;
                true
            }
            _ => false,
        }
    }

    /// Every transition is made here, and begins an epoch.
    fn enter(&mut self, next: Phase, cause: Cause, at: At<'_>, epochs: &mut Epoch) -> Change {
        let from = self.state();
        *epochs = epochs.wrapping_add(1).max(1);
        *self = Machine { epoch: *epochs, phase: next };
        let open_time = match self.phase {
            Phase::Open { reopened, draw, .. } => Some(at.settings.open_time(reopened, draw)),
            _ => None,
        };
        Change { from, to: self.state(), cause, open_time }
    }
}

impl At<'_> {
    fn open(self, reopened: u32) -> Phase {
        Phase::Open { since: self.now, reopened, draw: self.draw }
    }
}

/// How much of an open time is left that began then. Never more than all of it, wherever the clock was set to.
pub(crate) fn left(since: Nanos, open_time: Nanos, now: Nanos) -> Nanos {
    since.saturating_add(open_time).saturating_sub(now).min(open_time)
}

fn closed(span: Span) -> Phase {
    Phase::Closed { window: Window::new(span), failures: 0 }
}
