//! The circuit breaker.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluicegate_tests::client::load::Pace;
use sluicegate_tests::client::{Connection, Protocol, Reply, Request};
use tokio::task::JoinSet;

use super::Part;
use super::access_log::{attribute, line_of};
use super::page::Page;
use super::policy::{changed, milliseconds, show_policy};
use super::stage::{CONNECTIONS, PATIENCE, Stage, Verdict};

pub(super) const PARTS: [Part; 2] = [
    Part {
        title: "A service that fails is left alone until it has recovered",
        why: "Callers are answered at once, not after a timeout; the service comes back to a few requests, not to all.",
        show: |stage, page| Box::pin(cycles(stage, page)),
    },
    Part {
        title: "In shadow, a breaker only tells what it would do",
        why: "How to introduce one: its thresholds are tried on real traffic, and nobody is turned away.",
        show: |stage, page| Box::pin(only_tells(stage, page)),
    },
];

/// So many in a row open it, whatever the parts before have left in the window.
const FAILURES: u64 = 10;
/// Trial requests at a time.
const PROBES: u64 = 3;
/// Trials take so long: none is over before the last of those that come with it.
const TRIAL: &str = "500ms";
/// Together, when the open time is over.
const CROWD: usize = 16;
/// Between two looks at what changes by the tick.
const POLL: Duration = Duration::from_millis(20);

async fn cycles(stage: &Stage, page: &mut Page) -> Result<()> {
    let section = json!({"consecutive_failures": FAILURES, "open_for": "2s", "jitter": 0, "probes": PROBES});
    let fields = json!({"breaker": section});
    show_policy(page, &fields);
    put_in_force(stage, &fields).await?;
    let mut transitions = Transitions::of("upstream");

    page.columns(COLUMNS);
    let well = Step::paced(stage, "well", healthy).await?;
    page.row(well.text());
    let fails = Step::paced(stage, "fails", failing).await?;
    page.row(fails.text());
    every_worker(stage, failing, is_shed).await?;
    transitions.quote_news(stage, page)?;
    let alone = Step::paced(stage, "fails", failing).await?;
    page.row(alone.text());
    let shed = Shed::of(stage, "r-22").await?;
    let mended = Step::paced(stage, "mended", healthy).await?;
    page.row(mended.text());

    tokio::time::sleep(Duration::from_secs(shed.retry_after()?)).await;
    let due = Instant::now();
    let trials = loop {
        let trials = Step::crowd(stage).await?;
        page.row(trials.text());
        // A worker knows the time as of its last tick, which may yet lie before the end of the open time.
        if trials.saw > 0 || due.elapsed() > PATIENCE {
            break trials;
        }
    };
    every_worker(stage, healthy, |reply| reply.status == 200).await?;
    transitions.quote_news(stage, page)?;
    let again = Step::paced(stage, "well", healthy).await?;
    page.row(again.text());

    let opened = well.ok == well.sent && fails.failed >= FAILURES;
    page.check(opened, format_args!("closed: everything passes, until {FAILURES} requests in a row have failed"));
    let nothing = alone.saw == 0 && alone.shed == alone.sent && mended.saw == 0 && mended.shed == mended.sent;
    let kept_off = alone.sent.saturating_add(mended.sent);
    page.check(nothing, format_args!("open: of {kept_off} requests the service receives none"));
    page.check(
        (1..=PROBES).contains(&trials.saw) && trials.ok == trials.saw && trials.failed == 0,
        format_args!("half-open: of {} requests at once {} go through, to try it", trials.sent, trials.saw),
    );
    page.check(again.ok == again.sent && again.saw == again.sent, "closed again: everything passes");
    let made = [": closed to open: ", ": open to half_open: ", ": half_open to closed: "];
    let once = transitions.shown.len() == made.len();
    let in_order = transitions.shown.iter().zip(made).all(|(line, made)| line.contains(made));
    page.check(once && in_order, "all workers have one breaker: each transition is made, and logged, once");
    shed.show(stage, page).await
}

/// A request that was shed.
struct Shed {
    id: &'static str,
    reply: Reply,
    took: Duration,
    /// What the service received meanwhile.
    saw: u64,
    /// The gauge.
    state: f64,
}

