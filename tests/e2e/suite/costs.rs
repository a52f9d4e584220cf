//! What the suite costs with one section switched on, against the plugin alone, and with none: counted in Envoy's own trace
//! of every crossing.

use serde_json::{Value, json};
use sluicegate_tests::client::Request;
use sluicegate_tests::envoy::Bootstrap;
use sluicegate_tests::shipped;

use super::pair::off;
use crate::cost::{BODY, CALLBACKS, Crossings, HAND_OVER, cost_of_request};
use crate::stage::{SPAN, TRACE, with};

async fn suite(policy: &Value, request: Request) -> Crossings {
    let module = shipped::plugin("suite").unwrap();
    let alone = |shipped: Bootstrap| {
        let alone = shipped.only("trace_context").unwrap().policy(policy);
        alone.module("trace_context", &module).unwrap()
    };
    cost_of_request(alone, request).await
}

/// With this section and no other.
fn only(section: &str, fields: Value) -> Value {
    let mut policy = off();
    policy[section] = fields;
    policy
}

/// What crosses more often in the one than in the other.
fn more<'c>(one: &'c [String], other: &[String]) -> Vec<&'c str> {
    let mut other: Vec<_> = other.to_vec();
    let more = one.iter().filter(|crossing| match other.iter().position(|has| has == *crossing) {
        Some(place) => {
            other.remove(place);
            false
        }
        None => true,
    });
    more.map(String::as_str).collect()
}

#[tokio::test]
async fn the_suite_with_one_section_takes_no_hostcall_that_its_plugin_does_not() {
    let context = format!("00-{TRACE}-{SPAN}-01");
    let traced = |request: Request| with(request, &[("traceparent", &context), ("x-request-id", "abc-1")]);
    let get = || traced(Request::get("/"));
    // What a plugin takes beside the suite, to tell others what the suite has in memory.
    let told = vec![HAND_OVER];
    // What the suite is entered for beside a plugin that has no use for it: a module's callbacks are the same whatever is
    // switched on. A body enters the suite for each of its pieces, one or two in HTTP/1.1, for the breaker.
    let response = vec!["proxy_on_response_headers"];
    let cases = [
        ("trace_context", only("trace", json!({})), Request::post("/", "a body of one piece"), vec![], vec![]),
        (
            "trace_context",
            only("trace", json!({"mode": "participate", "direction": "gateway"})),
            get(),
            told.clone(),
            vec![],
        ),
        ("sampler", only("sampling", json!({})), get(), told, response),
        ("breaker", only("breaker", json!({"slow_call": {"threshold": "1s", "rate": 0.5}})), get(), vec![], vec![]),
        ("access_log", only("access_log", json!({"profile": "test"})), get(), vec![], vec![]),
    ];
    for (plugin, policy, request, left_out, entered) in cases {
        let alone = |shipped: Bootstrap| shipped.only(plugin).unwrap().policy(&policy);
        let (alone, suite) = tokio::join!(cost_of_request(alone, request.clone()), suite(&policy, request));
        assert!(!suite.hostcalls.is_empty(), "{policy}");
        assert_eq!(more(&suite.hostcalls, &alone.hostcalls), [""; 0], "{policy}");
        assert_eq!(more(&alone.hostcalls, &suite.hostcalls), left_out, "{policy}");
        let (bodies, others): (Vec<_>, Vec<_>) =
            more(&suite.callbacks, &alone.callbacks).into_iter().partition(|callback| *callback == BODY);
        assert_eq!(others, entered, "{policy}");
        let has_body = policy["trace"]["mode"].is_null() && plugin == "trace_context";
        assert!(if has_body { (1..=2).contains(&bodies.len()) } else { bodies.is_empty() }, "{policy} {bodies:?}");
        assert_eq!(more(&alone.callbacks, &suite.callbacks), [""; 0], "{policy}");
    }
}

#[tokio::test]
async fn the_suite_with_no_section_is_entered_and_does_nothing() {
    let nothing = off();
    let (get, post) = tokio::join!(suite(&nothing, Request::get("/")), suite(&nothing, Request::post("/", "a body")));
    assert_eq!(get.callbacks, CALLBACKS);
    assert!(get.hostcalls.is_empty() && post.hostcalls.is_empty(), "{get:?} {post:?}");
    let bodies = more(&post.callbacks, &get.callbacks);
    assert!((1..=2).contains(&bodies.len()) && bodies.iter().all(|callback| *callback == BODY), "{post:?}");
}
