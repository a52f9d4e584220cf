//! Each test speaks to a collector as a client does, with requests made of OpenTelemetry's own definitions.

mod keeping;
mod misbehaving;
mod refusing;
mod sdk;
mod stopping;

use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1 as logs;
use opentelemetry_proto::tonic::trace::v1 as trace;
use prost::Message;

use super::Collector;
use crate::client::{Protocol, Reply, Request};

const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];
const PATIENCE: Duration = Duration::from_secs(10);
const TRACE: [u8; 16] = [0xab; 16];
const SPAN: [u8; 8] = [0x01; 8];

/// A request with one log record for each of these bodies.
fn logs(bodies: &[&str]) -> Request {
    let log_records = bodies.iter().map(|body| logs::LogRecord { body: Some(text(body)), ..Default::default() });
    let scoped = logs::ScopeLogs { log_records: log_records.collect(), ..Default::default() };
    let resource_logs = vec![logs::ResourceLogs { scope_logs: vec![scoped], ..Default::default() }];
    otlp("/v1/logs", &ExportLogsServiceRequest { resource_logs })
}

/// A request with one valid span of each of these names.
fn spans(names: &[&str]) -> Request {
    spans_of(names.iter().map(|name| span(name)).collect())
}

fn spans_of(spans: Vec<trace::Span>) -> Request {
    let scoped = trace::ScopeSpans { spans, ..Default::default() };
    let resource_spans = vec![trace::ResourceSpans { scope_spans: vec![scoped], ..Default::default() }];
    otlp("/v1/traces", &ExportTraceServiceRequest { resource_spans })
}

fn span(name: &str) -> trace::Span {
    trace::Span {
        trace_id: TRACE.to_vec(),
        span_id: SPAN.to_vec(),
        name: name.to_owned(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        ..Default::default()
    }
}

fn otlp(path: &str, message: &impl Message) -> Request {
    Request::post(path, message.encode_to_vec()).header("content-type", "application/x-protobuf")
}

fn text(text: &str) -> AnyValue {
    any(any_value::Value::StringValue(text.to_owned()))
}

fn any(value: any_value::Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..Default::default() }
}

async fn send(collector: &Collector, request: &Request) -> Reply {
    request.send(collector.address(), Protocol::Http1).await.unwrap()
}

fn bodies(collector: &Collector) -> Vec<String> {
    collector.log_records().iter().map(|record| record.body.as_str().unwrap().to_owned()).collect()
}
