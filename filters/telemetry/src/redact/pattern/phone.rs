//! Telephone numbers.
//!
//! Bare digits are ids, amounts and times far more often than telephone numbers, so a number counts only where something
//! tells: the `+` of E.164, `00` and a country code, or the marks of a national number.

use std::ops::Range;

use super::Left;
use super::number::{Groups, Number};

/// `+` and 8 to 15 digits (E.164 §6.2.1: at most 15), the first not 0, with or without marks between them:
/// `+49 (30) 123-4567`. A `+` after a letter or a digit is a space or a sum.
pub(super) fn read_international(text: &[u8]) -> Option<Range<usize>> {
    let digits = text.strip_prefix(b"+")?;
    if digits.starts_with(b"0") {
        return None;
    }
    let groups = Groups::read_any(digits);
    let number = groups.numbers().find(|number| (8..=15).contains(&number.digits.len()))?;
    Some(0..number.end.saturating_add(1))
}

/// One of
/// - `00`, then 11 to 15 digits, or 8 to 15 in groups;
/// - `0` and another digit, 9 to 12 digits in groups of at least two with the same mark between them, but for the one
///   after the area code: `030 1234567`, `(0171) 123 45 67`, `01 23 45 67 89`; not a date such as `04-11-2024`;
/// - North America: three, three and four digits with the same mark, a `1` before them or not: `(212) 555-0123`.
///
/// It is no part of a longer number with `-` or `.` in it.
pub(super) fn find_national(groups: &Groups, left: Left) -> Option<Range<usize>> {
    find(groups, left, |_| true)
}

/// The same with its first group in parentheses.
pub(super) fn read_in_parentheses(text: &[u8], left: Left) -> Option<Range<usize>> {
    let groups = Groups::read(text.strip_prefix(b"(")?);
    let is_closed = |number: Number<'_>| number.marks().next().is_some_and(|mark| mark.byte == b')');
    find(&groups, left, is_closed).map(|range| 0..range.end.saturating_add(1))
}

fn find(groups: &Groups, left: Left, is_right: impl Fn(Number<'_>) -> bool) -> Option<Range<usize>> {
    if left.continues_number() {
        return None;
    }
    let number = groups.numbers().find(|number| {
        number.is_all()
            && is_right(*number)
            && (is_prefixed(*number) || is_trunk(*number) || is_north_american(*number))
    })?;
    Some(0..number.end)
}

fn is_prefixed(number: Number<'_>) -> bool {
    let [0, 0, rest @ ..] = number.digits else { return false };
    let least = if number.marks().next().is_some() { 8 } else { 11 };
    !rest.starts_with(&[0]) && (least..=15).contains(&rest.len())
}

fn is_trunk(number: Number<'_>) -> bool {
    let [0, 1..=9, ..] = number.digits else { return false };
    let mut later = number.marks().skip(1);
    let later_mark = later.next();
    (9..=12).contains(&number.digits.len())
        && number.marks().next().is_some_and(|mark| b" -/)+".contains(&mark.byte))
        && later_mark.is_none_or(|first| b" -+".contains(&first.byte) && later.all(|mark| mark == first))
        && number.lengths().all(|length| length >= 2)
        && !is_date(number)
}

fn is_date(number: Number<'_>) -> bool {
    number.lengths().take(3).eq([2, 2, 4])
        && number.value(0, 2) <= 31
        && number.value(2, 2) <= 31
        && (1900..=2099).contains(&number.value(4, 4))
}

fn is_north_american(number: Number<'_>) -> bool {
    let (local, has_shape) = match number.digits {
        [1, local @ ..] => (local, number.has_lengths(&[1, 3, 3, 4])),
        local => (local, number.has_lengths(&[3, 3, 4])),
    };
    let mut marks = number.marks().skip(number.lengths().count().saturating_sub(3));
    let in_parentheses = marks.next().is_some_and(|mark| mark.byte == b')');
    has_shape && matches!(local, [2..=9, _, _, 2..=9, ..]) && (in_parentheses || number.has_one_mark_of(b" -.+"))
}
