//! The trace-context filter.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sluicegate_tests::seen::Seen;

use super::Part;
use super::page::Page;
use super::policy::{changed, show_policy};
use super::stage::{Header, PATIENCE, Stage, Verdict};

/// The example ids of W3C Trace Context, and others.
pub(super) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(super) const SPAN: &str = "00f067aa0ba902b7";
const OTHER_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const OTHER_SPAN: &str = "b7ad6b7169203331";

pub(super) const PARTS: [Part; 6] = [
    Part {
        title: "A request without a context begins a trace",
        why: "No request goes unnamed: every service logs the same ids, and the caller can quote one to support.",
        show: |stage, page| Box::pin(begins(stage, page)),
    },
    Part {
        title: "A valid context goes on untouched",
        why: "No span id that nobody records gets in between, so the tree stays whole in every tracing backend.",
        show: |stage, page| Box::pin(forwards(stage, page)),
    },
    Part {
        title: "A broken context is never passed on",
        why: "One caller with a bad header costs its own link, not the traces of all the services behind.",
        show: |stage, page| Box::pin(repairs(stage, page)),
    },
    Part {
        title: "Contexts of other formats join the same trace",
        why: "Callers that speak Zipkin, Jaeger, AWS, Google or Azure share one trace with W3C services.",
        show: |stage, page| Box::pin(joins(stage, page)),
    },
    Part {
        title: "Of contexts that disagree one remains",
        why: "Two libraries in a service never follow two traces: the first valid one in the policy's order counts.",
        show: |stage, page| Box::pin(decides(stage, page)),
    },
    Part {
        title: "Outside callers are not believed",
        why: "The policy does not trust /public/: nobody out there joins your traces or claims a tenant in baggage.",
        show: |stage, page| Box::pin(distrusts(stage, page)),
    },
];

async fn begins(stage: &Stage, page: &mut Page) -> Result<()> {
    let (reply, seen) = stage.get("/hello", &[]).await?;
    page.exchange(&[], &seen);
    let context = Traceparent::of(&seen)?;
    page.check(context.flags == "03", "a valid traceparent, its trace sampled and marked as random");
    let all = seen.all("tracestate") == ["ot=th:0"];
    page.check(all, "tracestate says that no trace was left out (th:0), as OpenTelemetry has it");
    let id = seen.header("x-request-id").context("no request id")?;
    page.check(reply.header("x-request-id") == Some(id), format_args!("the answer carries the same id: {id}"));
    Ok(())
}

async fn forwards(stage: &Stage, page: &mut Page) -> Result<()> {
    let traceparent = traceparent(TRACE, SPAN);
    let sent =
        [("traceparent", traceparent.as_str()), ("tracestate", "vendor=a1 , other=b2"), ("x-request-id", "r-17")];
    let (_, seen) = stage.get("/hello", &sent).await?;
    page.exchange(&sent, &seen);
    page.check(sent.iter().all(|(name, value)| seen.all(name) == [*value]), "every byte as it was sent");
    Ok(())
}

