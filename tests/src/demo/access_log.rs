//! The access-log filter.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sluicegate_tests::client::{Protocol, Request};

use super::Part;
use super::page::Page;
use super::stage::{Header, PATIENCE, Stage};
use super::trace_context::{SPAN, TRACE, traceparent};

pub(super) const PARTS: [Part; 3] = [
    Part {
        title: "A request has its line in the access log",
        why: "One schema for every service, in OpenTelemetry's names, joined to the trace; secrets stay out.",
        show: |stage, page| Box::pin(logs(stage, page)),
    },
    Part {
        title: "An error says what it was, and which others are like it",
        why: "One query finds all errors of a kind: the signature is the same wherever service, route and cause are.",
        show: |stage, page| Box::pin(signs(stage, page)),
    },
    Part {
        title: "What nobody will read is not logged",
        why: "Health checks and requests that are not sampled cost no line; errors and slow requests always have theirs.",
        show: |stage, page| Box::pin(leaves_out(stage, page)),
    },
];

async fn logs(stage: &Stage, page: &mut Page) -> Result<()> {
    let context = traceparent(TRACE, SPAN);
    let sent = [("traceparent", context.as_str()), ("x-request-id", "r-18"), ("user-agent", "demo (jane@example.com)")];
    let path = "/orders/4711?access_token=s3cr3t&page=2";
    let [line] = logged(stage, &[(path, &sent)]).await?;
    page.sent(path, &sent);
    page.json(&line);
    page.check(field(&line, "trace_id") == TRACE && field(&line, "req_id") == "r-18", "the ids that the service saw");
    page.check(attribute(&line, "http.route") == "/orders/{id}", "http.route is the template in the policy");
    let text = line.to_string();
    page.check(!text.contains("s3cr3t") && !text.contains("jane"), "neither the token nor the e-mail address is in it");
    Ok(())
}

async fn signs(stage: &Stage, page: &mut Page) -> Result<()> {
    let (unavailable, missing) = (("x-upstream-status", "503"), ("x-upstream-status", "404"));
    let requests: [(&str, &[Header<'_>]); 3] =
        [("/orders/1", &[unavailable]), ("/orders/2", &[unavailable]), ("/orders/3", &[missing])];
    let lines = logged(stage, &requests).await?;
    let fact = |line: &Value, name: &str| attribute(line, name).as_str().unwrap_or("(none)").to_owned();
    let signature = |line| fact(line, "sluicegate.error.signature");
    for line in &lines {
        let text = |name: &str| field(line, name).as_str().unwrap_or_default().to_owned();
        page.facts(
            "line",
            &[
                ("severity_text", text("severity_text")),
                ("body", text("body")),
                ("sluicegate.error.kind", fact(line, "sluicegate.error.kind")),
                ("sluicegate.error.signature", signature(line)),
            ],
        );
    }
    let [one, another, other] = &lines;
    page.check(signature(one) == signature(another), "two orders, the same error: one signature");
    page.check(signature(one) != signature(other), "another error, another signature");
    page.check(
        field(one, "severity_text") == "ERROR" && field(other, "severity_text") == "WARN",
        "503 is the service's error, 404 the caller's",
    );
    Ok(())
}

async fn leaves_out(stage: &Stage, page: &mut Page) -> Result<()> {
    let not_sampled = format!("00-{TRACE}-{SPAN}-00");
    let not_sampled: Header<'_> = ("traceparent", &not_sampled);
    let slow: [Header<'_>; 2] = [not_sampled, ("x-upstream-delay", "1100ms")];
    send(stage, "/healthz", &[]).await?;
    send(stage, "/hello", &[not_sampled]).await?;
    // Lines come in the order in which requests end: those of the two above would come before these.
    let [broken, late] = logged(stage, &[("/healthz", &[("x-upstream-status", "500")]), ("/hello", &slow)]).await?;
    let by = |line: &Value| attribute(line, "sluicegate.sampled_by").clone();
    page.check(by(&broken) == "error", "a health check has no line, unless it fails");
    page.check(by(&late) == "slow", "a request that is not sampled has no line, unless it takes longer than a second");
    Ok(())
}

/// What a line says under this name; null where it says nothing.
pub(super) fn field<'l>(line: &'l Value, name: &str) -> &'l Value {
    line.get(name).unwrap_or(&Value::Null)
}

pub(super) fn attribute<'l>(line: &'l Value, name: &str) -> &'l Value {
    field(field(line, "attributes"), name)
}

/// The line of the request with this id, as soon as it is there.
pub(super) async fn line_of(stage: &Stage, id: &str) -> Result<Value> {
    let started = Instant::now();
    loop {
        if let Some(line) = line_in(&stage.envoy.access_log()?, id) {
            return Ok(serde_json::from_str(line)?);
        }
        ensure!(started.elapsed() < PATIENCE, "no line for {id} in {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(super) fn line_in<'l>(log: &'l str, id: &str) -> Option<&'l str> {
    let id = format!("\"req_id\":\"{id}\"");
    log.lines().find(|line| line.contains(&id))
}

/// Sends these, one after the other, and waits for their lines, and no more.
async fn logged<const N: usize>(stage: &Stage, requests: &[(&str, &[Header<'_>]); N]) -> Result<[Value; N]> {
    // What was sent before may still have lines to come.
    let marker = format!("marker-{}", stage.upstream.requests());
    send(stage, "/marker", &[("x-request-id", &marker)]).await?;
    let before = loop {
        let log = stage.envoy.wait_for_access_log(1, PATIENCE).await?;
        if let Some(place) = log.iter().position(|line| line.contains(&marker)) {
            break place.saturating_add(1);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    for (path, headers) in requests {
        send(stage, path, headers).await?;
    }
    let log = stage.envoy.wait_for_access_log(before.saturating_add(N), PATIENCE).await?;
    let lines: Vec<Value> = log.iter().skip(before).map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
    lines.try_into().ok().with_context(|| format!("not {N} lines for {N} requests"))
}

async fn send(stage: &Stage, path: &str, headers: &[Header<'_>]) -> Result<()> {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(name, value));
    request.send(stage.envoy.address(), Protocol::Http1).await?;
    Ok(())
}
