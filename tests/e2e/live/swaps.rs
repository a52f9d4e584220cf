//! The file that Envoy discovers the plugin from, moved into its place again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_tests::client::Request;
use sluicegate_tests::shipped;
use tokio::time::Instant;

use super::Live;
use super::steady::Steady;
use crate::stage::PATIENCE;

/// This policy, of which who asks for `/policy` is told that it is in force.
fn saying(mut policy: Value, body: &str) -> Value {
    policy["breaker"]["rules"] = json!([{
        "match": {"path": {"exact": "/policy"}},
        "key": "policy",
        "mode": "forced_open",
        "response": {"status": 200, "headers": {"content-type": "text/plain"}, "body": body},
    }]);
    policy
}

/// For what takes the compiling of a module, on a machine that is busy with others.
pub(super) const LONG: Duration = PATIENCE.saturating_mul(3);

/// Until every worker answers with this policy; how long after `since` the last of them did.
pub(super) async fn wait_for(live: &mut Live, body: &str, since: Instant) -> Duration {
    for worker in &mut live.workers {
        while worker.send(&Request::get("/policy")).await.unwrap().text() != body {
            assert!(since.elapsed() < LONG, "{body} is not in force:\n{}", live.envoy.log().unwrap());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    since.elapsed()
}

#[tokio::test]
async fn a_thousand_swaps_of_the_file_fail_no_request_and_leave_nothing_behind() {
    const SWAPS: u64 = 1_000;
    let example = shipped::yaml("envoy/policy.yaml").unwrap();
    let mut live = Live::under(&saying(example.clone(), "first"), |shipped| shipped).await;
    // Some are under way for many swaps: the policy that they began with stays as long.
    let request = |n: u32| match n % 20 {
        0 => Request::get("/").header("x-upstream-delay", "300ms"),
        _ => Request::get("/"),
    };
    let load = Steady::begin(live.envoy.address(), 200, request, |_, _, _| ());
    let (mut times, mut memory) = (Vec::new(), BTreeMap::new());
    for number in 1..=SWAPS {
        let body = format!("swap {number}");
        let policy = saying(example.clone(), &body);
        let moved = Instant::now();
        live.envoy.swap_policy(&policy).unwrap();
        times.push(wait_for(&mut live, &body, moved).await);
        if number.is_multiple_of(100) {
            memory.insert(number, live.memory());
        }
    }
    let statuses = load.end().await;
    assert_eq!(live.envoy.swapped("trace_context").await.unwrap(), (SWAPS + 1, 0));
    assert_eq!(statuses.keys().collect::<Vec<_>>(), [&200], "{statuses:?}");

    times.sort();
    let [median, p99, max] = [SWAPS / 2, SWAPS * 99 / 100, SWAPS - 1].map(|at| times[at as usize]);
    println!("a swap takes {median:.1?} (median), {p99:.1?} (99 %), {max:.1?} at most, under {statuses:?} requests");
    assert!(median < Duration::from_millis(500), "{median:?}");
    println!("memory: {:.1} MiB after 100, {:.1} MiB after {SWAPS}", memory[&100], memory[&SWAPS]);
    assert!(memory[&SWAPS] - memory[&100] < 8.0, "{memory:.1?}");
}
