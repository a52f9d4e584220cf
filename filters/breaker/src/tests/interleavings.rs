//! The protocol under every order in which workers can read and write: a model in which a worker stops between the two.
//!
//! A compare-and-swap is a read, and a write that is taken only if nobody wrote in between. The first tests go through all
//! orders of a few of them; the last through long ones at random.

use super::*;
use crate::key::Key;
use crate::merge::{Claimed, Merged};
use crate::moment::Moment;
use crate::part::Prepared;
use crate::probe::Stage;
use crate::record;
use crate::shard::Shard;
use crate::state::{Claim, Epoch, Machine, Phase};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashSet;

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    /// Calls that it has admitted end so.
    End(u32, Outcome),
    /// So many fail that it had admitted before anything was known.
    FailEarly(u32),
    /// It merges what it has to say: two steps.
    Merge,
    /// A request comes. If it may be a trial, it asks for one: two steps.
    Request,
    /// The trial that it has had the longest ends so.
    EndProbe(Outcome),
    /// It sees what is there: what news does.
    Look,
}

/// What is in its hands between a read and a write.
#[derive(Clone, Debug)]
enum UnderWay {
    Merge,
    Claim,
}

#[derive(Clone)]
struct Actor {
    breakers: Breakers,
    script: Vec<Act>,
    /// A value that was read, and its number.
    read: Option<(UnderWay, Vec<u8>, u64)>,
    probes: Vec<(Epoch, u32)>,
    /// Calls that are under way from the closed state, by epoch.
    admitted: Epoch,
}

/// All that is, and what has happened.
#[derive(Clone)]
struct World {
    breaker: Breaker,
    key: Key,
    value: Vec<u8>,
    number: u64,
    now: u64,
    actors: Vec<Actor>,
    /// Transitions in the order in which they were made, and the epoch that each ended.
    made: Vec<(Epoch, State, State, Cause)>,
    /// Trials that were let through and have not ended.
    under_way: HashSet<(Epoch, u32)>,
    /// Calls that ended, and those of them that nobody wanted any more.
    ended: u64,
    not_counted: u64,
}

/// A name whose breaker lies in the first shard.
fn first_shard() -> [u8; 4] {
    (0_u32..).map(u32::to_le_bytes).find(|name| Key::of(7, name).shard() == 0).unwrap()
}

impl World {
    fn new(settings: Settings, scripts: &[&[Act]]) -> World {
        let host = Double::new();
        let breaker = Breaker::new(7, settings);
        let name = first_shard();
        let key = Key::of(7, &name);
        let actor = |script: &&[Act]| Actor {
            breakers: {
                let mut breakers = Breakers::new(8, host, START).unwrap();
                let _ = breakers.admit(&breaker, &name, host, START);
                breakers.parts.truncate(1);
                breakers
            },
            script: script.to_vec(),
            read: None,
            probes: Vec::new(),
            admitted: 0,
        };
        let actors = scripts.iter().map(actor).collect();
        World {
            breaker: breaker.clone(),
            key,
            value: crate::shard::empty(START),
            number: 0,
            now: START,
            actors,
            made: Vec::new(),
            under_way: HashSet::new(),
            ended: 0,
            not_counted: 0,
        }
    }

    /// All that what follows depends on.
    fn fingerprint(&self) -> String {
        let actors = self.actors.iter().map(|actor| {
            let read = actor.read.as_ref().map(|(what, value, number)| (what, value, *number == self.number));
            let place = &actor.breakers.parts[0].places()[0];
            let knows = (place.epoch, place.state(), &place.pending, place.in_force);
            format!("{:?}{read:?}{:?}{:?}{knows:?}", actor.script.len(), actor.probes, actor.admitted)
        });
        let actors: Vec<String> = actors.collect();
        let mut under_way: Vec<_> = self.under_way.iter().collect();
        under_way.sort();
        format!("{:?}{:?}{under_way:?}{}{actors:?}", self.value, self.made, self.not_counted)
    }

    fn machine(&self) -> Option<Machine> {
        Shard::read(&self.value).unwrap().machine(self.key)
    }

    fn epoch(&self) -> Epoch {
        self.machine().map_or(0, |machine| machine.epoch)
    }

