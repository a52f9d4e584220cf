//! What OpenTelemetry's own protobuf definitions make of our bytes, field by field, for any content.

use crate::answer::{Answer, Meaning};
use crate::envelope::frame;
use crate::{Attributes, Envelope, Link, LogRecord, Span, SpanKind, SpanStatus, Value};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1 as logs;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as trace;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message;

#[derive(Clone, Debug)]
enum Owned {
    String(String),
    Bool(bool),
    Int(i64),
    Double(f64),
}

type Pairs = Vec<(String, Owned)>;

impl Owned {
    fn ours(&self) -> Value<'_> {
        match self {
            Owned::String(text) => Value::String(text),
            Owned::Bool(value) => Value::Bool(*value),
            Owned::Int(value) => Value::Int(*value),
            Owned::Double(value) => Value::Double(*value),
        }
    }

    fn theirs(&self) -> AnyValue {
        AnyValue {
            value: Some(match self.clone() {
                Owned::String(text) => any_value::Value::StringValue(text),
                Owned::Bool(value) => any_value::Value::BoolValue(value),
                Owned::Int(value) => any_value::Value::IntValue(value),
                Owned::Double(value) => any_value::Value::DoubleValue(value),
            }),
        }
    }
}

fn add_all(pairs: &Pairs, attributes: &mut Attributes<'_, '_>) {
    pairs.iter().for_each(|(key, value)| attributes.add(key, value.ours()));
}

fn theirs(pairs: &Pairs) -> Vec<KeyValue> {
    let pair = |(key, value): &(String, Owned)| KeyValue {
        key: key.clone(),
        value: Some(value.theirs()),
        ..KeyValue::default()
    };
    pairs.iter().map(pair).collect()
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,12}", ".{100,300}", Just(String::new())]
}

fn any_owned() -> impl Strategy<Value = Owned> {
    prop_oneof![
        any_text().prop_map(Owned::String),
        any::<bool>().prop_map(Owned::Bool),
        any::<i64>().prop_map(Owned::Int),
        // NaN equals nothing, so it has a test of its own.
        any::<f64>().prop_filter("a number", |value| !value.is_nan()).prop_map(Owned::Double),
    ]
}

fn any_pairs() -> impl Strategy<Value = Pairs> {
    vec((any_text(), any_owned()), 0..6)
}

fn any_record() -> impl Strategy<Value = (Vec<u8>, logs::LogRecord)> {
    let scalars = (any::<u64>(), any::<u64>(), 0..=24_u8, any::<u32>(), any::<u32>());
    let ids = (option::of(any::<[u8; 16]>()), option::of(any::<[u8; 8]>()));
    (scalars, any_text(), option::of(any_owned()), any_pairs(), ids).prop_map(
        |((time, observed, severity, flags, dropped), text, body, pairs, (trace_id, span_id))| {
            let record = LogRecord {
                time_unix_nano: time,
                observed_time_unix_nano: observed,
                severity_number: severity,
                severity_text: &text,
                body: body.as_ref().map(Owned::ours),
                trace_id,
                span_id,
                flags,
                dropped_attributes_count: dropped,
            };
            let mut bytes = Vec::new();
            record.encode(&mut bytes, |attributes| add_all(&pairs, attributes));
            let expected = logs::LogRecord {
                time_unix_nano: time,
                observed_time_unix_nano: observed,
                severity_number: i32::from(severity),
                severity_text: text.clone(),
                body: body.as_ref().map(Owned::theirs),
                attributes: theirs(&pairs),
                dropped_attributes_count: dropped,
                flags,
                trace_id: trace_id.map(|id| id.to_vec()).unwrap_or_default(),
                span_id: span_id.map(|id| id.to_vec()).unwrap_or_default(),
                ..logs::LogRecord::default()
            };
            (bytes, expected)
        },
    )
}

type AnyLink = ([u8; 16], [u8; 8], String, u32, Pairs);

fn any_link() -> impl Strategy<Value = AnyLink> {
    (any::<[u8; 16]>(), any::<[u8; 8]>(), any_text(), any::<u32>(), any_pairs())
}

fn any_span() -> impl Strategy<Value = (Vec<u8>, trace::Span)> {
    let ids = (any::<[u8; 16]>(), any::<[u8; 8]>(), option::of(any::<[u8; 8]>()));
    let kinds = prop_oneof![
        Just(SpanKind::Internal),
        Just(SpanKind::Server),
        Just(SpanKind::Client),
        Just(SpanKind::Producer),
        Just(SpanKind::Consumer),
    ];
    let scalars = (kinds, any::<u64>(), any::<u64>(), any::<u32>(), any::<u32>(), 0..3);
    let texts = (any_text(), any_text(), any_text());
    (ids, scalars, texts, any_pairs(), vec(any_link(), 0..3)).prop_map(
        |(ids, (kind, start, end, flags, dropped, code), (state, name, message), pairs, links)| {
            let (trace_id, span_id, parent_span_id) = ids;
            let status = match code {
                0 => SpanStatus::Unset,
                1 => SpanStatus::Ok,
                _ => SpanStatus::Error(&message),
            };
            let span = Span {
                trace_id,
                span_id,
                parent_span_id,
                trace_state: &state,
                flags,
                name: &name,
                kind,
                start_time_unix_nano: start,
                end_time_unix_nano: end,
                status,
                dropped_attributes_count: dropped,
            };
            let mut bytes = Vec::new();
            span.encode(&mut bytes, |parts| {
                add_all(&pairs, &mut parts.attributes());
                for (trace_id, span_id, trace_state, flags, pairs) in &links {
                    let link = Link { trace_id: *trace_id, span_id: *span_id, trace_state, flags: *flags };
                    parts.link(&link, |attributes| add_all(pairs, attributes));
                }
            });
            let their_link = |(trace_id, span_id, state, flags, pairs): &AnyLink| trace::span::Link {
                trace_id: trace_id.to_vec(),
                span_id: span_id.to_vec(),
                trace_state: state.clone(),
                attributes: theirs(pairs),
                dropped_attributes_count: 0,
                flags: *flags,
            };
            let expected = trace::Span {
                trace_id: trace_id.to_vec(),
                span_id: span_id.to_vec(),
                trace_state: state.clone(),
                parent_span_id: parent_span_id.map(|id| id.to_vec()).unwrap_or_default(),
                flags,
                name: name.clone(),
                kind: kind as i32,
                start_time_unix_nano: start,
                end_time_unix_nano: end,
                attributes: theirs(&pairs),
                dropped_attributes_count: dropped,
                links: links.iter().map(their_link).collect(),
                status: (code != 0)
                    .then(|| trace::Status { code, message: if code == 2 { message.clone() } else { String::new() } }),
                ..trace::Span::default()
            };
            (bytes, expected)
        },
    )
}

