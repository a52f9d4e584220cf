//! Where the holder of the session posts what came, for every VM of the proxy. Pure: from the values in force to the
//! next ones, which the caller writes by compare-and-swap.
//!
//! Two values. The *sheet* is a posting with its document; the *number* is that of the posting, so that a tick costs
//! the reading of a few bytes. A sheet names its own number, so nobody takes a document for another's: the number is
//! only a hint that there is something to read. The sheet is written first, so the hint never points to what is not
//! there yet.
//!
//! ```text
//! number:  version   1 byte: 1
//!          number    4 bytes
//! sheet:   version   1 byte: 1
//!          number    4 bytes
//!          term      4 bytes, of the lease; of a sheet that is kept, which board it is of
//!          revision  8 bytes
//!          at        8 bytes, nanoseconds since the Unix epoch
//!          kind      1 byte: 0 there is no document, 1 the rest is the document
//! ```
//!
//! Numbers are little-endian. No bytes at all are a board with nothing on it. A value of another version, or one that
//! nobody wrote, is left alone. The names of the keys hold the version as well, so that releases with other layouts have
//! boards of their own.

use crate::latest::bounded;
use crate::{DOCUMENT_LIMIT, Delivery};
use std::fmt;

/// The version of the layouts of lease, number, sheet and whatever else is kept under the names of a source: one for all. A
/// lease of another layout begins its terms anew, and a sheet that went on would take them for outdated; and a heartbeat of
/// one release says nothing of what another left on a board of another layout.
pub const VERSION: u8 = 1;
const NONE: u8 = 0;
const DOCUMENT: u8 = 1;

/// What came last.
#[derive(Clone, PartialEq, Eq)]
pub struct Posting {
    /// Another number is another posting. Never 0; after 2^32 - 1 it begins anew.
    pub number: u32,
    /// As in [`Delivery`].
    pub revision: u64,
    /// When it was posted, in nanoseconds since the Unix epoch.
    pub at: u64,
    /// As in [`Delivery`].
    pub document: Option<Vec<u8>>,
}

/// What is to be done to post something.
#[derive(Clone, PartialEq, Eq)]
pub enum Post {
    /// Write this sheet; then, by [`announce`], the number.
    Write {
        /// Of the posting: a new one, or that of the posting in force where it says the same in an earlier term.
        number: u32,
        /// The sheet. Where writing it fails, ask anew with the one in force.
        sheet: Vec<u8>,
    },
    /// It is there already, under this number. Announce it all the same: whoever wrote it may not have come to that.
    Same(u32),
    /// Somebody with a later term has posted: the lease is lost.
    Outdated,
    /// The sheet is not of this version.
    Foreign,
}

/// The number of the last posting: what to read on each tick. `None` where there is none, or none of this version.
pub fn number(value: &[u8]) -> Option<u32> {
    let (&VERSION, number) = value.split_first()? else { return None };
    number.try_into().ok().map(u32::from_le_bytes)
}

/// The last posting. `None` where there is none, or none of this version.
pub fn posting(sheet: &[u8]) -> Option<Posting> {
    let Sheet { number, revision, at, document, .. } = read(sheet)?;
    Some(Posting { number, revision, at, document: document.map(<[u8]>::to_vec) })
}

/// In which term the last posting was made, or said again. `None` where there is none, or none of this version.
pub fn term(sheet: &[u8]) -> Option<u32> {
    read(sheet).map(|sheet| sheet.term)
}

/// How to post `delivery` over `sheet` at `now`, for the holder of the lease in this term.
pub fn post(sheet: &[u8], term: u32, delivery: &Delivery, now: u64) -> Post {
    let next = |number| {
        let Delivery { revision, document } = delivery;
        write(Sheet { number, term, revision: *revision, at: now, document: document.as_deref().map(bounded) })
    };
    if sheet.is_empty() {
        return Post::Write { number: 1, sheet: next(1) };
    }
    let Some(last) = read(sheet) else { return Post::Foreign };
    if is_later(last.term, term) {
        return Post::Outdated;
    }
    // That there is no document has no revision of its own: it is that of whatever read found none.
    let is_same = last.document == delivery.document.as_deref().map(bounded)
        && (last.document.is_none() || last.revision == delivery.revision);
    match (is_same, last.term == term) {
        (true, true) => Post::Same(last.number),
        // So that the holder before us cannot post any more. It was told as of then, so the time stays.
        (true, false) => Post::Write { number: last.number, sheet: write(Sheet { term, ..last }) },
        (false, _) => {
            let number = last.number.checked_add(1).unwrap_or(1);
            Post::Write { number, sheet: next(number) }
        }
    }
}