    /// Begins from this state, which all have seen.
    fn begin_with(&mut self, doing: impl FnOnce(&mut World)) {
        doing(self);
        for actor in 0..self.actors.len() {
            self.look(actor);
        }
    }

    fn look(&mut self, actor: usize) {
        let value = self.value.clone();
        self.part(actor).take(value);
        let key = self.key;
        let epoch = self.part(actor).place(key).unwrap().epoch;
        self.actors[actor].admitted = epoch;
    }

    fn part(&mut self, actor: usize) -> &mut crate::part::Part {
        &mut self.actors[actor].breakers.parts[0]
    }

    fn ticket(&mut self, actor: usize, epoch: Epoch, probe: Option<u32>) -> Ticket {
        let key = self.key;
        let subject = self.part(actor).place(key).unwrap().subject.clone();
        Ticket { subject, epoch, probe }
    }

    fn is_done(&self, actor: usize) -> bool {
        self.actors[actor].script.is_empty() && self.actors[actor].read.is_none()
    }

    /// The next step of an actor that others can see, and what it then does by itself: that is the same before and after
    /// any step of others.
    fn step(&mut self, actor: usize) {
        match self.actors[actor].read.take() {
            Some((under_way, value, number)) => self.write(actor, under_way, &value, number),
            None => self.act(actor),
        }
        self.act_alone(actor);
    }

    fn act_alone(&mut self, actor: usize) {
        while self.actors[actor].read.is_none()
            && matches!(self.actors[actor].script.first(), Some(End(..) | FailEarly(_) | EndProbe(_)))
        {
            self.act(actor);
        }
    }

    fn act(&mut self, actor: usize) {
        let act = self.actors[actor].script.remove(0);
        let now = self.now;
        let key = self.key;
        match act {
            Act::End(count, _) | Act::FailEarly(count) => {
                let (epoch, outcome) = match act {
                    Act::End(_, outcome) => (self.actors[actor].admitted, outcome),
                    _ => (0, Outcome::Failure),
                };
                for _ in 0..count {
                    let ticket = self.ticket(actor, epoch, None);
                    self.actors[actor].breakers.ended(ticket, outcome, None, now);
                    self.ended += 1;
                }
            }
            Act::EndProbe(outcome) => {
                if !self.actors[actor].probes.is_empty() {
                    let (epoch, number) = self.actors[actor].probes.remove(0);
                    self.under_way.remove(&(epoch, number));
                    let ticket = self.ticket(actor, epoch, Some(number));
                    self.actors[actor].breakers.ended(ticket, outcome, None, now);
                }
            }
            Act::Look => self.look(actor),
            Act::Merge => self.read(actor, UnderWay::Merge),
            Act::Request => {
                use crate::place::Gate;
                if self.part(actor).place(key).unwrap().gate(now) == Gate::Ask {
                    self.read(actor, UnderWay::Claim);
                }
            }
        }
        let late = self.actors[actor].breakers.take_uncounted();
        self.not_counted += late.late + late.refused;
    }

    fn read(&mut self, actor: usize, under_way: UnderWay) {
        self.actors[actor].read = Some((under_way, self.value.clone(), self.number));
    }

    /// Takes the value if nobody wrote since it was read; else the actor reads again.
    fn swap<T>(&mut self, prepared: &Prepared<T>, number: u64) -> bool {
        match prepared.to_write() {
            None => true,
            Some(next) if number == self.number => {
                self.value = next;
                self.number += 1;
                true
            }
            Some(_) => false,
        }
    }

