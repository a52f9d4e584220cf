//! The breakers of one worker under one policy: who is let through, what came of it, and what all workers make of it.

use crate::account::{Standing, Transition, Uncounted};
use crate::admission::{Admission, Breaker, Outcome, Ticket, Verdict};
use crate::key::{self, Key, SHARDS};
use crate::merge::{Claimed, Merged};
use crate::moment::{Moment, Nanos, second};
use crate::news::{self, Numbers};
use crate::part::{Part, Prepared};
use crate::place::{Gate, Place, Subject};
use crate::probe::{News, Stage};
use crate::settings::{Mode, whole_seconds};
use crate::shard;
use crate::state::{Claim, State};
use crate::window::Call;
use sluicegate_host::shared::{self, UpdateError};
use sluicegate_host::{Host, HostError, Status};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

/// How often [`Breakers::on_tick`] is to be called.
pub const TICK: Duration = Duration::from_millis(50);

/// How many keys may have a breaker of their own in a worker.
pub const MAX_KEYS: RangeInclusive<usize> = 1..=4096;

/// How many more keys there is room for whose names come from a configuration: callers who make up names are not to take the
/// place of what an operator named.
pub const RESERVED: usize = 256;

/// How many shards are read again per tick though there is no news of them: each comes round in 1.6 seconds. For news that
/// somebody wrote and could not tell.
const READ_AGAIN: usize = 2;

/// At most this part of the keys makes room per tick.
const ROOM: usize = 8;

/// The breakers of one worker under one policy.
#[cfg_attr(test, derive(Clone))]
pub struct Breakers {
    /// One for each shard.
    pub(crate) parts: Vec<Part>,
    max_keys: usize,
    /// How many places there are, and for how many more there was no room since some was made.
    count: usize,
    wanted: usize,
    /// How many requests there were.
    requests: u64,
    /// What of the news we have seen; `None` before we have seen any.
    seen: Option<Numbers>,
    /// The shard whose turn it is to be read again.
    turn: usize,
    transitions: Vec<Transition>,
    uncounted: Uncounted,
}

impl Breakers {
    /// Begins with what all workers know, also from before this policy. `max_keys` names have a breaker of their own; what
    /// exceeds [`MAX_KEYS`] is as its nearest end. To be called while a filter is configured: it creates what the ticks
    /// change. `now` is in nanoseconds since the Unix epoch.
    ///
    /// # Errors
    /// Those of shared data.
    pub fn new(max_keys: usize, host: &dyn Host, now: u64) -> Result<Breakers, HostError> {
        // Ahead of the shards, so that what happens in between is news.
        let empty = news::empty(now as u32);
        let seen = news::read(&created(host, &news::name(), &empty)?);
        let mut parts = Vec::with_capacity(SHARDS);
        for shard in 0..SHARDS {
            parts.push(Part::new(created(host, &name(shard), &shard::empty(now))?, now));
        }
        Ok(Breakers {
            parts,
            max_keys: max_keys.clamp(*MAX_KEYS.start(), *MAX_KEYS.end()),
            count: 0,
            wanted: 0,
            requests: 0,
            seen,
            turn: 0,
            transitions: Vec::new(),
            uncounted: Uncounted::default(),
        })
    }

    /// A request comes whose breaker is the one of this name. One look into memory, unless the breaker may be probed: then
    /// a slot is taken for it in shared data (two hostcalls, more where workers meet).
    pub fn admit(&mut self, breaker: &Breaker, name: &[u8], host: &dyn Host, now: u64) -> Admission {
        self.admit_part(breaker, name, Stage::Waiting, host, now)
    }

    /// As [`Breakers::admit`], of a request whose caller has not sent all of it. When that has come it is to be told with
    /// [`Breakers::sent`]: a trial is given until then at no cost to the upstream.
    pub fn admit_unfinished(&mut self, breaker: &Breaker, name: &[u8], host: &dyn Host, now: u64) -> Admission {
        self.admit_part(breaker, name, Stage::Sending, host, now)
    }

