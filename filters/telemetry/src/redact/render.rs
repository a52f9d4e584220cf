//! The text that comes out.

use std::borrow::Cow;

use super::mode::{HashKey, Mode, REDACTED, shown_bytes};
use super::pattern;
use super::span::Span;
use super::view::View;

/// What becomes of bytes that are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// `%XX`, as they ought to have been written in a URL.
    Escaped,
    /// U+FFFD, one for each sequence that is wrong.
    Replaced,
}

/// What stands for the rest that was not looked at.
const CUT: &str = "…";

pub(super) struct Rendering<'v, 'a> {
    pub(super) view: &'v View<'a>,
    /// There is one wherever a span is hashed, else it is masked.
    pub(super) key: Option<&'v HashKey>,
    pub(super) bytes: Bytes,
    /// In bytes.
    pub(super) limit: usize,
}

impl<'a> Rendering<'_, 'a> {
    /// The text with `spans`, which are in order and apart, replaced.
    pub(super) fn text(&self, spans: &[Span]) -> Cow<'a, str> {
        let is_cut = self.view.is_cut();
        let end = match is_cut {
            true => pattern::known_end(self.view.bytes()),
            false => self.view.bytes().len(),
        };
        let raw = self.view.raw(0, end);
        if spans.is_empty() {
            let valid = raw.utf8_chunks().next().map(|chunk| chunk.valid()).unwrap_or_default();
            if valid.len() > self.limit || valid.len() == raw.len() && !is_cut {
                return Cow::Borrowed(valid.get(..self.cut(valid)).unwrap_or_default());
            }
        }
        let mut out = String::with_capacity(self.limit.min(raw.len().saturating_add(REDACTED.len())));
        let mut start = 0;
        for span in spans.iter().filter(|span| span.start < end) {
            // The rest is cut off in any case.
            if out.len() > self.limit {
                break;
            }
            self.copy(start, span.start, &mut out);
            // Of what may go on beyond the end, neither the last characters are known nor the hash.
            let mode = if span.end > end { span.mode.max(Mode::Mask) } else { span.mode };
            self.replace(Span { mode, ..*span }, &mut out);
            start = span.end;
        }
        self.copy(start, end, &mut out);
        if is_cut {
            out.push_str(CUT);
        }
        out.truncate(self.cut(&out));
        Cow::Owned(out)
    }

    fn copy(&self, start: usize, end: usize, out: &mut String) {
        for chunk in self.view.raw(start, end).utf8_chunks() {
            if out.len() > self.limit {
                return;
            }
            out.push_str(chunk.valid());
            match self.bytes {
                Bytes::Replaced if chunk.invalid().is_empty() => {}
                Bytes::Replaced => out.push(char::REPLACEMENT_CHARACTER),
                Bytes::Escaped => {
                    for byte in chunk.invalid() {
                        out.push('%');
                        for digit in [byte >> 4, byte & 15] {
                            out.extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
                        }
                    }
                }
            }
        }
    }

    fn replace(&self, span: Span, out: &mut String) {
        let value = self.view.slice(span.start, span.end);
        match (span.mode, self.key) {
            (Mode::Drop, _) => {}
            (Mode::Hash, Some(key)) => match span.pattern {
                Some(pattern) => key.write(pattern.canonical(value), out),
                None => key.write(value.iter().copied(), out),
            },
            (Mode::Partial, _) => {
                out.push_str(REDACTED);
                self.copy(span.end.saturating_sub(shown_bytes(value)), span.end, out);
            }
            (Mode::Mask | Mode::Hash, _) => out.push_str(REDACTED),
        }
    }

    /// Where to cut a text to keep within the limit, neither in a character nor in an escape.
    fn cut(&self, text: &str) -> usize {
        if text.len() <= self.limit {
            return text.len();
        }
        let end = text.floor_char_boundary(self.limit);
        let kept = text.get(..end).unwrap_or_default();
        let tail = kept.len().saturating_sub(2);
        match kept.bytes().skip(tail).position(|byte| byte == b'%') {
            Some(place) if self.bytes == Bytes::Escaped => tail.saturating_add(place),
            _ => end,
        }
    }
}
