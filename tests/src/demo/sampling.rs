//! The sampler.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluicegate_tests::client::Request;
use sluicegate_tests::client::load::Pace;
use sluicegate_tests::seen::Seen;
use tokio::time::MissedTickBehavior;

use super::Part;
use super::access_log::{attribute, line_in, line_of};
use super::page::Page;
use super::policy::{changed, show_policy};
use super::stage::{CONNECTIONS, Stage, Verdict};
use super::trace_context::{SPAN, TRACE, Traceparent, traceparent};

pub(super) const PARTS: [Part; 3] = [
    Part {
        title: "Recording follows the target, not the traffic",
        why: "What the backend takes stays the same when the load rises twentyfold; a critical path is recorded whole.",
        show: |stage, page| Box::pin(follows(stage, page)),
    },
    Part {
        title: "A request that somebody asks for is recorded",
        why: "To look at one request in production, whatever the load: with a secret that goes no further than this.",
        show: |stage, page| Box::pin(forces(stage, page)),
    },
    Part {
        title: "Hops that decide by themselves keep the same traces",
        why: "Whole traces, not pieces of many: the trace id decides, not chance. Here three paths stand for three hops.",
        show: |stage, page| Box::pin(agrees(stage, page)),
    },
];

/// Recorded a second.
const TARGET: u32 = 50;
/// Requests a second and for how many seconds; the last for longer than the window.
const STEPS: [(u32, u32); 3] = [(25, 2), (100, 5), (500, 7)];
const PAYMENTS_PER_SECOND: u32 = 5;
const SECOND: Duration = Duration::from_secs(1);

async fn follows(stage: &Stage, page: &mut Page) -> Result<()> {
    let fields = json!({"sampling": {"target_qps": TARGET, "window": "5s", "min": 0}});
    show_policy(page, &fields);
    let verdict = stage.swap_policy(&changed(stage, &fields)?).await?;
    ensure!(matches!(verdict, Verdict::InForce), "the new policy was rejected");

    page.columns(format_args!("{:>9}  {:>10}  {:>10}  p", "offered/s", "recorded/s", "/payments/"));
    let mut clock = tokio::time::interval(SECOND);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock.tick().await;
    let mut steps = Vec::new();
    for (per_second, seconds) in STEPS {
        let mut step = Vec::new();
        for _ in 0..seconds {
            let second = Second::of(stage, per_second, &mut clock).await?;
            page.row(second.text());
            step.push(second);
        }
        steps.push(step);
    }

    let [calm, .., busy] = steps.as_slice() else { return Ok(()) };
    let whole = calm.iter().all(|second| second.probability == 1.0 && second.recorded == second.offered);
    page.check(whole, "below the target all is recorded");
    let last: Vec<_> = steps.iter().filter_map(|step| Some(step.last()?.probability)).collect();
    let falls = last.is_sorted_by(|before, after| *after < before * 0.9);
    page.check(falls, format_args!("p fell with each step: {}", last.iter().map(p).collect::<Vec<_>>().join(", ")));

    // What the window remembers, and its end, for which p had settled.
    let window = busy.get(2..).unwrap_or_default();
    let end = window.get(3..).unwrap_or_default();
    let offered = rate(window, |second| second.offered);
    let recorded = rate(end, |second| second.recorded);
    let probability = last.last().copied().unwrap_or_default();
    let wanted = f64::from(TARGET).min(offered);
    page.check(
        (0.7..1.4).contains(&(probability * offered / wanted)),
        format_args!("and is now about what it has to be: {TARGET} / {offered:.0} = {}", p(&(wanted / offered))),
    );
    page.check(
        (0.5..1.7).contains(&(recorded / wanted)),
        format_args!("{recorded:.0}/s are recorded of {offered:.0}/s; the target is {TARGET}/s"),
    );

    let all = || steps.iter().flatten();
    let payments: u32 = all().map(|second| second.payments).sum();
    let missing: u32 = all().map(|second| second.payments_not_recorded).sum();
    page.check(missing == 0, format_args!("all {payments} requests to /payments/ are recorded: a rule says always"));
    let sent = f64::from(all().map(|second| second.offered).sum::<u32>());
    let stood_for: f64 = all().map(|second| second.stands_for).sum();
    page.check(
        (0.75..1.25).contains(&(stood_for / sent)),
        format_args!(
            "from what was recorded, a backend counts {stood_for:.0} requests (1 / p for each); {sent} were sent"
        ),
    );
    Ok(())
}

