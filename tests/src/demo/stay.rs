//! Envoy stays up for requests and policies of the reader's own.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use owo_colors::Style;
use serde_json::Value;
use sluicegate_tests::shipped;
use tempfile::TempDir;
use tokio::time::sleep;

use super::page::{say, styled};
use super::policy::milliseconds;
use super::stage::{Stage, Verdict};
use super::trace_context::{SPAN, TRACE, traceparent};

/// Between two looks at the file.
const POLL: Duration = Duration::from_millis(100);

/// Says what can be done, and puts every policy in force that is saved in the file it names.
///
/// # Errors
/// When the file cannot be written or Envoy does not answer.
pub(crate) async fn stay(stage: &Stage) -> Result<()> {
    let folder = TempDir::with_prefix("sluicegate-demo-").context("cannot make a temporary folder")?;
    let file = folder.path().join("policy.yaml");
    // With its comments, which the one that Envoy reads has not.
    let example = shipped::text("envoy/policy.yaml")?;
    let body = example.find("\nversion:").and_then(|at| example.get(at..)).unwrap_or(&example);
    let opening =
        "# The policy of the demo's Envoy. Save, and it is in force, or the demo says what is wrong with it.\n";
    std::fs::write(&file, format!("{opening}{body}")).context("cannot write the policy")?;

    say!();
    say!("{}", styled("Your turn.", Style::new().bold()));
    offer(&[
        ("send", format!("curl -s {}/hello -H 'traceparent: {}'", stage.envoy.url(), traceparent(TRACE, SPAN))),
        ("edit", format!("{}    the policy: save, and it is in force", file.display())),
        ("count", format!("curl -s http://{}/stats/prometheus | grep sluicegate", stage.envoy.admin_address())),
        ("admin", format!("http://{}", stage.envoy.admin_address())),
    ]);
    let live = &stage.live;
    let at = format!("--etcd {} {}", live.endpoint, live.key);
    say!("The Envoy whose policy is in etcd:");
    offer(&[
        ("send", format!("curl -s {}/hello", live.envoy.url())),
        ("push", format!("scripts/sluicectl push {at} {}    or any other file", file.display())),
        ("back", format!("scripts/sluicectl rollback {at}")),
        ("count", format!("curl -s http://{}/stats/prometheus | grep sluicegate_policy", live.envoy.admin_address())),
    ]);
    say!("Ctrl-C stops everything.");
    follow(stage, &file).await
}

/// What the reader may do, and how.
fn offer(offers: &[(&str, String)]) {
    for (what, how) in offers {
        say!("   {} {how}", styled(format_args!("{what:<6}"), Style::new().cyan()));
    }
}

async fn follow(stage: &Stage, file: &Path) -> Result<()> {
    let mut tried = read(file);
    let mut last = tried.clone();
    loop {
        sleep(POLL).await;
        let now = read(file);
        // Not while an editor is at it.
        let settled = now == last && now.as_deref().is_some_and(|text| !text.trim().is_empty());
        if settled && now != tried {
            try_policy(now.as_deref().unwrap_or_default(), stage).await?;
            tried.clone_from(&now);
        }
        last = now;
    }
}

/// `None` while an editor has it moved away.
fn read(file: &Path) -> Option<String> {
    std::fs::read_to_string(file).ok()
}

async fn try_policy(text: &str, stage: &Stage) -> Result<()> {
    let policy: Value = match serde_saphyr::from_str(text) {
        Ok(policy) => policy,
        Err(error) => {
            say!("policy: no YAML, so Envoy was not asked: {error}");
            return Ok(());
        }
    };
    let started = Instant::now();
    match stage.swap_policy(&policy).await? {
        Verdict::InForce => say!("policy: in force after {}", milliseconds(started.elapsed())),
        Verdict::Rejected(lines) => {
            say!("policy: rejected; the one before stays in force");
            lines.iter().for_each(|line| say!("   {line}"));
        }
    }
    Ok(())
}
