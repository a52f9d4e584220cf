//! The engine sees of a request what a real Envoy sees of it: the same callbacks and the same hostcalls, in the same order.
//!
//! What is expected here stands with the end-to-end tests, where it is counted in Envoy's own trace of a real one
//! (`tests/e2e/cost.rs`, `access_log/settings.rs`, `breaker/costs.rs`, `sampling/costs.rs`, `spans.rs`): these are the same
//! policies and the same requests. A module that makes another hostcall there makes it here, for it is the same bytes;
//! should the two ever differ, it is this proxy that answers otherwise than Envoy.

#![allow(clippy::panic, clippy::unwrap_used)]

mod kit;

use kit::{module, proxy};
use serde_json::{Value, json};
use sluicegate_engine::{Exchange, Request, Vm};

const READ: &str = "env.proxy_get_header_map_pairs";
const WRITE: &str = "env.proxy_replace_header_map_value";
const REMOVE: &str = "env.proxy_remove_header_map_value";
const PROPERTY: &str = "env.proxy_get_property";
const HAND_OVER: &str = "env.proxy_set_property";
const CLOCK: &str = "env.proxy_get_current_time_nanoseconds";
const REPLY: &str = "env.proxy_send_local_response";
/// A list of attributes.
const LIST: &str = "env.proxy_call_foreign_function";

const SAMPLED: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ff929d0e0e4736-00f067aa0ba902b7-01");
const NOT_SAMPLED: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ff929d0e0e4736-00f067aa0ba902b7-00");
const ID: (&str, &str) = ("x-request-id", "abc-1");

/// The second request of a worker: the first one finds out what every later one knows. `state` is what trace-context left
/// ahead of this filter.
fn second(plugin: &str, section: &Value, state: Option<&str>, request: &Request) -> Exchange {
    let (module, proxy) = (module(plugin), proxy());
    let mut vm = Vm::start(&module, proxy).unwrap();
    let configured = vm.configure(section.to_string().as_bytes()).unwrap();
    assert!(configured.is_accepted, "{:?}", configured.log);
    if let Some(state) = state {
        proxy.set("sluicegate_trace", state);
    }
    vm.exchange(request).unwrap();
    vm.exchange(request).unwrap()
}

