//! What a breaker says in the proxy's log: a line for each transition, up to a limit.

use crate::Transition;
use crate::counters::{OTHERS, because, shown, state};
use sluicegate_host::{Level, Vm};
use std::cell::Cell;

/// As many lines per second: callers may make as many keys as there is room for.
const MAX_LINES: u32 = 10;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The lines of a worker.
#[derive(Default)]
pub(crate) struct Lines {
    /// The second under way, since the Unix epoch.
    second: Cell<u64>,
    told: Cell<u32>,
    untold: Cell<u64>,
}

impl Lines {
    /// Tells of these transitions, and of how many it could not tell in the second before. `is_known` says of which breakers
    /// the names come from the configuration; the names of others may be anything, a caller's credentials as well, and are
    /// not told. To be called on every tick.
    pub(crate) fn tell(&self, transitions: &[Transition], is_known: impl Fn(u64) -> bool, now: u64, vm: &Vm) {
        let second = now / NANOS_PER_SECOND;
        if self.second.replace(second) != second {
            self.told.set(0);
            let untold = self.untold.replace(0);
            if untold > 0 {
                vm.log(Level::Warn, &format!("breaker: and {untold} more in this moment"));
            }
        }
        for transition in transitions {
            if self.told.get() < MAX_LINES {
                self.told.set(self.told.get().saturating_add(1));
                vm.log(Level::Warn, &line(transition, is_known(transition.identity)));
            } else {
                self.untold.set(self.untold.get().saturating_add(1));
            }
        }
    }
}

fn line(transition: &Transition, is_known: bool) -> String {
    let Transition { name, from, to, cause, open_for, .. } = transition;
    let name = if is_known { shown(name) } else { OTHERS.to_owned() };
    let (from, to, cause) = (state(*from), state(*to), because(*cause));
    match open_for {
        Some(open_for) => format!("breaker: {name}: {from} to {to}: {cause}, for {:.1} s", open_for.as_secs_f64()),
        None => format!("breaker: {name}: {from} to {to}: {cause}"),
    }
}
