//! What holds for every exchange.

// A failed expectation is a failed test.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::behaviour::{TRACEPARENT, ends, filter, line};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as AnyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The line of an exchange, and what a collector gets of it.
fn told(section: &str, request: &[(&str, &[u8])], response: &[(&str, &[u8])], end: &End) -> (String, Vec<u8>) {
    let sinks = r#""sinks": ["proxy", "otlp"], "otlp": {"cluster": "otel"}"#;
    let (proxy, mut running) = filter(&format!("{sinks}, {section}"));
    ends(proxy, end.code, &end.details);
    proxy.set("response\0flags", end.flags.to_le_bytes());
    proxy.set("response\0grpc_status", end.grpc_status.to_le_bytes());
    proxy.set("request\0duration", end.duration.to_le_bytes());
    proxy.set("request\0protocol", "HTTP/1.1");
    proxy.set("source\0address", "203.0.113.7:4711");
    proxy.set("xds\0route_name", end.route.clone());
    proxy.set("sluicegate_trace", "b7ad6b7169203331");
    running.exchange(request, response);
    let line = line(proxy).expect("it is kept");
    proxy.advance(Duration::from_secs(60));
    running.tick();
    (line, proxy.callouts().pop().expect("a batch").body)
}

#[derive(Clone, Debug)]
struct End {
    code: i64,
    details: String,
    flags: i64,
    grpc_status: i64,
    duration: i64,
    route: Vec<u8>,
}

fn end() -> impl Strategy<Value = End> {
    let details = select(vec!["", "via_upstream", "response_timeout", "odd{\u{e9}|x}"]);
    let parts = (
        select(vec![0, 200, 404, 503, 70_000]),
        details,
        0..1i64 << 30,
        -1..20i64,
        0..1i64 << 53,
        vec(any::<u8>(), 0..20),
    );
    parts.prop_map(|(code, details, flags, grpc_status, duration, route)| End {
        code,
        details: details.to_owned(),
        flags,
        grpc_status,
        duration,
        route,
    })
}

fn header() -> impl Strategy<Value = Option<Vec<u8>>> {
    of(prop_oneof![
        vec(any::<u8>(), 0..40),
        "[ -~]{0,40}".prop_map(String::into_bytes),
        "-?[0-9]{1,25}".prop_map(String::into_bytes)
    ])
}

/// The record as JSON would have it.
fn as_json(record: &LogRecord) -> Value {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut attributes: Map<_, _> = record.attributes.iter().map(pair).collect();
    let mut line = Map::new();
    line.insert("severity_text".to_owned(), json!(record.severity_text));
    line.insert("severity_number".to_owned(), json!(record.severity_number));
    line.insert("body".to_owned(), json_of(record.body.as_ref().and_then(|body| body.value.as_ref())));
    for (name, moved) in [("req_id", "sluicegate.req_id"), ("parent_span_id", "sluicegate.parent_span_id")] {
        if let Some(value) = attributes.remove(moved) {
            line.insert(name.to_owned(), value);
        }
    }
    if !record.trace_id.is_empty() {
        line.insert("trace_id".to_owned(), json!(hex(&record.trace_id)));
        line.insert("span_id".to_owned(), json!(hex(&record.span_id)));
        line.insert("trace_flags".to_owned(), json!(format!("{:02x}", record.flags)));
    }
    line.insert("attributes".to_owned(), Value::Object(attributes));
    Value::Object(line)
}

fn pair(pair: &KeyValue) -> (String, Value) {
    (pair.key.clone(), json_of(pair.value.as_ref().and_then(|value| value.value.as_ref())))
}

fn json_of(value: Option<&AnyValue>) -> Value {
    match value {
        Some(AnyValue::StringValue(text)) => json!(text),
        Some(AnyValue::IntValue(integer)) => json!(integer),
        Some(AnyValue::DoubleValue(double)) => json!(double),
        Some(AnyValue::BoolValue(bool)) => json!(bool),
        other => panic!("{other:?}"),
    }
}

/// JSON knows one kind of number: 12 and 12.0 are the same. Its reader here may miss the nearest double by one.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap_or(f64::NAN), other.as_f64().unwrap_or(f64::NAN));
            (one - other).abs() <= one.abs() * f64::EPSILON
        }
        _ => one == other,
    }
}

