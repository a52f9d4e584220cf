//! The log record and its one line of JSON.
//!
//! ```
//! use sluicegate_access_log::record::{MAX_LINE, Record, Resource};
//! use sluicegate_policy::Service;
//! use sluicegate_telemetry::Attributes;
//! use sluicegate_telemetry::outcome::Severity;
//!
//! let resource = Resource::of(&Service { name: Some("checkout".into()), ..Service::default() });
//! let record = Record {
//!     timestamp: 1_700_000_000_000_000_001,
//!     severity: Severity::Info,
//!     trace: None,
//!     request_id: None,
//!     attributes: Attributes { method: Some("GET".into()), status: Some(200), ..Attributes::default() },
//!     custom: &[],
//! };
//! let mut line = String::new();
//! record.write(&resource, MAX_LINE, &mut line)?;
//! assert!(line.starts_with(concat!(
//!     r#"{"timestamp":"2023-11-14T22:13:20.000000001Z","severity_text":"INFO","severity_number":9,"#,
//!     r#""body":"GET answered 200","attributes":{"http.request.method":"GET","http.response.status_code":200},"#,
//! )));
//! # Ok::<(), sluicegate_access_log::record::SchemaError>(())
//! ```
//!
//! What a line may hold is published in `schema/access-log.v1.schema.json`; tests hold the two together. Texts come in
//! already redacted, as whatever bytes they are; they go out as valid UTF-8, cut to the length that the schema allows.
//! [`Record::attributes`] gives the same attributes to other encoders, such as OTLP's.

mod body;
mod custom;
mod json;
mod resource;
mod timestamp;

pub use custom::{Custom, CustomKind, CustomValue, MAX_CUSTOM, MAX_CUSTOM_NAME, MAX_CUSTOM_TEXT, check_names};
pub use resource::Resource;

use json::Object;
use sluicegate_host::{SpanId, TraceId};
use sluicegate_telemetry::outcome::Severity;
use sluicegate_telemetry::{Attributes, Text, Value};
use std::borrow::Cow;
use std::fmt;

/// A limit for lines that loses nothing on ordinary traffic, in bytes.
pub const MAX_LINE: usize = 32 * 1024;

/// The longest request id, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// The longest of its values, in bytes.
const MAX_REASON: usize = 256;

/// One exchange, to be logged.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When the request began, in nanoseconds since 1970-01-01T00:00:00Z.
    pub timestamp: u64,
    /// How bad it was.
    pub severity: Severity,
    /// The trace that it belongs to.
    pub trace: Option<Trace>,
    /// The id of the request; cut after 128 bytes.
    pub request_id: Option<Text<'a>>,
    /// What the schema names.
    pub attributes: Attributes<'a>,
    /// What the policy adds; at most [`MAX_CUSTOM`].
    pub custom: &'a [Custom<'a>],
}

/// The trace context of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub trace_id: TraceId,
    /// This hop's span, or the caller's where the hop has none of its own.
    pub span_id: SpanId,
    /// The caller's span, where this hop has one of its own.
    pub parent_span_id: Option<SpanId>,
    /// The flags of `traceparent`.
    pub flags: u8,
}

/// Why a record does not conform to the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaError {
    /// The name of a custom attribute is not one: lower-case words of `a-z 0-9 _` joined by dots, at most
    /// [`MAX_CUSTOM_NAME`] bytes.
    CustomName(String),
    /// The name of a custom attribute is in a namespace of the schema, there twice, or a dotted prefix of another.
    CustomCollision(String),
    /// The value of a custom attribute is not of its kind.
    CustomType(String, CustomKind),
    /// There are more custom attributes than [`MAX_CUSTOM`].
    CustomCount,
    /// A number is not finite.
    NotFinite(String),
    /// A number is outside the range of its attribute.
    OutOfRange(&'static str),
    /// The line would be longer than its limit.
    LineTooLong,
}

impl SchemaError {
    /// All codes.
    pub const CODES: [&'static str; 7] = [
        "custom_name",
        "custom_collision",
        "custom_type",
        "custom_count",
        "not_finite",
        "out_of_range",
        "line_too_long",
    ];

    /// The first word of the message, one of a closed list: what to count by.
    pub fn code(&self) -> &'static str {
        match self {
            SchemaError::CustomName(_) => "custom_name",
            SchemaError::CustomCollision(_) => "custom_collision",
            SchemaError::CustomType(..) => "custom_type",
            SchemaError::CustomCount => "custom_count",
            SchemaError::NotFinite(_) => "not_finite",
            SchemaError::OutOfRange(_) => "out_of_range",
            SchemaError::LineTooLong => "line_too_long",
        }
    }
}

/// The code, and the attribute at fault; never its value.
impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())?;
        match self {
            SchemaError::CustomName(name) | SchemaError::CustomCollision(name) | SchemaError::NotFinite(name) => {
                write!(f, ": {name}")
            }
            SchemaError::CustomType(name, kind) => write!(f, ": {name} is not {}", kind.as_str()),
            SchemaError::OutOfRange(name) => write!(f, ": {name}"),
            SchemaError::CustomCount | SchemaError::LineTooLong => Ok(()),
        }
    }
}

