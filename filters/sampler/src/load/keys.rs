//! The keys that this worker counts by, and their bound.

use super::clock::{Moment, Nanos};
use super::formula::Rates;
use super::key::Key;
use super::shard::{self, Delta, Merged, Shard};
use super::slots::{Second, Slot, Slots};
use super::window::Window;

/// A key that was not asked for in so many seconds makes room, where others want it.
const IDLE: Second = 10;

/// About so many keys are merged in one tick: a few milliseconds with the longest windows.
const MERGED_AT_ONCE: usize = 256;

/// All places there are.
pub(crate) struct Keys {
    parts: Vec<Part>,
    /// How many places belong to names, and how many may.
    named: usize,
    max_named: usize,
    /// A name found no room, and none was made since.
    wanted: bool,
}

/// The places of a shard, and its value when it was last read or written.
pub(crate) struct Part {
    value: Vec<u8>,
    /// The keys of the places, apart from them because they are searched on every request.
    hashes: Vec<u64>,
    places: Vec<Place>,
    /// There is something to merge.
    dirty: bool,
    /// When the value was last read or written; 0 where a new place is waiting for that.
    current: Nanos,
    /// The shortest window of all places there were.
    window: u16,
    /// There is no room in the value for another name.
    full: bool,
}

/// The counts of a key.
pub(crate) struct Place {
    key: Key,
    /// Of the key without a name, which takes over what finds no room.
    fallback: Key,
    last_used: Second,
    /// What all workers have counted, as far as we know.
    seen: Window,
    /// What of it only we know.
    unmerged: Slots,
}

impl Keys {
    pub(crate) fn new(values: Vec<Vec<u8>>, max_named: usize) -> Keys {
        let part = |value| Part {
            value,
            hashes: Vec::new(),
            places: Vec::new(),
            dirty: false,
            current: 0,
            window: u16::MAX,
            full: false,
        };
        Keys { parts: values.into_iter().map(part).collect(), named: 0, max_named, wanted: false }
    }

    /// Counts so many requests, and answers with what the window says then; `None` where there is no room for another
    /// name. `fallback` is the key of the same class without a name.
    pub(crate) fn count(
        &mut self,
        requests: u32,
        key: Key,
        fallback: Key,
        window: u16,
        moment: &Moment,
    ) -> Option<Rates> {
        self.place(key, fallback, window, moment).map(|place| place.count(requests, moment))
    }

    /// The place of a key, which is about to change. A new one begins with what is known of its key.
    fn place(&mut self, key: Key, fallback: Key, window: u16, moment: &Moment) -> Option<&mut Place> {
        let part = self.parts.get_mut(key.shard())?;
        let at = match part.position(key.hash) {
            Some(at) => at,
            None => {
                if key.named {
                    if self.named >= self.max_named || (part.full && !part.knows(key)) {
                        self.wanted = true;
                        return None;
                    }
                    self.named = self.named.saturating_add(1);
                }
                part.add(Place::new(key, fallback, window), moment)
            }
        };
        part.dirty = true;
        part.places.get_mut(at)
    }

    /// A request of that second failed. Nothing happens where its key has made room or the second has left the window.
    pub(crate) fn fail(&mut self, key: Key, second: Second) {
        let Some(part) = self.parts.get_mut(key.shard()) else { return };
        let Some(place) = part.position(key.hash).and_then(|at| part.places.get_mut(at)) else { return };
        part.dirty |= place.fail(second);
    }

    /// The places of a rule.
    pub(crate) fn of_rule(&mut self, fallback: Key) -> impl Iterator<Item = &mut Place> {
        let places = self.parts.iter_mut().flat_map(|part| &mut part.places);
        places.filter(move |place| place.fallback == fallback)
    }

    /// How many places belong to names.
    pub(crate) fn named(&self) -> usize {
        self.named
    }

