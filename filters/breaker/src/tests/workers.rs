//! One breaker for all workers, and what that costs.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::news;
use sluicegate_host::{Host, shared};

const GET: &str = "proxy_get_shared_data";
const SET: &str = "proxy_set_shared_data";

#[test]
fn every_worker_sees_an_open_breaker_on_its_next_tick() {
    let mut one = Worker::new(settings());
    let mut others: Vec<Worker> = (0..3).map(|_| one.beside()).collect();
    for other in &mut others {
        other.calls(1, Outcome::Success, START);
        other.tick(START);
    }
    one.calls(40, Outcome::Failure, START);
    one.tick(START + 10 * MILLI);
    for other in &mut others {
        assert_eq!(other.state(START + 20 * MILLI), State::Closed);
        other.tick(START + 30 * MILLI);
        assert_eq!(other.admit(START + 30 * MILLI).verdict, Verdict::Shed { retry_after: 60 });
        // Who decided it says so, and nobody else.
        assert_eq!(other.breakers.take_transitions(), []);
    }
    // So does a worker that had not a request of it yet.
    let mut quiet = one.beside();
    assert_eq!(quiet.admit(START + 30 * MILLI).state, State::Open);
    let opened = one.breakers.take_transitions();
    let expected = Transition {
        identity: 7,
        name: NAME.into(),
        from: State::Closed,
        to: State::Open,
        cause: Cause::FailureRate,
        open_for: Some(Duration::from_secs(60)),
    };
    assert_eq!(opened, [expected]);
    assert_eq!(one.breakers.take_transitions(), []);
}

#[test]
fn what_all_workers_count_opens_it() {
    // Alone, none of them has seen enough.
    for window in [Span::Seconds(10), Span::Calls(100)] {
        let mut workers = vec![Worker::new(Settings { window, ..settings() })];
        workers.extend((0..3).map(|_| workers[0].beside()).collect::<Vec<_>>());
        for (at, worker) in workers.iter_mut().enumerate() {
            worker.calls(5, Outcome::Failure, START);
            worker.tick(START);
            let opens = at == 3;
            assert_eq!(worker.state(START) == State::Open, opens);
            assert_eq!(worker.breakers.take_transitions().len(), usize::from(opens));
        }
    }
}

#[test]
fn the_successes_of_one_worker_weigh_against_the_failures_of_another() {
    for window in [Span::Seconds(10), Span::Calls(1_000)] {
        let mut good = Worker::new(Settings { window, ..settings() });
        let mut bad = good.beside();
        for round in 0..100 {
            let now = START + round * 50 * MILLI;
            good.calls(6, Outcome::Success, now);
            bad.calls(4, Outcome::Failure, now);
            good.tick(now);
            bad.tick(now);
        }
        assert_eq!(bad.state(START + 5 * SECOND), State::Closed);
        assert_eq!(bad.standing(START + 5 * SECOND).totals, Totals { calls: 1_000, failures: 400, slow: 0 });
    }
}

#[test]
fn failures_in_a_row_are_joined_in_the_order_in_which_workers_merge() {
    let in_a_row = Settings { consecutive_failures: Some(6), min_requests: 1_000, ..settings() };
    let mut one = Worker::new(in_a_row.clone());
    let mut other = one.beside();
    one.calls(3, Outcome::Failure, START);
    one.tick(START);
    other.calls(2, Outcome::Failure, START);
    other.calls(1, Outcome::Success, START);
    other.calls(3, Outcome::Failure, START);
    other.tick(START);
    assert_eq!(other.state(START), State::Closed);
    one.calls(3, Outcome::Failure, START);
    one.tick(START);
    assert_eq!(one.state(START), State::Open);
    // A row in the midst of what a worker saw is one too.
    let mut alone = Worker::new(in_a_row);
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Success] {
        alone.calls(6, outcome, START);
    }
    alone.tick(START);
    assert_eq!(alone.state(START), State::Open);
}

