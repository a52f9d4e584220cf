//! The object `otlp` of a section of the policy.

use crate::Signal;
use crate::retry::Retry;
use sluicegate_policy::{Secret, Section, authority_of, is_authority};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Where records go, and how: the object `otlp` of a section of the policy. The README has every field with its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub(crate) destination: Destination,
    pub(crate) tuning: Tuning,
}

/// To whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) cluster: String,
    pub(crate) path: String,
    pub(crate) authority: String,
    /// Names in lower case; values are text.
    pub(crate) headers: Vec<(String, Secret)>,
}

/// How much, how often, how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    pub(crate) batch: BatchLimits,
    pub(crate) queue: QueueLimits,
    pub(crate) timeout: Duration,
    pub(crate) retry: Retry,
}

/// When a batch goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchLimits {
    pub(crate) max_records: u64,
    pub(crate) max_bytes: usize,
    pub(crate) max_age: Duration,
}

/// How much is held at most: what is queued, what waits for another attempt, and what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    pub(crate) max_records: u64,
    pub(crate) max_bytes: usize,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

const LONGEST_PATH: usize = 1_024;
const A_CLUSTER: &str = "the name of a cluster of the proxy, 1 to 255 visible ASCII characters";
const A_PATH: &str = "a path that begins with /, at most 1,024 visible ASCII characters, without #";
const AN_AUTHORITY: &str = "a host with an optional port";

impl Settings {
    /// Reads the object `otlp` of `section`; `None` where it is absent or there is no usable cluster in it. Problems are
    /// recorded in the document.
    pub fn read(section: &Section<'_>, signal: Signal) -> Option<Settings> {
        let otlp = section.subsection("otlp");
        let given = if otlp.is_given() { otlp.required() } else { otlp.clone() };
        let cluster = given.string_where("cluster", |text| is_visible(text, 255), A_CLUSTER);
        let path = otlp.request_path("path", LONGEST_PATH, A_PATH).unwrap_or(signal.path());
        let authority = otlp.string_where("authority", is_authority, AN_AUTHORITY);
        let headers = otlp.callout_headers("headers");
        let tuning = Tuning::read(&otlp);
        let cluster = cluster?;
        let destination = Destination {
            cluster: cluster.to_owned(),
            path: path.to_owned(),
            authority: authority.or_else(|| authority_of(cluster)).unwrap_or("collector").to_owned(),
            headers,
        };
        Some(Settings { destination, tuning })
    }
}

impl Tuning {
    fn read(otlp: &Section<'_>) -> Tuning {
        let (batch, queue, retry) = (otlp.subsection("batch"), otlp.subsection("queue"), otlp.subsection("retry"));
        let tuning = Tuning {
            batch: BatchLimits {
                max_records: batch.integer("max_records", 1..=10_000).unwrap_or(512),
                max_bytes: bytes(&batch, KIB..=4 * MIB, 512 * KIB),
                max_age: duration(&batch, "max_age", millis(100)..=seconds(60), seconds(5)),
            },
            queue: QueueLimits {
                max_records: queue.integer("max_records", 1..=100_000).unwrap_or(8_192),
                max_bytes: bytes(&queue, KIB..=64 * MIB, 8 * MIB),
            },
            timeout: duration(otlp, "timeout", millis(100)..=seconds(60), seconds(10)),
            retry: Retry {
                initial: duration(&retry, "initial", millis(100)..=seconds(60), seconds(1)),
                max: duration(&retry, "max", millis(100)..=seconds(600), seconds(30)),
                attempts: retry.integer("attempts", 1..=20).and_then(|n| u32::try_from(n).ok()).unwrap_or(5),
                max_age: duration(&retry, "max_age", seconds(1)..=seconds(3600), seconds(300)),
            },
        };
        if tuning.batch.max_records > tuning.queue.max_records {
            let found = format!("{}, with {} in a batch", tuning.queue.max_records, tuning.batch.max_records);
            queue.reject_as("max_records", found, "at least batch.max_records");
        }
        if tuning.batch.max_bytes > tuning.queue.max_bytes {
            let found = format!("{}, with {} in a batch", tuning.queue.max_bytes, tuning.batch.max_bytes);
            queue.reject_as("max_bytes", found, "at least batch.max_bytes");
        }
        if tuning.retry.initial > tuning.retry.max {
            let found = format!("{:?}, with an initial wait of {:?}", tuning.retry.max, tuning.retry.initial);
            retry.reject_as("max", found, "at least retry.initial");
        }
        tuning
    }
}

fn bytes(section: &Section<'_>, range: RangeInclusive<u64>, default: u64) -> usize {
    usize::try_from(section.integer("max_bytes", range).unwrap_or(default)).unwrap_or(usize::MAX)
}

fn duration(section: &Section<'_>, name: &'static str, range: RangeInclusive<Duration>, default: Duration) -> Duration {
    section.duration(name, range).unwrap_or(default)
}

fn is_visible(text: &str, limit: usize) -> bool {
    (1..=limit).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[cfg(test)]
pub(crate) mod tests;
