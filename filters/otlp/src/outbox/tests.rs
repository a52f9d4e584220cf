#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::retry::Retry;
use crate::settings::{BatchLimits, QueueLimits};

const SECOND: Nanos = 1_000_000_000;

/// Some day in 2026.
pub(crate) const START: Nanos = 1_790_000_000 * SECOND;

pub(crate) const TUNING: Tuning = Tuning {
    batch: BatchLimits { max_records: 3, max_bytes: 100, max_age: Duration::from_secs(5) },
    queue: QueueLimits { max_records: 10, max_bytes: 250 },
    timeout: Duration::from_secs(10),
    retry: Retry {
        initial: Duration::from_secs(1),
        max: Duration::from_secs(8),
        attempts: 3,
        max_age: Duration::from_secs(60),
    },
};

fn status(status: u16) -> Answer<'static> {
    Answer { status: Some(status), ..Answer::default() }
}

/// An outbox, a clock that stands still unless a test moves it, and no jitter.
struct Bench {
    outbox: Outbox,
    now: Nanos,
}

impl Bench {
    fn new() -> Bench {
        Bench { outbox: Outbox::new(START), now: START }
    }

    fn add(&mut self, records: usize, size: usize) {
        // A record of less than 128 bytes has a frame of 2.
        (0..records).for_each(|_| self.outbox.add(&vec![b'r'; size - 2], &TUNING));
    }

    fn pass(&mut self, seconds: u64) {
        self.now += seconds * SECOND;
        self.outbox.advance(self.now, &TUNING, &mut || 0);
        self.check();
    }

    /// How many bytes the next request has.
    fn next(&mut self) -> Option<(Ticket, usize)> {
        let next = self.outbox.next(&TUNING).map(|(ticket, frames)| (ticket, frames.len()));
        self.check();
        next
    }

    fn take(&mut self) -> Ticket {
        self.next().expect("a request is due").0
    }

    fn answer(&mut self, ticket: Ticket, answer: &Answer<'_>) -> Option<String> {
        let message = self.outbox.answered(ticket, answer, self.now, &TUNING, 0);
        self.check();
        message
    }

    fn counts(&self) -> Counts {
        self.outbox.counts()
    }

    fn dropped(&self, reason: Reason) -> u64 {
        self.outbox.counts().dropped(reason)
    }

    fn check(&self) {
        check(&self.outbox);
    }
}

/// What holds at every moment: the books balance, and they are about what is there.
pub(crate) fn check(outbox: &Outbox) {
    let counts = outbox.counts();
    assert_eq!(counts.sent + counts.dropped_in_all() + counts.queued + counts.under_way, counts.made, "{counts:?}");
    let waiting = outbox.waiting.iter().map(|waiting| &waiting.batch);
    let queued: Vec<&Batch> = outbox.ready.iter().chain(waiting).chain([&outbox.open]).collect();
    let under_way: Vec<&Batch> = outbox.under_way.iter().map(|request| &request.batch).collect();
    assert_eq!(queued.iter().map(|batch| batch.records).sum::<u64>(), counts.queued);
    assert_eq!(under_way.iter().map(|batch| batch.records).sum::<u64>(), counts.under_way);
    let held: usize = queued.iter().chain(&under_way).map(|batch| batch.frames.len()).sum();
    assert_eq!(held, outbox.held_bytes);
    assert!(held <= TUNING.queue.max_bytes && counts.queued + counts.under_way <= TUNING.queue.max_records);
    assert!(under_way.len() <= MAX_UNDER_WAY);
    for batch in queued.iter().chain(&under_way) {
        assert!(batch.records <= TUNING.batch.max_records && batch.frames.len() <= TUNING.batch.max_bytes);
        assert!(batch.failures < TUNING.retry.attempts);
    }
}

#[test]
fn a_batch_goes_out_when_it_has_enough_records() {
    let mut bench = Bench::new();
    bench.add(2, 10);
    assert_eq!(bench.next(), None);
    bench.add(1, 10);
    assert!(matches!(bench.next(), Some((_, 30))));
    assert_eq!(bench.next(), None);
}