#[test]
fn the_last_calls_are_those_that_were_merged_last() {
    let by_count = Settings { window: Span::Calls(10), min_requests: 5, failure_rate: 0.5, ..settings() };
    let mut one = Worker::new(by_count);
    let mut other = one.beside();
    one.calls(4, Outcome::Failure, START);
    other.calls(1, Outcome::Failure, START);
    other.calls(9, Outcome::Success, START);
    one.tick(START);
    // The four of the first have left the window by then.
    other.tick(START);
    assert_eq!(other.standing(START).totals, Totals { calls: 10, failures: 1, slow: 0 });
    one.calls(4, Outcome::Failure, START);
    one.tick(START);
    assert_eq!(one.standing(START).totals, Totals { calls: 10, failures: 4, slow: 0 });
    other.calls(1, Outcome::Failure, START);
    other.tick(START);
    assert_eq!(other.state(START), State::Open);
}

#[test]
fn a_closed_breaker_and_an_open_one_make_no_hostcall() {
    let mut worker = Worker::new(settings());
    let calls = worker.hostcalls(|worker| {
        worker.calls(1_000, Outcome::Success, START);
        worker.calls(1_000, Outcome::Failure, START);
    });
    assert_eq!(calls.len(), 0);
    worker.calls(2_000, Outcome::Failure, START);
    worker.tick(START);
    let calls = worker.hostcalls(|worker| {
        for _ in 0..1_000 {
            assert_eq!(worker.admit(START).state, State::Open);
        }
    });
    assert_eq!(calls.len(), 0);
}

#[test]
fn half_open_a_probe_takes_two_hostcalls_and_what_is_shed_none() {
    let mut one = Worker::new(settings());
    let mut other = one.beside();
    one.open(START);
    other.tick(START);
    let over = START + 60 * SECOND;
    let mut tickets = Vec::new();
    for _ in 0..3 {
        let calls = one.hostcalls(|one| tickets.push(one.pass(over)));
        assert_eq!(calls, [GET, SET]);
        assert!(tickets.last().unwrap().is_probe());
    }
    let calls = one.hostcalls(|one| {
        for _ in 0..1_000 {
            assert_eq!(one.admit(over).verdict, Verdict::Shed { retry_after: 1 });
        }
    });
    assert_eq!(calls.len(), 0);
    // Another worker looks once to find that there is none left.
    let calls = other.hostcalls(|other| {
        for _ in 0..1_000 {
            assert_eq!(other.admit(over).state, State::HalfOpen);
        }
    });
    assert_eq!(calls, [GET]);
    // It hears of it when one is free again, which is when its outcome was merged.
    one.tick(over);
    other.tick(over);
    assert_eq!(other.admit(over).verdict, Verdict::Shed { retry_after: 1 });
    one.end(tickets.pop().unwrap(), Outcome::Success, over);
    assert_eq!(other.hostcalls(|other| drop(other.admit(over))).len(), 0);
    one.tick(over);
    other.tick(over);
    assert!(other.pass(over).is_probe());
    assert_eq!(one.hostcalls(|one| drop(one.admit(over))), [GET]);
}

