//! The section `access_log` of the policy.

use crate::SEVERITIES;
use crate::burst::Limit;
use crate::custom::{self, CustomAttribute};
use crate::keep::Keep;
use crate::profile::{Defaults, PROFILES, Profile};
use crate::sinks::Destinations;
use sluicegate_host::{HeaderMap, RequestId, SamplingFacts};
use sluicegate_otlp::{Settings, Signal};
use sluicegate_policy::{Direction, Directions, Document, Rules, Section, Statuses};
use sluicegate_telemetry::outcome::Severity;
use sluicegate_telemetry::redact::Redactor;
use sluicegate_telemetry::{Ended, Routes};
use std::time::Duration;

pub(crate) struct LogPolicy {
    pub(crate) enabled: bool,
    pub(crate) directions: Directions,
    pub(crate) keep: Keep,
    pub(crate) burst: Option<Limit>,
    /// The first that matches and is for the response gives the severity.
    severities: Rules<SeverityRule>,
    pub(crate) routes: Routes,
    /// Whether a record also says what goes without saying.
    pub(crate) detailed: bool,
    pub(crate) custom: Vec<CustomAttribute>,
    pub(crate) redactor: Redactor,
    /// Where the request's id stands, if another plugin put it there.
    pub(crate) request_id_header: String,
    /// [`SamplingFacts::may_turn`].
    pub(crate) sampler_may_turn: Directions,
    /// The version of the document and a hash of it: `1.0-4be97d02`.
    pub(crate) version: String,
}

/// A severity for some requests, or only for some of their responses.
#[derive(Clone, Debug)]
struct SeverityRule {
    /// Empty: any.
    statuses: Vec<Statuses>,
    severity: Severity,
}

/// What one sink is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sink {
    Proxy,
    Otlp,
    ProxyLog,
}

const SINKS: [(&str, Sink); 3] = [("proxy", Sink::Proxy), ("otlp", Sink::Otlp), ("proxy_log", Sink::ProxyLog)];

/// Below which severity a rule may drop: errors are always kept.
const BELOW: [(&str, Severity); 2] = [("warn", Severity::Warn), ("error", Severity::Error)];

/// Errors are kept whatever it says.
const MIN_SEVERITIES: [(&str, Severity); 4] =
    [("debug", Severity::Debug), ("info", Severity::Info), ("warn", Severity::Warn), ("error", Severity::Error)];

const DETAILS: [(&str, bool); 2] = [("standard", false), ("full", true)];

/// One hop is one line: on the side of the service that is called.
const DIRECTIONS: Directions = Directions::NONE.with(Direction::Inbound).with(Direction::Gateway);

const SLOW: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3_600);

impl LogPolicy {
    pub(crate) fn read(document: &Document<'_>) -> (LogPolicy, Destinations) {
        let section = document.section("access_log");
        let environment = document.service().environment;
        let profile = section.choice("profile", &PROFILES).unwrap_or_else(|| Profile::of(environment.as_deref()));
        let defaults = profile.defaults();
        let redactor = Redactor::from_policy(&section.subsection("redact"));
        let policy = LogPolicy {
            enabled: section.boolean("enabled").unwrap_or(true),
            directions: section.directions("direction").unwrap_or(DIRECTIONS),
            keep: read_keep(&section, &defaults),
            burst: read_burst(&section.subsection("burst"), defaults.burst),
            severities: section.rules("severity", read_severity),
            routes: Routes::read(&section),
            detailed: section.choice("detail", &DETAILS).unwrap_or(defaults.detailed),
            custom: custom::read(&section, &redactor, SamplingFacts::force_header(document).as_deref()),
            redactor,
            sampler_may_turn: SamplingFacts::may_turn(document),
            request_id_header: RequestId::header(document),
            version: format!("{}-{:08x}", document.version(), document.fingerprint() >> 32),
        };
        (policy, read_destinations(&section))
    }

    /// The severity of a response, by the rules or as it was classified.
    pub(crate) fn severity(&self, head: &HeaderMap, ended: &Ended<'_>, classified: Severity) -> Severity {
        let is_for = |rule: &&SeverityRule| {
            let status = ended.status.unwrap_or_default();
            rule.statuses.is_empty() || rule.statuses.iter().any(|range| range.contains(status))
        };
        self.severities.all(head).find(is_for).map_or(classified, |rule| rule.severity)
    }
}

fn read_keep(section: &Section<'_>, defaults: &Defaults) -> Keep {
    let slow = section.duration("slow_threshold", SLOW).unwrap_or(defaults.slow_threshold);
    let min_severity = section.choice("min_severity", &MIN_SEVERITIES);
    let always_from = section.choice("always_from", &MIN_SEVERITIES);
    Keep {
        min_severity: min_severity.unwrap_or(defaults.min_severity),
        always_from: always_from.unwrap_or(defaults.always_from),
        slow_threshold: u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX),
        drop: section.rules("drop", |rule| rule.choice("below", &BELOW).unwrap_or(Severity::Error)),
    }
}

fn read_burst(section: &Section<'_>, default: Option<Limit>) -> Option<Limit> {
    const USUAL: Limit = Limit { first: 100, every: 100 };
    let usual = default.unwrap_or(USUAL);
    let number = |name| section.integer(name, 1..=1_000_000).and_then(|number| u32::try_from(number).ok());
    let limit = Limit { first: number("first").unwrap_or(usual.first), every: number("every").unwrap_or(usual.every) };
    // Who gives numbers wants the limiter.
    let enabled = section.boolean("enabled").unwrap_or(default.is_some() || section.is_given());
    enabled.then_some(limit)
}

fn read_severity(rule: &Section<'_>) -> SeverityRule {
    let statuses =
        rule.strings_where("status", |text| Statuses::parse(text).is_some(), Statuses::ACCEPTED).unwrap_or_default();
    SeverityRule {
        statuses: statuses.into_iter().filter_map(Statuses::parse).collect(),
        severity: rule.required().choice("severity", &SEVERITIES).unwrap_or(Severity::Info),
    }
}

fn read_destinations(section: &Section<'_>) -> Destinations {
    let sinks = section.choices("sinks", &SINKS);
    let otlp = Settings::read(section, Signal::Logs);
    let wants = |sink| sinks.as_ref().map_or(sink == Sink::Proxy, |sinks| sinks.contains(&sink));
    if wants(Sink::Otlp) && otlp.is_none() && !section.subsection("otlp").is_given() {
        section.reject("otlp", "an object with the cluster of a collector, since `sinks` has \"otlp\"");
    }
    if otlp.is_some() && !wants(Sink::Otlp) {
        section.warn("otlp", "is not used: add \"otlp\" to `sinks`");
    }
    if sinks.as_ref().is_some_and(Vec::is_empty) {
        section.reject("sinks", "at least one sink; `enabled: false` switches the log off");
    }
    Destinations {
        proxy: wants(Sink::Proxy),
        proxy_log: wants(Sink::ProxyLog),
        otlp: otlp.filter(|_| wants(Sink::Otlp)),
    }
}
