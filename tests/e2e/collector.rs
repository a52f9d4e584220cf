//! The collector that the other tests stand on, as Envoy's own OTLP exporters see it: its access logger and its tracer,
//! each over HTTP through a cluster, as our filters export.

use hyper::StatusCode;
use serde_json::{Value, json};
use sluicegate_tests::client::load::{Load, Until};
use sluicegate_tests::client::{Protocol, Request};
use sluicegate_tests::collector::{Answer, Collector, SpanKind};
use sluicegate_tests::envoy::Bootstrap;

use crate::stage::{PATIENCE, Stage};

/// A cluster for the collector; `http2` as operators choose its protocol.
fn cluster(collector: &Collector, http2: bool) -> Value {
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": collector.port()}});
    let protocol = if http2 { "http2_protocol_options" } else { "http_protocol_options" };
    json!({
        "name": "collector",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "collector",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {protocol: {}},
            },
        },
    })
}

fn http_service(path: &str) -> Value {
    json!({"http_uri": {"uri": format!("http://otel.example{path}"), "cluster": "collector", "timeout": "2s"}})
}

/// Envoy that logs and traces to the collector by itself.
async fn stage(collector: &Collector, http2: bool) -> Stage {
    let logger = json!({
        "name": "envoy.access_loggers.open_telemetry",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
            "log_name": "test",
            "http_service": http_service("/v1/logs"),
            "buffer_flush_interval": "0.05s",
            "resource_attributes": {"values": [{"key": "service.name", "value": {"string_value": "checkout"}}]},
            "body": {"string_value": "%REQ(:METHOD)% %REQ(:PATH)%"},
            "attributes": {"values": [{"key": "status", "value": {"string_value": "%RESPONSE_CODE%"}}]},
        },
    });
    let tracing = json!({
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                "service_name": "checkout",
                "http_service": http_service("/v1/traces"),
            },
        },
    });
    let cluster = cluster(collector, http2);
    Stage::set(|bootstrap: Bootstrap| {
        bootstrap
            .only("trace_context")
            .unwrap()
            .edit(|config| {
                config["static_resources"]["clusters"].as_array_mut().unwrap().push(cluster);
                // Envoy's tracer waits for five spans, or 5 s.
                let at_once = json!({"tracing.opentelemetry.min_flush_spans": 1});
                config["layered_runtime"] = json!({"layers": [{"name": "test", "static_layer": at_once}]});
            })
            .edit_connection_manager(|manager| {
                manager["access_log"].as_array_mut().unwrap().push(logger);
                manager["tracing"] = tracing;
            })
            .unwrap()
    })
    .await
}

#[tokio::test]
async fn what_envoy_itself_exports_arrives() {
    for http2 in [false, true] {
        let collector = Collector::start().await.unwrap();
        let stage = stage(&collector, http2).await;
        stage.send(&Request::get("/a").header("x-upstream-status", "404"), Protocol::Http1).await;
        stage.send(&Request::post("/b", "body"), Protocol::Http2).await;

        let records = collector.wait_for_log_records(2, PATIENCE).await.unwrap();
        let shown = |body: &str| records.iter().find(|record| record.body == json!(body)).unwrap();
        assert_eq!(shown("GET /a").attributes["status"], json!("404"));
        assert_eq!(shown("POST /b").attributes["status"], json!("200"));
        assert_eq!(shown("GET /a").resource["service.name"], json!("checkout"));
        assert!(shown("GET /a").time_unix_nano > 1_700_000_000_000_000_000);

        let spans = collector.wait_for_spans(2, PATIENCE).await.unwrap();
        let record = shown("GET /a");
        let span = spans.iter().find(|span| span.trace_id == record.trace_id).unwrap();
        assert_eq!((&span.span_id, span.kind), (&record.span_id, SpanKind::Server));
        assert_eq!(span.attributes["http.status_code"], json!("404"));

        let version = if http2 { "HTTP/2.0" } else { "HTTP/1.1" };
        for request in collector.requests() {
            assert_eq!((request.authority.as_str(), request.seen.version.as_str()), ("otel.example", version));
        }
        assert_eq!(collector.problems(), [""; 0]);
    }
}

#[tokio::test]
async fn envoy_gets_through_again_after_a_kill_and_learns_of_a_refusal() {
    let mut collector = Collector::start().await.unwrap();
    let stage = stage(&collector, false).await;
    let cluster = [("envoy_cluster_name", "collector")];
    for round in 1..=3 {
        stage.send(&Request::get(&format!("/before/{round}")), Protocol::Http1).await;
        wait_for_body(&collector, &format!("GET /before/{round}")).await;
        collector.stop().await;
        let load = Load { connections: 2, protocol: Protocol::Http1, until: Until::Requests(50) };
        let report = load.run(stage.envoy.address(), |_| Request::get("/meanwhile")).await;
        assert_eq!(report.answered(200), 50, "{report}");
        // Envoy's exporters give up what they cannot send.
        stage
            .envoy
            .wait_for_stat("envoy_cluster_upstream_cx_connect_fail", &cluster, f64::from(round), PATIENCE)
            .await
            .unwrap();
        collector.restart().await.unwrap();
        stage.send(&Request::get(&format!("/after/{round}")), Protocol::Http1).await;
        wait_for_body(&collector, &format!("GET /after/{round}")).await;
    }
    collector.answer(Answer::status(StatusCode::SERVICE_UNAVAILABLE));
    stage.send(&Request::get("/refused"), Protocol::Http1).await;
    let refused = [("envoy_cluster_name", "collector"), ("envoy_response_code", "503")];
    stage.envoy.wait_for_stat("envoy_cluster_upstream_rq", &refused, 1.0, PATIENCE).await.unwrap();
    assert_eq!(collector.problems(), [""; 0]);
}

async fn wait_for_body(collector: &Collector, body: &str) {
    let mut seen = 0;
    loop {
        let records = collector.wait_for_log_records(seen + 1, PATIENCE).await.unwrap();
        if records.iter().any(|record| record.body == json!(body)) {
            return;
        }
        seen = records.len() as u64;
    }
}