#[test]
fn a_tick_costs_what_changed_and_three_hostcalls() {
    let mut worker = Worker::new(settings());
    let idle = worker.hostcalls(|worker| worker.tick(START));
    assert_eq!(idle, [GET; 3]);
    // 500 keys, all of which are known from here on; then one of them changes.
    for name in 0..500_u32 {
        let admission = worker.breakers.admit(&worker.breaker, &name.to_le_bytes(), worker.host, START);
        let Verdict::Pass(ticket) = admission.verdict else { panic!() };
        worker.end(ticket, Outcome::Success, START);
    }
    let all = worker.hostcalls(|worker| worker.tick(START));
    assert_eq!(all.iter().filter(|call| **call == SET).count(), 64);
    let admission = worker.breakers.admit(&worker.breaker, &7_u32.to_le_bytes(), worker.host, START);
    let Verdict::Pass(ticket) = admission.verdict else { panic!() };
    // A request under way is nothing to merge.
    assert_eq!(worker.hostcalls(|worker| worker.tick(START)), [GET; 3]);
    worker.end(ticket, Outcome::Success, START);
    assert_eq!(worker.hostcalls(|worker| worker.tick(START)), [GET, SET, GET, GET, GET]);
    // Opening is written, told, and read back.
    worker.calls(100, Outcome::Failure, START);
    assert_eq!(worker.hostcalls(|worker| worker.tick(START)), [GET, SET, GET, SET, GET, GET, GET, GET]);
    // Open, there is nothing to do.
    for _ in 0..100 {
        let _ = worker.admit(START);
    }
    assert_eq!(worker.hostcalls(|worker| worker.tick(START)), [GET; 3]);
}

#[test]
fn all_shards_are_read_again_in_case_news_was_never_told() {
    let mut one = Worker::new(settings());
    let mut other = one.beside();
    other.calls(1, Outcome::Success, START);
    other.tick(START);
    let untold = shared::read(one.host, &news::name()).unwrap().unwrap();
    one.open(START);
    one.host.set_shared_data(&news::name(), &untold, None).unwrap();
    for _ in 0..32 {
        other.tick(START);
    }
    assert_eq!(other.admit(START).state, State::Open);
}

#[test]
fn probes_never_exceed_the_limit_across_workers() {
    let mut one = Worker::new(settings());
    one.open(START);
    let mut workers = vec![one.beside(), one.beside(), one.beside(), one];
    let over = START + 60 * SECOND;
    let mut passed = 0;
    for _ in 0..50 {
        for worker in &mut workers {
            match worker.admit(over).verdict {
                Verdict::Pass(ticket) => {
                    assert!(ticket.is_probe());
                    passed += 1;
                }
                verdict => assert_eq!(verdict, Verdict::Shed { retry_after: 1 }),
            }
            worker.tick(over);
        }
    }
    assert_eq!(passed, 3);
}

#[test]
fn probes_of_different_workers_close_it_together_and_every_worker_sees_it() {
    let mut one = Worker::new(settings());
    let mut workers = vec![one.beside(), one.beside(), one.beside()];
    one.open(START);
    let over = START + 60 * SECOND;
    for worker in &mut workers {
        worker.tick(over);
    }
    let tickets: Vec<Ticket> = workers.iter_mut().map(|worker| worker.pass(over)).collect();
    for (worker, ticket) in workers.iter_mut().zip(tickets) {
        worker.end(ticket, Outcome::Success, over);
        worker.tick(over);
    }
    for worker in &mut workers {
        worker.tick(over);
        assert_eq!(worker.admit(over).state, State::Closed);
    }
    let transitions = |worker: &mut Worker| -> Vec<Cause> {
        worker.breakers.take_transitions().iter().map(|transition| transition.cause).collect()
    };
    let made: Vec<Vec<Cause>> = workers.iter_mut().map(transitions).collect();
    assert_eq!(made, [vec![Cause::OpenTimeOver], vec![], vec![Cause::Recovered]]);
    one.tick(over);
    assert_eq!(transitions(&mut one), [Cause::FailureRate]);
    assert_eq!(one.admit(over).state, State::Closed);
}

#[test]
fn a_probe_whose_worker_is_gone_is_given_up_by_another() {
    let mut one = Worker::new(settings());
    let mut other = one.beside();
    one.open(START);
    other.tick(START);
    let over = START + 60 * SECOND;
    assert!(one.pass(over).is_probe());
    drop(one);
    assert!(other.pass(over).is_probe());
    other.tick(over + 30 * SECOND - 1);
    assert_eq!(other.state(over + 30 * SECOND), State::HalfOpen);
    other.tick(over + 30 * SECOND);
    assert_eq!(other.breakers.take_transitions().last().unwrap().cause, Cause::ProbeGivenUp);
    assert_eq!(other.admit(over + 30 * SECOND).verdict, Verdict::Shed { retry_after: 60 });
}

