//! One record per request, conformant to a published schema and safe to store.

#![forbid(unsafe_code)]
// A test that overflows fails, which is what it is for.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod outcome;
pub mod record;
pub mod redact;
