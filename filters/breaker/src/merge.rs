//! What a worker does to the breakers that all have in common: the protocol, whatever the store.
//!
//! Each function is given the value that is in force and answers with the one that ought to be, and with what was decided
//! thereby. It holds only if the store took that value in the place of the one it was made of (compare-and-swap); else all is
//! forgotten and done again with the fresh value. So each transition is decided once, by the worker whose value was taken,
//! with everything in view that others had merged before; and nobody's counts are lost, because they stay pending until a
//! value was taken that holds them.

use crate::key::Key;
use crate::moment::{Moment, Nanos, second};
use crate::pending::Pending;
use crate::probe::Stage;
use crate::settings::Settings;
use crate::shard::{self, Shard, Unreadable};
use crate::state::{At, Change, Claim, Machine, State, UNKNOWN};

/// What a worker has to say of a breaker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delta<'a> {
    pub(crate) key: Key,
    pub(crate) settings: &'a Settings,
    /// May be empty, where only time has passed.
    pub(crate) pending: &'a Pending,
    /// Requests are admitted by these settings.
    pub(crate) in_force: bool,
}

/// What comes of merging.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// The next value; `None` to leave it as it is.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) changes: Vec<(Key, Change)>,
    /// Others ought to know at once: a transition was made or a slot for a trial became free.
    pub(crate) is_news: bool,
    /// How many calls did not count because the breaker has changed since they were admitted.
    pub(crate) late: u64,
    /// How many calls did not count because there was no room for their breaker.
    pub(crate) refused: u64,
}

/// What comes of asking for a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// The next value; `None` to leave it as it is.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) claim: Claim,
    pub(crate) change: Option<Change>,
}

/// Another release wrote the value: it is to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign;

/// Merges what a worker has to say into a value.
pub(crate) fn merge<'a>(
    value: &[u8],
    deltas: impl Iterator<Item = Delta<'a>>,
    moment: Moment,
) -> Result<Merged, Foreign> {
    let anew = shard::empty(moment.now);
    let mut shard = read(value, &anew)?;
    let mut merged = Merged::default();
    let mut changed = false;
    shard.forget(moment.second());
    for Delta { key, settings, pending, in_force } in deltas {
        let known = shard.machine(key);
        let is_new = known.is_none();
        let mut machine = known.unwrap_or_else(|| Machine::new(settings.window));
        let calls = pending.calls.totals().calls;
        let at = At { settings, now: moment.now, draw: moment.draw(key.hash()) };
        let mut is_different = machine.rewind(moment.now);
        let change = match machine.state() {
            State::Closed if calls > 0 && machine.takes(pending.epoch) => {
                is_different = true;
                machine.count(pending, in_force, at, &mut shard.epochs)
            }
            _ => {
                merged.late = merged.late.saturating_add(calls);
                let reports = if machine.epoch == pending.epoch { &pending.reports[..] } else { &[] };
                let (settled, change) = machine.settle(reports, at, &mut shard.epochs);
                is_different |= settled;
                merged.is_news |= settled;
                change
            }
        };
        if !is_different {
            continue;
        }
        if shard.put(key, &machine, settings, moment.second()) {
            changed = true;
            merged.is_news |= change.is_some();
            merged.changes.extend(change.map(|change| (key, change)));
        } else if is_new {
            merged.refused = merged.refused.saturating_add(calls);
        }
    }
    merged.value = changed.then(|| shard.bytes());
    Ok(merged)
}

/// Asks for a trial of a breaker that is not closed, for a request at this stage.
pub(crate) fn claim(value: &[u8], key: Key, stage: Stage, settings: &Settings, now: Nanos) -> Result<Claimed, Foreign> {
    let anew = shard::empty(now);
    let mut shard = read(value, &anew)?;
    let Some(mut machine) = shard.machine(key) else {
        return Ok(Claimed { value: None, claim: Claim::Passes(UNKNOWN), change: None });
    };
    // Chance has no part in what is decided here.
    let (claim, change) = machine.claim(stage, At { settings, now, draw: 0 }, &mut shard.epochs);
    let took = matches!(claim, Claim::Probe(..)) && shard.put(key, &machine, settings, second(now));
    Ok(Claimed { value: took.then(|| shard.bytes()), claim, change })
}

/// A value, or one to begin with where nobody wrote this one.
fn read<'a>(value: &'a [u8], anew: &'a [u8]) -> Result<Shard<'a>, Foreign> {
    match Shard::read(value) {
        Err(Unreadable::Version) => Err(Foreign),
        Err(Unreadable::Malformed) => Shard::read(anew).map_err(|_| Foreign),
        Ok(shard) => Ok(shard),
    }
}
