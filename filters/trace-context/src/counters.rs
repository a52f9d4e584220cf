//! What the filter counts; on `/stats/prometheus` as `sluicegate_trace_…`.

use crate::formats::Format;
use sluicegate_host::{Counter, HostError, Vm};

pub(crate) struct Counters {
    /// Traces that began here.
    pub(crate) started: Counter,
    /// Contexts of untrusted callers that were not continued.
    pub(crate) untrusted: Counter,
    /// Request ids that were made here.
    pub(crate) request_id_generated: Counter,
    /// Members of baggage that did not fit, or whose keys were no tokens.
    pub(crate) baggage_dropped: Counter,
    /// Lists of vendors that broke the grammar.
    pub(crate) tracestate_invalid: Counter,
    continued: [(Format, Counter); 8],
    invalid: [(Format, Counter); 8],
}

impl Counters {
    pub(crate) fn define(vm: &Vm) -> Result<Counters, HostError> {
        let by_format = |name| -> Result<[(Format, Counter); 8], HostError> {
            let [a, b, c, d, e, f, g, h] =
                Format::ALL.map(|format| Ok((format, vm.counter(name, &[("format", format.name())])?)));
            Ok([a?, b?, c?, d?, e?, f?, g?, h?])
        };
        Ok(Counters {
            started: vm.counter("trace_started_total", &[])?,
            untrusted: vm.counter("trace_untrusted_total", &[])?,
            request_id_generated: vm.counter("trace_request_id_generated_total", &[])?,
            baggage_dropped: vm.counter("trace_baggage_dropped_total", &[])?,
            tracestate_invalid: vm.counter("trace_tracestate_invalid_total", &[])?,
            continued: by_format("trace_continued_total")?,
            invalid: by_format("trace_invalid_total")?,
        })
    }

    /// A context of this format was continued.
    pub(crate) fn continued(&self, format: Format) {
        count(&self.continued, format);
    }

    /// Headers of this format were there, and not valid.
    pub(crate) fn invalid(&self, format: Format) {
        count(&self.invalid, format);
    }
}

fn count(counters: &[(Format, Counter); 8], format: Format) {
    if let Some((_, counter)) = counters.iter().find(|(f, _)| *f == format) {
        counter.increment();
    }
}