    fn write(&mut self, actor: usize, under_way: UnderWay, value: &[u8], number: u64) {
        let (key, now, epoch) = (self.key, self.now, self.epoch());
        let settings = self.breaker.settings().clone();
        match under_way {
            UnderWay::Merge => {
                let moment = Moment { now, entropy: 0 };
                let prepared = self.part(actor).prepare_merge(value, moment).unwrap();
                if !self.swap(&prepared, number) {
                    return self.read(actor, UnderWay::Merge);
                }
                let Merged { changes, late, refused, .. } = self.part(actor).merged(prepared);
                self.not_counted += late + refused;
                for (_, change) in changes {
                    self.made.push((epoch, change.from, change.to, change.cause));
                }
            }
            UnderWay::Claim => {
                let prepared = self.part(actor).prepare_claim(value, key, Stage::Waiting, &settings, now).unwrap();
                if !self.swap(&prepared, number) {
                    return self.read(actor, UnderWay::Claim);
                }
                let Claimed { claim, change, .. } = self.part(actor).claimed(prepared);
                if let Some(change) = change {
                    self.made.push((epoch, change.from, change.to, change.cause));
                }
                if let Claim::Probe(epoch, number) = claim {
                    assert!(self.under_way.insert((epoch, number)), "a slot was taken twice");
                    self.actors[actor].probes.push((epoch, number));
                }
            }
        }
        self.actors[actor].admitted = self.part(actor).place(key).unwrap().epoch;
        self.check();
    }

    /// What holds at every moment.
    fn check(&self) {
        let legal = |from, to, cause| {
            use Cause::*;
            use State::*;
            matches!(
                (from, to, cause),
                (Closed, Open, FailureRate | SlowCalls | ConsecutiveFailures)
                    | (Open, HalfOpen, OpenTimeOver)
                    | (HalfOpen, Open, ProbeFailed | ProbeGivenUp)
                    | (HalfOpen, Closed, Recovered)
            )
        };
        let mut state = State::Closed;
        let mut epochs = HashSet::new();
        for (epoch, from, to, cause) in &self.made {
            assert!(legal(*from, *to, *cause), "{:?}", self.made);
            assert_eq!(state, *from, "{:?}", self.made);
            assert!(epochs.insert(*epoch), "an epoch ended twice: {:?}", self.made);
            state = *to;
        }
        assert_eq!(self.machine().map_or(State::Closed, |machine| machine.state()), state);
        let epoch = self.epoch();
        let trials = self.under_way.iter().filter(|(of, _)| *of == epoch).count();
        assert!(trials <= self.breaker.settings().probes as usize, "{trials} probes under way");
        if let Some(Machine { phase: Phase::HalfOpen { probes, .. }, .. }) = self.machine() {
            assert!(probes.trials.len() <= self.breaker.settings().probes as usize);
        }
        // What was written is read again as it was.
        if let Some(machine) = self.machine() {
            assert_eq!(record::machine(&record::bytes(&machine)), Some(machine));
        }
    }

    /// All that workers still have to say is merged.
    fn settle(&mut self) {
        for actor in 0..self.actors.len() {
            while !self.is_done(actor) {
                self.step(actor);
            }
            self.actors[actor].script = vec![Act::Merge];
            self.step(actor);
            self.step(actor);
        }
    }

    fn calls(&self) -> u64 {
        match self.machine().map(|machine| machine.phase) {
            Some(Phase::Closed { window, .. }) => window.totals().calls,
            _ => 0,
        }
    }

    fn count(&self, of: Cause) -> usize {
        self.made.iter().filter(|(_, _, _, cause)| *cause == of).count()
    }
}

/// Goes through all orders of the steps of all actors; at the end of each, `then` is to hold. What was reached before in
/// another order, with nothing different in it, goes on as it did then. Answers with how many different moments there were.
fn explore(world: &World, then: impl FnMut(World)) -> usize {
    fn go_on(world: &World, seen: &mut HashSet<String>, then: &mut impl FnMut(World)) {
        if !seen.insert(world.fingerprint()) {
            return;
        }
        let able: Vec<usize> = (0..world.actors.len()).filter(|actor| !world.is_done(*actor)).collect();
        if able.is_empty() {
            then(world.clone());
        }
        for actor in able {
            let mut next = world.clone();
            next.step(actor);
            go_on(&next, seen, then);
        }
    }
    let mut world = world.clone();
    (0..world.actors.len()).for_each(|actor| world.act_alone(actor));
    let (mut seen, mut then) = (HashSet::new(), then);
    go_on(&world, &mut seen, &mut then);
    seen.len()
}

use Act::*;
use Outcome::*;

fn kinds() -> [Settings; 2] {
    [settings(), Settings { window: Span::Calls(100), ..settings() }]
}

