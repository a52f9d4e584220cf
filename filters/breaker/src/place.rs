//! What a worker knows of one breaker.

use crate::admission::Breaker;
use crate::key::Key;
use crate::moment::{Nanos, Second, lies_ahead};
use crate::pending::Pending;
use crate::settings::Settings;
use crate::shard::Shard;
use crate::state::{Epoch, Machine, Phase, State, UNKNOWN, left};
use crate::window::{Totals, Window};
use std::rc::Rc;

/// Whose breaker it is.
#[derive(Debug, PartialEq)]
pub(crate) struct Subject {
    pub(crate) key: Key,
    pub(crate) breaker: Breaker,
    /// The beginning of the name of a cluster, route, host or header value.
    pub(crate) name: Rc<[u8]>,
}

/// A breaker as this worker last saw it, and what it has not merged yet.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Place {
    pub(crate) subject: Rc<Subject>,
    pub(crate) epoch: Epoch,
    view: View,
    pub(crate) pending: Pending,
    /// Requests were admitted here since it was last merged.
    pub(crate) in_force: bool,
    /// The number of the last request here, of all requests of this worker.
    pub(crate) used: u64,
}

/// As much of a breaker as a request needs.
#[cfg_attr(test, derive(Clone))]
enum View {
    Closed,
    Open { since: Nanos, open_time: Nanos },
    HalfOpen { has_free: bool, due: Option<Nanos>, latest: Nanos },
}

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Passes,
    /// The breaker is open for so long yet.
    Open(Nanos),
    /// No slot for a trial was free when we last looked.
    Full,
    /// It may be a trial, which is to be asked for.
    Ask,
}

impl Place {
    pub(crate) fn new(subject: Rc<Subject>) -> Place {
        let pending = Pending::new(subject.breaker.settings.window);
        Place { subject, epoch: UNKNOWN, view: View::Closed, pending, in_force: false, used: 0 }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.subject.breaker.settings
    }

    pub(crate) fn gate(&self, now: Nanos) -> Gate {
        match self.view {
            View::Closed => Gate::Passes,
            View::HalfOpen { has_free: true, .. } => Gate::Ask,
            View::HalfOpen { .. } => Gate::Full,
            View::Open { since, open_time } => match left(since, open_time, now) {
                0 => Gate::Ask,
                left => Gate::Open(left),
            },
        }
    }

    pub(crate) fn state(&self) -> State {
        match self.view {
            View::Closed => State::Closed,
            View::Open { .. } => State::Open,
            View::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// Whether the outcome of a request of that epoch counts, as far as we know.
    pub(crate) fn takes(&self, epoch: Epoch) -> bool {
        self.epoch == epoch || self.epoch == UNKNOWN
    }

    /// What the window holds now, and what of it is not merged yet; nothing where the breaker is not closed.
    pub(crate) fn totals(&self, machine: Option<Machine>, now: Second) -> Totals {
        let span = self.settings().window;
        let mut window = match machine.map(|machine| machine.phase) {
            None => Window::new(span),
            Some(Phase::Closed { window, .. }) => window,
            Some(_) => return Totals::default(),
        };
        window.add_all(&self.pending.calls, now);
        window.totals()
    }

    /// Whether something is to be done though no request ended: a trial is to be given up, or the clock was set back.
    pub(crate) fn is_due(&self, now: Nanos) -> bool {
        match self.view {
            View::Closed => false,
            View::Open { since, .. } => lies_ahead(since, now),
            View::HalfOpen { due, latest, .. } => due.is_some_and(|due| due <= now) || lies_ahead(latest, now),
        }
    }

    /// Sees what the value of the shard tells.
    pub(crate) fn look(&mut self, shard: Option<&Shard<'_>>) {
        let machine = shard.and_then(|shard| shard.machine(self.subject.key));
        self.epoch = machine.as_ref().map_or(UNKNOWN, |machine| machine.epoch);
        self.view = machine.map_or(View::Closed, |machine| View::of(&machine, self.settings()));
    }
}

impl View {
    fn of(machine: &Machine, settings: &Settings) -> View {
        match &machine.phase {
            Phase::Closed { .. } => View::Closed,
            Phase::Open { since, reopened, draw } => {
                View::Open { since: *since, open_time: settings.open_time(*reopened, *draw) }
            }
            Phase::HalfOpen { probes, .. } => View::HalfOpen {
                has_free: probes.has_free(settings),
                due: probes.due(settings),
                latest: probes.trials.iter().map(|trial| trial.since).max().unwrap_or(0),
            },
        }
    }
}
