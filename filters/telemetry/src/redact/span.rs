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

/// Puts spans in order and makes one of those that overlap; a drop prevails.
pub(super) fn merge(spans: &mut Vec<Span>) {
    spans.sort_unstable_by_key(|span| span.start);
    spans.dedup_by(|span, before| {
        if span.start >= before.end {
            return false;
        }
        before.end = before.end.max(span.end);
        if span.mode == Mode::Drop {
            before.mode = Mode::Drop;
        }
        true
    });
}
