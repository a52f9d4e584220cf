//! Hex digits of ids, which have a fixed length: for the formats in which ids travel.

/// Exactly `2 × N` hex digits of either case.
pub fn decode<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// Exactly `2 × N` hex digits, none of them upper-case: what W3C's `HEXDIGLC` allows.
pub fn decode_lower<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    decode(digits)
}

/// One to `2 × N` hex digits of either case: leading zeros may have been dropped.
pub fn decode_short<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    let mut from_right = digits.iter().rev();
    for byte in bytes.iter_mut().rev() {
        let low = from_right.next().map_or(Some(0), |d| digit(*d))?;
        let high = from_right.next().map_or(Some(0), |d| digit(*d))?;
        *byte = high << 4 | low;
    }
    from_right.next().is_none().then_some(bytes)
}

/// Appends the bytes as lower-case hex.
pub fn push(text: &mut Vec<u8>, bytes: &[u8]) {
    let lower = |nibble: u8| match nibble {
        0..=9 => b'0'.wrapping_add(nibble),
        _ => (b'a' - 10).wrapping_add(nibble),
    };
    text.extend(bytes.iter().flat_map(|byte| [lower(byte >> 4), lower(byte & 0xf)]));
}

/// The bytes as lower-case hex.
pub fn text(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len().saturating_mul(2));
    push(&mut text, bytes);
    text
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a' - 10)),
        b'A'..=b'F' => Some(digit.wrapping_sub(b'A' - 10)),
        _ => None,
    }
}