#[test]
fn what_was_admitted_before_it_opened_counts_neither_half_open_nor_closed_again() {
    let mut worker = Worker::new(Settings { consecutive_failures: Some(1), ..settings() });
    let mut early: Vec<Ticket> = (0..40).map(|_| worker.pass(START)).collect();
    worker.open(START);
    let mut end_some = |worker: &mut Worker, now| {
        for ticket in early.drain(..10) {
            assert!(!ticket.is_probe());
            worker.end(ticket, Outcome::Failure, now);
        }
        worker.tick(now);
        assert_eq!(std::mem::take(&mut worker.breakers.take_uncounted().late), 10);
    };
    end_some(&mut worker, START);
    let over = START + 60 * SECOND;
    let probe = worker.pass(over);
    end_some(&mut worker, over);
    assert_eq!(worker.state(over), State::HalfOpen);
    worker.end(probe, Outcome::Success, over);
    worker.calls(2, Outcome::Success, over);
    worker.tick(over);
    assert_eq!(worker.state(over), State::Closed);
    end_some(&mut worker, over);
    assert_eq!(worker.state(over), State::Closed);
    assert_eq!(worker.standing(over).totals, Totals::default());
}

#[test]
fn what_a_worker_admitted_that_had_not_heard_yet_does_not_count_either() {
    let mut one = Worker::new(settings());
    let mut other = one.beside();
    one.open(START);
    // It ends calls that it has not merged when it hears of it, and more of them after.
    other.calls(7, Outcome::Failure, START);
    let late = other.pass(START);
    other.tick(START);
    assert_eq!(other.state(START), State::Open);
    other.end(late, Outcome::Failure, START);
    other.tick(START);
    assert_eq!(other.breakers.take_uncounted(), Uncounted { late: 8, ..Uncounted::default() });
}

#[test]
fn a_late_outcome_of_an_earlier_trial_does_not_count_in_a_new_one() {
    let mut worker = Worker::new(settings());
    worker.open(START);
    let mut now = START + 60 * SECOND;
    let (bad, early, other) = (worker.pass(now), worker.pass(now), worker.pass(now));
    worker.end(bad, Outcome::Failure, now);
    worker.tick(now);
    assert_eq!(worker.state(now), State::Open);
    worker.end(early, Outcome::Failure, now);
    worker.tick(now);
    now += 60 * SECOND;
    let fresh = worker.pass(now);
    // Of three successes, this one is not: nor does it free a slot of the new period, nor answer for its first probe.
    worker.breakers.answered(&other);
    worker.end(other, Outcome::Success, now);
    worker.calls(2, Outcome::Success, now);
    worker.tick(now);
    assert_eq!(worker.state(now), State::HalfOpen);
    worker.end(fresh, Outcome::Success, now);
    worker.tick(now);
    assert_eq!(worker.state(now), State::Closed);
    assert_eq!(worker.breakers.take_uncounted().late, 2);
}

#[test]
fn of_several_slots_one_is_for_requests_that_are_whole() {
    for (probes, unfinished) in [(1, 1), (2, 1), (3, 2)] {
        let mut worker = Worker::new(Settings { probes, ..settings() });
        worker.open(START);
        let now = START + 60 * SECOND;
        let begun = (0..5).filter(|_| {
            let Worker { breakers, breaker, host } = &mut worker;
            matches!(breakers.admit_unfinished(breaker, NAME, *host, now).verdict, Verdict::Pass(_))
        });
        assert_eq!(begun.count(), unfinished, "{probes}");
        let whole = (0..5).filter(|_| matches!(worker.admit(now).verdict, Verdict::Pass(_)));
        assert_eq!(whole.count(), probes as usize - unfinished, "{probes}");
    }
}