    fn admit_part(&mut self, breaker: &Breaker, name: &[u8], stage: Stage, host: &dyn Host, now: u64) -> Admission {
        let mode = breaker.settings.mode;
        match mode {
            Mode::Disabled => return Admission { state: State::Closed, verdict: Verdict::PassUnwatched },
            Mode::ForcedOpen => {
                let open_for = breaker.settings.open_time(0, 0);
                return Admission {
                    state: State::Open,
                    verdict: Verdict::Shed { retry_after: whole_seconds(open_for) },
                };
            }
            Mode::Normal | Mode::Shadow => {}
        }
        let shed = |left: Nanos| match mode {
            Mode::Shadow => Verdict::WouldShed { retry_after: whole_seconds(left) },
            _ => Verdict::Shed { retry_after: whole_seconds(left) },
        };
        let key = Key::of(breaker.identity, name);
        self.requests = self.requests.wrapping_add(1);
        let used = self.requests;
        let subject = |key| Rc::new(Subject { key, breaker: breaker.clone(), name: key::beginning(name).into() });
        let Some(place) = self.place(key, subject) else {
            self.uncounted.unwatched = self.uncounted.unwatched.saturating_add(1);
            return Admission { state: State::Closed, verdict: Verdict::PassUnwatched };
        };
        place.used = used;
        place.in_force = true;
        let (subject, epoch) = (Rc::clone(&place.subject), place.epoch);
        let passes = |epoch, probe| Verdict::Pass(Ticket { subject: Rc::clone(&subject), epoch, probe });
        match place.gate(now) {
            Gate::Passes => Admission { state: State::Closed, verdict: passes(epoch, None) },
            Gate::Open(left) => Admission { state: State::Open, verdict: shed(left) },
            Gate::Full => Admission { state: State::HalfOpen, verdict: shed(0) },
            Gate::Ask => match self.claim(&subject, stage, host, now) {
                Ok(Claim::Probe(epoch, number)) => {
                    Admission { state: State::HalfOpen, verdict: passes(epoch, Some(number)) }
                }
                Ok(Claim::Passes(epoch)) => Admission { state: State::Closed, verdict: passes(epoch, None) },
                Ok(Claim::Open(left)) => Admission { state: State::Open, verdict: shed(left) },
                Ok(Claim::Full) => Admission { state: State::HalfOpen, verdict: shed(0) },
                // Without shared data no breaker would ever close again.
                Err(_) => {
                    self.uncounted.unwatched = self.uncounted.unwatched.saturating_add(1);
                    Admission { state: State::HalfOpen, verdict: Verdict::PassUnwatched }
                }
            },
        }
    }

    /// All of a request has come, that had not when it was admitted. From here on a trial waits for the upstream.
    pub fn sent(&mut self, ticket: &Ticket) {
        if let Some(number) = ticket.probe {
            self.report(ticket, number, News::Sent);
        }
    }

    /// A response has begun, and its headers are not those of a failure. Of a trial that goes on for longer than a probe
    /// may take, as a stream does, this is what it is judged by.
    pub fn answered(&mut self, ticket: &Ticket) {
        if let Some(number) = ticket.probe {
            self.report(ticket, number, News::Answered);
        }
    }

    /// A request has ended. `latency` is how long the upstream took to the response's headers; `None` where there were none,
    /// or where they came ahead of the request's end.
    pub fn ended(&mut self, ticket: Ticket, outcome: Outcome, latency: Option<Duration>, now: u64) {
        let subject = &ticket.subject;
        let slow = subject.breaker.settings.is_slow(latency);
        let failed = outcome == Outcome::Failure;
        if let Some(number) = ticket.probe {
            let news = match outcome {
                Outcome::Ignored => News::Void,
                // A breaker that opened because calls were slow is not to be closed by slow ones.
                Outcome::Success if !slow => News::Succeeded,
                Outcome::Success | Outcome::Failure => News::Failed,
            };
            self.report(&ticket, number, news);
            return;
        }
        if outcome == Outcome::Ignored {
            return;
        }
        let shard = subject.key.shard();
        let Some(place) = self.place(subject.key, |_| Rc::clone(subject)) else {
            self.uncounted.refused = self.uncounted.refused.saturating_add(1);
            return;
        };
        let late = if place.takes(ticket.epoch) {
            let late = place.pending.begin(place.epoch);
            place.pending.call(Call { failed, slow }, second(now));
            self.touch(shard);
            late
        } else {
            1
        };
        self.uncounted.late = self.uncounted.late.saturating_add(late);
    }

    /// Merges at once where trials have ended: their slots are free for the next ones, and what they decide holds from here
    /// on. Four hostcalls for a trial, more where workers meet. `entropy` is a random number. What could not be merged is
    /// kept for the tick.
    pub fn settle(&mut self, host: &dyn Host, now: u64, entropy: u64) {
        let moment = Moment { now, entropy };
        let ended: Vec<usize> =
            (0..).zip(&self.parts).filter(|(_, part)| part.has_verdict).map(|(shard, _)| shard).collect();
        for shard in ended {
            _ = self.merge(shard, host, moment);
        }
        _ = self.tell(host, moment);
    }

