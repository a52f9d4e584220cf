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

/// The counters of one root context.
#[derive(Default)]
pub(crate) struct Metrics {
    counters: RefCell<Vec<Counter>>,
}

impl Metrics {
    /// Defines a counter under the name that the shipped `stats_tags` take apart again:
    /// `sluicegate_<name>.<label>=<value>…`.
    pub(crate) fn counter(&self, host: &dyn Host, name: &str, labels: &[(&str, &str)]) -> Result<Counter, HostError> {
        let mut full = format!("sluicegate_{name}");
        for (label, value) in labels {
            // Writing to a String cannot fail.
            let _ = write!(full, ".{label}={value}");
        }
        let id = host.define_metric(MetricKind::Counter, &full)?;
        let counter = Counter(Rc::new(Pending { id, since_flush: Cell::new(0) }));
        self.counters.borrow_mut().push(counter.clone());
        Ok(counter)
    }

    /// Hands over what was counted since the last time. What the proxy refuses is kept for the next.
    pub(crate) fn flush(&self, host: &dyn Host) {
        for Counter(pending) in self.counters.borrow().iter() {
            let count = pending.since_flush.get();
            if count > 0 && host.increment_metric(pending.id, i64::from(count)).is_ok() {
                pending.since_flush.set(0);
            }
        }
    }
}
