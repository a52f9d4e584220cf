//! Holding back what comes too often: of each route and severity the first N a second are logged, then every Mth.

use sluicegate_policy::Fnv;
use sluicegate_telemetry::outcome::Severity;
use std::collections::BTreeMap;

/// How much is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Records per second of a key that always pass.
    pub(crate) first: u32,
    /// Of those beyond, every how manieth passes; at least 1.
    pub(crate) every: u32,
}

/// A route and a severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u64);

impl Key {
    pub(crate) fn of(route: &[u8], severity: Severity) -> Key {
        let mut hash = Fnv::new();
        hash.write(&[severity.number()]);
        hash.write(route);
        Key(hash.value())
    }

    /// What all keys share for which there is no place.
    const REST: Key = Key(0);
}

/// As many keys as are told apart. Routes and their severities are of the proxy's configuration, so few.
const MAX_KEYS: usize = 1_024;

const SECOND: u64 = 1_000_000_000;

/// The limiter of one worker.
#[derive(Debug)]
pub(crate) struct Burst {
    limit: Limit,
    keys: BTreeMap<Key, Window>,
    /// The second in which room was made last.
    swept: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// Seconds since the Unix epoch.
    second: u64,
    /// Records in this second.
    seen: u32,
    /// Records held back since the last that passed.
    suppressed: u64,
}

impl Burst {
    pub(crate) fn new(limit: Limit) -> Burst {
        Burst { limit, keys: BTreeMap::new(), swept: 0 }
    }

    /// Whether a record at this time, in nanoseconds since the Unix epoch, passes: then how many of its key were held back
    /// since the last that did.
    pub(crate) fn pass(&mut self, key: Key, now: u64) -> Option<u64> {
        let second = now / SECOND;
        let key = self.place(key, second);
        let window = self.keys.entry(key).or_default();
        // Exchanges end in any order: one that ended a little earlier counts to the second that is under way.
        if second > window.second || window.second.saturating_sub(second) > 1 {
            *window = Window { second, seen: 0, ..*window };
        }
        window.seen = window.seen.saturating_add(1);
        let beyond = window.seen.saturating_sub(self.limit.first);
        if beyond == 0 || beyond.checked_rem(self.limit.every) == Some(0) {
            return Some(std::mem::take(&mut window.suppressed));
        }
        window.suppressed = window.suppressed.saturating_add(1);
        None
    }

    /// The key, or the common one where there is no place for it. Keys that were quiet make room, which is looked for once
    /// a second.
    fn place(&mut self, key: Key, second: u64) -> Key {
        if self.keys.len() < MAX_KEYS || self.keys.contains_key(&key) {
            return key;
        }
        if self.swept != second {
            self.swept = second;
            self.keys.retain(|_, window| window.second == second || window.suppressed > 0);
        }
        if self.keys.len() < MAX_KEYS { key } else { Key::REST }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const LIMIT: Limit = Limit { first: 3, every: 4 };

    fn key(route: u32) -> Key {
        Key::of(&route.to_le_bytes(), Severity::Info)
    }

    #[test]
    fn the_first_of_a_second_pass_and_then_every_mth_with_the_count_of_the_others() {
        let mut burst = Burst::new(LIMIT);
        let passed: Vec<_> = (0..12).map(|_| burst.pass(key(1), 5 * SECOND)).collect();
        let (no, yes) = (None, Some(0));
        assert_eq!(passed, [yes, yes, yes, no, no, no, Some(3), no, no, no, Some(3), no]);
        // The next second tells what was held back at the end of the last.
        assert_eq!(burst.pass(key(1), 6 * SECOND), Some(1));
        assert_eq!(burst.pass(key(1), 6 * SECOND), Some(0));
    }

    #[test]
    fn no_record_is_lost_from_the_counts() {
        let mut burst = Burst::new(LIMIT);
        let mut told = 0;
        for number in 0..1_000u64 {
            told += burst.pass(key(1), number * SECOND / 40).map_or(0, |suppressed| 1 + suppressed);
        }
        told += burst.pass(key(1), 100 * SECOND).unwrap();
        assert_eq!(told, 1_000);
    }

    #[test]
    fn routes_and_severities_are_told_apart() {
        let mut burst = Burst::new(Limit { first: 1, every: 1_000 });
        for severity in [Severity::Info, Severity::Error] {
            for route in [b"a", b"b"] {
                assert_eq!(burst.pass(Key::of(route, severity), 0), Some(0));
            }
        }
        assert_eq!(burst.pass(Key::of(b"a", Severity::Info), 0), None);
    }

    #[test]
    fn the_clock_may_go_back() {
        let mut burst = Burst::new(Limit { first: 1, every: 1_000 });
        assert_eq!(burst.pass(key(1), 100 * SECOND), Some(0));
        // An exchange that ended a moment before.
        assert_eq!(burst.pass(key(1), 99 * SECOND), None);
        // A clock that was set back.
        assert_eq!(burst.pass(key(1), 10 * SECOND), Some(1));
    }

    #[test]
    fn keys_are_bounded_and_what_has_something_to_tell_stays() {
        let mut burst = Burst::new(Limit { first: 1, every: 1_000 });
        burst.pass(key(0), 0);
        assert_eq!(burst.pass(key(0), 0), None);
        for route in 1..100_000 {
            burst.pass(key(route), u64::from(route) * SECOND / 10_000);
            assert!(burst.keys.len() <= MAX_KEYS + 1);
        }
        assert_eq!(burst.pass(key(0), 100 * SECOND), Some(1));
    }

    #[test]
    fn keys_without_a_place_share_one_count() {
        let mut burst = Burst::new(Limit { first: 1, every: 1_000 });
        for route in 0..MAX_KEYS as u32 {
            assert_eq!(burst.pass(key(route), 200 * SECOND), Some(0));
        }
        // A known key is told apart although there is no place for another.
        assert_eq!(burst.pass(key(5), 200 * SECOND), None);
        assert_eq!(burst.pass(key(5_000_000), 200 * SECOND), Some(0), "the first of the rest");
        assert_eq!(burst.pass(key(6_000_000), 200 * SECOND), None, "shares their count");
    }
}
