//! Whatever happens to etcd and to the connection, in whatever order: when things have calmed down, what was delivered
//! last is what etcd has.

use super::model::{Release, Step, World};
use super::{GUARDED, OPEN};
use crate::etcd::messages::conformance::mutated;
use crate::etcd::testing::{KEY, Response, header, pair, read, token};
use crate::testing::Bench;
use crate::{Action, Event};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => any::<u8>().prop_map(|value| Step::Put(value % 4)),
        3 => Just(Step::Delete),
        4 => Just(Step::PutOther),
        2 => Just(Step::Compact),
        6 => Just(Step::Sync),
        50 => any::<u8>().prop_map(Step::Move),
        2 => Just(Step::Cut),
        1 => Just(Step::Stall),
        1 => Just(Step::Lose),
        1 => Just(Step::Restart),
        2 => any::<u8>().prop_map(Step::Wipe),
        1 => Just(Step::Down),
        2 => Just(Step::Up),
        1 => Just(Step::Expire),
        1 => any::<bool>().prop_map(Step::Guard),
        1 => (0..4_u8).prop_map(Step::Lag),
        1 => prop_oneof![1 => Just(false), 3 => Just(true)].prop_map(Step::Cluster),
        25 => (1..400_i64).prop_map(Step::Pass),
        3 => (1_000..12_000_i64).prop_map(Step::Pass),
        1 => (-100_000..100_000_i64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn in_the_end_what_was_delivered_last_is_what_etcd_has(
        steps in vec(any_step(), 0..200),
        is_new: bool,
        is_guarded: bool,
        entropy: u64,
    ) {
        let release = if is_new { Release::New } else { Release::Old };
        let session = Bench::new(GUARDED).session;
        let mut world = World::new(session, release, is_guarded, entropy);
        steps.iter().for_each(|step| world.step(step));
        world.calm_down();
        let last = world.last.clone().expect("a delivery");
        let (revision, document) = world.value().unzip();
        // That all is gone is no deletion.
        prop_assert!(last.document == document || document.is_none() && world.is_of_store_before);
        prop_assert!(revision.is_none_or(|revision| revision == last.revision), "{:?} {:?}", last, revision);
        // It lasts: who has a watch asks no more.
        let calls = world.calls;
        world.calm_down();
        prop_assert_eq!(world.calls, calls);
    }

    #[test]
    fn no_bytes_and_no_order_of_events_make_it_panic_or_forget_what_is_open(
        events in vec((0..9_u8, any::<Index>(), vec(any::<(Index, u8, u8)>(), 0..4), 0..20_000_u64), 0..80),
    ) {
        let messages = [
            read(7, Some((5, b"five"))),
            read(9, None),
            token(b"t0ken"),
            Response::at(7).created().bytes(),
            Response::at(8).put(8, b"eight").bytes(),
            Response::at(9).deleted(9).bytes(),
            Response::new(&header(1, 9, 9), -1).bytes(),
            Response::at(9).compacted(8).canceled("compacted").bytes(),
            Response::at(9).event(3, &pair(KEY, 9, b"x")).bytes(),
        ];
        let mut bench = Bench::new(GUARDED);
        let (mut calls, mut streams) = (0_i32, 0_i32);
        let mut count = |actions: Vec<Action>| {
            for action in actions {
                match action {
                    Action::Call { .. } => calls += 1,
                    Action::CancelCall => calls -= 1,
                    Action::Open { .. } => streams += 1,
                    Action::Close => streams -= 1,
                    _ => {}
                }
                assert!((0..=1).contains(&calls) && (0..=1).contains(&streams) && calls + streams <= 1);
            }
            (calls == 1, streams == 1)
        };
        let mut open = (false, false);
        for (kind, which, changes, millis) in events {
            let message = mutated(&messages[which.index(messages.len())], &changes);
            let text = String::from_utf8_lossy(&message);
            let status = u32::from(kind) * 5;
            let event = match kind {
                0..=2 if open.0 => Event::CallAnswered(&message),
                3 if open.0 => Event::CallFailed { status, message: &text },
                4..=6 if open.1 => Event::StreamMessage(&message),
                7 if open.1 => Event::StreamClosed { status, message: &text },
                8 if open.0 || open.1 => Event::Refused,
                _ => {
                    open = count(bench.tick(millis));
                    continue;
                }
            };
            // What ends a call or the stream is known to both.
            let ended = (matches!(kind, 0..=3 | 8) && open.0, matches!(kind, 7 | 8) && open.1);
            let actions = bench.event(event);
            if ended.0 {
                count(vec![Action::CancelCall]);
            }
            if ended.1 {
                count(vec![Action::Close]);
            }
            open = count(actions);
        }
    }
}

proptest! {
    // Each is ten minutes long.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn an_etcd_that_is_gone_is_asked_seldom_and_told_of_once(entropy: u64, is_guarded: bool) {
        let mut world = World::new(Bench::new(OPEN).session, Release::New, is_guarded, entropy);
        world.step(&Step::Down);
        for _ in 0..600 * 20 {
            world.step(&Step::Pass(50));
            (0..6).for_each(|which| world.step(&Step::Move(which)));
        }
        // A wait of 10 s is one of 5 s, drawn by chance: some 120 calls in ten minutes.
        prop_assert!((80..200).contains(&world.calls), "{}", world.calls);
        prop_assert_eq!(world.troubles, 1);
    }
}