impl std::error::Error for SchemaError {}

impl<'a> Record<'a> {
    /// The name of the attribute that says why a record is the smallest.
    pub const SCHEMA_ERROR: &'static str = "sluicegate.schema_error";

    /// The body of a record that is the smallest.
    pub const NOT_CONFORMANT: &'static str = "A record did not conform to the schema";

    /// The id of the request, as it is written.
    pub fn request_id(&self) -> Option<Cow<'a, str>> {
        self.request_id.map(|id| id.at_most(MAX_REQUEST_ID).whole())
    }

    /// Whether the record conforms to the schema, but for the length of its line.
    pub fn check(&self) -> Result<(), SchemaError> {
        check_ranges(&self.attributes)?;
        custom::check(self.custom)
    }

    /// Gives every attribute, the schema's and the policy's, with its name.
    pub fn attributes(&self, give: &mut dyn FnMut(&str, Value<'a>)) {
        self.attributes.each(give);
        for custom in self.custom {
            if let Some(value) = custom.value.value() {
                give(custom.name, value);
            }
        }
    }

    /// Gives the sentence for people, in pieces.
    pub fn body(&self, give: &mut dyn FnMut(&str)) {
        body::sentence(&self.attributes, give);
    }

    /// Appends the record to `line` as one JSON object, without a line break at its end.
    ///
    /// A line is always appended. With an error it is the smallest one: time, severity, ids and resource, and the error
    /// in `sluicegate.schema_error`. That one is below 16 KiB; `limit`, in bytes, is for the whole one.
    pub fn write(&self, resource: &Resource, limit: usize, line: &mut String) -> Result<(), SchemaError> {
        let start = line.len();
        let written = self.check().and_then(|()| self.fit(resource, limit, line));
        if let Err(error) = &written {
            line.truncate(start);
            self.render(resource, Some(error), usize::MAX, line);
        }
        written
    }

    /// Renders the record with texts as short as they must be: who sends characters that grow sixfold when they are escaped
    /// shall not get rid of the rest.
    fn fit(&self, resource: &Resource, limit: usize, line: &mut String) -> Result<(), SchemaError> {
        const TEXTS: [usize; 3] = [usize::MAX, 512, 64];
        let start = line.len();
        for most in TEXTS {
            line.truncate(start);
            self.render(resource, None, most, line);
            if line.len().saturating_sub(start) <= limit {
                return Ok(());
            }
        }
        Err(SchemaError::LineTooLong)
    }

    /// Texts of attributes are cut after `most` bytes.
    fn render(&self, resource: &Resource, error: Option<&SchemaError>, most: usize, line: &mut String) {
        let mut object = Object::open(line);
        object.key("timestamp");
        object.quoted(|line| timestamp::push(line, self.timestamp));
        object.key("severity_text");
        object.quoted(|line| line.push_str(self.severity.as_str()));
        object.value("severity_number", Value::Integer(i64::from(self.severity.number())));
        object.key("body");
        object.quoted(|line| match error {
            None => self.body(&mut |piece| json::escape(line, piece)),
            Some(_) => line.push_str(Record::NOT_CONFORMANT),
        });
        if let Some(trace) = self.trace {
            object.hex("trace_id", trace.trace_id.bytes());
            object.hex("span_id", trace.span_id.bytes());
            if let Some(parent) = trace.parent_span_id {
                object.hex("parent_span_id", parent.bytes());
            }
            object.hex("trace_flags", &[trace.flags]);
        }
        if let Some(id) = self.request_id {
            object.value("req_id", Value::Text(id.at_most(MAX_REQUEST_ID)));
        }
        object.key("attributes");
        object.nested(|attributes| match error {
            None => self.attributes(&mut |name, value| {
                let value = match value {
                    Value::Text(text) => Value::Text(text.at_most(most)),
                    other => other,
                };
                attributes.value(name, value);
            }),
            Some(error) => {
                let reason = error.to_string();
                attributes.value(Record::SCHEMA_ERROR, Value::Text(Text::from(reason.as_str()).at_most(MAX_REASON)));
            }
        });
        object.key("resource");
        object.rendered(resource.json());
        object.close();
    }
}

fn check_ranges(attributes: &Attributes<'_>) -> Result<(), SchemaError> {
    if attributes.status.is_some_and(|status| !(100..=999).contains(&status)) {
        return Err(SchemaError::OutOfRange("http.response.status_code"));
    }
    match attributes.sampling_probability {
        Some(probability) if !probability.is_finite() => {
            Err(SchemaError::NotFinite("sluicegate.sampling_probability".to_owned()))
        }
        Some(probability) if probability <= 0.0 || probability > 1.0 => {
            Err(SchemaError::OutOfRange("sluicegate.sampling_probability"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
