//! Attribute values as JSON, for tests to compare with `json!`.

use std::collections::BTreeMap;
use std::fmt::Write;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::Value;

/// Attributes by their keys; of a key that came more than once the last value.
///
/// Integers are JSON integers and doubles are JSON floats, so `json!(1)` is not `json!(1.0)`. What is no number is the
/// string `"NaN"`, `"Infinity"` or `"-Infinity"`, as in OTLP/JSON. Bytes are a lower-case hex string. No value is
/// `null`.
pub type Attributes = BTreeMap<String, Value>;

pub(super) fn attributes(pairs: Vec<KeyValue>) -> Attributes {
    pairs.into_iter().map(|pair| (pair.key, value(pair.value))).collect()
}

pub(super) fn value(any: Option<AnyValue>) -> Value {
    match any.and_then(|any| any.value) {
        Some(Any::StringValue(text)) => Value::String(text),
        Some(Any::BoolValue(value)) => Value::Bool(value),
        Some(Any::IntValue(value)) => Value::from(value),
        Some(Any::DoubleValue(value)) => double(value),
        Some(Any::ArrayValue(array)) => array.values.into_iter().map(|any| value(Some(any))).collect(),
        Some(Any::KvlistValue(list)) => list.values.into_iter().map(|pair| (pair.key, value(pair.value))).collect(),
        Some(Any::BytesValue(bytes)) => Value::String(hex(&bytes)),
        // An index into the table of a profile, which logs and traces do not have.
        Some(Any::StringValueStrindex(_)) | None => Value::Null,
    }
}

fn double(value: f64) -> Value {
    let odd = if value.is_nan() {
        "NaN"
    } else if value.is_sign_positive() {
        "Infinity"
    } else {
        "-Infinity"
    };
    serde_json::Number::from_f64(value).map_or_else(|| Value::from(odd), Value::Number)
}

/// Lower case, two digits a byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
