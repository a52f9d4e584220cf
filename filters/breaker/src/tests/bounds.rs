//! Callers may choose names; there is room for only so many.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::breakers;
use crate::key::{Key, SHARDS};
use crate::shard::{ENTRIES, Shard};
use sluicegate_host::{Host, shared};

/// A worker with room for so many keys.
fn small(max_keys: usize, settings: Settings) -> Worker {
    let mut worker = Worker::new(settings);
    worker.breakers = Breakers::new(max_keys, worker.host, START).unwrap();
    worker
}

fn admit(worker: &mut Worker, name: u32, now: u64) -> Verdict {
    worker.breakers.admit(&worker.breaker, &name.to_le_bytes(), worker.host, now).verdict
}

fn call(worker: &mut Worker, name: u32, outcome: Outcome, now: u64) {
    let Verdict::Pass(ticket) = admit(worker, name, now) else { panic!("{name}") };
    worker.end(ticket, outcome, now);
}

fn is_known(worker: &Worker, name: u32) -> bool {
    worker.breakers.standing(&worker.breaker, &name.to_le_bytes(), START).is_some()
}

#[test]
fn what_finds_no_room_passes_unwatched_until_the_tick_has_made_some() {
    let mut worker = small(80, settings());
    for name in 0..80 {
        call(&mut worker, name, Outcome::Success, START);
    }
    // In the order in which they are asked for again, not in that in which they came.
    for name in (0..80).rev() {
        call(&mut worker, name, Outcome::Success, START);
    }
    for _ in 0..3 {
        assert_eq!(admit(&mut worker, 100, START), Verdict::PassUnwatched);
    }
    assert_eq!(worker.breakers.take_uncounted(), Uncounted { unwatched: 3, ..Uncounted::default() });
    worker.tick(START);
    let gone: Vec<u32> = (0..80).filter(|name| !is_known(&worker, *name)).collect();
    assert_eq!(gone, [77, 78, 79]);
    call(&mut worker, 100, Outcome::Success, START);
    assert_eq!(worker.breakers.keys(), 78);
    // However many are wanted, an eighth goes at once.
    for name in 200..1_000 {
        let _ = admit(&mut worker, name, START);
    }
    worker.tick(START);
    assert_eq!(worker.breakers.keys(), 70);
    worker.tick(START);
    assert_eq!(worker.breakers.keys(), 70, "nobody wants more");
}

#[test]
fn what_made_room_is_found_again_with_its_counts() {
    let mut worker = small(8, settings());
    let early = match admit(&mut worker, 0, START) {
        Verdict::Pass(ticket) => ticket,
        other => panic!("{other:?}"),
    };
    for _ in 0..18 {
        call(&mut worker, 0, Outcome::Failure, START);
    }
    for name in 1..8 {
        call(&mut worker, name, Outcome::Success, START);
    }
    worker.tick(START);
    assert_eq!(admit(&mut worker, 8, START), Verdict::PassUnwatched);
    worker.tick(START);
    assert!(!is_known(&worker, 0));
    worker.end(early, Outcome::Failure, START);
    call(&mut worker, 0, Outcome::Failure, START);
    worker.tick(START);
    assert_eq!(admit(&mut worker, 0, START), Verdict::Shed { retry_after: 60 });
    // With no room for it, an outcome is lost, and that is counted.
    let mut worker = small(1, settings());
    let Verdict::Pass(early) = admit(&mut worker, 0, START) else { panic!() };
    let _ = admit(&mut worker, 1, START);
    worker.tick(START);
    call(&mut worker, 1, Outcome::Success, START);
    worker.end(early, Outcome::Failure, START);
    assert_eq!(worker.breakers.take_uncounted(), Uncounted { unwatched: 1, refused: 1, late: 0 });
}

#[test]
fn what_is_yet_to_be_merged_does_not_make_room() {
    let mut worker = small(1, settings());
    call(&mut worker, 0, Outcome::Failure, START);
    let lost = Double::new();
    assert_eq!(admit(&mut worker, 1, START), Verdict::PassUnwatched);
    assert!(worker.breakers.on_tick(lost, START, 0).is_err());
    assert!(is_known(&worker, 0));
}

