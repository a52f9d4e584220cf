//! A new policy, a new module, and the old ones that drain beside them.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[test]
fn an_open_breaker_stays_open_and_a_closed_one_keeps_its_counts() {
    let mut before = Worker::new(settings());
    before.calls(19, Outcome::Failure, START);
    before.tick(START);
    let mut after = Worker::on(before.host, settings(), START);
    after.calls(1, Outcome::Failure, START);
    after.tick(START);
    assert_eq!(after.state(START), State::Open);
    let mut last = Worker::on(before.host, settings(), START + 10 * SECOND);
    assert_eq!(last.admit(START + 10 * SECOND).verdict, Verdict::Shed { retry_after: 50 });
    // The old one sees it as well.
    before.tick(START);
    assert_eq!(before.admit(START).state, State::Open);
}

#[test]
fn a_half_open_breaker_keeps_its_probes() {
    let mut before = Worker::new(settings());
    before.open(START);
    let over = START + 60 * SECOND;
    let tickets = [before.pass(over), before.pass(over)];
    let mut after = Worker::on(before.host, settings(), over);
    let third = after.pass(over);
    assert_eq!(after.admit(over).state, State::HalfOpen);
    // What the old policy let through is still its to answer for.
    for ticket in tickets {
        before.end(ticket, Outcome::Success, over);
    }
    before.tick(over);
    after.end(third, Outcome::Success, over);
    after.tick(over);
    assert_eq!(after.state(over), State::Closed);
}

#[test]
fn changed_settings_take_effect_at_once_on_what_was_kept() {
    let lenient = Settings { failure_rate: 0.9, ..settings() };
    let table: &[(&str, Settings, Settings)] = &[
        ("rate", lenient.clone(), settings()),
        ("minimum", Settings { min_requests: 100, ..settings() }, settings()),
        ("a longer window", lenient.clone(), Settings { window: Span::Seconds(600), ..settings() }),
        ("a row", lenient.clone(), Settings { consecutive_failures: Some(15), failure_rate: 0.99, ..settings() }),
        (
            "a shorter window by count",
            Settings { window: Span::Calls(100), ..lenient.clone() },
            Settings { window: Span::Calls(20), ..settings() },
        ),
    ];
    for (what, before, after) in table {
        let mut worker = Worker::new(before.clone());
        worker.calls(5, Outcome::Success, START);
        worker.calls(14, Outcome::Failure, START);
        worker.tick(START);
        let mut worker = Worker::on(worker.host, after.clone(), START);
        assert_eq!(worker.admit(START).state, State::Closed);
        worker.calls(1, Outcome::Failure, START);
        worker.tick(START);
        assert_eq!(worker.state(START), State::Open, "{what}");
    }
    // A shorter window forgets.
    let mut worker = Worker::new(settings());
    worker.calls(19, Outcome::Failure, START);
    worker.tick(START);
    let mut worker = Worker::on(worker.host, Settings { window: Span::Seconds(3), ..settings() }, START);
    worker.calls(19, Outcome::Failure, START + 4 * SECOND);
    worker.tick(START + 4 * SECOND);
    assert_eq!(worker.state(START + 4 * SECOND), State::Closed);
    assert_eq!(worker.standing(START + 4 * SECOND).totals.calls, 19);
    // One that counts in the other way begins anew.
    let mut worker = Worker::on(worker.host, Settings { window: Span::Calls(20), ..settings() }, START + 4 * SECOND);
    worker.calls(19, Outcome::Failure, START + 4 * SECOND);
    worker.tick(START + 4 * SECOND);
    assert_eq!(worker.standing(START + 4 * SECOND).totals.calls, 19);
}

#[test]
fn a_changed_open_time_takes_effect_on_an_open_breaker() {
    for (open_for, left) in [(10, 5), (600, 595)] {
        let mut worker = Worker::new(settings());
        worker.open(START);
        let open_for = Duration::from_secs(open_for);
        let now = START + 5 * SECOND;
        let mut worker = Worker::on(worker.host, Settings { open_for, ..settings() }, now);
        assert_eq!(worker.admit(now).verdict, Verdict::Shed { retry_after: left });
    }
}

