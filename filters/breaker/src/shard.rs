//! Some of the breakers of all workers: one value in shared data.
//!
//! ```text
//! version      1 byte      1
//! epochs       8 bytes     the number of the last epoch that began here
//! entries, each:
//!   key        8 bytes
//!   used       4 bytes     the second in which it last changed by what requests did
//!   keep       4 bytes     for how many seconds after that it is worth keeping
//!   state      1 byte      1 where it is open or half-open
//!   length     2 bytes     of what follows: the breaker (`record.rs`)
//! ```
//!
//! All numbers of fixed width are little-endian. Values outlive the module that wrote them, and while a proxy drains two
//! releases share them: a release that changes the format, here or in `record.rs`, changes the version. The names of its
//! keys are others then, and what has another version under these is left alone.

use crate::key::Key;
use crate::moment::{NANOS_PER_SECOND, Nanos, Second, last_second};
use crate::record;
use crate::settings::{Settings, Span};
use crate::state::{Epoch, Machine, Phase, State, UNKNOWN};
use std::borrow::Cow;

pub(crate) const VERSION: u8 = 1;

/// The most entries that are written into a value; with the longest windows some 170 KB, ordinarily less than a twentieth
/// of that.
pub(crate) const ENTRIES: usize = 64;

/// A breaker that is not closed is kept for so long though no request comes, and so are calls that count however old they
/// are, by number or as failures in a row: an hour, in seconds.
const FORGOTTEN: u32 = 3_600;

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Another release wrote it; it is to be left alone.
    Version,
    /// Nobody wrote it.
    Malformed,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shard<'a> {
    /// The number of the last epoch that began. It begins with the time, so that numbers do not come again where a value
    /// had to be begun anew.
    pub(crate) epochs: Epoch,
    entries: Vec<Entry<'a>>,
}

/// A breaker in it, and for how long it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    key: Key,
    used: Second,
    keep: u32,
    is_closed: bool,
    record: Cow<'a, [u8]>,
}

/// The value of a shard of which nothing is known yet.
pub(crate) fn empty(now: Nanos) -> Vec<u8> {
    Shard { epochs: now, entries: Vec::new() }.bytes()
}

impl<'a> Shard<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Shard<'a>, Unreadable> {
        let (version, rest) = bytes.split_first().ok_or(Unreadable::Malformed)?;
        if *version != VERSION {
            return Err(Unreadable::Version);
        }
        let (epochs, mut rest) = rest.split_first_chunk().ok_or(Unreadable::Malformed)?;
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let (entry, after) = Entry::read(rest).ok_or(Unreadable::Malformed)?;
            entries.push(entry);
            rest = after;
        }
        Ok(Shard { epochs: Epoch::from_le_bytes(*epochs), entries })
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(self.epochs.to_le_bytes());
        self.entries.iter().for_each(|entry| entry.write(&mut bytes));
        bytes
    }

    /// What is known of a breaker; nothing also where nobody wrote its record, unless it was not closed.
    pub(crate) fn machine(&self, key: Key) -> Option<Machine> {
        self.entries.iter().find(|entry| entry.key == key).and_then(|entry| self.machine_of(entry))
    }

    /// Where the record cannot be read of one that was not closed, it counts as opened when it last changed: what it kept
    /// back is not let through all at once, and after an open time it is probed, and has a record again.
    fn machine_of(&self, entry: &Entry<'_>) -> Option<Machine> {
        record::machine(&entry.record).or_else(|| {
            let since = Nanos::from(entry.used).saturating_mul(NANOS_PER_SECOND);
            let open = Phase::Open { since, reopened: 0, draw: 0 };
            (!entry.is_closed).then_some(Machine { epoch: self.epochs, phase: open })
        })
    }

    /// The breakers that are open or half-open.
    pub(crate) fn unsettled(&self) -> impl Iterator<Item = (Key, State)> {
        let open = self.entries.iter().filter(|entry| !entry.is_closed);
        open.filter_map(|entry| Some((entry.key, self.machine_of(entry)?.state())))
    }

    /// Puts a breaker in that was used now. `false` where there is no room for another one: all others are open or
    /// half-open, or were used as lately.
    pub(crate) fn put(&mut self, key: Key, machine: &Machine, settings: &Settings, now: Second) -> bool {
        let entry = Entry {
            key,
            used: now,
            keep: keep(machine, settings),
            is_closed: matches!(machine.phase, Phase::Closed { .. }),
            record: record::bytes(machine).into(),
        };
        if let Some(known) = self.entries.iter_mut().find(|entry| entry.key == key) {
            *known = entry;
            return true;
        }
        let has_room = self.entries.len() < ENTRIES || self.make_room(now);
        if has_room {
            self.entries.push(entry);
        }
        has_room
    }

    /// Whether nobody has come to a breaker for so long that it may make room, though it is not closed.
    pub(crate) fn is_forgotten(&self, key: Key, now: Second) -> bool {
        self.entries.iter().any(|entry| entry.key == key && !entry.is_worth_keeping(now))
    }

    /// Forgets the closed breakers whose windows have run empty.
    pub(crate) fn forget(&mut self, now: Second) {
        self.entries.retain(|entry| !entry.is_closed || entry.is_worth_keeping(now));
    }

    /// Makes room for one: the closed one that was used least recently goes, else one that was open for so long, and nobody
    /// came, that it is forgotten.
    fn make_room(&mut self, now: Second) -> bool {
        let goes = |entry: &Entry<'_>| {
            if entry.is_closed { entry.used_before(now) } else { !entry.is_worth_keeping(now) }
        };
        let candidates = (0..).zip(&self.entries).filter(|(_, entry)| goes(entry));
        let least = candidates.min_by_key(|(_, entry)| (!entry.is_closed, entry.used)).map(|(at, _)| at);
        let Some(least) = least else { return false };
        self.entries.swap_remove(least);
        true
    }
}

