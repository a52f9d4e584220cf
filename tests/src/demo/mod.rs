//! What the demo shows, in parts. A part is a title, a line on why an operator cares, and a function that sends requests,
//! shows what came of them and checks it. Nothing that is printed as an outcome is written here: it all came back from
//! Envoy or the service. A filter adds a module with its parts, and a line to [`PARTS`].

mod access_log;
mod breaker;
mod counters;
mod live;
mod page;
mod policy;
mod sampling;
mod stage;
mod stay;
mod trace_context;

use std::pin::Pin;
use std::time::Instant;

use anyhow::{Context, Result};
use sluicegate_tests::envoy;

use page::Page;
use stage::Stage;

pub(crate) use stay::stay;

/// Everything there is to show, in order.
const PARTS: [&[Part]; 7] = [
    &trace_context::PARTS,
    &access_log::PARTS,
    &sampling::PARTS,
    &breaker::PARTS,
    &policy::PARTS,
    &live::PARTS,
    &counters::PARTS,
];

/// One behaviour.
struct Part {
    title: &'static str,
    /// Why an operator cares, in a line.
    why: &'static str,
    /// May change the policy; afterwards the shipped one is put back.
    show: for<'a> fn(&'a Stage, &'a mut Page) -> Shown<'a>,
}

type Shown<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Shows all parts. Returns the stage, still running, or none when anything was not as it should be.
///
/// # Errors
/// When Envoy does not start, or a request is not answered at all.
pub(crate) async fn show() -> Result<Option<Stage>> {
    let started = Instant::now();
    let stage = Stage::set().await?;
    let mut page = Page::default();
    page.opening(&envoy::version()?, &stage.envoy.url());
    let parts: Vec<_> = PARTS.into_iter().flatten().collect();
    for (number, part) in (1..).zip(&parts) {
        page.heading(number, part.title, part.why);
        (part.show)(&stage, &mut page).await.with_context(|| format!("part {number}, {}", part.title))?;
        stage.restore_policy().await?;
    }
    let requests = stage.upstream.requests().saturating_add(stage.live.upstream.requests());
    Ok(page.closing(parts.len(), requests, started.elapsed()).then_some(stage))
}
