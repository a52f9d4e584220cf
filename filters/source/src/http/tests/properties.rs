//! Whatever happens to the endpoint and to the answers, in whatever order: when things have calmed down, what was
//! delivered last is what the endpoint has.

use crate::testing::Bench;
use crate::{Action, Delivery, Event, Moment, Session};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Put(u8),
    Delete,
    /// Something else changes: the index goes up.
    Touch,
    /// The GET is answered, if the endpoint does not hold it back.
    Answer,
    /// It is answered though nothing is new: it has waited long enough.
    Wake,
    /// It fails with this status.
    Fail(u16),
    /// It is never answered, and the proxy does not say so.
    Lose,
    /// The connection is lost, and the endpoint begins anew with its counting.
    Wipe,
    /// So many milliseconds pass, with one tick; below zero: the clock is set back.
    Pass(i64),
}

/// What the endpoint can.
#[derive(Clone, Copy, Debug)]
struct Skill {
    etag: bool,
    index: bool,
}

struct World {
    session: Session,
    skill: Skill,
    document: Option<Vec<u8>>,
    /// The index.
    version: u64,
    /// The ETag is the index, and how often the counting began anew: it names one version for ever (RFC 9110 §8.8.1).
    wipes: u64,
    get: Option<(Option<u64>, Option<String>)>,
    now: u64,
    entropy: u64,
    last: Option<Delivery>,
    gets: usize,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0..4_u8).prop_map(Step::Put),
        3 => Just(Step::Delete),
        3 => Just(Step::Touch),
        20 => Just(Step::Answer),
        3 => Just(Step::Wake),
        2 => prop_oneof![Just(500), Just(503), Just(302), Just(304), any::<u16>()]
            .prop_filter("not what is an answer", |status| ![200, 404].contains(status))
            .prop_map(Step::Fail),
        1 => Just(Step::Lose),
        2 => Just(Step::Wipe),
        20 => (1..2_000_i64).prop_map(Step::Pass),
        5 => (2_000..90_000_i64).prop_map(Step::Pass),
        1 => (-100_000..100_000_i64).prop_map(Step::Pass),
    ]
}

impl World {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Put(value) => (self.document, self.version) = (Some(vec![*value]), self.version + 1),
            Step::Delete => (self.document, self.version) = (None, self.version + 1),
            Step::Touch => self.version += 1,
            Step::Answer => {
                // Consul holds back whoever knows its index, or a later one.
                if self.get.as_ref().is_some_and(|(index, _)| index.is_none_or(|index| index < self.version)) {
                    self.answer();
                }
            }
            Step::Wake => self.answer(),
            Step::Fail(status) => {
                if self.get.take().is_some() {
                    // That nothing has changed is no failure for who asked whether something has.
                    let status = Some(*status).filter(|status| *status != 304);
                    self.event(Event::Fetched {
                        status,
                        etag: Some(b"\"x\""),
                        index: Some(b"999"),
                        is_encoded: false,
                        body: b"broken",
                    });
                }
            }
            Step::Lose => self.get = None,
            Step::Wipe => {
                (self.document, self.version) = (None, 1);
                self.wipes += 1;
                self.step(&Step::Fail(500));
            }
            Step::Pass(millis) => {
                self.now = self.now.saturating_add_signed(millis * 1_000_000);
                let moment = self.moment();
                let actions = self.session.on_tick(moment);
                self.carry_out(actions);
            }
        }
    }

    fn answer(&mut self) {
        let Some((_, known)) = self.get.take() else { return };
        let etag = self.skill.etag.then(|| format!("\"{}.{}\"", self.wipes, self.version));
        let index = self.skill.index.then(|| self.version.to_string());
        let (status, body) = match self.document.clone() {
            None => (404, b"not here".to_vec()),
            Some(_) if known.is_some() && known == etag => (304, Vec::new()),
            Some(document) => (200, document),
        };
        let (etag, index) = (etag.as_deref().map(str::as_bytes), index.as_deref().map(str::as_bytes));
        self.event(Event::Fetched { status: Some(status), etag, index, is_encoded: false, body: &body });
    }

    fn event(&mut self, event: Event<'_>) {
        let moment = self.moment();
        let actions = self.session.on_event(event, moment);
        self.carry_out(actions);
    }

    fn moment(&mut self) -> Moment {
        self.entropy = self.entropy.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Moment { now: self.now, entropy: self.entropy }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Fetch { path, headers, .. } => {
                    let (place, query) = path.split_once('?').unwrap();
                    assert_eq!(place, "/v1/kv/p");
                    let index = query.strip_prefix("raw&index=").map(|rest| rest.strip_suffix("&wait=60s").unwrap());
                    let index = index.map(|index| index.parse().unwrap());
                    assert!(index != Some(0) && (index.is_some() || query == "raw"), "{path}");
                    self.gets += 1;
                    self.get = Some((index, headers.into_iter().map(|(_, etag)| etag).next()));
                }
                Action::Deliver(delivery) => {
                    assert_ne!(Some(&delivery.document), self.last.as_ref().map(|last| &last.document));
                    self.last = Some(delivery);
                }
                Action::Trouble(_) => {}
                other => panic!("{other:?} is not HTTP"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn in_the_end_what_was_delivered_last_is_what_the_endpoint_has(
        steps in vec(any_step(), 0..150),
        is_blocking: bool,
        skills: [bool; 2],
        entropy: u64,
    ) {
        let blocking = if is_blocking { r#", "blocking": "60s""# } else { "" };
        let section = format!(r#"{{"http": {{"cluster": "c", "path": "/v1/kv/p?raw"{blocking}}}}}"#);
        let [etag, index] = skills;
        let mut world = World {
            session: Bench::new(&section).session,
            skill: Skill { etag, index },
            document: None,
            version: 1,
            wipes: 0,
            get: None,
            now: 1_800_000_000_000_000_000,
            entropy,
            last: None,
            gets: 0,
        };
        steps.iter().for_each(|step| world.step(step));
        // What was lost is given up in 70 s, the longest wait then is 11 s; a query that is held back ends in a minute.
        for second in 0..180 {
            (0..5).for_each(|_| world.step(&Step::Pass(200)));
            world.step(if second % 60 == 59 { &Step::Wake } else { &Step::Answer });
        }
        prop_assert_eq!(&world.last.expect("a delivery").document, &world.document);
    }

    #[test]
    fn no_answer_makes_it_panic_or_ask_more_often_than_it_should(
        answers in vec((any::<Option<u16>>(), vec(any::<u8>(), 0..30), ".{0,9}", 0..1_000_u64), 0..200),
        is_blocking: bool,
    ) {
        let blocking = if is_blocking { r#", "blocking": "1s""# } else { "" };
        let mut bench = Bench::new(&format!(r#"{{"http": {{"cluster": "c", "path": "/p"{blocking}}}}}"#));
        let (start, mut gets) = (bench.now, 0);
        for (status, etag, index, millis) in &answers {
            let status = status.map(|status| [200, 304, 404, status][usize::from(status % 4)]);
            let event = Event::Fetched { status, etag: Some(etag), index: Some(index.as_bytes()), is_encoded: false, body: etag };
            prop_assert!(bench.event(event).len() <= 2);
            gets += bench.tick(*millis).len();
        }
        prop_assert!(gets as u64 <= 12 + 2 * answers.len() as u64, "{} in {} ns", gets, bench.now - start);
    }
}
