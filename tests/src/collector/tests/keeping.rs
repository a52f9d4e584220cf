//! What a collector keeps of what it was sent.

use std::time::Instant;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, InstrumentationScope, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::{Value, json};

use super::*;
use crate::collector::{Counts, Link, LogRecord, Scope, Span, SpanKind, SpanStatus, SpanStatusCode};

fn resource() -> Option<Resource> {
    Some(Resource { attributes: vec![pair("service.name", text("checkout"))], ..Default::default() })
}

fn scope() -> Option<InstrumentationScope> {
    let attributes = vec![pair("a", text("b"))];
    Some(InstrumentationScope { name: "filter".into(), version: "1.2".into(), attributes, ..Default::default() })
}

fn expected_scope() -> Scope {
    Scope { name: "filter".into(), version: "1.2".into(), attributes: [("a".into(), json!("b"))].into() }
}

#[tokio::test]
async fn a_log_record_comes_out_as_it_went_in() {
    let record = logs::LogRecord {
        time_unix_nano: u64::MAX,
        observed_time_unix_nano: 3,
        severity_number: 17,
        severity_text: "ERROR".into(),
        body: Some(text("no")),
        attributes: vec![pair("http.route", text("/o"))],
        dropped_attributes_count: 4,
        flags: 1,
        trace_id: TRACE.to_vec(),
        span_id: SPAN.to_vec(),
        event_name: "e".into(),
    };
    let scope_logs = vec![logs::ScopeLogs { scope: scope(), log_records: vec![record], schema_url: "s".into() }];
    let resource_logs = vec![logs::ResourceLogs { resource: resource(), scope_logs, schema_url: "r".into() }];
    let request = otlp("/v1/logs", &ExportLogsServiceRequest { resource_logs });
    let expected = LogRecord {
        resource: [("service.name".into(), json!("checkout"))].into(),
        resource_schema_url: "r".into(),
        scope: expected_scope(),
        schema_url: "s".into(),
        time_unix_nano: u64::MAX,
        observed_time_unix_nano: 3,
        severity_number: 17,
        severity_text: "ERROR".into(),
        body: json!("no"),
        attributes: [("http.route".into(), json!("/o"))].into(),
        dropped_attributes_count: 4,
        flags: 1,
        trace_id: "ab".repeat(16),
        span_id: "01".repeat(8),
        event_name: "e".into(),
    };
    for protocol in PROTOCOLS {
        let collector = Collector::start().await.unwrap();
        let reply = request.send(collector.address(), protocol).await.unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("application/x-protobuf"));
        assert_eq!(ExportLogsServiceResponse::decode(reply.body).unwrap().partial_success, None);
        assert_eq!(collector.log_records(), std::slice::from_ref(&expected));
        assert_eq!(collector.acknowledged(), Counts { log_records: 1, spans: 0 });
        assert_eq!(collector.problems(), [""; 0]);
    }
}

#[tokio::test]
async fn a_span_comes_out_as_it_went_in() {
    let link = trace::span::Link {
        trace_id: vec![2; 16],
        span_id: vec![3; 8],
        trace_state: "l=1".into(),
        attributes: vec![pair("k", text("v"))],
        flags: 0x301,
        ..Default::default()
    };
    let one = trace::Span {
        trace_state: "a=1".into(),
        parent_span_id: vec![0xef; 8],
        flags: 0x101,
        kind: 2,
        attributes: vec![pair("http.request.method", text("GET"))],
        dropped_attributes_count: 5,
        links: vec![link],
        status: Some(trace::Status { code: 2, message: "bad".into() }),
        ..span("GET /o")
    };
    let scope_spans = vec![trace::ScopeSpans { scope: scope(), spans: vec![one], schema_url: "s".into() }];
    let resource_spans = vec![trace::ResourceSpans { resource: resource(), scope_spans, schema_url: "r".into() }];
    let request = otlp("/v1/traces", &ExportTraceServiceRequest { resource_spans });
    let expected = Span {
        resource: [("service.name".into(), json!("checkout"))].into(),
        resource_schema_url: "r".into(),
        scope: expected_scope(),
        schema_url: "s".into(),
        trace_id: "ab".repeat(16),
        span_id: "01".repeat(8),
        parent_span_id: "ef".repeat(8),
        trace_state: "a=1".into(),
        flags: 0x101,
        name: "GET /o".into(),
        kind: SpanKind::Server,
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        status: SpanStatus { code: SpanStatusCode::Error, message: "bad".into() },
        attributes: [("http.request.method".into(), json!("GET"))].into(),
        dropped_attributes_count: 5,
        links: vec![Link {
            trace_id: "02".repeat(16),
            span_id: "03".repeat(8),
            trace_state: "l=1".into(),
            flags: 0x301,
            attributes: [("k".into(), json!("v"))].into(),
        }],
    };
    for protocol in PROTOCOLS {
        let collector = Collector::start().await.unwrap();
        let reply = request.send(collector.address(), protocol).await.unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(ExportTraceServiceResponse::decode(reply.body).unwrap().partial_success, None);
        assert_eq!(collector.spans(), std::slice::from_ref(&expected));
        assert_eq!(collector.acknowledged(), Counts { log_records: 0, spans: 1 });
        assert_eq!(collector.problems(), [""; 0]);
    }
}

