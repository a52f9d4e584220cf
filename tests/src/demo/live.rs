//! A policy in etcd, changed while Envoy runs.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sluicegate_tests::client::{Connection, Protocol, Request};
use sluicegate_tests::envoy::{Bootstrap, Envoy};
use sluicegate_tests::etcd::Etcd;
use sluicegate_tests::seen::Seen;
use sluicegate_tests::shipped;
use sluicegate_tests::upstream::Upstream;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::Part;
use super::page::Page;
use super::policy::{AT_ONCE, Sender, milliseconds, send_until};
use super::stage::{CONNECTIONS, PATIENCE};

pub(super) const PARTS: [Part; 1] = [Part {
    title: "A policy in etcd is followed while requests go on",
    why: "One push for every proxy that watches the key. Here: envoy/live.yaml, with the suite in it, and an etcd.",
    show: |stage, page| Box::pin(follows(&stage.live, page)),
}];

/// What `sluicectl` pushes: the shipped policy, but for one line.
const FILES: [(&str, &str); 3] =
    [("policy.yaml", SHIPPED), ("changed.yaml", "inject: [w3c, b3]"), ("wrong.yaml", "inject: [w3c, zipkin]")];
const SHIPPED: &str = "inject: [w3c]";
/// What another tool writes, which checks nothing.
const UNCHECKED: &str = r#"{"version": "1.0", "trace": {"inject": ["zipkin"]}}"#;
/// Requests while there is no etcd.
const ALONE: u64 = 200;

/// An Envoy with the suite, from the shipped configuration, and the etcd that it has its policy from. Dropping it stops both.
pub(crate) struct Live {
    pub(super) envoy: Envoy,
    pub(super) upstream: Upstream,
    etcd: Mutex<Etcd>,
    /// Of etcd, as `sluicectl` wants it.
    pub(super) endpoint: String,
    /// That Envoy watches.
    pub(super) key: String,
    /// Where `sluicectl` finds the policies.
    folder: TempDir,
}

impl Live {
    pub(super) async fn set() -> Result<Live> {
        let etcd = Etcd::start().await?;
        let upstream = Upstream::start().await?;
        let plugin = shipped::yaml("envoy/ecds/live.yaml")?;
        let key = plugin.pointer("/resources/0/typed_config/config/configuration/value/policy_source/etcd/key");
        let key = key.and_then(Value::as_str).context("no key of etcd in envoy/ecds/live.yaml")?.to_owned();
        let bootstrap = Bootstrap::read("envoy/live.yaml")?.upstream(upstream.address()).balanced();
        let envoy = bootstrap.endpoint("etcd", etcd.address())?.start().await?;
        envoy.wait_for_swaps("suite", 1, 0, PATIENCE).await?;

        let folder = TempDir::with_prefix("sluicegate-demo-").context("cannot make a temporary folder")?;
        let policy = shipped::text("envoy/policy.yaml")?;
        ensure!(policy.matches(SHIPPED).count() == 1, "envoy/policy.yaml does not have {SHIPPED:?} once");
        for (name, line) in FILES {
            let file = folder.path().join(name);
            std::fs::write(file, policy.replace(SHIPPED, line)).with_context(|| format!("cannot write {name}"))?;
        }
        let endpoint = etcd.endpoint();
        Ok(Live { envoy, upstream, etcd: Mutex::new(etcd), endpoint, key, folder })
    }

    /// Runs `sluicectl` as a user would, and shows the command and what it says.
    async fn sluicectl(&self, page: &mut Page, command: &str, file: Option<&str>) -> Result<Ran> {
        let arguments: Vec<_> =
            [command, "--etcd", &self.endpoint, &self.key].into_iter().chain(file).map(str::to_owned).collect();
        let line = FILES.iter().find(|(name, _)| Some(*name) == file).map(|(_, line)| *line);
        page.command(format_args!("sluicectl {}", arguments.join(" ")), line);
        let started = Instant::now();
        let mut process = Command::new(sluicectl()?);
        process.args(&arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        let output = process.output().await.context("cannot run sluicectl")?;
        for text in [&output.stdout, &output.stderr] {
            String::from_utf8_lossy(text).lines().for_each(|line| page.quote(line));
        }
        Ok(Ran { code: output.status.code(), took: started.elapsed() })
    }

    /// Runs `sluicectl` while requests go on, until the service sees of every worker what `shows` says, which should be
    /// `within` so long after the command has ended.
    async fn changes(
        &self,
        page: &mut Page,
        command: &str,
        file: Option<&str>,
        within: Duration,
        shows: fn(&Seen) -> bool,
    ) -> Result<()> {
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let connection = Connection::open(self.envoy.address(), Protocol::Http1).await?;
            connections.spawn(send_until(connection, Request::get("/hello"), move |reply| Ok(shows(&reply.seen()?))));
        }
        let started = Instant::now();
        let ran = self.sluicectl(page, command, file).await?;
        let mut last = Duration::ZERO;
        let (mut requests, mut failed): (u64, u64) = (0, 0);
        for sender in connections.join_all().await {
            let Sender { changed, requests: sent, failed: lost } = sender?;
            last = last.max(changed.saturating_duration_since(started));
            requests = requests.saturating_add(sent);
            failed = failed.saturating_add(lost);
        }
        let claim = format!(
            "in force on every worker {} after the command was given; {} of that is the command",
            milliseconds(last),
            milliseconds(ran.took)
        );
        page.check(ran.code == Some(0) && last < within.saturating_add(ran.took), claim);
        page.check(failed == 0, format_args!("{requests} requests meanwhile, {failed} failed"));
        Ok(())
    }

