//! What a request costs that passes, and one that is shed.

use std::time::Duration;

use serde_json::json;
use sluicegate_tests::client::Request;
use sluicegate_tests::envoy::{Bootstrap, Envoy};
use sluicegate_tests::shipped;

use super::{Two, policy, quick};
use crate::cost::{BODY, CALLBACKS, CLOCK, HAND_OVER, LIST, PROPERTY, READ, REPLY, cost_of, cost_of_request, cost_on};

#[tokio::test]
async fn a_request_that_passes_takes_three_hostcalls_beside_the_headers() {
    let passed = cost_of("breaker", policy(quick()), &[]).await;
    assert_eq!(passed.callbacks, CALLBACKS);
    // The direction, the cluster, the headers; and how it ended.
    assert_eq!(passed.hostcalls, [PROPERTY, PROPERTY, READ, LIST]);
    let off = cost_of("breaker", policy(json!({"enabled": false})), &[]).await;
    assert!(off.hostcalls.is_empty(), "{off:?}");
    let disabled = cost_of("breaker", policy(json!({"mode": "disabled"})), &[]).await;
    assert_eq!(disabled.hostcalls, [PROPERTY]);
}

#[tokio::test]
async fn a_body_takes_a_callback_and_no_hostcall_and_slow_calls_the_clock_twice() {
    let cost = async |section: serde_json::Value| {
        let alone = |shipped: Bootstrap| shipped.only("breaker").unwrap().policy(&policy(section));
        cost_of_request(alone, Request::post("/", "a body of one piece")).await
    };
    let with_body = cost(quick()).await;
    assert_eq!(with_body.hostcalls, [PROPERTY, PROPERTY, READ, LIST]);
    let in_body: Vec<_> = with_body.callbacks.iter().filter(|callback| *callback == BODY).collect();
    // HTTP/1.1 has its end in a piece of its own.
    assert!((1..=2).contains(&in_body.len()), "{with_body:?}");
    assert_eq!(with_body.callbacks.len(), CALLBACKS.len() + in_body.len());
    let mut timed = quick();
    timed["slow_call"] = json!({"threshold": "1s", "rate": 0.5});
    assert_eq!(cost(timed).await.hostcalls, [PROPERTY, PROPERTY, READ, CLOCK, CLOCK, LIST]);
}

/// The pin of the issue: at most three beyond what the exchange has read.
#[tokio::test]
async fn in_the_suite_a_request_that_passes_takes_three_hostcalls_more_at_most() {
    let module = shipped::plugin("suite").unwrap();
    let suite = async |breaker: serde_json::Value| {
        let alone = |shipped: Bootstrap| {
            let alone = shipped.only("trace_context").unwrap().policy(&policy(breaker));
            alone.module("trace_context", &module).unwrap()
        };
        cost_on(alone, &[]).await.hostcalls
    };
    let without = suite(json!({"enabled": false})).await;
    let mut timed = quick();
    timed["slow_call"] = json!({"threshold": "1s", "rate": 0.5});
    let mut by_host = quick();
    by_host["per"] = json!("host");
    for section in [quick(), timed, by_host] {
        let with = suite(section.clone()).await;
        assert!(with.len() <= without.len() + 3, "{section}\n{with:?}\n{without:?}");
    }
}

/// CPU time of a process, in seconds.
fn cpu(envoy: &Envoy) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", envoy.pid())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().unwrap()).sum();
    // Linux counts them by the hundredth of a second on every machine that Envoy runs on.
    ticks / 100.0
}

#[tokio::test]
async fn a_shed_request_costs_less_cpu_than_one_that_passes() {
    const REQUESTS: u64 = 4_000;
    let mut section = quick();
    section["rules"] = json!([{"match": {"path": {"prefix": "/shed"}}, "key": "shed"}]);
    section["open_for"] = json!("10m");
    section["max_open_for"] = json!("10m");
    let mut policy = policy(section);
    policy["access_log"] = json!({"enabled": false});
    let two = Two::set(&policy).await;
    two.load(60, super::failing("/shed")).await;
    tokio::time::sleep(super::TWO_TICKS).await;
    let mut costs = [0.0, 0.0];
    // In turns, so that what else the machine does hits both alike.
    for _ in 0..4 {
        for (path, status, cost) in [("/passes", 200, 0), ("/shed", 503, 1)] {
            let before = cpu(&two.stage.envoy);
            let report = two.load(REQUESTS, Request::get(path)).await;
            assert_eq!(report.answered(status), REQUESTS, "{report}");
            costs[cost] += cpu(&two.stage.envoy) - before;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let [passed, shed] = costs.map(|cpu| cpu * 1e6 / (4.0 * REQUESTS as f64));
    println!("{shed:.0} us of CPU for a shed request, {passed:.0} us for one that passes");
    assert!(shed < passed, "{shed} {passed}");
}

#[tokio::test]
async fn a_shed_request_takes_five_hostcalls() {
    let forced = cost_of("breaker", policy(json!({"mode": "forced_open"})), &[]).await;
    assert_eq!(forced.hostcalls, [PROPERTY, PROPERTY, READ, HAND_OVER, REPLY]);
}
