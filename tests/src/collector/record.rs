//! Log records and spans as tests read them: one by one, each with what stood around it in the request.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1 as logs;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as trace;
use serde_json::Value;

use super::value::{Attributes, attributes, hex, value};
use super::{SpanKind, SpanStatusCode};

/// A log record. Times are nanoseconds since the Unix epoch, 0 for none; ids are lower-case hex, empty for none.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// The attributes of the resource.
    pub resource: Attributes,
    /// The schema URL of the resource; empty for none.
    pub resource_schema_url: String,
    /// What made it.
    pub scope: Scope,
    /// The schema URL of the scope and the record; empty for none.
    pub schema_url: String,
    /// When it happened.
    pub time_unix_nano: u64,
    /// When it was observed.
    pub observed_time_unix_nano: u64,
    /// 1 to 24; 0 for none. 17 is ERROR.
    pub severity_number: i32,
    /// Such as `ERROR`.
    pub severity_text: String,
    /// The body; `null` for none.
    pub body: Value,
    /// The attributes.
    pub attributes: Attributes,
    /// How many more there were.
    pub dropped_attributes_count: u32,
    /// W3C trace flags in the lowest 8 bits.
    pub flags: u32,
    /// 32 digits.
    pub trace_id: String,
    /// 16 digits.
    pub span_id: String,
    /// What kind of event it is; empty for a log record that is none.
    pub event_name: String,
}

/// A span. Times are nanoseconds since the Unix epoch; ids are lower-case hex, empty for none. Its events are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The attributes of the resource.
    pub resource: Attributes,
    /// The schema URL of the resource; empty for none.
    pub resource_schema_url: String,
    /// What made it.
    pub scope: Scope,
    /// The schema URL of the scope and the span; empty for none.
    pub schema_url: String,
    /// 32 digits.
    pub trace_id: String,
    /// 16 digits.
    pub span_id: String,
    /// 16 digits; empty for a root.
    pub parent_span_id: String,
    /// The W3C `tracestate`.
    pub trace_state: String,
    /// W3C trace flags in the lowest 8 bits; bit 8: bit 9 is known; bit 9: the parent is remote.
    pub flags: u32,
    /// The name.
    pub name: String,
    /// The kind; `Unspecified` also for numbers that OTLP does not know.
    pub kind: SpanKind,
    /// When it began.
    pub start_time_unix_nano: u64,
    /// When it ended.
    pub end_time_unix_nano: u64,
    /// How it went.
    pub status: SpanStatus,
    /// The attributes.
    pub attributes: Attributes,
    /// How many more there were.
    pub dropped_attributes_count: u32,
    /// The links.
    pub links: Vec<Link>,
}

/// What made a record (OpenTelemetry's instrumentation scope).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its attributes.
    pub attributes: Attributes,
}

/// How a span's operation went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanStatus {
    /// `Unset` also for numbers that OTLP does not know.
    pub code: SpanStatusCode,
    /// For people; empty for none.
    pub message: String,
}

/// A link to another span. Ids are lower-case hex.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// 32 digits.
    pub trace_id: String,
    /// 16 digits.
    pub span_id: String,
    /// The W3C `tracestate` there.
    pub trace_state: String,
    /// As [`Span::flags`].
    pub flags: u32,
    /// The attributes of the link.
    pub attributes: Attributes,
}

pub(super) fn count_log_records(request: &ExportLogsServiceRequest) -> usize {
    request.resource_logs.iter().flat_map(|logs| &logs.scope_logs).map(|scoped| scoped.log_records.len()).sum()
}

pub(super) fn count_spans(request: &ExportTraceServiceRequest) -> usize {
    request.resource_spans.iter().flat_map(|traces| &traces.scope_spans).map(|scoped| scoped.spans.len()).sum()
}

/// In the order of the request.
pub(super) fn log_records(request: ExportLogsServiceRequest) -> Vec<LogRecord> {
    let mut records = Vec::new();
    for logs in request.resource_logs {
        let resource = resource(logs.resource);
        for scoped in logs.scope_logs {
            let scope = scope(scoped.scope);
            records.extend(scoped.log_records.into_iter().map(|record| LogRecord {
                resource: resource.clone(),
                resource_schema_url: logs.schema_url.clone(),
                scope: scope.clone(),
                schema_url: scoped.schema_url.clone(),
                ..log_record(record)
            }));
        }
    }
    records
}

/// In the order of the request.
pub(super) fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for traces in request.resource_spans {
        let resource = resource(traces.resource);
        for scoped in traces.scope_spans {
            let scope = scope(scoped.scope);
            spans.extend(scoped.spans.into_iter().map(|one| Span {
                resource: resource.clone(),
                resource_schema_url: traces.schema_url.clone(),
                scope: scope.clone(),
                schema_url: scoped.schema_url.clone(),
                ..span(one)
            }));
        }
    }
    spans
}

fn resource(resource: Option<Resource>) -> Attributes {
    attributes(resource.unwrap_or_default().attributes)
}

fn scope(scope: Option<InstrumentationScope>) -> Scope {
    let scope = scope.unwrap_or_default();
    Scope { name: scope.name, version: scope.version, attributes: attributes(scope.attributes) }
}

/// Without what stands around it.
fn log_record(record: logs::LogRecord) -> LogRecord {
    LogRecord {
        resource: Attributes::new(),
        resource_schema_url: String::new(),
        scope: Scope::default(),
        schema_url: String::new(),
        time_unix_nano: record.time_unix_nano,
        observed_time_unix_nano: record.observed_time_unix_nano,
        severity_number: record.severity_number,
        severity_text: record.severity_text,
        body: value(record.body),
        attributes: attributes(record.attributes),
        dropped_attributes_count: record.dropped_attributes_count,
        flags: record.flags,
        trace_id: hex(&record.trace_id),
        span_id: hex(&record.span_id),
        event_name: record.event_name,
    }
}

/// Without what stands around it.
fn span(span: trace::Span) -> Span {
    let (kind, status) = (span.kind(), span.status.unwrap_or_default());
    Span {
        resource: Attributes::new(),
        resource_schema_url: String::new(),
        scope: Scope::default(),
        schema_url: String::new(),
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_span_id: hex(&span.parent_span_id),
        trace_state: span.trace_state,
        flags: span.flags,
        name: span.name,
        kind,
        start_time_unix_nano: span.start_time_unix_nano,
        end_time_unix_nano: span.end_time_unix_nano,
        status: SpanStatus { code: status.code(), message: status.message },
        attributes: attributes(span.attributes),
        dropped_attributes_count: span.dropped_attributes_count,
        links: span.links.into_iter().map(link).collect(),
    }
}

fn link(link: trace::span::Link) -> Link {
    Link {
        trace_id: hex(&link.trace_id),
        span_id: hex(&link.span_id),
        trace_state: link.trace_state,
        flags: link.flags,
        attributes: attributes(link.attributes),
    }
}
