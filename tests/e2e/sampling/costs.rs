//! What sampling costs a request, by itself and in the suite.

use serde_json::{Value, json};
use sluicegate_tests::envoy::Bootstrap;
use sluicegate_tests::shipped;

use crate::cost::{Crossings, HAND_OVER, LIST, PROPERTY, REMOVE, WRITE, cost_on};
use crate::stage::{SPAN, TRACE};

const DIRECTION: &str = PROPERTY;
const ID: &str = PROPERTY;

/// The sampler alone, behind what trace-context leaves of a trace.
async fn cost(section: Value, state: Option<&str>, headers: &[(&str, &str)]) -> Crossings {
    let policy = json!({"version": "1.0", "sampling": section});
    let alone = |shipped: Bootstrap| {
        let alone = shipped.only("sampler").unwrap().policy(&policy);
        match state {
            Some(state) => alone.filter_ahead(left(state)).unwrap(),
            None => alone,
        }
    };
    cost_on(alone, headers).await
}

/// A filter of Envoy's own that leaves the state which trace-context leaves.
fn left(state: &str) -> Value {
    json!({
        "name": "trace_state",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [{
                "object_key": "wasm.sluicegate_trace",
                "factory_key": "envoy.string",
                "format_string": {"text_format_source": {"inline_string": state}},
            }],
        },
    })
}

fn context(flags: &str) -> String {
    format!("00-{}ff{}-{SPAN}-{flags}", &TRACE[..18], &TRACE[20..])
}

/// The pin of the issue: at most four.
#[tokio::test]
async fn a_request_takes_four_hostcalls_at_most() {
    let (sampled, not_sampled) = (context("01"), context("00"));
    let (sampled, not_sampled) = (("traceparent", sampled.as_str()), ("traceparent", not_sampled.as_str()));
    let ignore = json!({"parent": "ignore", "max": 0.5});
    // Where it began here: th, why, and how it ended.
    let started = cost(json!({}), Some("started"), &[sampled]).await;
    let callbacks = ["proxy_on_context_create", "proxy_on_request_headers", "proxy_on_log", "proxy_on_delete"];
    assert_eq!(started.callbacks, callbacks);
    assert_eq!(started.hostcalls, [LIST, HAND_OVER, WRITE, LIST]);
    for (section, state, headers, hostcalls) in [
        // The flag says that it is not recorded.
        (json!({"rules": [{"never": true}]}), Some("started"), vec![sampled], vec![LIST, WRITE]),
        (json!({"rules": [{"always": true}]}), Some("started"), vec![sampled], vec![LIST, HAND_OVER, WRITE]),
        // A caller's decision stands.
        (json!({}), None, vec![sampled], vec![LIST, HAND_OVER, LIST]),
        (json!({}), None, vec![not_sampled], vec![LIST, LIST]),
        // It is turned, which takes both headers; they say why.
        (ignore.clone(), Some("own"), vec![not_sampled], vec![LIST, WRITE, WRITE, LIST]),
        (
            json!({"parent": "ignore", "rules": [{"rate": 0.5}]}),
            Some("own"),
            vec![not_sampled],
            vec![LIST, HAND_OVER, WRITE, WRITE],
        ),
        // It may not be written.
        (ignore, None, vec![not_sampled], vec![LIST, HAND_OVER, LIST]),
        // There is no trace, so the request's id is asked for, and then chance.
        (json!({}), None, vec![], vec![LIST, ID, HAND_OVER, LIST]),
        (json!({"per": "route", "key": "request_id"}), None, vec![], vec![LIST, HAND_OVER, LIST]),
        (json!({"per": "handler"}), None, vec![("x-request-id", "r-1")], vec![LIST, ID, HAND_OVER, LIST]),
        (json!({"enabled": false}), None, vec![sampled], vec![]),
    ] {
        let crossings = cost(section.clone(), state, &headers).await;
        assert_eq!(crossings.hostcalls, hostcalls, "{section} {state:?} {headers:?}");
        assert!(crossings.hostcalls.len() <= 4);
    }
}

#[tokio::test]
async fn the_secret_is_taken_away_for_one_more_and_the_direction_asked_for_another() {
    let sampled = context("01");
    let section = json!({"direction": "gateway", "force": {"secret": "0123456789abcdef"}});
    let headers = [("traceparent", sampled.as_str()), ("x-sluicegate-force", "0123456789abcdef")];
    let forced = cost(section, Some("started"), &headers).await;
    assert_eq!(forced.hostcalls, [DIRECTION, LIST, HAND_OVER, REMOVE]);
}

/// The pin of the issue: at most one more than without it.
#[tokio::test]
async fn in_the_suite_a_request_takes_one_hostcall_more_at_most() {
    let suite = async |sampling: Value, headers: &[(&str, &str)]| {
        let policy = json!({"version": "1.0", "sampling": sampling, "access_log": {"profile": "test"}});
        let module = shipped::plugin("suite").unwrap();
        let alone = |shipped: Bootstrap| {
            let alone = shipped.only("trace_context").unwrap().policy(&policy);
            alone.module("trace_context", &module).unwrap()
        };
        cost_on(alone, headers).await.hostcalls
    };
    let context = context("01");
    for headers in [&[][..], &[("traceparent", context.as_str()), ("x-request-id", "r-1")]] {
        let without = suite(json!({"enabled": false}), headers).await;
        for section in [json!({}), json!({"rules": [{"never": true}]}), json!({"per": "handler", "parent": "ignore"})] {
            let with = suite(section.clone(), headers).await;
            assert!(with.len() <= without.len() + 1, "{section} {headers:?}\n{with:?}\n{without:?}");
        }
    }
}
