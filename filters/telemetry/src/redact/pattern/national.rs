//! National identity numbers: those that are rarely taken for something else, by their check digit or their form.
//!
//! Not among them: the Dutch BSN and others of the kind, of which every eleventh number of nine digits is one.

use std::ops::Range;

use super::Left;
use super::number::{Groups, Number, is_luhn, value, weighted};

/// Numbers of digits alone.
pub(super) fn find(groups: &Groups, left: Left) -> Option<Range<usize>> {
    if left.continues_number() {
        return None;
    }
    let mut numbers = groups.numbers().filter(|number| number.is_all());
    let found = numbers.find(|number| match number.digits.len() {
        9 => is_us_ssn(*number),
        10 | 12 => is_swedish(*number),
        11 => {
            number.marks().next().is_none() && (is_german(number.digits) || is_polish(number.digits))
                || is_german_in_groups(*number)
        }
        _ => false,
    })?;
    Some(0..found.end)
}

/// Numbers with letters in them, and those that may have some.
pub(super) fn read_word(text: &[u8], left: Left) -> Option<Range<usize>> {
    if left.continues_number() {
        return None;
    }
    let found = |length: usize, marks: u64, check: fn(&Word) -> bool| Word::read(text, length, marks).filter(check);
    let spanish = || found(9, SPANISH | SPANISH_OF_FOREIGNER, is_spanish);
    let word = match text.first()?.is_ascii_digit() {
        true => spanish().or_else(|| found(15, FRENCH | FRENCH_KEY, is_french)),
        false => found(9, BRITISH, is_british).or_else(spanish).or_else(|| found(16, 0, is_italian)),
    }?;
    Some(0..word.end)
}

// Before which characters a number has marks where it has any; the lowest bit is for the first character.
const BRITISH: u64 = 1 << 2 | 1 << 4 | 1 << 6 | 1 << 8;
const SPANISH: u64 = 1 << 8;
const SPANISH_OF_FOREIGNER: u64 = 1 << 1 | 1 << 8;
const FRENCH: u64 = 1 << 1 | 1 << 3 | 1 << 5 | 1 << 7 | 1 << 10 | 1 << 13;
const FRENCH_KEY: u64 = 1 << 13;

/// Letters and digits, in upper case, of a word that may be written in groups.
pub(super) struct Word {
    characters: [u8; 34],
    length: usize,
    pub(super) end: usize,
    /// A bit for every character before which there is a mark; the lowest is for the first.
    pub(super) marks: u64,
}

impl Word {
    /// The word of exactly `length` letters and digits that `text` begins with, which may have marks before these.
    pub(super) fn read(text: &[u8], length: usize, marks: u64) -> Option<Word> {
        let mut word = Word { characters: [0; 34], length, end: 0, marks: 0 };
        let mut rest = text;
        for (place, slot) in word.characters.get_mut(..length)?.iter_mut().enumerate() {
            if let [mark, after @ ..] = rest
                && marks & (1 << place) != 0
                && b" -.+".contains(mark)
            {
                word.marks |= 1 << place;
                rest = after;
            }
            let (first, after) = rest.split_first()?;
            if !first.is_ascii_alphanumeric() {
                return None;
            }
            *slot = first.to_ascii_uppercase();
            rest = after;
        }
        word.end = text.len().saturating_sub(rest.len());
        let goes_on = matches!(rest, [b'-', next, ..] if next.is_ascii_alphanumeric());
        (super::ends_word(rest) && !goes_on).then_some(word)
    }

    pub(super) fn characters(&self) -> &[u8] {
        self.characters.get(..self.length).unwrap_or_default()
    }

    /// Whether it has no marks, or all of these.
    fn has_marks(&self, marks: u64) -> bool {
        self.marks == 0 || self.marks == marks
    }
}

/// The digits at the beginning of `characters`, as numbers, where all of them are.
fn digits<const N: usize>(characters: &[u8]) -> Option<[u8; N]> {
    let digits = characters.first_chunk::<N>()?;
    digits.iter().all(u8::is_ascii_digit).then(|| digits.map(|byte| byte.wrapping_sub(b'0')))
}

/// United States, Social Security number: `123-45-6789`, with the areas, groups and serials that are given out. It has
/// no check digit, so the form with its marks is what counts.
fn is_us_ssn(number: Number<'_>) -> bool {
    let (area, group, serial) = (number.value(0, 3), number.value(3, 2), number.value(5, 4));
    number.has_lengths(&[3, 2, 4])
        && number.has_one_mark_of(b" -+")
        && !matches!(area, 0 | 666 | 900..)
        && group != 0
        && serial != 0
}

/// Germany, tax identification number (§ 139b AO): 11 digits, check of ISO/IEC 7064 MOD 11,10; of the first ten exactly
/// one digit comes twice or three times.
fn is_german(digits: &[u8]) -> bool {
    let [first, .., check] = digits else { return false };
    let body = digits.get(..10).unwrap_or_default();
    let times = |digit: u8| body.iter().filter(|other| **other == digit).count();
    let repeated = (0..=9).map(times).filter(|times| *times > 1);
    let product = body.iter().fold(10_u32, |product, digit| {
        let sum = u32::from(*digit).wrapping_add(product) % 10;
        (if sum == 0 { 10 } else { sum }).wrapping_mul(2) % 11
    });
    *first != 0
        && repeated.clone().count() == 1
        && repeated.max().is_some_and(|times| times <= 3)
        && 11_u32.wrapping_sub(product) % 10 == u32::from(*check)
}

