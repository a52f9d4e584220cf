//! What holds whatever happens.

use super::*;
use crate::breakers;
use crate::moment::Moment;
use crate::probe::{Probes, Stage, Trial};
use crate::record;
use crate::shard::Shard;
use crate::state::{Machine, Phase};
use crate::window::{Call, Window};
use crate::{key::Key, merge, pending::Pending};
use proptest::collection::vec;
use proptest::prelude::*;
use sluicegate_host::{Host, shared};
use std::collections::HashMap;

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![(1..=600_u16).prop_map(Span::Seconds), (1..=1_000_u16).prop_map(Span::Calls)]
}

fn rate() -> impl Strategy<Value = f64> {
    prop_oneof![8 => 0.0..=1.0_f64, 1 => Just(0.0), 1 => Just(1.0)]
}

fn any_stage() -> impl Strategy<Value = Stage> {
    prop_oneof![
        Just(Stage::Sending),
        Just(Stage::Parked),
        Just(Stage::Waiting),
        Just(Stage::Answered),
        Just(Stage::Left)
    ]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let rates = (rate(), proptest::option::of(rate()), proptest::option::of(0..20_u32));
    let open = (0..20_000_u64, 0.0..4.0_f64, 0..100_000_u64, 0.0..=1.0_f64);
    (span(), 0..60_u32, rates, open, 1..5_u32, 0..5_000_u64, any::<bool>()).prop_map(
        |(window, min_requests, (failure_rate, slow, consecutive_failures), open, probes, timeout, shadow)| {
            let (open_for, backoff, max_open_for, jitter) = open;
            Settings {
                mode: if shadow { Mode::Shadow } else { Mode::Normal },
                window,
                min_requests,
                failure_rate,
                slow_call: slow.map(|rate| SlowCall { threshold: Duration::from_millis(100), rate }),
                consecutive_failures,
                open_for: Duration::from_millis(open_for),
                backoff,
                max_open_for: Duration::from_millis(max_open_for),
                jitter,
                probes,
                probe_timeout: Duration::from_millis(timeout),
            }
        },
    )
}

#[derive(Clone, Debug)]
enum Event {
    /// So many requests of a name come to a worker.
    Come {
        worker: usize,
        name: u8,
        count: u8,
    },
    /// One that is under way ends.
    End {
        which: prop::sample::Index,
        outcome: Outcome,
        millis: u64,
    },
    /// All of one that is under way has come.
    Sent {
        which: prop::sample::Index,
    },
    /// One that is under way has begun to answer.
    Answer {
        which: prop::sample::Index,
    },
    /// What is known of trials that have ended is merged.
    Settle {
        worker: usize,
    },
    Tick {
        worker: usize,
    },
    Pass(u64),
    /// The clock is set.
    Set(i64),
    /// A new policy.
    Reload {
        worker: usize,
    },
}

fn any_event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![3 => Just(Outcome::Success), 5 => Just(Outcome::Failure), 1 => Just(Outcome::Ignored)];
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (0..3_usize, 0..3_u8, 1..10_u8).prop_map(|(worker, name, count)| Event::Come { worker, name, count }),
        24 => (index(), outcome, 0..200_u64).prop_map(|(which, outcome, millis)| Event::End { which, outcome, millis }),
        3 => index().prop_map(|which| Event::Sent { which }),
        3 => index().prop_map(|which| Event::Answer { which }),
        6 => (0..3_usize).prop_map(|worker| Event::Settle { worker }),
        12 => (0..3_usize).prop_map(|worker| Event::Tick { worker }),
        6 => prop_oneof![0..100_u64, 0..30_000_u64].prop_map(Event::Pass),
        1 => (-100_000_000..100_000_000_i64).prop_map(Event::Set),
        1 => (0..3_usize).prop_map(|worker| Event::Reload { worker }),
    ]
}

/// Several workers, and what they say that they decided.
struct Proxy {
    workers: Vec<Worker>,
    states: HashMap<Vec<u8>, State>,
    unsettled: bool,
}

impl Proxy {
    fn new(settings: &Settings) -> Proxy {
        let first = Worker::new(settings.clone());
        let workers = vec![first.beside(), first.beside(), first];
        Proxy { workers, states: HashMap::new(), unsettled: false }
    }

