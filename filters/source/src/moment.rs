//! When it is, and chance.

use std::time::Duration;

/// Nanoseconds.
pub(crate) type Nanos = u64;

/// When something happens, and a number drawn at random for what is decided then.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Nanoseconds since the Unix epoch.
    pub now: u64,
    /// Any number, a new one for each moment.
    pub entropy: u64,
}

impl Moment {
    /// A random duration from zero up to `longest`, that one included.
    pub(crate) fn up_to(self, longest: Duration) -> Nanos {
        // The finalizer of SplitMix64: every bit that goes in moves every bit that comes out.
        let mut bits = self.entropy;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let product = u128::from(bits).saturating_mul(u128::from(nanos(longest)).saturating_add(1));
        u64::try_from(product >> 64).unwrap_or(u64::MAX)
    }
}

/// The time since the session began, as far as the proxy's clock tells. That clock is the system's and may be set: set
/// back, time stands still for a moment, so that no wait becomes longer than it was to be; set forward, waits end
/// early.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    seen: Option<u64>,
    passed: Nanos,
}

/// No wait of ours is longer, so a jump that is longer need not count in full.
const LONGEST_STEP: Nanos = 3_600_000_000_000;

impl Stopwatch {
    pub(crate) fn at(&mut self, now: u64) -> Nanos {
        let step = now.saturating_sub(self.seen.unwrap_or(now)).min(LONGEST_STEP);
        self.seen = Some(now);
        self.passed = self.passed.saturating_add(step);
        self.passed
    }
}

pub(crate) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_later_and_one_set_forward_never_overflows() {
        let mut stopwatch = Stopwatch::default();
        let passed: Vec<_> = [1_000, 1_500, 200, 700, 700].into_iter().map(|now| stopwatch.at(now)).collect();
        assert_eq!(passed, [0, 500, 500, 1_000, 1_000]);
        assert_eq!(stopwatch.at(u64::MAX), 1_000 + LONGEST_STEP);
        stopwatch.passed = u64::MAX - 1;
        stopwatch.seen = Some(0);
        assert_eq!(stopwatch.at(u64::MAX), u64::MAX);
    }

    #[test]
    fn chance_spreads_over_the_whole_range() {
        let tenth = |entropy| Moment { now: 0, entropy }.up_to(Duration::from_nanos(9));
        let mut counts = [0; 10];
        (0..10_000).for_each(|entropy| counts[tenth(entropy) as usize] += 1);
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
        assert_eq!(Moment { now: 0, entropy: 7 }.up_to(Duration::ZERO), 0);
    }
}
