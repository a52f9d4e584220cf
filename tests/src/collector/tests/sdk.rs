//! The collector as OpenTelemetry's own SDK and exporter see it.

use opentelemetry::KeyValue;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::{Span as _, Status, TraceContextExt, Tracer as _, TracerProvider as _};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{LogExporter, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::json;

use super::*;
use crate::collector::{Answer, SpanKind, SpanStatus, SpanStatusCode};

fn endpoint(collector: &Collector, path: &str) -> String {
    format!("http://{}{path}", collector.address())
}

fn client() -> HyperClient {
    HyperClient::with_default_connector(PATIENCE, None)
}

fn resource() -> Resource {
    Resource::builder_empty().with_attribute(KeyValue::new("service.name", "checkout")).build()
}

// The SDK exports on the thread that emits, so another one must serve.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_records_of_the_sdk_arrive() {
    let collector = Collector::start().await.unwrap();
    let endpoint = endpoint(&collector, "/v1/logs");
    let exporter = LogExporter::builder().with_http().with_http_client(client()).with_endpoint(endpoint);
    let exporter = exporter.build().unwrap();
    let provider = SdkLoggerProvider::builder().with_resource(resource()).with_simple_exporter(exporter).build();
    let logger = provider.logger("shop");
    for status in [200, 503] {
        let mut record = logger.create_log_record();
        record.set_severity_number(Severity::Error);
        record.set_severity_text("ERROR");
        record.set_body(AnyValue::from("GET /orders"));
        record.add_attribute("http.response.status_code", status);
        record.add_attribute("share", 1.0);
        logger.emit(record);
    }
    let records = collector.wait_for_log_records(2, PATIENCE).await.unwrap();
    let statuses: Vec<_> =
        records.iter().map(|record| record.attributes["http.response.status_code"].clone()).collect();
    assert_eq!(statuses, [json!(200), json!(503)]);
    assert_eq!(records[0].attributes["share"], json!(1.0));
    assert_eq!((records[0].body.clone(), records[0].severity_number), (json!("GET /orders"), 17));
    assert_eq!(records[0].resource["service.name"], json!("checkout"));
    assert_eq!(records[0].scope.name, "shop");
    assert!(collector.requests()[0].user_agent().unwrap().starts_with("OTel-OTLP-Exporter-Rust/"));
    assert_eq!(collector.problems(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_the_sdk_arrive_and_it_learns_of_a_refusal() {
    let collector = Collector::start().await.unwrap();
    let endpoint = endpoint(&collector, "/v1/traces");
    let exporter = SpanExporter::builder().with_http().with_http_client(client()).with_endpoint(endpoint);
    let exporter = exporter.build().unwrap();
    let provider = SdkTracerProvider::builder().with_resource(resource()).with_simple_exporter(exporter).build();
    let tracer = provider.tracer("shop");
    let root = tracer.span_builder("root").with_kind(opentelemetry::trace::SpanKind::Server).start(&tracer);
    let context = opentelemetry::Context::new().with_span(root);
    let mut child = tracer.start_with_context("child", &context);
    child.set_status(Status::error("bad"));
    child.end();
    context.span().end();

    let spans = collector.wait_for_spans(2, PATIENCE).await.unwrap();
    let [child, root] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((root.name.as_str(), root.kind, root.parent_span_id.as_str()), ("root", SpanKind::Server, ""));
    assert_eq!(
        (child.parent_span_id.as_str(), child.trace_id.as_str()),
        (root.span_id.as_str(), root.trace_id.as_str())
    );
    assert_eq!(root.span_id, context.span().span_context().span_id().to_string());
    assert_eq!(child.status, SpanStatus { code: SpanStatusCode::Error, message: "bad".into() });
    assert_eq!(collector.problems(), [""; 0]);

    collector.answer(Answer::status(hyper::StatusCode::BAD_REQUEST));
    tracer.start("refused").end();
    collector.wait_for_requests(3, PATIENCE).await.unwrap();
    assert_eq!((collector.received().spans, collector.acknowledged().spans), (3, 2));
}
