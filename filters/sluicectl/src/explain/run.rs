//! The request, through all filters, on a proxy in memory.

use super::Side;
use super::answer::Answered;
use super::message::Headers;
use crate::document::Policy;
use crate::document::json;
use crate::document::tree::{Node, Value};
use crate::verdict::{self, Judging};
use anyhow::{Result, bail};
use sluicegate_host::double::{Double, Outcome, Pace};
use sluicegate_suite::Suite;
use std::time::Duration;

/// An exchange before it happens.
pub(super) struct Scene<'s> {
    pub(super) request: &'s Headers,
    pub(super) response: &'s Headers,
    pub(super) status: u16,
    pub(super) side: Side,
    pub(super) duration: Duration,
    pub(super) cluster: &'s str,
    pub(super) route: &'s str,
    pub(super) judging: Judging,
}

/// What came of it.
pub(super) struct Came {
    pub(super) outcome: Outcome,
    /// What the proxy told of the answer.
    pub(super) answer: Answered,
    /// The log record, as a line of JSON.
    pub(super) record: Option<String>,
    /// Why there is none, in the word of the counter that counts it.
    pub(super) not_kept: Option<&'static str>,
}

/// When every exchange takes place: in November 2023.
const BEGIN: Duration = Duration::from_secs(1_700_000_000);

const REASONS: [&str; 4] = ["drop", "severity", "sampling", "burst"];

/// # Errors
/// Where the filters do not start, which a policy that was checked does not lead to.
pub(super) fn run(policy: &Policy, scene: &Scene<'_>) -> Result<Came> {
    let came = attempt(policy, scene, Answered::of_upstream(scene))?;
    match &came.outcome.reply {
        // What a proxy tells of it when the exchange is over is known only now. The rest is the same every time.
        Some(reply) => attempt(policy, scene, Answered::of_filter(scene, reply)),
        None => Ok(came),
    }
}

/// An exchange of which the proxy tells that it got this answer.
fn attempt(policy: &Policy, scene: &Scene<'_>, answer: Answered) -> Result<Came> {
    let proxy = Double::new();
    proxy.advance(BEGIN);
    for variable in verdict::of_policy(policy, Judging::default()).variables {
        if let Some(value) = verdict::variable(&variable, scene.judging) {
            proxy.set_environment(&variable, &value);
        }
    }
    set_the_scene(proxy, scene, &answer);
    let document = json::compact(&with_line_of_log(policy.root()));
    let mut running = match proxy.start::<Suite>(&document) {
        Ok(running) => running,
        Err(lines) => bail!("{}", lines.join("\n")),
    };
    let request: Vec<_> = scene.request.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let response: Vec<_> = scene.response.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let pace = Pace { answer: scene.duration, ..Pace::default() };
    let outcome = running.timed_exchange(&request, &response, pace);
    let record = proxy.take("access_log").map(|line| String::from_utf8_lossy(&line).into_owned());
    // Counts are told on ticks.
    running.tick();
    let is_counted = |reason: &&&str| {
        proxy.metric(&format!("sluicegate_access_log_not_kept_total.reason={reason}")).is_some_and(|count| count > 0)
    };
    let not_kept = REASONS.iter().find(is_counted).copied();
    Ok(Came { outcome, answer, record, not_kept })
}

/// What a proxy tells the filters.
fn set_the_scene(proxy: &Double, scene: &Scene<'_>, answer: &Answered) {
    let nanoseconds = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX).to_le_bytes();
    let direction: i64 = match scene.side {
        Side::Inbound => 1,
        Side::Outbound => 2,
        Side::Gateway => 0,
    };
    proxy.set("xds\0listener_direction", direction.to_le_bytes());
    proxy.set("xds\0cluster_name", scene.cluster);
    proxy.set("xds\0route_name", scene.route);
    proxy.set("request\0time", nanoseconds(BEGIN));
    proxy.set("request\0duration", nanoseconds(answer.duration));
    proxy.set("request\0protocol", "HTTP/1.1");
    proxy.set("response\0code", i64::from(answer.status).to_le_bytes());
    proxy.set("response\0grpc_status", answer.grpc_status.to_le_bytes());
    if !answer.is_of_filter {
        proxy.set("response\0code_details", "via_upstream");
    }
    proxy.set("response\0flags", 0i64.to_le_bytes());
}

/// The same policy with `proxy` among the sinks of the log: records for a collector alone would be there in protobuf only.
fn with_line_of_log(mut document: Node) -> Node {
    let fields = |node: &mut Node, name: &str| match &mut node.value {
        Value::Object(fields) => fields.iter().position(|field| field.name == name),
        _ => None,
    };
    let way = ["access_log", "sinks"];
    let mut node = &mut document;
    for name in way {
        let Some(place) = fields(node, name) else { return document };
        let Value::Object(fields) = &mut node.value else { return document };
        let Some(field) = fields.get_mut(place) else { return document };
        node = &mut field.node;
    }
    let sinks: Vec<_> = match &node.value {
        Value::String(sink) => vec![sink.clone()],
        _ => node.items().iter().filter_map(Node::text).map(str::to_owned).collect(),
    };
    if !sinks.is_empty() && !sinks.iter().any(|sink| sink == "proxy") {
        let sinks = sinks.into_iter().chain(["proxy".to_owned()]);
        node.value = Node::of_items(sinks.map(Node::of_text).collect()).value;
    }
    document
}
