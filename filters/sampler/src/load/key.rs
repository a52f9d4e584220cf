//! What is counted together, and where it is kept.

use sluicegate_policy::Fnv;

/// Into how many parts keys are divided, each with a value of its own in shared data. Part of the format: all releases
/// that read each other's values have the same.
pub(crate) const SHARDS: usize = 64;

/// A name's first bytes tell it from others; a caller may make it as long as headers may be.
const NAME_BYTES: usize = 256;

/// What is counted together: the requests of a rule, or those of them with the same name.
///
/// A hash stands for both. Whoever chooses names so that two collide makes them share a window, as one name would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) hash: u64,
    pub(crate) named: bool,
}

impl Key {
    /// Of everything that has this identity and no name, or none that found room.
    pub(crate) fn of(identity: u64) -> Key {
        let mut fnv = Fnv::new();
        fnv.write(&identity.to_le_bytes());
        Key { hash: fnv.value(), named: false }
    }

    /// Of what has this identity and this name.
    pub(crate) fn named(identity: u64, name: &[u8]) -> Key {
        let mut fnv = Fnv::new();
        fnv.write(&identity.to_le_bytes());
        fnv.write(&(name.len() as u64).to_le_bytes());
        fnv.write(name.get(..NAME_BYTES).unwrap_or(name));
        Key { hash: fnv.value(), named: true }
    }

    pub(crate) fn shard(self) -> usize {
        // The last bytes of a name hardly move the upper bits of an FNV: by this multiplication (Knuth's, by the golden
        // ratio) all bits have their say in the upper six.
        (self.hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize % SHARDS
    }
}
