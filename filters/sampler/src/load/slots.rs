//! Counts by the second.

use std::collections::VecDeque;

/// Seconds since the Unix epoch; lasts until 2106.
pub(crate) type Second = u32;

/// What happened in one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) second: Second,
    pub(crate) requests: u32,
    pub(crate) errors: u32,
}

/// Counts by the second, oldest first, and their sums. Seconds in which nothing happened take no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots {
    slots: VecDeque<Slot>,
    requests: u64,
    errors: u64,
}

impl Slots {
    /// Adds to the counts of a slot's second. What a slot cannot hold is not counted in the sums either.
    pub(crate) fn add(&mut self, more: Slot) {
        let place = match self.slots.back() {
            Some(last) if last.second == more.second => Ok(self.slots.len().saturating_sub(1)),
            Some(last) if last.second > more.second => {
                self.slots.binary_search_by_key(&more.second, |slot| slot.second)
            }
            _ => Err(self.slots.len()),
        };
        let at = place.unwrap_or_else(|at| {
            self.slots.insert(at, Slot { requests: 0, errors: 0, ..more });
            at
        });
        if let Some(slot) = self.slots.get_mut(at) {
            let requests = more.requests.min(u32::MAX.saturating_sub(slot.requests));
            let errors = more.errors.min(u32::MAX.saturating_sub(slot.errors));
            slot.requests = slot.requests.saturating_add(requests);
            slot.errors = slot.errors.saturating_add(errors);
            self.requests = self.requests.saturating_add(requests.into());
            self.errors = self.errors.saturating_add(errors.into());
        }
    }

    /// Adds all of the other counts.
    pub(crate) fn add_all(&mut self, more: &Slots) {
        for slot in more.iter() {
            self.add(slot);
        }
    }

    /// Whether there is anything of this second.
    pub(crate) fn has(&self, second: Second) -> bool {
        let newest = self.slots.back();
        newest.is_some_and(|slot| slot.second == second)
            || self.slots.binary_search_by_key(&second, |slot| slot.second).is_ok()
    }

    /// Forgets all seconds outside `first..=last`. Takes time in proportion to the number that is forgotten.
    pub(crate) fn keep(&mut self, first: Second, last: Second) {
        while let Some(slot) = self.slots.front().copied().filter(|slot| slot.second < first) {
            self.take_off(slot);
            self.slots.pop_front();
        }
        while let Some(slot) = self.slots.back().copied().filter(|slot| slot.second > last) {
            self.take_off(slot);
            self.slots.pop_back();
        }
    }

    fn take_off(&mut self, slot: Slot) {
        self.requests = self.requests.saturating_sub(slot.requests.into());
        self.errors = self.errors.saturating_sub(slot.errors.into());
    }

    /// Forgets everything, and keeps the memory for what comes.
    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.requests = 0;
        self.errors = 0;
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    pub(crate) fn errors(&self) -> u64 {
        self.errors
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The last second in which something happened.
    pub(crate) fn newest(&self) -> Option<Second> {
        self.slots.back().map(|slot| slot.second)
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot> {
        self.slots.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn slots(of: &[(Second, u32, u32)]) -> Slots {
        let mut slots = Slots::default();
        for &(second, requests, errors) in of {
            slots.add(Slot { second, requests, errors });
        }
        slots
    }

    #[test]
    fn counts_of_a_second_come_together_whenever_they_come() {
        let mixed = slots(&[(7, 1, 0), (5, 1, 1), (7, 2, 1), (6, 4, 0), (5, 1, 0), (9, 0, 1)]);
        let ordered = slots(&[(5, 2, 1), (6, 4, 0), (7, 3, 1), (9, 0, 1)]);
        assert_eq!(mixed, ordered);
        assert_eq!((mixed.requests(), mixed.errors(), mixed.newest()), (9, 3, Some(9)));
        assert_eq!([5, 6, 7, 8, 9, 10].map(|second| mixed.has(second)), [true, true, true, false, true, false]);
    }

    #[test]
    fn what_is_forgotten_leaves_the_sums_too() {
        let mut kept = slots(&[(5, 1, 1), (6, 2, 0), (7, 4, 2), (9, 8, 4)]);
        kept.keep(6, 8);
        assert_eq!(kept, slots(&[(6, 2, 0), (7, 4, 2)]));
        kept.clear();
        assert_eq!(kept, Slots::default());
    }

    #[test]
    fn a_slot_that_is_full_stays_full_and_the_sums_agree_with_it() {
        let mut full = slots(&[(5, u32::MAX, 1), (5, 7, u32::MAX), (6, 1, 0)]);
        assert_eq!((full.requests(), full.errors()), (u64::from(u32::MAX) + 1, u64::from(u32::MAX)));
        full.keep(6, 6);
        assert_eq!(full, slots(&[(6, 1, 0)]));
    }
}
