//! What breakers do, as the documentation of well-known ones tells it: resilience4j, Hystrix, Polly, and the outlier
//! detection of Envoy.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

/// What happens, and what is then to be seen. A tick follows each step.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many requests pass and succeed.
    Ok(u32),
    /// So many pass and fail.
    Fail(u32),
    /// So many pass and succeed, slowly.
    Slow(u32),
    /// So many pass and say nothing of the upstream.
    Ignored(u32),
    /// So many pass and never answer.
    Hang(u32),
    /// So many pass whose callers have not sent all of them.
    Begin(u32),
    /// All of the oldest that were begun has come.
    Sent(u32),
    /// The oldest that were begun succeed.
    Finish(u32),
    /// So many pass whose responses begin well, and go on.
    Stream(u32),
    /// So many are shed, and told to come again after so many seconds.
    Shed(u32, u64),
    /// So many pass in shadow that would have been shed.
    WouldShed(u32),
    /// So many pass and nobody watches.
    Unwatched(u32),
    /// Milliseconds pass, with a tick every 50.
    Wait(u64),
    /// The breaker is this.
    Is(State),
    /// The last transition was made for this reason.
    Because(Cause),
}

use Cause::*;
use State::*;
use Step::*;

fn run(what: &str, settings: Settings, steps: &[Step]) {
    let mut worker = Worker::new(settings);
    let mut now = START;
    let mut last = None;
    let mut begun: Vec<Ticket> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let place = format!("{what}, step {at}: {step:?}");
        let mut passes = |count: u32, outcome: Option<Outcome>, millis: u64| {
            for _ in 0..count {
                let admission = worker.admit(now);
                let Verdict::Pass(ticket) = admission.verdict else { panic!("{place}: {admission:?}") };
                if let Some(outcome) = outcome {
                    worker.breakers.ended(ticket, outcome, Some(Duration::from_millis(millis)), now);
                }
            }
        };
        match *step {
            Ok(count) => passes(count, Some(Outcome::Success), 10),
            Fail(count) => passes(count, Some(Outcome::Failure), 10),
            Slow(count) => passes(count, Some(Outcome::Success), 10_000),
            Ignored(count) => passes(count, Some(Outcome::Ignored), 10),
            Hang(count) => passes(count, None, 0),
            Begin(count) => {
                for _ in 0..count {
                    let Worker { breakers, breaker, host } = &mut worker;
                    let admission = breakers.admit_unfinished(breaker, NAME, *host, now);
                    let Verdict::Pass(ticket) = admission.verdict else { panic!("{place}: {admission:?}") };
                    begun.push(ticket);
                }
            }
            Sent(count) => begun.iter().take(count as usize).for_each(|ticket| worker.breakers.sent(ticket)),
            Finish(count) => {
                for ticket in begun.drain(..count as usize) {
                    worker.end(ticket, Outcome::Success, now);
                }
            }
            Stream(count) => {
                for _ in 0..count {
                    let ticket = worker.pass(now);
                    worker.breakers.answered(&ticket);
                }
            }
            Shed(count, retry_after) => {
                for _ in 0..count {
                    assert_eq!(worker.admit(now).verdict, Verdict::Shed { retry_after }, "{place}");
                }
            }
            WouldShed(count) => {
                for _ in 0..count {
                    let verdict = worker.admit(now).verdict;
                    assert!(matches!(verdict, Verdict::WouldShed { .. }), "{place}: {verdict:?}");
                }
            }
            Unwatched(count) => {
                for _ in 0..count {
                    assert_eq!(worker.admit(now).verdict, Verdict::PassUnwatched, "{place}");
                }
            }
            Wait(millis) => {
                for _ in 0..millis / 50 {
                    worker.tick(now);
                    last = worker.breakers.take_transitions().pop().or(last);
                    now += 50 * MILLI;
                }
                now += millis % 50 * MILLI;
            }
            Is(state) => assert_eq!(worker.state(now), state, "{place}"),
            Because(cause) => assert_eq!(last.as_ref().map(|last: &Transition| last.cause), Some(cause), "{place}"),
        }
        worker.tick(now);
        last = worker.breakers.take_transitions().pop().or(last);
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn closed_it_counts_and_trips() {
    let half = || Settings { failure_rate: 0.5, ..settings() };
    let slow_call = Some(SlowCall { threshold: secs(2), rate: 0.5 });
    let by_count = || Settings { window: Span::Calls(10), min_requests: 5, ..half() };
    let in_a_row = || Settings { consecutive_failures: Some(5), ..settings() };
    let table: &[(&str, Settings, &[Step])] = &[
        // resilience4j: minimumNumberOfCalls. "If only 9 calls were evaluated it will not trip open even if all 9 failed."
        ("the minimum number of calls", half(), &[Fail(19), Is(Closed), Fail(1), Is(Open), Because(FailureRate)]),
        // resilience4j: "equal or greater than the threshold".
        ("a rate equal to the threshold", half(), &[Ok(10), Fail(9), Is(Closed), Fail(1), Is(Open)]),
        ("a rate below the threshold", half(), &[Ok(11), Fail(10), Is(Closed), Ok(100), Fail(100), Is(Closed)]),
        ("the defaults: six of ten", settings(), &[Ok(8), Fail(11), Is(Closed), Fail(1), Is(Open)]),
        // resilience4j: ignored exceptions "neither count as a failure nor success".
        ("what is ignored", half(), &[Ignored(100), Fail(19), Ignored(100), Is(Closed), Fail(1), Is(Open)]),
        // Hystrix: with a request volume threshold of 20, 19 failures in a rolling window of 10 s do not trip.
        ("the rolling window", half(), &[Fail(19), Wait(10_000), Fail(19), Is(Closed), Wait(9_000), Fail(1), Is(Open)]),
        (
            "a second leaves the window whole",
            half(),
            &[Wait(950), Fail(10), Wait(50), Fail(9), Wait(9_000), Fail(10), Is(Closed)],
        ),
        (
            "a window of a second",
            Settings { window: Span::Seconds(1), ..half() },
            &[Fail(19), Wait(1_000), Fail(19), Is(Closed), Fail(1), Is(Open)],
        ),
        (
            "a window of ten minutes",
            Settings { window: Span::Seconds(600), ..half() },
            &[Fail(19), Wait(580_000), Fail(1), Is(Open)],
        ),
        // resilience4j: slowCallRateThreshold, slowCallDurationThreshold.
        (
            "slow calls",
            Settings { slow_call, ..settings() },
            &[Ok(10), Slow(9), Is(Closed), Slow(1), Is(Open), Because(SlowCalls)],
        ),
        ("slow calls that are not judged", settings(), &[Slow(100), Is(Closed)]),
        ("slow calls below the minimum", Settings { slow_call, ..settings() }, &[Slow(19), Is(Closed)]),
        // resilience4j: the count-based sliding window "aggregates the outcome of the last N calls".
        ("the last ten calls", by_count(), &[Ok(10), Fail(4), Is(Closed), Fail(1), Is(Open), Because(FailureRate)]),
        (
            "the last ten calls, by turns",
            by_count(),
            &[Ok(6), Fail(4), Ok(6), Fail(4), Ok(6), Fail(4), Is(Closed), Ok(6), Fail(5), Is(Open)],
        ),
        (
            "the last ten calls, however old",
            by_count(),
            &[Ok(5), Fail(4), Wait(1_000_000), Is(Closed), Fail(1), Is(Open)],
        ),
        ("fewer than the minimum of the last ten", by_count(), &[Fail(4), Is(Closed), Fail(1), Is(Open)]),
        // resilience4j: a minimum that the window cannot hold is what it can.
        (
            "a minimum of more than the last ten",
            Settings { min_requests: 20, ..by_count() },
            &[Fail(9), Is(Closed), Fail(1), Is(Open)],
        ),
        (
            "a rate of nothing",
            Settings { failure_rate: 0.0, slow_call: Some(SlowCall { threshold: secs(2), rate: 0.0 }), ..settings() },
            &[Ok(100), Is(Closed), Fail(1), Is(Open)],
        ),
        // Envoy: consecutive_5xx.
        (
            "failures in a row",
            in_a_row(),
            &[Fail(4), Ok(1), Fail(4), Is(Closed), Fail(1), Is(Open), Because(ConsecutiveFailures)],
        ),
        ("failures in a row, long apart", in_a_row(), &[Fail(4), Wait(600_000), Fail(1), Is(Open)]),
        ("a success breaks the row", in_a_row(), &[Fail(4), Ok(1), Fail(1), Ok(1), Fail(4), Is(Closed)]),
        ("what is ignored does not", in_a_row(), &[Fail(4), Ignored(3), Fail(1), Is(Open)]),
        (
            "no failures in a row are too many unless it says so",
            Settings { min_requests: 1_000, ..settings() },
            &[Fail(999), Is(Closed)],
        ),
    ];
    for (what, settings, steps) in table {
        run(what, settings.clone(), steps);
    }
}

#[test]
fn open_it_sheds_and_half_open_it_probes() {
    let trip = || Settings { min_requests: 1, ..settings() };
    let slow_call = Some(SlowCall { threshold: secs(2), rate: 0.5 });
    let growing = || Settings { open_for: secs(10), backoff: 2.0, max_open_for: secs(35), probes: 1, ..trip() };
    let table: &[(&str, Settings, &[Step])] = &[
        // Polly: "the circuit stays open for the break duration"; Hystrix: the sleep window.
        (
            "shed, and told for how long",
            trip(),
            &[
                Fail(1),
                Shed(100, 60),
                Wait(500),
                Shed(1, 60),
                Wait(500),
                Shed(1, 59),
                Wait(58_950),
                Shed(1, 1),
                Is(Open),
                Wait(50),
                Hang(1),
                Is(HalfOpen),
                Because(OpenTimeOver),
            ],
        ),
        // Polly: a successful probe closes, a failing one breaks again for the whole duration.
        (
            "one probe closes",
            Settings { probes: 1, ..trip() },
            &[Fail(1), Wait(60_000), Ok(1), Is(Closed), Because(Recovered)],
        ),
        (
            "one probe opens again",
            Settings { probes: 1, ..trip() },
            &[
                Fail(1),
                Wait(60_000),
                Fail(1),
                Is(Open),
                Because(ProbeFailed),
                Shed(9, 60),
                Wait(60_000),
                Ok(1),
                Is(Closed),
            ],
        ),
        // Hystrix: allowSingleTest.
        (
            "one at a time",
            Settings { probes: 1, ..trip() },
            &[Fail(1), Wait(60_000), Hang(1), Shed(100, 1), Is(HalfOpen)],
        ),
        // resilience4j: permittedNumberOfCallsInHalfOpenState; all others are rejected until they have completed.
        ("three at a time", trip(), &[Fail(1), Wait(60_000), Hang(3), Shed(100, 1), Is(HalfOpen)]),
        (
            "three successes close",
            trip(),
            &[Fail(1), Wait(60_000), Ok(1), Is(HalfOpen), Ok(1), Is(HalfOpen), Ok(1), Is(Closed)],
        ),
        ("a failure among them opens", trip(), &[Fail(1), Wait(60_000), Ok(2), Fail(1), Is(Open), Shed(1, 60)]),
        (
            "a failure takes the successes with it",
            trip(),
            &[Fail(1), Wait(60_000), Ok(2), Fail(1), Wait(60_000), Ok(2), Is(HalfOpen), Ok(1), Is(Closed)],
        ),
        (
            "what is ignored is no success and frees its slot after a while",
            trip(),
            &[
                Fail(1),
                Wait(60_000),
                Ignored(3),
                Shed(1, 1),
                Wait(200),
                Ignored(3),
                Wait(200),
                Is(HalfOpen),
                Ok(3),
                Is(Closed),
            ],
        ),
        // A breaker that is stuck half-open because a call got lost is what resilience4j was long asked about (#903).
        (
            "a probe that never answers",
            trip(),
            &[
                Fail(1),
                Wait(60_000),
                Hang(1),
                Ok(2),
                Is(HalfOpen),
                Wait(29_950),
                Is(HalfOpen),
                Wait(50),
                Is(Open),
                Because(ProbeGivenUp),
                Shed(1, 60),
            ],
        ),
        (
            "a probe that is a stream",
            trip(),
            &[Fail(1), Wait(60_000), Ok(2), Stream(1), Wait(29_950), Is(HalfOpen), Wait(50), Is(Closed)],
        ),
        (
            "who has not sent all of a probe after a second gives its slot to another",
            trip(),
            &[
                Fail(1),
                Wait(60_000),
                Begin(2),
                Hang(1),
                Shed(1, 1),
                Wait(950),
                Shed(1, 1),
                Wait(50),
                Is(HalfOpen),
                Ok(2),
                Ok(1),
                Is(Closed),
            ],
        ),
        (
            "how it ends counts all the same",
            trip(),
            &[
                Fail(1),
                Wait(60_000),
                Begin(2),
                Wait(1_000),
                Begin(1),
                Wait(4_000),
                Sent(3),
                Is(HalfOpen),
                Shed(1, 1),
                Finish(3),
                Is(Closed),
            ],
        ),
        (
            "the first of many that never send all of it is forgotten",
            Settings { probes: 1, ..trip() },
            &[
                Fail(1),
                Wait(60_000),
                Begin(1),
                Wait(1_000),
                Begin(1),
                Wait(1_000),
                Finish(1),
                Is(HalfOpen),
                Finish(1),
                Is(Closed),
            ],
        ),
        (
            "from when all of a probe has come, it is waited for",
            trip(),
            &[
                Fail(1),
                Wait(60_000),
                Begin(1),
                Wait(20_000),
                Sent(1),
                Wait(29_950),
                Is(HalfOpen),
                Wait(50),
                Is(Open),
                Because(ProbeGivenUp),
            ],
        ),
        (
            "a slow probe",
            Settings { slow_call, ..trip() },
            &[Fail(1), Wait(60_000), Slow(1), Is(Open), Because(ProbeFailed)],
        ),
        ("a probe that may be slow", trip(), &[Fail(1), Wait(60_000), Slow(3), Is(Closed)]),
        (
            "after it closed, it counts anew",
            settings(),
            &[Fail(20), Wait(60_000), Ok(3), Is(Closed), Fail(19), Is(Closed), Fail(1), Is(Open)],
        ),
        (
            "after it closed, the row begins anew",
            Settings { consecutive_failures: Some(2), ..settings() },
            &[Fail(2), Is(Open), Wait(60_000), Ok(3), Fail(1), Is(Closed), Fail(1), Is(Open)],
        ),
        ("open until a request comes", trip(), &[Fail(1), Wait(600_000), Is(Open), Hang(1), Is(HalfOpen)]),
        // Envoy: the ejection time is the base multiplied by how often, up to the maximum.
        (
            "each time longer, up to the maximum, and from the start when it was closed",
            growing(),
            &[
                Fail(1),
                Shed(1, 10),
                Wait(10_000),
                Fail(1),
                Shed(1, 20),
                Wait(20_000),
                Fail(1),
                Shed(1, 35),
                Wait(35_000),
                Fail(1),
                Shed(1, 35),
                Wait(35_000),
                Ok(1),
                Is(Closed),
                Fail(1),
                Shed(1, 10),
            ],
        ),
    ];
    for (what, settings, steps) in table {
        run(what, settings.clone(), steps);
    }
}

#[test]
fn by_policy_it_is_disabled_or_forced_open_or_in_shadow() {
    let mode = |mode| Settings { mode, min_requests: 1, ..settings() };
    let steps = &[Fail(1), WouldShed(100), Is(Open), Wait(60_000), Hang(3), WouldShed(100), Is(HalfOpen)];
    run("in shadow it decides, and everything passes", mode(Mode::Shadow), steps);
    let steps = &[
        Fail(1),
        WouldShed(1),
        Wait(60_000),
        Ok(2),
        Fail(1),
        Is(Open),
        WouldShed(9),
        Wait(60_000),
        Ok(3),
        Is(Closed),
        Ok(9),
    ];
    run("in shadow it recovers", mode(Mode::Shadow), steps);
    run("disabled, everything passes", mode(Mode::Disabled), &[Unwatched(100)]);
    run("forced open, everything is shed", mode(Mode::ForcedOpen), &[Shed(100, 60), Wait(600_000), Shed(1, 60)]);
    for (mode, state) in [(Mode::Disabled, Closed), (Mode::ForcedOpen, Open)] {
        let mut worker = Worker::new(Settings { mode, ..settings() });
        let calls = worker.hostcalls(|worker| assert_eq!(worker.admit(START).state, state));
        assert!(calls.is_empty() && worker.breakers.keys() == 0);
    }
}

#[test]
fn jitter_lengthens_the_open_time_by_up_to_its_fraction() {
    let settings = Settings { jitter: 0.5, ..settings() };
    let lengths: Vec<u64> = (0..200)
        .map(|seed| {
            let mut worker = Worker::new(settings.clone());
            worker.calls(20, Outcome::Failure, START);
            worker.breakers.on_tick(worker.host, START, seed).unwrap();
            let opened = worker.breakers.take_transitions().pop().unwrap();
            let open_for = u64::try_from(opened.open_for.unwrap().as_nanos()).unwrap();
            let Verdict::Shed { retry_after } = worker.admit(START).verdict else { panic!("open") };
            assert_eq!(retry_after, whole_seconds(open_for));
            open_for / SECOND
        })
        .collect();
    assert!(lengths.iter().all(|length| (60..90).contains(length)), "{lengths:?}");
    for decade in [60, 65, 70, 75, 80, 85] {
        let within = lengths.iter().filter(|length| (decade..decade + 5).contains(*length)).count();
        assert!((15..60).contains(&within), "{decade}: {within}");
    }
}

#[test]
fn breakers_that_open_in_one_tick_do_not_probe_together() {
    let mut worker = Worker::new(Settings { jitter: 0.5, min_requests: 1, ..settings() });
    let names: Vec<[u8; 1]> = (0..50).map(|name| [name]).collect();
    for name in &names {
        let Verdict::Pass(ticket) = worker.breakers.admit(&worker.breaker, name, worker.host, START).verdict else {
            panic!()
        };
        worker.end(ticket, Outcome::Failure, START);
    }
    worker.tick(START);
    let mut lengths: Vec<_> = worker.breakers.take_transitions().iter().map(|made| made.open_for.unwrap()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    assert_eq!(lengths.len(), 50);
}

#[test]
fn settings_out_of_range_are_as_the_nearest_that_is_in_it() {
    let odd = Settings {
        window: Span::Seconds(0),
        consecutive_failures: Some(0),
        open_for: Duration::ZERO,
        backoff: f64::NAN,
        max_open_for: Duration::MAX,
        jitter: f64::NAN,
        probes: 0,
        probe_timeout: Duration::MAX,
        ..settings()
    };
    let least = Duration::from_nanos(1);
    let near = Settings {
        window: Span::Seconds(1),
        consecutive_failures: Some(1),
        open_for: least,
        backoff: 1.0,
        max_open_for: LONGEST,
        jitter: 0.0,
        probes: 1,
        probe_timeout: LONGEST,
        ..settings()
    };
    assert_eq!(Breaker::new(1, odd).settings(), &near);
    let odd = Settings {
        window: Span::Calls(5_000),
        max_open_for: secs(1),
        jitter: 7.0,
        probes: 1_000,
        probe_timeout: Duration::ZERO,
        ..settings()
    };
    let near = Settings {
        window: Span::Calls(1_000),
        max_open_for: secs(60),
        jitter: 1.0,
        probes: 100,
        probe_timeout: least,
        ..settings()
    };
    assert_eq!(Breaker::new(1, odd).settings(), &near);
    // However often it opens again, the time is one.
    let wild =
        Breaker::new(1, Settings { backoff: f64::INFINITY, jitter: 1.0, max_open_for: Duration::MAX, ..settings() });
    for reopened in [0, 1, u32::MAX] {
        let open = wild.settings().open_time(reopened, u32::MAX);
        assert!((60 * SECOND..=2 * 86_400 * SECOND).contains(&open), "{open}");
    }
}
