use crate::{Host, HostError, MetricId, MetricKind};
use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::rc::Rc;

/// A counter that filters raise for nothing: it is added up in the VM and handed to the proxy on the tick.
#[derive(Clone)]
pub struct Counter(Rc<Pending>);

struct Pending {
    id: MetricId,
    since_flush: Cell<u32>,
}

/// A gauge that filters set for nothing: its last value is handed to the proxy on the tick.
///
/// All workers write the same gauge, and the last one wins: for what every worker knows alike.
#[derive(Clone)]
pub struct Gauge(Rc<Latest>);

struct Latest {
    id: MetricId,
    /// The proxy gives each definition of a metric an id of its own.
    name: String,
    unsaid: Cell<Option<u64>>,
    /// What this VM told last; a gauge begins at 0.
    told: Cell<u64>,
}

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.told.set(value);
        self.0.unsaid.set(Some(value));
    }

    /// Sets it where that is news to this VM: who has learned nothing leaves alone what another told.
    pub fn learn(&self, value: u64) {
        if self.0.told.get() != value {
            self.set(value);
        }
    }
}

impl Counter {
    /// Counts one more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts so many more.
    pub fn add(&self, more: u32) {
        self.0.since_flush.set(self.0.since_flush.get().saturating_add(more));
    }
}

/// The metrics of one root context.
#[derive(Default)]
pub(crate) struct Metrics {
    counters: RefCell<Vec<Counter>>,
    gauges: RefCell<Vec<Gauge>>,
}

impl Metrics {
    pub(crate) fn counter(&self, host: &dyn Host, name: &str, labels: &[(&str, &str)]) -> Result<Counter, HostError> {
        let id = host.define_metric(MetricKind::Counter, &full_name(name, labels))?;
        let counter = Counter(Rc::new(Pending { id, since_flush: Cell::new(0) }));
        self.counters.borrow_mut().push(counter.clone());
        Ok(counter)
    }

    pub(crate) fn gauge(&self, host: &dyn Host, name: &str, labels: &[(&str, &str)]) -> Result<Gauge, HostError> {
        let name = full_name(name, labels);
        let id = host.define_metric(MetricKind::Gauge, &name)?;
        let gauge = Gauge(Rc::new(Latest { id, name, unsaid: Cell::new(None), told: Cell::new(0) }));
        self.gauges.borrow_mut().push(gauge.clone());
        Ok(gauge)
    }

    /// Hands over what was counted since the last time. What the proxy refuses is kept for the next.
    pub(crate) fn flush(&self, host: &dyn Host) {
        self.flush_beside(&Metrics::default(), host);
    }

    /// The same beside metrics that came after these: gauges that both have are theirs.
    pub(crate) fn flush_beside(&self, newer: &Metrics, host: &dyn Host) {
        for Counter(pending) in self.counters.borrow().iter() {
            let count = pending.since_flush.get();
            if count > 0 && host.increment_metric(pending.id, i64::from(count)).is_ok() {
                pending.since_flush.set(0);
            }
        }
        for Gauge(latest) in self.gauges.borrow().iter() {
            if let Some(value) = latest.unsaid.get()
                && !newer.has_gauge(&latest.name)
                && host.record_metric(latest.id, value).is_ok()
            {
                latest.unsaid.set(None);
            }
        }
    }
}

impl Metrics {
    fn has_gauge(&self, name: &str) -> bool {
        self.gauges.borrow().iter().any(|Gauge(latest)| latest.name == name)
    }
}

/// The name that the shipped `stats_tags` take apart again: `sluicegate_<name>.<label>=<value>…`.
fn full_name(name: &str, labels: &[(&str, &str)]) -> String {
    let mut full = format!("sluicegate_{name}");
    for (label, value) in labels {
        // Writing to a String cannot fail.
        let _ = write!(full, ".{label}={value}");
    }
    full
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::double::Double;

    #[test]
    fn counters_and_gauges_are_handed_over_once_per_flush() {
        let proxy = Double::new();
        let metrics = Metrics::default();
        let counter = metrics.counter(proxy, "shed_total", &[("cluster", "a.b"), ("key", "k")]).unwrap();
        let gauge = metrics.gauge(proxy, "state", &[]).unwrap();
        counter.increment();
        counter.add(2);
        gauge.set(2);
        gauge.set(1);
        metrics.flush(proxy);
        assert_eq!(proxy.metric("sluicegate_shed_total.cluster=a.b.key=k"), Some(3));
        assert_eq!(proxy.metric("sluicegate_state"), Some(1));
        let calls = proxy.calls().len();
        metrics.flush(proxy);
        assert_eq!(proxy.calls().len(), calls);
        gauge.learn(1);
        metrics.flush(proxy);
        assert_eq!(proxy.calls().len(), calls, "no news");
        gauge.learn(0);
        metrics.flush(proxy);
        assert_eq!(proxy.metric("sluicegate_state"), Some(0));
    }

    #[test]
    fn a_gauge_is_of_the_metrics_that_came_last_and_a_counter_of_all() {
        let proxy = Double::new();
        let (old, new) = (Metrics::default(), Metrics::default());
        let [of_old, of_new] = [&old, &new].map(|metrics| metrics.gauge(proxy, "state", &[]).unwrap());
        let own = old.gauge(proxy, "state", &[("of", "old")]).unwrap();
        let counter = old.counter(proxy, "shed_total", &[]).unwrap();
        of_new.set(1);
        new.flush(proxy);
        of_old.set(2);
        own.set(3);
        counter.increment();
        old.flush_beside(&new, proxy);
        assert_eq!(proxy.metric("sluicegate_state"), Some(1));
        assert_eq!(proxy.metric("sluicegate_state.of=old"), Some(3));
        assert_eq!(proxy.metric("sluicegate_shed_total"), Some(1));
    }
}
