//! Values that another release wrote, or nobody.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::breakers;
use crate::key::Key;
use crate::news;
use crate::shard::{self, Shard, Unreadable};
use sluicegate_host::{Host, shared};

fn shard_name() -> String {
    breakers::name(Key::of(7, NAME).shard())
}

fn put(worker: &Worker, name: &str, value: &[u8]) {
    worker.host.set_shared_data(name, value, None).unwrap();
}

fn get(worker: &Worker, name: &str) -> Vec<u8> {
    shared::read(worker.host, name).unwrap().unwrap()
}

#[test]
fn what_another_release_wrote_is_left_alone_and_a_worker_goes_on_without_the_others() {
    let theirs = [2, 3, 4];
    for known in [false, true] {
        let mut worker = Worker::new(settings());
        if known {
            worker.calls(19, Outcome::Failure, START);
            worker.tick(START);
        }
        put(&worker, &shard_name(), &theirs);
        // Known or not from before: its own counts suffice, and what it knew is not lost.
        worker.calls(if known { 1 } else { 20 }, Outcome::Failure, START);
        worker.tick(START);
        assert_eq!(worker.admit(START).verdict, Verdict::Shed { retry_after: 60 });
        let over = START + 60 * SECOND;
        worker.calls(2, Outcome::Success, over);
        let probe = worker.pass(over);
        assert_eq!(worker.admit(over).state, State::HalfOpen);
        worker.tick(over);
        assert_eq!(worker.state(over), State::HalfOpen);
        worker.end(probe, Outcome::Success, over);
        worker.tick(over);
        assert_eq!(worker.state(over), State::Closed);
        assert_eq!(get(&worker, &shard_name()), theirs);
        // A worker that begins here is alone from the start.
        let mut fresh = Worker::on(worker.host, settings(), over);
        fresh.open(over);
        assert_eq!(worker.admit(over).state, State::Closed);
        assert_eq!(get(&worker, &shard_name()), theirs);
    }
}

#[test]
fn what_nobody_wrote_is_replaced() {
    let mut worker = Worker::new(settings());
    worker.open(START);
    let good = get(&worker, &shard_name());
    for length in (0..good.len()).filter(|length| *length != 9) {
        put(&worker, &shard_name(), &good[..length]);
        assert_eq!(Shard::read(&good[..length]), Err(Unreadable::Malformed), "{length}");
        let mut fresh = Worker::on(worker.host, settings(), START);
        assert_eq!(fresh.admit(START).state, State::Closed);
        fresh.open(START);
        assert!(Shard::read(&get(&fresh, &shard_name())).is_ok());
        assert_eq!(fresh.admit(START).state, State::Open);
    }
    // What a probe asks for is gone: the breaker is taken for closed.
    put(&worker, &shard_name(), b"");
    let mut fresh = Worker::on(worker.host, settings(), START);
    fresh.open(START);
    let over = START + 60 * SECOND;
    put(&worker, &shard_name(), b"");
    assert!(!fresh.pass(over).is_probe());
}

#[test]
fn a_breaker_whose_record_cannot_be_read_stays_as_open_as_its_entry_says() {
    let mut worker = Worker::new(settings());
    worker.open(START);
    let open = get(&worker, &shard_name());
    let over = START + 60 * SECOND;
    let _probe = worker.pass(over);
    let half_open = get(&worker, &shard_name());
    // Another release's mistake: more behind the record, or a phase that we do not know.
    let longer = |value: &[u8]| {
        let mut value = [value, &[0]].concat();
        value[9 + 17] += 1;
        value
    };
    let unknown = [&open[..9 + 17], &[1, 0, 0xff]].concat();
    for (value, since) in [(longer(&open), START), (unknown, START), (longer(&half_open), over)] {
        put(&worker, &shard_name(), &value);
        let mut fresh = Worker::on(worker.host, settings(), since);
        fresh.tick(since);
        assert_eq!(fresh.breakers.unsettled().get(&Key::of(7, NAME)), Some(&State::Open));
        let last = since + 60 * SECOND - 1;
        assert_eq!(fresh.admit(last).verdict, Verdict::Shed { retry_after: 1 });
        assert_eq!(get(&fresh, &shard_name()), value, "left as it is");
        // Then it is probed as ever, and there is a record again.
        let (one, other) = (fresh.pass(last + 1), fresh.pass(last + 1));
        let third = fresh.pass(last + 1);
        assert_eq!(fresh.admit(last + 1).state, State::HalfOpen);
        for probe in [one, other, third] {
            assert!(probe.is_probe());
            fresh.end(probe, Outcome::Success, last + 1);
        }
        fresh.tick(last + 1);
        assert_eq!(fresh.state(last + 1), State::Closed);
    }
    // Of a closed one nothing is known then.
    let mut closed = longer(&open);
    closed[9 + 16] = 0;
    put(&worker, &shard_name(), &closed);
    let mut fresh = Worker::on(worker.host, settings(), START);
    assert_eq!(fresh.admit(START).state, State::Closed);
    fresh.open(START);
}

