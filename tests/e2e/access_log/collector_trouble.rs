//! A collector that dies and comes back, is slow, or answers nonsense, under load and across policies: no request notices,
//! and every record is accounted for.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde_json::{Value, json};
use sluicegate_tests::client::load::{Load, Report, Until};
use sluicegate_tests::client::{Protocol, Request};
use sluicegate_tests::collector::{Answer, Collector};
use tokio::task::JoinHandle;

use super::with_collector;
use crate::stage::{PATIENCE, Stage};

/// Everything goes to the collector; `otlp` says how, `version` tells one policy from the next.
fn policy(otlp: &Value, version: u64) -> Value {
    let mut settings = json!({
        "cluster": "otel_collector",
        "batch": {"max_age": "100ms", "max_records": 256},
        "queue": {"max_records": 100_000, "max_bytes": 67_108_864},
        "retry": {"initial": "100ms", "max": "500ms", "attempts": 20},
        "timeout": "1s",
    });
    for (name, value) in otlp.as_object().unwrap() {
        settings[name] = value.clone();
    }
    let attributes = json!([{"name": "version", "value": version.to_string()}]);
    let log = json!({"profile": "dev", "sinks": "otlp", "otlp": settings, "attributes": attributes});
    json!({"version": "1.0", "access_log": log})
}

async fn stage(collector: &Collector, otlp: Value) -> Stage {
    Stage::set(|shipped| with_collector(shipped.policy(&policy(&otlp, 0)).balanced(), collector)).await
}

fn load(stage: &Stage, until: Until) -> JoinHandle<Report> {
    let load = Load { connections: 8, protocol: Protocol::Http1, until };
    tokio::spawn(load.run(stage.envoy.address(), |n| Request::get("/").header("x-request-id", format!("n{n}"))))
}

/// What the counters say, in their own words.
#[derive(Debug)]
struct Ledger {
    made: f64,
    sent: f64,
    dropped: f64,
    retried: f64,
    queued: f64,
    under_way: f64,
}

impl Ledger {
    async fn read(stage: &Stage) -> Ledger {
        let stats = stage.envoy.stats().await.unwrap();
        let sum = |name: &str| stats.sum(&format!("sluicegate_otlp_{name}"), &[("signal", "logs")]).unwrap_or(0.0);
        Ledger {
            made: sum("made_total"),
            sent: sum("sent_total"),
            dropped: sum("dropped_total"),
            retried: sum("retried_total"),
            queued: sum("queued"),
            under_way: sum("under_way"),
        }
    }

