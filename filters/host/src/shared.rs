//! State that all workers of a proxy share, changed by compare-and-swap.
//!
//! What the proxy offers has two corners. Nothing is ever deleted. And compare-and-swap is not checked on a key that does
//! not exist: of two VMs that both create it, both are told that they succeeded, and the last one wins. So a key is
//! created in [`ensure`], while a filter is configured: the proxy does that on its main thread before any worker, and
//! only changed in [`update`].

use crate::{Host, HostError, Status};

/// How often an update is tried before it is given up until the next tick.
const ATTEMPTS: usize = 16;

/// Why an update did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateError {
    /// The key was never created.
    Absent,
    /// Others were faster, so often that we stopped trying.
    Contended,
    /// The proxy failed.
    Host(HostError),
}

impl From<HostError> for UpdateError {
    fn from(error: HostError) -> UpdateError {
        UpdateError::Host(error)
    }
}

/// The value of a key; `None` where it was never created.
pub fn read(host: &dyn Host, key: &str) -> Result<Option<Vec<u8>>, HostError> {
    Ok(host.shared_data(key)?.map(|value| value.bytes))
}

/// Creates a key with this value unless it exists. Call it while a filter is configured, not later.
pub fn ensure(host: &dyn Host, key: &str, initial: &[u8]) -> Result<(), HostError> {
    match host.shared_data(key)? {
        Some(_) => Ok(()),
        None => host.set_shared_data(key, initial, None),
    }
}

/// Changes a key: `change` is given the value in force and answers with the next one, or `None` to leave it. It is called
/// again with a fresh value whenever somebody else was faster.
pub fn update(host: &dyn Host, key: &str, mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Result<(), UpdateError> {
    for _ in 0..ATTEMPTS {
        let current = host.shared_data(key)?.ok_or(UpdateError::Absent)?;
        let Some(next) = change(&current.bytes) else {
            return Ok(());
        };
        match host.set_shared_data(key, &next, Some(current.cas)) {
            Ok(()) => return Ok(()),
            Err(HostError { status: Status::CasMismatch, .. }) => continue,
            Err(error) => return Err(error.into()),
        }
    }
    Err(UpdateError::Contended)
}