/// A plugin's section, the state that was left, the request's headers, and the hostcalls.
type Case<'c> = (Value, Option<&'c str>, &'c [(&'c str, &'c str)], &'c [&'c str]);

fn assert_calls(plugin: &str, section: &str, table: &[Case<'_>]) {
    for (fields, state, headers, hostcalls) in table {
        let policy = json!({"version": "1.0", section: fields});
        let request = headers.iter().fold(Request::get("/"), |request, (name, value)| request.with(name, value));
        let exchange = second(plugin, &policy, *state, &request);
        assert_eq!(exchange.hostcalls(), *hostcalls, "{plugin} {fields} {state:?} {headers:?}");
    }
}

#[test]
fn trace_context_makes_the_hostcalls_that_envoy_counts() {
    let participate = json!({"mode": "participate"});
    let inbound = json!({"direction": ["inbound", "gateway"]});
    let spans = json!({"spans": {"otlp": {"cluster": "otel_collector"}}});
    assert_calls(
        "trace_context",
        "trace",
        &[
            (json!({}), None, &[SAMPLED, ID], &[READ, WRITE]),
            (participate, None, &[SAMPLED, ID], &[READ, HAND_OVER, WRITE, WRITE]),
            (json!({}), None, &[], &[READ, CLOCK, HAND_OVER, WRITE, WRITE, WRITE]),
            (json!({"enabled": false}), None, &[], &[]),
            (inbound, None, &[SAMPLED, ID], &[PROPERTY, READ, WRITE]),
            (spans.clone(), None, &[NOT_SAMPLED, ID], &[READ, HAND_OVER, WRITE, WRITE]),
            (spans, None, &[SAMPLED, ID], &[READ, HAND_OVER, WRITE, CLOCK, WRITE, LIST, PROPERTY, LIST]),
        ],
    );
}

#[test]
fn the_access_log_makes_the_hostcalls_that_envoy_counts() {
    let full = json!({"profile": "dev", "attributes": [
        {"name": "a", "request_header": "x-a"},
        {"name": "b", "request_header": "x-b"},
        {"name": "c", "response_header": "x-c"},
        {"name": "d", "response_header": "content-type"},
    ]});
    assert_calls(
        "access_log",
        "access_log",
        &[
            (json!({}), None, &[NOT_SAMPLED], &[PROPERTY, READ, CLOCK, LIST]),
            (json!({}), None, &[SAMPLED], &[PROPERTY, READ, CLOCK, LIST, LIST, HAND_OVER]),
            (full, None, &[SAMPLED], &[PROPERTY, READ, CLOCK, LIST, LIST, READ, READ, HAND_OVER]),
            (json!({"direction": "outbound"}), None, &[], &[PROPERTY]),
            (json!({"enabled": false}), None, &[], &[]),
        ],
    );
}

#[test]
fn the_breaker_makes_the_hostcalls_that_envoy_counts() {
    let timed = json!({"slow_call": {"threshold": "1s", "rate": 0.5}});
    assert_calls(
        "breaker",
        "breaker",
        &[
            (json!({}), None, &[], &[PROPERTY, PROPERTY, READ, LIST]),
            (timed, None, &[], &[PROPERTY, PROPERTY, READ, CLOCK, CLOCK, LIST]),
            (json!({"mode": "disabled"}), None, &[], &[PROPERTY]),
            (json!({"mode": "forced_open"}), None, &[], &[PROPERTY, PROPERTY, READ, HAND_OVER, REPLY]),
            (json!({"enabled": false}), None, &[], &[]),
        ],
    );
}

#[test]
fn the_sampler_makes_the_hostcalls_that_envoy_counts() {
    let ignore = json!({"parent": "ignore", "max": 0.5});
    let by_route = json!({"per": "route", "key": "request_id"});
    let forced = ("x-sluicegate-force", "0123456789abcdef");
    let force = json!({"direction": "gateway", "force": {"secret": "0123456789abcdef"}});
    assert_calls(
        "sampler",
        "sampling",
        &[
            (json!({}), Some("started"), &[SAMPLED], &[LIST, HAND_OVER, WRITE, LIST]),
            (json!({"rules": [{"never": true}]}), Some("started"), &[SAMPLED], &[LIST, WRITE]),
            (json!({"rules": [{"always": true}]}), Some("started"), &[SAMPLED], &[LIST, HAND_OVER, WRITE]),
            (json!({}), None, &[SAMPLED], &[LIST, HAND_OVER, LIST]),
            (json!({}), None, &[NOT_SAMPLED], &[LIST, LIST]),
            (ignore, Some("own"), &[NOT_SAMPLED], &[LIST, WRITE, WRITE, LIST]),
            (json!({}), None, &[], &[LIST, PROPERTY, HAND_OVER, LIST]),
            (by_route, None, &[], &[LIST, HAND_OVER, LIST]),
            (force, Some("started"), &[SAMPLED, forced], &[PROPERTY, LIST, HAND_OVER, REMOVE]),
            (json!({"enabled": false}), None, &[SAMPLED], &[]),
        ],
    );
}

/// The end-to-end tests have the suite's against those of the plugins alone; these are counted in the same way, on
/// Envoy 1.40.
#[test]
fn the_suite_makes_the_hostcalls_that_envoy_counts() {
    let passed = [READ, PROPERTY, PROPERTY, CLOCK, WRITE, LIST];
    let logged = [&passed[..], &[LIST, HAND_OVER]].concat();
    let began = [READ, CLOCK, PROPERTY, PROPERTY, WRITE, WRITE, WRITE, CLOCK, WRITE, LIST, LIST, HAND_OVER];
    let shed = [READ, CLOCK, PROPERTY, PROPERTY, HAND_OVER, REPLY, WRITE, WRITE, CLOCK, WRITE, LIST, LIST, HAND_OVER];
    let not_sampled = [READ, CLOCK, PROPERTY, PROPERTY, WRITE, WRITE, CLOCK, WRITE, LIST];
    assert_calls("suite", "trace", &[(json!({}), None, &[], &began)]);
    assert_calls("suite", "trace", &[(json!({}), None, &[NOT_SAMPLED, ID], &passed)]);
    assert_calls("suite", "trace", &[(json!({}), None, &[SAMPLED, ID], &logged)]);
    assert_calls("suite", "access_log", &[(json!({"profile": "test"}), None, &[], &began)]);
    assert_calls("suite", "breaker", &[(json!({"mode": "forced_open"}), None, &[], &shed)]);
    assert_calls("suite", "sampling", &[(json!({"rules": [{"never": true}]}), None, &[], &not_sampled)]);
}

#[test]
fn a_module_is_entered_for_what_it_exports_and_nothing_else() {
    let callbacks = [
        "proxy_on_context_create",
        "proxy_on_request_headers",
        "proxy_on_response_headers",
        "proxy_on_log",
        "proxy_on_delete",
    ];
    let policy = json!({"version": "1.0"});
    for (plugin, without) in [("suite", ""), ("access_log", ""), ("sampler", "proxy_on_response_headers")] {
        let expected: Vec<_> = callbacks.into_iter().filter(|callback| *callback != without).collect();
        assert_eq!(second(plugin, &policy, None, &Request::get("/")).callbacks(), expected, "{plugin}");
    }
    // Each piece of a body is one callback more where somebody waits for its end, and no hostcall.
    let mut post = Request::get("/");
    post.body = vec![100, 0];
    for (plugin, pieces) in [("breaker", 2), ("suite", 2), ("access_log", 0)] {
        let exchange = second(plugin, &policy, None, &post);
        let entered = exchange.crossings.iter().filter(|crossing| crossing.callback == "proxy_on_request_body");
        assert_eq!(entered.map(|piece| piece.hostcalls.len()).collect::<Vec<_>>(), vec![0; pieces], "{plugin}");
    }
}

#[test]
fn a_reply_of_the_module_is_the_response() {
    let policy = json!({"version": "1.0", "breaker": {"mode": "forced_open", "response": {"status": 429}}});
    for plugin in ["breaker", "suite"] {
        let exchange = second(plugin, &policy, None, &Request::get("/"));
        assert_eq!((exchange.replied, exchange.downstream.get(":status")), (Some(429), Some(&b"429"[..])), "{plugin}");
    }
}
