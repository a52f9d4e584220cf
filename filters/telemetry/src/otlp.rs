//! Attributes and resources as OTLP has them.

use crate::{Resource, SCHEMA_URL, Value};
use sluicegate_otlp::{Attributes, Envelope};

/// The attribute for the id of the request, for which OTLP has no field.
pub const REQ_ID: &str = "sluicegate.req_id";

/// What stands around the records of a filter with this name and version.
pub fn envelope(scope: (&str, &str), resource: &Resource) -> Envelope {
    Envelope::new(scope, SCHEMA_URL, |attributes| {
        resource.attributes().for_each(|(name, value)| attributes.add(name, sluicegate_otlp::Value::String(value)));
    })
}

/// Adds an attribute, with the value that it has in JSON as well.
pub fn add(attributes: &mut Attributes<'_, '_>, name: &str, value: Value<'_>) {
    use sluicegate_otlp::Value as Otlp;
    match value {
        Value::Text(text) => attributes.add(name, Otlp::String(&text.whole())),
        Value::Integer(integer) => attributes.add(name, Otlp::Int(integer)),
        // Exact to the microsecond, as in JSON: the quotient is the double that is nearest to the decimal number.
        Value::Milliseconds(nanoseconds) => attributes.add(name, Otlp::Double((nanoseconds / 1_000) as f64 / 1_000.0)),
        Value::Float(float) => attributes.add(name, Otlp::Double(float)),
        Value::Bool(bool) => attributes.add(name, Otlp::Bool(bool)),
        Value::Flags(flags) => attributes.add(name, Otlp::String(&flags.to_string())),
        Value::Digits(number) => attributes.add(name, Otlp::String(&number.to_string())),
    }
}
