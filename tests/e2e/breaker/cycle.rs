//! Closed, open, half-open, and closed again.

use std::time::Duration;

use sluicegate_tests::client::load::{Load, Until};
use sluicegate_tests::client::{Protocol, Request};
use tokio::time::Instant;

use super::{TWO_TICKS, Two, failing, policy, quick};
use crate::stage::PATIENCE;

#[tokio::test]
async fn a_breaker_opens_sheds_probes_and_closes() {
    let two = Two::set(&policy(quick())).await;
    let (stage, upstream) = (&two.stage, &two.stage.upstream);

    // How soon: one failure after the other until the first is shed.
    let began = Instant::now();
    let mut reached = None;
    let mut sent = 0;
    let shed = loop {
        let reply = stage.send(&failing("/"), Protocol::Http1).await;
        sent += 1;
        if reply.header("x-sluicegate-breaker").is_some() {
            break began.elapsed();
        }
        if sent == 20 {
            reached = Some(began.elapsed());
        }
        assert!(sent < 10_000, "it never opens");
    };
    let delay = shed - reached.unwrap();
    println!("shed {delay:?} after the threshold was reached; the tick is 50 ms");
    assert!(delay < Duration::from_secs(1), "{delay:?}");

    tokio::time::sleep(TWO_TICKS).await;
    let before = upstream.requests();
    let report = two.load(1_000, Request::get("/")).await;
    assert_eq!((report.answered(503), upstream.requests()), (1_000, before), "{report}");
    // Another upstream is untouched.
    let report = two.load(200, Request::get("/healthy")).await;
    assert_eq!((report.answered(200), two.healthy.requests()), (200, 200), "{report}");

    // The upstream has recovered, and the open time passes: trials, and then everything.
    stage.envoy.wait_for_stat("sluicegate_breaker_state", &[("breaker", "upstream")], 1.0, PATIENCE).await.unwrap();
    let closed = Instant::now();
    while two.get("/").await.status != 200 {
        assert!(closed.elapsed() < PATIENCE, "it never closes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..50 {
        two.get("/").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let before = upstream.requests();
    let report = two.load(500, Request::get("/")).await;
    assert_eq!((report.answered(200), upstream.requests()), (500, before + 500), "{report}");
    // Counters reach Envoy on the tick.
    tokio::time::sleep(TWO_TICKS).await;
    let stats = stage.envoy.stats().await.unwrap();
    assert_eq!(stats.sum("sluicegate_breaker_state", &[("breaker", "upstream")]), Some(0.0));
    for (to, cause) in [("open", "failure_rate"), ("half_open", "open_time_over"), ("closed", "recovered")] {
        let transitions = stats.sum("sluicegate_breaker_transitions_total", &[("to", to), ("cause", cause)]);
        assert_eq!(transitions, Some(1.0), "{to} {cause}");
    }
    let count =
        |name: &str| stats.sum(&format!("sluicegate_breaker_{name}_total"), &[("breaker", "upstream")]).unwrap();
    assert!(count("shed") >= 1_000.0 && count("passed") >= 520.0 && count("failures") >= 20.0);
    // What passed is what the upstreams saw.
    let reached = (upstream.requests() + two.healthy.requests()) as f64;
    let passed = stage.envoy.wait_for_stat("sluicegate_breaker_passed_total", &[], reached, PATIENCE).await.unwrap();
    assert_eq!(passed, reached);
    let log = stage.envoy.log().unwrap();
    assert!(log.contains("breaker: upstream: closed to open: failure_rate, for 2.0 s"), "{log}");
}

#[tokio::test]
async fn probes_never_exceed_their_number_across_workers() {
    let two = Two::set(&policy(quick())).await;
    two.open().await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let before = two.stage.upstream.requests();
    let slow = || Request::get("/").header("x-upstream-delay", "700ms");
    let mut replies = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (address, request) = (two.stage.envoy.address(), slow());
        replies.spawn(async move { request.send(address, Protocol::Http1).await.unwrap() });
    }
    let replies = replies.join_all().await;
    let passed = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!((passed, two.stage.upstream.requests() - before), (3, 3));
    let half_open = replies.iter().filter(|reply| reply.header("x-sluicegate-breaker") == Some("half_open")).count();
    assert_eq!(half_open, 61);
    // Three successes in a row close it.
    tokio::time::sleep(TWO_TICKS).await;
    let report = two.load(100, Request::get("/")).await;
    assert_eq!(report.answered(200), 100, "{report}");
}

#[tokio::test]
async fn a_failed_probe_opens_it_again() {
    let two = Two::set(&policy(quick())).await;
    two.open().await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let probe = two.stage.send(&failing("/"), Protocol::Http1).await;
    assert_eq!((probe.status.as_u16(), probe.header("x-sluicegate-breaker")), (503, None));
    tokio::time::sleep(TWO_TICKS).await;
    assert_eq!(two.get("/").await.header("x-sluicegate-breaker"), Some("open"));
    let labels = [("to", "open"), ("cause", "probe_failed")];
    let counted = two.stage.envoy.wait_for_stat("sluicegate_breaker_transitions_total", &labels, 1.0, PATIENCE).await;
    assert_eq!(counted.unwrap(), 1.0);
}

#[tokio::test]
async fn an_open_breaker_outlives_a_change_of_the_policy() {
    let two = Two::set(&policy(quick())).await;
    two.open().await;
    let before = two.stage.upstream.requests();
    let mut changed = quick();
    changed["min_requests"] = 30.into();
    two.stage.envoy.swap_policy(&policy(changed)).unwrap();
    two.stage.envoy.wait_for_swaps("breaker", 2, 0, PATIENCE).await.unwrap();
    let report = two.load(100, Request::get("/")).await;
    assert_eq!((report.answered(503), two.stage.upstream.requests()), (100, before), "{report}");
}

/// The root context that let them pass goes with the last of them, before its next tick.
#[tokio::test]
async fn what_was_under_way_while_the_policy_changed_counts() {
    let two = Two::set(&policy(quick())).await;
    let slow = failing("/").header("x-upstream-delay", "1000ms");
    let mut replies = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (address, request) = (two.stage.envoy.address(), slow.clone());
        replies.spawn(async move { request.send(address, Protocol::Http1).await.unwrap() });
    }
    while two.stage.upstream.requests() < 40 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut changed = quick();
    changed["probe_timeout"] = "20s".into();
    two.stage.envoy.swap_policy(&policy(changed)).unwrap();
    two.stage.envoy.wait_for_swaps("breaker", 2, 0, PATIENCE).await.unwrap();
    assert!(replies.join_all().await.iter().all(|reply| reply.status == 503));
    tokio::time::sleep(TWO_TICKS).await;
    assert_eq!(two.get("/").await.header("x-sluicegate-breaker"), Some("open"));
}

