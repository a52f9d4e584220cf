//! The policy, changed while Envoy runs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sluicegate_tests::client::{Connection, Protocol, Reply, Request};
use tokio::task::JoinSet;

use super::Part;
use super::page::Page;
use super::stage::{CONNECTIONS, PATIENCE, Stage, Verdict, with};
use super::trace_context::{SPAN, TRACE, Traceparent, traceparent};

pub(super) const PARTS: [Part; 2] = [
    Part {
        title: "A new policy comes into force while requests go on",
        why: "No restart, no dropped request. Here: a span of this hop's own, and the context in four formats.",
        show: |stage, page| Box::pin(changes(stage, page)),
    },
    Part {
        title: "A wrong policy changes nothing",
        why: "It is rejected whole; Envoy's log says where, what was found and what is accepted, and traffic goes on.",
        show: |stage, page| Box::pin(rejects(stage, page)),
    },
];

/// Far more than a change takes; a policy that needs longer is stuck.
pub(super) const AT_ONCE: Duration = Duration::from_secs(2);

async fn changes(stage: &Stage, page: &mut Page) -> Result<()> {
    let fields = json!({"trace": {"mode": "participate", "inject": ["w3c", "b3", "xray", "google"]}});
    let traceparent = traceparent(TRACE, SPAN);
    let sent = [("traceparent", traceparent.as_str())];
    show_policy(page, &fields);

    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let connection = Connection::open(stage.envoy.address(), Protocol::Http1).await?;
        let request = with(Request::get("/hello"), &sent);
        connections.spawn(send_until(connection, request, |reply| Ok(reply.seen()?.header("b3").is_some())));
    }
    let handed_over = Instant::now();
    let verdict = stage.swap_policy(&changed(stage, &fields)?).await?;
    ensure!(matches!(verdict, Verdict::InForce), "the new policy was rejected");
    let mut last = Duration::ZERO;
    let (mut requests, mut failed): (u64, u64) = (0, 0);
    for sender in connections.join_all().await {
        let sender = sender?;
        last = last.max(sender.changed.saturating_duration_since(handed_over));
        requests = requests.saturating_add(sender.requests);
        failed = failed.saturating_add(sender.failed);
    }
    let claim = format!("in force on every worker {} after it was handed over", milliseconds(last));
    page.check(last < AT_ONCE, claim);
    page.check(failed == 0, format_args!("{requests} requests meanwhile, {failed} failed"));

    let (_, seen) = stage.get("/hello", &sent).await?;
    page.exchange(&sent, &seen);
    let ours = Traceparent::of(&seen)?;
    page.check(ours.trace == TRACE && ours.span != SPAN, "the same trace, and a span of this hop");
    let (time, random) = TRACE.split_at(8);
    let decimal = u64::from_str_radix(ours.span, 16).context("the span id")?;
    let say_the_same = [
        ("b3", format!("{TRACE}-{}-1-{SPAN}", ours.span)),
        ("x-amzn-trace-id", format!("Root=1-{time}-{random};Parent={};Sampled=1", ours.span)),
        ("x-cloud-trace-context", format!("{TRACE}/{decimal};o=1")),
    ]
    .iter()
    .all(|(name, value)| seen.all(name) == [value.as_str()]);
    page.check(say_the_same, "all four say so; B3 also names the caller's span");
    Ok(())
}

/// What one connection sent until it saw the new policy.
pub(super) struct Sender {
    pub(super) changed: Instant,
    pub(super) requests: u64,
    pub(super) failed: u64,
}

/// Sends over and over until an answer shows what is waited for.
pub(super) async fn send_until(
    mut connection: Connection,
    request: Request,
    shows: impl Fn(&Reply) -> Result<bool>,
) -> Result<Sender> {
    let started = Instant::now();
    let (mut requests, mut failed): (u64, u64) = (0, 0);
    while started.elapsed() < PATIENCE {
        let reply = connection.send(&request).await?;
        requests = requests.saturating_add(1);
        if reply.status != 200 {
            failed = failed.saturating_add(1);
        } else if shows(&reply)? {
            return Ok(Sender { changed: Instant::now(), requests, failed });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!("the new policy was not in force after {PATIENCE:?}; {failed} of {requests} requests failed")
}

async fn rejects(stage: &Stage, page: &mut Page) -> Result<()> {
    let wrong = json!({"trace": {"mode": "particpate", "inject": ["w3c", "zipkin"], "trust_incoming": false}});
    show_policy(page, &wrong);
    let verdict = stage.swap_policy(&changed(stage, &wrong)?).await?;
    let lines = match &verdict {
        Verdict::Rejected(lines) => lines.as_slice(),
        Verdict::InForce => &[],
    };
    lines.iter().for_each(|line| page.quote(line));
    let both = ["trace.mode", "trace.inject[1]"].iter().all(|path| lines.iter().any(|line| line.contains(path)));
    page.check(both, "rejected, and both mistakes are told");

    let traceparent = traceparent(TRACE, SPAN);
    let (reply, seen) = stage.get("/hello", &[("traceparent", &traceparent)]).await?;
    let as_before = reply.status == 200 && seen.all("traceparent") == [traceparent.as_str()];
    page.check(as_before, "the policy before is in force: a trusted caller's context still goes on untouched");
    Ok(())
}

/// The shipped policy with these fields of these sections changed.
pub(super) fn changed(stage: &Stage, sections: &Value) -> Result<Value> {
    let mut policy = stage.shipped.clone();
    for (name, fields) in members(sections) {
        let section = policy.get_mut(name).and_then(Value::as_object_mut);
        let section = section.with_context(|| format!("the policy has no section {name}"))?;
        section.extend(members(fields).map(|(name, value)| (name.clone(), value.clone())));
    }
    Ok(policy)
}

pub(super) fn show_policy(page: &mut Page, sections: &Value) {
    let fields = members(sections)
        .flat_map(|(section, fields)| members(fields).map(move |(name, value)| (format!("{section}.{name}:"), value)));
    let fields: Vec<_> = fields.collect();
    page.facts("given", &fields.iter().map(|(name, value)| (name.as_str(), value)).collect::<Vec<_>>());
}

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

/// With as many digits as mean something.
pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1000.0)
}