#[test]
fn fewer_or_more_probes_take_effect_on_a_half_open_breaker() {
    let over = START + 60 * SECOND;
    let mut worker = Worker::new(settings());
    worker.open(START);
    let ticket = worker.pass(over);
    let _second = worker.pass(over);
    let mut few = Worker::on(worker.host, Settings { probes: 1, ..settings() }, over);
    assert_eq!(few.admit(over).verdict, Verdict::Shed { retry_after: 1 });
    let mut many = Worker::on(worker.host, Settings { probes: 4, ..settings() }, over);
    assert!(many.pass(over).is_probe() && many.pass(over).is_probe());
    assert_eq!(many.admit(over).state, State::HalfOpen);
    few.tick(over);
    worker.end(ticket, Outcome::Success, over);
    worker.tick(over);
    many.tick(over);
    assert!(many.pass(over).is_probe());
}

#[test]
fn from_shadow_to_normal_what_was_decided_is_done() {
    let mut shadow = Worker::new(Settings { mode: Mode::Shadow, ..settings() });
    shadow.open(START);
    assert_eq!(shadow.admit(START).verdict, Verdict::WouldShed { retry_after: 60 });
    let mut normal = Worker::on(shadow.host, settings(), START);
    assert_eq!(normal.admit(START).verdict, Verdict::Shed { retry_after: 60 });
}

#[test]
fn an_old_policy_that_waits_for_its_last_requests_does_not_shorten_the_window() {
    let mut old = Worker::new(Settings { window: Span::Seconds(2), ..settings() });
    let last = old.pass(START);
    old.calls(1, Outcome::Success, START);
    old.tick(START);
    let mut new = Worker::on(old.host, Settings { window: Span::Seconds(30), ..settings() }, START);
    new.calls(10, Outcome::Failure, START);
    new.tick(START);
    let later = START + 20 * SECOND;
    new.calls(1, Outcome::Failure, later);
    new.tick(later);
    old.end(last, Outcome::Failure, later);
    old.tick(later);
    new.calls(1, Outcome::Failure, later);
    new.tick(later);
    assert_eq!(new.standing(later).totals, Totals { calls: 14, failures: 13, slow: 0 });
    // Nor does it turn a window by count into one by time, whose counts it cannot use.
    let mut by_count = Worker::on(old.host, Settings { window: Span::Calls(50), ..settings() }, later);
    let last = new.pass(later);
    new.calls(1, Outcome::Failure, later);
    new.tick(later);
    by_count.calls(9, Outcome::Success, later);
    by_count.tick(later);
    new.end(last, Outcome::Failure, later);
    new.tick(later);
    by_count.calls(1, Outcome::Success, later);
    by_count.tick(later);
    assert_eq!(by_count.standing(later).totals.calls, 10);
}

#[test]
fn a_request_that_waits_does_not_make_its_policy_look_old() {
    // Two keys of one shard: the merging of one must not make the settings of the other look out of force.
    let mut old = Worker::new(Settings { window: Span::Seconds(600), min_requests: 1_000, ..settings() });
    old.calls(1, Outcome::Success, START);
    old.tick(START);
    let mut new = Worker::on(old.host, settings(), START);
    let slow = new.pass(START);
    let shard = crate::key::Key::of(7, NAME).shard();
    let beside = (0_u32..).map(u32::to_le_bytes).find(|name| crate::key::Key::of(7, name).shard() == shard).unwrap();
    let Verdict::Pass(ticket) = new.breakers.admit(&new.breaker, &beside, new.host, START).verdict else { panic!() };
    new.end(ticket, Outcome::Success, START);
    new.tick(START);
    let later = START + 20 * SECOND;
    new.end(slow, Outcome::Success, later);
    new.tick(later);
    // In a window of ten seconds.
    assert_eq!(new.standing(later).totals.calls, 1);
}