/// What came of a second of load.
struct Second {
    offered: u32,
    recorded: u32,
    /// For so many requests those that were recorded stand, by what their `tracestate` says of p.
    stands_for: f64,
    payments: u32,
    payments_not_recorded: u32,
    /// As the gauge shows it, which Envoy is told once a second.
    probability: f64,
    lasted: Duration,
}

impl Second {
    /// Offers so many requests and waits for the second to end.
    async fn of(stage: &Stage, per_second: u32, clock: &mut tokio::time::Interval) -> Result<Second> {
        let began = Instant::now();
        let load = |connections, per_second, path: &'static str| {
            let pace = Pace { connections, per_second, lasts: SECOND };
            pace.run(stage.envoy.address(), move |_| Request::get(path), |_, _, reply| weight(&reply.seen()?))
        };
        let (ordinary, payments) =
            tokio::try_join!(load(CONNECTIONS, per_second, "/orders/1"), load(1, PAYMENTS_PER_SECOND, "/payments/1"))?;
        let stats = stage.envoy.stats().await?;
        let millionths = stats.sum("sluicegate_sampling_probability_millionths", &[("rule", "default")]);
        clock.tick().await;
        Ok(Second {
            offered: count(ordinary.iter()),
            recorded: count(ordinary.iter().flatten()),
            stands_for: ordinary.iter().flatten().sum(),
            payments: count(payments.iter()),
            payments_not_recorded: count(payments.iter().filter(|weight| weight.is_none())),
            probability: millionths.context("no gauge of the probability")? / 1e6,
            lasted: began.elapsed(),
        })
    }

    fn text(&self) -> String {
        let per_second = |count| f64::from(count) / self.lasted.as_secs_f64();
        let payments = format!("{} of {}", self.payments.saturating_sub(self.payments_not_recorded), self.payments);
        let (offered, recorded) = (per_second(self.offered), per_second(self.recorded));
        let bar = "█".repeat((self.probability * 30.0).ceil() as usize);
        format!("{offered:>9.0}  {recorded:>10.0}  {payments:>10}  {}  {bar}", p(&self.probability))
    }
}

fn p(probability: &f64) -> String {
    format!("{probability:.3}")
}

fn rate(seconds: &[Second], what: fn(&Second) -> u32) -> f64 {
    let lasted: Duration = seconds.iter().map(|second| second.lasted).sum();
    f64::from(seconds.iter().map(what).sum::<u32>()) / lasted.as_secs_f64()
}

fn count(some: impl Iterator) -> u32 {
    u32::try_from(some.count()).unwrap_or(u32::MAX)
}

/// For how many requests this one stands: 1 / p, where p is (2^56 - T) / 2^56 and T the threshold `th`, hex without its
/// trailing zeros. None of one that is not sampled.
fn weight(seen: &Seen) -> Result<Option<f64>> {
    if !Traceparent::of(seen)?.is_sampled() {
        return Ok(None);
    }
    let state = seen.header("tracestate").unwrap_or_default();
    let ours = state.split(',').find_map(|member| member.strip_prefix("ot="));
    let threshold = ours.and_then(|member| member.split(';').find_map(|sub| sub.strip_prefix("th:")));
    let threshold = threshold.with_context(|| format!("sampled, and no threshold in {state:?}"))?;
    Ok(Some(1.0 / (1.0 - fraction(threshold)?)))
}

/// Up to 14 digits of hex, as a fraction of 2^56.
fn fraction(digits: &str) -> Result<f64> {
    let whole = u64::from_str_radix(&format!("{digits:0<14}"), 16).with_context(|| format!("no hex: {digits}"))?;
    Ok(whole as f64 / (1_u64 << 56) as f64)
}

const SECRET: &str = "only-we-know-this";