    /// Waits until so many were made and the rest is as wanted.
    async fn wait(stage: &Stage, made: u64, done: impl Fn(&Ledger) -> bool) -> Ledger {
        let begun = Instant::now();
        loop {
            let ledger = Ledger::read(stage).await;
            let adds_up = ledger.sent + ledger.dropped + ledger.queued + ledger.under_way == ledger.made;
            if ledger.made == made as f64 && adds_up && done(&ledger) {
                return ledger;
            }
            assert!(begun.elapsed() < PATIENCE, "{made} made: {ledger:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn ids(collector: &Collector) -> BTreeSet<String> {
    collector.log_records().iter().map(|record| record.attributes["sluicegate.req_id"].to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_killed_under_load_while_policies_change_loses_nothing() {
    let mut collector = Collector::start().await.unwrap();
    let stage = stage(&collector, json!({})).await;
    let requests = load(&stage, Until::Elapsed(Duration::from_secs(4)));
    let pause = || tokio::time::sleep(Duration::from_millis(500));
    pause().await;
    for swap in 0..3 {
        collector.stop().await;
        pause().await;
        stage.envoy.swap_policy(&policy(&json!({}), 2 * swap + 1)).unwrap();
        pause().await;
        collector.restart().await.unwrap();
        stage.envoy.swap_policy(&policy(&json!({}), 2 * swap + 2)).unwrap();
    }
    let report = requests.await.unwrap();
    assert_eq!(report.answered(200), report.total(), "{report}");
    let ledger = Ledger::wait(&stage, report.total(), |ledger| ledger.queued + ledger.under_way == 0.0).await;
    assert_eq!(ledger.dropped, 0.0, "{ledger:?}");
    assert!(ledger.retried > 0.0, "{ledger:?}");
    // At least once: what was under way when the collector died it may have twice.
    assert_eq!(ids(&collector).len() as u64, report.total(), "{ledger:?}");
    let versions: BTreeSet<_> =
        collector.log_records().iter().map(|record| record.attributes["version"].to_string()).collect();
    assert!(versions.len() > 3, "{versions:?}");
    assert_eq!(collector.problems(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_gone_costs_records_and_no_requests() {
    let mut collector = Collector::start().await.unwrap();
    collector.stop().await;
    let small = json!({"queue": {"max_records": 500}, "batch": {"max_age": "100ms", "max_records": 100}});
    let stage = stage(&collector, small.clone()).await;
    let report = load(&stage, Until::Requests(4_000)).await.unwrap();
    assert_eq!(report.answered(200), 4_000, "{report}");
    let held = Ledger::wait(&stage, 4_000, |ledger| ledger.queued > 0.0).await;
    // Two workers hold 500 each at most.
    assert!(held.queued + held.under_way <= 1_000.0 && held.dropped >= 3_000.0, "{held:?}");
    stage.envoy.swap_policy(&policy(&small, 1)).unwrap();
    collector.restart().await.unwrap();
    let end = Ledger::wait(&stage, 4_000, |ledger| ledger.queued + ledger.under_way == 0.0).await;
    assert_eq!(collector.log_records().len() as f64, end.sent, "{end:?}");
    let full = [("signal", "logs"), ("reason", "queue_full")];
    let full = stage.envoy.stats().await.unwrap().sum("sluicegate_otlp_dropped_total", &full);
    assert_eq!(full, Some(end.dropped), "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_slow_or_answers_nonsense_is_not_felt() {
    let collector = Collector::start().await.unwrap();
    let stage = stage(&collector, json!({})).await;
    let reject = Answer::Reject { records: 1, message: "not today".to_owned() };
    let unavailable = Answer::status(StatusCode::SERVICE_UNAVAILABLE).retry_after(1);
    let mut made = 0;
    for (answer, hold) in [
        (Answer::Nonsense, 0),
        (Answer::Accept, 600),
        (Answer::Never, 0),
        (Answer::Reset, 0),
        (Answer::status(StatusCode::BAD_REQUEST), 0),
        (unavailable, 0),
        (reject, 0),
    ] {
        collector.answer(answer.clone());
        collector.hold(Duration::from_millis(hold));
        let report = load(&stage, Until::Requests(1_000)).await.unwrap();
        made += 1_000;
        assert_eq!(report.answered(200), 1_000, "{answer:?}: {report}");
        // Long enough for a batch to go out and be answered like this.
        tokio::time::sleep(Duration::from_millis(1_300)).await;
    }
    collector.answer(Answer::Accept);
    collector.hold(Duration::ZERO);
    let end = Ledger::wait(&stage, made, |ledger| ledger.queued + ledger.under_way == 0.0).await;
    let dropped = |reason| {
        let stats = stage.envoy.stats();
        async move {
            stats
                .await
                .unwrap()
                .sum("sluicegate_otlp_dropped_total", &[("signal", "logs"), ("reason", reason)])
                .unwrap()
        }
    };
    let (refused, rejected) = (dropped("refused").await, dropped("rejected").await);
    assert!(refused > 0.0 && rejected > 0.0 && end.retried > 0.0, "{refused} {rejected} {end:?}");
    assert_eq!(rejected, collector.rejected().log_records as f64);
    assert_eq!(refused + rejected, end.dropped, "{end:?}");
    stage.envoy.wait_for_log("otlp: ", PATIENCE).await.unwrap();
}