    /// All transitions are legal, and each begins where the one before it ended.
    fn check(&mut self, worker: usize) -> Result<(), TestCaseError> {
        for made in self.workers[worker].breakers.take_transitions() {
            use Cause::*;
            use State::*;
            let legal = matches!(
                (made.from, made.to, made.cause),
                (Closed, Open, FailureRate | SlowCalls | ConsecutiveFailures)
                    | (Open, HalfOpen, OpenTimeOver)
                    | (HalfOpen, Open, ProbeFailed | ProbeGivenUp)
                    | (HalfOpen, Closed, Recovered)
            );
            prop_assert!(legal, "{:?}", made);
            prop_assert_eq!(made.open_for.is_some(), made.to == Open);
            let state = self.states.entry(made.name.to_vec()).or_insert(Closed);
            prop_assert_eq!(*state, made.from, "{:?}", made);
            *state = made.to;
            self.unsettled |= made.to != Closed;
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn all_transitions_are_legal_and_what_is_shed_and_what_passes_is_what_was_offered(
        settings in any_settings(), events in vec(any_event(), 0..300)
    ) {
        let mut proxy = Proxy::new(&settings);
        let (mut now, mut reloaded) = (START, false);
        let mut under_way: Vec<(usize, Ticket)> = Vec::new();
        let (mut offered, mut passed, mut shed, mut unwatched) = (0_u64, 0_u64, 0_u64, 0_u64);
        for event in events {
            match event {
                Event::Come { worker, name, count } => {
                    for _ in 0..count {
                        offered += 1;
                        let Worker { breakers, breaker, host } = &mut proxy.workers[worker];
                        let admission = match offered % 3 {
                            0 => breakers.admit_unfinished(breaker, &[name], *host, now),
                            _ => breakers.admit(breaker, &[name], *host, now),
                        };
                        let mut is_shed = |retry_after: u64| {
                            shed += 1;
                            // As long as the longest open time, with its jitter.
                            assert!((1..=201).contains(&retry_after), "{retry_after}");
                            assert!(admission.state != State::Closed);
                        };
                        match admission.verdict {
                            Verdict::Pass(ticket) => {
                                prop_assert_eq!(ticket.is_probe(), admission.state == State::HalfOpen);
                                prop_assert!(admission.state != State::Open);
                                passed += 1;
                                under_way.push((worker, ticket));
                            }
                            Verdict::PassUnwatched => unwatched += 1,
                            Verdict::Shed { retry_after } => {
                                prop_assert_eq!(settings.mode, Mode::Normal);
                                is_shed(retry_after);
                            }
                            Verdict::WouldShed { retry_after } => {
                                prop_assert_eq!(settings.mode, Mode::Shadow);
                                is_shed(retry_after);
                            }
                        }
                        proxy.check(worker)?;
                    }
                }
                Event::End { which, outcome, millis } if !under_way.is_empty() => {
                    let (worker, ticket) = under_way.swap_remove(which.index(under_way.len()));
                    let latency = Some(Duration::from_millis(millis));
                    proxy.workers[worker].breakers.ended(ticket, outcome, latency, now);
                }
                Event::Sent { which } if !under_way.is_empty() => {
                    let (worker, ticket) = &under_way[which.index(under_way.len())];
                    proxy.workers[*worker].breakers.sent(ticket);
                }
                Event::Settle { worker } => {
                    let Worker { breakers, host, .. } = &mut proxy.workers[worker];
                    breakers.settle(*host, now, 0);
                    proxy.check(worker)?;
                }
                Event::Answer { which } if !under_way.is_empty() => {
                    let (worker, ticket) = &under_way[which.index(under_way.len())];
                    proxy.workers[*worker].breakers.answered(ticket);
                }
                Event::Tick { worker } => {
                    proxy.workers[worker].tick(now);
                    proxy.check(worker)?;
                }
                Event::Pass(millis) => now += millis * MILLI,
                Event::Set(millis) => now = now.saturating_add_signed(millis * 1_000_000),
                Event::Reload { worker } => {
                    reloaded = true;
                    let host = proxy.workers[worker].host;
                    proxy.workers[worker] = Worker::on(host, settings.clone(), now);
                    // What was under way ends with the old policy, of which nothing comes any more here.
                    under_way.retain(|(of, _)| *of != worker);
                }
                Event::End { .. } | Event::Sent { .. } | Event::Answer { .. } => {}
            }
        }
        prop_assert_eq!((unwatched, shed + passed), (0, offered));
        // Two ticks later all workers agree, and with what they said; where one is gone before it could tell its news, when
        // all shards have come round.
        for _ in 0..if reloaded { 33 } else { 2 } {
            for worker in 0..3 {
                proxy.workers[worker].tick(now);
                proxy.check(worker)?;
            }
        }
        for worker in &proxy.workers {
            for standing in worker.breakers.standings(now) {
                let said = proxy.states.get(&standing.name[..]).copied().unwrap_or(State::Closed);
                prop_assert_eq!(said, standing.state);
            }
        }
    }

    #[test]
    fn an_upstream_that_never_fails_never_trips_it(
        settings in any_settings(), rounds in vec((0..3_usize, 0..400_u32, 0..3_000_u64), 1..60)
    ) {
        let mut proxy = Proxy::new(&settings);
        let mut now = START;
        for (worker, calls, millis) in rounds {
            proxy.workers[worker].calls(calls, Outcome::Success, now);
            proxy.workers[worker].tick(now);
            proxy.check(worker)?;
            now += millis * MILLI;
        }
        prop_assert!(!proxy.unsettled);
    }

    #[test]
    fn an_upstream_that_always_fails_trips_it_as_soon_as_enough_is_seen(
        settings in any_settings(), count in 1..30_u32
    ) {
        let settings = Settings { failure_rate: 1.0, consecutive_failures: None, ..settings };
        let enough = match settings.window {
            Span::Calls(calls) => settings.min_requests.min(calls.into()),
            Span::Seconds(_) => settings.min_requests,
        };
        let mut worker = Worker::new(settings);
        worker.calls(count, Outcome::Failure, START);
        worker.tick(START);
        prop_assert_eq!(worker.state(START) == State::Open, count >= enough);
    }

    #[test]
    fn a_breaker_is_read_as_it_was_written(
        span in span(),
        calls in vec((any::<bool>(), any::<bool>(), 0..700_u32), 0..300),
        numbers in any::<(u64, u64, u32, u32, u32)>(),
        trials in vec((any::<u32>(), any::<u64>(), any_stage()), 0..9),
        phase in 0..3,
    ) {
        let (epoch, since, reopened, draw, successes) = numbers;
        let mut window = Window::new(span);
        let mut second = 1_800_000_000;
        for (failed, slow, later) in calls {
            second += later / 100;
            window.record(Call { failed, slow }, second);
        }
        let trials: Vec<Trial> =
            trials.into_iter().map(|(number, since, stage)| Trial { number, since, stage }).collect();
        let phase = match phase {
            0 => Phase::Closed { window, failures: draw },
            1 => Phase::Open { since, reopened, draw },
            _ => Phase::HalfOpen { reopened, probes: Probes { next: draw, successes, trials } },
        };
        let machine = Machine { epoch, phase };
        let bytes = record::bytes(&machine);
        prop_assert_eq!(record::machine(&bytes), Some(machine));
        for length in 0..bytes.len() {
            // Shorter it may be another one, but never a trap.
            let _ = record::machine(&bytes[..length]);
        }
    }

    #[test]
    fn whatever_lies_in_shared_data_nothing_traps(
        settings in any_settings(),
        good in vec((0..40_u8, any::<bool>()), 0..60),
        bytes in vec(any::<u8>(), 0..200),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        is_ours in any::<bool>(),
        now in prop_oneof![Just(START), Just(START + 61 * SECOND), any::<u64>()],
    ) {
        let mut worker = Worker::new(Settings { min_requests: 3, ..settings });
        for (name, fails) in good {
            let verdict = worker.breakers.admit(&worker.breaker, &[name], worker.host, START).verdict;
            if let Verdict::Pass(ticket) = verdict {
                worker.end(ticket, if fails { Outcome::Failure } else { Outcome::Success }, START);
            }
        }
        worker.tick(START);
        for shard in 0..64 {
            let name = breakers::name(shard);
            let mut value = if is_ours { shared::read(worker.host, &name).unwrap().unwrap() } else { bytes.clone() };
            for (at, byte) in &changes {
                if !value.is_empty() {
                    let at = at.index(value.len());
                    value[at] = *byte;
                }
            }
            let foreign = value.first().is_some_and(|version| *version != 1);
            worker.host.set_shared_data(&name, &value, None).unwrap();
            let _ = Shard::read(&value);
            let key = Key::of(7, &[1]);
            let pending = Pending::new(Span::Seconds(10));
            let settings = worker.breaker.settings();
            let delta = merge::Delta { key, settings, pending: &pending, in_force: true };
            let moment = Moment { now, entropy: 0 };
            prop_assert_eq!(merge::merge(&value, std::iter::once(delta), moment).is_err(), foreign);
            prop_assert_eq!(merge::claim(&value, key, Stage::Sending, settings, now).is_err(), foreign);
        }
        let before: Vec<_> = (0..64).map(|shard| shared::read(worker.host, &breakers::name(shard))).collect();
        let mut worker = Worker::on(worker.host, worker.breaker.settings().clone(), now);
        for _ in 0..3 {
            for name in 0..40 {
                if let Verdict::Pass(ticket) = worker.breakers.admit(&worker.breaker, &[name], worker.host, now).verdict {
                    worker.breakers.answered(&ticket);
                    worker.end(ticket, Outcome::Failure, now);
                }
            }
            worker.tick(now);
            prop_assert_eq!(worker.breakers.standings(now).count(), 40);
        }
        for (shard, before) in before.into_iter().enumerate() {
            let after = shared::read(worker.host, &breakers::name(shard));
            if before.as_ref().unwrap().as_ref().unwrap().first().is_some_and(|version| *version != 1) {
                prop_assert_eq!(after, before);
            }
        }
    }
}