#[test]
fn no_order_loses_a_count_or_counts_one_twice() {
    for settings in kinds() {
        let never = Settings { failure_rate: 2.0, ..settings };
        let script: &[Act] =
            &[End(1, Failure), Merge, End(2, Success), End(3, Failure), Merge, End(1, Success), Merge, Look, Merge];
        let world = World::new(never.clone(), &[script, script]);
        let whole = |mut end: World| {
            end.settle();
            assert_eq!((end.calls(), end.not_counted, end.ended), (14, 0, 14));
        };
        assert!(explore(&world, whole) > 100);
        let script: &[Act] = &[End(1, Failure), Merge, End(1, Success), Merge, End(1, Failure), Merge];
        let world = World::new(never, &[script, script, script]);
        let whole = |mut end: World| {
            end.settle();
            assert_eq!((end.calls(), end.not_counted), (9, 0));
        };
        assert!(explore(&world, whole) > 100);
    }
}

#[test]
fn in_no_order_do_two_workers_open_it_or_none() {
    for settings in kinds() {
        // Each has seen enough.
        let script: &[Act] = &[End(20, Failure), Merge, End(20, Failure), Merge, Look, Merge];
        let world = World::new(settings.clone(), &[script, script, script]);
        let opened = |end: World| {
            assert_eq!((end.count(Cause::FailureRate), end.made.len()), (1, 1));
            assert_eq!(end.ended, 120);
        };
        assert!(explore(&world, opened) > 100);
        // None of three has seen enough alone; together they have, exactly.
        let script: &[Act] = &[End(3, Failure), Merge, End(4, Failure), Merge, End(1, Failure), Merge];
        let world = World::new(Settings { min_requests: 24, ..settings }, &[script, script, script]);
        let mut late = HashSet::new();
        let opened = |mut end: World| {
            assert_eq!((end.count(Cause::FailureRate), end.made.len()), (1, 1));
            end.settle();
            late.insert(end.not_counted);
        };
        assert!(explore(&world, opened) > 100);
        assert_eq!(late, HashSet::from([0]), "the last call opened it");
    }
}

#[test]
fn in_no_order_are_there_more_probes_than_may_be() {
    for (probes, scripts) in [
        (1, &[&[Request, Request][..], &[Request, Request], &[Request, Request]][..]),
        (2, &[&[Request, Look, Request][..], &[Request, Request], &[Request, Merge]]),
        (3, &[&[Request, Request, Request][..], &[Request, Merge, Request], &[Request, Look, Request]]),
    ] {
        let mut world = World::new(Settings { probes, ..settings() }, scripts);
        world.begin_with(open);
        world.now += 60 * SECOND;
        let limited = |end: World| {
            assert_eq!(end.under_way.len(), probes as usize);
            assert_eq!((end.count(Cause::OpenTimeOver), end.made.len()), (1, 2));
        };
        assert!(explore(&world, limited) > 50);
    }
}

/// The first actor opens it.
fn open(world: &mut World) {
    let script = std::mem::take(&mut world.actors[0].script);
    world.actors[0].script = vec![End(40, Failure), Merge];
    (0..3).for_each(|_| world.step(0));
    world.actors[0].script = script;
    assert_eq!(world.machine().unwrap().state(), State::Open);
}

#[test]
fn in_every_order_probes_close_it_once_or_open_it_once() {
    let good: &[Act] = &[Request, EndProbe(Success), Merge];
    let bad: &[Act] = &[Request, EndProbe(Failure), Merge];
    let again: &[Act] = &[Request, EndProbe(Success), Merge, Request, EndProbe(Failure), Merge];
    for (probes, scripts, least, one_of) in [
        (2, &[good, good][..], 20, &[Cause::Recovered][..]),
        (3, &[good, good, good], 500, &[Cause::Recovered]),
        (2, &[bad, bad], 20, &[Cause::ProbeFailed]),
        (3, &[good, bad], 20, &[Cause::ProbeFailed]),
        (1, &[good, bad], 20, &[Cause::Recovered, Cause::ProbeFailed]),
        (2, &[again, good], 100, &[Cause::Recovered, Cause::ProbeFailed]),
        (2, &[bad, bad, good], 500, &[Cause::Recovered, Cause::ProbeFailed]),
    ] {
        let mut world = World::new(Settings { probes, ..settings() }, scripts);
        world.begin_with(open);
        world.now += 60 * SECOND;
        let once = |mut end: World| {
            end.settle();
            let causes: Vec<Cause> = end.made.iter().map(|(_, _, _, cause)| *cause).collect();
            // A request that finds all slots taken passes by; who is left may be too few to close it.
            let decided = causes.get(2).is_none_or(|cause| one_of.contains(cause));
            assert!(decided && causes.len() <= 3, "{causes:?}");
            if probes as usize >= scripts.len() && one_of.len() == 1 {
                assert_eq!(causes.len(), 3);
            }
        };
        let moments = explore(&world, once);
        assert!(moments >= least, "{moments}");
    }
}

