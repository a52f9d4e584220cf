//! International bank account numbers (ISO 13616).

use std::ops::Range;

use super::national::Word;

/// Country and length, from SWIFT's IBAN registry.
const LENGTHS: [(&[u8; 2], usize); 82] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
];

/// A country of the registry, the length that it has there, and the check modulo 97; together or in fours.
pub(super) fn read(text: &[u8]) -> Option<Range<usize>> {
    let (country, rest) = text.split_first_chunk::<2>()?;
    if !rest.first().is_some_and(|byte| b" -.+".contains(byte) || byte.is_ascii_digit()) {
        return None;
    }
    let country = country.map(|byte| byte.to_ascii_uppercase());
    let (_, length) = LENGTHS.iter().find(|(name, _)| **name == country)?;
    let in_fours = (1..*length).filter(|place| place % 4 == 0).fold(0_u64, |marks, place| marks | 1 << place);
    let word = Word::read(text, *length, in_fours)?;
    let (head, account) = word.characters().split_at_checked(4)?;
    let is_iban = matches!(head, [_, _, b'0'..=b'9', b'0'..=b'9'])
        && (word.marks == 0 || word.marks == in_fours)
        && account.iter().chain(head).fold(0, remainder) == 1;
    is_iban.then_some(0..word.end)
}

/// Modulo 97 (ISO/IEC 7064), where letters count from A = 10.
fn remainder(before: u32, character: &u8) -> u32 {
    let value = char::from(*character).to_digit(36).unwrap_or_default();
    let shifted = if value < 10 { before.wrapping_mul(10) } else { before.wrapping_mul(100) };
    shifted.wrapping_add(value) % 97
}
