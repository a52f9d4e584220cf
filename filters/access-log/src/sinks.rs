//! Where records go: to the proxy's own access logger, to a collector, to the proxy's application log.

use crate::counters::Counters;
use crate::record::{MAX_LINE, Record, Resource};
use sluicegate_host::{CalloutResponse, CalloutToken, Exchange, HostError, Level, Vm};
use sluicegate_otlp::{Exporter, LogRecord, Settings, Signal, Value as OtlpValue};
use sluicegate_telemetry::otlp;
use sluicegate_telemetry::outcome::Severity;
use std::cell::RefCell;

/// What the policy wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Destinations {
    /// Filter state, from where the proxy's access logger prints the line.
    pub(crate) proxy: bool,
    /// A collector.
    pub(crate) otlp: Option<Settings>,
    /// The proxy's application log.
    pub(crate) proxy_log: bool,
}

/// The name of the line in filter state; access loggers know it as `wasm.access_log`.
const FILTER_STATE: &str = "access_log";

const SCOPE: (&str, &str) = ("sluicegate-access-log", env!("CARGO_PKG_VERSION"));

// What OTLP's LogRecord has no field for, beside the id of the request.
const PARENT_SPAN_ID: &str = "sluicegate.parent_span_id";

/// All of them, open.
pub(crate) struct Sinks {
    proxy: bool,
    proxy_log: bool,
    otlp: Option<Exporter>,
    resource: Resource,
    /// One buffer for all lines.
    line: RefCell<String>,
    /// One buffer for all encoded records.
    encoded: RefCell<Vec<u8>>,
}

impl Sinks {
    pub(crate) fn open(destinations: Destinations, vm: &Vm) -> Result<Sinks, HostError> {
        let Destinations { proxy, otlp, proxy_log } = destinations;
        let exporter = |settings| {
            let envelope = otlp::envelope(SCOPE, &sluicegate_telemetry::Resource::of(vm.service()));
            Exporter::new(Signal::Logs, settings, envelope, vm)
        };
        Ok(Sinks {
            proxy,
            proxy_log,
            otlp: otlp.map(exporter).transpose()?,
            resource: Resource::of(vm.service()),
            line: RefCell::default(),
            encoded: RefCell::default(),
        })
    }

    /// Hands a record to every sink. One hostcall for each of `proxy` and `proxy_log`, none for `otlp`.
    pub(crate) fn deliver(&self, record: &Record<'_>, observed: u64, exchange: &Exchange, counters: &Counters) {
        if self.proxy || self.proxy_log {
            let mut line = self.line.borrow_mut();
            line.clear();
            if let Err(error) = record.write(&self.resource, MAX_LINE, &mut line) {
                counters.schema_error(&error);
            }
            if self.proxy_log {
                exchange.vm().log(level(record.severity), &line);
            }
            // The access logger adds no line break, so that it prints nothing where there is no line.
            line.push('\n');
            if self.proxy && exchange.set_filter_state(FILTER_STATE, line.as_bytes()).is_err() {
                counters.undelivered();
            }
        }
        if let Some(exporter) = &self.otlp {
            let mut encoded = self.encoded.borrow_mut();
            encoded.clear();
            let conformant = record.check();
            encode(record, conformant.as_ref().err().map(ToString::to_string).as_deref(), observed, &mut encoded);
            exporter.add(&encoded);
            if let Err(error) = conformant
                && !self.proxy
                && !self.proxy_log
            {
                counters.schema_error(&error);
            }
        }
    }

    pub(crate) fn on_tick(&self, vm: &Vm) {
        self.otlp.iter().for_each(|exporter| exporter.on_tick(vm));
    }

    pub(crate) fn on_callout_response(&self, token: CalloutToken, response: &CalloutResponse<'_>, vm: &Vm) {
        self.otlp.iter().for_each(|exporter| {
            exporter.on_callout_response(token, response, vm);
        });
    }
}

/// The proxy's level under which a record of this severity stands.
fn level(severity: Severity) -> Level {
    match severity {
        Severity::Debug => Level::Debug,
        Severity::Info => Level::Info,
        Severity::Warn => Level::Warn,
        Severity::Error | Severity::Fatal => Level::Error,
    }
}

/// The record as OTLP has it; with an error, the smallest one.
fn encode(record: &Record<'_>, error: Option<&str>, observed: u64, encoded: &mut Vec<u8>) {
    let mut body = String::new();
    match error {
        None => record.body(&mut |piece| body.push_str(piece)),
        Some(_) => body.push_str(Record::NOT_CONFORMANT),
    }
    let log_record = LogRecord {
        time_unix_nano: record.timestamp,
        observed_time_unix_nano: observed,
        severity_number: record.severity.number(),
        severity_text: record.severity.as_str(),
        body: Some(OtlpValue::String(&body)),
        flags: record.trace.map_or(0, |trace| u32::from(trace.flags)),
        trace_id: record.trace.map(|trace| *trace.trace_id.bytes()),
        span_id: record.trace.map(|trace| *trace.span_id.bytes()),
        ..LogRecord::default()
    };
    log_record.encode(encoded, |attributes| {
        if let Some(id) = record.request_id() {
            attributes.add(otlp::REQ_ID, OtlpValue::String(&id));
        }
        if let Some(parent) = record.trace.and_then(|trace| trace.parent_span_id) {
            attributes.add(PARENT_SPAN_ID, OtlpValue::String(&parent.to_string()));
        }
        match error {
            None => record.attributes(&mut |name, value| otlp::add(attributes, name, value)),
            Some(error) => attributes.add(Record::SCHEMA_ERROR, OtlpValue::String(error)),
        }
    });
}
