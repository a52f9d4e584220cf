//! What a collector reads, by OpenTelemetry's own protobuf definitions, of exchanges on a proxy in memory.

use crate::TraceContext;
use crate::formats::testing::{SPAN, TRACE};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;
use sluicegate_host::double::{Double, Outcome, Running};
use std::time::Duration;

/// When exchanges begin, in nanoseconds since the Unix epoch.
const BEGIN: u64 = 1_700_000_000_000_000_000;

const INBOUND: i64 = 1;
const OUTBOUND: i64 = 2;

struct Stage {
    proxy: &'static Double,
    running: Running<TraceContext>,
}

/// The filter with spans, more fields of the section `trace`, and other sections.
fn stage(trace: &str, others: &str) -> Stage {
    let proxy = Double::new();
    let policy = format!(
        r#"{{"version": "1.0", "service": {{"name": "checkout"}},
            "trace": {{"spans": {{"otlp": {{"cluster": "otel_collector"}}}}{trace}}}{others}}}"#
    );
    let running = proxy.start(&policy).unwrap_or_else(|lines| panic!("{lines:?}"));
    let stage = Stage { proxy, running };
    stage.comes_from(INBOUND);
    stage.ends(200, "via_upstream");
    stage
}

impl Stage {
    /// Has exchanges go this way.
    fn comes_from(&self, direction: i64) {
        self.proxy.set("xds\0listener_direction", direction.to_le_bytes());
    }

    /// Has exchanges end like this.
    fn ends(&self, code: i64, details: &str) {
        self.proxy.set("response\0code", code.to_le_bytes());
        self.proxy.set("response\0code_details", details);
        self.proxy.set("request\0time", BEGIN.to_le_bytes());
        self.proxy.set("request\0duration", 12_345_678u64.to_le_bytes());
        self.proxy.set("source\0address", "10.0.0.7:4711");
    }

    fn send(&mut self, headers: &[(&str, &str)]) -> Outcome {
        let mut all =
            vec![(":method", "GET"), (":path", "/users/7?page=2"), (":scheme", "https"), (":authority", "shop")];
        all.retain(|(name, _)| headers.iter().all(|(other, _)| name != other));
        all.extend_from_slice(headers);
        self.running.request(&all)
    }

    /// What the collector got.
    fn exported(&mut self) -> Vec<ResourceSpans> {
        self.proxy.advance(Duration::from_secs(5));
        self.running.tick();
        let callouts = self.proxy.callouts();
        let decode = |body: &Vec<u8>| ExportTraceServiceRequest::decode(body.as_slice()).unwrap().resource_spans;
        callouts.iter().flat_map(|callout| decode(&callout.body)).collect()
    }

