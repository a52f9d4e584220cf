//! What a request takes is the same in every run, and the same the thousandth time as at first.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod kit;

use kit::{PLUGINS, module, pass, proxy};
use sluicegate_engine::{Module, Request, Vm};
use std::collections::BTreeMap;
use std::time::Duration;

const REQUESTS: usize = 1_000;

/// Nothing logged, and everything.
const POLICIES: [(&str, &str); 2] = [
    (
        "not logged",
        r#"{"version": "1.0", "access_log": {"profile": "prod"}, "sampling": {"rules": [{"never": true}]}}"#,
    ),
    ("logged", r#"{"version": "1.0", "access_log": {"profile": "test"}}"#),
];

/// A request without context, whose trace begins here; not sampled where that is for the caller to say.
fn request(is_logged: bool) -> Request {
    let request = Request::get("/cart");
    match is_logged {
        true => request,
        false => request.with("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),
    }
}

/// The instructions of each of the requests, and how the memory of the module grew after the first hundred.
fn run(module: &Module, policy: &str, request: &Request) -> (Vec<u64>, usize) {
    let proxy = proxy();
    let mut vm = Vm::start(module, proxy).unwrap();
    assert!(vm.configure(policy.as_bytes()).unwrap().is_accepted);
    let mut memory = 0;
    let instructions = (0..REQUESTS).map(|number| {
        // So seldom that nothing is thinned.
        pass(proxy, Duration::from_millis(20));
        if number == 100 {
            memory = vm.memory();
        }
        vm.exchange(request).unwrap().instructions()
    });
    let instructions = instructions.collect();
    (instructions, vm.memory() - memory)
}

fn median(numbers: &[u64]) -> u64 {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}

/// Within a run the numbers differ by little: the source of random bytes is filled anew after every few requests, and
/// whoever draws until a number fits draws once more at times. Neither grows.
#[test]
fn a_request_takes_the_same_in_every_run_and_no_more_after_a_thousand() {
    for plugin in PLUGINS {
        let module = module(plugin);
        for (what, policy) in POLICIES {
            let request = request(what == "logged");
            let (instructions, growth) = run(&module, policy, &request);
            assert_eq!(run(&module, policy, &request).0, instructions, "{plugin}, {what}: another run, another number");
            assert_eq!(growth, 0, "{plugin}, {what}: bytes of memory after the first hundred requests");
            let (first, last) = instructions.split_at(REQUESTS / 2);
            // The first request finds out what every later one knows.
            let (before, after) = (median(&first[1..]), median(last));
            assert!(after <= before + before / 100, "{plugin}, {what}: {before} instructions, and then {after}");
            let mut seen = BTreeMap::new();
            instructions[1..].iter().for_each(|number| *seen.entry(*number).or_insert(0) += 1);
            println!("{plugin}, {what}: {} instructions, then {after} (median); all: {seen:?}", instructions[0]);
        }
    }
}
