//! Headers as the proxy has them: bytes, in order, repeated ones kept.

use crate::{Host, HostError, MapKind};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;

/// A header map as it was when it was read, in the proxy's own serialisation: one hostcall, one allocation, no copies.
///
/// A name is lower-case. A value is any bytes that the proxy let through, 0x80..0xFF included.
#[derive(Clone, Debug, Default)]
pub struct HeaderMap {
    /// The number of entries (u32), for each the length of its name and of its value (u32 each), then for each its name
    /// and its value, both ended by NUL. Little-endian.
    serialized: Vec<u8>,
}

impl HeaderMap {
    /// Reads a map from the proxy. One that is not there (an exchange that was rejected before it had headers) is empty.
    pub(crate) fn fetch(host: &dyn Host, kind: MapKind) -> HeaderMap {
        HeaderMap { serialized: host.header_map(kind).unwrap_or_default() }
    }

    pub(crate) fn from_serialized(serialized: Vec<u8>) -> HeaderMap {
        HeaderMap { serialized }
    }

    /// A map of these headers: for tests.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> HeaderMap {
        HeaderMap { serialized: serialize(pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref()))) }
    }

    /// Every header, in order.
    pub fn iter(&self) -> Iter<'_> {
        let mut lengths = self.serialized.as_slice();
        let count = take_u32(&mut lengths).unwrap_or(0);
        // A count that the bytes cannot hold ends the iteration at the first length that is missing.
        let entries = lengths.get(count.saturating_mul(8)..).unwrap_or_default();
        Iter { left: count, lengths, entries }
    }

    /// The first value of a header; `name` in lower case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(n, _)| *n == name.as_bytes()).map(|(_, value)| value)
    }

    /// The first value of a header as text, cut after so many bytes; what is not UTF-8 in it becomes U+FFFD. For people
    /// and logs: whoever decides by a value compares its bytes.
    pub fn text(&self, name: &str, limit: usize) -> Option<Cow<'_, str>> {
        let value = self.get(name)?;
        Some(String::from_utf8_lossy(value.get(..limit).unwrap_or(value)))
    }

    /// The value of a header, or its values joined by commas (RFC 9110 §5.3), as the proxy itself reads them; `name` in
    /// lower case.
    pub fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut values = self.iter().filter(|(n, _)| *n == name.as_bytes()).map(|(_, value)| value);
        let first = values.next()?;
        let mut all = Cow::Borrowed(first);
        for value in values {
            let all = all.to_mut();
            all.push(b',');
            all.extend_from_slice(value);
        }
        Some(all)
    }

    /// Every value of a header, in order; `name` in lower case.
    pub fn all<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m [u8]> {
        self.iter().filter(move |(n, _)| *n == name.as_bytes()).map(|(_, value)| value)
    }
}

/// Iterates over names and values.
pub struct Iter<'m> {
    left: usize,
    lengths: &'m [u8],
    entries: &'m [u8],
}

impl<'m> Iterator for Iter<'m> {
    type Item = (&'m [u8], &'m [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name_len = take_u32(&mut self.lengths)?;
        let value_len = take_u32(&mut self.lengths)?;
        let name = take_terminated(&mut self.entries, name_len)?;
        let value = take_terminated(&mut self.entries, value_len)?;
        Some((name, value))
    }
}

fn take_u32(bytes: &mut &[u8]) -> Option<usize> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    usize::try_from(u32::from_le_bytes(*number)).ok()
}

fn take_terminated<'m>(bytes: &mut &'m [u8], len: usize) -> Option<&'m [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    (_, *bytes) = rest.split_first()?;
    Some(taken)
}

/// The ABI's serialisation of a header map.
pub(crate) fn serialize<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Vec<u8> {
    // The ABI is that of a 32-bit machine: nothing in its memory is longer than u32 can say.
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let count = u32::try_from(pairs.clone().count()).unwrap_or(u32::MAX);
    let mut serialized = count.to_le_bytes().to_vec();
    for (name, value) in pairs.clone() {
        serialized.extend_from_slice(&len(name));
        serialized.extend_from_slice(&len(value));
    }
    for (name, value) in pairs {
        serialized.extend_from_slice(name);
        serialized.push(0);
        serialized.extend_from_slice(value);
        serialized.push(0);
    }
    serialized
}

/// The headers of one direction of an exchange: what came in, read once and only if somebody asks, and what filters
/// change, written once when the callback ends. A filter sees the changes of those before it.
pub struct Headers {
    host: &'static dyn Host,
    kind: MapKind,
    original: OnceCell<Rc<HeaderMap>>,
    staged: Vec<(Cow<'static, str>, Change)>,
}

enum Change {
    Set(Vec<u8>),
    Remove,
}

impl Headers {
    pub(crate) fn new(host: &'static dyn Host, kind: MapKind) -> Headers {
        Headers { host, kind, original: OnceCell::new(), staged: Vec::new() }
    }

    /// What came in, before any change. Whoever needs it later keeps it: after the callback it is read anew.
    pub fn original(&self) -> &Rc<HeaderMap> {
        self.original.get_or_init(|| Rc::new(HeaderMap::fetch(self.host, self.kind)))
    }

    /// Whether anybody in this module has read them.
    pub(crate) fn are_read(&self) -> bool {
        self.original.get().is_some()
    }

    /// A header as it stands, changes included, its values joined by commas; `name` in lower case.
    pub fn get(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match self.staged(name) {
            Some(Change::Set(value)) => Some(Cow::Borrowed(value)),
            Some(Change::Remove) => None,
            None => self.original().joined(name),
        }
    }

    /// Gives a header this one value; `name` in lower case.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Vec<u8>>) {
        self.stage(name.into(), Change::Set(value.into()));
    }