    /// Merges with the other workers: writes what changed here, reads what there is news of, and makes room. Two hostcalls
    /// for every shard with outcomes since the last tick, more where workers meet; two where a breaker changed its state
    /// here; one for every shard that another worker has news of; and three. `entropy` is a random number.
    ///
    /// # Errors
    /// The first of shared data; what could not be merged is kept for the next tick.
    pub fn on_tick(&mut self, host: &dyn Host, now: u64, entropy: u64) -> Result<(), HostError> {
        let moment = Moment { now, entropy };
        let due: Vec<usize> = (0..).zip(&self.parts).filter(|(_, part)| part.is_due(now)).map(|(at, _)| at).collect();
        let mut result = Ok(());
        for shard in due {
            result = result.and(self.merge(shard, host, moment));
        }
        result = result.and(self.tell(host, moment));
        result = result.and(self.listen(host));
        for _ in 0..READ_AGAIN {
            let shard = self.turn;
            self.turn = shard.wrapping_add(1) % SHARDS;
            result = result.and(self.read(shard, host));
        }
        self.make_room(now);
        result
    }

    /// The transitions that this worker decided since it was last asked. Each is told by one worker only: for counters and
    /// lines in a log.
    pub fn take_transitions(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.transitions)
    }

    /// What did not count since it was last asked: for counters.
    pub fn take_uncounted(&mut self) -> Uncounted {
        std::mem::take(&mut self.uncounted)
    }

    /// How the breaker of this name stands; `None` where this worker has had no request of it.
    #[cfg(test)]
    pub(crate) fn standing(&self, breaker: &Breaker, name: &[u8], now: u64) -> Option<Standing> {
        let key = Key::of(breaker.identity, name);
        let part = self.parts.get(key.shard())?;
        let place = part.places().iter().find(|place| place.subject.key == key)?;
        Some(Standing::of(part, place, now))
    }

    /// How all breakers stand that this worker has had requests of. Takes time in proportion to their number.
    pub fn standings(&self, now: u64) -> impl Iterator<Item = Standing> {
        let places = self.parts.iter().flat_map(|part| part.places().iter().map(move |place| (part, place)));
        places.map(move |(part, place)| Standing::of(part, place, now))
    }

    /// The breakers that are open or half-open, as far as this worker knows: of all that share them, whether it has had
    /// requests of theirs or not.
    pub(crate) fn unsettled(&self) -> BTreeMap<Key, State> {
        self.parts.iter().filter_map(Part::shard).flat_map(|shard| shard.unsettled().collect::<Vec<_>>()).collect()
    }

    /// How many keys this worker has a breaker for.
    pub fn keys(&self) -> usize {
        self.count
    }

    /// The place of a key; a new one where there is room.
    fn place(&mut self, key: Key, subject: impl FnOnce(Key) -> Rc<Subject>) -> Option<&mut Place> {
        let part = self.parts.get_mut(key.shard())?;
        if part.place(key).is_none() {
            let subject = subject(key);
            let reserved = if subject.breaker.is_reserved { RESERVED } else { 0 };
            if self.count >= self.max_keys.saturating_add(reserved) {
                self.wanted = self.wanted.saturating_add(1);
                return None;
            }
            self.count = self.count.saturating_add(1);
            part.add(subject);
        }
        part.place(key)
    }

    fn touch(&mut self, shard: usize) {
        if let Some(part) = self.parts.get_mut(shard) {
            part.is_dirty = true;
        }
    }

    fn report(&mut self, ticket: &Ticket, number: u32, news: News) {
        let key = ticket.subject.key;
        let Some(part) = self.parts.get_mut(key.shard()) else { return };
        match part.place(key) {
            Some(place) if place.epoch == ticket.epoch => {
                let late = place.pending.begin(ticket.epoch);
                place.pending.report(number, news);
                part.is_dirty = true;
                part.has_verdict |= news.is_last();
                self.uncounted.late = self.uncounted.late.saturating_add(late);
            }
            _ if news.is_last() => self.uncounted.late = self.uncounted.late.saturating_add(1),
            _ => {}
        }
    }

    /// Takes a slot for a trial; there is none where others were faster every time.
    fn claim(&mut self, subject: &Subject, stage: Stage, host: &dyn Host, now: u64) -> Result<Claim, HostError> {
        let Some(part) = self.parts.get_mut(subject.key.shard()) else { return Ok(Claim::Full) };
        let change = |value: &[u8]| part.prepare_claim(value, subject.key, stage, subject.breaker.settings(), now);
        let Some(prepared) = updated(host, subject.key.shard(), change)? else { return Ok(Claim::Full) };
        let Claimed { claim, change, .. } = part.claimed(prepared);
        self.transitions.extend(change.map(|change| Transition::of(subject, change)));
        Ok(claim)
    }

    fn merge(&mut self, shard: usize, host: &dyn Host, moment: Moment) -> Result<(), HostError> {
        let Some(part) = self.parts.get_mut(shard) else { return Ok(()) };
        // Where others were faster every time, it is tried again.
        let Some(prepared) = updated(host, shard, |value| part.prepare_merge(value, moment))? else { return Ok(()) };
        let Merged { changes, late, refused, .. } = part.merged(prepared);
        self.uncounted.late = self.uncounted.late.saturating_add(late);
        self.uncounted.refused = self.uncounted.refused.saturating_add(refused);
        for (key, change) in changes {
            if let Some(place) = part.place(key) {
                self.transitions.push(Transition::of(&place.subject, change));
            }
        }
        Ok(())
    }

    /// Tells the others what they ought to know.
    fn tell(&mut self, host: &dyn Host, moment: Moment) -> Result<(), HostError> {
        let of: Vec<usize> = (0..).zip(&self.parts).filter(|(_, part)| part.has_news).map(|(shard, _)| shard).collect();
        if of.is_empty() {
            return Ok(());
        }
        let any = moment.draw(0);
        match shared::update(host, &news::name(), |value| news::tell(value, &of, any)) {
            Ok(()) => {
                self.parts.iter_mut().for_each(|part| part.has_news = false);
                Ok(())
            }
            Err(UpdateError::Contended) => Ok(()),
            Err(error) => Err(host_error(error)),
        }
    }

    /// Reads the shards that there is news of.
    fn listen(&mut self, host: &dyn Host) -> Result<(), HostError> {
        let numbers = news::read(&shared::read(host, &news::name())?.unwrap_or_default());
        let is_news = |shard: &usize| match (&numbers, &self.seen) {
            (Some(numbers), Some(seen)) => numbers.get(*shard) != seen.get(*shard),
            // Nobody tells us: all may have changed that matters to us.
            _ => self.parts.get(*shard).is_some_and(|part| !part.places().is_empty()),
        };
        let shards: Vec<usize> = (0..SHARDS).filter(is_news).collect();
        for shard in shards {
            self.read(shard, host)?;
        }
        // Not before, so that what could not be read is read by the next tick.
        self.seen = numbers;
        Ok(())
    }

    fn read(&mut self, shard: usize, host: &dyn Host) -> Result<(), HostError> {
        let value = shared::read(host, &name(shard))?;
        if let Some((part, value)) = self.parts.get_mut(shard).zip(value) {
            part.take(value);
        }
        Ok(())
    }

    /// Makes room for as many keys as found none, within bounds: those go that were asked for least recently. What is known
    /// of them stays in shared data and is found there again.
    fn make_room(&mut self, now: Nanos) {
        let wanted = self.wanted.min(self.max_keys.div_ceil(ROOM));
        self.wanted = 0;
        if wanted == 0 {
            return;
        }
        let mut idle: Vec<(u64, Key)> = self.parts.iter().flat_map(|part| part.idle(second(now))).collect();
        idle.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in idle.into_iter().take(wanted) {
            if let Some(part) = self.parts.get_mut(key.shard()) {
                part.remove(key);
                self.count = self.count.saturating_sub(1);
            }
        }
    }
}

