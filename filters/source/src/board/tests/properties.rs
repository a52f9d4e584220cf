//! Workers that hold the lease one after another, and now and then two that believe they do, post by compare-and-swap
//! and stall between reading and writing: who reads sees one document under a number, never an earlier one again, and
//! in the end what the last holder posted.

use super::*;
use crate::lease::{self, Claim};
use proptest::collection::vec;
use proptest::prelude::*;

/// A value in shared data.
#[derive(Default)]
struct Cell {
    value: Vec<u8>,
    cas: u32,
}

impl Cell {
    fn read(&self) -> (Vec<u8>, u32) {
        (self.value.clone(), self.cas)
    }

    fn write(&mut self, value: Vec<u8>, cas: u32) -> bool {
        let is_unchanged = self.cas == cas;
        if is_unchanged {
            (self.value, self.cas) = (value, cas + 1);
        }
        is_unchanged
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Time passes, in milliseconds; below zero: the clock is set back.
    Pass(i64),
    /// Looks after the lease.
    Claim,
    Release,
    /// Has something to post, and reads the sheet.
    Begin(u8),
    /// Writes what it made of the sheet that it read.
    Write,
    /// Announces what it wrote.
    Announce,
    /// Reads the board.
    Read,
}

#[derive(Default)]
struct Worker {
    term: Option<u32>,
    begun: Option<(Delivery, u32, Post, u32)>,
    written: Option<u32>,
    seen: u32,
    read: Option<Vec<u8>>,
}

fn any_step() -> impl Strategy<Value = (usize, Step)> {
    let step = prop_oneof![
        4 => (0..1_500_i64).prop_map(Step::Pass),
        1 => (-5_000..5_000_i64).prop_map(Step::Pass),
        6 => Just(Step::Claim),
        1 => Just(Step::Release),
        5 => (0..5_u8).prop_map(Step::Begin),
        6 => Just(Step::Write),
        5 => Just(Step::Announce),
        8 => Just(Step::Read),
    ];
    (0..3_usize, step)
}

struct Proxy {
    now: u64,
    lease: Cell,
    sheet: Cell,
    number: Cell,
    documents: Vec<Option<Vec<u8>>>,
    /// The latest term in which something was posted.
    latest_term: u32,
}

impl Proxy {
    fn step(&mut self, me: usize, worker: &mut Worker, step: &Step) {
        match step {
            Step::Pass(millis) => self.now = self.now.saturating_add_signed(millis * 1_000_000),
            Step::Claim => {
                let (value, cas) = self.lease.read();
                worker.term = match lease::claim(&value, me as u64, self.now) {
                    Claim::Held { term } => Some(term),
                    Claim::Renew { term, next } | Claim::Take { term, next } => {
                        self.lease.write(next, cas).then_some(term)
                    }
                    Claim::Others => None,
                    Claim::Foreign => panic!("it is ours"),
                };
            }
            Step::Release => {
                let (value, cas) = self.lease.read();
                if let Some(next) = lease::release(&value, me as u64) {
                    self.lease.write(next, cas);
                }
            }
            Step::Begin(document) => {
                let Some(term) = worker.term else { return };
                let document = Some(vec![*document]).filter(|_| *document > 0);
                let delivery = Delivery { revision: 1, document };
                let (sheet, cas) = self.sheet.read();
                let post = post(&sheet, term, &delivery, self.now);
                worker.begun = Some((delivery, term, post, cas));
            }
            Step::Write => {
                let Some((delivery, term, post, cas)) = worker.begun.take() else { return };
                match post {
                    Post::Write { number, sheet } => {
                        if self.sheet.write(sheet, cas) {
                            assert!(term >= self.latest_term, "a holder of the past does not post");
                            self.latest_term = term;
                            worker.written = Some(number);
                            let known = self.documents.len() as u32;
                            assert!((known..=known + 1).contains(&number));
                            if number > known {
                                self.documents.push(delivery.document);
                            }
                        }
                    }
                    Post::Same(number) => worker.written = Some(number),
                    Post::Outdated => worker.term = None,
                    Post::Foreign => panic!("it is ours"),
                }
            }
            Step::Announce => {
                let (value, cas) = self.number.read();
                if let Some(next) = worker.written.and_then(|written| announce(&value, written)) {
                    self.number.write(next, cas);
                }
            }
            Step::Read => self.read(worker),
        }
    }

    fn read(&self, worker: &mut Worker) {
        if number(&self.number.value).is_none_or(|number| number == worker.seen) {
            return;
        }
        let posting = posting(&self.sheet.value).expect("what is announced is there");
        assert!(posting.number >= worker.seen, "nothing earlier is seen again");
        assert_eq!(posting.document, self.documents[posting.number as usize - 1], "each number has its document");
        (worker.seen, worker.read) = (posting.number, posting.document);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_number_stands_for_one_document_and_the_last_holder_has_the_last_word(steps in vec(any_step(), 0..300)) {
        let mut proxy = Proxy {
            now: 1_800_000_000_000_000_000,
            lease: Cell::default(),
            sheet: Cell::default(),
            number: Cell::default(),
            documents: Vec::new(),
            latest_term: 0,
        };
        let mut workers = [Worker::default(), Worker::default(), Worker::default()];
        for (me, step) in &steps {
            proxy.step(*me, &mut workers[*me], step);
        }
        // One of them takes over for good, whatever the clock did before, and posts.
        let [holder, others @ ..] = &mut workers;
        for step in [Step::Pass(1_400), Step::Claim].iter().cycle().take(8) {
            proxy.step(0, holder, step);
        }
        for step in [Step::Begin(9), Step::Write, Step::Announce, Step::Read] {
            proxy.step(0, holder, &step);
        }
        prop_assert_eq!(&holder.read, &Some(vec![9]));
        for (me, late) in others.iter_mut().enumerate() {
            for step in [Step::Write, Step::Begin(1), Step::Write, Step::Announce, Step::Read] {
                proxy.step(me + 1, late, &step);
            }
            prop_assert_eq!(&late.read, &Some(vec![9]));
        }
    }

    #[test]
    fn no_value_makes_it_panic_and_what_is_taken_is_held(
        value in vec(any::<u8>(), 0..60),
        version: bool,
        me: u64,
        now: u64,
    ) {
        let value = if version { [&[VERSION], &value[..]].concat() } else { value };
        match lease::claim(&value, me, now) {
            Claim::Take { term, next } | Claim::Renew { term, next } => {
                prop_assert_eq!(lease::claim(&next, me, now), Claim::Held { term });
                prop_assert_eq!(lease::claim(&next, me.wrapping_add(1), now), Claim::Others);
                prop_assert!(lease::release(&next, me).is_some());
            }
            Claim::Held { .. } => prop_assert!(lease::release(&value, me).is_some()),
            Claim::Others => prop_assert_eq!(lease::release(&value, me), None),
            Claim::Foreign => prop_assert!(!version && !value.is_empty()),
        }
        let _ = (number(&value), announce(&value, 7));
        let term = value.get(5..9).map_or(0, |term| u32::from_le_bytes(term.try_into().unwrap()));
        let delivery = Delivery { revision: now, document: Some(value.clone()) };
        match post(&value, term, &delivery, now) {
            Post::Write { number, sheet } => {
                let written = posting(&sheet).unwrap();
                prop_assert_eq!((written.number, written.revision, written.document), (number, now, Some(value)));
            }
            Post::Foreign => prop_assert!(posting(&value).is_none() && !value.is_empty()),
            Post::Same(_) | Post::Outdated => prop_assert!(false, "of what is there nothing is the same, nor later"),
        }
    }
}