#[test]
fn numbers_of_epochs_do_not_come_again_where_a_value_was_begun_anew() {
    let mut worker = Worker::new(settings());
    worker.open(START);
    let mut now = START + 60 * SECOND;
    let early = worker.pass(now);
    put(&worker, &shard_name(), b"");
    worker.tick(now);
    worker.calls(20, Outcome::Failure, now);
    worker.tick(now);
    now += 60 * SECOND;
    let probe = worker.pass(now);
    worker.end(early, Outcome::Failure, now);
    worker.tick(now);
    assert_eq!(worker.state(now), State::HalfOpen);
    worker.end(probe, Outcome::Failure, now);
    worker.tick(now);
    assert_eq!(worker.state(now), State::Open);
}

#[test]
fn without_news_every_shard_is_read_that_matters() {
    for theirs in [&[2, 3, 4][..], &[][..]] {
        let mut one = Worker::new(settings());
        let mut other = one.beside();
        other.calls(1, Outcome::Success, START);
        other.tick(START);
        put(&one, &news::name(), theirs);
        other.tick(START);
        one.calls(40, Outcome::Failure, START);
        one.tick(START);
        other.tick(START);
        assert_eq!(other.admit(START).state, State::Open, "{theirs:?}");
        if !theirs.is_empty() {
            assert_eq!(get(&one, &news::name()), theirs);
        }
    }
}

#[test]
fn what_workers_write_has_the_layout() {
    // `shard/layout.rs` and `record/layout.rs` have all of it.
    let slow_call = Some(SlowCall { threshold: Duration::from_millis(100), rate: 1.0 });
    let settings = Settings { slow_call, ..settings() };
    let mut worker = Worker::new(settings.clone());
    worker.calls(2, Outcome::Success, START);
    worker.calls(1, Outcome::Failure, START);
    let ticket = worker.pass(START + SECOND);
    worker.breakers.ended(ticket, Outcome::Failure, Some(Duration::from_secs(1)), START + SECOND);
    worker.tick(START + SECOND);
    let mut worker = Worker::on(worker.host, settings.clone(), START + SECOND);
    let _ = worker.admit(START + SECOND);
    let closed = get(&worker, &shard_name());
    let key = Key::of(7, NAME).hash().to_le_bytes();
    let header = |epochs: u64| [&[1][..], &epochs.to_le_bytes()].concat();
    let entry = |used: u32, keep: u32, state: u8, record: &[u8]| {
        let length = u16::try_from(record.len()).unwrap().to_le_bytes();
        [&key[..], &used.to_le_bytes(), &keep.to_le_bytes(), &[state], &length, record].concat()
    };
    let since = |time: u64| {
        let mut bytes = Vec::new();
        crate::number::write(time, &mut bytes);
        bytes
    };
    let second = 1_800_000_000;
    let record = [&[0, 0, 2, 0, 10][..], &since(second), &[3, 1, 0, 1, 1, 1, 1]].concat();
    assert_eq!(closed, [header(START), entry(1_800_000_001, 3_600, 0, &record)].concat());

    worker.calls(20, Outcome::Failure, START + SECOND);
    worker.breakers.on_tick(worker.host, START + SECOND, 0).unwrap();
    let draw = crate::moment::Moment { now: 0, entropy: 0 }.draw(Key::of(7, NAME).hash());
    let record = [&since(START + 1)[..], &[1], &since(START + SECOND), &[0], &since(draw.into())].concat();
    let open = get(&worker, &shard_name());
    assert_eq!(open, [header(START + 1), entry(1_800_000_001, 3_660, 1, &record)].concat());

    let over = START + 61 * SECOND;
    let (first, _second) = (worker.pass(over), worker.pass(over));
    worker.breakers.answered(&first);
    let third = worker.pass(over);
    worker.end(third, Outcome::Success, over);
    worker.tick(over);
    let probes = [&[0][..], &since(over), &[1, 1], &since(over), &[0]].concat();
    let record = [&since(START + 2)[..], &[2, 0, 1, 3], &probes].concat();
    let half_open = get(&worker, &shard_name());
    assert_eq!(half_open, [header(START + 2), entry(1_800_000_061, 3_600, 1, &record)].concat());

    let mut by_count = Worker::new(Settings { window: Span::Calls(300), ..settings });
    for (outcome, millis) in [
        (Outcome::Success, 0),
        (Outcome::Failure, 0),
        (Outcome::Success, 101),
        (Outcome::Failure, 101),
        (Outcome::Failure, 0),
    ] {
        let ticket = by_count.pass(START);
        by_count.breakers.ended(ticket, outcome, Some(Duration::from_millis(millis)), START);
    }
    by_count.tick(START);
    let record = [0, 0, 2, 1, 0xac, 2, 5, 0b11_10_01_00, 0b01];
    assert_eq!(get(&by_count, &shard_name()), [header(START), entry(1_800_000_000, 3_600, 0, &record)].concat());
    assert_eq!(shard::empty(START), header(START));
}
