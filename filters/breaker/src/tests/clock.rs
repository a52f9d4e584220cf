//! The proxy's clock is the system's, and may be set at any time.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const DAY: u64 = 86_400 * SECOND;

#[test]
fn set_back_while_open_the_open_time_begins_anew() {
    for back in [2 * SECOND, 3_600 * SECOND, 1_000 * DAY] {
        let mut one = Worker::new(settings());
        let mut other = one.beside();
        one.open(START);
        other.tick(START);
        assert_eq!(other.admit(START).state, State::Open);
        let now = START - back;
        assert_eq!(one.admit(now).verdict, Verdict::Shed { retry_after: 60 });
        one.tick(now);
        other.tick(now);
        for worker in [&mut one, &mut other] {
            assert_eq!(worker.admit(now + 59 * SECOND).verdict, Verdict::Shed { retry_after: 1 });
        }
        assert!(other.pass(now + 60 * SECOND).is_probe(), "{back}");
    }
}

#[test]
fn a_worker_that_is_a_little_behind_changes_nothing() {
    let mut one = Worker::new(settings());
    let mut other = one.beside();
    one.open(START);
    other.tick(START - 50 * MILLI);
    assert_eq!(other.admit(START - 50 * MILLI).verdict, Verdict::Shed { retry_after: 60 });
    assert_eq!(other.hostcalls(|other| other.tick(START - 900 * MILLI)).len(), 3);
    assert!(one.pass(START + 60 * SECOND).is_probe());
}

#[test]
fn set_forward_while_open_it_is_probed_earlier() {
    let mut worker = Worker::new(settings());
    worker.open(START);
    assert!(worker.pass(START + 7 * DAY).is_probe());
}

#[test]
fn set_back_while_half_open_a_probe_has_its_time_once_more() {
    let mut worker = Worker::new(settings());
    worker.open(START);
    let mut now = START + 60 * SECOND;
    assert!(worker.pass(now).is_probe());
    now -= DAY;
    worker.tick(now);
    now += 29 * SECOND;
    worker.tick(now);
    assert_eq!(worker.state(now), State::HalfOpen);
    now += SECOND;
    worker.tick(now);
    assert_eq!(worker.state(now), State::Open);
}

#[test]
fn set_while_closed_what_was_counted_at_other_times_does_not_count() {
    for to in [START - DAY, START - 5 * SECOND, START + 11 * SECOND, START + DAY, SECOND] {
        let mut worker = Worker::new(settings());
        worker.calls(19, Outcome::Failure, START);
        worker.tick(START);
        worker.calls(19, Outcome::Failure, to);
        worker.tick(to);
        assert_eq!(worker.state(to), State::Closed, "{to}");
        assert_eq!(worker.standing(to).totals.calls, 19, "{to}");
        worker.calls(1, Outcome::Failure, to);
        worker.tick(to);
        assert_eq!(worker.state(to), State::Open, "{to}");
    }
}

#[test]
fn what_counts_however_old_it_is_counts_whatever_the_clock_says() {
    for to in [START - 3_000 * SECOND, START + 3_000 * SECOND] {
        let in_a_row = Settings { consecutive_failures: Some(3), window: Span::Calls(100), ..settings() };
        let mut worker = Worker::new(in_a_row);
        worker.calls(2, Outcome::Failure, START);
        worker.tick(START);
        worker.calls(1, Outcome::Failure, to);
        worker.tick(to);
        assert_eq!(worker.state(to), State::Open, "{to}");
    }
}

#[test]
fn between_ticks_it_may_stand_still() {
    let mut worker = Worker::new(settings());
    let mut now = START;
    for _ in 0..40 {
        worker.calls(10, Outcome::Failure, now);
        worker.tick(now);
        if worker.state(now) == State::Open {
            break;
        }
        now += 50 * MILLI;
    }
    // The second tick after the first twenty.
    assert_eq!(now, START + 50 * MILLI);
}

#[test]
fn the_ends_of_time_are_times() {
    let mut worker = Worker::new(Settings { open_for: LONGEST, probe_timeout: LONGEST, ..settings() });
    for now in [0, u64::MAX, 1, u64::MAX - 1, START, 0, u64::MAX] {
        for _ in 0..30 {
            if let Verdict::Pass(ticket) = worker.admit(now).verdict {
                worker.end(ticket, Outcome::Failure, now);
            }
        }
        worker.tick(now);
        assert_eq!(worker.state(now), State::Open, "{now}");
        assert_eq!(worker.breakers.standings(now).count(), 1);
    }
}