#[tokio::test]
async fn what_is_not_set_is_empty() {
    let collector = Collector::start().await.unwrap();
    let bare = logs::ScopeLogs { log_records: vec![logs::LogRecord::default()], ..Default::default() };
    let resource_logs = vec![logs::ResourceLogs { scope_logs: vec![bare], ..Default::default() }];
    send(&collector, &otlp("/v1/logs", &ExportLogsServiceRequest { resource_logs })).await;
    send(&collector, &spans(&["a"])).await;
    let (record, span) = (collector.log_records().remove(0), collector.spans().remove(0));
    assert_eq!((record.body, record.trace_id.as_str(), record.span_id.as_str()), (Value::Null, "", ""));
    assert_eq!((record.resource.len(), record.scope, record.schema_url.as_str()), (0, Scope::default(), ""));
    assert_eq!((span.parent_span_id.as_str(), span.kind), ("", SpanKind::Unspecified));
    assert_eq!(span.status, SpanStatus { code: SpanStatusCode::Unset, message: String::new() });
}

#[tokio::test]
async fn attribute_values_keep_their_types() {
    use any_value::Value as Any;
    let double = |value| any(Any::DoubleValue(value));
    let list = KeyValueList { values: vec![pair("k", any(Any::IntValue(1)))] };
    let cases = [
        (text("é"), json!("é")),
        (any(Any::BoolValue(true)), json!(true)),
        (any(Any::IntValue(200)), json!(200)),
        (any(Any::IntValue(i64::MIN)), json!(i64::MIN)),
        (double(200.0), json!(200.0)),
        (double(f64::NAN), json!("NaN")),
        (double(f64::INFINITY), json!("Infinity")),
        (double(f64::NEG_INFINITY), json!("-Infinity")),
        (any(Any::ArrayValue(ArrayValue { values: vec![text("a"), double(0.5)] })), json!(["a", 0.5])),
        (any(Any::KvlistValue(list)), json!({"k": 1})),
        (any(Any::BytesValue(vec![0, 0xfe])), json!("00fe")),
    ];
    let collector = Collector::start().await.unwrap();
    let attributes = cases.iter().enumerate().map(|(n, (value, _))| pair(&n.to_string(), value.clone())).collect();
    send(&collector, &spans_of(vec![trace::Span { attributes, ..span("a") }])).await;
    let attributes = collector.spans().remove(0).attributes;
    for (n, (value, expected)) in cases.iter().enumerate() {
        assert_eq!(&attributes[&n.to_string()], expected, "{value:?}");
    }
    assert_ne!(attributes["2"], attributes["4"], "an integer is no double");
    assert_eq!(collector.problems(), [""; 0]);
}

#[tokio::test]
async fn records_stay_in_order_over_requests() {
    let collector = Collector::start().await.unwrap();
    send(&collector, &logs(&["a", "b"])).await;
    send(&collector, &spans(&["x", "y"])).await;
    let empty = send(&collector, &logs(&[])).await;
    send(&collector, &logs(&["c"])).await;
    assert_eq!(empty.status, 200);
    assert_eq!(bodies(&collector), ["a", "b", "c"]);
    assert_eq!(collector.spans().iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(collector.received(), Counts { log_records: 3, spans: 2 });
    assert_eq!(collector.received(), collector.acknowledged());
}

#[tokio::test]
async fn requests_show_how_they_were_made() {
    for (protocol, version) in [(Protocol::Http1, "HTTP/1.1"), (Protocol::Http2, "HTTP/2.0")] {
        let collector = Collector::start().await.unwrap();
        let request = logs(&["a", "b"])
            .header("host", "otel.example")
            .header("user-agent", "x/1")
            .header("authorization", b"s\xff");
        let before = Instant::now();
        request.send(collector.address(), protocol).await.unwrap();
        let seen = collector.requests().remove(0);
        assert_eq!((seen.seen.method.as_str(), seen.seen.path.as_str()), ("POST", "/v1/logs"));
        assert_eq!((seen.seen.version.as_str(), seen.authority.as_str()), (version, "otel.example"));
        assert_eq!((seen.user_agent(), seen.header("authorization")), (Some("x/1"), Some("s\u{ff}")));
        assert_eq!((seen.records, seen.status), (2, Some(200)));
        assert!(seen.bytes > 4 && seen.at >= before && seen.at <= Instant::now());
    }
}

#[tokio::test]
async fn waiting_ends_when_enough_is_there() {
    let collector = Collector::start().await.unwrap();
    let waits = async {
        let records = collector.wait_for_log_records(3, PATIENCE).await.unwrap();
        let spans = collector.wait_for_spans(1, PATIENCE).await.unwrap();
        let requests = collector.wait_for_requests(3, PATIENCE).await.unwrap();
        (records.len(), spans.len(), requests.len())
    };
    let sends = async {
        for request in [logs(&["a", "b"]), logs(&["c"]), spans(&["x"])] {
            tokio::time::sleep(Duration::from_millis(20)).await;
            send(&collector, &request).await;
        }
    };
    assert_eq!(tokio::join!(waits, sends).0, (3, 1, 3));
}

#[tokio::test]
async fn waiting_in_vain_says_what_there_is() {
    let collector = Collector::start().await.unwrap();
    send(&collector, &logs(&["a", "b"])).await;
    send(&collector, &Request::get("/v1/logs")).await;
    let error = collector.wait_for_log_records(3, Duration::from_millis(20)).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.starts_with("no 3 log records in 20ms: acknowledged: 2 log records, 0 spans;"), "{error}");
    assert!(error.contains("in 2 requests") && error.contains("not POST but GET"), "{error}");
    collector.wait_for_spans(1, Duration::from_millis(20)).await.unwrap_err();
    collector.wait_for_requests(3, Duration::from_millis(20)).await.unwrap_err();
}
