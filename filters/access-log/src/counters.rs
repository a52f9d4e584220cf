//! What the filter counts; on `/stats/prometheus` as `sluicegate_access_log_…`.

use crate::record::SchemaError;
use sluicegate_host::{Counter, HostError, Vm};
use sluicegate_telemetry::outcome::Severity;

/// Why an exchange is not logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotKept {
    /// A rule calls it noise.
    Dropped,
    /// It is milder than `min_severity`.
    Severity,
    /// It was not sampled.
    Sampling,
    /// Too many of its kind were logged already.
    Burst,
}

impl NotKept {
    const ALL: [NotKept; 4] = [NotKept::Dropped, NotKept::Severity, NotKept::Sampling, NotKept::Burst];

    fn as_str(self) -> &'static str {
        match self {
            NotKept::Dropped => "drop",
            NotKept::Severity => "severity",
            NotKept::Sampling => "sampling",
            NotKept::Burst => "burst",
        }
    }
}

pub(crate) struct Counters {
    kept: Vec<(Severity, Counter)>,
    not_kept: Vec<(NotKept, Counter)>,
    schema_errors: Vec<(&'static str, Counter)>,
    undelivered: Counter,
}

impl Counters {
    pub(crate) fn define(vm: &Vm) -> Result<Counters, HostError> {
        let labelled = |name, label, value| vm.counter(name, &[(label, value)]);
        let kept = |severity: Severity| {
            let counter = labelled("access_log_records_total", "severity", severity.as_str())?;
            Ok::<_, HostError>((severity, counter))
        };
        let not_kept = |reason: NotKept| {
            let counter = labelled("access_log_not_kept_total", "reason", reason.as_str())?;
            Ok::<_, HostError>((reason, counter))
        };
        let schema_error = |code| Ok::<_, HostError>((code, labelled("access_log_schema_errors_total", "code", code)?));
        Ok(Counters {
            kept: Severity::ALL.into_iter().map(kept).collect::<Result<_, _>>()?,
            not_kept: NotKept::ALL.into_iter().map(not_kept).collect::<Result<_, _>>()?,
            schema_errors: SchemaError::CODES.into_iter().map(schema_error).collect::<Result<_, _>>()?,
            undelivered: vm.counter("access_log_undelivered_total", &[])?,
        })
    }

    /// A record of this severity was made.
    pub(crate) fn kept(&self, severity: Severity) {
        count(&self.kept, severity);
    }

    /// An exchange was not logged.
    pub(crate) fn not_kept(&self, reason: NotKept) {
        count(&self.not_kept, reason);
    }

    /// A record did not conform to the schema.
    pub(crate) fn schema_error(&self, error: &SchemaError) {
        count(&self.schema_errors, error.code());
    }

    /// The proxy did not take a record.
    pub(crate) fn undelivered(&self) {
        self.undelivered.increment();
    }
}

fn count<T: PartialEq>(counters: &[(T, Counter)], of: T) {
    if let Some((_, counter)) = counters.iter().find(|(known, _)| *known == of) {
        counter.increment();
    }
}
