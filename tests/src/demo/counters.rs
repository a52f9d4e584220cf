//! What was counted on the way.

use std::time::{Duration, Instant};

use anyhow::Result;
use sluicegate_tests::envoy::{Series, Stats};

use super::Part;
use super::page::Page;
use super::stage::Stage;

pub(super) const PARTS: [Part; 1] = [Part {
    title: "All of it was counted",
    why: "On Envoy's /stats/prometheus, by format: who still sends B3, whose headers are broken, where traces begin.",
    show: |stage, page| Box::pin(counts(stage, page)),
}];

/// Counters reach Envoy once a second.
const PATIENCE: Duration = Duration::from_secs(5);

async fn counts(stage: &Stage, page: &mut Page) -> Result<()> {
    let requests = stage.upstream.requests();
    let started = Instant::now();
    let stats = loop {
        let stats = stage.envoy.stats().await?;
        if counted(&stats) == count(requests) + shed(&stats) || started.elapsed() > PATIENCE {
            break stats;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let ours: Vec<_> = stats.0.iter().filter(|series| series.name.starts_with("sluicegate_")).collect();
    let raised: Vec<_> = ours.iter().filter(|series| series.value > 0.0).map(|s| (text(s), s.value)).collect();
    page.facts("count", &raised.iter().map(|(name, value)| (name.as_str(), *value)).collect::<Vec<_>>());
    let (sum, shed) = (counted(&stats), shed(&stats));
    page.check(
        sum == count(requests) + shed,
        format_args!(
            "{sum} traces started or continued, for the {requests} requests that the service saw and {shed} that were shed"
        ),
    );
    Ok(())
}

/// Every request either starts a trace or continues one.
fn counted(stats: &Stats) -> f64 {
    let sum = |name| stats.sum(name, &[]).unwrap_or(0.0);
    sum("sluicegate_trace_started_total") + sum("sluicegate_trace_continued_total")
}

/// What a breaker answered: it has a trace, and never came to the service.
fn shed(stats: &Stats) -> f64 {
    stats.sum("sluicegate_breaker_shed_total", &[]).unwrap_or(0.0)
}

/// Prometheus knows only floating point; exact up to 2^53.
fn count(requests: u64) -> f64 {
    requests as f64
}

fn text(Series { name, labels, .. }: &Series) -> String {
    let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
    match labels.is_empty() {
        true => name.clone(),
        false => format!("{name}{{{}}}", labels.join(",")),
    }
}
