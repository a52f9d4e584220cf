use crate::{Host, HostError};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::cell::RefCell;

/// A cryptographically strong generator of random bytes, seeded once per VM from the host.
///
/// ChaCha with eight rounds: asking the host for 16 bytes costs a hostcall and some twenty-five times as much.
pub struct Entropy(RefCell<ChaCha8Rng>);

impl Entropy {
    /// Seeds the generator with 32 bytes from the host.
    pub(crate) fn from_host(host: &dyn Host) -> Result<Entropy, HostError> {
        let mut seed = [0; 32];
        host.random(&mut seed)?;
        Ok(Entropy::from_seed(seed))
    }

    /// A generator whose output follows from the seed: for tests.
    pub fn from_seed(seed: [u8; 32]) -> Entropy {
        Entropy(RefCell::new(ChaCha8Rng::from_seed(seed)))
    }

    /// So many random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.borrow_mut().fill_bytes(&mut bytes);
        bytes
    }
}
