//! Another release of the module takes over while requests are under way, and gives way again. For a time both run side by
//! side; what they have in common is shared data.

mod release;
mod story;
mod unfinished;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use release::{Layout, release};
use serde_json::{Value, json};
use sluicegate_tests::client::{Reply, Request};
use sluicegate_tests::etcd::Etcd;
use sluicegate_tests::shipped;
use story::{PER_SECOND, Story};
use tempfile::TempDir;
use tokio::time::Instant;

use super::steady::Steady;
use super::swaps::LONG;
use super::{Live, answering, of_plugin};
use crate::stage::PATIENCE;

#[tokio::test]
async fn a_release_of_the_same_layout_goes_on_where_the_other_stopped() {
    let story = Story::of(Layout::Same, 2).await;
    story.breakers_counted_each_once().await;
    let first = story.turns[0].moved;
    assert_eq!(story.failed("ill", first, story.end), 0, "open, whoever sees to it");
    let trials = (story.end - first).as_secs() + 1;
    let failed = story.failed("sick", first, story.end);
    assert!(failed <= trials, "{failed} trials of a breaker that opens for a second each time, in {trials} s");
    let share = story.sampled(first, story.end);
    assert!((0.1..0.45).contains(&share), "{share} were sampled, of four times as many as there are to be");
    let opened = [("breaker", "ill"), ("to", "open")];
    let stats = story.live.envoy.stats().await.unwrap();
    assert_eq!(stats.sum("sluicegate_breaker_transitions_total", &opened), Some(1.0));
    assert_eq!(stats.sum("sluicegate_sampling_merge_failed_total", &[]), Some(0.0));
}

#[tokio::test]
async fn a_release_of_another_layout_leaves_alone_what_it_cannot_read() {
    let story = Story::of(Layout::NextVersion, 1).await;
    for turn in &story.turns {
        let failed = story.failed("ill", turn.in_force, turn.over);
        match turn.is_next {
            // It learns by itself, in each worker.
            true => assert!(failed < 2 * 20, "{failed}"),
            // And this one still knows.
            false => assert_eq!(failed, 0),
        }
    }
    let stats = story.live.envoy.stats().await.unwrap();
    let breakers: BTreeSet<_> =
        stats.named("sluicegate_breaker_passed_total").map(|series| series.labels[0].1.as_str()).collect();
    assert_eq!(
        breakers,
        BTreeSet::from(["_other", "ill", "policy", "sick", "upstream"]),
        "names that somebody misread"
    );
}

/// A mistake of whoever releases it.
#[tokio::test]
async fn a_release_that_does_not_tell_of_its_layout_harms_no_request() {
    Story::of(Layout::OtherOfTheSameVersion, 1).await;
}

#[tokio::test]
async fn the_policy_of_a_source_outlives_an_upgrade() {
    let (seen, updates) = live_policy(Layout::Same).await;
    assert!(!seen.contains_key("plugin"), "the policy of the plugin configuration was in force: {seen:?}");
    assert_eq!(updates, 3.0, "each version once, whoever tells");
}

#[tokio::test]
async fn the_policy_of_a_source_is_soon_in_force_again_after_an_upgrade_to_another_layout() {
    live_policy(Layout::NextVersion).await;
}

/// Has a release of this layout take over, and this one again, with a policy that etcd has. What was in force while requests came,
/// and how many versions were told to be in force.
async fn live_policy(layout: Layout) -> (BTreeMap<String, u32>, f64) {
    const KEY: &str = "/sluicegate/policy/checkout";
    let etcd = Etcd::start().await.unwrap();
    etcd.put(KEY, answering("version 0").to_string()).await.unwrap();
    let source = json!({"etcd": {"cluster": "etcd", "key": KEY}});
    let address = etcd.address();
    let mut live = Live::set(source.clone(), |shipped| shipped.grpc_cluster("etcd", address)).await;
    live.wait_for("version 0").await;
    let vms = live.vms().await;

    let seen: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let sees = Arc::clone(&seen);
    let look = move |_, _, reply: &Reply| *sees.lock().unwrap().entry(reply.text()).or_default() += 1;
    let load = Steady::begin(live.envoy.address(), PER_SECOND, |_| Request::get("/"), look);
    let releases = Releases::with(layout);
    for (number, (module, _)) in (1..).zip(releases.in_turn(1)) {
        live.upgrade(module, &of_plugin(source.clone()));
        live.envoy.wait_for_swaps("trace_context", number + 1, 0, LONG).await.unwrap();
        live.settles(vms).await;
        let same = live.wait_for(&format!("version {}", number - 1)).await;
        let body = format!("version {number}");
        etcd.put(KEY, answering(&body).to_string()).await.unwrap();
        let next = live.wait_for(&body).await;
        println!("{layout:?}: {same:.1?} after the upgrade it is in force, and a new version after {next:.1?}");
    }
    let statuses = load.end().await;
    assert_eq!(statuses.keys().collect::<Vec<_>>(), [&200], "{statuses:?}");
    let began = Instant::now();
    while etcd.watchers().await.unwrap() != 1.0 {
        assert!(began.elapsed() < PATIENCE, "{} watches", etcd.watchers().await.unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let updates = live.sum("sluicegate_policy_updates_total").await;
    let seen = Arc::into_inner(seen).unwrap().into_inner().unwrap();
    println!("{layout:?}: in force while requests came: {seen:?}");
    (seen, updates)
}

/// This release and the next, in files.
struct Releases {
    this: PathBuf,
    next: PathBuf,
    _folder: TempDir,
}

impl Releases {
    fn with(layout: Layout) -> Releases {
        let folder = TempDir::with_prefix("sluicegate-release-").unwrap();
        let this = shipped::plugin("suite").unwrap();
        let next = folder.path().join("suite.wasm");
        std::fs::write(&next, release(&std::fs::read(&this).unwrap(), layout)).unwrap();
        Releases { this, next, _folder: folder }
    }

    /// Those that take over, one after the other, and whether it is the next.
    fn in_turn(&self, rounds: usize) -> impl Iterator<Item = (&Path, bool)> {
        [(self.next.as_path(), true), (self.this.as_path(), false)].into_iter().cycle().take(2 * rounds)
    }
}

impl Live {
    /// Has this module take over, with this policy.
    fn upgrade(&self, module: &Path, policy: &Value) {
        let mut response = shipped::yaml("envoy/ecds/trace-context.yaml").unwrap();
        let plugin = &mut response["resources"][0]["typed_config"]["config"];
        let kind = "type.googleapis.com/google.protobuf.StringValue";
        plugin["configuration"] = json!({"@type": kind, "value": policy.to_string()});
        plugin["vm_config"]["code"]["local"]["filename"] = json!(module);
        self.envoy.swap_discovery("trace_context", &response.to_string()).unwrap();
    }

    /// How many VMs there are.
    async fn vms(&self) -> f64 {
        self.sum("envoy_wasm_wasm_vm_count").await
    }

    /// Until there are so many VMs: those of a release that nobody needs any more are gone. None has failed.
    async fn settles(&self, vms: f64) {
        let began = Instant::now();
        while self.vms().await != vms {
            assert!(began.elapsed() < LONG, "{} VMs", self.vms().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for what in ["", "_backoff", "_success", "_failure"] {
            assert_eq!(self.sum(&format!("envoy_wasm_trace_context_vm_reload{what}")).await, 0.0);
        }
        let log = self.envoy.log().unwrap();
        assert!(!log.contains("[error]") && !log.contains("[critical]"), "{log}");
    }
}
