//! Stretches of a decoded text that may not be shown.

use super::mode::Mode;
use super::pattern::Pattern;

/// What is to be replaced: a range of the decoded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) mode: Mode,
    /// `None`: it is the value of a listed name.
    pub(super) pattern: Option<Pattern>,
}

/// Puts spans in order and makes one of those that overlap, so that none shows what another hides. What is dropped is one
/// as well where it meets.
pub(super) fn merge(spans: &mut Vec<Span>) {
    spans.sort_unstable_by_key(|span| span.start);
    spans.dedup_by(|span, before| {
        let is_dropped = span.mode == Mode::Drop && before.mode == Mode::Drop;
        if span.start > before.end || span.start == before.end && !is_dropped {
            return false;
        }
        before.end = before.end.max(span.end);
        before.mode = strictest(*before, *span);
        before.pattern = before.pattern.filter(|pattern| span.pattern == Some(*pattern));
        true
    });
}

/// The mode for two secrets that make one stretch: the stricter. But where a name says `hash`, the whole value is hashed,
/// which tells nothing of a pattern in it that would be masked: who follows a user by his id can if it is an e-mail
/// address.
pub(super) fn strictest(one: Span, other: Span) -> Mode {
    let hashes = |name: Span, pattern: Span| {
        name.pattern.is_none() && name.mode == Mode::Hash && pattern.pattern.is_some() && pattern.mode == Mode::Mask
    };
    match hashes(one, other) || hashes(other, one) {
        true => Mode::Hash,
        false => one.mode.max(other.mode),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_stricter_of_two_is_the_same_in_either_order() {
        let span = |mode, pattern| Span { start: 0, end: 1, mode, pattern };
        let email = Some(Pattern::Email);
        let table = [
            (span(Mode::Hash, None), span(Mode::Mask, email), Mode::Hash),
            (span(Mode::Hash, None), span(Mode::Mask, None), Mode::Mask),
            (span(Mode::Hash, None), span(Mode::Drop, email), Mode::Drop),
            (span(Mode::Mask, None), span(Mode::Hash, email), Mode::Mask),
            (span(Mode::Partial, None), span(Mode::Hash, email), Mode::Hash),
        ];
        for (one, other, expected) in table {
            assert_eq!((strictest(one, other), strictest(other, one)), (expected, expected), "{one:?} {other:?}");
        }
    }
}
