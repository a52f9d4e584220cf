//! A key of etcd, watched.

use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_tests::client::load::{Load, Until};
use sluicegate_tests::client::{Protocol, Request};
use sluicegate_tests::etcd::Etcd;

use super::{Live, answering};
use crate::stage::PATIENCE;

const KEY: &str = "/sluicegate/policy/checkout";

fn source() -> Value {
    json!({"etcd": {"cluster": "etcd", "key": KEY}})
}

async fn set(etcd: &Etcd) -> Live {
    let address = etcd.address();
    Live::set(source(), |shipped| shipped.grpc_cluster("etcd", address)).await
}

async fn put(etcd: &Etcd, body: &str) -> u64 {
    etcd.put(KEY, answering(body).to_string()).await.unwrap()
}

#[tokio::test]
async fn a_put_is_soon_in_force_on_every_worker() {
    let etcd = Etcd::start().await.unwrap();
    let mut live = set(&etcd).await;
    assert_eq!(live.say().await, ["plugin", "plugin"], "what holds until etcd has answered");
    let mut times = Vec::new();
    for number in 0..20 {
        let body = format!("put {number}");
        let revision = put(&etcd, &body).await;
        times.push(live.wait_for(&body).await);
        if number == 19 {
            let labels = [("source", "etcd"), ("version", "1.0")];
            let metric = "sluicegate_policy_revision";
            live.envoy.wait_for_stat(metric, &labels, revision as f64, PATIENCE).await.unwrap();
        }
    }
    times.sort();
    println!("in force on both workers {:?} after the put (median), {:?} at most", times[10], times[19]);
    assert!(times[10] < Duration::from_secs(1), "{times:?}");
    let updates = live.envoy.wait_for_stat("sluicegate_policy_updates_total", &[], 20.0, PATIENCE).await.unwrap();
    assert_eq!(updates, 20.0, "each version once, whoever tells");
    assert_eq!(etcd.watchers().await.unwrap(), 1.0, "one watch for all workers");
}

#[tokio::test]
async fn a_policy_that_is_there_already_is_in_force_at_once_and_one_that_is_deleted_no_more() {
    let etcd = Etcd::start().await.unwrap();
    put(&etcd, "first").await;
    let mut live = set(&etcd).await;
    live.wait_for("first").await;
    etcd.delete(KEY).await.unwrap();
    live.wait_for("plugin").await;
    live.envoy.wait_for_stat("sluicegate_policy_deletions_total", &[], 1.0, PATIENCE).await.unwrap();
    live.envoy.wait_for_stat("sluicegate_policy_revision", &[("source", "plugin")], 1.0, PATIENCE).await.unwrap();
    let log = live.envoy.log().unwrap();
    assert_eq!(log.matches("is in force again").count(), 1, "{log}");
    put(&etcd, "second").await;
    live.wait_for("second").await;
}

