//! Breakers of several workers on a proxy in memory, on a clock that a test moves.

mod bounds;
mod clock;
#[cfg(not(target_arch = "wasm32"))]
mod interleavings;
#[cfg(not(target_arch = "wasm32"))]
mod properties;
mod reload;
mod scenarios;
mod values;
mod workers;

use crate::settings::whole_seconds;
use crate::*;
use sluicegate_host::double::Double;
use std::time::Duration;

pub(crate) const START: u64 = 1_800_000_000_000_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const MILLI: u64 = 1_000_000;

pub(crate) const NAME: &[u8] = b"cluster_0";

/// A worker under a policy.
pub(crate) struct Worker {
    pub(crate) breakers: Breakers,
    pub(crate) breaker: Breaker,
    pub(crate) host: &'static Double,
}

/// Settings without chance.
pub(crate) fn settings() -> Settings {
    Settings { jitter: 0.0, backoff: 1.0, ..Settings::default() }
}

impl Worker {
    pub(crate) fn new(settings: Settings) -> Worker {
        Worker::on(Double::new(), settings, START)
    }

    pub(crate) fn on(host: &'static Double, settings: Settings, now: u64) -> Worker {
        Worker { breakers: Breakers::new(1024, host, now).unwrap(), breaker: Breaker::new(7, settings), host }
    }

    pub(crate) fn beside(&self) -> Worker {
        let host = self.host.worker_beside();
        let breakers = Breakers::new(1024, host, START).unwrap();
        Worker { breakers, breaker: self.breaker.clone(), host }
    }

    pub(crate) fn admit(&mut self, now: u64) -> Admission {
        self.breakers.admit(&self.breaker, NAME, self.host, now)
    }

    /// A request that passes.
    pub(crate) fn pass(&mut self, now: u64) -> Ticket {
        match self.admit(now).verdict {
            Verdict::Pass(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn end(&mut self, ticket: Ticket, outcome: Outcome, now: u64) {
        self.breakers.ended(ticket, outcome, Some(Duration::from_millis(10)), now);
    }

    /// So many requests that pass and end so.
    pub(crate) fn calls(&mut self, count: u32, outcome: Outcome, now: u64) {
        for _ in 0..count {
            let ticket = self.pass(now);
            self.end(ticket, outcome, now);
        }
    }

    pub(crate) fn tick(&mut self, now: u64) {
        self.breakers.on_tick(self.host, now, now / MILLI).unwrap();
    }

    /// How the breaker stands, which this worker must know.
    pub(crate) fn state(&self, now: u64) -> State {
        self.standing(now).state
    }

    pub(crate) fn standing(&self, now: u64) -> Standing {
        self.breakers.standing(&self.breaker, NAME, now).unwrap()
    }

    /// Opens it.
    pub(crate) fn open(&mut self, now: u64) {
        self.calls(20, Outcome::Failure, now);
        self.tick(now);
        assert_eq!(self.state(now), State::Open);
    }

    /// The hostcalls while something is done.
    pub(crate) fn hostcalls(&mut self, doing: impl FnOnce(&mut Worker)) -> Vec<&'static str> {
        let before = self.host.calls().len();
        doing(self);
        self.host.calls().split_off(before)
    }
}