#[test]
fn a_probe_that_was_given_up_says_nothing_any_more() {
    let mut worker = Worker::new(Settings { probe_timeout: Duration::from_secs(1), ..settings() });
    worker.open(START);
    let mut now = START + 60 * SECOND;
    let ticket = worker.pass(now);
    now += SECOND;
    // The outcome is there, but only after the limit: it counts, since nobody has given it up.
    worker.end(ticket, Outcome::Success, now);
    worker.tick(now);
    assert_eq!(worker.state(now), State::HalfOpen);
    let stream = worker.pass(now);
    worker.breakers.answered(&stream);
    worker.tick(now);
    now += SECOND;
    worker.tick(now);
    // It was taken for a success; how it ends does not matter then.
    worker.end(stream, Outcome::Failure, now);
    worker.tick(now);
    assert_eq!(worker.state(now), State::HalfOpen);
    worker.calls(1, Outcome::Success, now);
    worker.tick(now);
    assert_eq!(worker.state(now), State::Closed);
}

#[test]
fn breakers_and_names_have_each_their_own() {
    let mut worker = Worker::new(settings());
    worker.open(START);
    let other = Breaker::new(8, settings());
    let state = |worker: &mut Worker, breaker: &Breaker, name: &[u8]| {
        worker.breakers.admit(breaker, name, worker.host, START).state
    };
    let breaker = worker.breaker.clone();
    assert_eq!(state(&mut worker, &breaker, b"cluster_1"), State::Closed);
    assert_eq!(state(&mut worker, &other, NAME), State::Closed);
    assert_eq!(state(&mut worker, &breaker, NAME), State::Open);
    let mut standings: Vec<_> = worker.breakers.standings(START).collect();
    standings.sort_by_key(|standing| (standing.identity, standing.name.clone()));
    let seen: Vec<_> =
        standings.iter().map(|standing| (standing.identity, &standing.name[..], standing.state)).collect();
    assert_eq!(seen, [(7, NAME, State::Open), (7, b"cluster_1", State::Closed), (8, NAME, State::Closed)]);
    assert_eq!(worker.breakers.standing(&other, b"cluster_1", START), None);
}

#[test]
fn a_breaker_stands_as_all_have_merged_it_and_this_worker_has_counted() {
    let slow_call = Some(SlowCall { threshold: Duration::from_millis(100), rate: 1.0 });
    let mut one = Worker::new(Settings { slow_call, ..settings() });
    let mut other = one.beside();
    other.calls(3, Outcome::Failure, START);
    other.tick(START);
    one.calls(4, Outcome::Success, START);
    one.tick(START);
    let ticket = one.pass(START);
    one.breakers.ended(ticket, Outcome::Failure, Some(Duration::from_millis(101)), START);
    let ticket = one.pass(START);
    one.breakers.ended(ticket, Outcome::Success, Some(Duration::from_millis(100)), START);
    let standing = one.standing(START);
    assert_eq!((standing.state, standing.retry_after), (State::Closed, None));
    assert_eq!(standing.totals, Totals { calls: 9, failures: 4, slow: 1 });
    assert_eq!(one.standing(START + 10 * SECOND).totals, Totals::default());
    one.open(START);
    let standing = one.standing(START + 500 * MILLI);
    assert_eq!((standing.totals, standing.retry_after), (Totals::default(), Some(60)));
    assert_eq!(one.standing(START + 90 * SECOND).retry_after, Some(1));
}

#[test]
fn what_could_not_be_merged_is_merged_later() {
    let mut worker = Worker::new(settings());
    worker.calls(20, Outcome::Failure, START);
    // A proxy that has lost its shared data.
    let lost = Double::new();
    assert!(worker.breakers.on_tick(lost, START, 0).is_err());
    assert_eq!(worker.state(START), State::Closed);
    worker.tick(START);
    assert_eq!(worker.state(START), State::Open);
    // Without it no breaker would ever close.
    let over = START + 60 * SECOND;
    let admission = worker.breakers.admit(&worker.breaker, NAME, lost, over);
    assert_eq!(admission.verdict, Verdict::PassUnwatched);
    assert_eq!(worker.breakers.take_uncounted().unwatched, 1);
    assert!(worker.pass(over).is_probe());
}

