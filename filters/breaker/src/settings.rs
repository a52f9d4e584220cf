//! What an operator decides of a breaker.

use crate::moment::{NANOS_PER_SECOND, Nanos, Second};
use crate::window::Totals;
use std::time::Duration;

/// How long a window by time may be, in seconds.
pub const SECONDS: std::ops::RangeInclusive<u16> = 1..=600;

/// How many calls a window by count may hold.
pub const CALLS: std::ops::RangeInclusive<u16> = 1..=1_000;

/// How many trial requests may be under way.
pub const PROBES: std::ops::RangeInclusive<u32> = 1..=100;

/// The longest that a breaker may be open or wait for a probe: a day.
pub const LONGEST: Duration = Duration::from_secs(86_400);

/// Windows by time are divided into at most so many slots; a slot is a second, or more where that does not suffice.
const SLOTS: u16 = 60;

/// When a breaker opens, for how long, and what closes it again.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What its decisions are good for.
    pub mode: Mode,
    /// What the rates are taken of.
    pub window: Span,
    /// The rates say nothing before the window holds so many calls; of a window by count no more than it can hold.
    pub min_requests: u32,
    /// It opens when this fraction of the calls failed, above 0 and at most 1. Above 1: never.
    pub failure_rate: f64,
    /// It opens when too many calls are slow.
    pub slow_call: Option<SlowCall>,
    /// It opens when so many calls in a row failed, at least 1, however many the window holds.
    pub consecutive_failures: Option<u32>,
    /// How long it is open the first time. At least a nanosecond.
    pub open_for: Duration,
    /// What the open time is multiplied by each time that it opens again without having been closed; 1 or more.
    pub backoff: f64,
    /// What the open time grows to, at least `open_for`.
    pub max_open_for: Duration,
    /// Up to this fraction of the open time, drawn at random, is added to it, so that breakers that opened together do not
    /// probe together; 0..=1.
    pub jitter: f64,
    /// How many trial requests may be under way in half-open, and how many successes in a row close it.
    pub probes: u32,
    /// A trial request that has not answered by then is given up and has failed.
    pub probe_timeout: Duration,
}

/// When too many calls are slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowCall {
    /// A call is slow whose response headers took longer.
    pub threshold: Duration,
    /// Which fraction of the calls it takes, above 0 and at most 1.
    pub rate: f64,
}

/// What a breaker's decisions are good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It decides and sheds.
    #[default]
    Normal,
    /// It decides as it would otherwise, but everything passes.
    Shadow,
    /// Everything passes, and nothing is counted.
    Disabled,
    /// Everything is shed, and nothing is counted.
    ForcedOpen,
}

/// What a sliding window holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The calls of the last so many seconds, the one under way among them.
    Seconds(u16),
    /// The last so many calls, however old.
    Calls(u16),
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Too great a fraction of the calls failed: it opened.
    FailureRate,
    /// Too great a fraction of the calls was slow: it opened.
    SlowCalls,
    /// Too many calls in a row failed: it opened.
    ConsecutiveFailures,
    /// The open time is over and a request came: half-open.
    OpenTimeOver,
    /// A probe failed or was slow: it opened again.
    ProbeFailed,
    /// A probe did not answer in time: it opened again.
    ProbeGivenUp,
    /// Enough probes succeeded in a row: it closed.
    Recovered,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            mode: Mode::Normal,
            window: Span::Seconds(10),
            min_requests: 20,
            failure_rate: 0.6,
            slow_call: None,
            consecutive_failures: None,
            open_for: Duration::from_secs(60),
            backoff: 2.0,
            max_open_for: Duration::from_secs(600),
            jitter: 0.1,
            probes: 3,
            probe_timeout: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// What is out of range is as the nearest that is in it.
    pub(crate) fn bounded(self) -> Settings {
        let least = Duration::from_nanos(1);
        let open_for = self.open_for.clamp(least, LONGEST);
        let window = self.window.bounded();
        Settings {
            window,
            min_requests: match window {
                Span::Calls(calls) => self.min_requests.min(calls.into()),
                Span::Seconds(_) => self.min_requests,
            },
            consecutive_failures: self.consecutive_failures.map(|failures| failures.max(1)),
            open_for,
            backoff: self.backoff.max(1.0),
            max_open_for: self.max_open_for.clamp(open_for, LONGEST),
            jitter: if self.jitter > 0.0 { self.jitter.min(1.0) } else { 0.0 },
            probes: self.probes.clamp(*PROBES.start(), *PROBES.end()),
            probe_timeout: self.probe_timeout.clamp(least, LONGEST),
            ..self
        }
    }

    /// Whether a breaker opens at these counts, and at so many failures in a row.
    pub(crate) fn trips(&self, totals: Totals, in_a_row: u32) -> Option<Cause> {
        let Totals { calls, failures, slow } = totals;
        // Whatever the rates: what never failed and was never slow does not open a breaker.
        let reaches = |count: u64, rate: f64| count > 0 && count as f64 / calls as f64 >= rate;
        let enough = calls >= u64::from(self.min_requests);
        if enough && reaches(failures, self.failure_rate) {
            return Some(Cause::FailureRate);
        }
        if enough && self.slow_call.is_some_and(|slow_call| reaches(slow, slow_call.rate)) {
            return Some(Cause::SlowCalls);
        }
        let too_many = self.consecutive_failures.is_some_and(|limit| in_a_row >= limit);
        too_many.then_some(Cause::ConsecutiveFailures)
    }

    /// Whether a call is slow whose response headers took so long.
    pub(crate) fn is_slow(&self, latency: Option<Duration>) -> bool {
        self.slow_call.zip(latency).is_some_and(|(slow_call, latency)| latency > slow_call.threshold)
    }

    /// How long a breaker is open that has opened again so often since it was last closed. `draw` is where between no
    /// jitter and all of it.
    pub(crate) fn open_time(&self, reopened: u32, draw: u32) -> Nanos {
        let (first, most) = (self.open_for.as_nanos() as f64, self.max_open_for.as_nanos() as f64);
        let grown = (first * self.backoff.powf(f64::from(reopened))).min(most);
        let jitter = self.jitter * f64::from(draw) / 2f64.powi(32);
        // A float that is too great for an integer becomes the greatest one.
        (grown * (1.0 + jitter)) as Nanos
    }

    pub(crate) fn probe_limit(&self) -> Nanos {
        Nanos::try_from(self.probe_timeout.as_nanos()).unwrap_or(Nanos::MAX)
    }
}

impl Span {
    pub(crate) fn bounded(self) -> Span {
        match self {
            Span::Seconds(seconds) => Span::Seconds(seconds.clamp(*SECONDS.start(), *SECONDS.end())),
            Span::Calls(calls) => Span::Calls(calls.clamp(*CALLS.start(), *CALLS.end())),
        }
    }

    /// The first second of the slot in which this second lies.
    pub(crate) fn slot(self, second: Second) -> Second {
        let width = match self {
            Span::Seconds(seconds) => Second::from(seconds.div_ceil(SLOTS)),
            Span::Calls(_) => 1,
        };
        second.saturating_sub(second.checked_rem(width).unwrap_or(0))
    }
}

/// So much time as whole seconds, rounded up and at least one: what `Retry-After` tells (RFC 9110 §10.2.3).
pub(crate) fn whole_seconds(time: Nanos) -> u64 {
    time.div_ceil(NANOS_PER_SECOND).max(1)
}
