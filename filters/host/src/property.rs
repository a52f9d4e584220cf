//! Properties ("attributes") of the exchange and of the proxy, decoded.

use crate::Host;

/// Bytes of a property; `None` where it is absent, and where the proxy would not say.
pub(crate) fn bytes(host: &dyn Host, path: &str) -> Option<Vec<u8>> {
    host.property(path).ok().flatten()
}

/// Text of a property; bytes that are not UTF-8 become U+FFFD. `None` also where it is empty.
pub(crate) fn text(host: &dyn Host, path: &str) -> Option<String> {
    let bytes = bytes(host, path).filter(|bytes| !bytes.is_empty())?;
    Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// A number: the proxy hands integers, durations and times (ns) over as 8 bytes, little-endian.
pub(crate) fn integer(host: &dyn Host, path: &str) -> Option<i64> {
    let bytes = bytes(host, path)?;
    Some(i64::from_le_bytes(bytes.try_into().ok()?))
}
