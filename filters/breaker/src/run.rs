//! Failures in a row.

/// The runs of failures in a sequence of calls, so that sequences can be joined.
///
/// Between two ticks a worker's calls are a sequence of their own, and those of all workers are joined in the order in
/// which they are merged: what a worker saw in a tick counts as one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// Ahead of the first success.
    leading: u32,
    /// Behind the last success.
    trailing: u32,
    longest: u32,
    has_success: bool,
}

impl Run {
    /// So many failures and nothing else.
    pub(crate) fn of(failures: u32) -> Run {
        Run { leading: failures, trailing: failures, longest: failures, has_success: false }
    }

    /// A single success.
    const SUCCESS: Run = Run { leading: 0, trailing: 0, longest: 0, has_success: true };

    /// Another call.
    pub(crate) fn push(&mut self, failed: bool) {
        *self = self.then(if failed { Run::of(1) } else { Run::SUCCESS });
    }

    /// These calls, and then those.
    pub(crate) fn then(self, next: Run) -> Run {
        let across = self.trailing.saturating_add(next.leading);
        Run {
            leading: if self.has_success { self.leading } else { across },
            trailing: if next.has_success { next.trailing } else { across },
            longest: self.longest.max(next.longest).max(across),
            has_success: self.has_success || next.has_success,
        }
    }

    /// Behind the last success.
    pub(crate) fn trailing(self) -> u32 {
        self.trailing
    }

    /// Of all.
    pub(crate) fn longest(self) -> u32 {
        self.longest
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn run(calls: &[bool]) -> Run {
        let mut run = Run::default();
        calls.iter().for_each(|failed| run.push(*failed));
        run
    }

    #[test]
    fn joined_runs_are_those_of_the_joined_calls() {
        // Every sequence of up to ten calls, cut at every place.
        for bits in 0..1_u32 << 10 {
            let calls: Vec<bool> = (0..10).map(|bit| bits >> bit & 1 == 1).collect();
            let longest = calls.split(|failed| !failed).map(<[bool]>::len).max().unwrap();
            let trailing = calls.iter().rev().take_while(|failed| **failed).count();
            for cut in 0..=10 {
                let joined = run(&calls[..cut]).then(run(&calls[cut..]));
                assert_eq!(joined, run(&calls));
                assert_eq!((joined.longest() as usize, joined.trailing() as usize), (longest, trailing), "{calls:?}");
            }
        }
    }
}
