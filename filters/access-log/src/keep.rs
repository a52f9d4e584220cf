//! Whether an exchange is logged.

use crate::counters::NotKept;
use sluicegate_host::{HeaderMap, SamplingReason};
use sluicegate_policy::Rules;
use sluicegate_telemetry::outcome::Severity;

/// The settings that decide.
#[derive(Clone, Debug)]
pub(crate) struct Keep {
    /// What is milder is not logged.
    pub(crate) min_severity: Severity,
    /// From here on everything is logged; below it the sampling decision counts.
    pub(crate) always_from: Severity,
    /// What took longer is logged, in nanoseconds.
    pub(crate) slow_threshold: u64,
    /// Noise: what is milder than the severity of the first rule that matches is not logged.
    pub(crate) drop: Rules<Severity>,
}

/// What is known of the exchange.
pub(crate) struct Judged<'e> {
    pub(crate) severity: Severity,
    /// How long its caller waited, in nanoseconds.
    pub(crate) latency: Option<u64>,
    pub(crate) head: &'e HeaderMap,
    /// The decision of whoever samples; `None` where nobody decided.
    pub(crate) sampled: Option<bool>,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep(SampledBy),
    Leave(NotKept),
}

/// Why it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SampledBy {
    /// It is an error.
    Error,
    /// It took longer than the threshold.
    Slow,
    /// All of its severity are.
    Severity,
    /// Its trace is sampled, elsewhere.
    Trace,
    /// A sampler of ours decided so, for this reason.
    Sampling(SamplingReason),
    /// Nobody decided against it.
    Default,
}

impl SampledBy {
    /// The value of `sluicegate.sampled_by`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            SampledBy::Error => "error",
            SampledBy::Slow => "slow",
            SampledBy::Severity => "severity",
            SampledBy::Trace => "trace",
            SampledBy::Sampling(reason) => reason.as_str(),
            SampledBy::Default => "default",
        }
    }
}

/// Errors and what was slow are logged whatever the settings say. (The burst limiter comes after.)
pub(crate) fn judge(keep: &Keep, exchange: &Judged<'_>) -> Verdict {
    let severity = exchange.severity;
    if severity >= Severity::Error {
        return Verdict::Keep(SampledBy::Error);
    }
    if exchange.latency.is_some_and(|latency| latency > keep.slow_threshold) {
        return Verdict::Keep(SampledBy::Slow);
    }
    if keep.drop.first(exchange.head).is_some_and(|below| severity < *below) {
        return Verdict::Leave(NotKept::Dropped);
    }
    if severity < keep.min_severity {
        return Verdict::Leave(NotKept::Severity);
    }
    if severity >= keep.always_from {
        return Verdict::Keep(SampledBy::Severity);
    }
    match exchange.sampled {
        Some(true) => Verdict::Keep(SampledBy::Trace),
        Some(false) => Verdict::Leave(NotKept::Sampling),
        None => Verdict::Keep(SampledBy::Default),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use NotKept::{Dropped, Sampling};
    use Severity::{Debug, Error, Fatal, Info, Warn};
    use Verdict::{Keep as Kept, Leave};

    const THRESHOLD: u64 = 1_000;

    fn judged(min: Severity, always: Severity, drop: Option<Severity>, of: (Severity, u64, Option<bool>)) -> Verdict {
        let drop = drop.map(|below| (sluicegate_policy::Matcher::default(), below)).into_iter().collect();
        let keep = Keep { min_severity: min, always_from: always, slow_threshold: THRESHOLD, drop };
        let (severity, latency, sampled) = of;
        judge(&keep, &Judged { severity, latency: Some(latency), head: &HeaderMap::default(), sampled })
    }

    #[test]
    fn the_severity_and_then_the_sampling_decide() {
        let prod = |of| judged(Info, Warn, None, of);
        assert_eq!(prod((Info, 0, Some(true))), Kept(SampledBy::Trace));
        assert_eq!(prod((Info, 0, Some(false))), Leave(Sampling));
        assert_eq!(prod((Info, 0, None)), Kept(SampledBy::Default));
        assert_eq!(prod((Warn, 0, Some(false))), Kept(SampledBy::Severity));
        assert_eq!(prod((Debug, 0, Some(true))), Leave(NotKept::Severity));
        let dev = |of| judged(Debug, Debug, None, of);
        assert_eq!(dev((Debug, 0, Some(false))), Kept(SampledBy::Severity));
    }

    #[test]
    fn errors_and_what_is_slow_are_always_kept() {
        for drop in [None, Some(Error)] {
            let strict = |of| judged(Fatal, Fatal, drop, of);
            assert_eq!(strict((Error, 0, Some(false))), Kept(SampledBy::Error));
            assert_eq!(strict((Fatal, 0, Some(false))), Kept(SampledBy::Error));
            assert_eq!(strict((Info, THRESHOLD + 1, Some(false))), Kept(SampledBy::Slow));
            assert_ne!(strict((Info, THRESHOLD, Some(false))), Kept(SampledBy::Slow));
        }
    }

    #[test]
    fn noise_is_dropped_below_a_severity() {
        assert_eq!(judged(Debug, Debug, Some(Error), (Warn, 0, Some(true))), Leave(Dropped));
        assert_eq!(judged(Debug, Debug, Some(Warn), (Warn, 0, Some(true))), Kept(SampledBy::Severity));
        assert_eq!(judged(Debug, Debug, Some(Warn), (Info, 0, Some(true))), Leave(Dropped));
    }
}