/// As it is printed: `12 345 678 901`.
fn is_german_in_groups(number: Number<'_>) -> bool {
    number.has_lengths(&[2, 3, 3, 3]) && number.has_one_mark_of(b" +") && is_german(number.digits)
}

/// Poland, PESEL: 11 digits that begin with a date (the century is in the month) and end with a check digit.
fn is_polish(digits: &[u8]) -> bool {
    let part = |start, length| value(digits.iter().skip(start).take(length));
    (1..=12).contains(&(part(2, 2) % 20))
        && (1..=31).contains(&part(4, 2))
        && weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
}

/// Sweden, personnummer: `YYMMDD-NNNC` or `YYYYMMDD-NNNC` (`+` from the hundredth year on) with Luhn's check over the
/// last ten digits; 60 is added to the day in a coordination number. Without the mark it could be a time.
fn is_swedish(number: Number<'_>) -> bool {
    let short =
        number.digits.len().checked_sub(10).and_then(|century| number.digits.get(century..)).unwrap_or_default();
    let part = |start, length| value(short.iter().skip(start).take(length));
    (number.has_lengths(&[6, 4]) || number.has_lengths(&[8, 4]) && matches!(number.value(0, 2), 18..=20))
        && number.has_one_mark_of(b"-+")
        && (1..=12).contains(&part(2, 2))
        && matches!(part(4, 2), 1..=31 | 61..=91)
        && is_luhn(short)
}

/// United Kingdom, National Insurance number: `AB 12 34 56 C`, without the prefixes that are not given out. It has no
/// check digit.
fn is_british(word: &Word) -> bool {
    let [first, second, rest @ ..] = word.characters() else { return false };
    let is_prefix = first.is_ascii_alphabetic()
        && second.is_ascii_alphabetic()
        && !b"DFIQUV".contains(first)
        && !b"DFIOQUV".contains(second)
        && ![b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"].contains(&&[*first, *second]);
    is_prefix && digits::<6>(rest).is_some() && matches!(rest.last(), Some(b'A'..=b'D')) && word.has_marks(BRITISH)
}

/// Spain, DNI (8 digits) and NIE (X, Y or Z and 7 digits), and a letter that is the number modulo 23.
fn is_spanish(word: &Word) -> bool {
    let Some((letter, number)) = word.characters().split_last() else { return false };
    let Some((first, rest)) = number.split_first() else { return false };
    let (leading, is_foreigner) = match first {
        b'X'..=b'Z' => (first.wrapping_sub(b'X'), true),
        b'0'..=b'9' => (first.wrapping_sub(b'0'), false),
        _ => return false,
    };
    let Some(rest) = digits::<7>(rest) else { return false };
    let number = value(std::iter::once(&leading).chain(&rest));
    let check = usize::try_from(number % 23).ok().and_then(|place| b"TRWAGMYFPDXBNJZSQVHLCKE".get(place));
    check == Some(letter) && (word.has_marks(SPANISH) || is_foreigner && word.has_marks(SPANISH_OF_FOREIGNER))
}

/// France, NIR: sex, year, month, department (2A and 2B on Corsica), commune, order, and a key of two digits: 97 less the
/// number modulo 97.
fn is_french(word: &Word) -> bool {
    let mut characters = [0; 15];
    let Some(slots) = word.characters().first_chunk::<15>() else { return false };
    characters.copy_from_slice(slots);
    let corsica = match characters {
        [_, _, _, _, _, b'2', b'A', ..] => 1_000_000,
        [_, _, _, _, _, b'2', b'B', ..] => 2_000_000,
        _ => 0,
    };
    if corsica != 0
        && let Some(letter) = characters.get_mut(6)
    {
        *letter = b'0';
    }
    // The rule of INSEE: 2A counts as 19 and 2B as 18, which is 20 less one or two.
    let Some(digits) = digits::<15>(&characters) else { return false };
    let part = |start, length| value(digits.iter().skip(start).take(length));
    let number = part(0, 13).saturating_sub(corsica);
    matches!(part(0, 1), 1..=4 | 7 | 8)
        && matches!(part(3, 2), 1..=12 | 20..=42 | 50..=99)
        && part(13, 2) == 97_u64.wrapping_sub(number % 97)
        && (word.has_marks(FRENCH) || word.has_marks(FRENCH_KEY))
}

/// Italy, codice fiscale (D.M. 12 March 1974): six letters of the name, year, month, day, municipality, check letter.
/// Digits may be letters where two people would share one.
fn is_italian(word: &Word) -> bool {
    let characters = word.characters();
    let digit_of = |byte: u8| byte.is_ascii_digit() || b"LMNPQRSTUV".contains(&byte);
    let has_form = characters.iter().enumerate().all(|(place, byte)| match place {
        0..=5 | 11 | 15 => byte.is_ascii_uppercase(),
        8 => b"ABCDEHLMPRST".contains(byte),
        _ => digit_of(*byte),
    });
    // What the characters 0 to 9 and A to Z count at odd places.
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let sum = characters.iter().take(15).enumerate().fold(0_u32, |sum, (place, byte)| {
        let value = if byte.is_ascii_digit() { byte.wrapping_sub(b'0') } else { byte.wrapping_sub(b'A') };
        let counts =
            if place % 2 == 0 { ODD.get(usize::from(value)).copied().unwrap_or_default() } else { u32::from(value) };
        sum.wrapping_add(counts)
    });
    let check = characters.last().map(|byte| u32::from(byte.wrapping_sub(b'A')));
    has_form && check == Some(sum % 26) && word.marks == 0
}