    fn spans(&mut self) -> Vec<Span> {
        let scopes = self.exported().into_iter().flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    fn span(&mut self) -> Span {
        let [span] = &self.spans()[..] else { panic!("not one span") };
        span.clone()
    }
}

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{flags}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All of them, each as `name: value`.
fn attributes(pairs: &[KeyValue]) -> Vec<String> {
    let value = |pair: &KeyValue| match pair.value.clone().unwrap().value.unwrap() {
        any_value::Value::StringValue(text) => text,
        any_value::Value::IntValue(number) => number.to_string(),
        any_value::Value::DoubleValue(number) => number.to_string(),
        any_value::Value::BoolValue(value) => value.to_string(),
        other => panic!("{other:?}"),
    };
    pairs.iter().map(|pair| format!("{}: {}", pair.key, value(pair))).collect()
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let prefix = format!("{name}: ");
    attributes(&span.attributes).iter().find_map(|pair| pair.strip_prefix(&prefix).map(str::to_owned))
}

fn error_message(span: &Span) -> Option<String> {
    let status = span.status.clone().unwrap_or_default();
    match status.code() {
        StatusCode::Unset => None,
        StatusCode::Error => Some(status.message),
        StatusCode::Ok => panic!("not ours to say"),
    }
}

#[test]
fn the_server_of_an_exchange_says_who_asked_for_what_and_how_it_went() {
    let mut stage = stage("", r#", "access_log": {"routes": [{"match": {"path": {"template": "/users/{id}"}}}]}"#);
    stage.proxy.set("request\0protocol", "HTTP/2");
    stage.proxy.set("xds\0cluster_name", "shop");
    stage.proxy.set("upstream\0address", "10.0.0.9:8080");
    stage.proxy.set("upstream\0request_attempt_count", 3i64.to_le_bytes());
    stage.proxy.advance(Duration::from_nanos(BEGIN + 9_000_000));
    let value = traceparent("01");
    let headers =
        [("traceparent", value.as_str()), ("tracestate", "ot=th:8"), ("x-request-id", "r-1"), ("user-agent", "curl")];
    let outcome = stage.send(&headers);
    let facts = outcome.facts.trace.unwrap();
    let exported = stage.exported();

    let [ResourceSpans { resource: Some(resource), scope_spans, .. }] = &exported[..] else { panic!("{exported:?}") };
    assert!(attributes(&resource.attributes).contains(&"service.name: checkout".to_owned()));
    let [scope] = &scope_spans[..] else { panic!("{scope_spans:?}") };
    assert_eq!(scope.scope.as_ref().unwrap().name, "sluicegate-trace-context");
    assert_eq!(scope.schema_url, "https://opentelemetry.io/schemas/1.44.0");
    let [span] = &scope.spans[..] else { panic!("{scope:?}") };

    // What upstream saw, and whose child it is.
    let upstream = String::from_utf8(outcome.upstream.get("traceparent").unwrap().to_vec()).unwrap();
    assert_eq!(upstream, format!("00-{TRACE}-{}-01", hex(&span.span_id)));
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), SPAN.to_owned()));
    assert_eq!(span.span_id, facts.span_id.bytes());
    assert_eq!((span.trace_state.as_str(), span.flags), ("ot=th:8", 0x301));
    assert_eq!((span.name.as_str(), span.kind()), ("GET /users/{id}", SpanKind::Server));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (BEGIN, BEGIN + 12_345_678));
    assert_eq!((error_message(span), span.links.len(), span.events.len()), (None, 0, 0));
    let expected = [
        "sluicegate.req_id: r-1",
        "http.request.method: GET",
        "url.path: /users/7",
        "url.query: page=2",
        "url.scheme: https",
        "http.route: /users/{id}",
        "server.address: shop",
        "client.address: 10.0.0.7",
        "user_agent.original: curl",
        "network.protocol.name: http",
        "network.protocol.version: 2",
        "http.response.status_code: 200",
        "envoy.upstream.cluster: shop",
        "envoy.upstream.address: 10.0.0.9:8080",
        "envoy.upstream.attempt_count: 3",
        "sluicegate.direction: inbound",
        "sluicegate.time_to_response_headers_ms: 9",
    ];
    assert_eq!(attributes(&span.attributes), expected);
}

