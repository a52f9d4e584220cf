use std::time::Duration;

/// When and how often a request is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    /// The wait after the first failure.
    pub(crate) initial: Duration,
    /// The longest wait that we choose ourselves.
    pub(crate) max: Duration,
    /// How many requests are made for a batch in all.
    pub(crate) attempts: u32,
    /// How old a batch may be when it is sent once more.
    pub(crate) max_age: Duration,
}

impl Retry {
    /// The wait after so many failures: it doubles each time, and `jitter`, which is random, takes off up to half of it,
    /// so that the workers of a thousand proxies do not come back at once. The wait that a collector asks for is kept,
    /// and the jitter comes on top of it.
    pub(crate) fn wait(&self, failures: u32, asked_for: Option<Duration>, jitter: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let longest = self.initial.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(self.max);
        let ours = longest.saturating_sub(share(longest, jitter >> 1));
        match asked_for {
            Some(wait) => ours.max(wait.saturating_add(share(self.initial, jitter))),
            None => ours,
        }
    }
}

/// So much of `whole` as `jitter` is of 2^32.
fn share(whole: Duration, jitter: u32) -> Duration {
    let nanos = whole.as_nanos().saturating_mul(u128::from(jitter)) >> 32;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const RETRY: Retry = Retry {
        initial: Duration::from_secs(1),
        max: Duration::from_secs(30),
        attempts: 5,
        max_age: Duration::from_secs(300),
    };

    #[test]
    fn the_wait_doubles_up_to_its_limit() {
        for (failures, seconds) in [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (7, 30), (40, 30), (u32::MAX, 30)] {
            assert_eq!(RETRY.wait(failures, None, 0), Duration::from_secs(seconds), "{failures}");
        }
    }

    #[test]
    fn jitter_takes_off_up_to_half() {
        assert_eq!(RETRY.wait(2, None, 1 << 31), Duration::from_millis(1500));
        let least = RETRY.wait(2, None, u32::MAX);
        assert!(least > Duration::from_secs(1) && least < Duration::from_millis(1001), "{least:?}");
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_with_jitter_on_top() {
        let asked_for = Some(Duration::from_secs(60));
        assert_eq!(RETRY.wait(1, asked_for, 0), Duration::from_secs(60));
        assert_eq!(RETRY.wait(1, asked_for, 1 << 31), Duration::from_millis(60_500));
        // One that is shorter than ours does not hurry us.
        assert_eq!(RETRY.wait(3, Some(Duration::ZERO), 0), Duration::from_secs(4));
    }
}
