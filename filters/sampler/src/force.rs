//! Recording on demand: a request with the right secret in a header is recorded, within a budget.

use sluicegate_policy::Secret;

/// The section `sampling.force`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForcePolicy {
    /// The header, in lower case. It is taken away before upstream, whatever it holds.
    pub(crate) header: String,
    /// What it must hold, compared in constant time.
    pub(crate) secret: Secret,
    /// Requests per second and worker.
    pub(crate) budget: u32,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Nothing: the header is not there.
    None,
    /// To be recorded, with the secret and within the budget.
    Granted,
    /// The same, but the budget is used up: it is sampled like any other.
    OverBudget,
    /// The header is there, but what it holds is not the secret: it is sampled like any other.
    WrongSecret,
}

impl ForcePolicy {
    /// What the header asks for, at this time in nanoseconds. Only who knows the secret uses the budget.
    pub(crate) fn demand(&self, value: Option<&[u8]>, budget: &mut Budget, now: u64) -> Demand {
        let Some(value) = value else { return Demand::None };
        if !self.secret.matches(value) {
            return Demand::WrongSecret;
        }
        if budget.take(self.budget, now) { Demand::Granted } else { Demand::OverBudget }
    }
}

/// What is left of the budget of one worker: a token bucket that holds a second's worth. It starts full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// In billionths of a request.
    tokens: u64,
    /// When it was looked at last, in nanoseconds.
    filled: u64,
}

/// A request, and a second.
const BILLION: u64 = 1_000_000_000;

impl Budget {
    /// Full, whatever the limit turns out to be.
    pub(crate) fn new() -> Budget {
        Budget { tokens: u64::MAX, filled: 0 }
    }

    /// Takes one, where there is one. `limit` is what a second brings, and the most that is saved up; it may change from
    /// one call to the next.
    fn take(&mut self, limit: u32, now: u64) -> bool {
        let limit = u64::from(limit);
        // A nanosecond brings a billionth of what a second brings. A clock that was set back brings nothing.
        let elapsed = now.saturating_sub(self.filled);
        self.filled = now;
        let full = limit.saturating_mul(BILLION);
        self.tokens = self.tokens.saturating_add(elapsed.saturating_mul(limit)).min(full);
        match self.tokens.checked_sub(BILLION) {
            Some(rest) => {
                self.tokens = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use sluicegate_policy::Document;

    const NOW: u64 = 1_763_676_000 * BILLION;

    fn policy(budget: u32) -> ForcePolicy {
        let document = br#"{"version": "1.0", "sampling": {"secret": "correct horse battery"}}"#;
        let document = Document::parse(document, &|_| None).unwrap();
        let secret = document.section("sampling").secret("secret", 16).unwrap();
        ForcePolicy { header: "x-force".to_owned(), secret, budget }
    }

    fn demands(limit: u32, times: impl IntoIterator<Item = u64>) -> Vec<bool> {
        let (policy, mut budget) = (policy(limit), Budget::new());
        let demand = |now| policy.demand(Some(b"correct horse battery"), &mut budget, now) == Demand::Granted;
        times.into_iter().map(demand).collect()
    }

    #[test]
    fn the_secret_and_nothing_like_it_is_granted() {
        let demand = |value: Option<&str>| policy(1).demand(value.map(str::as_bytes), &mut Budget::new(), NOW);
        for (value, expected) in [
            (None, Demand::None),
            (Some("correct horse battery"), Demand::Granted),
            // As a header reads that comes twice.
            (Some("correct horse battery,correct horse battery"), Demand::WrongSecret),
            (Some(""), Demand::WrongSecret),
            (Some("correct horse batter"), Demand::WrongSecret),
            (Some("correct horse battery "), Demand::WrongSecret),
            (Some("Correct horse battery"), Demand::WrongSecret),
            (Some("caf\u{e9}"), Demand::WrongSecret),
        ] {
            assert_eq!(demand(value), expected, "{value:?}");
        }
    }

    #[test]
    fn a_second_brings_the_budget_and_no_more_is_saved_up() {
        let at_once = demands(3, [NOW; 5]);
        assert_eq!(at_once, [true, true, true, false, false]);
        // A third of a second brings one, a moment less does not.
        let third = BILLION / 3;
        assert_eq!(
            demands(3, [NOW, NOW, NOW, NOW + third, NOW + third + 1, NOW + third + 2]),
            [true, true, true, false, true, false]
        );
        let after_an_hour = demands(3, [[NOW; 4], [NOW + 3_600 * BILLION; 4]].concat());
        assert_eq!(after_an_hour, [true, true, true, false, true, true, true, false]);
    }

    #[test]
    fn over_a_minute_it_is_the_budget_however_many_ask() {
        let granted =
            demands(10, (0..600_000).map(|n| NOW + n * 100_000)).into_iter().filter(|granted| *granted).count();
        assert_eq!(granted, 10 + 599);
    }

    #[test]
    fn a_wrong_secret_uses_nothing_of_the_budget() {
        let (policy, mut budget) = (policy(1), Budget::new());
        let mut demand = |value: &[u8]| policy.demand(Some(value), &mut budget, NOW);
        for _ in 0..100 {
            assert_eq!(demand(b"guess"), Demand::WrongSecret);
        }
        assert_eq!(demand(b"correct horse battery"), Demand::Granted);
        assert_eq!(demand(b"correct horse battery"), Demand::OverBudget);
    }

    #[test]
    fn the_clock_may_go_back_and_the_limit_may_change() {
        assert_eq!(demands(1, [NOW, NOW - BILLION, NOW - 2 * BILLION, NOW - BILLION]), [true, false, false, true]);
        let (mut budget, now) = (Budget::new(), NOW);
        assert!(budget.take(1_000, now));
        // What was saved under a larger limit is not spent under a smaller one.
        assert!(budget.take(1, now));
        assert!(!budget.take(1, now));
        assert!((0..10).all(|_| !budget.take(0, now + BILLION)));
    }
}
