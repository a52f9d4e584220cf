//! When it is.

/// Nanoseconds since the Unix epoch.
pub(crate) type Nanos = u64;

/// Seconds since the Unix epoch; lasts until 2106.
pub(crate) type Second = u32;

pub(crate) const NANOS_PER_SECOND: Nanos = 1_000_000_000;

/// Workers read the clock at different times, some only on the tick: another may be ahead of us by less than this. Who is
/// further ahead wrote before the clock was set back.
const AHEAD: Nanos = NANOS_PER_SECOND;

/// A moment, and a number drawn at random for what is decided in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Nanos,
    pub(crate) entropy: u64,
}

impl Moment {
    pub(crate) fn second(self) -> Second {
        second(self.now)
    }

    /// A number of 32 random bits for what has this hash. Who decides about several things in one moment must not decide
    /// alike about all of them.
    pub(crate) fn draw(self, hash: u64) -> u32 {
        // The finalizer of SplitMix64: every bit that goes in moves every bit that comes out.
        let mut bits = self.entropy ^ hash;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits >> 32) as u32
    }
}

pub(crate) fn second(time: Nanos) -> Second {
    Second::try_from(time / NANOS_PER_SECOND).unwrap_or(Second::MAX)
}

/// Whether that was noted before the clock was set back.
pub(crate) fn lies_ahead(noted: Nanos, now: Nanos) -> bool {
    noted > now.saturating_add(AHEAD)
}

/// The last second in which anything may have happened.
pub(crate) fn last_second(now: Second) -> Second {
    now.saturating_add(second(AHEAD))
}
