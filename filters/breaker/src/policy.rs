//! The section `breaker` of the policy.
//!
//! | field | type, unit | default | range |
//! |---|---|---|---|
//! | `enabled` | boolean | `true` | |
//! | `direction` | direction or list of such | `outbound`, `gateway` | `inbound`, `outbound`, `gateway` |
//! | `max_keys` | whole number, breakers at the same time, per worker | `1024` | 1 to 4,096 |
//! | `mode` | what decisions are good for | `"normal"` | `normal`, `shadow`, `disabled`, `forced_open` |
//! | `per` | what has a breaker of its own | `"cluster"` | `cluster`, `route`, `host`, `{ header: name }` |
//! | `key` | the name of the one breaker for all, in the place of `per` | | 1 to 64 of A-Z, a-z, 0-9, `_`, `-`, `.` |
//! | `window` | duration, whole seconds | `"10s"` | 1s to 10m |
//! | `window_calls` | whole number of calls, in the place of `window` | | 1 to 1,000 |
//! | `min_requests` | whole number of calls | `20` | 1 to 1,000,000, not above `window_calls` |
//! | `failure_rate` | fraction of the calls, or `false` | `0.6` | above 0, to 1 |
//! | `slow_call.threshold` | duration to the response's headers | required in `slow_call` | 1ms to 1h |
//! | `slow_call.rate` | fraction of the calls | required in `slow_call` | above 0, to 1 |
//! | `consecutive_failures` | whole number of calls, or `false` | `false` | 1 to 1,000 |
//! | `open_for` | duration | `"60s"` | 100ms to 24h, not above `max_open_for` |
//! | `backoff` | factor | `2.0` | 1 to 100 |
//! | `max_open_for` | duration | `"10m"` | 100ms to 24h, not below `open_for` |
//! | `jitter` | fraction of the open time | `0.1` | 0 to 1 |
//! | `probes` | whole number of requests | `3` | 1 to 100 |
//! | `probe_timeout` | duration | `"30s"` | 100ms to 24h |
//! | `min_deadline` | duration | `"100ms"` | 0s to 1h |
//! | `failures` | status, class, gRPC code or kind of error, or list of such | see [`Failures`] | |
//! | `response.status` | HTTP status | `503` | 200 to 599 |
//! | `response.headers` | object of header names and values | none | at most 32; values of 1 to 1,024 bytes |
//! | `response.body` | text | none | at most 16 KiB |
//! | `fallback.header` | header name | required in `fallback` | |
//! | `fallback.value` | header value | required in `fallback` | 1 to 1,024 bytes |
//! | `hints.header` | header name, or `false` | `"x-sluicegate-breaker"` | |
//! | `hints.envoy_overloaded` | boolean | `true` | |
//! | `hints.grpc_pushback` | boolean | `true` | |
//! | `rules` | list of rules, the first that matches wins | none | at most 1,000 |
//! | `rules[].match` | match rule | matches all | |
//! | `rules[].cluster`, `rules[].route` | name, or list of such | any | 1 to 256 bytes |
//! | `rules[].…` | all but the first three | the section's | as above |
//!
//! `slow_call: false`, `response: false` and `fallback: false` take back in a rule what the section says.

mod answer;
mod thresholds;

pub(crate) use answer::{Degradation, FixedResponse, Hints};

use crate::breakers::MAX_KEYS;
use crate::counters::OTHERS;
use crate::failures::Failures;
use crate::settings::{Mode, Settings};
use answer::Taken;
use sluicegate_policy::{Direction, Directions, Document, Rules, Section, is_header_name};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The whole section.
#[derive(Clone, Debug)]
pub(crate) struct BreakerPolicy {
    /// `enabled`: off means that nothing is shed, counted or written here.
    pub(crate) enabled: bool,
    /// `direction`: where breakers stand. Not inbound unless it says so: a sidecar would shed from its own service.
    pub(crate) directions: Directions,
    /// `max_keys`: so many names have a breaker of their own in a worker.
    pub(crate) max_keys: usize,
    /// For requests that no rule matches.
    pub(crate) default: Guard,
    /// `rules`. What a rule does not say is as in the section.
    pub(crate) rules: Rules<Guard>,
}

