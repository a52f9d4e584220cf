//! Values that stand under a name: `name=value` and `"name": value` in any text.
//!
//! A name counts however it is written, escaped or not and at any depth. A value ends only at a delimiter that is itself
//! not escaped: what is `%26` to one reader may be part of the secret to another, so the doubtful rest goes with it.

use std::ops::Range;

use super::mode::Mode;
use super::names::{Names, Place};
use super::span::{self, Span};
use super::syntax::Syntax;
use super::view::View;

/// Adds the values of listed names to `spans`, also those within another value.
pub(super) fn find(view: &View<'_>, within: Range<usize>, syntax: Syntax, names: &Names, spans: &mut Vec<Span>) {
    let mut ends = Ends { view, syntax, end: within.end, known: Default::default() };
    let mut name_start = within.start;
    // Where the next name begins if it has a letter or a digit: marks before the `=` still belong to the last.
    let mut next_start = None;
    for (at, byte) in view.each(within.clone()) {
        if byte == b'=' || byte == b':' && syntax != Syntax::Path {
            let name = last_word(view.slice(name_start, at), syntax);
            if let Some(mode) = names.find(name, Place::Field) {
                let mark_end = at.saturating_add(1);
                let (value, quote) = begin_value(view, mark_end..within.end);
                let start = if mode == Mode::Drop { name_start } else { value };
                let end = ends.after(value, quote);
                if value < end {
                    spans.push(Span { start, end, mode, pattern: None });
                }
            }
            name_start = at.saturating_add(1);
            next_start = None;
        } else if ends_name(byte) {
            next_start = Some(at.saturating_add(1));
        } else if byte.is_ascii_alphanumeric() {
            name_start = next_start.take().unwrap_or(name_start);
        }
    }
}

/// What a name has none of inside. Brackets, dots and quotes it may have: `user[password]`.
fn ends_name(byte: u8) -> bool {
    byte.is_ascii_control() || b"&;?#,{}()<>|/".contains(&byte)
}

/// In prose, the word before the `=` is the name; a parameter's name may have spaces in it.
fn last_word(name: &[u8], syntax: Syntax) -> &[u8] {
    let last = name.iter().rposition(u8::is_ascii_alphanumeric).unwrap_or_default();
    let name = name.get(..=last).unwrap_or_default();
    match syntax {
        Syntax::Field => name.rsplit(|byte| *byte == b' ').next().unwrap_or_default(),
        Syntax::Path | Syntax::Query => name,
    }
}

/// Where the value after a `=` or `:` begins, and its quotation mark.
fn begin_value(view: &View<'_>, after: Range<usize>) -> (usize, Option<u8>) {
    let mut blank = view.each(after.clone()).take_while(|(_, byte)| b" \t\r\n\\\"'".contains(byte));
    let length = blank.clone().count();
    let quote = blank.find(|(_, byte)| *byte == b'"' || *byte == b'\'');
    (after.start.saturating_add(length), quote.map(|(_, byte)| byte))
}

/// Where values end. Names in a value share its end, so that it is looked for once.
struct Ends<'v, 'a> {
    view: &'v View<'a>,
    syntax: Syntax,
    end: usize,
    /// The last end that was found of a value without quotes, with double and with single ones.
    known: [usize; 3],
}

impl Ends<'_, '_> {
    /// Where the value that begins at `start` ends; each `start` is after the one before.
    fn after(&mut self, start: usize, quote: Option<u8>) -> usize {
        let kind = match quote {
            None => 0,
            Some(b'"') => 1,
            Some(_) => 2,
        };
        let found = match self.known.get(kind) {
            Some(known) if *known >= start && *known > 0 => return *known,
            _ => self.find(start, quote),
        };
        if let Some(known) = self.known.get_mut(kind) {
            *known = found;
        }
        found
    }

    fn find(&self, start: usize, quote: Option<u8>) -> usize {
        let view = self.view;
        let within = start..self.end;
        match self.syntax {
            Syntax::Path => view.find_literal(within, |byte| byte == b'/'),
            Syntax::Query => view.find_literal(within, |byte| byte == b'&'),
            Syntax::Field => {
                let mut escaped = false;
                let stop = view.each(within).find(|(at, byte)| {
                    let is_escaped = escaped;
                    escaped = *byte == b'\\' && !is_escaped;
                    let stops = match quote {
                        Some(quote) => *byte == quote && !is_escaped,
                        None => match byte {
                            b'&' | b'\r' | b'\n' => true,
                            b';' => view.bytes().get(at.saturating_add(1)).is_none_or(|next| *next == b' '),
                            _ => false,
                        },
                    };
                    stops && view.is_literal(*at)
                });
                stop.map_or(self.end, |(at, _)| at)
            }
        }
    }
}

/// Widens what is dropped of a query, `within`, to whole parameters, each with the `&` after it, and the last one with
/// the one before.
pub(super) fn drop_parameters(view: &View<'_>, within: Range<usize>, spans: &mut Vec<Span>) {
    let is_mark = |byte: u8| byte == b'&';
    let mut reached = within.start;
    for span in spans.iter_mut().filter(|span| span.mode == Mode::Drop && span.end > within.start) {
        if span.end > reached {
            let before = view.each(reached..span.start).rev().find(|(at, byte)| is_mark(*byte) && view.is_literal(*at));
            span.start = before.map_or(reached.min(span.start), |(at, _)| at.saturating_add(1));
            reached = view.find_literal(span.end..within.end, is_mark).saturating_add(1).min(within.end);
            span.end = reached;
        }
    }
    span::merge(spans);
    if let Some(last) = spans.last_mut().filter(|span| span.mode == Mode::Drop && span.end == within.end)
        && last.start > within.start
    {
        last.start = last.start.saturating_sub(1);
    }
}
