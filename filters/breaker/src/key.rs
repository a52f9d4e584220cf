//! What has a breaker of its own, and where that is kept.

use sluicegate_policy::Fnv;

/// Into how many parts keys are divided, each with a value of its own in shared data. Part of the format: all releases
/// that read each other's values have the same.
pub(crate) const SHARDS: usize = 64;

/// A name's first bytes and its length tell it from others; a caller may make it as long as headers may be.
const NAME_BYTES: usize = 256;

/// A breaker of the policy and the name of a cluster, route, host or header value.
///
/// A hash stands for both. Whoever chooses names so that two collide makes them share a breaker, as one name would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(u64);

impl Key {
    /// Of what has this identity and this name.
    pub(crate) fn of(identity: u64, name: &[u8]) -> Key {
        let mut fnv = Fnv::new();
        fnv.write(&identity.to_le_bytes());
        fnv.write(&(name.len() as u64).to_le_bytes());
        fnv.write(beginning(name));
        Key(fnv.value())
    }

    pub(crate) fn from_hash(hash: u64) -> Key {
        Key(hash)
    }

    pub(crate) fn hash(self) -> u64 {
        self.0
    }

    pub(crate) fn shard(self) -> usize {
        // The last bytes of a name hardly move the upper bits of an FNV: by this multiplication (Knuth's, by the golden
        // ratio) all bits have their say in the upper six.
        (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize % SHARDS
    }
}

/// What is kept of a name.
pub(crate) fn beginning(name: &[u8]) -> &[u8] {
    name.get(..NAME_BYTES).unwrap_or(name)
}
