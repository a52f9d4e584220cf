//! What becomes of a secret.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What stands in the place of a secret, the one that tells most first: where secrets with several modes make one
/// stretch, the last of them counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// `[redacted]` and the last 4 characters, or fewer: never more than a quarter of them.
    Partial,
    /// `[hash:…]` with the first 16 hexadecimal digits (64 bits) of its HMAC-SHA-256 (RFC 2104), so that the same value
    /// is recognised without being known.
    Hash,
    /// `[redacted]`.
    Mask,
    /// Nothing: the name goes as well.
    Drop,
}

/// The mask.
pub const REDACTED: &str = "[redacted]";

/// The most characters that [`Mode::Partial`] shows.
const SHOWN: usize = 4;

/// The bytes of the MAC that are shown.
const HASH_BYTES: usize = 8;

/// The key of [`Mode::Hash`], as a MAC that has taken it in.
#[derive(Clone)]
pub(super) struct HashKey(Hmac<Sha256>);

impl HashKey {
    pub(super) fn new(key: &[u8]) -> Option<HashKey> {
        Hmac::new_from_slice(key).ok().map(HashKey)
    }

    /// Appends `[hash:…]` for the bytes of `value`.
    pub(super) fn write(&self, value: impl Iterator<Item = u8>, out: &mut String) {
        let mut mac = self.0.clone();
        for byte in value {
            mac.update(&[byte]);
        }
        out.push_str("[hash:");
        for byte in mac.finalize().into_bytes().iter().take(HASH_BYTES) {
            for digit in [byte >> 4, byte & 15] {
                out.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        out.push(']');
    }
}

/// How many bytes at the end of `value` [`Mode::Partial`] shows. A character counts as one however many bytes it has.
pub(super) fn shown_bytes(value: &[u8]) -> usize {
    let begins_character = |byte: &u8| byte & 0xc0 != 0x80;
    let characters = value.iter().filter(|byte| begins_character(byte)).count();
    let mut left = (characters / 4).min(SHOWN);
    if left == 0 {
        return 0;
    }
    for (count, byte) in value.iter().rev().enumerate() {
        if begins_character(byte) {
            left = left.saturating_sub(1);
            if left == 0 {
                return count.saturating_add(1);
            }
        }
    }
    0
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn at_most_four_characters_and_a_quarter_are_shown() {
        let table = [("", 0), ("abc", 0), ("abcd", 1), ("abcdefg", 1), ("abcdefgh", 2), ("0123456789abcdef", 4)];
        for (value, shown) in table {
            assert_eq!(shown_bytes(value.as_bytes()), shown, "{value}");
        }
        assert_eq!(shown_bytes("x".repeat(1000).as_bytes()), 4);
        assert_eq!(shown_bytes("üüüüüüüü".as_bytes()), 4, "two characters of two bytes");
        assert_eq!(shown_bytes(&[0x80; 100]), 0);
    }

    #[test]
    fn a_hash_is_the_beginning_of_the_hmac() {
        // RFC 4231 §4.3.
        let mut out = String::new();
        HashKey::new(b"Jefe").unwrap().write(b"what do ya want for nothing?".iter().copied(), &mut out);
        assert_eq!(out, "[hash:5bdcc146bf60754e]");
    }
}
