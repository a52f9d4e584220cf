//! The envelope of the policy document: what is the same in every section of it. JSON, or a protobuf `Struct`, goes in;
//! typed values come out, or all that is wrong with it, each with its place.
//!
//! ```
//! use std::time::Duration;
//! use sluicegate_policy::{Document, Errors};
//!
//! #[derive(Clone, Copy, Debug, PartialEq)]
//! enum Mode {
//!     Forward,
//!     Observe,
//! }
//!
//! /// A filter reads its own section, every field of it, and says what each may be.
//! fn read(policy: &str) -> Result<(Mode, Duration), Errors> {
//!     let document = Document::parse(policy.as_bytes(), &|name| std::env::var(name).ok())?;
//!     let trace = document.section("trace");
//!     let mode = trace.choice("mode", &[("forward", Mode::Forward), ("observe", Mode::Observe)]);
//!     let every = trace.duration("every", Duration::from_millis(10)..=Duration::from_secs(3600));
//!     for warning in document.finish()? {
//!         eprintln!("policy: {warning}");
//!     }
//!     Ok((mode.unwrap_or(Mode::Forward), every.unwrap_or(Duration::from_secs(10))))
//! }
//!
//! let (mode, every) = read(r#"{ "version": "1.0", "trace": { "mode": "observe" } }"#)?;
//! assert_eq!((mode, every), (Mode::Observe, Duration::from_secs(10)));
//!
//! let wrong = read(r#"{ "version": "1.0", "trace": { "mode": "forwrd", "every": 10, "evry": "1s" } }"#);
//! let lines = [
//!     r#"trace.mode: found "forwrd", accepted: one of "forward", "observe""#,
//!     r#"trace.every: found 10, accepted: a duration from 10ms to 1h, written like "250ms", "1.5s" or "10m""#,
//!     r#"trace.evry: unknown field, accepted: mode, every; did you mean every?"#,
//! ];
//! assert_eq!(wrong.unwrap_err().to_string(), lines.join("\n"));
//! # Ok::<(), Errors>(())
//! ```
//!
//! No document makes this crate panic, and reading one takes time in proportion to its size, which is limited. Nothing of
//! a [`Secret`] ever reaches an error.

#![forbid(unsafe_code)]
// A test that overflows fails, which is what it is for.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod callout;
mod carrier;
mod direction;
mod document;
pub mod duration;
mod fnv;
mod header_names;
mod matching;
mod path;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod properties;
mod report;
#[cfg(any(test, feature = "schema"))]
pub mod schema;
mod secret;
mod section;
mod service;
mod statuses;
mod syntax;
#[cfg(test)]
mod testing;
mod unknown;
mod value;
mod version;
mod wire;

pub use callout::{authority_of, is_authority};
pub use direction::{Direction, Directions};
pub use document::{Document, SECTIONS};
pub use fnv::Fnv;
pub use header_names::{is_context_header, is_standard_header};
pub use matching::{Matcher, RequestView, Rules, is_header_name, is_token};
pub use report::{Errors, PolicyError};
pub use secret::Secret;
pub use section::{Entry, Section};
pub use service::Service;
pub use statuses::Statuses;
pub use version::Version;