#[tokio::test]
async fn garbage_changes_nothing_and_is_told_once() {
    let etcd = Etcd::start().await.unwrap();
    let mut live = set(&etcd).await;
    put(&etcd, "good").await;
    live.wait_for("good").await;
    let too_long = format!("{{\"version\": \"1.0\", \"x\": \"{}\"}}", "y".repeat(70_000));
    let garbage: [&[u8]; 6] = [
        b"",
        b"{",
        b"\xff\xfe",
        br#"{"version": "2.0"}"#,
        br#"{"version": "1.0", "breaker": {"mode": "ajar", "windw": "10s"}}"#,
        too_long.as_bytes(),
    ];
    for (number, bytes) in (1..).zip(garbage) {
        etcd.put(KEY, bytes).await.unwrap();
        live.envoy.wait_for_stat("sluicegate_policy_rejections_total", &[], f64::from(number), PATIENCE).await.unwrap();
        assert_eq!(live.say().await, ["good", "good"], "{number}");
    }
    let log = live.envoy.log().unwrap();
    assert_eq!(log.matches(r#"breaker.mode: found "ajar""#).count(), 1, "{log}");
    assert!(log.contains("breaker.windw: unknown field") && log.contains("did you mean window?"), "{log}");
    put(&etcd, "better").await;
    live.wait_for("better").await;
    assert_eq!(live.sum("sluicegate_policy_rejections_total").await, 6.0);
}

#[tokio::test]
async fn a_version_that_is_right_counts_though_a_wrong_one_follows_at_once() {
    let etcd = Etcd::start().await.unwrap();
    let mut live = set(&etcd).await;
    // The first comes with the read, or with what a new watch is told at once of all that came since; then one at a time.
    for body in ["read", "watched"] {
        put(&etcd, body).await;
        live.wait_for(body).await;
    }
    for number in 0..5 {
        let body = format!("right {number}");
        put(&etcd, &body).await;
        etcd.put(KEY, "wrong").await.unwrap();
        live.wait_for(&body).await;
    }
    live.envoy.wait_for_stat("sluicegate_policy_rejections_total", &[], 5.0, PATIENCE).await.unwrap();
    assert_eq!(live.sum("sluicegate_policy_updates_total").await, 7.0);
}

#[tokio::test]
async fn whatever_becomes_of_etcd_the_policy_is_kept_and_the_watch_resumed() {
    let mut etcd = Etcd::start().await.unwrap();
    let mut live = set(&etcd).await;
    put(&etcd, "before").await;
    live.wait_for("before").await;

    etcd.kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(live.say().await, ["before", "before"]);
    etcd.restart().await.unwrap();
    put(&etcd, "restarted").await;
    println!("restarted: {:?}", live.wait_for("restarted").await);

    // What the watch would go on from is gone.
    etcd.kill();
    etcd.restart().await.unwrap();
    for number in 0..20 {
        put(&etcd, &format!("skipped {number}")).await;
    }
    let revision = put(&etcd, "compacted").await;
    etcd.compact(revision).await.unwrap();
    println!("compacted: {:?}", live.wait_for("compacted").await);

    // Revisions begin anew, and the first is lower than all before.
    etcd.wipe().await.unwrap();
    put(&etcd, "wiped").await;
    println!("wiped: {:?}", live.wait_for("wiped").await);
    // Nobody has deleted the key.
    let troubles = live.sum("sluicegate_policy_source_troubles_total").await;
    etcd.wipe().await.unwrap();
    live.envoy.wait_for_log("restored or wiped", PATIENCE).await.unwrap();
    assert_eq!(live.say().await, ["wiped", "wiped"]);
    live.envoy.wait_for_stat("sluicegate_policy_source_troubles_total", &[], troubles + 1.0, PATIENCE).await.unwrap();
    put(&etcd, "there again").await;
    println!("wiped, empty and there again: {:?}", live.wait_for("there again").await);
    etcd.delete(KEY).await.unwrap();
    live.wait_for("plugin").await;
}

#[tokio::test]
async fn an_etcd_that_hangs_is_found_out() {
    let etcd = Etcd::start().await.unwrap();
    let mut live = set(&etcd).await;
    put(&etcd, "before").await;
    live.wait_for("before").await;
    etcd.pause().unwrap();
    let troubles = "sluicegate_policy_source_troubles_total";
    live.envoy.wait_for_stat(troubles, &[], 1.0, Duration::from_secs(60)).await.unwrap();
    assert_eq!(live.say().await, ["before", "before"]);
    etcd.resume().unwrap();
    put(&etcd, "after").await;
    live.wait_for("after").await;
}

#[tokio::test]
async fn a_thousand_puts_under_load_fail_no_request() {
    const PUTS: u64 = 1_000;
    let etcd = Etcd::start().await.unwrap();
    let mut live = set(&etcd).await;
    let load = Load { connections: 8, protocol: Protocol::Http1, until: Until::Elapsed(Duration::from_secs(12)) };
    let load = tokio::spawn(load.run(live.envoy.address(), |_| Request::get("/")));
    let began = tokio::time::Instant::now();
    for number in 1..=PUTS {
        put(&etcd, &format!("put {number}")).await;
        let due = Duration::from_millis(10) * u32::try_from(number).unwrap();
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
    }
    let report = load.await.unwrap();
    assert_eq!((report.errors, report.statuses.len()), (0, 1), "{report}");
    assert!(report.answered(200) > 1_000, "{report}");
    live.wait_for(&format!("put {PUTS}")).await;
    let updates = live.sum("sluicegate_policy_updates_total").await;
    println!("{updates} of {PUTS} versions were in force at some time; {report}");
    assert_eq!(live.sum("sluicegate_policy_rejections_total").await, 0.0);
}

#[tokio::test]
async fn with_a_user_and_over_tls() {
    let mut etcd = Etcd::start_tls().await.unwrap();
    etcd.put(KEY, answering("secret").to_string()).await.unwrap();
    etcd.enable_auth("mesh", "pass-w0rd", KEY).await.unwrap();
    let (address, ca) = (etcd.address(), etcd.ca().unwrap().to_owned());
    let with = |password: &str| {
        let source = json!({"etcd": {"cluster": "etcd", "key": KEY, "user": "mesh", "password": password}});
        let ca = ca.clone();
        Live::set(source, move |shipped| shipped.tls_grpc_cluster("etcd", address, &ca))
    };
    let mut live = with("pass-w0rd").await;
    live.wait_for("secret").await;
    etcd.put(KEY, answering("changed").to_string()).await.unwrap();
    live.wait_for("changed").await;
    let mut refused = with("wrong").await;
    let troubles = "sluicegate_policy_source_troubles_total";
    refused.envoy.wait_for_stat(troubles, &[], 1.0, PATIENCE).await.unwrap();
    assert_eq!(refused.say().await, ["plugin", "plugin"]);
    for envoy in [&live.envoy, &refused.envoy] {
        let log = envoy.log().unwrap();
        assert!(!log.contains("pass-w0rd") && !log.contains("wrong\""), "{log}");
    }
}

#[tokio::test]
async fn a_cluster_that_the_proxy_does_not_have_is_told() {
    let mut live = Live::set(source(), |shipped| shipped).await;
    live.envoy.wait_for_log("policy source etcd (cluster \"etcd\"", PATIENCE).await.unwrap();
    assert_eq!(live.say().await, ["plugin", "plugin"]);
}