#[test]
fn an_open_breaker_never_makes_room_nor_a_half_open_one() {
    let mut worker = small(8, Settings { min_requests: 1, ..settings() });
    for name in 0..8 {
        call(&mut worker, name, Outcome::Failure, START);
    }
    worker.tick(START);
    let over = START + 60 * SECOND;
    for name in 0..4 {
        assert!(matches!(admit(&mut worker, name, over), Verdict::Pass(_)));
    }
    for tick in 0..100 {
        assert_eq!(admit(&mut worker, 100 + tick, over), Verdict::PassUnwatched);
        worker.tick(over);
    }
    assert!((0..8).all(|name| is_known(&worker, name)));
    // Unless nobody came for an hour after its time was over.
    let hour = START + 3_660 * SECOND;
    for (now, is_there) in [(hour - SECOND, true), (hour, false)] {
        let _ = admit(&mut worker, 200, now);
        worker.tick(now);
        assert_eq!((4..8).all(|name| is_known(&worker, name)), is_there);
    }
}

/// Names whose breakers lie in the same shard.
fn neighbours() -> impl Iterator<Item = u32> {
    (0..).filter(|name: &u32| Key::of(7, &name.to_le_bytes()).shard() == 5)
}

fn in_shard(worker: &Worker, name: u32) -> bool {
    let value = shared::read(worker.host, &breakers::name(5)).unwrap().unwrap();
    Shard::read(&value).unwrap().machine(Key::of(7, &name.to_le_bytes())).is_some()
}

#[test]
fn in_shared_data_the_least_recently_used_closed_one_makes_room() {
    let mut worker =
        Worker::new(Settings { min_requests: 1, failure_rate: 1.0, window: Span::Seconds(600), ..settings() });
    let names: Vec<u32> = neighbours().take(2 * ENTRIES + 10).collect();
    let (open, rest) = names.split_at(2);
    let mut now = START;
    for name in open {
        call(&mut worker, *name, Outcome::Failure, now);
    }
    for name in rest {
        call(&mut worker, *name, Outcome::Success, now);
        worker.tick(now);
        now += SECOND;
        // The first of them is asked for all the time.
        call(&mut worker, rest[0], Outcome::Success, now);
        worker.tick(now);
    }
    let there: Vec<u32> = names.iter().copied().filter(|name| in_shard(&worker, *name)).collect();
    let expected: Vec<u32> = [&names[..3], &names[names.len() - (ENTRIES - 3)..]].concat();
    assert_eq!(there, expected);
    assert_eq!(worker.breakers.take_uncounted(), Uncounted::default());
}

#[test]
fn where_all_are_open_in_shared_data_what_comes_is_refused_and_counted() {
    let mut worker = Worker::new(Settings { min_requests: 1, ..settings() });
    let names: Vec<u32> = neighbours().take(ENTRIES + 1).collect();
    for name in &names[..ENTRIES] {
        call(&mut worker, *name, Outcome::Failure, START);
    }
    worker.tick(START);
    let new = names[ENTRIES];
    let later = START + 3_600 * SECOND;
    call(&mut worker, new, Outcome::Failure, later);
    call(&mut worker, new, Outcome::Failure, later);
    worker.tick(later);
    assert_eq!(worker.breakers.take_uncounted(), Uncounted { refused: 2, ..Uncounted::default() });
    assert!(!in_shard(&worker, new) && in_shard(&worker, names[0]));
    assert!(matches!(admit(&mut worker, new, later), Verdict::Pass(_)));
    assert_eq!(worker.breakers.take_transitions().len(), ENTRIES);
    // After an hour, a forgotten one goes.
    let later = START + 3_661 * SECOND;
    call(&mut worker, new, Outcome::Failure, later);
    worker.tick(later);
    assert!(in_shard(&worker, new));
    assert_eq!(worker.breakers.take_uncounted(), Uncounted::default());
}

#[test]
fn a_forgotten_one_that_was_open_makes_room_only_after_the_closed_ones() {
    let mut worker =
        Worker::new(Settings { min_requests: 1, failure_rate: 1.0, window: Span::Seconds(600), ..settings() });
    let names: Vec<u32> = neighbours().take(ENTRIES + 1).collect();
    call(&mut worker, names[0], Outcome::Failure, START);
    worker.tick(START);
    let later = START + 5_000 * SECOND;
    for name in &names[1..ENTRIES] {
        call(&mut worker, *name, Outcome::Success, later);
    }
    worker.tick(later);
    call(&mut worker, names[ENTRIES], Outcome::Success, later + SECOND);
    worker.tick(later + SECOND);
    assert_eq!(worker.breakers.take_uncounted(), Uncounted::default());
    assert!(in_shard(&worker, names[0]) && in_shard(&worker, names[ENTRIES]));
}