#[test]
fn the_client_of_an_exchange_names_the_url_and_counts_its_attempts() {
    let mut stage = stage("", r#", "access_log": {"routes": [{"match": {"path": {"template": "/users/{id}"}}}]}"#);
    stage.comes_from(OUTBOUND);
    stage.proxy.set("upstream\0request_attempt_count", 3i64.to_le_bytes());
    stage.send(&[("x-request-id", "r-1")]);
    let span = stage.span();
    assert_eq!((span.name.as_str(), span.kind()), ("GET /users/{id}", SpanKind::Client));
    let expected = [
        "sluicegate.req_id: r-1",
        "url.full: https://shop/users/7?page=2",
        "url.template: /users/{id}",
        "http.request.resend_count: 2",
        "http.request.method: GET",
        "server.address: shop",
        "server.port: 443",
        "http.response.status_code: 200",
        "envoy.upstream.attempt_count: 3",
        "sluicegate.direction: outbound",
    ];
    let attributes = attributes(&span.attributes);
    let attributes: Vec<_> = attributes.iter().filter(|pair| !pair.contains("_ms: ")).collect();
    assert_eq!(attributes, expected);
}

#[test]
fn the_first_attempt_is_no_resend() {
    let mut stage = stage("", "");
    stage.comes_from(OUTBOUND);
    stage.proxy.set("upstream\0request_attempt_count", 1i64.to_le_bytes());
    stage.send(&[]);
    assert_eq!(attribute(&stage.span(), "http.request.resend_count"), None);
}

#[test]
fn a_gateway_serves() {
    let mut stage = stage("", "");
    stage.comes_from(0);
    stage.send(&[]);
    let span = stage.span();
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(attribute(&span, "sluicegate.direction").as_deref(), Some("gateway"));
}

#[test]
fn a_trace_that_begins_here_has_its_root_here() {
    let mut stage = stage("", "");
    let outcome = stage.send(&[("tracestate", "a=1")]);
    let span = stage.span();
    assert_eq!(span.span_id, outcome.facts.trace.unwrap().span_id.bytes());
    assert!(span.parent_span_id.is_empty() && span.links.is_empty());
    // Sampled, random, and without a parent that could be remote.
    assert_eq!((span.flags, span.trace_state.as_str()), (0x103, ""));
}

#[test]
fn a_tracestate_is_told_where_it_went_on() {
    let value = traceparent("01");
    let b3 = format!("{}-{SPAN}-1", TRACE.replace('4', "5"));
    for (trace, context, state, told) in [
        ("", vec![("traceparent", value.as_str())], "a=1, b=2", "a=1, b=2"),
        ("", vec![("traceparent", &value)], " a=1", "a=1"),
        ("", vec![("traceparent", &value)], "=", ""),
        ("", vec![("b3", &b3)], "a=1", ""),
        (r#", "inject": ["b3"]"#, vec![("traceparent", &value)], "a=1", ""),
        // Of another trace than the one that goes on.
        (r#", "extract": ["b3"]"#, vec![("traceparent", &value), ("b3", &b3)], "a=1", ""),
    ] {
        let mut stage = stage(trace, "");
        let outcome = stage.send(&[&context[..], &[("tracestate", state)]].concat());
        let upstream = String::from_utf8(outcome.upstream.get("tracestate").unwrap_or_default().to_vec()).unwrap();
        assert_eq!((stage.span().trace_state.as_str(), upstream.as_str()), (told, told), "{trace} {context:?} {state}");
    }
}

#[test]
fn an_exchange_that_is_not_sampled_has_no_span_and_costs_nothing_at_its_end() {
    let mut stage = stage("", "");
    let value = traceparent("00");
    let outcome = stage.send(&[("traceparent", &value), ("x-request-id", "r-1")]);
    assert_eq!(
        outcome.calls,
        ["proxy_get_header_map_pairs", "proxy_replace_header_map_value", "proxy_replace_header_map_value"]
    );
    assert!(stage.spans().is_empty());
    assert_eq!(stage.proxy.metric("sluicegate_otlp_made_total.signal=traces"), Some(0));
}

#[test]
fn without_spans_nothing_is_read_at_the_end_and_nothing_is_sent() {
    let proxy = Double::new();
    let mut running = proxy.start::<TraceContext>(r#"{"version": "1.0"}"#).unwrap();
    let value = traceparent("01");
    let outcome = running.request(&[("traceparent", value.as_str()), ("x-request-id", "r-1")]);
    assert_eq!(outcome.calls, ["proxy_get_header_map_pairs", "proxy_replace_header_map_value"]);
    assert!(outcome.facts.request.is_none());
    proxy.advance(Duration::from_secs(60));
    running.tick();
    assert!(proxy.callouts().is_empty());
    assert_eq!(proxy.metric("sluicegate_otlp_made_total.signal=traces"), None);
}

#[test]
fn what_the_collector_takes_counts_as_sent() {
    let mut stage = stage("", "");
    stage.send(&[]);
    assert_eq!(stage.spans().len(), 1);
    let sent = |stage: &Stage| stage.proxy.metric("sluicegate_otlp_sent_total.signal=traces");
    assert_eq!(sent(&stage), Some(0));
    stage.running.answer_callout(0, &[(":status", "200")], b"");
    assert_eq!(sent(&stage), Some(1));
}

#[test]
fn errors_of_a_route_are_grouped_by_its_template() {
    let routes = r#", "access_log": {"routes": [{"match": {"path": {"template": "/users/{id}"}}}]}"#;
    let signature = |path: &str, route_name: &str, others: &str| {
        let mut stage = stage("", others);
        stage.ends(503, "via_upstream");
        stage.proxy.set("xds\0route_name", route_name);
        stage.send(&[(":path", path)]);
        attribute(&stage.span(), "sluicegate.error.signature").unwrap()
    };
    assert_eq!(signature("/users/7", "one", routes), signature("/users/8", "other", routes));
    assert_ne!(signature("/users/7", "one", ""), signature("/users/7", "other", ""));
}

#[test]
fn no_span_is_made_where_the_filter_does_not_act() {
    for trace in [r#", "enabled": false"#, r#", "direction": "outbound""#] {
        let mut stage = stage(trace, "");
        stage.send(&[]);
        assert!(stage.spans().is_empty(), "{trace}");
    }
    // Nor anything prepared, where it never acts.
    let off = stage(r#", "enabled": false"#, "");
    assert_eq!(off.proxy.metric("sluicegate_otlp_made_total.signal=traces"), None);
    let mut stage = stage("", "");
    stage.running.rejected_exchange(&[(":status", "400")]);
    assert!(stage.spans().is_empty());
}

#[test]
fn an_untrusted_caller_is_linked_and_is_no_parent() {
    let mut stage = stage(r#", "trust_incoming": false"#, "");
    let value = traceparent("01");
    stage.send(&[("traceparent", &value), ("tracestate", "a=1")]);
    let span = stage.span();
    assert_ne!(hex(&span.trace_id), TRACE);
    assert!(span.parent_span_id.is_empty() && span.trace_state.is_empty());
    let [Link { trace_id, span_id, trace_state, attributes, flags, .. }] = &span.links[..] else { panic!("{span:?}") };
    assert_eq!((hex(trace_id), hex(span_id)), (TRACE.to_owned(), SPAN.to_owned()));
    assert_eq!((trace_state.as_str(), attributes.len(), *flags), ("", 0, 0x300));
    assert_eq!(attribute(&span, "sluicegate.outside_trace_id"), None);
}

#[test]
fn an_untrusted_caller_who_names_no_span_is_told_by_an_attribute() {
    let mut stage = stage(r#", "trust_incoming": false"#, "");
    let (time, random) = TRACE.split_at(8);
    stage.send(&[("x-amzn-trace-id", &format!("Root=1-{time}-{random}"))]);
    let span = stage.span();
    assert!(span.links.is_empty());
    assert_eq!(attribute(&span, "sluicegate.outside_trace_id").as_deref(), Some(TRACE));
}

#[test]
fn the_status_is_an_error_where_the_conventions_say_so() {
    // What the proxy says, then status message and error.type of the server's span and of the client's.
    for (code, flags, details, server, client) in [
        (200, 0, "via_upstream", None, None),
        (302, 0, "via_upstream", None, None),
        (404, 0, "via_upstream", None, Some(("", "404"))),
        (503, 0, "via_upstream", Some(("", "503")), Some(("", "503"))),
        (504, 1 << 2, "response_timeout", Some(("timeout", "timeout")), Some(("timeout", "timeout"))),
        (
            0,
            0,
            "downstream_remote_disconnect",
            Some(("client_gone", "client_gone")),
            Some(("client_gone", "client_gone")),
        ),
    ] {
        for (direction, expected) in [(INBOUND, server), (OUTBOUND, client)] {
            let mut stage = stage("", "");
            stage.comes_from(direction);
            stage.ends(code, details);
            stage.proxy.set("response\0flags", i64::to_le_bytes(flags));
            stage.send(&[]);
            let span = stage.span();
            assert_eq!(error_message(&span).as_deref(), expected.map(|(message, _)| message), "{code} {direction}");
            assert_eq!(attribute(&span, "error.type").as_deref(), expected.map(|(_, kind)| kind), "{code} {direction}");
            let is_error = code != 200 && code != 302;
            assert_eq!(attribute(&span, "sluicegate.error.kind").is_some(), is_error, "{code} {direction}");
            assert_eq!(attribute(&span, "sluicegate.error.signature").is_some(), is_error, "{code} {direction}");
        }
    }
}

#[test]
fn a_call_over_grpc_is_named_and_judged_by_its_own_conventions() {
    // grpc-status, then status of the server's span and of the client's.
    for (code, name, server, client) in [
        (0i64, "shop.Cart/Add", None, None),
        (5, "shop.Cart/Add", None, Some("NOT_FOUND")),
        (14, "shop.Cart/Add", Some("UNAVAILABLE"), Some("UNAVAILABLE")),
        (12, "grpc", Some("UNIMPLEMENTED"), Some("UNIMPLEMENTED")),
    ] {
        for (direction, expected) in [(INBOUND, server), (OUTBOUND, client)] {
            let mut stage = stage("", "");
            stage.comes_from(direction);
            stage.proxy.set("response\0grpc_status", code.to_le_bytes());
            let call = [(":method", "POST"), (":path", "/shop.Cart/Add"), ("content-type", "application/grpc")];
            stage.send(&call);
            let span = stage.span();
            assert_eq!(span.name, name, "{code}");
            assert_eq!(error_message(&span).as_deref(), expected.map(|_| ""), "{code} {direction}");
            assert_eq!(attribute(&span, "error.type").as_deref(), expected, "{code} {direction}");
            assert_eq!(attribute(&span, "rpc.system.name").as_deref(), Some("grpc"));
            assert_eq!(attribute(&span, "rpc.method").as_deref(), Some("shop.Cart/Add"));
            assert!(attribute(&span, "rpc.response.status_code").is_some(), "{code}");
        }
    }
}

#[test]
fn what_a_log_line_would_not_say_no_span_says() {
    let redact = r#", "access_log": {"redact": {"names": ["customer"], "client_address": "truncate"}}"#;
    for direction in [INBOUND, OUTBOUND] {
        let mut stage = stage("", redact);
        stage.comes_from(direction);
        let path = "/customer/s3cr3t/cart?customer=s3cr3t&token=s3cr3t&page=2";
        stage.send(&[(":path", path), (":authority", "s3cr3t:s3cr3t@shop"), ("user-agent", "x token=s3cr3t")]);
        let body = stage.exported();
        assert!(!format!("{body:?}").contains("s3cr3t"), "{body:?}");
        let span = stage.span();
        let redacted = "/customer/[redacted]/cart?customer=[redacted]&token=[redacted]&page=2";
        match direction {
            INBOUND => {
                let (path, query) = redacted.split_once('?').unwrap();
                assert_eq!(attribute(&span, "url.path").as_deref(), Some(path));
                assert_eq!(attribute(&span, "url.query").as_deref(), Some(query));
                assert_eq!(attribute(&span, "client.address").as_deref(), Some("10.0.0.0"));
            }
            _ => assert_eq!(attribute(&span, "url.full"), Some(format!("https://shop{redacted}"))),
        }
    }
}

#[test]
fn what_is_wrong_in_the_access_logs_redaction_and_routes_is_wrong_here_too() {
    let rejection = |access_log: &str| {
        let spans = r#"{"spans": {"otlp": {"cluster": "otel_collector"}}}"#;
        let policy = format!(r#"{{"version": "1.0", "trace": {spans}, "access_log": {access_log}}}"#);
        Double::new().start::<TraceContext>(&policy).err().unwrap_or_default().join("\n")
    };
    let wrong_mode = rejection(r#"{"redact": {"mode": "msak"}}"#);
    assert!(wrong_mode.contains(r#"access_log.redact.mode: found "msak""#), "{wrong_mode}");
    let unknown = rejection(r#"{"redact": {"nmaes": []}}"#);
    assert!(unknown.contains("access_log.redact.nmaes: unknown field"), "{unknown}");
    let route = rejection(r#"{"routes": [{"match": {"path": {"prefix": "/"}}}]}"#);
    assert!(route.contains("access_log.routes[0].match: found no path template"), "{route}");
    // The rest of the section is its owner's.
    assert_eq!(rejection(r#"{"profile": "nonsense", "unknown": 1}"#), "");
}

#[test]
fn with_spans_this_hop_takes_part_in_the_trace() {
    let value = traceparent("01");
    let mut stage = stage("", "");
    let outcome = stage.send(&[("traceparent", &value)]);
    assert_ne!(outcome.upstream.get("traceparent"), Some(value.as_bytes()));
}

#[test]
fn odd_bytes_and_extreme_lengths_make_valid_spans() {
    let mut stage = stage("", "");
    for direction in [INBOUND, OUTBOUND] {
        stage.comes_from(direction);
        let long = [b'\xff'; 20_000];
        for headers in [
            &[(":method", &b"\xff"[..]), (":path", b"/\xff?\xff"), (":authority", b"\xff:99999"), (":scheme", b"\xff")]
                [..],
            &[(":method", &long), (":path", &long), (":authority", &long), (":scheme", &long), ("user-agent", &long)],
            &[(":method", b"OPTIONS"), (":path", b"*"), (":authority", b"[::1]:80"), (":scheme", b"http")],
            &[],
        ] {
            stage.running.request(headers);
        }
    }
    let spans = stage.spans();
    assert_eq!(spans.len(), 8);
    for span in &spans {
        assert!(span.encoded_len() < 32 * 1024 && span.name.len() < 300, "{span:?}");
    }
    assert_eq!(attribute(&spans[6], "url.full").as_deref(), Some("http://[::1]:80"));
    assert_eq!(attribute(&spans[4], "server.port"), None);
}

#[test]
fn whether_a_stream_ended_well_is_told_as_in_the_log() {
    for (content_type, failed) in [("text/event-stream; charset=utf-8", false), ("text/html", true)] {
        let mut stage = stage("", "");
        stage.ends(200, "downstream_remote_disconnect");
        stage
            .running
            .exchange(&[(":method", "GET"), (":path", "/")], &[(":status", "200"), ("content-type", content_type)]);
        assert_eq!(error_message(&stage.span()).is_some(), failed, "{content_type}");
    }
}
