//! The places of a shard, and its value as this worker last saw it.

use crate::key::Key;
use crate::merge::{self, Claimed, Delta, Foreign, Merged};
use crate::moment::{Moment, Nanos, Second};
use crate::place::{Place, Subject};
use crate::probe::Stage;
use crate::settings::Settings;
use crate::shard::{self, Shard, Unreadable};
use crate::state::State;
use std::rc::Rc;

/// A shard, from a worker's side.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Part {
    /// Where another release has the shard, this is ours alone: we go on without the other workers.
    value: Vec<u8>,
    /// The keys of the places, apart from them because they are searched on every request.
    keys: Vec<Key>,
    places: Vec<Place>,
    /// There is something to merge.
    pub(crate) is_dirty: bool,
    /// A trial has ended, and that is not merged yet.
    pub(crate) has_verdict: bool,
    /// The others ought to hear of what we did here.
    pub(crate) has_news: bool,
    /// How many places are not closed.
    unsettled: usize,
}

/// A change that is to be written and then noted.
#[derive(Debug)]
pub(crate) struct Prepared<T> {
    /// The value that is in force then.
    value: Vec<u8>,
    /// The value was made of ours, because what lies in shared data is not for us to change.
    is_ours: bool,
    /// It is another one than before.
    is_changed: bool,
    pub(crate) what: T,
}

impl<T> Prepared<T> {
    /// What is to be written to shared data; `None` to leave it as it is.
    pub(crate) fn to_write(&self) -> Option<Vec<u8>> {
        (self.is_changed && !self.is_ours).then(|| self.value.clone())
    }
}

impl Part {
    pub(crate) fn new(value: Vec<u8>, now: Nanos) -> Part {
        let mut part = Part {
            value: shard::empty(now),
            keys: Vec::new(),
            places: Vec::new(),
            is_dirty: false,
            has_verdict: false,
            has_news: false,
            unsettled: 0,
        };
        part.take(value);
        part
    }

    /// The place of a key.
    pub(crate) fn place(&mut self, key: Key) -> Option<&mut Place> {
        let at = self.keys.iter().position(|known| *known == key)?;
        self.places.get_mut(at)
    }

    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// A new place, which begins with what is known of its key.
    pub(crate) fn add(&mut self, subject: Rc<Subject>) -> Option<&mut Place> {
        let mut place = Place::new(subject);
        place.look(Shard::read(&self.value).ok().as_ref());
        self.unsettled = self.unsettled.saturating_add((place.state() != State::Closed).into());
        self.keys.push(place.subject.key);
        self.places.push(place);
        self.places.last_mut()
    }

    /// The shard as this worker knows it.
    pub(crate) fn shard(&self) -> Option<Shard<'_>> {
        Shard::read(&self.value).ok()
    }

    /// Whether there is anything to merge now.
    pub(crate) fn is_due(&self, now: Nanos) -> bool {
        self.is_dirty || (self.unsettled > 0 && self.places.iter().any(|place| place.is_due(now)))
    }

    /// The value of the shard with what this worker has to say in it.
    pub(crate) fn prepare_merge(&self, value: &[u8], moment: Moment) -> Option<Prepared<Merged>> {
        let merge = |value: &[u8]| {
            let has_say = |place: &&Place| !place.pending.is_empty() || place.is_due(moment.now);
            let deltas = self.places.iter().filter(has_say).map(|place| Delta {
                key: place.subject.key,
                settings: place.settings(),
                pending: &place.pending,
                in_force: place.in_force,
            });
            merge::merge(value, deltas, moment)
        };
        self.prepare(value, merge, |merged| merged.value.take())
    }

    /// The value of the shard with a slot taken for a trial.
    pub(crate) fn prepare_claim(
        &self,
        value: &[u8],
        key: Key,
        stage: Stage,
        settings: &Settings,
        now: Nanos,
    ) -> Option<Prepared<Claimed>> {
        self.prepare(value, |value| merge::claim(value, key, stage, settings, now), |claimed| claimed.value.take())
    }

    fn prepare<T>(
        &self,
        value: &[u8],
        change: impl Fn(&[u8]) -> Result<T, Foreign>,
        next: impl Fn(&mut T) -> Option<Vec<u8>>,
    ) -> Option<Prepared<T>> {
        let (mut what, value, is_ours) = match change(value) {
            Ok(what) => (what, value, false),
            Err(Foreign) => (change(&self.value).ok()?, &self.value[..], true),
        };
        let changed = next(&mut what);
        let is_changed = changed.is_some();
        Some(Prepared { value: changed.unwrap_or_else(|| value.to_vec()), is_ours, is_changed, what })
    }

    /// What this worker had to say is in the value of the shard now.
    pub(crate) fn merged(&mut self, prepared: Prepared<Merged>) -> Merged {
        for place in self.places.iter_mut().filter(|place| !place.pending.is_empty()) {
            place.pending.clear();
            place.in_force = false;
        }
        self.is_dirty = false;
        self.has_verdict = false;
        self.has_news |= prepared.what.is_news;
        self.take(prepared.value);
        prepared.what
    }

    /// The slot is taken, or none was to be had.
    pub(crate) fn claimed(&mut self, prepared: Prepared<Claimed>) -> Claimed {
        self.has_news |= prepared.what.change.is_some();
        self.take(prepared.value);
        prepared.what
    }

    /// The value of the shard is this now. What another release wrote is not for us.
    pub(crate) fn take(&mut self, value: Vec<u8>) {
        match Shard::read(&value) {
            Err(Unreadable::Version) => return,
            Err(Unreadable::Malformed) | Ok(_) => self.value = value,
        }
        let shard = Shard::read(&self.value).ok();
        let mut unsettled: usize = 0;
        for place in &mut self.places {
            place.look(shard.as_ref());
            unsettled = unsettled.saturating_add((place.state() != State::Closed).into());
        }
        self.unsettled = unsettled;
    }

    /// The places that may make room, and the numbers of their last requests: they are closed, or so long forgotten that
    /// they might as well be.
    pub(crate) fn idle(&self, now: Second) -> impl Iterator<Item = (u64, Key)> {
        let shard = self.shard();
        let goes = move |place: &&Place| {
            let is_forgotten = || shard.as_ref().is_some_and(|shard| shard.is_forgotten(place.subject.key, now));
            place.pending.is_empty() && (place.state() == State::Closed || is_forgotten())
        };
        self.places.iter().filter(goes).map(|place| (place.used, place.subject.key))
    }

    pub(crate) fn remove(&mut self, key: Key) {
        if let Some(at) = self.keys.iter().position(|known| *known == key) {
            self.keys.swap_remove(at);
            let gone = self.places.swap_remove(at);
            self.unsettled = self.unsettled.saturating_sub((gone.state() != State::Closed).into());
        }
    }
}
