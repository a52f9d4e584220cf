//! What is to be seen of the policy in force: metrics, on `/stats/prometheus` as `sluicegate_policy_…`.
//!
//! The counters are of all root contexts of a plugin. The gauges are of those with the plugin configuration that came last,
//! on whichever worker: one before it may drain for hours, and would say what is no longer so. What it had shown is set to
//! nothing then, for a proxy keeps a gauge as it was left.

mod shown;

use self::shown::Shown;
use crate::metrics::Metrics;
use crate::{Counter, Gauge, Host, HostError, shared};
use sluicegate_policy::Version;

/// Where a policy comes from that no source has to say anything of.
pub(crate) const PLUGIN: &str = "plugin";

pub(crate) struct Report {
    host: &'static dyn Host,
    plugin: &'static str,
    metrics: Metrics,
    /// The revision in force, by source and version of the schema. No series per revision: a proxy never frees one.
    revisions: Vec<(Of, Gauge)>,
    of_source: Option<OfSource>,
    /// Of the plugin configuration.
    fingerprint: u64,
    /// Under which the series are that the plugin ever showed.
    key: String,
}

/// What a policy is of: its source, and the label of its version.
type Of = (&'static str, String);

struct OfSource {
    updates: Counter,
    deletions: Counter,
    rejections: Counter,
    troubles: Counter,
    last_success: Gauge,
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl Report {
    pub(crate) fn new(plugin: &'static str, host: &'static dyn Host) -> Report {
        let (metrics, key) = (Metrics::default(), shared::key("policy.shown", shown::VERSION, plugin));
        Report { host, plugin, metrics, revisions: Vec::new(), of_source: None, fingerprint: 0, key }
    }

    /// A plugin configuration comes into force. To be called while the root context is configured.
    pub(crate) fn begin(&mut self, fingerprint: u64) {
        self.fingerprint = fingerprint;
        let mut earlier = Vec::new();
        // Else what was shown stays.
        _ = shared::ensure(self.host, &self.key, &[]).map(|()| {
            shared::update(self.host, &self.key, |value| {
                let mut shown = Shown::read(value)?;
                earlier.clone_from(&shown.series);
                shown.fingerprint = fingerprint;
                Some(shown.write())
            })
        });
        for of in earlier {
            self.show(of);
        }
    }

    /// There is a source of this name.
    pub(crate) fn has(&mut self, source: &'static str) -> Result<(), HostError> {
        let labels = [("plugin", self.plugin), ("source", source)];
        let counter = |name: &str| self.metrics.counter(self.host, name, &labels);
        self.of_source = Some(OfSource {
            updates: counter("policy_updates_total")?,
            deletions: counter("policy_deletions_total")?,
            rejections: counter("policy_rejections_total")?,
            troubles: counter("policy_source_troubles_total")?,
            last_success: self.metrics.gauge(self.host, "policy_last_success_seconds", &labels)?,
        });
        Ok(())
    }

    /// This policy is in force now, and no other.
    pub(crate) fn in_force(&mut self, source: &'static str, version: Version, revision: u64) {
        // A document may state any minor version; a proxy keeps a series for each.
        let version = if version > Version::CURRENT { "newer".to_owned() } else { version.to_string() };
        let now: Of = (source, version);
        if !self.is_of_the_last() {
            return;
        }
        if !self.revisions.iter().any(|(of, _)| *of == now) {
            self.show(now.clone());
            // Else it stays as it is once it is no longer in force.
            _ = shared::update(self.host, &self.key, |value| Shown::read(value)?.with(&now).map(|shown| shown.write()));
        }
        for (of, gauge) in &self.revisions {
            // 0 is what is not in force.
            gauge.set(if *of == now { revision.max(1) } else { 0 });
        }
    }

    fn show(&mut self, of: Of) {
        let labels = [("plugin", self.plugin), ("source", of.0), ("version", &of.1)];
        if let Ok(gauge) = self.metrics.gauge(self.host, "policy_revision", &labels) {
            self.revisions.push((of, gauge));
        }
    }

    /// Whether no other plugin configuration has come after this one.
    fn is_of_the_last(&self) -> bool {
        let shown = shared::read(self.host, &self.key).ok().flatten();
        shown.and_then(|value| Shown::read(&value)).is_none_or(|shown| shown.fingerprint == self.fingerprint)
    }

    /// The source answered as it should, then, in nanoseconds since the Unix epoch.
    pub(crate) fn answered(&self, at: u64) {
        if let Some(of_source) = self.of_source.as_ref().filter(|_| self.is_of_the_last()) {
            of_source.last_success.set(at / NANOS_PER_SECOND);
        }
    }

    pub(crate) fn updated(&self) {
        self.of_source.iter().for_each(|of_source| of_source.updates.increment());
    }

    pub(crate) fn deleted(&self) {
        self.of_source.iter().for_each(|of_source| of_source.deletions.increment());
    }

    pub(crate) fn rejected(&self) {
        self.of_source.iter().for_each(|of_source| of_source.rejections.increment());
    }

    pub(crate) fn troubled(&self) {
        self.of_source.iter().for_each(|of_source| of_source.troubles.increment());
    }

    pub(crate) fn flush(&self) {
        self.metrics.flush(self.host);
    }
}