#[test]
fn what_was_under_way_when_it_opened_does_not_count_though_nothing_has_happened_for_long() {
    let mut worker = Worker::new(Settings { consecutive_failures: Some(1), ..settings() });
    let early = worker.pass(START);
    worker.open(START);
    let over = START + 60 * SECOND;
    worker.calls(3, Outcome::Success, over);
    worker.tick(over);
    assert_eq!(worker.state(over), State::Closed);
    // Its window is empty, and others of its shard are written.
    let later = START + 600 * SECOND;
    let shard = crate::key::Key::of(7, NAME).shard();
    let beside = (0_u32..).map(u32::to_le_bytes).find(|name| crate::key::Key::of(7, name).shard() == shard).unwrap();
    let Verdict::Pass(ticket) = worker.breakers.admit(&worker.breaker, &beside, worker.host, later).verdict else {
        panic!()
    };
    worker.end(ticket, Outcome::Success, later);
    worker.tick(later);
    worker.end(early, Outcome::Failure, later);
    worker.tick(later);
    assert_eq!(worker.state(later), State::Closed);
}

#[test]
fn a_worker_that_still_takes_it_for_open_learns_what_it_is_when_it_asks_for_a_probe() {
    let mut one = Worker::new(settings());
    let (mut other, mut third) = (one.beside(), one.beside());
    one.open(START);
    other.tick(START);
    third.tick(START);
    let over = START + 60 * SECOND;
    one.calls(1, Outcome::Failure, over);
    one.tick(over);
    // It has opened again.
    assert_eq!(other.admit(over).state, State::Open);
    assert_eq!(other.admit(over).verdict, Verdict::Shed { retry_after: 60 });
    let over = over + 60 * SECOND;
    one.calls(3, Outcome::Success, over);
    one.tick(over);
    // It has closed; what is counted from here on is of the new epoch.
    let ticket = third.pass(over);
    assert!(!ticket.is_probe());
    third.end(ticket, Outcome::Failure, over);
    third.open(over);
    assert_eq!(third.breakers.take_uncounted(), Uncounted::default());
}

#[test]
fn news_that_could_not_be_followed_is_followed_by_the_next_tick() {
    let mut one = Worker::new(settings());
    let mut other = one.beside();
    other.calls(1, Outcome::Success, START);
    other.tick(START);
    one.open(START);
    // A proxy that has the news, and nothing else.
    let lost = Double::new();
    lost.set_shared_data(&news::name(), &shared::read(one.host, &news::name()).unwrap().unwrap(), None).unwrap();
    other.calls(1, Outcome::Success, START);
    assert!(other.breakers.on_tick(lost, START, 0).is_err());
    other.tick(START);
    assert_eq!(other.admit(START).state, State::Open);
}

#[test]
fn what_a_worker_has_to_say_of_a_trial_does_not_count_in_a_period_that_it_has_not_heard_of() {
    let mut one = Worker::new(settings());
    let mut other = one.beside();
    one.open(START);
    other.tick(START);
    let mut now = START + 60 * SECOND;
    let (bad, early) = (one.pass(now), other.pass(now));
    one.end(bad, Outcome::Failure, now);
    one.tick(now);
    now += 60 * SECOND;
    // The first trials of both periods have the same numbers.
    let (_first, _second) = (one.pass(now), one.pass(now));
    other.end(early, Outcome::Failure, now);
    other.tick(now);
    assert_eq!(other.state(now), State::HalfOpen);
}

