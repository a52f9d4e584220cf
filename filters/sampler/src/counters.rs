//! What the filter counts; on `/stats/prometheus` as `sluicegate_sampling_…`.

use crate::decision::{Decision, Reason};
use crate::force::Demand;
use sluicegate_host::{Counter, Gauge, HostError, Vm};

pub(crate) struct Counters {
    sampled: Vec<(Reason, Counter)>,
    dropped: Vec<(Reason, Counter)>,
    /// In millionths, of the section and then of each rule with a target.
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
    /// `targets` is the number of rules with a target of their own.
    pub(crate) fn define(vm: &Vm, targets: usize) -> Result<Counters, HostError> {
        let by_reason = |name| -> Result<Vec<(Reason, Counter)>, HostError> {
            Reason::ALL
                .into_iter()
                .map(|reason| Ok((reason, vm.counter(name, &[("reason", reason.as_str())])?)))
                .collect()
        };
        let gauge = |place: usize| match place {
            0 => vm.gauge("sampling_probability_millionths", &[("rule", "default")]),
            place => vm.gauge("sampling_probability_millionths", &[("rule", &place.to_string())]),
        };
        Ok(Counters {
            sampled: by_reason("sampling_sampled_total")?,
            dropped: by_reason("sampling_dropped_total")?,
            probability: (0..=targets.min(MAX_GAUGES)).map(gauge).collect::<Result<_, _>>()?,
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

    /// The section (0) or the rule with a target in this place records with this probability.
    pub(crate) fn stands(&self, place: usize, probability: f64) {
        if let Some(gauge) = self.probability.get(place) {
            // Gauges are whole numbers.
            gauge.set((probability * 1e6) as u64);
        }
    }

    pub(crate) fn keys(&self, keys: usize) {
        self.keys.set(u64::try_from(keys).unwrap_or(u64::MAX));
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
