//! What the filter counts; on `/stats/prometheus` as `sluicegate_sampling_…`.

use crate::decision::Decision;
use crate::force::Demand;
use sluicegate_host::{Counter, Gauge, HostError, SamplingReason as Reason, Vm};

pub(crate) struct Counters {
    sampled: Vec<(Reason, Counter)>,
    dropped: Vec<(Reason, Counter)>,
    /// In millionths, of the section and then of the first rules with a target.
    probability: Vec<Gauge>,
    keys: Gauge,
    shared_key: Counter,
    force_over_budget: Counter,
    force_wrong_secret: Counter,
    left_out: Counter,
    merge_failed: Counter,
}

/// As many rules have a gauge of their own.
const MAX_GAUGES: usize = 32;

impl Counters {
    /// `targets` are the places in the list of the rules with a target of their own.
    pub(crate) fn define(vm: &Vm, targets: impl IntoIterator<Item = usize>) -> Result<Counters, HostError> {
        let by_reason = |name| -> Result<Vec<(Reason, Counter)>, HostError> {
            Reason::ALL
                .into_iter()
                .map(|reason| Ok((reason, vm.counter(name, &[("reason", reason.as_str())])?)))
                .collect()
        };
        let gauge = |rule: &str| vm.gauge("sampling_probability_millionths", &[("rule", rule)]);
        let mut probability = vec![gauge("default")?];
        for place in targets.into_iter().take(MAX_GAUGES) {
            probability.push(gauge(&place.to_string())?);
        }
        Ok(Counters {
            sampled: by_reason("sampling_sampled_total")?,
            dropped: by_reason("sampling_dropped_total")?,
            probability,
            keys: vm.gauge("sampling_keys", &[])?,
            shared_key: vm.counter("sampling_shared_key_total", &[])?,
            force_over_budget: vm.counter("sampling_force_over_budget_total", &[])?,
            force_wrong_secret: vm.counter("sampling_force_wrong_secret_total", &[])?,
            left_out: vm.counter("sampling_tracestate_left_out_total", &[])?,
            merge_failed: vm.counter("sampling_merge_failed_total", &[])?,
        })
    }

    pub(crate) fn decided(&self, decision: &Decision) {
        let counters = if decision.sampled { &self.sampled } else { &self.dropped };
        if let Some((_, counter)) = counters.iter().find(|(reason, _)| *reason == decision.reason) {
            counter.increment();
        }
    }

    pub(crate) fn demanded(&self, demand: Demand) {
        match demand {
            Demand::OverBudget => self.force_over_budget.increment(),
            Demand::WrongSecret => self.force_wrong_secret.increment(),
            Demand::None | Demand::Granted => {}
        }
    }

    /// How many have a gauge: the section, and the first rules with a target.
    pub(crate) fn gauges(&self) -> usize {
        self.probability.len()
    }

    /// The section (0), or the rule that is so far down among those with a target, records with this probability.
    pub(crate) fn stands(&self, number: usize, probability: f64) {
        if let Some(gauge) = self.probability.get(number) {
            // Gauges are whole numbers.
            gauge.set((probability * 1e6) as u64);
        }
    }

    /// So many routes and handlers have a window of their own. The gauge is common to all workers, of which each has seen
    /// about the same; the main thread sees no requests, and says nothing.
    pub(crate) fn keys(&self, keys: usize) {
        self.keys.learn(u64::try_from(keys).unwrap_or(u64::MAX));
    }

    /// A route or handler had no window of its own.
    pub(crate) fn shared_key(&self) {
        self.shared_key.increment();
    }

    /// What was to stand in `tracestate` found no place.
    pub(crate) fn left_out(&self) {
        self.left_out.increment();
    }

    /// A tick could not merge all of its counts; they are kept for the next.
    pub(crate) fn merge_failed(&self) {
        self.merge_failed.increment();
    }
}