/// Changes the value of a shard by compare-and-swap; answers with what was written or, where nothing was to be, with what
/// was read. `None` where others were faster every time.
fn updated<T>(
    host: &dyn Host,
    shard: usize,
    mut change: impl FnMut(&[u8]) -> Option<Prepared<T>>,
) -> Result<Option<Prepared<T>>, HostError> {
    let mut prepared = None;
    let updated = shared::update(host, &name(shard), |value| {
        prepared = change(value);
        prepared.as_ref().and_then(Prepared::to_write)
    });
    match updated {
        Ok(()) => Ok(prepared),
        Err(UpdateError::Contended) => Ok(None),
        Err(error) => Err(host_error(error)),
    }
}

fn host_error(error: UpdateError) -> HostError {
    match error {
        UpdateError::Host(error) => error,
        UpdateError::Absent | UpdateError::Contended => {
            HostError { call: "proxy_get_shared_data", status: Status::NotFound }
        }
    }
}

/// The value of a key, created if need be.
fn created(host: &dyn Host, name: &str, initial: &[u8]) -> Result<Vec<u8>, HostError> {
    if let Some(value) = shared::read(host, name)? {
        return Ok(value);
    }
    shared::ensure(host, name, initial)?;
    Ok(initial.to_vec())
}

/// The name of the key that holds a shard.
pub(crate) fn name(shard: usize) -> String {
    shared::key("breaker", shard::VERSION, shard)
}
