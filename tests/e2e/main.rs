//! End-to-end tests, against the real Envoy that `ENVOY_BIN` names and the modules in `target/plugins`. `scripts/test`
//! sees to both; `cargo test -p sluicegate-tests --test e2e <name>` runs one of them.

// All of this is test code: a failed expectation is a failed test, and the clippy settings that allow as much in
// `#[test]` functions do not reach the functions that those share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod access_log;
mod breaker;
mod collector;
mod cost;
mod host;
mod kit;
mod live;
mod manifests;
mod reload;
mod sampling;
mod spans;
mod stage;
mod suite;
mod survival;
mod trace;