async fn repairs(stage: &Stage, page: &mut Page) -> Result<()> {
    let upper_case = traceparent(&TRACE.to_uppercase(), SPAN);
    let sent = [("traceparent", upper_case.as_str()), ("tracestate", "vendor=a1")];
    let (_, seen) = stage.get("/hello", &sent).await?;
    page.exchange(&sent, &seen);
    page.check(began_anew(&seen)?, "a valid traceparent of a new trace; their tracestate went with their traceparent");

    let valid = traceparent(TRACE, SPAN);
    let others: [&[Header<'_>]; 5] = [
        &[("traceparent", &traceparent(&"0".repeat(32), SPAN))],
        &[("traceparent", &valid.replacen("00", "ff", 1))],
        &[("traceparent", &format!("{valid}-more"))],
        &[("traceparent", &valid), ("traceparent", &valid)],
        &[("tracestate", "vendor=a1")],
    ];
    let mut repaired = true;
    for broken in others {
        repaired &= began_anew(&stage.get("/hello", broken).await?.1)?;
    }
    let claim = "and so for a trace id of zeros, version ff, a tail, two traceparents, a tracestate alone";
    page.check(repaired, claim);
    Ok(())
}

fn began_anew(seen: &Seen) -> Result<bool> {
    // Of our own it may have a tracestate: OpenTelemetry's member, by which the sampling says how probable it was.
    let ours = seen.all("tracestate").iter().all(|value| value.starts_with("ot=") && !value.contains(','));
    Ok(Traceparent::of(seen)?.trace != TRACE && ours)
}

async fn joins(stage: &Stage, page: &mut Page) -> Result<()> {
    let (time, random) = TRACE.split_at(8);
    for (name, value) in [
        ("b3", format!("{TRACE}-{SPAN}-1")),
        ("x-amzn-trace-id", format!("Root=1-{time}-{random};Parent={SPAN};Sampled=1")),
    ] {
        let sent = [(name, value.as_str())];
        let (_, seen) = stage.get("/hello", &sent).await?;
        page.exchange(&sent, &seen);
        let joined = Traceparent::of(&seen)?;
        let same = joined.trace == TRACE && joined.span == SPAN && joined.flags == "01";
        page.check(same, "the same trace, caller and decision in traceparent");
    }
    Ok(())
}

async fn decides(stage: &Stage, page: &mut Page) -> Result<()> {
    let valid = traceparent(TRACE, SPAN);
    let other = format!("{OTHER_TRACE}-{OTHER_SPAN}-0");
    let agrees = format!("{TRACE}:{SPAN}:0:1");
    let sent = [
        ("traceparent", valid.as_str()),
        ("b3", other.as_str()),
        ("x-trace-id", OTHER_TRACE),
        ("x-cloud-trace-context", "broken"),
        ("uber-trace-id", agrees.as_str()),
    ];
    let (_, seen) = stage.get("/hello", &sent).await?;
    page.exchange(&sent, &seen);
    page.check(seen.all("traceparent") == [valid.as_str()], "traceparent comes first and stays");
    let rest = ["b3", "x-trace-id", "x-cloud-trace-context"];
    page.check(rest.iter().all(|name| seen.header(name).is_none()), "what disagrees or is broken is gone");
    page.check(seen.all("uber-trace-id") == [agrees.as_str()], "what says the same may stay");
    Ok(())
}

async fn distrusts(stage: &Stage, page: &mut Page) -> Result<()> {
    let theirs = traceparent(TRACE, SPAN);
    let sent = [
        ("traceparent", theirs.as_str()),
        ("x-request-id", "of-their-choice"),
        ("baggage", "tenant.id=evil,session=1"),
        ("x-tenant-id", "acme & co"),
    ];
    let tenants = json!({"trace": {"baggage": {"from_headers": {"tenant.id": "x-tenant-id"}}}});
    show_policy(page, &tenants);
    let verdict = stage.swap_policy(&changed(stage, &tenants)?).await?;
    ensure!(matches!(verdict, Verdict::InForce), "the policy with baggage was rejected");
    let handed_over = Instant::now();
    let seen = loop {
        let (_, seen) = stage.get("/public/hello", &sent).await?;
        if seen.header("baggage").is_some() || handed_over.elapsed() > PATIENCE {
            break seen;
        }
    };
    page.exchange(&sent, &seen);
    page.check(Traceparent::of(&seen)?.trace != TRACE, "a new trace");
    page.check(seen.header("x-request-id").is_some_and(|id| id != "of-their-choice"), "a new request id");
    page.check(
        seen.all("baggage") == ["tenant.id=acme%20&%20co"],
        "their baggage is gone; ours is made of x-tenant-id, which a filter ahead that authenticates would set",
    );
    Ok(())
}

/// Of a trace that is sampled.
pub(super) fn traceparent(trace: &str, span: &str) -> String {
    format!("00-{trace}-{span}-01")
}

/// The fields of the one valid traceparent that the service saw.
pub(super) struct Traceparent<'a> {
    pub(super) trace: &'a str,
    pub(super) span: &'a str,
    pub(super) flags: &'a str,
}

impl Traceparent<'_> {
    pub(super) fn is_sampled(&self) -> bool {
        u8::from_str_radix(self.flags, 16).is_ok_and(|flags| flags & 1 == 1)
    }
}

impl<'a> Traceparent<'a> {
    /// # Errors
    /// When there is not exactly one, or it is not valid (W3C Trace Context §3.2).
    pub(super) fn of(seen: &'a Seen) -> Result<Traceparent<'a>> {
        let values = seen.all("traceparent");
        let fields: Vec<_> = values.iter().flat_map(|value| value.split('-')).collect();
        match fields.as_slice() {
            ["00", trace, span, flags] if is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2) => {
                Ok(Traceparent { trace, span, flags })
            }
            _ => anyhow::bail!("the service saw no valid traceparent: {values:?}"),
        }
    }
}

fn is_id(digits: &str, len: usize) -> bool {
    is_hex(digits, len) && digits.bytes().any(|digit| digit != b'0')
}

fn is_hex(digits: &str, len: usize) -> bool {
    digits.len() == len && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}
