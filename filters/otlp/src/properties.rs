//! The books balance at every moment, whatever happens in whatever order, and no record is sent twice that was
//! acknowledged.

use crate::answer::Answer;
use crate::outbox::tests::{START, TUNING, check};
use crate::outbox::{Outbox, Ticket};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashSet;

#[derive(Clone, Debug)]
enum Event {
    /// A record of about so many bytes is made.
    Add(usize),
    /// So many milliseconds pass; below zero: the clock is set back.
    Pass(i64),
    /// What may be sent is sent.
    Send,
    /// One of the requests under way is answered.
    Answer { which: usize, status: Option<u16>, retry_after: Option<String>, rejected: u8 },
    /// One of them ends with its root context.
    Interrupt(usize),
    /// Nobody is left to send.
    Stop,
}

fn any_event() -> impl Strategy<Value = Event> {
    let status = prop_oneof![
        3 => Just(Some(200)),
        3 => prop_oneof![Just(Some(429)), Just(Some(502)), Just(Some(503)), Just(Some(504)), Just(None)],
        1 => any::<u16>().prop_map(Some),
    ];
    let retry_after = prop_oneof![Just(None), "[0-9]{1,3}".prop_map(Some), ".{0,10}".prop_map(Some)];
    prop_oneof![
        20 => (4..110_usize).prop_map(Event::Add),
        8 => (0..7_000_i64).prop_map(Event::Pass),
        1 => (-100_000..100_000_i64).prop_map(Event::Pass),
        8 => Just(Event::Send),
        8 => (any::<usize>(), status, retry_after, 0..5_u8)
            .prop_map(|(which, status, retry_after, rejected)| Event::Answer { which, status, retry_after, rejected }),
        2 => any::<usize>().prop_map(Event::Interrupt),
        1 => Just(Event::Stop),
    ]
}

/// The numbers of the records in a request: each begins with its number, in four bytes.
fn numbers(mut frames: &[u8]) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let [0x12, length, rest @ ..] = frames {
        assert!(*length < 128);
        let (record, rest) = rest.split_at(usize::from(*length));
        assert!(record.len() >= 4);
        numbers.extend(record.first_chunk().map(|number| u32::from_le_bytes(*number)));
        frames = rest;
    }
    assert!(frames.is_empty());
    numbers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn sent_and_dropped_and_queued_and_under_way_are_what_was_made(events in vec(any_event(), 0..250), seed: u32) {
        let mut outbox = Outbox::new(START);
        let mut now = START;
        let mut jitter = seed;
        let mut random = || { jitter = jitter.wrapping_mul(1_664_525).wrapping_add(1_013_904_223); jitter };
        let mut made: u32 = 0;
        // Every request that was ever made, answered or not: answers come late and twice as well.
        let mut requests: Vec<(Ticket, Vec<u32>)> = Vec::new();
        let mut acknowledged = HashSet::new();
        for event in events {
            match event {
                Event::Add(size) => {
                    let mut record = made.to_le_bytes().to_vec();
                    record.resize(size.max(4), 0);
                    outbox.add(&record, &TUNING);
                    made += 1;
                }
                Event::Pass(millis) => {
                    now = now.saturating_add_signed(millis * 1_000_000);
                    outbox.advance(now, &TUNING, &mut random);
                }
                Event::Send => {
                    while let Some((ticket, frames)) = outbox.next(&TUNING) {
                        let numbers = numbers(frames);
                        prop_assert!(!numbers.is_empty());
                        prop_assert!(numbers.iter().all(|number| !acknowledged.contains(number)));
                        requests.push((ticket, numbers));
                    }
                }
                Event::Answer { which, status, retry_after, rejected } if !requests.is_empty() => {
                    let (ticket, numbers) = &requests[which % requests.len()];
                    let was_under_way = outbox.is_under_way(*ticket);
                    let before = outbox.counts();
                    let body = [0x0a, 2, 8, rejected];
                    let retry_after = retry_after.as_deref().map(str::as_bytes);
                    outbox.answered(*ticket, &Answer { status, retry_after, body: &body }, now, &TUNING, random());
                    if !was_under_way {
                        prop_assert_eq!(before, outbox.counts());
                    } else if let Some(200..=299) = status {
                        prop_assert!(numbers.iter().all(|number| acknowledged.insert(*number)));
                    }
                }
                Event::Interrupt(which) if !requests.is_empty() => {
                    outbox.interrupted(requests[which % requests.len()].0);
                }
                Event::Stop => outbox.stop(),
                Event::Answer { .. } | Event::Interrupt(_) => {}
            }
            check(&outbox);
            prop_assert_eq!(outbox.counts().made, u64::from(made));
        }
    }

    #[test]
    fn whatever_is_down_for_however_long_all_is_settled_in_the_end(records in 1..40_usize, failures in 0..20_usize) {
        let mut outbox = Outbox::new(START);
        let (mut now, mut failed) = (START, 0);
        (0..records).for_each(|_| outbox.add(b"some record", &TUNING));
        for _ in 0..200 {
            now += 1_000_000_000;
            outbox.advance(now, &TUNING, &mut || u32::MAX);
            while let Some(ticket) = outbox.next(&TUNING).map(|(ticket, _)| ticket) {
                let status = if failed < failures { 503 } else { 200 };
                failed += 1;
                outbox.answered(ticket, &Answer { status: Some(status), ..Answer::default() }, now, &TUNING, 0);
            }
        }
        prop_assert!(outbox.is_empty());
        check(&outbox);
    }
}
