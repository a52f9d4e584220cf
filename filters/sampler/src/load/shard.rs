//! What all workers have counted of some of the keys: one value in shared data, and how counts are merged into it.
//!
//! ```text
//! version      1 byte      1
//! since        8 bytes     when watching began; nanoseconds since the Unix epoch
//! entries, each:
//!   key        8 bytes
//!   window     2 bytes     seconds, as the last one had it who counted a request
//!   newest     4 bytes     the second of the last slot
//!   length     2 bytes     of the slots that follow, in bytes
//!   slots, oldest first, each of three numbers in base 128, least significant first (LEB128):
//!     seconds after the slot ahead of it (for the first: before the newest), requests, errors
//! ```
//!
//! All numbers of fixed width are little-endian. Values outlive the module that wrote them, and while a proxy drains two
//! releases share them: a release that changes the format changes the version. The names of its keys are others then, and
//! what has another version under these is left alone.

use super::clock::{Moment, Nanos};
use super::key::Key;
use super::slots::{Second, Slot, Slots};

pub(crate) const VERSION: u8 = 1;

/// The most entries of a value, and its greatest length in bytes. Keys with a name do not get the last of either, so that
/// a flood of names leaves room for what has none.
const ENTRIES: Bound = Bound { all: 96, named: 80 };
const BYTES: Bound = Bound { all: 128 * 1024, named: 96 * 1024 };

/// Of an entry without its slots.
const ENTRY_HEADER: usize = 8 + 2 + 4 + 2;

/// The header of a value and an entry with one slot.
const LONGEST_NEW: usize = 1 + 8 + ENTRY_HEADER + 1 + 5 + 5;

struct Bound {
    all: usize,
    named: usize,
}

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Another release wrote it; it is to be left alone.
    Version,
    /// Nobody wrote it.
    Malformed,
}

/// A value, read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard<'a> {
    /// When watching began.
    pub(crate) since: Nanos,
    entries: &'a [u8],
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    key: u64,
    window: u16,
    newest: Second,
    slots: &'a [u8],
}

/// What a worker has counted of a key since it last merged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delta<'a> {
    pub(crate) key: Key,
    pub(crate) window: u16,
    pub(crate) counts: &'a Slots,
}

/// A value with a worker's counts in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    pub(crate) bytes: Vec<u8>,
    /// The keys for which there was no room.
    pub(crate) refused: Vec<Key>,
}

/// The value of a shard in which nothing was counted yet.
pub(crate) fn empty(since: Nanos) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(since.to_le_bytes());
    bytes
}

