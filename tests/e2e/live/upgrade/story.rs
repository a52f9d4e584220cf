//! What becomes of requests while releases take turns.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use sluicegate_tests::client::{Reply, Request};
use sluicegate_tests::seen::Seen;
use tokio::time::Instant;

use super::Releases;
use super::release::Layout;
use super::unfinished::Unfinished;
use crate::live::Live;
use crate::live::steady::Steady;
use crate::live::swaps::wait_for;
use crate::stage::{PATIENCE, traceparent};

/// Requests a second.
pub(super) const PER_SECOND: u32 = 200;

/// Requests that are under way whenever a release takes over.
const UNFINISHED: u64 = 8;

/// What happened while releases took turns.
pub(super) struct Story {
    pub(super) live: Live,
    pub(super) turns: Vec<Turn>,
    /// Of the requests, in the order in which they came.
    answers: Vec<Answer>,
    pub(super) end: Instant,
}

/// From the moment that a file named another release, until the next.
pub(super) struct Turn {
    pub(super) is_next: bool,
    pub(super) moved: Instant,
    pub(super) in_force: Instant,
    pub(super) over: Instant,
}

struct Answer {
    path: String,
    sent: Instant,
    became: Became,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Became {
    /// The breaker answered.
    Shed,
    /// The upstream failed.
    Failed,
    /// The upstream answered, and the flags of the trace were these.
    Answered(String),
}

type Answers = Arc<Mutex<Vec<Answer>>>;

impl Story {
    /// A release of this layout takes over, and this one again, so many times. Whatever the layout: no request fails, each
    /// has its line in the access log and is counted there, and a breaker of what fails is soon open.
    pub(super) async fn of(layout: Layout, rounds: usize) -> Story {
        let releases = Releases::with(layout);
        let mut live = Live::under(&policy("begin"), |shipped| shipped).await;
        let vms = live.vms().await;
        let answers = Answers::default();
        let takes = Arc::clone(&answers);
        let look = move |n, sent, reply: &Reply| {
            let became = Became::of(reply.status.as_u16(), reply.header("x-sluicegate-breaker"), reply.seen());
            takes.lock().unwrap().push(Answer { path: path(n), sent, became });
        };
        let began = Instant::now();
        let load = Steady::begin(live.envoy.address(), PER_SECOND, request, look);
        until_shed(&answers, began).await;
        // The sampler knows how much there is to come.
        tokio::time::sleep_until(began + Duration::from_secs(2)).await;

        let mut turns: Vec<Turn> = Vec::new();
        for (number, (module, is_next)) in releases.in_turn(rounds).enumerate() {
            let mut unfinished = Vec::new();
            for request in 0..UNFINISHED {
                let path = format!("/ok/unfinished-{number}-{request}");
                unfinished.push(Unfinished::send(live.envoy.address(), path).await);
            }
            let body = format!("release {number}");
            let moved = Instant::now();
            if let Some(before) = turns.last_mut() {
                before.over = moved;
            }
            live.upgrade(module, &policy(&body));
            let took = wait_for(&mut live, &body, moved).await;
            println!("{layout:?}: the {} release in force after {took:.1?}", if is_next { "next" } else { "old" });
            let in_force = moved + took;
            until_shed(&answers, in_force).await;
            assert!(live.vms().await > vms, "both releases run");
            for request in unfinished {
                let (path, sent) = (request.path.clone(), request.sent);
                let (status, seen) = request.finish().await;
                answers.lock().unwrap().push(Answer { path, sent, became: Became::of(status, None, seen) });
            }
            live.settles(vms).await;
            turns.push(Turn { is_next, moved, in_force, over: Instant::now() });
        }
        let statuses = load.end().await;
        println!("{layout:?}: {statuses:?}");
        live.settles(vms).await;
        let answers = Arc::into_inner(answers).unwrap().into_inner().unwrap();
        let story = Story { live, turns, answers, end: Instant::now() };
        story.logged_each_once().await;
        story
    }

    /// How many requests to one of the breakers came to the upstream, and failed.
    pub(super) fn failed(&self, breaker: &str, from: Instant, to: Instant) -> u64 {
        let failed = |answer: &&Answer| answer.became == Became::Failed && (from..to).contains(&answer.sent);
        self.of_breaker(breaker).filter(failed).count() as u64
    }

    fn of_breaker(&self, breaker: &str) -> impl Iterator<Item = &Answer> {
        let prefix = format!("/{breaker}/");
        self.answers.iter().filter(move |answer| answer.path.starts_with(&prefix))
    }

