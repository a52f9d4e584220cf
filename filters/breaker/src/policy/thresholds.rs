//! The numbers by which a breaker opens and closes.

use crate::settings::{CALLS, LONGEST, Mode, PROBES, SECONDS, Settings, SlowCall, Span};
use sluicegate_policy::Section;
use std::ops::RangeInclusive;
use std::time::Duration;

const MODES: [(&str, Mode); 4] = [
    ("normal", Mode::Normal),
    ("shadow", Mode::Shadow),
    ("disabled", Mode::Disabled),
    ("forced_open", Mode::ForcedOpen),
];

const MIN_REQUESTS: RangeInclusive<u64> = 1..=1_000_000;
const IN_A_ROW: RangeInclusive<u64> = 1..=1_000;
const SLOW: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3_600);
/// Two ticks, for what is to be seen by all workers in between.
const WAITING: RangeInclusive<Duration> = Duration::from_millis(100)..=LONGEST;
const BACKOFF: RangeInclusive<f64> = 1.0..=100.0;

const A_POSITIVE_FRACTION: &str = "a fraction above 0, up to 1";

/// No fraction of the calls reaches it.
pub(super) const NEVER: f64 = f64::INFINITY;

/// What is not given is as in `defaults`.
pub(super) fn read(section: &Section<'_>, defaults: &Settings) -> Settings {
    let window = read_window(section);
    let window_in_force = window.unwrap_or(defaults.window);
    let (open_for, max_open_for) = read_open_time(section, defaults);
    Settings {
        mode: section.choice("mode", &MODES).unwrap_or(defaults.mode),
        window: window_in_force,
        min_requests: read_min_requests(section, window_in_force).unwrap_or(defaults.min_requests),
        failure_rate: or_false(section, "failure_rate", read_rate)
            .map_or(defaults.failure_rate, |rate| rate.unwrap_or(NEVER)),
        slow_call: or_false(section, "slow_call", |section, name| {
            read_slow_call(&section.subsection(name), defaults.slow_call)
        })
        .unwrap_or(defaults.slow_call),
        consecutive_failures: or_false(section, "consecutive_failures", |section, name| whole(section, name, IN_A_ROW))
            .unwrap_or(defaults.consecutive_failures),
        open_for,
        backoff: section.number("backoff", BACKOFF).unwrap_or(defaults.backoff),
        max_open_for,
        jitter: section.fraction("jitter").unwrap_or(defaults.jitter),
        probes: whole(section, "probes", (*PROBES.start()).into()..=(*PROBES.end()).into()).unwrap_or(defaults.probes),
        probe_timeout: section.duration("probe_timeout", WAITING).unwrap_or(defaults.probe_timeout),
    }
}

/// `Some(None)` where the field is `false`, which takes back what would hold otherwise.
fn or_false<T>(
    section: &Section<'_>,
    name: &'static str,
    read: impl FnOnce(&Section<'_>, &'static str) -> Option<T>,
) -> Option<Option<T>> {
    if section.is_false(name) {
        return Some(None);
    }
    read(section, name).map(Some)
}

fn whole(section: &Section<'_>, name: &'static str, range: RangeInclusive<u64>) -> Option<u32> {
    section.integer(name, range).and_then(|number| u32::try_from(number).ok())
}

fn read_rate(section: &Section<'_>, name: &'static str) -> Option<f64> {
    let rate = section.fraction(name)?;
    if rate <= 0.0 {
        section.reject(name, A_POSITIVE_FRACTION);
    }
    Some(rate)
}

fn read_window(section: &Section<'_>) -> Option<Span> {
    let range = seconds(*SECONDS.start())..=seconds(*SECONDS.end());
    let by_time = section.duration("window", range);
    if by_time.is_some_and(|window| window.subsec_nanos() != 0) {
        section.reject("window", "whole seconds, such as \"10s\"");
    }
    let calls = whole(section, "window_calls", (*CALLS.start()).into()..=(*CALLS.end()).into());
    if by_time.is_some() && calls.is_some() {
        section.reject_as("window_calls", "both `window` and `window_calls`", "one of them");
    }
    let by_time = by_time.and_then(|window| u16::try_from(window.as_secs()).ok()).map(Span::Seconds);
    by_time.or_else(|| calls.and_then(|calls| u16::try_from(calls).ok()).map(Span::Calls))
}

fn seconds(seconds: u16) -> Duration {
    Duration::from_secs(seconds.into())
}

/// What is said here is more than a window by count holds: then it would not be what holds.
fn read_min_requests(section: &Section<'_>, window: Span) -> Option<u32> {
    let least = whole(section, "min_requests", MIN_REQUESTS)?;
    if matches!(window, Span::Calls(calls) if least > calls.into()) {
        section.reject("min_requests", "not more than `window_calls`");
    }
    Some(least)
}

/// Absent, it is as in `defaults`; given, what it does not say is.
fn read_slow_call(section: &Section<'_>, defaults: Option<SlowCall>) -> Option<SlowCall> {
    let section = if section.is_given() && defaults.is_none() { &section.required() } else { section };
    let threshold = section.duration("threshold", SLOW).or(defaults.map(|defaults| defaults.threshold));
    let rate = read_rate(section, "rate").or(defaults.map(|defaults| defaults.rate));
    threshold.zip(rate).map(|(threshold, rate)| SlowCall { threshold, rate })
}

/// The first and the longest.
fn read_open_time(section: &Section<'_>, defaults: &Settings) -> (Duration, Duration) {
    let (first, most) = (section.duration("open_for", WAITING), section.duration("max_open_for", WAITING));
    let open_for = first.unwrap_or(defaults.open_for);
    let max_open_for = most.unwrap_or(defaults.max_open_for);
    match (first, most) {
        _ if open_for <= max_open_for => {}
        (_, Some(_)) => section.reject("max_open_for", "a duration not below `open_for`"),
        (Some(_), None) => {
            section.reject("open_for", "a duration not above `max_open_for`, or a greater `max_open_for` beside it")
        }
        // The section is wrong, and says so itself.
        (None, None) => {}
    }
    (open_for, max_open_for)
}
