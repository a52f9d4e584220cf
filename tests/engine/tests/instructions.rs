//! What a request takes inside each module, in instructions: the same on every machine, so a regression shows wherever this
//! runs. What the proxy does for its hostcalls is not in it; how many there are is pinned elsewhere.
//!
//! Another compiler makes other instructions of the same code, which the tolerance is for. Who makes a request cheaper lowers
//! the number here; who makes it dearer says why in the commit.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod kit;

use kit::{module, pass, proxy};
use sluicegate_engine::{Exchange, Request, Vm};
use std::time::Duration;

const REQUESTS: usize = 101;

/// In parts of a hundred, to both sides.
const TOLERANCE: u64 = 10;

/// Nothing is logged: the caller does not sample it.
const QUIET: &str =
    r#"{"version": "1.0", "access_log": {"profile": "prod"}, "sampling": {"rules": [{"never": true}]}}"#;

/// Every request is.
const LOGGED: &str = r#"{"version": "1.0", "access_log": {"profile": "test"}}"#;

/// What a browser sends through a gateway: 14 headers, none of them broken.
fn request() -> Request {
    let headers = [
        ("x-request-id", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "https"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("cookie", "session=0123456789abcdef0123456789abcdef; theme=dark"),
        ("cache-control", "no-cache"),
    ];
    let traceparent = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
    let plain = Request::get("/cart/4711?currency=EUR");
    headers.into_iter().chain([traceparent]).fold(plain, |request, (name, value)| request.with(name, value))
}

/// The instructions of the median request, and of its callbacks.
fn median(plugin: &str, policy: &str) -> (u64, Vec<(&'static str, u64)>) {
    let (module, proxy) = (module(plugin), proxy());
    let mut vm = Vm::start(&module, proxy).unwrap();
    assert!(vm.configure(policy.as_bytes()).unwrap().is_accepted);
    let mut exchanges: Vec<Exchange> = (0..REQUESTS)
        .map(|_| {
            // So seldom that nothing is thinned.
            pass(proxy, Duration::from_millis(20));
            vm.exchange(&request()).unwrap()
        })
        .collect();
    exchanges.sort_unstable_by_key(Exchange::instructions);
    let middle = &exchanges[REQUESTS / 2];
    let callbacks = middle.crossings.iter().map(|crossing| (crossing.callback, crossing.instructions)).collect();
    (middle.instructions(), callbacks)
}

#[test]
fn a_request_takes_no_more_instructions_than_it_did() {
    let mut wrong = Vec::new();
    for (plugin, quiet, logged) in [
        ("trace_context", 73_000, 73_000),
        ("sampler", 16_300, 24_100),
        ("breaker", 40_900, 40_900),
        ("access_log", 27_200, 380_000),
        ("suite", 108_600, 461_800),
    ] {
        for (what, policy, pinned) in [("not logged", QUIET, quiet), ("logged", LOGGED, logged)] {
            let (instructions, callbacks) = median(plugin, policy);
            println!("{plugin}, {what}: {instructions} instructions: {callbacks:?}");
            if instructions.abs_diff(pinned) > pinned * TOLERANCE / 100 {
                wrong.push(format!("{plugin}, {what}: {instructions}, pinned {pinned}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