    /// How many seconds of all keys are yet to be merged.
    #[cfg(test)]
    pub(crate) fn unmerged(&self) -> usize {
        self.parts.iter().flat_map(|part| &part.places).map(|place| place.unmerged.iter().count()).sum()
    }

    /// How many places each shard has.
    #[cfg(test)]
    pub(crate) fn of_shards(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().map(|part| part.places.len())
    }

    /// The requests and errors that the window of a key holds.
    #[cfg(test)]
    pub(crate) fn of_name(&mut self, key: Key, moment: &Moment) -> Option<(u64, u64)> {
        let place = self.parts.iter_mut().flat_map(|part| &mut part.places).find(|place| place.key == key)?;
        place.seen.slide(moment);
        Some((place.seen.slots().requests(), place.seen.slots().errors()))
    }

    /// The shards that have something to merge, and whose time it is.
    ///
    /// What a window covers decides how often: the longer it is, the more there is to copy, and the less does it matter what
    /// others counted in the last moment. A new place does not wait, because nothing is known of its key.
    ///
    /// Not all that are due at once: a tick holds up the requests of its worker. The others are due on the next, and then
    /// come first.
    pub(crate) fn to_merge(&self, moment: &Moment) -> Vec<usize> {
        let mut due = self.due(moment, |part| part.dirty);
        let places = |shard: &usize| self.parts.get(*shard).map_or(0, |part| part.places.len());
        due.sort_by_key(|shard| self.parts.get(*shard).map_or(0, |part| part.current));
        let mut merged: usize = 0;
        due.into_iter()
            .take_while(|shard| {
                let is_first = merged == 0;
                merged = merged.saturating_add(places(shard));
                is_first || merged <= MERGED_AT_ONCE
            })
            .collect()
    }

    /// Those that have nothing to merge, but the place of a whole class: what others count there is wanted as often.
    pub(crate) fn to_read(&self, moment: &Moment) -> Vec<usize> {
        self.due(moment, |part| !part.dirty && part.places.iter().any(|place| !place.key.named))
    }

    fn due(&self, moment: &Moment, of: impl Fn(&Part) -> bool) -> Vec<usize> {
        let due = |part: &Part| moment.is_due(part.current, part.window.into()) && of(part);
        (0..).zip(&self.parts).filter(|(_, part)| due(part)).map(|(shard, _)| shard).collect()
    }

    pub(crate) fn is_dirty(&self, shard: usize) -> bool {
        self.parts.get(shard).is_some_and(|part| part.dirty)
    }

    /// The value of a shard with our counts in it; `None` to leave it as it is.
    pub(crate) fn merge(&self, shard: usize, value: &[u8], moment: &Moment) -> Option<Merged> {
        let part = self.parts.get(shard)?;
        let fresh = shard::empty(moment.since());
        let value = match Shard::read(value) {
            Ok(value) => value,
            Err(shard::Unreadable::Malformed) => Shard::read(&fresh).ok()?,
            Err(shard::Unreadable::Version) => return None,
        };
        let changed = part.places.iter().filter(|place| !place.unmerged.is_empty());
        let deltas: Vec<Delta<'_>> = changed
            .map(|place| Delta { key: place.key, window: place.seen.seconds(), counts: &place.unmerged })
            .collect();
        Some(value.merge(&deltas, moment))
    }

    /// Our counts are in the value of a shard now.
    pub(crate) fn merged(&mut self, shard: usize, merged: Merged, moment: &Moment) {
        let Some(part) = self.parts.get_mut(shard) else { return };
        let mut refused = Vec::new();
        for key in &merged.refused {
            if key.named
                && let Some(place) = part.take(key.hash)
            {
                self.named = self.named.saturating_sub(1);
                refused.push(place);
            }
        }
        for place in part.places.iter_mut().filter(|place| !merged.refused.contains(&place.key)) {
            place.unmerged.clear();
        }
        part.dirty = false;
        part.current = moment.now();
        part.refill(merged.bytes, moment);
        for Place { fallback, seen, unmerged, .. } in refused {
            if let Some(place) = self.place(fallback, fallback, seen.seconds(), moment) {
                place.seen.add_all(&unmerged);
                place.unmerged.add_all(&unmerged);
            }
        }
    }