async fn forces(stage: &Stage, page: &mut Page) -> Result<()> {
    let fields = json!({"sampling": {"min": 0, "max": 0, "force": {"secret": SECRET}}});
    show_policy(page, &fields);
    let probe = Request::get("/hello");
    stage.put_in_force(&changed(stage, &fields)?, &probe, |seen| Ok(!Traceparent::of(seen)?.is_sampled())).await?;

    let force = |secret| ("x-sluicegate-force", secret);
    let mut flags = Vec::new();
    let mut passed_on = false;
    // Lines come in the order in which requests end: once the last has its line, the others would have theirs.
    let requests = [("r-19", None), ("r-20", Some(force("let-me-guess-this"))), ("r-21", Some(force(SECRET)))];
    for (id, header) in requests {
        let sent: Vec<_> = header.into_iter().chain([("x-request-id", id)]).collect();
        let (_, seen) = stage.get("/cart/7", &sent).await?;
        page.exchange(&sent, &seen);
        flags.push(Traceparent::of(&seen)?.is_sampled());
        passed_on |= seen.header("x-sluicegate-force").is_some();
    }
    let line = line_of(stage, "r-21").await?;
    let by = attribute(&line, "sluicegate.sampled_by");
    page.facts("line", &[("body", line.get("body").unwrap_or(&Value::Null)), ("sluicegate.sampled_by", by)]);
    page.check(flags == [false, false, true] && by == "forced", "recorded, though p is 0: it was asked for");
    let log = stage.envoy.access_log()?;
    let others = ["r-19", "r-20"].iter().any(|id| line_in(&log, id).is_some());
    page.check(!others, "neither without the secret nor with another one");
    let logged = [&log, &stage.envoy.log()?].iter().any(|log| log.contains(SECRET));
    page.check(!passed_on && !logged, "the header goes no further, and no log has the secret");
    Ok(())
}

/// The hops, and what each of them records.
const HOPS: [(&str, f64); 3] = [("/cart/", 0.5), ("/orders/", 0.5), ("/search/", 0.2)];
const TRACES: u64 = 8;

async fn agrees(stage: &Stage, page: &mut Page) -> Result<()> {
    let rules: Vec<Value> =
        HOPS.iter().map(|(path, rate)| json!({"match": {"path": {"prefix": path}}, "rate": rate})).collect();
    let fields = json!({"trace": {"mode": "participate"}, "sampling": {"parent": "ignore", "rules": rules}});
    show_policy(page, &json!({"trace": {"mode": "participate"}, "sampling": {"parent": "ignore"}}));
    // The least of all traces, sampled by its caller: what a hop that decides by itself does not record.
    let least = traceparent(&trace(0), SPAN);
    let probe = Request::get("/search/").header("traceparent", &least);
    stage.put_in_force(&changed(stage, &fields)?, &probe, |seen| Ok(!Traceparent::of(seen)?.is_sampled())).await?;

    let mut traces: Vec<_> = (1..=TRACES).map(|n| trace(n.wrapping_mul(GOLDEN))).collect();
    traces.sort();
    let names: Vec<_> = HOPS.iter().map(|(path, rate)| format!("{:<12}", format!("{path} {rate}"))).collect();
    page.columns(format_args!("{:<32}  {:<5}  {}", "trace", "R", names.join("  ").trim_end()));
    let mut kept = Vec::new();
    for trace in &traces {
        let mut by_hop = Vec::new();
        for (path, _) in HOPS {
            let (_, seen) = stage.get(path, &[("traceparent", &traceparent(trace, SPAN))]).await?;
            by_hop.push(Traceparent::of(&seen)?.is_sampled());
        }
        let words: Vec<_> = by_hop.iter().map(|kept| format!("{:<12}", if *kept { "recorded" } else { "·" })).collect();
        let randomness = fraction(trace.get(18..).unwrap_or_default())?;
        page.row(format_args!("{trace}  {randomness:.3}  {}", words.join("  ").trim_end()));
        kept.push(by_hop);
    }
    let some = |place: usize| kept.iter().filter(|by_hop| by_hop.get(place) == Some(&true)).count();
    let alike = kept.iter().all(|by_hop| matches!(by_hop.as_slice(), [one, other, _] if one == other));
    page.check(
        alike && (1..kept.len()).contains(&some(0)),
        format_args!("two hops with the same rate record the same {} of {TRACES} traces", some(0)),
    );
    let subset = kept.iter().all(|by_hop| matches!(by_hop.as_slice(), [one, _, lower] if one | !lower));
    page.check(
        subset && (1..some(0)).contains(&some(2)),
        format_args!("the {} that the hop with the lower rate records are among them", some(2)),
    );
    Ok(())
}

/// 2^56 divided by the golden ratio: its multiples lie evenly.
const GOLDEN: u64 = 0x9e_3779_b97f_4a7c;

/// A trace with this randomness: its last 14 digits, as W3C Trace Context and OpenTelemetry have it.
fn trace(randomness: u64) -> String {
    format!("{}{:014x}", TRACE.get(..18).unwrap_or_default(), randomness & 0xff_ffff_ffff_ffff)
}