/// How requests are guarded: by which breaker, and what they get when it sheds them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Guard {
    /// `cluster` and `route` of a rule, beside its match.
    pub(crate) only: Only,
    /// When it opens, for how long, and what closes it again.
    pub(crate) settings: Settings,
    /// `per`, or `key`.
    pub(crate) per: Per,
    /// `failures`.
    pub(crate) failures: Failures,
    /// `min_deadline`: who asks for an answer in less time does not tell by a timeout that the upstream is slow.
    pub(crate) min_deadline: Duration,
    /// `response`, or `fallback`.
    pub(crate) degradation: Degradation,
    /// `hints`.
    pub(crate) hints: Hints,
}

/// Where requests must go for a rule to be theirs; empty means anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Only {
    /// One of these clusters.
    pub(crate) clusters: Vec<String>,
    /// By one of these routes.
    pub(crate) routes: Vec<String>,
}

/// What has a breaker of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Per {
    /// Each upstream cluster, by its name (`xds.cluster_name`).
    Cluster,
    /// Each route, by its name (`xds.route_name`).
    Route,
    /// Each host that requests name (`:authority`).
    Host,
    /// Each value of the header with this lower-case name.
    Header(String),
    /// All requests together: `key`, the name of their breaker.
    Key(String),
}

const PERS: [(&str, Per); 3] = [("cluster", Per::Cluster), ("route", Per::Route), ("host", Per::Host)];

const DIRECTIONS: Directions = Directions::NONE.with(Direction::Outbound).with(Direction::Gateway);
const DEFAULT_MAX_KEYS: usize = 1_024;

const DEADLINES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3_600);

/// The longest name of a cluster or a route.
const NAME_BYTES: usize = 256;
const A_CLUSTER: &str = "the name of a cluster of the proxy, or a list of such";
const A_ROUTE: &str = "the name of a route of the proxy, or a list of such";

/// It becomes a label of metrics.
const KEY_BYTES: usize = 64;
const A_KEY: &str = "a name of 1 to 64 letters, digits, `_`, `-` and `.`, other than `_other`";

const A_KEY_OF_ITS_OWN: &str =
    "a `key` that neither the section nor another rule has, or `per`: no two share a breaker";

/// Their values would be compared by a hash that anybody can compute.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];
const A_HEADER_TO_GO_BY: &str =
    "an HTTP header name (RFC 9110 §5.1), not one that holds credentials; `per: host` for the host";

impl BreakerPolicy {
    /// Reads every field, and leaves what is wrong in the document.
    pub(crate) fn read(document: &Document<'_>) -> BreakerPolicy {
        let section = document.section("breaker");
        let keys = (*MAX_KEYS.start() as u64)..=(*MAX_KEYS.end() as u64);
        let max_keys = section.integer("max_keys", keys).and_then(|keys| usize::try_from(keys).ok());
        let taken = Taken::read(document);
        let default = Guard::read(&section, &Guard::default(), &taken);
        let mut named: Vec<String> = default.per.key().map(str::to_owned).into_iter().collect();
        BreakerPolicy {
            enabled: section.boolean("enabled").unwrap_or(true),
            directions: section.directions("direction").unwrap_or(DIRECTIONS),
            max_keys: max_keys.unwrap_or(DEFAULT_MAX_KEYS),
            rules: section.rules("rules", |rule| {
                let guard = Guard { only: Only::read(rule), ..Guard::read(rule, &default, &taken) };
                if let Some(key) = guard.per.key() {
                    if named.iter().any(|named| named == key) {
                        // Or missing, where the section's is all there is.
                        rule.reject("key", A_KEY_OF_ITS_OWN);
                    }
                    named.push(key.to_owned());
                }
                guard
            }),
            default,
        }
    }
}

