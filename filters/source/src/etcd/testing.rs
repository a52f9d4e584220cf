//! What an etcd of the tests says, in bytes.

use crate::protobuf::{put_bytes, put_number};

pub(crate) const KEY: &str = "/sluicegate/policy";
pub(crate) const CLUSTER: u64 = 0xcdf8_181e_3227_7bd1;
pub(crate) const TERM: u64 = 2;

/// A `ResponseHeader` of this revision.
pub(crate) fn header(cluster_id: u64, revision: i64, term: u64) -> Vec<u8> {
    let mut message = Vec::new();
    put_number(1, cluster_id, &mut message);
    put_number(2, 0x8e9e_05c5_2164_694d, &mut message);
    put_number(3, revision.cast_unsigned(), &mut message);
    put_number(4, term, &mut message);
    message
}

/// A `KeyValue`.
pub(crate) fn pair(key: &str, revision: i64, value: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    put_bytes(1, key.as_bytes(), &mut message);
    put_number(2, 1, &mut message);
    put_number(3, revision.cast_unsigned(), &mut message);
    put_number(4, 1, &mut message);
    put_bytes(5, value, &mut message);
    message
}

/// A `RangeResponse`.
pub(crate) fn range(header: &[u8], pair: Option<&[u8]>) -> Vec<u8> {
    let mut message = Vec::new();
    put_bytes(1, header, &mut message);
    if let Some(pair) = pair {
        put_bytes(2, pair, &mut message);
        put_number(4, 1, &mut message);
    }
    message
}

/// The read at a revision: the key, and when it was written.
pub(crate) fn read(revision: i64, pair_at: Option<(i64, &[u8])>) -> Vec<u8> {
    let pair = pair_at.map(|(revision, value)| pair(KEY, revision, value));
    range(&header(CLUSTER, revision, TERM), pair.as_deref())
}

/// A `WatchResponse`, to be put together.
#[derive(Clone)]
pub(crate) struct Response(Vec<u8>);

impl Response {
    pub(crate) fn new(header: &[u8], watch_id: i64) -> Response {
        let mut message = Vec::new();
        put_bytes(1, header, &mut message);
        put_number(2, watch_id.cast_unsigned(), &mut message);
        Response(message)
    }

    /// Of watch 0, which is the number that etcd gives the first one.
    pub(crate) fn at(revision: i64) -> Response {
        Response::new(&header(CLUSTER, revision, TERM), 0)
    }

    pub(crate) fn number(mut self, field: u64, value: u64) -> Response {
        put_number(field, value, &mut self.0);
        self
    }

    pub(crate) fn created(self) -> Response {
        self.number(3, 1)
    }

    pub(crate) fn canceled(mut self, reason: &str) -> Response {
        put_bytes(6, reason.as_bytes(), &mut self.0);
        self.number(4, 1)
    }

    pub(crate) fn compacted(self, revision: i64) -> Response {
        self.number(5, revision.cast_unsigned())
    }

    pub(crate) fn event(mut self, kind: u64, pair: &[u8]) -> Response {
        let mut event = Vec::new();
        put_number(1, kind, &mut event);
        put_bytes(2, pair, &mut event);
        put_bytes(11, &event, &mut self.0);
        self
    }

    pub(crate) fn put(self, revision: i64, value: &[u8]) -> Response {
        self.event(0, &pair(KEY, revision, value))
    }

    pub(crate) fn deleted(self, revision: i64) -> Response {
        self.event(1, &pair(KEY, revision, b""))
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// An `AuthenticateResponse`.
pub(crate) fn token(token: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    put_bytes(1, &header(CLUSTER, 0, TERM), &mut message);
    put_bytes(2, token, &mut message);
    message
}