#[tokio::test]
async fn an_upstream_that_is_gone_opens_it_as_well() {
    let mut section = quick();
    section["consecutive_failures"] = 5.into();
    section["min_requests"] = 1_000.into();
    let two = Two::set(&policy(section)).await;
    let Two { stage, healthy: _healthy } = two;
    let address = stage.envoy.address();
    stage.upstream.stop().await;
    for _ in 0..8 {
        Request::get("/").send(address, Protocol::Http1).await.unwrap();
    }
    let labels = [("to", "open"), ("cause", "consecutive_failures")];
    stage.envoy.wait_for_stat("sluicegate_breaker_transitions_total", &labels, 1.0, PATIENCE).await.unwrap();
    // The other worker hears of it on its next tick.
    tokio::time::sleep(TWO_TICKS).await;
    let reply = Request::get("/").send(address, Protocol::Http1).await.unwrap();
    assert_eq!(reply.header("x-sluicegate-breaker"), Some("open"));
}

#[tokio::test]
async fn callers_mistakes_and_callers_who_leave_open_nothing() {
    let two = Two::set(&policy(quick())).await;
    let report = two.load(300, Request::get("/").header("x-upstream-status", "404")).await;
    assert_eq!(report.answered(404), 300, "{report}");
    for _ in 0..40 {
        let request = Request::get("/").header("x-upstream-delay", "2000ms");
        let left =
            tokio::time::timeout(Duration::from_millis(20), request.send(two.stage.envoy.address(), Protocol::Http1));
        let left = left.await;
        assert!(left.is_err(), "{left:?}");
    }
    tokio::time::sleep(TWO_TICKS).await;
    let report = two.load(50, Request::get("/")).await;
    assert_eq!(report.answered(200), 50, "{report}");
}

#[tokio::test]
async fn slow_calls_open_it_and_a_long_stream_is_none() {
    let mut section = quick();
    section["slow_call"] = serde_json::json!({"threshold": "200ms", "rate": 0.5});
    let two = Two::set(&policy(section)).await;
    let report = two.load(24, Request::get("/").header("x-upstream-stream", "5x80ms")).await;
    assert_eq!(report.answered(200), 24, "{report}");
    tokio::time::sleep(TWO_TICKS).await;
    assert_eq!(two.get("/").await.status, 200);
    two.load(40, Request::get("/").header("x-upstream-delay", "250ms")).await;
    tokio::time::sleep(TWO_TICKS).await;
    assert_eq!(two.get("/").await.header("x-sluicegate-breaker"), Some("open"));
    let labels = [("to", "open"), ("cause", "slow_calls")];
    two.stage.envoy.wait_for_stat("sluicegate_breaker_transitions_total", &labels, 1.0, PATIENCE).await.unwrap();
}

/// Envoy's budget for retries is soon used up where everything fails, which it says in a flag of its own.
#[tokio::test]
async fn retries_hide_no_failure() {
    let two = Two::set(&policy(quick())).await;
    let load = Load { connections: 40, protocol: Protocol::Http1, until: Until::Requests(200) };
    load.run(two.stage.envoy.address(), |_| failing("/retried")).await;
    tokio::time::sleep(TWO_TICKS).await;
    assert_eq!(two.get("/retried").await.header("x-sluicegate-breaker"), Some("open"));
}

#[tokio::test]
async fn a_grpc_upstream_that_hangs_opens_it() {
    let two = Two::set(&policy(quick())).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let call = Request::grpc("/hurried/Add", b"x").header("x-upstream-delay", "1000ms");
        let address = two.stage.envoy.address();
        calls.spawn(async move { call.send(address, Protocol::Http2).await.unwrap() });
    }
    assert!(calls.join_all().await.iter().all(|reply| reply.header("grpc-status") == Some("14")));
    tokio::time::sleep(TWO_TICKS).await;
    assert_eq!(two.get("/").await.header("x-sluicegate-breaker"), Some("open"));
}

#[tokio::test]
async fn a_caller_cannot_open_it_by_calling_a_request_grpc() {
    let two = Two::set(&policy(quick())).await;
    for status in ["200", "400", "429"] {
        let faked = Request::get("/").header("content-type", "application/grpc").header("x-upstream-status", status);
        let faked = faked.header("x-upstream-response-header", "content-type=text/plain");
        two.load(60, faked).await;
    }
    tokio::time::sleep(TWO_TICKS).await;
    assert_eq!(two.get("/").await.status, 200);
}
