//! Ten thousand broken policies, the same that `sluicectl check` is given, into the finished modules: of every one a module
//! says what the command says, in the same words, and it goes on serving under the policy in force.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod kit;
#[path = "../../../filters/sluicectl/tests/kit/mutated.rs"]
mod mutated;

use kit::{assert_same_verdict, module, pass, proxy, shipped_policy};
use mutated::{POLICIES, mutated};
use sluicegate_access_log::AccessLog;
use sluicegate_breaker::CircuitBreaker;
use sluicegate_engine::{Exchange, Request, Vm};
use sluicegate_host::{Filter, HeaderMap};
use sluicegate_sampler::Sampler;
use sluicegate_suite::Suite;
use sluicegate_trace_context::TraceContext;
use std::time::Duration;

/// Every so many policies a good one comes, which must be in force at once.
const BETWEEN_GOOD_ONES: usize = 50;

/// Every so many policies there is a tick.
const BETWEEN_TICKS: usize = 10;

/// What a request through the policy that users copy looks like afterwards, but for the ids and times in it.
fn sight(exchange: &Exchange) -> (Vec<&'static str>, Vec<&'static str>, Vec<String>, Vec<String>) {
    let names = |headers: &HeaderMap| {
        let mut names: Vec<_> = headers.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        names.sort();
        names
    };
    (exchange.callbacks(), exchange.hostcalls(), names(&exchange.upstream), names(&exchange.downstream))
}

/// Requests of several kinds, one after the other.
fn request(number: usize) -> Request {
    let path = ["/", "/healthz", "/payments/7", "/orders/4711?token=abc", "/public/a"][number % 5];
    let mut request = Request::get(path);
    if number.is_multiple_of(3) {
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        request = request.with("traceparent", traceparent).with("x-request-id", b"r-\xff\x01");
    }
    if number.is_multiple_of(7) {
        request.body = vec![10, 0];
        request.response = vec![(":status".to_owned(), b"503".to_vec())];
    }
    request
}

/// Hands the module every `step`th policy from the `first` on.
fn survive<F: Filter>(plugin: &str, first: usize, step: usize) {
    let policy = shipped_policy();
    let good = policy.to_string().into_bytes();
    let (module, proxy) = (module(plugin), proxy());
    let served =
        |vm: &mut Vm, request: &Request| vm.exchange(request).unwrap_or_else(|trap| panic!("{plugin}: {trap}"));
    let mut vm = Vm::start(&module, proxy).unwrap();
    assert!(vm.configure(&good).unwrap().is_accepted);
    // The first one finds out what every later one knows.
    served(&mut vm, &request(0));
    let usual = sight(&served(&mut vm, &request(0)));
    let expressions = vm.expressions();
    let (mut accepted, mut rejected) = (0, 0);
    for (number, policy) in mutated(&policy).enumerate().skip(first).step_by(step) {
        match assert_same_verdict::<F>(&mut vm, &policy) {
            true => accepted += 1,
            false => rejected += 1,
        }
        served(&mut vm, &request(number));
        if number % BETWEEN_TICKS == first {
            pass(proxy, Duration::from_millis(100));
            vm.tick().unwrap_or_else(|trap| panic!("{plugin}: {trap}"));
        }
        if (accepted + rejected) % BETWEEN_GOOD_ONES == 0 {
            assert!(vm.configure(&good).unwrap().is_accepted);
            served(&mut vm, &request(0));
            assert_eq!(sight(&served(&mut vm, &request(0))), usual, "{plugin}: after {number}");
            assert_eq!(vm.expressions(), expressions, "{plugin}: expressions that nobody let go of");
        }
    }
    let all = POLICIES / step;
    assert_eq!(accepted + rejected, all);
    assert!((all / 50..all).contains(&accepted), "{plugin}: {accepted} of {all} accepted");
    println!("{plugin}: {accepted} of {all} mutated policies are accepted; memory {} KiB", vm.memory() / 1024);
}

#[test]
fn the_suite_says_the_same_of_any_policy_and_serves_on() {
    survive::<Suite>("suite", 0, 2);
}

/// The other half, at the same time.
#[test]
fn the_suite_says_the_same_of_any_other_policy_and_serves_on() {
    survive::<Suite>("suite", 1, 2);
}

/// Every fifth policy is enough for those that the suite is made of.
#[test]
fn the_plugins_say_the_same_of_any_policy_and_serve_on() {
    survive::<TraceContext>("trace_context", 0, 5);
    survive::<Sampler>("sampler", 1, 5);
    survive::<CircuitBreaker>("breaker", 2, 5);
    survive::<AccessLog>("access_log", 3, 5);
}
