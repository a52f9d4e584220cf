//! Secrets that are known by their looks.
//!
//! Everything is found in one pass and a fixed number of bytes is looked at for each place where something may begin, so
//! that no text costs more than in proportion to its length.

mod iban;
mod mail;
mod national;
mod number;
mod payment;
mod phone;
mod token;

use std::ops::Range;

use number::Groups;

/// The kinds of secrets, each of which a policy can switch off or give a mode of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Email,
    Card,
    Jwt,
    Bearer,
    Phone,
    NationalId,
    Iban,
    Userinfo,
}

impl Pattern {
    pub(super) const ALL: [(&str, Pattern); 8] = [
        ("email", Pattern::Email),
        ("card", Pattern::Card),
        ("jwt", Pattern::Jwt),
        ("bearer", Pattern::Bearer),
        ("phone", Pattern::Phone),
        ("national_id", Pattern::NationalId),
        ("iban", Pattern::Iban),
        ("userinfo", Pattern::Userinfo),
    ];

    /// The same secret in the same bytes, however it was written: what a hash is made of.
    pub(super) fn canonical(self, text: &[u8]) -> impl Iterator<Item = u8> {
        text.iter().copied().filter_map(move |byte| match self {
            Pattern::Email => Some(byte.to_ascii_lowercase()),
            Pattern::Card | Pattern::Phone | Pattern::NationalId | Pattern::Iban => {
                byte.is_ascii_alphanumeric().then(|| byte.to_ascii_uppercase())
            }
            Pattern::Jwt | Pattern::Bearer | Pattern::Userinfo => Some(byte),
        })
    }
}

/// Calls `found` for everything in `text` that looks like a secret of a pattern that `is_on`, in no certain order.
pub(super) fn find(text: &[u8], is_on: impl Fn(Pattern) -> bool, mut found: impl FnMut(Pattern, Range<usize>)) {
    // What is surrounded by anything comes first; between these, the rest of the text is as if it stood alone.
    let mut wholes: Vec<(Pattern, Range<usize>)> = Vec::new();
    if is_on(Pattern::Userinfo) {
        token::find_userinfo(text, |range| wholes.push((Pattern::Userinfo, range)));
    }
    if is_on(Pattern::Jwt) {
        token::find_jwt(text, |range| wholes.push((Pattern::Jwt, range)));
    }
    if is_on(Pattern::Email) {
        mail::find(text, |range| wholes.push((Pattern::Email, range)));
    }
    wholes.sort_unstable_by_key(|(_, range)| range.start);
    let mut start = 0;
    for (pattern, range) in wholes {
        // An overlap goes to the merging of spans.
        find_words(text, start..range.start, &is_on, &mut found);
        start = start.max(range.end);
        found(pattern, range);
    }
    find_words(text, start..text.len(), &is_on, &mut found);
}

/// Up to where nothing in `text` can be the beginning of a secret that its end cuts off.
pub(super) fn known_end(text: &[u8]) -> usize {
    text.len().saturating_sub(LONGEST).min(token::open_jwt(text)).min(token::open_userinfo(text))
}

/// The most characters of what begins at a word or has an end of its own: an e-mail address (RFC 5321 §4.5.3.1: 64, the
/// `@` and 255). Tokens and the user information of a URL are as long as they like.
const LONGEST: usize = 320;

/// What begins where a word does.
fn find_words(
    text: &[u8],
    within: Range<usize>,
    is_on: &impl Fn(Pattern) -> bool,
    found: &mut impl FnMut(Pattern, Range<usize>),
) {
    let mut rest = text.get(within.clone()).unwrap_or_default();
    let mut start = within.start;
    let mut before = None;
    let mut before_that = None;
    while let Some((first, tail)) = rest.split_first() {
        let in_word = before.is_some_and(|byte: u8| byte.is_ascii_alphanumeric());
        let matched = match in_word {
            true => None,
            false if is_uuid(rest) => Some((None, UUID)),
            false => {
                let found = read(rest, Left { before, before_that }, is_on);
                found.map(|(pattern, range)| (Some((pattern, range.clone())), range.end))
            }
        };
        match matched {
            None => {
                (before_that, before) = (before, Some(*first));
                (rest, start) = (tail, start.saturating_add(1));
            }
            Some((what, length)) => {
                if let Some((pattern, range)) = what {
                    found(pattern, start.saturating_add(range.start)..start.saturating_add(range.end));
                }
                (before_that, before) = (None, None);
                rest = rest.get(length..).unwrap_or_default();
                start = start.saturating_add(length);
            }
        }
    }
}

/// The two bytes before a word.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    before: Option<u8>,
    before_that: Option<u8>,
}

impl Left {
    /// Whether what comes is the later part of a number that is written in groups.
    fn continues_number(self) -> bool {
        self.before.is_some_and(|byte| b"-._".contains(&byte))
            && self.before_that.is_some_and(|byte| byte.is_ascii_digit())
    }
}

/// What begins with the word that `text` begins with, the surer kind first, and which part of it is secret.
fn read(text: &[u8], left: Left, is_on: &impl Fn(Pattern) -> bool) -> Option<(Pattern, Range<usize>)> {
    let first = text.first()?;
    let when =
        |pattern: Pattern, range: Option<Range<usize>>| range.filter(|_| is_on(pattern)).map(|range| (pattern, range));
    match first {
        b'a'..=b'z' | b'A'..=b'Z' => when(Pattern::Bearer, token::read_bearer(text))
            .or_else(|| when(Pattern::Iban, iban::read(text)))
            .or_else(|| when(Pattern::NationalId, national::read_word(text, left))),
        b'0'..=b'9' => {
            // The groups are read once, for all that they may be.
            let groups = Groups::read(text);
            when(Pattern::Card, payment::find(&groups))
                .or_else(|| when(Pattern::NationalId, national::find(&groups, left)))
                .or_else(|| when(Pattern::NationalId, national::read_word(text, left)))
                .or_else(|| when(Pattern::Phone, phone::find_national(&groups, left)))
        }
        b'+' => when(Pattern::Phone, phone::read_international(text)),
        b'(' => when(Pattern::Phone, phone::read_in_parentheses(text, left)),
        _ => None,
    }
}

const UUID: usize = 36;

/// A UUID (RFC 9562 §4), which is no secret whatever its digits look like.
fn is_uuid(text: &[u8]) -> bool {
    let Some((head, tail)) = text.split_at_checked(UUID) else {
        return false;
    };
    let shape = head.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    shape && ends_word(tail)
}

/// Whether a word ends before `rest`.
fn ends_word(rest: &[u8]) -> bool {
    !rest.first().is_some_and(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests;
