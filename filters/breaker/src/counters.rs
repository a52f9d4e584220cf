//! What the filter counts, on `/stats/prometheus` as `sluicegate_breaker_…`.
//!
//! A metric is never freed while a proxy lives. So only breakers whose names come from the configuration have series of
//! their own, and no more than [`MAX_SERIES`]; all others share one.

use crate::{Cause, Outcome, State, Transition, Uncounted};
use sluicegate_host::{Counter, Gauge, HostError, Vm, shared};
use sluicegate_policy::Fnv;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

pub(crate) struct Counters {
    names_key: String,
    own: RefCell<BTreeMap<Box<[u8]>, Rc<Series>>>,
    /// There are series that other VMs, and those that come after us, have not heard of.
    has_news: Cell<bool>,
    others: Rc<Series>,
    keys: Gauge,
    unwatched: Counter,
    late: Counter,
    refused: Counter,
    merge_failed: Counter,
}

/// The metrics of a breaker, or of several that share a name.
pub(crate) struct Series {
    state: Gauge,
    /// The policy has it open.
    is_forced: Cell<bool>,
    passed: Counter,
    shed: Counter,
    would_shed: Counter,
    fallback: Counter,
    failures: Counter,
    ignored: Counter,
    transitions: Vec<((State, Cause), Counter)>,
}

/// As many breakers have series of their own.
const MAX_SERIES: usize = 32;

/// What the others go by. No key of the policy is called so.
pub(crate) const OTHERS: &str = "_other";

/// Shared data: the names of breakers of this plugin that have series of their own. A plugin that goes by another name has
/// another policy.
///
/// ```text
/// version      1 byte      1
/// names, one behind the other, a 0 byte between them
/// ```
///
/// No bytes at all are no names. A value of another version is left alone: another release wrote it.
fn names_key(vm: &Vm) -> String {
    let mut plugin = Fnv::new();
    plugin.write(&vm.plugin_name());
    shared::key("breaker.names", VERSION, format_args!("{:016x}", plugin.value()))
}

const VERSION: u8 = 1;

/// In no name of a cluster, a route or a key.
const SEPARATOR: u8 = 0;

/// As much of a name as a line or a label holds, in bytes.
const MAX_NAME: usize = 128;

const TRANSITIONS: [(State, Cause); 7] = [
    (State::Open, Cause::FailureRate),
    (State::Open, Cause::SlowCalls),
    (State::Open, Cause::ConsecutiveFailures),
    (State::HalfOpen, Cause::OpenTimeOver),
    (State::Open, Cause::ProbeFailed),
    (State::Open, Cause::ProbeGivenUp),
    (State::Closed, Cause::Recovered),
];

impl Counters {
    /// With the series that there were before: a proxy goes on with those that a new VM defines while it is configured, and
    /// begins anew with others.
    pub(crate) fn define(vm: &Vm) -> Result<Counters, HostError> {
        let names_key = names_key(vm);
        shared::ensure(vm.host(), &names_key, &[])?;
        let names = shared::read(vm.host(), &names_key)?.unwrap_or_default();
        let mut own = BTreeMap::new();
        for name in split(&names).into_iter().flatten().take(MAX_SERIES) {
            own.insert(name.into(), Rc::new(Series::define(vm, &shown(name))?));
        }
        Ok(Counters {
            names_key,
            own: RefCell::new(own),
            has_news: Cell::new(false),
            others: Rc::new(Series::define(vm, OTHERS)?),
            keys: vm.gauge("breaker_keys", &[])?,
            unwatched: vm.counter("breaker_unwatched_total", &[])?,
            late: vm.counter("breaker_late_total", &[])?,
            refused: vm.counter("breaker_refused_total", &[])?,
            merge_failed: vm.counter("breaker_merge_failed_total", &[])?,
        })
    }

    /// The series of a breaker whose name comes from the configuration; `None` where there is no room for another.
    pub(crate) fn own(&self, name: &[u8], vm: &Vm) -> Option<Rc<Series>> {
        let mut own = self.own.borrow_mut();
        if let Some(series) = own.get(name) {
            return Some(Rc::clone(series));
        }
        // A route may have no name, and a label may not be empty.
        if name.is_empty() || own.len() >= MAX_SERIES {
            return None;
        }
        let series = Rc::new(Series::define(vm, &shown(name)).ok()?);
        own.insert(name.into(), Rc::clone(&series));
        self.has_news.set(true);
        Some(series)
    }

    /// Tells of new series those VMs that come after us. Two hostcalls where there are any.
    pub(crate) fn publish(&self, vm: &Vm) {
        if self.has_news.replace(false) {
            let own = self.own.borrow();
            let add = |names: &[u8]| {
                let mut all: BTreeSet<&[u8]> = split(names)?.collect();
                all.extend(own.keys().map(|name| &name[..]));
                Some(joined(all.into_iter().take(MAX_SERIES)))
            };
            // Else a replaced module begins its counters anew.
            _ = shared::update(vm.host(), &self.names_key, add);
        }
    }

    /// The series of all others.
    pub(crate) fn others(&self) -> Rc<Series> {
        Rc::clone(&self.others)
    }

    /// Tells how the breakers stand of which `worst` knows by name, and the worst of all `others`, if this worker has any.
    /// `afresh` also where nothing is news: another policy, which has gone since, may have told last.
    pub(crate) fn tell_states(&self, worst: impl Fn(&[u8]) -> State, others: Option<State>, afresh: bool) {
        for (name, series) in self.own.borrow().iter() {
            series.tell(worst(name), afresh);
        }
        self.others.tell(others.unwrap_or(State::Closed), afresh && others.is_some());
    }

