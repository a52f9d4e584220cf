//! The counts in the proxy's stats.

use crate::Signal;
use crate::counts::{Counts, Reason};
use sluicegate_host::{Host, HostError, MetricId, MetricKind};
use std::cell::RefCell;

/// What the proxy shows of one outbox.
///
/// Outboxes of several workers, and of several VMs, add up to one number, so gauges too are changed by differences.
pub(crate) struct Metrics {
    host: &'static dyn Host,
    shown: RefCell<Vec<Shown>>,
}

/// What a metric shows.
type Reading = fn(&Counts, Reason) -> u64;

struct Shown {
    id: MetricId,
    of: Reading,
    /// Only the metric of dropped records has one; the others ignore it.
    reason: Reason,
    value: u64,
}

impl Metrics {
    pub(crate) fn define(signal: Signal, host: &'static dyn Host) -> Result<Metrics, HostError> {
        let name = |name: &str| format!("sluicegate_otlp_{name}.signal={}", signal.name());
        let mut shown = Vec::new();
        let plain: [(MetricKind, &str, Reading); 5] = [
            (MetricKind::Counter, "made_total", |counts, _| counts.made),
            (MetricKind::Counter, "sent_total", |counts, _| counts.sent),
            (MetricKind::Counter, "retried_total", |counts, _| counts.retried),
            (MetricKind::Gauge, "queued", |counts, _| counts.queued),
            (MetricKind::Gauge, "under_way", |counts, _| counts.under_way),
        ];
        for (kind, metric, of) in plain {
            let id = host.define_metric(kind, &name(metric))?;
            shown.push(Shown { id, of, reason: Reason::QueueFull, value: 0 });
        }
        for reason in Reason::ALL {
            let full_name = format!("{}.reason={}", name("dropped_total"), reason.name());
            let id = host.define_metric(MetricKind::Counter, &full_name)?;
            shown.push(Shown { id, of: Counts::dropped, reason, value: 0 });
        }
        Ok(Metrics { host, shown: RefCell::new(shown) })
    }

    /// Shows these counts. What the proxy refuses is tried again the next time.
    pub(crate) fn publish(&self, counts: Counts) {
        for shown in self.shown.borrow_mut().iter_mut() {
            let value = (shown.of)(&counts, shown.reason);
            let difference = value.wrapping_sub(shown.value).cast_signed();
            if difference != 0 && self.host.increment_metric(shown.id, difference).is_ok() {
                shown.value = value;
            }
        }
    }
}
