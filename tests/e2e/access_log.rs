//! The access log in a real Envoy: every kind of exchange, every line checked against the published schema by a validator
//! that is not ours, and against what a collector got.

mod cases;
mod collector_trouble;
mod settings;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use sluicegate_tests::collector::{Collector, LogRecord};
use sluicegate_tests::envoy::Bootstrap;
use sluicegate_tests::shipped;

/// The published schema, with formats checked as well.
static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema = shipped::text("filters/access-log/schema/access-log.v1.schema.json").unwrap();
    let schema = serde_json::from_str(&schema).unwrap();
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
});

/// A line that is valid, read.
fn read(line: &str) -> Value {
    let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let complaints: Vec<_> = SCHEMA.iter_errors(&record).map(|error| error.to_string()).collect();
    assert!(complaints.is_empty(), "{complaints:?}: {line}");
    record
}

fn attribute<'r>(record: &'r Value, name: &str) -> Option<&'r Value> {
    record["attributes"].get(name)
}

/// The shipped configuration with a cluster for the collector.
fn with_collector(shipped: Bootstrap, collector: &Collector) -> Bootstrap {
    let address = json!({"address": collector.address().ip().to_string(), "port_value": collector.port()});
    let endpoint = json!({"endpoint": {"address": {"socket_address": address}}});
    let cluster = json!({
        "name": "otel_collector",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "otel_collector", "endpoints": [{"lb_endpoints": [endpoint]}]},
    });
    shipped.edit(|config| config["static_resources"]["clusters"].as_array_mut().unwrap().push(cluster))
}

/// A record of the collector in the form of a line, but for its time.
fn as_line(record: &LogRecord) -> Value {
    let mut attributes: Map<_, _> = record.attributes.clone().into_iter().collect();
    let mut line = json!({
        "severity_text": record.severity_text,
        "severity_number": record.severity_number,
        "body": record.body,
        "resource": Value::Object(record.resource.clone().into_iter().collect()),
    });
    for (name, moved) in [("req_id", "sluicegate.req_id"), ("parent_span_id", "sluicegate.parent_span_id")] {
        if let Some(value) = attributes.remove(moved) {
            line[name] = value;
        }
    }
    if !record.trace_id.is_empty() {
        line["trace_id"] = json!(record.trace_id);
        line["span_id"] = json!(record.span_id);
        line["trace_flags"] = json!(format!("{:02x}", record.flags));
    }
    line["attributes"] = Value::Object(attributes);
    line
}

/// JSON knows one kind of number: 12 and 12.0 are the same, and its reader may miss the nearest double by one.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            (one - other).abs() <= one.abs() * f64::EPSILON
        }
        _ => one == other,
    }
}

/// Records by the id of their request; those without one in a list of their own.
fn by_request(records: impl IntoIterator<Item = Value>) -> (BTreeMap<String, Vec<Value>>, Vec<Value>) {
    let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut nameless = Vec::new();
    for record in records {
        match record.get("req_id").and_then(Value::as_str) {
            Some(id) => all.entry(id.to_owned()).or_default().push(record),
            None => nameless.push(record),
        }
    }
    (all, nameless)
}

/// Everything is logged, in every sink that can be compared.
fn log_everything() -> Value {
    json!({
        "version": "1.0",
        "service": {"name": "checkout"},
        // Much of what is sent here fails.
        "breaker": {"enabled": false},
        "access_log": {
            "profile": "dev",
            "sinks": ["proxy", "otlp"],
            "otlp": {"cluster": "otel_collector", "batch": {"max_age": "100ms"}, "queue": {"max_records": 20_000}},
            "attributes": [
                {"name": "odd", "request_header": "x-odd", "max_length": 1024},
                {"name": "count", "request_header": "x-count", "type": "integer"},
            ],
        },
    })
}

type Shared<T> = Arc<T>;