    /// The value of a shard is this now, and what we did not merge yet is not in it.
    pub(crate) fn read(&mut self, shard: usize, value: Vec<u8>, moment: &Moment) {
        if let Some(part) = self.parts.get_mut(shard) {
            part.dirty = false;
            part.current = moment.now();
            part.refill(value, moment);
        }
    }

    /// Makes room: places whose windows are empty go, and where others want one, all that nobody asked for lately. What
    /// was counted for them stays in shared data and is found there again.
    pub(crate) fn make_room(&mut self, moment: &Moment) {
        let wanted = self.wanted;
        for part in &mut self.parts {
            let mut at = 0;
            while let Some(place) = part.places.get_mut(at) {
                place.seen.slide(moment);
                place.unmerged.keep(moment.first(place.seen.seconds().into()), moment.last());
                let idle = wanted && place.last_used.saturating_add(IDLE) <= moment.second();
                if place.unmerged.is_empty() && (place.seen.slots().is_empty() || idle) {
                    self.named = self.named.saturating_sub(usize::from(place.key.named));
                    self.wanted &= !place.key.named;
                    part.remove(at);
                } else {
                    at = at.saturating_add(1);
                }
            }
        }
    }
}

impl Part {
    fn position(&self, hash: u64) -> Option<usize> {
        self.hashes.iter().position(|known| *known == hash)
    }

    /// Whether the value has an entry of this key.
    fn knows(&self, key: Key) -> bool {
        Shard::read(&self.value).is_ok_and(|shard| shard.entry(key).is_some())
    }

    fn add(&mut self, mut place: Place, moment: &Moment) -> usize {
        place.refill(&self.value, moment);
        self.current = 0;
        self.window = self.window.min(place.seen.seconds());
        self.hashes.push(place.key.hash);
        self.places.push(place);
        self.places.len().saturating_sub(1)
    }

    fn remove(&mut self, at: usize) -> Option<Place> {
        if at >= self.places.len() {
            return None;
        }
        self.hashes.swap_remove(at);
        Some(self.places.swap_remove(at))
    }

    fn take(&mut self, hash: u64) -> Option<Place> {
        self.remove(self.position(hash)?)
    }

    fn refill(&mut self, value: Vec<u8>, moment: &Moment) {
        self.value = value;
        self.full = Shard::read(&self.value).is_ok_and(|shard| !shard.has_room(moment));
        for place in &mut self.places {
            place.refill(&self.value, moment);
        }
    }
}

impl Place {
    fn new(key: Key, fallback: Key, window: u16) -> Place {
        Place { key, fallback, last_used: 0, seen: Window::new(window), unmerged: Slots::default() }
    }

    /// What the window says now.
    pub(crate) fn rates(&mut self, moment: &Moment) -> Rates {
        self.seen.slide(moment);
        self.seen.rates(moment)
    }

    fn count(&mut self, requests: u32, moment: &Moment) -> Rates {
        self.last_used = moment.second();
        self.unmerged.add(Slot { second: moment.second(), requests, errors: 0 });
        self.seen.slide(moment);
        self.seen.count(requests, moment);
        self.seen.rates(moment)
    }

    fn fail(&mut self, second: Second) -> bool {
        let known = self.seen.fail(second);
        if known {
            self.unmerged.add(Slot { second, requests: 0, errors: 1 });
        }
        known
    }

    /// Sees what the value of the shard tells, and what only we know.
    fn refill(&mut self, value: &[u8], moment: &Moment) {
        let entry = Shard::read(value).ok().and_then(|shard| shard.entry(self.key));
        let slots = entry.iter().flat_map(shard::Entry::slots);
        self.seen.refill(slots, &self.unmerged, moment);
    }
}
