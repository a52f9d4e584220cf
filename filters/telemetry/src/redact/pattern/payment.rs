//! Numbers of payment cards (ISO/IEC 7812-1).

use std::ops::Range;

use super::number::{Groups, Number, is_luhn};

/// 13 to 19 digits with Luhn's check, together or in groups of at least four (the last may be shorter) with the same
/// mark between all of them, that begin as cards do: with 2 to 6 (Mastercard, Mir, American Express, Diners, JCB, Visa,
/// Discover, UnionPay, Maestro), 81, 82 (RuPay) or 9792 (Troy). Unix time in milliseconds and finer begins with 1.
pub(super) fn find(groups: &Groups) -> Option<Range<usize>> {
    groups.numbers().find(|number| is_card(*number)).map(|number| 0..number.end)
}

fn is_card(number: Number<'_>) -> bool {
    let begins_as_card = matches!(number.digits, [2..=6, ..] | [8, 1 | 2, ..] | [9, 7, 9, 2, ..])
        && number.digits.iter().any(|digit| Some(digit) != number.digits.first());
    let groups = number.marks().count();
    (13..=19).contains(&number.digits.len())
        && begins_as_card
        && number.has_one_mark_of(b" -.+")
        && number.lengths().take(groups).all(|length| length >= 4)
        && is_luhn(number.digits)
}
