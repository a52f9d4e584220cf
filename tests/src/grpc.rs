//! The little of gRPC's wire format that both sides need: one length-prefixed message.

use anyhow::{Context, Result, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A message as gRPC frames it: a zero byte (not compressed), four bytes of length, the payload.
#[must_use]
pub fn message(payload: &[u8]) -> Bytes {
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    message.put_slice(payload);
    message.freeze()
}

/// The payload of a body that holds exactly one message.
///
/// # Errors
/// When the body holds anything else, or a compressed message.
pub fn payload(mut body: Bytes) -> Result<Bytes> {
    let compressed = body.try_get_u8().context("the body is empty, not a gRPC message")?;
    ensure!(compressed == 0, "the gRPC message is compressed");
    let length = body.try_get_u32().context("the gRPC message has no length")?;
    ensure!(usize::try_from(length) == Ok(body.len()), "not one whole gRPC message: {length} B of {} B", body.len());
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back() {
        for length in [0, 1, 70_000] {
            let original = vec![b'x'; length];
            assert_eq!(payload(message(&original)).unwrap(), original);
        }
    }

    #[test]
    fn half_a_message_is_an_error() {
        let whole = message(b"four");
        for length in 0..whole.len() {
            assert!(payload(whole.slice(..length)).is_err(), "{length} B");
        }
    }
}
