//! What is kept, held back and left out, as a policy wants it, and what that costs.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_tests::client::load::{Load, Until};
use sluicegate_tests::client::{Protocol, Request};

use super::{attribute, read};
use crate::cost::{CALLBACKS, CLOCK, HAND_OVER, LIST, PROPERTY, READ, cost_of};
use crate::stage::{PATIENCE, SPAN, Stage, TRACE};

fn policy(section: Value) -> Value {
    json!({"version": "1.0", "access_log": section})
}

fn sampled(flags: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{flags}")
}

/// Long enough for a line that should not be there to be there.
const A_WHILE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn production_keeps_what_went_wrong_what_was_slow_and_what_is_sampled() {
    let section = json!({"slow_threshold": "300ms", "drop": [{"match": {"path": {"exact": "/health"}}}]});
    let stage = Stage::set(|shipped| shipped.policy(&policy(section))).await;
    let not_sampled = |path: &str| Request::get(path).header("traceparent", sampled("00"));
    let requests = [
        (not_sampled("/plain"), None),
        (Request::get("/plain").header("traceparent", sampled("01")), Some("parent")),
        (not_sampled("/x").header("x-upstream-status", "404"), Some("severity")),
        (not_sampled("/x").header("x-upstream-status", "500"), Some("error")),
        (not_sampled("/x").header("x-upstream-delay", "400ms"), Some("slow")),
        // Long, but not slow.
        (not_sampled("/x").header("x-upstream-stream", "5x100ms"), None),
        (Request::get("/health").header("traceparent", sampled("01")), None),
        (Request::get("/health").header("x-upstream-status", "404"), None),
        (Request::get("/health").header("x-upstream-status", "503"), Some("error")),
    ];
    let mut expected = 0;
    for (request, kept) in requests {
        stage.send(&request, Protocol::Http1).await;
        match kept {
            Some(by) => {
                expected += 1;
                let lines = stage.envoy.wait_for_access_log(expected, PATIENCE).await.unwrap();
                let record = read(lines.last().unwrap());
                assert_eq!(attribute(&record, "sluicegate.sampled_by"), Some(&json!(by)), "{record}");
            }
            None => {
                tokio::time::sleep(A_WHILE).await;
                assert_eq!(stage.envoy.access_log().unwrap().lines().count(), expected, "{request:?}");
            }
        }
    }
    let name = "sluicegate_access_log_not_kept_total";
    stage.envoy.wait_for_stat(name, &[("reason", "sampling")], 2.0, PATIENCE).await.unwrap();
    stage.envoy.wait_for_stat(name, &[("reason", "drop")], 2.0, PATIENCE).await.unwrap();
    let name = "sluicegate_access_log_records_total";
    stage.envoy.wait_for_stat(name, &[("severity", "ERROR")], 2.0, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_burst_is_thinned_and_nothing_of_it_goes_uncounted() {
    let section = json!({"profile": "dev", "burst": {"first": 20, "every": 50}});
    let stage = Stage::set(|shipped| shipped.policy(&policy(section)).concurrency(1)).await;
    let load = Load { connections: 8, protocol: Protocol::Http1, until: Until::Requests(4_000) };
    let report = load.run(stage.envoy.address(), |_| Request::get("/")).await;
    assert_eq!(report.answered(200), 4_000, "{report}");
    // The last held back are told of by the next line, a second later at the latest.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    stage.send(&Request::get("/last"), Protocol::Http1).await;
    tokio::time::sleep(A_WHILE).await;
    let log = stage.envoy.access_log().unwrap();
    let records: Vec<_> = log.lines().map(read).collect();
    let suppressed =
        |record: &Value| attribute(record, "sluicegate.suppressed_count").map_or(0, |n| n.as_u64().unwrap());
    let told: u64 = records.iter().map(|record| 1 + suppressed(record)).sum();
    assert_eq!(told, 4_001);
    assert!(records.len() < 1_000, "{}", records.len());
}

#[tokio::test]
async fn no_line_is_lost_or_doubled_while_the_policy_changes() {
    let section =
        |swaps: u64| policy(json!({"profile": "dev", "attributes": [{"name": "swap", "value": swaps.to_string()}]}));
    let stage = Stage::set(|shipped| shipped.policy(&section(0)).balanced()).await;
    let load = Load { connections: 16, protocol: Protocol::Http1, until: Until::Requests(10_000) };
    let requests =
        tokio::spawn(load.run(stage.envoy.address(), |n| Request::get("/").header("x-request-id", format!("n{n}"))));
    let mut swaps = 0;
    while !requests.is_finished() {
        swaps += 1;
        stage.envoy.swap_policy(&section(swaps)).unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(requests.await.unwrap().answered(200), 10_000);
    stage.envoy.wait_for_access_log(10_000, PATIENCE).await.unwrap();
    tokio::time::sleep(A_WHILE).await;
    let log = stage.envoy.access_log().unwrap();
    let records: Vec<_> = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
    assert_eq!(records.len(), 10_000);
    let ids: BTreeSet<_> = records.iter().map(|record| record["req_id"].to_string()).collect();
    assert_eq!(ids.len(), 10_000);
    let policies: BTreeSet<_> = records.iter().map(|record| record["attributes"]["swap"].to_string()).collect();
    let versions: BTreeSet<_> =
        records.iter().map(|record| record["attributes"]["sluicegate.policy_version"].to_string()).collect();
    assert!(policies.len() > 2, "{policies:?}");
    assert_eq!(policies.len(), versions.len(), "a policy is told by its version");
}

/// The pins of the issue: at most 4 hostcalls for what is not logged, at most 8 for a line with all default attributes.
#[tokio::test]
async fn what_is_not_logged_takes_four_hostcalls_and_a_line_two_more() {
    let not_sampled = sampled("00");
    let crossings = cost_of("access_log", policy(json!({})), &[("traceparent", &not_sampled)]).await;
    assert_eq!(crossings.callbacks, CALLBACKS);
    assert_eq!(crossings.hostcalls, [PROPERTY, READ, CLOCK, LIST]);

    let sampled = sampled("01");
    let logged = cost_of("access_log", policy(json!({})), &[("traceparent", &sampled)]).await;
    assert_eq!(logged.hostcalls, [PROPERTY, READ, CLOCK, LIST, LIST, HAND_OVER]);

    let full = json!({"profile": "dev", "attributes": [
        {"name": "a", "request_header": "x-a"},
        {"name": "b", "request_header": "x-b"},
        {"name": "c", "response_header": "x-c"},
        {"name": "d", "response_header": "content-type"},
    ]});
    let full = cost_of("access_log", policy(full), &[("traceparent", &sampled)]).await;
    assert_eq!(full.hostcalls, [PROPERTY, READ, CLOCK, LIST, LIST, READ, READ, HAND_OVER]);
}

#[tokio::test]
async fn the_callers_side_of_a_hop_takes_one_hostcall_and_a_section_that_is_off_none() {
    let other = cost_of("access_log", policy(json!({"direction": "outbound"})), &[]).await;
    assert_eq!(other.hostcalls, [PROPERTY]);
    let off = cost_of("access_log", policy(json!({"enabled": false})), &[]).await;
    assert!(off.hostcalls.is_empty(), "{off:?}");
}
