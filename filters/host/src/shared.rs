//! State that all workers of a proxy share, changed by compare-and-swap.
//!
//! What the proxy offers has two corners. Nothing is ever deleted. And compare-and-swap is not checked on a key that does
//! not exist: of two VMs that both create it, both are told that they succeeded, and the last one wins. So a key is
//! created in [`ensure`], while a filter is configured: the proxy does that on its main thread before any worker, and
//! only changed in [`update`].
//!
//! While a proxy drains, two releases of a module share what is kept here, and what one of them left outlives it. So the
//! name of a key says in which layout its value is, see [`key`]: releases with the same layout go on with each other's
//! values, and one with another has keys of its own, which its workers share from the start. A value begins with the
//! version of its layout all the same, and one that begins otherwise is left alone.

use crate::{Host, HostError, Status};
use std::fmt::Display;

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

/// The name of a key: of what it is, the version of the layout of its value, and which of several it is.
///
/// Who changes the bytes of a layout raises its version. Under the same name the other release would misread them or,
/// warned by the first byte, leave them alone; then whoever came second would have no key to share, until the proxy restarts.
pub fn key(of: &str, version: u8, which: impl Display) -> String {
    format!("sluicegate.{of}.{version}.{which}")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::double::Double;

    fn add_one(bytes: &[u8]) -> Option<Vec<u8>> {
        bytes.first().map(|count| vec![count + 1])
    }

    #[test]
    fn releases_find_the_values_of_their_own_layout_only() {
        assert_eq!(key("breaker", 1, 7), "sluicegate.breaker.1.7");
        let one = Double::new();
        let other = one.worker_beside();
        for (host, version) in [(one, 1), (other, 2)] {
            ensure(host, &key("breaker", version, 7), &[version, 0]).unwrap();
        }
        update(other, &key("breaker", 2, 7), |_| Some(vec![2, 9])).unwrap();
        assert_eq!(read(other, &key("breaker", 1, 7)), Ok(Some(vec![1, 0])));
        assert_eq!(read(one, &key("breaker", 2, 7)), Ok(Some(vec![2, 9])), "what its workers share");
    }

    #[test]
    fn a_key_is_created_once_and_then_changed_by_every_worker() {
        let one = Double::new();
        let other = one.worker_beside();
        ensure(one, "k", &[5]).unwrap();
        ensure(other, "k", &[0]).unwrap();
        update(one, "k", add_one).unwrap();
        update(other, "k", add_one).unwrap();
        assert_eq!(read(one, "k"), Ok(Some(vec![7])));
    }

    #[test]
    fn a_change_in_between_is_seen_and_none_is_lost() {
        let one = Double::new();
        let other = one.worker_beside();
        ensure(one, "k", &[0]).unwrap();
        let mut interrupted = false;
        let change = |bytes: &[u8]| {
            if !interrupted {
                interrupted = true;
                update(other, "k", add_one).unwrap();
            }
            add_one(bytes)
        };
        update(one, "k", change).unwrap();
        assert_eq!(read(one, "k"), Ok(Some(vec![2])));
    }

    #[test]
    fn an_update_gives_up_after_many_attempts_and_never_creates_a_key() {
        let one = Double::new();
        let other = one.worker_beside();
        assert_eq!(update(one, "k", add_one), Err(UpdateError::Absent));
        ensure(one, "k", &[0]).unwrap();
        let always_late = |bytes: &[u8]| {
            update(other, "k", add_one).unwrap();
            add_one(bytes)
        };
        assert_eq!(update(one, "k", always_late), Err(UpdateError::Contended));
    }

    #[test]
    fn what_needs_no_change_is_not_written() {
        let proxy = Double::new();
        ensure(proxy, "k", &[0]).unwrap();
        let calls = proxy.calls().len();
        update(proxy, "k", |_| None).unwrap();
        assert_eq!(proxy.calls()[calls..], ["proxy_get_shared_data"]);
    }
}
