//! What a request costs, counted in Envoy's own trace of every crossing between it and the module. Pinned: a change that
//! makes a request dearer must say so here.

use serde_json::{Value, json};
use sluicegate_tests::client::{Protocol, Request};
use sluicegate_tests::envoy::Bootstrap;

use crate::stage::{PATIENCE, SPAN, Stage, TRACE, with};

/// The crossings of one request, in order. The proxy's calls for memory are not counted: each belongs to a hostcall that
/// returns bytes.
#[derive(Debug, PartialEq)]
pub(crate) struct Crossings {
    pub(crate) callbacks: Vec<String>,
    pub(crate) hostcalls: Vec<String>,
}

/// Ticks come in between; what happens in them is not the request's.
fn crossings(log: &str) -> Crossings {
    let (mut callbacks, mut hostcalls, mut in_tick) = (Vec::new(), Vec::new(), false);
    for line in log.lines() {
        let name =
            |after: &str| line.split_once(after).map(|(_, rest)| rest.split(['(', ' ']).next().unwrap().to_owned());
        if line.contains("[host<-vm] proxy_on_tick") {
            in_tick = false;
        } else if line.contains("[host->vm] proxy_on_tick") {
            in_tick = true;
        } else if in_tick {
        } else if let Some(callback) = name("[host->vm] ") {
            if callback != "proxy_on_memory_allocate" {
                callbacks.push(callback);
            }
        } else if let Some(hostcall) = name("[vm->host] ") {
            hostcalls.push(hostcall);
        }
    }
    Crossings { callbacks, hostcalls }
}

/// Those of a request with these headers, under a policy with this section `trace`.
pub(crate) async fn cost(trace: Value, headers: &[(&str, &str)]) -> Crossings {
    cost_of("trace_context", json!({"version": "1.0", "trace": trace}), headers).await
}

/// Those of a request with these headers, in one plugin alone.
pub(crate) async fn cost_of(plugin: &str, policy: Value, headers: &[(&str, &str)]) -> Crossings {
    cost_on(|shipped| shipped.only(plugin).unwrap().policy(&policy), headers).await
}

/// Those of a request with these headers, through the shipped configuration with this change.
pub(crate) async fn cost_on(change: impl FnOnce(Bootstrap) -> Bootstrap, headers: &[(&str, &str)]) -> Crossings {
    cost_of_request(change, with(Request::get("/"), headers)).await
}

/// Those of this request, through the shipped configuration with this change.
pub(crate) async fn cost_of_request(change: impl FnOnce(Bootstrap) -> Bootstrap, request: Request) -> Crossings {
    let stage = Stage::set(|shipped| change(shipped).concurrency(1).wasm_trace()).await;
    // The first request of a worker finds out what every later one knows.
    for number in 1..=2 {
        let before = stage.envoy.log().unwrap().len();
        stage.send(&request, Protocol::Http1).await;
        loop {
            let log = stage.envoy.log().unwrap();
            if log[before..].contains("[host<-vm] proxy_on_delete return") {
                let crossings = crossings(&log[before..]);
                if number == 2 {
                    return crossings;
                }
                break;
            }
            stage.envoy.wait_for_log("[host<-vm] proxy_on_delete return", PATIENCE).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    unreachable!("the second request returns");
}

pub(crate) const CALLBACKS: [&str; 5] = [
    "proxy_on_context_create",
    "proxy_on_request_headers",
    "proxy_on_response_headers",
    // For spans; without them it returns at once.
    "proxy_on_log",
    "proxy_on_delete",
];
/// For each piece of a request's body, where a filter of the module wants to know of its end.
pub(crate) const BODY: &str = "proxy_on_request_body";
pub(crate) const READ: &str = "env.proxy_get_header_map_pairs";
pub(crate) const WRITE: &str = "env.proxy_replace_header_map_value";
pub(crate) const PROPERTY: &str = "env.proxy_get_property";
pub(crate) const HAND_OVER: &str = "env.proxy_set_property";
pub(crate) const CLOCK: &str = "env.proxy_get_current_time_nanoseconds";
pub(crate) const REMOVE: &str = "env.proxy_remove_header_map_value";
pub(crate) const REPLY: &str = "env.proxy_send_local_response";
/// A list of attributes.
pub(crate) const LIST: &str = "env.proxy_call_foreign_function";

#[tokio::test]
async fn a_request_with_context_and_request_id_takes_five_callbacks_and_two_hostcalls() {
    let value = format!("00-{TRACE}-{SPAN}-01");
    let headers = [("traceparent", value.as_str()), ("x-request-id", "abc-1")];
    let forward = cost(json!({}), &headers).await;
    assert_eq!(forward.callbacks, CALLBACKS);
    // The headers are read once; the id is echoed in the response.
    assert_eq!(forward.hostcalls, [READ, WRITE]);
    let participate = cost(json!({"mode": "participate"}), &headers).await;
    assert_eq!(participate.callbacks, CALLBACKS);
    // The caller's span is handed over to other plugins.
    assert_eq!(participate.hostcalls, [READ, HAND_OVER, WRITE, WRITE]);
}

#[tokio::test]
async fn a_request_with_nothing_takes_three_hostcalls_more_and_one_for_a_sampler() {
    let crossings = cost(json!({}), &[]).await;
    assert_eq!(crossings.callbacks, CALLBACKS);
    // The clock for the request id; that the trace began here; the id, traceparent.
    assert_eq!(crossings.hostcalls, [READ, CLOCK, HAND_OVER, WRITE, WRITE, WRITE]);
    let no_sampler = json!({"version": "1.0", "sampling": {"enabled": false}});
    let crossings = cost_of("trace_context", no_sampler, &[]).await;
    assert_eq!(crossings.hostcalls, [READ, CLOCK, WRITE, WRITE, WRITE]);
}

#[tokio::test]
async fn a_section_that_is_switched_off_takes_no_hostcall() {
    let crossings = cost(json!({"enabled": false}), &[]).await;
    assert_eq!(crossings.callbacks, CALLBACKS);
    assert!(crossings.hostcalls.is_empty(), "{crossings:?}");
}

#[tokio::test]
async fn the_direction_takes_one_hostcall_and_only_where_it_is_asked() {
    let value = format!("00-{TRACE}-{SPAN}-01");
    let headers = [("traceparent", value.as_str()), ("x-request-id", "abc-1")];
    let asked = cost(json!({"direction": ["inbound", "gateway"]}), &headers).await;
    assert_eq!(asked.hostcalls, [PROPERTY, READ, WRITE]);
    // Asked for twice: by the section, and before a caller is distrusted.
    let twice = cost(json!({"direction": ["inbound", "gateway"], "trust_incoming": false}), &headers).await;
    assert_eq!(twice.hostcalls.iter().filter(|call| *call == PROPERTY).count(), 1);
}
