//! The messages of etcd that it takes to read and watch one key, field by field as in etcd's `rpc.proto` and
//! `kv.proto`.
//!
//! As with any reader of protobuf, a field that comes twice counts as it came last, and a message that comes twice is
//! merged.

use crate::protobuf::{Fields, Malformed, put_bytes, put_number};

/// An `AuthenticateRequest`.
pub(crate) fn authenticate(name: &str, password: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    put_bytes(1, name.as_bytes(), &mut message);
    put_bytes(2, password, &mut message);
    message
}

/// A `RangeRequest` for one key. Linearizable, which is etcd's default: what it answers is what holds, whichever member
/// is asked.
pub(crate) fn range(key: &str) -> Vec<u8> {
    let mut message = Vec::new();
    put_bytes(1, key.as_bytes(), &mut message);
    message
}

/// A `WatchRequest` that creates a watch on one key, from this revision on.
pub(crate) fn create_watch(key: &str, from: u64) -> Vec<u8> {
    let mut create = Vec::new();
    put_bytes(1, key.as_bytes(), &mut create);
    put_number(3, from, &mut create);
    let mut message = Vec::new();
    put_bytes(1, &create, &mut message);
    message
}

/// A `WatchRequest` for a sign of life.
pub(crate) fn request_progress() -> Vec<u8> {
    let mut message = Vec::new();
    put_bytes(3, b"", &mut message);
    message
}

/// The token in an `AuthenticateResponse`.
pub(crate) fn token(message: &[u8]) -> Result<&str, Malformed> {
    let mut token = "";
    let mut header = Header::default();
    let mut fields = Fields(message);
    while let Some((field, value)) = fields.read()? {
        match field {
            1 => header.merge(value.bytes()?)?,
            2 => token = value.text()?,
            _ => {}
        }
    }
    Ok(token)
}

/// A `ResponseHeader`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) cluster_id: u64,
    /// Of the whole store.
    pub(crate) revision: i64,
    pub(crate) raft_term: u64,
}

impl Header {
    fn merge(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let mut fields = Fields(message);
        while let Some((field, value)) = fields.read()? {
            match field {
                1 => self.cluster_id = value.number()?,
                2 => {
                    value.number()?;
                }
                3 => self.revision = value.signed()?,
                4 => self.raft_term = value.number()?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A `KeyValue`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyValue<'m> {
    pub(crate) key: &'m [u8],
    /// When the key was last written, or deleted.
    pub(crate) mod_revision: i64,
    pub(crate) value: &'m [u8],
}

impl<'m> KeyValue<'m> {
    fn merge(&mut self, message: &'m [u8]) -> Result<(), Malformed> {
        let mut fields = Fields(message);
        while let Some((field, value)) = fields.read()? {
            match field {
                1 => self.key = value.bytes()?,
                2 | 4 | 6 => {
                    value.number()?;
                }
                3 => self.mod_revision = value.signed()?,
                5 => self.value = value.bytes()?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A `RangeResponse` to a request for one key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Range<'m> {
    pub(crate) header: Header,
    /// The key, where it exists.
    pub(crate) pair: Option<KeyValue<'m>>,
}

impl<'m> Range<'m> {
    /// Another key than the one that was asked for is an error: to read it as the absence of ours would take the policy
    /// away.
    pub(crate) fn read(message: &'m [u8], key: &str) -> Result<Range<'m>, Malformed> {
        let mut range = Range::default();
        let mut fields = Fields(message);
        while let Some((field, value)) = fields.read()? {
            match field {
                1 => range.header.merge(value.bytes()?)?,
                2 => {
                    let mut pair = KeyValue::default();
                    pair.merge(value.bytes()?)?;
                    if pair.key != key.as_bytes() {
                        return Err(Malformed);
                    }
                    range.pair = Some(pair);
                }
                3 | 4 => {
                    value.number()?;
                }
                _ => {}
            }
        }
        Ok(range)
    }
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'m> {
    Put(&'m [u8]),
    Delete,
    /// Something that etcd did not know when this was written.
    Unknown,
}

/// A `WatchResponse`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Watched<'m> {
    pub(crate) header: Header,
    pub(crate) watch_id: i64,
    pub(crate) created: bool,
    pub(crate) canceled: bool,
    pub(crate) compact_revision: i64,
    pub(crate) cancel_reason: &'m str,
    /// The newest event of the key, with its revision. There may be many in one response; those before it are history.
    pub(crate) newest: Option<(i64, Change<'m>)>,
}

impl<'m> Watched<'m> {
    pub(crate) fn read(message: &'m [u8], key: &str) -> Result<Watched<'m>, Malformed> {
        let mut watched = Watched::default();
        let mut fields = Fields(message);
        while let Some((field, value)) = fields.read()? {
            match field {
                1 => watched.header.merge(value.bytes()?)?,
                2 => watched.watch_id = value.signed()?,
                3 => watched.created = value.boolean()?,
                4 => watched.canceled = value.boolean()?,
                5 => watched.compact_revision = value.signed()?,
                6 => watched.cancel_reason = value.text()?,
                // `fragment`: we do not ask for fragments, and a revision changes a key once, so each stands for
                // itself.
                7 => {
                    value.boolean()?;
                }
                11 => watched.add(value.bytes()?, key)?,
                _ => {}
            }
        }
        Ok(watched)
    }

    fn add(&mut self, event: &'m [u8], key: &str) -> Result<(), Malformed> {
        let (mut kind, mut pair, mut before) = (0, KeyValue::default(), KeyValue::default());
        let mut fields = Fields(event);
        while let Some((field, value)) = fields.read()? {
            match field {
                // An enum has 32 bits.
                1 => kind = value.number()? & u64::from(u32::MAX),
                2 => pair.merge(value.bytes()?)?,
                3 => before.merge(value.bytes()?)?,
                _ => {}
            }
        }
        let is_newer = self.newest.is_none_or(|(revision, _)| pair.mod_revision > revision);
        if pair.key == key.as_bytes() && is_newer {
            let change = match kind {
                0 => Change::Put(pair.value),
                1 => Change::Delete,
                _ => Change::Unknown,
            };
            self.newest = Some((pair.mod_revision, change));
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod conformance;
