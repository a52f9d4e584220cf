//! How long to wait after a failure.

use crate::moment::{Moment, Nanos};
use std::time::Duration;

/// Waits that grow: each is drawn from zero up to a limit that doubles with every failure in a row.
///
/// Drawn from the whole range («full jitter»), because all proxies lose their source in the same moment: if each waited
/// the limit, or close to it, they would all come back in the same moment as well, and again after the next wait, until
/// the source gave in once more. The limit starts low, because most failures are a connection lost to a server that is
/// there, and is bounded, because nobody tells us when the source is back.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff { first, longest, failures: 0 }
    }

    /// How long to wait after one more failure.
    pub(crate) fn wait(&mut self, moment: Moment) -> Nanos {
        let limit = self.limit();
        self.failures = self.failures.saturating_add(1);
        moment.up_to(limit)
    }

    /// Whether the next wait is drawn from as much as it ever will be.
    pub(crate) fn is_at_its_longest(&self) -> bool {
        self.limit() == self.longest
    }

    fn limit(&self) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        doubled.min(self.longest)
    }

    /// All is well again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_limit_doubles_up_to_the_longest_and_starts_anew_when_all_is_well() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        // The longest of many draws is close to the limit.
        let mut limit = |reset: bool| {
            if reset {
                backoff.reset();
            }
            let failures = backoff.failures;
            let draws = (0..2_000).map(|entropy| {
                backoff.failures = failures;
                backoff.wait(Moment { now: 0, entropy })
            });
            let all: Vec<_> = draws.collect();
            assert!(*all.iter().min().unwrap() < 100_000_000, "nobody is made to wait");
            (*all.iter().max().unwrap() as f64 / 1e8).round() as u64
        };
        let limits: Vec<_> = (0..10).map(|_| limit(false)).collect();
        assert_eq!(limits, [1, 2, 4, 8, 16, 32, 64, 100, 100, 100]);
        backoff.failures = u32::MAX;
        assert!(backoff.wait(Moment { now: 0, entropy: 3 }) <= 10_000_000_000);
        assert_eq!(backoff.failures, u32::MAX);
        backoff.reset();
        assert!(backoff.wait(Moment { now: 0, entropy: 3 }) <= 100_000_000);
    }
}
