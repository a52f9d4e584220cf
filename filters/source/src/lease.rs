//! Which of a proxy's VMs holds the session: a value in shared data that only one of them has, as long as it says so
//! every now and then. Pure: from the value in force to the next one, which the caller writes by compare-and-swap.
//!
//! Two may believe for a moment that they hold it: the one that was stalled for so long that it was taken over, until
//! it looks again. So every hand-over raises the term, and the [board](crate::board) takes nothing from an earlier term
//! once it has something from a later one.
//!
//! ```text
//! version   1 byte: 1
//! term      4 bytes
//! holder    8 bytes, and
//! beat      8 bytes, nanoseconds since the Unix epoch: both absent where it was released
//! ```
//!
//! The version is that of the board. Numbers are little-endian. No bytes at all are a lease that nobody ever had. A value of
//! another version is left alone: another release wrote it, which runs beside ours while one of the two drains. It ought not
//! to be here, for the name of the key holds the version as well.

use crate::board::VERSION;
use crate::moment::Nanos;

/// How often the holder says that it is there, in nanoseconds: 500 ms.
pub const HEARTBEAT: u64 = 500_000_000;

/// After its last heartbeat a holder has the lease for so long, in nanoseconds: 2 s.
pub const TERM: u64 = 2_000_000_000;

/// What a value says to one of the VMs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is ours.
    Held {
        /// For [`crate::board::post`].
        term: u32,
    },
    /// It is ours, and a heartbeat is due.
    Renew {
        /// As in [`Claim::Held`].
        term: u32,
        /// The value to be written. Where that fails, look again.
        next: Vec<u8>,
    },
    /// It is nobody's: whoever writes this first has it.
    Take {
        /// As in [`Claim::Held`], once the value is written.
        term: u32,
        /// The value to be written. Where that fails, it is another's.
        next: Vec<u8>,
    },
    /// It is another's.
    Others,
    /// It is not of this version.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lease {
    term: u32,
    holder: Option<Holder>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holder {
    number: u64,
    beat: Nanos,
}

/// What `value` says to the VM with the number `me`, which no other has, at `now`, in nanoseconds since the Unix epoch.
pub fn claim(value: &[u8], me: u64, now: u64) -> Claim {
    let Some(Lease { term, holder }) = read(value) else { return Claim::Foreign };
    let next = |term| write(Lease { term, holder: Some(Holder { number: me, beat: now }) });
    // A heartbeat from the future was noted before the clock was set back: it is as far off as one from the past.
    match holder {
        Some(Holder { number, beat }) if number == me && beat.abs_diff(now) < HEARTBEAT => Claim::Held { term },
        Some(Holder { number, .. }) if number == me => Claim::Renew { term, next: next(term) },
        Some(Holder { beat, .. }) if beat.abs_diff(now) < TERM => Claim::Others,
        _ => {
            let term = term.wrapping_add(1);
            Claim::Take { term, next: next(term) }
        }
    }
}

/// The value to be written where `me` holds the lease and lets it go; `None` where it does not.
pub fn release(value: &[u8], me: u64) -> Option<Vec<u8>> {
    let Lease { term, holder } = read(value)?;
    holder.filter(|holder| holder.number == me).map(|_| write(Lease { term, holder: None }))
}

fn write(lease: Lease) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.extend(lease.term.to_le_bytes());
    if let Some(Holder { number, beat }) = lease.holder {
        value.extend(number.to_le_bytes());
        value.extend(beat.to_le_bytes());
    }
    value
}

/// `None` for a value that is not of this version. One that nobody wrote, cut short or with something behind it, is
/// nobody's, so that it does not lock us all out.
fn read(value: &[u8]) -> Option<Lease> {
    let fields = match value.split_first() {
        None => return Some(Lease { term: 0, holder: None }),
        Some((&VERSION, fields)) => fields,
        Some(_) => return None,
    };
    let (term, rest) = fields.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let holder = rest.split_first_chunk().and_then(|(number, beat)| {
        let beat = u64::from_le_bytes(beat.try_into().ok()?);
        Some(Holder { number: u64::from_le_bytes(*number), beat })
    });
    Some(Lease { term: u32::from_le_bytes(*term), holder })
}

#[cfg(test)]
mod tests;