impl Shed {
    /// Sends one while the breaker of the service is open.
    async fn of(stage: &Stage, id: &'static str) -> Result<Shed> {
        // Envoy is told once a second.
        let labels = [("breaker", "upstream")];
        let state = stage.envoy.wait_for_stat("sluicegate_breaker_state", &labels, 1.0, PATIENCE).await?;
        let (before, sent) = (stage.upstream.requests(), Instant::now());
        let request = Request::get("/orders/22").header("x-request-id", id);
        let reply = request.send(stage.envoy.address(), Protocol::Http1).await?;
        let took = sent.elapsed();
        let saw = stage.upstream.requests().saturating_sub(before);
        Ok(Shed { id, reply, took, saw, state })
    }

    /// Seconds.
    fn retry_after(&self) -> Result<u64> {
        let header = self.reply.header("retry-after").context("no retry-after")?;
        header.parse().with_context(|| format!("retry-after: {header}"))
    }

    async fn show(&self, stage: &Stage, page: &mut Page) -> Result<()> {
        let code = self.reply.json()?.get("code").cloned().unwrap_or_default();
        let header = |name| self.reply.header(name).unwrap_or("(none)").to_owned();
        page.facts(
            "got",
            &[
                ("status", self.reply.status.as_u16().to_string()),
                ("code", code.to_string()),
                ("retry-after", header("retry-after")),
                ("x-sluicegate-breaker", header("x-sluicegate-breaker")),
            ],
        );
        let line = line_of(stage, self.id).await?;
        let names = ["sluicegate.breaker_state", "sluicegate.shed", "sluicegate.error.kind"];
        page.facts("line", &names.map(|name| (name, attribute(&line, name))));
        page.facts("gauge", &[("sluicegate_breaker_state{breaker=\"upstream\"}", self.state)]);
        page.check(
            self.reply.status == 503 && code == "BREAKER_OPEN" && self.saw == 0,
            format_args!("a caller is told after {} when to come again", milliseconds(self.took)),
        );
        let logged = names.map(|name| attribute(&line, name)) == [&json!("open"), &json!(true), &json!("breaker_open")];
        page.check(
            logged && self.state == 1.0,
            "the access log tells it from the service's own 503, and the gauge is 1",
        );
        Ok(())
    }
}

async fn only_tells(stage: &Stage, page: &mut Page) -> Result<()> {
    let rule = json!({
        "match": {"path": {"prefix": "/recommendations/"}},
        "key": "recommendations",
        "mode": "shadow",
        "min_requests": 10,
    });
    let fields = json!({"breaker": {"rules": [rule]}});
    show_policy(page, &fields);
    put_in_force(stage, &fields).await?;
    let recommendations = || Request::get("/recommendations/1").header("x-upstream-status", "503");

    let mut transitions = Transitions::of("recommendations");
    page.columns(COLUMNS);
    let mut steps = Vec::new();
    for _ in 0..2 {
        let step = Step::paced(stage, "fails", recommendations).await?;
        page.row(step.text());
        transitions.quote_news(stage, page)?;
        steps.push(step);
    }
    stage.envoy.wait_for_log("breaker: recommendations: closed to open: ", PATIENCE).await?;
    transitions.quote_news(stage, page)?;
    // From now on, whatever worker it meets would shed it, as soon as that has learned of it.
    let labels = [("breaker", "recommendations")];
    let started = Instant::now();
    let line = loop {
        let id = format!("r-23-{}", stage.upstream.requests());
        recommendations().header("x-request-id", &id).send(stage.envoy.address(), Protocol::Http1).await?;
        let line = line_of(stage, &id).await?;
        if attribute(&line, "sluicegate.breaker_state") != &Value::Null || started.elapsed() > PATIENCE {
            break line;
        }
        tokio::time::sleep(POLL).await;
    };
    let would = stage.envoy.wait_for_stat("sluicegate_breaker_would_shed_total", &labels, 1.0, PATIENCE).await?;
    let names = ["sluicegate.breaker_state", "sluicegate.shed"];
    page.facts("line", &names.map(|name| (name, attribute(&line, name))));
    page.check(
        steps.iter().all(|step| step.saw == step.sent && step.shed == 0),
        "the service receives everything, though the breaker is open",
    );
    let told = names.map(|name| attribute(&line, name)) == [&json!("open"), &json!(false)];
    page.check(told, format_args!("log and counter tell what it would have done: {would} requests shed so far"));
    Ok(())
}

