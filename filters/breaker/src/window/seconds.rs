//! Counts by the time at which calls ended.

use super::{Call, Totals};
use crate::moment::Second;
use std::collections::VecDeque;

/// More slots than this nobody needs: those of a window, and those that a window of another length has left.
const MOST: usize = 128;

/// The calls that ended in the second or the few seconds that begin with this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) second: Second,
    pub(crate) calls: u32,
    pub(crate) failures: u32,
    pub(crate) slow: u32,
}

/// Counts by slot, oldest first. Slots in which nothing ended take no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seconds(VecDeque<Slot>);

impl Slot {
    pub(crate) fn of(call: Call, second: Second) -> Slot {
        Slot { second, calls: 1, failures: call.failed.into(), slow: call.slow.into() }
    }
}

impl Seconds {
    /// Adds to the counts of a slot. Of more than a slot can hold the rates stay what they were.
    pub(crate) fn add(&mut self, more: Slot) {
        match self.0.binary_search_by_key(&more.second, |slot| slot.second) {
            Ok(at) => {
                let Some(slot) = self.0.get_mut(at) else { return };
                let Some(calls) = slot.calls.checked_add(more.calls) else { return };
                slot.calls = calls;
                slot.failures = slot.failures.saturating_add(more.failures);
                slot.slow = slot.slow.saturating_add(more.slow);
            }
            Err(at) => self.0.insert(at, more),
        }
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }

    /// Forgets all slots outside `first..=last`.
    pub(crate) fn keep(&mut self, first: Second, last: Second) {
        while self.0.front().is_some_and(|slot| slot.second < first) {
            self.0.pop_front();
        }
        while self.0.back().is_some_and(|slot| slot.second > last) {
            self.0.pop_back();
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        self.0.iter().fold(Totals::default(), |sum, slot| Totals {
            calls: sum.calls.saturating_add(slot.calls.into()),
            failures: sum.failures.saturating_add(slot.failures.into()),
            slow: sum.slow.saturating_add(slot.slow.into()),
        })
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot> {
        self.0.iter().copied()
    }
}
