//! What log records and spans say alike of an exchange, so that the two join up.
//!
//! [`outcome`] tells how it ended, [`Attributes`] holds what there is to say about it in OpenTelemetry's names, [`redact`]
//! keeps back what must not leak, [`Routes`] names the route, and [`Resource`] says whose service it was.

#![forbid(unsafe_code)]
// A test that overflows fails, which is what it is for.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod attributes;
mod ended;
pub mod otlp;
pub mod outcome;
pub mod redact;
mod request;
mod resource;
mod routes;
mod text;
mod value;

pub use attributes::{Attributes, protocol};
pub use ended::{Details, Ended, Readings, ends, reply};
pub use request::Request;
pub use resource::Resource;
pub use routes::Routes;
pub use text::Text;
pub use value::Value;

/// The release of OpenTelemetry's semantic conventions that names and meanings are of.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";