impl<'a> Shard<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Shard<'a>, Unreadable> {
        let (version, rest) = bytes.split_first().ok_or(Unreadable::Malformed)?;
        if *version != VERSION {
            return Err(Unreadable::Version);
        }
        let (since, entries) = rest.split_first_chunk().ok_or(Unreadable::Malformed)?;
        let shard = Shard { since: Nanos::from_le_bytes(*since), entries };
        let read: usize = shard.entries().map(Entry::len).sum();
        if read == entries.len() { Ok(shard) } else { Err(Unreadable::Malformed) }
    }

    /// Ends early where the bytes are not what they should be.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let mut rest = self.entries;
        std::iter::from_fn(move || {
            let (entry, after) = Entry::read(rest)?;
            rest = after;
            Some(entry)
        })
    }

    pub(crate) fn entry(&self, key: Key) -> Option<Entry<'a>> {
        self.entries().find(|entry| entry.key == key.hash)
    }

    /// Whether there is room for another name.
    pub(crate) fn has_room(&self, moment: &Moment) -> bool {
        let alive = self.entries().filter(|entry| entry.is_alive(moment));
        let (entries, bytes) = alive.fold((0_usize, LONGEST_NEW), |(entries, bytes), entry| {
            (entries.saturating_add(1), bytes.saturating_add(entry.len()))
        });
        entries < ENTRIES.named && bytes <= BYTES.named
    }

    /// The value with these counts in it, and without what has become too old.
    pub(crate) fn merge(&self, deltas: &[Delta<'_>], moment: &Moment) -> Merged {
        let mut merged = Merged { bytes: empty(self.since), refused: Vec::new() };
        let mut entries: usize = 0;
        // Those that have counts to come are written with them.
        let others = self.entries().filter(|entry| deltas.iter().all(|delta| delta.key.hash != entry.key));
        for entry in others.filter(|entry| entry.is_alive(moment)).take(ENTRIES.all) {
            if merged.bytes.len().saturating_add(entry.len()) <= BYTES.all {
                entry.write(&mut merged.bytes);
                entries = entries.saturating_add(1);
            }
        }
        let mut slots = Vec::new();
        // What has room keeps it before others get some.
        let (known, new): (Vec<_>, Vec<_>) =
            deltas.iter().map(|delta| (delta, self.entry(delta.key))).partition(|(_, known)| known.is_some());
        for (delta, known) in known.into_iter().chain(new) {
            let mut counts: Slots = Slots::default();
            known.iter().flat_map(Entry::slots).for_each(|slot| counts.add(slot));
            counts.add_all(delta.counts);
            // A policy that is on its way out may still see errors of its last requests: the length is not its business.
            let window = known.filter(|_| delta.counts.requests() == 0).map_or(delta.window, |entry| entry.window);
            counts.keep(moment.second().saturating_sub(window.into()).saturating_add(1), moment.last());
            let Some(newest) = counts.newest() else { continue };
            slots.clear();
            write_slots(&counts, newest, &mut slots);
            let size = merged.bytes.len().saturating_add(ENTRY_HEADER).saturating_add(slots.len());
            if entries < ENTRIES.of(delta.key) && size <= BYTES.of(delta.key) {
                entries = entries.saturating_add(1);
                Entry { key: delta.key.hash, window, newest, slots: &slots }.write(&mut merged.bytes);
            } else {
                merged.refused.push(delta.key);
            }
        }
        merged
    }
}

impl Bound {
    fn of(&self, key: Key) -> usize {
        if key.named { self.named } else { self.all }
    }
}

impl<'a> Entry<'a> {
    fn read(bytes: &'a [u8]) -> Option<(Entry<'a>, &'a [u8])> {
        let (key, rest) = bytes.split_first_chunk()?;
        let (window, rest) = rest.split_first_chunk()?;
        let (newest, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (slots, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        let entry = Entry {
            key: u64::from_le_bytes(*key),
            window: u16::from_le_bytes(*window),
            newest: Second::from_le_bytes(*newest),
            slots,
        };
        Some((entry, rest))
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        // The longest window has 601 slots of at most 12 bytes; what is longer than 2^16 nobody wrote.
        let Ok(length) = u16::try_from(self.slots.len()) else { return };
        bytes.extend(self.key.to_le_bytes());
        bytes.extend(self.window.to_le_bytes());
        bytes.extend(self.newest.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(self.slots);
    }

    fn len(self) -> usize {
        ENTRY_HEADER.saturating_add(self.slots.len())
    }

    /// Whether anything of it still lies in a window that ends now.
    fn is_alive(&self, moment: &Moment) -> bool {
        self.newest.saturating_add(self.window.into()) > moment.second() && self.newest <= moment.last()
    }

    /// Oldest first; ends early where the bytes are not what they should be.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + use<'a> {
        let mut rest = self.slots;
        let mut ahead = None;
        let newest = self.newest;
        std::iter::from_fn(move || {
            let distance = read_number(&mut rest)?;
            let second = match ahead {
                None => newest.checked_sub(distance)?,
                Some(ahead) => distance.checked_add(ahead).filter(|second| *second <= newest)?,
            };
            ahead = Some(second);
            Some(Slot { second, requests: read_number(&mut rest)?, errors: read_number(&mut rest)? })
        })
    }
}

fn write_slots(counts: &Slots, newest: Second, bytes: &mut Vec<u8>) {
    let mut ahead = None;
    for slot in counts.iter() {
        let distance = match ahead {
            None => newest.saturating_sub(slot.second),
            Some(ahead) => slot.second.saturating_sub(ahead),
        };
        write_number(distance, bytes);
        write_number(slot.requests, bytes);
        write_number(slot.errors, bytes);
        ahead = Some(slot.second);
    }
}

fn write_number(mut number: u32, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_number(bytes: &mut &[u8]) -> Option<u32> {
    let mut number: u32 = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u32::from(byte & 0x7f);
        number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests;
