//! What protobuf lets through but OTLP does not: each a short sentence that names the record.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::value::hex;

/// Bytes of ids.
const TRACE_ID: usize = 16;
const SPAN_ID: usize = 8;

pub(super) fn of_logs(request: &ExportLogsServiceRequest) -> Vec<String> {
    let mut complaints = Vec::new();
    for logs in &request.resource_logs {
        resource(logs.resource.as_ref(), &mut complaints);
        for scoped in &logs.scope_logs {
            scope(scoped.scope.as_ref(), &mut complaints);
            scoped.log_records.iter().for_each(|record| log_record(record, &mut complaints));
        }
    }
    complaints
}

pub(super) fn of_traces(request: &ExportTraceServiceRequest) -> Vec<String> {
    let mut complaints = Vec::new();
    for traces in &request.resource_spans {
        resource(traces.resource.as_ref(), &mut complaints);
        for scoped in &traces.scope_spans {
            scope(scoped.scope.as_ref(), &mut complaints);
            scoped.spans.iter().for_each(|one| span(one, &mut complaints));
        }
    }
    complaints
}

fn resource(resource: Option<&Resource>, complaints: &mut Vec<String>) {
    attributes("a resource", resource.map_or(&[], |resource| &resource.attributes), complaints);
}

fn scope(scope: Option<&InstrumentationScope>, complaints: &mut Vec<String>) {
    attributes("a scope", scope.map_or(&[], |scope| &scope.attributes), complaints);
}

fn log_record(record: &LogRecord, complaints: &mut Vec<String>) {
    let who = format!("a log record of {} ns", record.time_unix_nano.max(record.observed_time_unix_nano));
    let mut check = |holds: bool, what: String| complaints.extend((!holds).then(|| format!("{who}: {what}")));
    let severity = record.severity_number;
    check(SeverityNumber::try_from(severity).is_ok(), format!("severity {severity}"));
    let (trace_id, span_id) = (&record.trace_id, &record.span_id);
    check(trace_id.is_empty() || is_id(trace_id, TRACE_ID), format!("trace id `{}`", hex(trace_id)));
    check(span_id.is_empty() || is_id(span_id, SPAN_ID), format!("span id `{}`", hex(span_id)));
    check(span_id.is_empty() || !trace_id.is_empty(), "a span id without a trace id".to_owned());
    attributes(&who, &record.attributes, complaints);
}

fn span(span: &Span, complaints: &mut Vec<String>) {
    let who = format!("span {} `{}`", hex(&span.span_id), span.name);
    let mut check = |holds: bool, what: String| complaints.extend((!holds).then(|| format!("{who}: {what}")));
    check(is_id(&span.trace_id, TRACE_ID), format!("trace id `{}`", hex(&span.trace_id)));
    check(is_id(&span.span_id, SPAN_ID), format!("span id `{}`", hex(&span.span_id)));
    let parent = &span.parent_span_id;
    check(parent.is_empty() || is_id(parent, SPAN_ID), format!("parent span id `{}`", hex(parent)));
    check(!span.name.is_empty(), "no name".to_owned());
    check(SpanKind::try_from(span.kind).is_ok(), format!("kind {}", span.kind));
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    check(start > 0 && start <= end, format!("from {start} to {end} ns"));
    let code = span.status.as_ref().map_or(0, |status| status.code);
    check(StatusCode::try_from(code).is_ok(), format!("status {code}"));
    attributes(&who, &span.attributes, complaints);
    span.links.iter().for_each(|one| link(&who, one, complaints));
}

fn link(who: &str, link: &Link, complaints: &mut Vec<String>) {
    if !is_id(&link.trace_id, TRACE_ID) || !is_id(&link.span_id, SPAN_ID) {
        complaints.push(format!("{who}: a link to `{}`, `{}`", hex(&link.trace_id), hex(&link.span_id)));
    }
    attributes(&format!("{who}: a link"), &link.attributes, complaints);
}

/// "Attribute keys MUST be unique", and not empty; every one has a value that does not stand elsewhere.
fn attributes(who: &str, pairs: &[KeyValue], complaints: &mut Vec<String>) {
    let mut keys = BTreeSet::new();
    for KeyValue { key, value, key_strindex } in pairs {
        if key.is_empty() || *key_strindex != 0 {
            complaints.push(format!("{who}: an attribute without a key"));
        } else if !keys.insert(key) {
            complaints.push(format!("{who}: attribute {key} more than once"));
        }
        if matches!(value.as_ref().and_then(|any| any.value.as_ref()), None | Some(Value::StringValueStrindex(_))) {
            complaints.push(format!("{who}: attribute {key} without a value"));
        }
    }
}

fn is_id(bytes: &[u8], length: usize) -> bool {
    bytes.len() == length && bytes.iter().any(|byte| *byte != 0)
}