#[test]
fn what_was_used_before_the_clock_was_set_back_makes_room() {
    let mut worker = Worker::new(Settings { window: Span::Seconds(600), ..settings() });
    let names: Vec<u32> = neighbours().take(ENTRIES + 1).collect();
    for name in &names[..ENTRIES] {
        call(&mut worker, *name, Outcome::Success, START);
    }
    worker.tick(START);
    let back = START - 100 * SECOND;
    call(&mut worker, names[ENTRIES], Outcome::Success, back);
    worker.tick(back);
    assert_eq!(worker.breakers.take_uncounted(), Uncounted::default());
    assert!(in_shard(&worker, names[ENTRIES]));
}

#[test]
fn an_open_one_that_nobody_asks_for_after_the_clock_was_set_far_back_makes_room() {
    let mut worker = Worker::new(Settings { min_requests: 1, ..settings() });
    let names: Vec<u32> = neighbours().take(ENTRIES + 1).collect();
    for name in &names[..ENTRIES] {
        call(&mut worker, *name, Outcome::Failure, START);
    }
    worker.tick(START);
    for (back, refused) in [(3_000, 1), (100_000, 0)] {
        let now = START - back * SECOND;
        let mut fresh = Worker::on(worker.host, worker.breaker.settings().clone(), now);
        call(&mut fresh, names[ENTRIES], Outcome::Success, now);
        fresh.tick(now);
        assert_eq!(fresh.breakers.take_uncounted().refused, refused);
    }
}

#[test]
fn in_one_second_nobody_takes_the_room_of_another() {
    let mut worker = Worker::new(settings());
    let names: Vec<u32> = neighbours().take(ENTRIES + 5).collect();
    for name in &names {
        call(&mut worker, *name, Outcome::Success, START);
        worker.tick(START);
    }
    assert!(names[..ENTRIES].iter().all(|name| in_shard(&worker, *name)));
    assert_eq!(worker.breakers.take_uncounted().refused, 5);
}

#[test]
fn a_closed_breaker_whose_window_has_run_empty_leaves_shared_data() {
    let mut worker = Worker::new(settings());
    let names: Vec<u32> = neighbours().take(3).collect();
    call(&mut worker, names[0], Outcome::Success, START);
    call(&mut worker, names[1], Outcome::Failure, START);
    worker.tick(START);
    for (later, expected) in [(9, [true, true, true]), (10, [false, true, true]), (3_700, [false, false, true])] {
        let now = START + later * SECOND;
        call(&mut worker, names[2], Outcome::Success, now);
        worker.tick(now);
        let there: Vec<bool> = names.iter().map(|name| in_shard(&worker, *name)).collect();
        // One that failed last is remembered for what may follow in a row.
        assert_eq!(there, expected, "{later}");
    }
}

#[test]
fn a_value_is_bounded_whatever_happens() {
    let mut worker = Worker::new(Settings { window: Span::Seconds(600), ..settings() });
    let names: Vec<u32> = neighbours().take(ENTRIES).collect();
    let by_second = Settings { window: Span::Seconds(60), ..settings() };
    let mut other = Worker::on(worker.host, by_second, START);
    for second in 0..700 {
        let now = START + second * SECOND;
        for name in &names {
            call(&mut worker, *name, Outcome::Success, now);
            if second % 120 > 60 {
                call(&mut other, *name, Outcome::Success, now);
            }
        }
        worker.tick(now);
        other.tick(now);
    }
    let value = worker.host.shared_data(&breakers::name(5)).unwrap().unwrap().bytes;
    assert!((10_000..170_000).contains(&value.len()), "{}", value.len());
}

#[test]
fn names_that_hardly_differ_are_spread_over_all_shards() {
    let styles: [fn(u32) -> String; 3] = [
        |number| format!("outbound|{number}||reviews.default.svc.cluster.local"),
        |number| format!("{number}"),
        |number| format!("cluster_{number:04}"),
    ];
    for style in styles {
        let mut of_shards = [0; SHARDS];
        for number in 0..1_024 {
            of_shards[Key::of(7, style(number).as_bytes()).shard()] += 1;
        }
        assert!(of_shards.iter().all(|count| *count <= 40), "{}: {of_shards:?}", style(17));
    }
}

#[test]
fn a_name_is_told_from_others_by_its_beginning_and_its_length() {
    let long = vec![b'a'; 10_000];
    let mut other = long.clone();
    other[9_000] = b'b';
    assert_eq!(Key::of(1, &long), Key::of(1, &other));
    assert_ne!(Key::of(1, &long), Key::of(1, &long[1..]));
    assert_ne!(Key::of(1, b"a"), Key::of(2, b"a"));
    let mut worker = Worker::new(settings());
    let _ = worker.breakers.admit(&worker.breaker, &long, worker.host, START);
    assert_eq!(worker.breakers.standings(START).next().unwrap().name.len(), 256);
    let small = small(0, settings());
    assert_eq!(small.breakers.keys(), 0);
}