    /// The share of the requests that were sampled.
    pub(super) fn sampled(&self, from: Instant, to: Instant) -> f64 {
        let answers = self.answers.iter().filter(|answer| (from..to).contains(&answer.sent));
        let flags: Vec<u8> = answers
            .filter_map(|answer| match &answer.became {
                Became::Answered(flags) => Some(u8::from_str_radix(flags, 16).unwrap()),
                Became::Shed | Became::Failed => None,
            })
            .collect();
        flags.iter().filter(|flags| *flags & 1 == 1).count() as f64 / flags.len() as f64
    }

    /// And with the decision that the upstream was told of.
    async fn logged_each_once(&self) {
        let lines = self.live.envoy.wait_for_access_log(self.answers.len(), PATIENCE).await.unwrap();
        let mut logged = BTreeMap::new();
        for line in &lines {
            let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let path = record["attributes"]["url.path"].as_str().unwrap().to_owned();
            let flags = record["trace_flags"].as_str().unwrap().to_owned();
            assert_eq!(logged.insert(path, flags), None, "twice: {line}");
        }
        for Answer { path, became, .. } in &self.answers {
            let logged = logged.get(path).unwrap_or_else(|| panic!("{path} has no line"));
            if let Became::Answered(flags) = became {
                assert_eq!(logged, flags, "{path}");
            }
        }
        assert_eq!(logged.len(), self.answers.len());
        let records = self.answers.len() as f64;
        let counted =
            self.live.envoy.wait_for_stat("sluicegate_access_log_records_total", &[], records, PATIENCE).await;
        assert_eq!(counted.unwrap(), records);
    }

    /// Whichever release had it, and by the counters that go on.
    pub(super) async fn breakers_counted_each_once(&self) {
        for (breaker, name) in [("ill", "ill"), ("sick", "sick"), ("ok", "upstream")] {
            let passed = self.of_breaker(breaker).filter(|answer| answer.became != Became::Shed).count();
            let shed = self.of_breaker(breaker).count() - passed;
            for (metric, count) in [("passed", passed as f64), ("shed", shed as f64)] {
                let metric = format!("sluicegate_breaker_{metric}_total");
                let counted = self.live.envoy.wait_for_stat(&metric, &[("breaker", name)], count, PATIENCE).await;
                assert_eq!(counted.unwrap(), count, "{breaker} {metric}");
            }
        }
    }
}

impl Became {
    /// `seen` is what the upstream says that it saw, if the answer is its own.
    fn of(status: u16, breaker: Option<&str>, seen: Result<Seen>) -> Became {
        match (status, breaker, seen) {
            (503, Some(_), _) => Became::Shed,
            // Not Envoy's, as of a VM that has failed.
            (503, None, Ok(_)) => Became::Failed,
            (200, None, Ok(seen)) => {
                let [_, _, flags] = traceparent(&seen);
                Became::Answered(flags)
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Until the breaker that is to stay open is open on all workers: the last requests to it were shed.
async fn until_shed(answers: &Answers, since: Instant) {
    loop {
        let shed = {
            let answers = answers.lock().unwrap();
            let last = answers.iter().rev().filter(|answer| answer.sent > since && answer.path.starts_with("/ill/"));
            last.take_while(|answer| answer.became == Became::Shed).count()
        };
        // Of connections in turn, half of which are of each worker.
        if shed >= 8 {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "the breaker does not open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Most are for what is well, some for what fails: with a breaker that stays open, and with one that opens again at every
/// trial.
fn path(n: u32) -> String {
    match n % 7 {
        0 => format!("/ill/{n}"),
        1 => format!("/sick/{n}"),
        _ => format!("/ok/{n}"),
    }
}

fn request(n: u32) -> Request {
    let path = path(n);
    let request = Request::get(&path);
    if path.starts_with("/ok/") { request } else { request.header("x-upstream-status", "503") }
}

fn policy(body: &str) -> Value {
    let breaker = |name: &str, open_for: &str| {
        json!({
            "match": {"path": {"prefix": format!("/{name}/")}},
            "key": name,
            "open_for": open_for,
            "min_requests": 10,
            "jitter": 0,
            "backoff": 1,
            "probes": 1,
        })
    };
    let shown = json!({
        "match": {"path": {"exact": "/policy"}},
        "key": "policy",
        "mode": "forced_open",
        "response": {"status": 200, "headers": {"content-type": "text/plain"}, "body": body},
    });
    json!({
        "version": "1.0",
        "sampling": {"target_qps": PER_SECOND / 4, "window": "5s", "error_weight": 0},
        "breaker": {"rules": [shown, breaker("ill", "60s"), breaker("sick", "1s")]},
        "access_log": {"profile": "test", "drop": [{"match": {"path": {"exact": "/policy"}}}]},
    })
}
