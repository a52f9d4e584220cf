//! What is to be seen of the policy in force: metrics, on `/stats/prometheus` as `sluicegate_policy_…`.

use crate::metrics::Metrics;
use crate::{Counter, Gauge, Host, HostError};
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
        Report { host, plugin, metrics: Metrics::default(), revisions: Vec::new(), of_source: None }
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
        if !self.revisions.iter().any(|(of, _)| *of == now) {
            let labels = [("plugin", self.plugin), ("source", source), ("version", &now.1)];
            let Ok(gauge) = self.metrics.gauge(self.host, "policy_revision", &labels) else { return };
            self.revisions.push((now.clone(), gauge));
        }
        for (of, gauge) in &self.revisions {
            gauge.set(if *of == now { revision } else { 0 });
        }
    }

    /// What the source said last came into force, then, in nanoseconds since the Unix epoch.
    pub(crate) fn succeeded(&self, at: u64) {
        if let Some(of_source) = &self.of_source {
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