#[test]
fn in_no_order_does_a_worker_that_has_not_heard_of_it_count_against_what_came_after() {
    // The first opens it, then probes; the second only ever ends calls that it admitted before.
    let prober: &[Act] = &[Request, EndProbe(Success), Merge];
    let early: &[Act] = &[FailEarly(9), Merge, FailEarly(9), Merge, Look, Merge];
    let settings = Settings { probes: 1, consecutive_failures: Some(1), ..settings() };
    let mut world = World::new(settings, &[prober, early]);
    open(&mut world);
    world.now += 60 * SECOND;
    let closes = |mut end: World| {
        end.settle();
        assert_eq!(end.made.last().map(|(_, _, _, cause)| *cause), Some(Cause::Recovered));
        assert_eq!((end.made.len(), end.not_counted, end.calls()), (3, 18, 0));
    };
    assert!(explore(&world, closes) > 50);
}

fn any_act() -> impl Strategy<Value = Act> {
    let outcome = prop_oneof![5 => Just(Success), 4 => Just(Failure), 1 => Just(Ignored)];
    let outcomes = outcome.clone();
    prop_oneof![
        6 => (1..9_u32, outcome).prop_map(|(count, outcome)| End(count, outcome)),
        1 => (1..9_u32).prop_map(FailEarly),
        6 => Just(Merge),
        4 => Just(Request),
        4 => outcomes.prop_map(EndProbe),
        2 => Just(Look),
    ]
}

#[derive(Clone, Debug)]
enum Event {
    Step(usize, Act),
    Pass(u64),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => (0..3_usize, any_act()).prop_map(|(actor, act)| Event::Step(actor, act)),
        1 => prop_oneof![0..3_000_u64, 50_000..70_000_u64].prop_map(Event::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn at_random_all_holds_too(
        events in vec(any_event(), 0..400),
        probes in 1..4_u32,
        kind in 0..2_usize,
        in_a_row in proptest::option::of(1..9_u32),
    ) {
        let settings = Settings { probes, consecutive_failures: in_a_row, backoff: 1.5, jitter: 0.3, ..kinds()[kind].clone() };
        let mut world = World::new(settings, &[&[], &[], &[]]);
        for event in events {
            match event {
                // Who is between a read and a write writes; else it does something new.
                Event::Step(actor, act) => {
                    if world.actors[actor].read.is_none() {
                        world.actors[actor].script.push(act);
                    }
                    world.step(actor);
                }
                Event::Pass(millis) => world.now += millis * MILLI,
            }
            world.check();
        }
        world.settle();
    }

    #[test]
    fn at_random_no_count_is_lost(events in vec((0..3_usize, any_act()), 0..200), kind in 0..2_usize) {
        let span = [Span::Seconds(600), Span::Calls(1_000)][kind];
        let mut world = World::new(Settings { window: span, failure_rate: 2.0, ..settings() }, &[&[], &[], &[]]);
        let mut calls = 0;
        for (actor, act) in events {
            let is_free = world.actors[actor].read.is_none();
            if is_free {
                world.actors[actor].script.push(act);
                if let End(count, Success | Failure) | FailEarly(count) = act {
                    calls += u64::from(count);
                }
            }
            world.step(actor);
        }
        world.settle();
        prop_assert_eq!((world.calls(), world.not_counted), (calls.min(1_000), 0));
    }
}
