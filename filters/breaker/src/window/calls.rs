//! The last calls, one by one.

use super::Totals;
use crate::settings::CALLS;
use std::collections::VecDeque;

/// How a call went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) failed: bool,
    pub(crate) slow: bool,
}

/// Calls in their order, oldest first; never more than the longest window holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls(VecDeque<Call>);

impl Calls {
    pub(crate) fn push(&mut self, call: Call) {
        self.0.push_back(call);
        self.keep_last((*CALLS.end()).into());
    }

    /// Forgets all but the last so many.
    pub(crate) fn keep_last(&mut self, count: usize) {
        let too_many = self.0.len().saturating_sub(count);
        self.0.drain(..too_many);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn totals(&self) -> Totals {
        let count = |of: fn(&Call) -> bool| self.0.iter().filter(|call| of(call)).count() as u64;
        Totals { calls: count(|_| true), failures: count(|call| call.failed), slow: count(|call| call.slow) }
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Call> {
        self.0.iter().copied()
    }
}