const CUSTOM: &str = r#""attributes": [
    {"name": "text", "request_header": "x-text"},
    {"name": "number", "request_header": "x-number", "type": "float"},
    {"name": "count", "response_header": "x-count", "type": "integer"}
]"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_collector_gets_what_the_line_says(
        end in end(),
        path in vec(any::<u8>(), 0..60),
        texts in [header(), header(), header(), header()],
        traced in any::<bool>(),
        grpc in any::<bool>(),
    ) {
        let [agent, text, number, count] = &texts;
        let path = [b"/", path.as_slice()].concat();
        let mut request: Vec<(&str, &[u8])> = vec![(":path", &path), (":method", b"GET"), ("x-request-id", b"r-1")];
        request.extend(agent.iter().map(|value| ("user-agent", value.as_slice())));
        request.extend(text.iter().map(|value| ("x-text", value.as_slice())));
        request.extend(number.iter().map(|value| ("x-number", value.as_slice())));
        request.extend(traced.then_some(("traceparent", TRACEPARENT.as_bytes())));
        request.extend(grpc.then_some(("content-type", &b"application/grpc"[..])));
        let response: Vec<_> = count.iter().map(|value| ("x-count", value.as_slice())).collect();
        let (line, body) = told(CUSTOM, &request, &response, &end);

        let mut line: Value = serde_json::from_str(&line).expect("JSON");
        let exported = ExportLogsServiceRequest::decode(body.as_slice()).expect("protobuf");
        let resource = exported.resource_logs[0].resource.as_ref().expect("a resource");
        let resource: Map<_, _> = resource.attributes.iter().map(pair).collect();
        let record = &exported.resource_logs[0].scope_logs[0].log_records[0];
        let fields = line.as_object_mut().expect("an object");
        prop_assert_eq!(fields.remove("resource"), Some(Value::Object(resource)));
        let timestamp = fields.remove("timestamp").expect("a time");
        prop_assert_eq!(timestamp, "2023-11-14T22:13:20.000000000Z");
        prop_assert_eq!(record.time_unix_nano, 1_700_000_000_000_000_000);
        prop_assert_eq!(record.observed_time_unix_nano, 1_700_000_000_000_000_000 + end.duration as u64);
        let exported = as_json(record);
        prop_assert!(same(&line, &exported), "{line}\n{exported}");
    }

    #[test]
    fn a_secret_under_a_listed_name_is_nowhere(
        name in select(vec!["token", "access_token", "Password", "api_key", "X-API-Key", "session", "jsessionid", "client_secret"]),
        canary in "CANARY[a-zA-Z0-9]{12}",
        times in 0..3usize,
        end in end(),
    ) {
        let encode = |text: &str| (0..times).fold(text.to_owned(), |text, _| {
            text.bytes().map(|byte| format!("%{byte:02x}")).collect()
        });
        let pair = format!("{}={}", encode(name), encode(&canary));
        let segments = format!("/{}/{}", encode(name), encode(&canary));
        let path = format!("{segments}/x?a=b&{pair}&next={segments}&u=https%3A%2F%2Fh{segments}?c=d#{segments}/{pair}");
        let referer = format!("https://shop.example{segments}/path?{pair}");
        let location = format!("{segments}?x=1");
        let marked = format!("filter({name}) = {canary}");
        let cookie = format!("theme=dark; {canary}=1; id={canary}");
        let authorization = format!("Basic {canary}");
        let json = format!("{{\"{name}\": \"{canary}\"}}");
        let agent = format!("curl ({pair})");
        let headers = ["authorization", "cookie", "referer", "x-json", "x-token", "user-agent", "x-marked"];
        let attributes: Vec<_> = headers.iter().enumerate().map(|(number, header)| {
            format!(r#"{{"name": "h{number}", "request_header": "{header}"}}"#)
        }).collect();
        let section = format!(
            r#""detail": "full", "attributes": [{}, {{"name": "r", "response_header": "set-cookie"}},
                {{"name": "l", "response_header": "location"}}]"#,
            attributes.join(",")
        );
        let request: [(&str, &[u8]); 9] = [
            (":path", path.as_bytes()),
            (":method", b"GET"),
            ("authorization", authorization.as_bytes()),
            ("cookie", cookie.as_bytes()),
            ("referer", referer.as_bytes()),
            ("x-json", json.as_bytes()),
            ("x-token", canary.as_bytes()),
            ("user-agent", agent.as_bytes()),
            ("x-marked", marked.as_bytes()),
        ];
        let set_cookie = format!("id={canary}; Path=/");
        let response = [("set-cookie", set_cookie.as_bytes()), ("location", location.as_bytes())];
        let (line, body) = told(&section, &request, &response, &end);
        prop_assert!(line.contains("[redacted]"), "{line}");
        let mut text = line + &String::from_utf8_lossy(&body);
        for _ in 0..=times {
            prop_assert!(!text.contains("CANARY"), "{text}");
            text = decoded(&text);
        }
    }
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match hex.filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
