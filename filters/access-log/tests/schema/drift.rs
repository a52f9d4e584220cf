//! What the record can write is what the schema names, in both directions.

use super::published::SCHEMA;
use super::samples::{full, line};
use serde_json::Value;
use sluicegate_access_log::record::{MAX_LINE, Record};
use sluicegate_host::BreakerState;
use sluicegate_host::GrpcStatus;
use sluicegate_policy::Direction;
use sluicegate_telemetry::Attributes;
use sluicegate_telemetry::outcome::{ErrorKind, Severity};
use std::collections::BTreeSet;

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().expect("an object").keys().cloned().collect()
}

/// Every field at once, and the reason that only a record that does not conform has.
fn everything() -> Value {
    let mut whole: Value = serde_json::from_str(&line(&full(), MAX_LINE)).expect("JSON");
    let smallest: Value = serde_json::from_str(&line(&full(), 0)).expect("JSON");
    let reason = smallest["attributes"]["sluicegate.schema_error"].clone();
    whole["attributes"]["sluicegate.schema_error"] = reason;
    whole
}

#[test]
fn the_record_writes_every_field_of_the_schema_and_no_other() {
    let (record, fields) = (everything(), &SCHEMA["properties"]);
    assert_eq!(keys(&record), keys(fields));
    assert_eq!(keys(&record["attributes"]), keys(&fields["attributes"]["properties"]));
    assert_eq!(keys(&record["resource"]), keys(&fields["resource"]["properties"]));
}

#[test]
fn the_list_of_names_is_what_a_record_writes_in_that_order() {
    let mut written = Vec::new();
    full().attributes(&mut |name, _| written.push(name.to_owned()));
    written.push("sluicegate.schema_error".to_owned());
    assert_eq!(written, Attributes::NAMES);
}

#[test]
fn enumerations_are_the_codes_own() {
    let values = |of: &Value| -> Vec<String> {
        of["enum"].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    let attribute = |name: &str| values(&SCHEMA["properties"]["attributes"]["properties"][name]);
    assert_eq!(attribute("sluicegate.error.kind"), ErrorKind::ALL.map(ErrorKind::as_str));
    assert_eq!(attribute("rpc.response.status_code"), GrpcStatus::ALL.map(GrpcStatus::as_str));
    assert_eq!(attribute("sluicegate.breaker_state"), BreakerState::ALL.map(BreakerState::as_str));
    let directions = [Direction::Inbound, Direction::Outbound, Direction::Gateway];
    assert_eq!(attribute("sluicegate.direction"), directions.map(Direction::as_str));
    assert_eq!(values(&SCHEMA["properties"]["severity_text"]), Severity::ALL.map(Severity::as_str));
    let numbers = Severity::ALL.map(|severity| Value::from(severity.number()));
    assert_eq!(SCHEMA["properties"]["severity_number"]["enum"].as_array().unwrap(), &numbers);
}

#[test]
fn the_methods_of_the_schema_are_those_that_stay_as_they_are() {
    let methods = &SCHEMA["properties"]["attributes"]["properties"]["http.request.method"]["enum"];
    for method in methods.as_array().unwrap().iter().map(|method| method.as_str().unwrap()) {
        let attributes = Attributes { method: Some(method.into()), ..Attributes::default() };
        let line: Value = serde_json::from_str(&line(&Record { attributes, ..full() }, MAX_LINE)).unwrap();
        let original = line["attributes"].get("http.request.method_original");
        assert_eq!(line["attributes"]["http.request.method"], method);
        assert_eq!(original.is_some(), method == "_OTHER", "{method}");
    }
}

#[test]
fn every_kind_of_error_is_described() {
    let description = SCHEMA["properties"]["attributes"]["properties"]["sluicegate.error.kind"]["description"].as_str();
    for kind in ErrorKind::ALL {
        assert!(description.unwrap().contains(kind.as_str()), "{}", kind.as_str());
    }
}