#[test]
fn a_batch_goes_out_when_the_next_record_does_not_fit() {
    let mut bench = Bench::new();
    bench.add(2, 50);
    assert_eq!(bench.next(), None);
    bench.add(1, 50);
    assert!(matches!(bench.next(), Some((_, 100))));
}

#[test]
fn a_batch_goes_out_when_it_is_old() {
    let mut bench = Bench::new();
    bench.add(1, 10);
    bench.pass(4);
    bench.add(1, 10);
    assert_eq!(bench.next(), None);
    bench.pass(1);
    assert!(matches!(bench.next(), Some((_, 20))));
    // The age of the next begins anew.
    bench.pass(100);
    bench.add(1, 10);
    bench.pass(4);
    assert_eq!(bench.next(), None);
    bench.pass(1);
    assert!(matches!(bench.next(), Some((_, 10))));
}

#[test]
fn only_so_many_requests_are_under_way_at_once() {
    let mut bench = Bench::new();
    bench.add(9, 10);
    let first = bench.take();
    bench.take();
    assert_eq!(bench.next(), None);
    bench.answer(first, &status(200));
    bench.take();
    assert_eq!((bench.counts().sent, bench.counts().under_way), (3, 6));
}

#[test]
fn what_does_not_fit_is_dropped_by_reason() {
    let mut bench = Bench::new();
    bench.add(1, 101);
    assert_eq!(bench.dropped(Reason::TooLarge), 1);
    bench.add(11, 10);
    assert_eq!(bench.dropped(Reason::QueueFull), 1);
    assert_eq!(bench.counts().queued, 10);
    let mut bench = Bench::new();
    bench.add(3, 100);
    assert_eq!(bench.dropped(Reason::QueueFull), 1);
    bench.add(1, 50);
    assert_eq!((bench.counts().queued, bench.dropped(Reason::QueueFull)), (3, 1));
    bench.check();
}

#[test]
fn what_is_under_way_takes_its_place_in_the_queue() {
    let mut bench = Bench::new();
    bench.add(10, 10);
    let ticket = bench.take();
    bench.add(1, 10);
    assert_eq!(bench.dropped(Reason::QueueFull), 1);
    bench.answer(ticket, &status(200));
    bench.add(4, 10);
    assert_eq!(bench.dropped(Reason::QueueFull), 2);
}

#[test]
fn a_failure_is_repeated_after_a_wait_that_doubles_until_attempts_are_used_up() {
    let mut bench = Bench::new();
    bench.add(3, 10);
    for (failed, wait) in [(status(503), 1), (status(429), 2)] {
        let ticket = bench.take();
        bench.answer(ticket, &failed);
        assert_eq!(bench.counts().queued, 3);
        bench.pass(wait - 1);
        assert_eq!(bench.next(), None, "after {failed:?}");
        bench.pass(1);
    }
    let ticket = bench.take();
    assert_eq!(bench.counts().retried, 6);
    bench.answer(ticket, &Answer::default());
    assert_eq!(bench.dropped(Reason::Attempts), 3);
    bench.pass(100);
    assert_eq!(bench.next(), None);
}

#[test]
fn what_failed_goes_before_what_came_later() {
    let mut bench = Bench::new();
    bench.add(3, 10);
    let first = bench.take();
    bench.answer(first, &status(502));
    bench.add(3, 20);
    bench.pass(1);
    assert!(matches!(bench.next(), Some((_, 30))));
    assert!(matches!(bench.next(), Some((_, 60))));
}

#[test]
fn of_several_that_failed_the_one_whose_time_came_first_goes_first() {
    let mut bench = Bench::new();
    bench.add(3, 10);
    bench.add(3, 20);
    let (first, second) = (bench.take(), bench.take());
    bench.answer(first, &Answer { retry_after: Some(b"3"), ..status(503) });
    bench.answer(second, &status(503));
    bench.pass(3);
    assert!(matches!(bench.next(), Some((_, 60))));
    assert!(matches!(bench.next(), Some((_, 30))));
}