impl Guard {
    /// What is not given is as in `defaults`.
    fn read(section: &Section<'_>, defaults: &Guard, taken: &Taken<'_>) -> Guard {
        let hints = Hints::read(&section.subsection("hints"), &defaults.hints);
        let failures = section.strings_where("failures", Failures::is_one, Failures::ACCEPTED);
        let guard = Guard {
            only: Only::default(),
            settings: thresholds::read(section, &defaults.settings),
            per: Per::read(section, &defaults.per, taken),
            failures: failures.map_or_else(|| defaults.failures.clone(), |texts| Failures::of(&texts)),
            min_deadline: section.duration("min_deadline", DEADLINES).unwrap_or(defaults.min_deadline),
            degradation: Degradation::read(section, &defaults.degradation, &hints, taken),
            hints,
        };
        let decides = matches!(guard.settings.mode, Mode::Normal | Mode::Shadow);
        // Of the section it has been said.
        if decides && !guard.can_open() && defaults.can_open() {
            section.warn("failures", "nothing is left that opens this breaker; `mode: disabled` says so plainly");
        }
        guard
    }

    fn can_open(&self) -> bool {
        let by_failures = self.settings.failure_rate <= 1.0 || self.settings.consecutive_failures.is_some();
        self.settings.slow_call.is_some() || (by_failures && !self.failures.is_empty())
    }
}

/// What an absent section means.
impl Default for Guard {
    fn default() -> Guard {
        Guard {
            only: Only::default(),
            settings: Settings::default(),
            per: Per::Cluster,
            failures: Failures::default(),
            min_deadline: Duration::from_millis(100),
            degradation: Degradation::Problem,
            hints: Hints::default(),
        }
    }
}

impl Only {
    fn read(rule: &Section<'_>) -> Only {
        let names = |field, accepted| {
            let names = rule.strings_where(field, |name| (1..=NAME_BYTES).contains(&name.len()), accepted);
            if names.as_ref().is_some_and(Vec::is_empty) {
                rule.reject(field, "at least one name; leave the field out for any");
            }
            names.unwrap_or_default().into_iter().map(str::to_owned).collect()
        };
        Only { clusters: names("cluster", A_CLUSTER), routes: names("route", A_ROUTE) }
    }

    /// Whether it holds for a request to this cluster by this route; each is asked for where it matters.
    pub(crate) fn holds<'n>(&self, cluster: impl FnOnce() -> &'n [u8], route: impl FnOnce() -> &'n [u8]) -> bool {
        let has = |names: &[String], name: &[u8]| names.iter().any(|known| known.as_bytes() == name);
        (self.clusters.is_empty() || has(&self.clusters, cluster()))
            && (self.routes.is_empty() || has(&self.routes, route()))
    }
}

impl Per {
    fn read(section: &Section<'_>, default: &Per, taken: &Taken<'_>) -> Per {
        let key = section.string_where("key", is_key, A_KEY);
        let per = if section.is_object("per") {
            let is_good = |name: &str| is_header_to_go_by(name) && !taken.is_secret(name);
            let header = section.subsection("per").required().string_where("header", is_good, A_HEADER_TO_GO_BY);
            header.map(|header| Per::Header(header.to_ascii_lowercase()))
        } else {
            let names = PERS.map(|(name, _)| (name, name));
            let chosen = section.choice("per", &names);
            PERS.into_iter().find(|(name, _)| chosen == Some(*name)).map(|(_, per)| per)
        };
        if key.is_some() && per.is_some() {
            section.reject_as("key", "both `key` and `per`", "one of them");
        }
        key.map(|key| Per::Key(key.to_owned())).or(per).unwrap_or_else(|| default.clone())
    }

    /// Whether the names come from the configuration and not from requests.
    pub(crate) fn is_of_configuration(&self) -> bool {
        matches!(self, Per::Cluster | Per::Route | Per::Key(_))
    }

    fn key(&self) -> Option<&str> {
        match self {
            Per::Key(key) => Some(key),
            _ => None,
        }
    }
}

fn is_key(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=KEY_BYTES).contains(&text.len()) && text.bytes().all(is_good) && text != OTHERS
}

fn is_header_to_go_by(name: &str) -> bool {
    is_header_name(name)
        && !name.eq_ignore_ascii_case("host")
        && !CREDENTIALS.iter().any(|credentials| credentials.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