/// The value that announces the posting of this number; `None` where it, or a later one, is announced. Unless it is
/// announced, nobody reads it.
pub fn announce(value: &[u8], announced: u32) -> Option<Vec<u8>> {
    let is_due = match (value, number(value)) {
        ([], _) => true,
        (_, Some(last)) => is_later(announced, last),
        _ => false,
    };
    is_due.then(|| [&[VERSION][..], &announced.to_le_bytes()].concat())
}

/// Without the document, which may hold secrets.
impl fmt::Debug for Posting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Posting { number, revision, at, document } = self;
        write!(f, "Posting({number}: ")?;
        match document {
            Some(document) => write!(f, "{} bytes", document.len())?,
            None => f.write_str("none")?,
        }
        write!(f, " at {revision}, posted at {at})")
    }
}

/// Without the document, which may hold secrets.
impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Post::Write { number, sheet } => write!(f, "Write({number}: {} bytes)", sheet.len()),
            Post::Same(number) => write!(f, "Same({number})"),
            Post::Outdated => f.write_str("Outdated"),
            Post::Foreign => f.write_str("Foreign"),
        }
    }
}

/// The sheet that keeps a posting beside the boards of one place, for who comes to know of it only when its board has
/// another, or has nothing yet; `None` where that one, or a later one, is kept, or where the sheet is of another version.
/// `board` tells boards apart.
pub fn keep(sheet: &[u8], board: u32, posting: &Posting) -> Option<Vec<u8>> {
    let Posting { number, revision, at, document } = posting;
    let is_due = sheet.is_empty()
        || read(sheet).is_some_and(|kept| match kept.term == board {
            true => is_later(*number, kept.number),
            // Each board has numbers of its own.
            false => *at >= kept.at,
        });
    let document = || document.as_deref().map(bounded);
    is_due.then(|| write(Sheet { number: *number, term: board, revision: *revision, at: *at, document: document() }))
}

/// What [`keep`] kept, and of which board it is.
pub fn kept(sheet: &[u8]) -> Option<(u32, Posting)> {
    Some((read(sheet)?.term, posting(sheet)?))
}

struct Sheet<'v> {
    number: u32,
    term: u32,
    revision: u64,
    at: u64,
    document: Option<&'v [u8]>,
}

fn write(sheet: Sheet<'_>) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.extend(sheet.number.to_le_bytes());
    value.extend(sheet.term.to_le_bytes());
    value.extend(sheet.revision.to_le_bytes());
    value.extend(sheet.at.to_le_bytes());
    value.push(if sheet.document.is_some() { DOCUMENT } else { NONE });
    value.extend(sheet.document.unwrap_or_default());
    value
}

fn read(value: &[u8]) -> Option<Sheet<'_>> {
    let (&VERSION, rest) = value.split_first()? else { return None };
    let (number, rest) = rest.split_first_chunk()?;
    let (term, rest) = rest.split_first_chunk()?;
    let (revision, rest) = rest.split_first_chunk()?;
    let (at, rest) = rest.split_first_chunk()?;
    let document = match rest.split_first()? {
        (&NONE, []) => None,
        (&DOCUMENT, document) if document.len() <= DOCUMENT_LIMIT.saturating_add(1) => Some(document),
        _ => return None,
    };
    let number = Some(u32::from_le_bytes(*number)).filter(|number| *number != 0)?;
    let (term, revision, at) = (u32::from_le_bytes(*term), u64::from_le_bytes(*revision), u64::from_le_bytes(*at));
    Some(Sheet { number, term, revision, at, document })
}

/// Whether one number comes after the other, also where they began anew in between.
fn is_later(one: u32, other: u32) -> bool {
    one != other && one.wrapping_sub(other) < 1 << 31
}

#[cfg(test)]
mod tests;