    /// Takes a header away, with all its values; `name` in lower case.
    pub fn remove(&mut self, name: impl Into<Cow<'static, str>>) {
        self.stage(name.into(), Change::Remove);
    }

    fn staged(&self, name: &str) -> Option<&Change> {
        self.staged.iter().find(|(n, _)| n == name).map(|(_, change)| change)
    }

    fn stage(&mut self, name: Cow<'static, str>, change: Change) {
        match self.staged.iter_mut().find(|(n, _)| *n == name) {
            Some((_, staged)) => *staged = change,
            None => self.staged.push((name, change)),
        }
    }

    /// Writes what is staged now and not when the callback ends: for what the proxy is to do with the headers before, such
    /// as picking the route anew.
    pub fn write_now(&mut self) -> Result<(), HostError> {
        self.write()
    }

    /// Writes what is staged, skips what would change nothing, and forgets what was read: after the callback other
    /// filters of the proxy may change the headers. The first error is returned, after everything was tried.
    pub(crate) fn write(&mut self) -> Result<(), HostError> {
        let mut outcome = Ok(());
        for (name, change) in std::mem::take(&mut self.staged) {
            if self.changes_something(&name, &change) {
                let written = match &change {
                    Change::Set(value) => self.host.set_header(self.kind, &name, value),
                    Change::Remove => self.host.remove_header(self.kind, &name),
                };
                outcome = outcome.and(written);
            }
        }
        self.original.take();
        outcome
    }

    fn changes_something(&self, name: &str, change: &Change) -> bool {
        // Where nobody looked there is nothing to compare with.
        let Some(original) = self.original.get() else { return true };
        let mut values = original.all(name);
        match (values.next(), values.next(), change) {
            (None, _, Change::Remove) => false,
            (Some(only), None, Change::Set(new)) => only != new.as_slice(),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::double::Double;

    #[test]
    fn every_header_is_read_back_with_its_bytes_and_order() {
        let pairs: [(&[u8], &[u8]); 4] = [(b"a", b""), (b"b", b"\xff\x00\xfe"), (b"a", b"two"), (b"", b"no name")];
        let map = HeaderMap::from_pairs(&pairs);
        assert_eq!(map.iter().collect::<Vec<_>>(), pairs);
        assert_eq!(map.all("a").collect::<Vec<_>>(), [&b""[..], b"two"]);
        assert_eq!(map.joined("a").as_deref(), Some(&b",two"[..]));
        assert_eq!(map.joined("b").as_deref(), Some(&b"\xff\x00\xfe"[..]));
        assert_eq!(map.joined("c"), None);
    }

    #[test]
    fn text_is_cut_and_shows_what_is_not_utf8() {
        let map = HeaderMap::from_pairs(&[("a", &b"caf\xc3\xa9 \xff!"[..])]);
        assert_eq!(map.text("a", 100).as_deref(), Some("café \u{fffd}!"));
        assert_eq!(map.text("a", 4).as_deref(), Some("caf\u{fffd}"));
        assert_eq!(map.text("b", 4), None);
    }

    #[test]
    fn a_map_that_is_cut_or_lies_about_its_lengths_ends_early() {
        let whole = HeaderMap::from_pairs(&[("name", "value"), ("other", "thing")]).serialized;
        for end in 0..whole.len() {
            let cut = HeaderMap { serialized: whole[..end].to_vec() };
            assert!(cut.iter().count() < 2);
        }
        for position in 0..12 {
            let mut lies = whole.clone();
            lies[position] = 0xff;
            let _ = HeaderMap { serialized: lies }.iter().count();
        }
    }

    #[test]
    fn each_header_is_written_once_however_often_it_was_changed() {
        let proxy = Double::new();
        proxy.put_headers(MapKind::RequestHeaders, &[("x", "old"), ("same", "s"), ("gone", "g")]);
        let mut headers = Headers::new(proxy, MapKind::RequestHeaders);
        assert_eq!(headers.get("x").as_deref(), Some(&b"old"[..]));
        headers.set("x", "new");
        headers.set("x", "newer");
        assert_eq!(headers.get("x").as_deref(), Some(&b"newer"[..]));
        headers.set("same", "s");
        headers.remove("gone");
        headers.remove("never there");
        headers.write().unwrap();
        assert_eq!(proxy.headers(MapKind::RequestHeaders).get("x"), Some(&b"newer"[..]));
        assert_eq!(proxy.headers(MapKind::RequestHeaders).get("gone"), None);
        assert_eq!(
            proxy.calls(),
            ["proxy_get_header_map_pairs", "proxy_replace_header_map_value", "proxy_remove_header_map_value"]
        );
    }

    #[test]
    fn after_a_callback_the_headers_are_read_anew() {
        let proxy = Double::new();
        proxy.put_headers(MapKind::RequestHeaders, &[("x", "then")]);
        let mut headers = Headers::new(proxy, MapKind::RequestHeaders);
        assert_eq!(headers.get("x").as_deref(), Some(&b"then"[..]));
        headers.write().unwrap();
        proxy.put_headers(MapKind::RequestHeaders, &[("x", "now")]);
        assert_eq!(headers.get("x").as_deref(), Some(&b"now"[..]));
    }

    #[test]
    fn a_repeated_header_is_replaced_by_one_value() {
        let proxy = Double::new();
        proxy.put_headers(MapKind::RequestHeaders, &[("x", "one"), ("x", "two")]);
        let mut headers = Headers::new(proxy, MapKind::RequestHeaders);
        headers.original();
        headers.set("x", "new");
        headers.write().unwrap();
        let after = proxy.headers(MapKind::RequestHeaders);
        assert_eq!(after.all("x").collect::<Vec<_>>(), [b"new"]);
    }
}