#[test]
fn every_worker_sees_on_its_next_tick_that_a_breaker_is_half_open() {
    let mut one = Worker::new(settings());
    let mut other = one.beside();
    one.open(START);
    other.calls(1, Outcome::Success, START);
    other.tick(START);
    let over = START + 60 * SECOND;
    let _probe = one.pass(over);
    one.tick(over);
    assert_eq!(other.state(over), State::Open);
    other.tick(over);
    assert_eq!(other.state(over), State::HalfOpen);
}

#[test]
fn what_was_not_merged_before_its_breaker_opened_and_closed_does_not_count_after() {
    let mut one = Worker::new(settings());
    let mut other = one.beside();
    let shard = crate::key::Key::of(7, NAME).shard();
    let beside = (0_u32..).map(u32::to_le_bytes).find(|name| crate::key::Key::of(7, name).shard() == shard).unwrap();
    let (breaker, host) = (one.breaker.clone(), other.host);
    for _ in 0..20 {
        let Verdict::Pass(ticket) = one.breakers.admit(&breaker, &beside, one.host, START).verdict else { panic!() };
        one.end(ticket, Outcome::Failure, START);
    }
    one.tick(START);
    // It hears of the one beside, and then has no tick for a while.
    other.tick(START);
    assert_eq!(other.breakers.admit(&breaker, &beside, host, START).state, State::Open);
    other.calls(7, Outcome::Failure, START);
    one.open(START);
    let over = START + 60 * SECOND;
    one.calls(3, Outcome::Success, over);
    one.tick(over);
    // By a probe of the one beside it sees the whole shard, and that ours is another than that which it counted for.
    assert!(matches!(other.breakers.admit(&breaker, &beside, host, over).verdict, Verdict::Pass(_)));
    other.calls(2, Outcome::Failure, over);
    other.tick(over);
    assert_eq!(other.standing(over).totals, Totals { calls: 2, failures: 2, slow: 0 });
    assert_eq!(other.breakers.take_uncounted().late, 7);
}

/// A worker whose breaker may be probed.
fn half_open() -> Worker {
    let mut one = Worker::new(Settings { probes: 2, ..settings() });
    one.open(START);
    one.tick(START + 61 * SECOND);
    one
}

#[test]
fn a_trial_that_has_ended_is_merged_at_once_and_nothing_else_is() {
    let mut one = half_open();
    let now = START + 62 * SECOND;
    let (first, second) = (one.pass(now), one.pass(now));
    one.tick(now);
    let other = Breaker::new(8, settings());
    let Verdict::Pass(ticket) = one.breakers.admit(&other, NAME, one.host, now).verdict else { unreachable!() };
    one.breakers.ended(ticket, Outcome::Success, None, now);
    one.breakers.answered(&second);
    let settle = |one: &mut Worker| one.hostcalls(|one| one.breakers.settle(one.host, now, 0));
    // Of neither a call nor a trial that goes on.
    assert_eq!(settle(&mut one), [""; 0]);
    one.end(first, Outcome::Success, now);
    // The value of its shard, and the news that a slot is free.
    assert_eq!(settle(&mut one), [GET, SET, GET, SET]);
    assert_eq!(settle(&mut one), [""; 0]);
    one.end(second, Outcome::Success, now);
    assert_eq!(settle(&mut one), [GET, SET, GET, SET]);
    assert_eq!(one.state(now), State::Closed);
    assert_eq!(settle(&mut one), [""; 0]);
}

#[test]
fn what_a_trial_decided_every_worker_sees_on_its_next_tick() {
    for (outcome, expected) in [(Outcome::Failure, State::Open), (Outcome::Success, State::Closed)] {
        let mut one = half_open();
        let mut other = one.beside();
        let now = START + 62 * SECOND;
        let trials = [one.pass(now), one.pass(now)];
        assert_eq!(other.admit(now).state, State::HalfOpen);
        other.tick(now);
        for trial in trials {
            one.end(trial, outcome, now);
        }
        one.breakers.settle(one.host, now, 0);
        other.tick(now + MILLI);
        assert_eq!(other.state(now + MILLI), expected);
    }
}