#[test]
fn another_attempt_after_the_age_limit_is_not_made() {
    let mut bench = Bench::new();
    bench.add(3, 10);
    bench.pass(60);
    let ticket = bench.take();
    bench.answer(ticket, &status(503));
    assert_eq!(bench.dropped(Reason::Expired), 3);
}

#[test]
fn a_collector_that_asks_for_peace_gets_it_for_all_batches() {
    let mut bench = Bench::new();
    bench.add(6, 10);
    let ticket = bench.take();
    bench.answer(ticket, &Answer { retry_after: Some(b"7"), ..status(429) });
    bench.pass(6);
    assert_eq!(bench.next(), None);
    bench.pass(1);
    bench.take();
    bench.take();
    assert_eq!(bench.counts().retried, 3);
}

#[test]
fn what_is_refused_is_dropped_at_once() {
    let mut bench = Bench::new();
    bench.add(3, 10);
    let ticket = bench.take();
    bench.answer(ticket, &status(400));
    assert_eq!(bench.dropped(Reason::Refused), 3);
    assert!(bench.outbox.is_empty());
}

#[test]
fn what_is_rejected_of_a_batch_is_dropped_and_no_more_than_there_is() {
    for (body, rejected, message) in [
        (&b"\x0a\x02\x08\x02"[..], 2, None),
        (b"\x0a\x03\x08\xff\x01", 3, None),
        (b"\x0a\x06\x08\x01\x12\x02no", 1, Some("no")),
        (b"\x0a\x04\x12\x02hm", 0, Some("hm")),
        (b"nonsense", 0, None),
    ] {
        let mut bench = Bench::new();
        bench.add(3, 10);
        let ticket = bench.take();
        assert_eq!(bench.answer(ticket, &Answer { body, ..status(200) }).as_deref(), message, "{body:?}");
        assert_eq!((bench.dropped(Reason::Rejected), bench.counts().sent), (rejected, 3 - rejected), "{body:?}");
    }
}

#[test]
fn a_request_whose_answer_is_lost_is_repeated_and_a_late_answer_changes_nothing() {
    let mut bench = Bench::new();
    bench.add(3, 10);
    let lost = bench.take();
    bench.pass(14);
    assert_eq!(bench.counts().under_way, 3);
    bench.pass(1);
    assert_eq!((bench.counts().queued, bench.outbox.is_under_way(lost)), (3, false));
    bench.answer(lost, &status(200));
    assert_eq!(bench.counts().sent, 0);
    bench.pass(1);
    let again = bench.take();
    bench.answer(again, &status(200));
    assert_eq!(bench.counts().sent, 3);
}

#[test]
fn an_interrupted_request_is_made_again_at_once_and_is_no_failure() {
    let mut bench = Bench::new();
    bench.add(3, 10);
    for _ in 0..10 {
        let ticket = bench.take();
        bench.outbox.interrupted(ticket);
        bench.check();
    }
    assert_eq!((bench.counts().retried, bench.counts().queued), (27, 3));
}

#[test]
fn all_is_given_up_at_the_end() {
    let mut bench = Bench::new();
    bench.add(7, 10);
    let ticket = bench.take();
    let failed = bench.take();
    bench.answer(failed, &status(503));
    bench.outbox.stop();
    bench.check();
    assert_eq!(bench.dropped(Reason::Stopped), 7);
    bench.answer(ticket, &status(200));
    bench.add(3, 10);
    assert!(bench.take() != ticket && bench.counts().under_way == 3);
}

#[test]
fn a_clock_that_is_set_back_prolongs_nothing() {
    let mut bench = Bench::new();
    bench.add(6, 10);
    let ticket = bench.take();
    let failed = bench.take();
    bench.answer(failed, &Answer { retry_after: Some(b"2"), ..status(503) });
    bench.add(1, 10);
    bench.now -= 3600 * SECOND;
    bench.pass(0);
    bench.pass(2);
    bench.take();
    bench.pass(3);
    // The open batch is five seconds old now.
    assert_eq!(bench.outbox.ready.len(), 1);
    bench.pass(10);
    assert!(!bench.outbox.is_under_way(ticket));
}