async fn put_in_force(stage: &Stage, fields: &Value) -> Result<()> {
    let verdict = stage.swap_policy(&changed(stage, fields)?).await?;
    ensure!(matches!(verdict, Verdict::InForce), "the new policy was rejected");
    Ok(())
}

fn healthy() -> Request {
    Request::get("/orders/22")
}

fn failing() -> Request {
    healthy().header("x-upstream-status", "503")
}

/// Whether a breaker answered, and not the service.
fn is_shed(reply: &Reply) -> bool {
    reply.header("x-sluicegate-breaker").is_some()
}

const COLUMNS: &str = "service          sent   200   503  shed   service saw";

/// What came of some requests.
struct Step {
    /// How the service is.
    service: &'static str,
    sent: u64,
    ok: u64,
    /// By the service.
    failed: u64,
    shed: u64,
    /// So many of them came to the service.
    saw: u64,
}

impl Step {
    /// Half a second of load, over connections to every worker.
    async fn paced(stage: &Stage, service: &'static str, request: fn() -> Request) -> Result<Step> {
        let pace = Pace { connections: CONNECTIONS, per_second: 40, lasts: Duration::from_millis(500) };
        let before = stage.upstream.requests();
        let replies = pace.run(stage.envoy.address(), move |_| request(), |_, _, reply| Ok(reply.clone())).await?;
        Ok(Step::new(stage, service, before, &replies))
    }

    /// Requests that all come at once.
    async fn crowd(stage: &Stage) -> Result<Step> {
        let mut connections = Vec::new();
        for _ in 0..CROWD {
            connections.push(Connection::open(stage.envoy.address(), Protocol::Http1).await?);
        }
        let before = stage.upstream.requests();
        let mut sent = JoinSet::new();
        for mut connection in connections {
            sent.spawn(async move { connection.send(&healthy().header("x-upstream-delay", TRIAL)).await });
        }
        let replies = sent.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(Step::new(stage, "mended, at once", before, &replies))
    }

    fn new(stage: &Stage, service: &'static str, before: u64, replies: &[Reply]) -> Step {
        let count = |is: fn(&Reply) -> bool| replies.iter().filter(|reply| is(reply)).count() as u64;
        Step {
            service,
            sent: count(|_| true),
            ok: count(|reply| reply.status == 200),
            failed: count(|reply| reply.status == 503 && !is_shed(reply)),
            shed: count(is_shed),
            saw: stage.upstream.requests().saturating_sub(before),
        }
    }

    fn text(&self) -> String {
        let Step { service, sent, ok, failed, shed, saw } = self;
        let bar = "█".repeat(usize::try_from(*saw).unwrap_or_default());
        format!("{service:<15}  {sent:>4}  {ok:>4}  {failed:>4}  {shed:>4}   {saw:>11}  {bar}").trim_end().to_owned()
    }
}

/// Sends until every worker has answered so, one connection after the other.
async fn every_worker(stage: &Stage, request: fn() -> Request, shows: fn(&Reply) -> bool) -> Result<()> {
    let started = Instant::now();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(stage.envoy.address(), Protocol::Http1).await?;
        while !shows(&connection.send(&request()).await?) {
            ensure!(started.elapsed() < PATIENCE, "not every worker had learned of it after {PATIENCE:?}");
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}

/// What Envoy's log says of a breaker.
struct Transitions {
    /// What its lines begin with, behind Envoy's prefix.
    of: String,
    shown: Vec<String>,
}

impl Transitions {
    fn of(breaker: &str) -> Transitions {
        Transitions { of: format!("breaker: {breaker}: "), shown: Vec::new() }
    }

    /// Shows what has not been shown.
    fn quote_news(&mut self, stage: &Stage, page: &mut Page) -> Result<()> {
        let log = stage.envoy.log()?;
        let lines = log.lines().filter_map(|line| line.find(&self.of).and_then(|at| line.get(at..)));
        let news: Vec<_> = lines.skip(self.shown.len()).map(str::to_owned).collect();
        news.iter().for_each(|line| page.quote(line));
        self.shown.extend(news);
        Ok(())
    }
}