/// Our envelope around these records, and theirs but for the records.
fn sealed(records: &[Vec<u8>], scope: &(String, String), url: &str, pairs: &Pairs) -> Vec<u8> {
    let mut frames = Vec::new();
    records.iter().for_each(|record| frame(&mut frames, record));
    Envelope::new((&scope.0, &scope.1), url, |resource| add_all(pairs, resource)).seal(&frames)
}

fn their_scope((name, version): &(String, String)) -> InstrumentationScope {
    InstrumentationScope { name: name.clone(), version: version.clone(), ..InstrumentationScope::default() }
}

fn their_resource(pairs: &Pairs) -> Resource {
    Resource { attributes: theirs(pairs), ..Resource::default() }
}

proptest! {
    #[test]
    fn log_records_are_what_opentelemetry_reads(
        records in vec(any_record(), 0..5),
        scope in (any_text(), any_text()),
        url in any_text(),
        pairs in any_pairs(),
    ) {
        let (ours, expected): (Vec<_>, Vec<_>) = records.into_iter().unzip();
        let body = sealed(&ours, &scope, &url, &pairs);
        let resource_logs = vec![logs::ResourceLogs {
            resource: Some(their_resource(&pairs)),
            scope_logs: vec![logs::ScopeLogs {
                scope: Some(their_scope(&scope)),
                log_records: expected,
                schema_url: url.clone(),
            }],
            schema_url: url,
        }];
        prop_assert_eq!(ExportLogsServiceRequest::decode(&body[..]).unwrap(), ExportLogsServiceRequest { resource_logs });
    }

    #[test]
    fn spans_are_what_opentelemetry_reads(
        spans in vec(any_span(), 0..5),
        scope in (any_text(), any_text()),
        url in any_text(),
        pairs in any_pairs(),
    ) {
        let (ours, expected): (Vec<_>, Vec<_>) = spans.into_iter().unzip();
        let body = sealed(&ours, &scope, &url, &pairs);
        let resource_spans = vec![trace::ResourceSpans {
            resource: Some(their_resource(&pairs)),
            scope_spans: vec![trace::ScopeSpans {
                scope: Some(their_scope(&scope)),
                spans: expected,
                schema_url: url.clone(),
            }],
            schema_url: url,
        }];
        let expected = ExportTraceServiceRequest { resource_spans };
        prop_assert_eq!(ExportTraceServiceRequest::decode(&body[..]).unwrap(), expected);
    }

    #[test]
    fn a_partial_success_says_what_opentelemetry_wrote(rejected in any::<i64>(), message in "[ -~é]{0,150}") {
        let logs = ExportLogsServiceResponse {
            partial_success: Some(ExportLogsPartialSuccess {
                rejected_log_records: rejected,
                error_message: message.clone(),
            }),
        };
        let traces = ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: rejected,
                error_message: message.clone(),
            }),
        };
        let expected = Meaning::Taken { rejected: u64::try_from(rejected).unwrap_or(0), message };
        for body in [logs.encode_to_vec(), traces.encode_to_vec()] {
            let answer = Answer { status: Some(200), body: &body, ..Answer::default() };
            prop_assert_eq!(answer.meaning(0), expected.clone());
        }
    }

    #[test]
    fn no_answer_is_too_odd(status in option::of(any::<u16>()), header in vec(any::<u8>(), 0..40),
        body in vec(any::<u8>(), 0..80), now in any::<u64>()) {
        Answer { status, retry_after: Some(&header), body: &body }.meaning(now);
    }

    #[test]
    fn no_date_is_too_odd(text in "(Sun,? )?[0-9A-Za-z:, -]{0,30}( GMT)?") {
        crate::http_date::parse(&text);
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    let mut bytes = Vec::new();
    LogRecord { body: Some(Value::Double(f64::NAN)), ..LogRecord::default() }.encode(&mut bytes, |_| {});
    let record = logs::LogRecord::decode(&bytes[..]).unwrap();
    let Some(any_value::Value::DoubleValue(value)) = record.body.and_then(|body| body.value) else {
        panic!("a double")
    };
    assert!(value.is_nan());
}