    /// What Envoy says of the versions that it rejected, without its own prefix.
    fn rejections(&self) -> Result<Vec<String>> {
        let log = self.envoy.log()?;
        let told = log.lines().filter_map(|line| line.find("suite: the policy of etcd").and_then(|at| line.get(at..)));
        Ok(told.filter(|line| line.contains(" is rejected: ")).map(str::to_owned).collect())
    }

    async fn get(&self) -> Result<Seen> {
        Request::get("/hello").send(self.envoy.address(), Protocol::Http1).await?.seen()
    }
}

/// What became of a command.
struct Ran {
    code: Option<i32>,
    took: Duration,
}

/// It is built with the demo.
fn sluicectl() -> Result<PathBuf> {
    let path = std::env::current_exe().context("cannot find the demo")?.with_file_name("sluicectl");
    ensure!(path.is_file(), "{} is not there: scripts/demo builds it", path.display());
    Ok(path)
}

/// Whether the service got B3, as the changed policy has it.
fn b3(seen: &Seen) -> bool {
    seen.header("b3").is_some()
}

async fn follows(live: &Live, page: &mut Page) -> Result<()> {
    let first = live.sluicectl(page, "push", Some("policy.yaml")).await?;
    let labels = [("plugin", "suite"), ("source", "etcd"), ("version", "1.0")];
    let revision = live.envoy.wait_for_stat("sluicegate_policy_revision", &labels, 1.0, PATIENCE).await?;
    let shown = format!("the proxy has it: sluicegate_policy_revision is {revision}");
    page.check(first.code == Some(0) && !b3(&live.get().await?), shown);

    live.changes(page, "push", Some("changed.yaml"), AT_ONCE, b3).await?;
    let seen = live.get().await?;
    page.exchange(&[], &seen);
    page.check(b3(&seen), "the service gets B3 as well");

    let refused = live.sluicectl(page, "push", Some("wrong.yaml")).await?;
    page.check(refused.code == Some(1) && b3(&live.get().await?), "refused: etcd has not seen it");

    page.facts("put", &[("by another tool, unchecked:", UNCHECKED)]);
    let revision = live.etcd.lock().await.put(&live.key, UNCHECKED).await?;
    let labels = [("plugin", "suite"), ("source", "etcd")];
    let counted = "sluicegate_policy_rejections_total";
    let rejected = live.envoy.wait_for_stat(counted, &labels, 1.0, PATIENCE).await?;
    let told = live.rejections()?;
    told.iter().for_each(|line| page.quote(line));
    let named = told.len() == 1 && told.iter().all(|line| line.contains(&format!("revision {revision} ")));
    page.check(named && rejected == 1.0, format_args!("rejected by the proxy, told once, and counted in {counted}"));
    page.check(b3(&live.get().await?), "the policy before it stays in force");

    live.changes(page, "rollback", None, AT_ONCE, |seen| !b3(seen)).await?;

    live.etcd.lock().await.kill();
    page.facts("etcd", &[("", "is killed")]);
    let counted = "sluicegate_policy_source_troubles_total";
    live.envoy.wait_for_stat(counted, &labels, 1.0, PATIENCE).await?;
    let mut connection = Connection::open(live.envoy.address(), Protocol::Http1).await?;
    let mut kept = true;
    for _ in 0..ALONE {
        let reply = connection.send(&Request::get("/hello")).await?;
        kept &= reply.status == 200 && !b3(&reply.seen()?);
    }
    page.check(kept, format_args!("{ALONE} requests go on by the policy that was in force; {counted} tells of it"));

    live.etcd.lock().await.restart().await?;
    page.facts("etcd", &[("", "is back")]);
    // The proxy looks for it after a pause, which is the longer the longer etcd was away.
    live.changes(page, "push", Some("changed.yaml"), PATIENCE, b3).await
}