    /// So many keys have a breaker. The gauge is common to all workers, of which each has seen about the same; the main
    /// thread sees no requests, and says nothing.
    pub(crate) fn keys(&self, keys: usize) {
        self.keys.learn(u64::try_from(keys).unwrap_or(u64::MAX));
    }

    pub(crate) fn uncounted(&self, uncounted: Uncounted) {
        let add = |counter: &Counter, count: u64| counter.add(u32::try_from(count).unwrap_or(u32::MAX));
        add(&self.unwatched, uncounted.unwatched);
        add(&self.late, uncounted.late);
        add(&self.refused, uncounted.refused);
    }

    /// A tick could not merge all of its outcomes; they are kept for the next.
    pub(crate) fn merge_failed(&self) {
        self.merge_failed.increment();
    }
}

impl Series {
    fn define(vm: &Vm, name: &str) -> Result<Series, HostError> {
        let labels = [("breaker", name)];
        let transition = |(to, cause): (State, Cause)| {
            let labels = [("breaker", name), ("to", state(to)), ("cause", because(cause))];
            Ok(((to, cause), vm.counter("breaker_transitions_total", &labels)?))
        };
        Ok(Series {
            state: vm.gauge("breaker_state", &labels)?,
            is_forced: Cell::new(false),
            passed: vm.counter("breaker_passed_total", &labels)?,
            shed: vm.counter("breaker_shed_total", &labels)?,
            would_shed: vm.counter("breaker_would_shed_total", &labels)?,
            fallback: vm.counter("breaker_fallback_total", &labels)?,
            failures: vm.counter("breaker_failures_total", &labels)?,
            ignored: vm.counter("breaker_ignored_total", &labels)?,
            transitions: TRANSITIONS.into_iter().map(transition).collect::<Result<_, HostError>>()?,
        })
    }

    pub(crate) fn passed(&self) {
        self.passed.increment();
    }

    pub(crate) fn shed(&self) {
        self.shed.increment();
    }

    pub(crate) fn would_shed(&self) {
        self.would_shed.increment();
    }

    pub(crate) fn fell_back(&self) {
        self.fallback.increment();
    }

    pub(crate) fn ended(&self, outcome: Outcome) {
        match outcome {
            Outcome::Success => {}
            Outcome::Failure => self.failures.increment(),
            Outcome::Ignored => self.ignored.increment(),
        }
    }

    pub(crate) fn changed(&self, transition: &Transition) {
        let made = (transition.to, transition.cause);
        if let Some((_, counter)) = self.transitions.iter().find(|(known, _)| *known == made) {
            counter.increment();
        }
    }

    /// A breaker of this name is open by the policy.
    pub(crate) fn is_forced(&self) {
        self.is_forced.set(true);
    }

    /// Tells the worst state of the breakers of this name: all workers set the same gauge, each where it is news to it, and
    /// `afresh` in any case.
    fn tell(&self, worst: State, afresh: bool) {
        let value = match if self.is_forced.get() { State::Open } else { worst } {
            State::Closed => 0,
            State::Open => 1,
            State::HalfOpen => 2,
        };
        if afresh {
            self.state.set(value);
        } else {
            self.state.learn(value);
        }
    }
}

/// The one that keeps back more of the traffic.
pub(crate) fn worse(one: State, other: State) -> State {
    let gravity = |state| match state {
        State::Closed => 0,
        State::HalfOpen => 1,
        State::Open => 2,
    };
    if gravity(other) > gravity(one) { other } else { one }
}

/// The value with these names.
fn joined<'a>(names: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    [&[VERSION], &names.collect::<Vec<_>>().join(&SEPARATOR)[..]].concat()
}

/// The names in a value; `None` where another release wrote it.
fn split(value: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let names = match value.split_first() {
        None => value,
        Some((&VERSION, names)) => names,
        Some(_) => return None,
    };
    Some(names.split(|byte| *byte == SEPARATOR).filter(|name| !name.is_empty()))
}

/// Without anything that would break a line or a label.
pub(crate) fn shown(name: &[u8]) -> String {
    name.get(..MAX_NAME).unwrap_or(name).escape_ascii().to_string()
}

pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Closed => "closed",
        State::Open => "open",
        State::HalfOpen => "half_open",
    }
}

pub(crate) fn because(cause: Cause) -> &'static str {
    match cause {
        Cause::FailureRate => "failure_rate",
        Cause::SlowCalls => "slow_calls",
        Cause::ConsecutiveFailures => "consecutive_failures",
        Cause::OpenTimeOver => "open_time_over",
        Cause::ProbeFailed => "probe_failed",
        Cause::ProbeGivenUp => "probe_given_up",
        Cause::Recovered => "recovered",
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// Who changes these bytes raises [`VERSION`]: or else two releases misread each other.
    #[test]
    fn the_layout_is_that_of_its_version() {
        for (names, bytes) in
            [(&[][..], &b"\x01"[..]), (&[b"all"], b"\x01all"), (&[b"all", b"\xffb."], b"\x01all\0\xffb.")]
        {
            let names: Vec<&[u8]> = names.iter().map(|name: &&[u8; 3]| &name[..]).collect();
            assert_eq!(joined(names.iter().copied()), bytes);
            assert_eq!(split(bytes).map(Iterator::collect), Some(names));
        }
        assert_eq!(split(b"").map(Iterator::count), Some(0));
        assert!(split(b"\x02all").is_none(), "of another release");
    }
}