impl<'a> Entry<'a> {
    fn read(bytes: &'a [u8]) -> Option<(Entry<'a>, &'a [u8])> {
        let (key, rest) = bytes.split_first_chunk()?;
        let (used, rest) = rest.split_first_chunk()?;
        let (keep, rest) = rest.split_first_chunk()?;
        let (state, rest) = rest.split_first()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (record, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        let entry = Entry {
            key: Key::from_hash(u64::from_le_bytes(*key)),
            used: Second::from_le_bytes(*used),
            keep: u32::from_le_bytes(*keep),
            is_closed: *state == 0,
            record: record.into(),
        };
        Some((entry, rest))
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        // The longest record has 128 slots of at most 20 bytes; what is longer than 2^16 nobody wrote.
        let Ok(length) = u16::try_from(self.record.len()) else { return };
        bytes.extend(self.key.hash().to_le_bytes());
        bytes.extend(self.used.to_le_bytes());
        bytes.extend(self.keep.to_le_bytes());
        bytes.push((!self.is_closed).into());
        bytes.extend(length.to_le_bytes());
        bytes.extend(self.record.as_ref());
    }

    /// What was used in the future was used before the clock was set back, which may be long ago.
    fn used_before(&self, now: Second) -> bool {
        self.used < now || self.used > last_second(now)
    }

    /// Not where it was used longer ago than it is to be kept; nor where that lies as far ahead, since the clock was set
    /// back.
    fn is_worth_keeping(&self, now: Second) -> bool {
        self.used.abs_diff(now) < self.keep
    }
}

/// For how many seconds a breaker is worth keeping that is not used.
fn keep(machine: &Machine, settings: &Settings) -> u32 {
    match &machine.phase {
        Phase::Closed { window, failures } => match window.span() {
            // One that was open is remembered, or else what was under way when it opened would be taken for new.
            Span::Seconds(seconds) if *failures == 0 && machine.epoch == UNKNOWN => seconds.into(),
            _ => FORGOTTEN,
        },
        Phase::Open { reopened, draw, .. } => {
            let open = settings.open_time(*reopened, *draw).div_ceil(NANOS_PER_SECOND);
            FORGOTTEN.saturating_add(u32::try_from(open).unwrap_or(u32::MAX))
        }
        Phase::HalfOpen { .. } => FORGOTTEN,
    }
}

#[cfg(test)]
mod layout;
