//! What the tests of finished modules share.

// Each test binary uses its own part of it.
#![allow(dead_code, clippy::panic, clippy::unwrap_used)]

use serde_json::Value;
use sluicegate_engine::{Module, Vm};
use sluicegate_host::double::{Double, check};
use sluicegate_host::{Filter, Host};
use std::time::Duration;

/// The plugins, the suite last.
pub(crate) const PLUGINS: [&str; 5] = ["trace_context", "sampler", "breaker", "access_log", "suite"];

/// The policy that users copy.
pub(crate) fn shipped_policy() -> Value {
    serde_saphyr::from_str(include_str!("../../../../envoy/policy.yaml")).unwrap()
}

pub(crate) fn module(name: &str) -> Module {
    Module::shipped(name).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn start(module: &Module) -> Vm {
    Vm::start(module, proxy()).unwrap_or_else(|trap| panic!("{trap}"))
}

/// A proxy that tells of an exchange what Envoy tells of every one.
pub(crate) fn proxy() -> &'static Double {
    let proxy = Double::new();
    pass(proxy, Duration::from_secs(1_700_000_000));
    for (property, number) in [
        ("request\0duration", 5_000_000i64),
        ("request\0total_size", 120),
        ("response\0flags", 0),
        ("response\0total_size", 300),
        ("response\0backend_latency", 4_000_000),
        ("upstream\0request_attempt_count", 1),
    ] {
        proxy.set(property, number.to_le_bytes());
    }
    for (property, text) in [
        ("response\0code_details", "via_upstream"),
        ("request\0protocol", "HTTP/1.1"),
        ("source\0address", "192.0.2.7:40000"),
        ("upstream\0address", "127.0.0.1:8080"),
        ("xds\0cluster_name", "upstream"),
        ("xds\0route_name", "all"),
        ("xds\0node\0cluster", "checkout"),
    ] {
        proxy.set(property, text);
    }
    proxy
}

/// Lets time pass; what comes next begins then.
pub(crate) fn pass(proxy: &Double, time: Duration) {
    proxy.advance(time);
    proxy.set("request\0time", proxy.now().unwrap().to_le_bytes());
}

/// What the filter's own code says of a policy when it is not in a module, which is what `sluicectl check` tells: whether
/// it takes it, and the lines for the proxy's log.
pub(crate) fn verdict<F: Filter>(policy: &[u8]) -> (bool, Vec<String>) {
    let name = F::NAME;
    match check::<F>(policy, &|_| None) {
        Ok(warnings) => (true, warnings.iter().map(|warning| format!("{name}: policy: {warning}")).collect()),
        Err(errors) => (false, errors.iter().map(|error| format!("{name}: policy rejected: {error}")).collect()),
    }
}

/// Asserts that the finished module says of a policy what its code says when it is not in a module. Whether it takes it.
pub(crate) fn assert_same_verdict<F: Filter>(vm: &mut Vm, policy: &[u8]) -> bool {
    let shown = || {
        let start = policy.get(..2_000).unwrap_or(policy);
        format!("{}: {} bytes: {}", F::NAME, policy.len(), start.escape_ascii())
    };
    let configured = vm.configure(policy).unwrap_or_else(|trap| panic!("{trap}\n{}", shown()));
    let (is_accepted, lines) = verdict::<F>(policy);
    assert_eq!(configured.is_accepted, is_accepted, "{}\n{:?}\n{lines:?}", shown(), configured.log);
    assert_eq!(configured.log, lines, "{}", shown());
    is_accepted
}
