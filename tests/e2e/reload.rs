//! A policy changes while Envoy runs; a wrong one changes nothing.

use std::time::{Duration, Instant};

use serde_json::json;
use sluicegate_tests::client::load::{Load, Until};
use sluicegate_tests::client::{Protocol, Request};

use crate::stage::{PATIENCE, SPAN, Stage, TRACE, traceparent};

#[tokio::test]
async fn a_wrong_policy_at_the_start_says_what_is_wrong_and_where() {
    let stage = Stage::trace(json!({"mode": "fwd", "trust_incomming": false})).await;
    for line in [
        r#"trace-context: policy rejected: trace.mode: found "fwd", accepted: one of "participate", "forward", "observe""#,
        "trace-context: policy rejected: trace.trust_incomming: unknown field",
    ] {
        stage.envoy.wait_for_log(line, PATIENCE).await.unwrap();
    }
    // Fail closed: nothing passes unfiltered.
    assert_eq!(stage.send(&Request::get("/"), Protocol::Http1).await.status, 500);
    assert_eq!(stage.upstream.requests(), 0);
}

#[tokio::test]
async fn a_wrong_policy_leaves_the_old_one_in_force() {
    let stage = Stage::trace(json!({"mode": "participate"})).await;
    stage.envoy.wait_for_swaps("trace_context", 1, 0, PATIENCE).await.unwrap();
    let value = format!("00-{TRACE}-{SPAN}-01");
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let large = format!(r#"{{"version": "1.0", "trace": {{"mode": "{}"}}}}"#, "x".repeat(70_000));
    for (rejections, policy) in (1..).zip([
        r#"{"version": "1.0", "trace": {"mode": "fwd"}}"#,
        r#"{"version": "1.0", "trace": {"mode": "forward"}"#,
        r#"{"version": "1.0", "trace": {"mode": "forward", "mode": "forward"}}"#,
        r#"{"version": "2.0"}"#,
        r#"{"version": "1.0", "service": {"nmae": "checkout"}}"#,
        r#"{"version": "1.0", "trace": {"sampled_default": NaN}}"#,
        r#"{"version": "1.0", "trace": {"sampled_default": 1e999}}"#,
        "not JSON at all",
        deep.as_str(),
        large.as_str(),
    ]) {
        stage.envoy.swap_policy_text(policy).unwrap();
        stage.envoy.wait_for_swaps("trace_context", 1, rejections, PATIENCE).await.unwrap();
        let [trace, span, _] = traceparent(&stage.seen(&[("traceparent", &value)]).await);
        assert_eq!(trace, TRACE);
        assert_ne!(span, SPAN, "still participates");
    }
    stage.envoy.swap_policy(&json!({"version": "1.0"})).unwrap();
    stage.envoy.wait_for_swaps("trace_context", 2, 0, PATIENCE).await.unwrap();
    // Envoy counts the update when its main thread has it; the workers follow.
    let counted = Instant::now();
    while traceparent(&stage.seen(&[("traceparent", &value)]).await)[1] != SPAN {
        assert!(counted.elapsed() < PATIENCE);
    }
}

#[tokio::test]
async fn no_request_fails_while_the_policy_changes_every_200_ms() {
    let stage = Stage::set(|shipped| shipped.policy(&json!({"version": "1.0"})).balanced()).await;
    let load = Load { connections: 16, protocol: Protocol::Http1, until: Until::Requests(40_000) };
    let address = stage.envoy.address();
    let requests =
        tokio::spawn(load.run(address, |_| Request::get("/").header("traceparent", format!("00-{TRACE}-{SPAN}-01"))));
    let mut swaps: u64 = 0;
    while !requests.is_finished() {
        swaps += 1;
        let mode = if swaps.is_multiple_of(2) { "forward" } else { "participate" };
        // Never the same twice, or Envoy would not take it for a change.
        let policy = json!({"version": "1.0", "service": {"version": swaps.to_string()}, "trace": {"mode": mode}});
        stage.envoy.swap_policy(&policy).unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let report = requests.await.unwrap();
    println!("{report} with {swaps} changes of policy");
    assert_eq!(report.answered(200), 40_000, "{report}");
    assert!(swaps > 10, "{swaps}");
    stage.envoy.wait_for_swaps("trace_context", swaps, 0, PATIENCE).await.unwrap();
    assert_eq!(stage.upstream.requests(), 40_000);
    // What was counted under the old policies is not lost with them.
    let name = "sluicegate_trace_continued_total";
    let counted = stage.envoy.wait_for_stat(name, &[("format", "w3c")], 40_000.0, PATIENCE).await.unwrap();
    assert_eq!(counted, 40_000.0);
}

#[tokio::test]
async fn a_policy_that_is_gone_ticks_no_more() {
    let stage = Stage::set(|shipped| {
        shipped.only("trace_context").unwrap().policy(&json!({"version": "1.0"})).concurrency(2).wasm_trace()
    })
    .await;
    for swap in 1..=10_u64 {
        let policy = json!({"version": "1.0", "service": {"version": swap.to_string()}});
        stage.envoy.swap_policy(&policy).unwrap();
        stage.envoy.wait_for_swaps("trace_context", 1 + swap, 0, PATIENCE).await.unwrap();
        // A root that never saw a request, and one that did.
        if swap.is_multiple_of(2) {
            stage.seen(&[]).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = stage.envoy.log().unwrap().len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let ticks = stage.envoy.log().unwrap()[before..].matches("[host->vm] proxy_on_tick").count();
    // Once a second on each worker and on the main thread: nine, give or take one of each.
    assert!((6..=12).contains(&ticks), "{ticks}");
}
