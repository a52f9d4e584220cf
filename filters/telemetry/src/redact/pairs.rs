//! Values that stand under a name: `name=value` and `"name": value` in any text, and the segment of a path after the one
//! that names it.
//!
//! A name counts however it is written, escaped or not and at any depth. A value ends only at a delimiter that is itself
//! not escaped: what is `%26` to one reader may be part of the secret to another, so the doubtful rest goes with it.

use super::mode::Mode;
use super::names::{Names, Place};
use super::span::Span;
use super::view::View;

/// What a text is, which says where a name begins and a value ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Segments with matrix parameters (`;v=1`); a value ends with its segment.
    Path,
    /// Parameters; a value ends at `&`. A `;` begins a parameter but ends no value.
    Query,
    /// The value of a header or an attribute: a value ends at `&`, at the end of a line and of a quoted string, and at a
    /// `;` before a space, as in a cookie.
    Value,
}

/// Adds the values of listed names in a path to `spans`.
pub(super) fn find_in_path(view: &View<'_>, end: usize, names: &Names, spans: &mut Vec<Span>) {
    // The listed segment whose value comes next, and where it began.
    let mut pending: Option<(Mode, usize)> = None;
    let mut start: usize = 0;
    // Up to here all is said: the value began in an escaped part of its segment.
    let mut done = 0;
    for segment in view.slice(0, end).split(|byte| *byte == b'/') {
        let after = start.saturating_add(segment.len());
        if !segment.is_empty() {
            let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
            let named = names.find(name, Place::Segment).map(|mode| (mode, start));
            match pending {
                _ if start < done => {}
                Some((mode, name_start)) => {
                    done = find_literal(view, start, end, |byte| byte == b'/');
                    let start = if mode == Mode::Drop { name_start.saturating_sub(1) } else { start };
                    spans.push(Span { start, end: done, mode, pattern: None });
                }
                None => done = find_pairs(view, start..after, end, Kind::Path, names, spans),
            }
            pending = named;
        }
        start = after.saturating_add(1);
    }
}

/// Adds the values of those listed names that stand in `within` to `spans`, in order. A value may reach beyond, up to
/// `end`. Returns where the last one ends.
pub(super) fn find_pairs(
    view: &View<'_>,
    within: std::ops::Range<usize>,
    end: usize,
    kind: Kind,
    names: &Names,
    spans: &mut Vec<Span>,
) -> usize {
    let start = within.start;
    let mut name_start = start;
    let mut done = start;
    for (offset, byte) in view.slice(start, within.end).iter().enumerate() {
        let at = start.saturating_add(offset);
        if at < done {
            continue;
        }
        let assigns = *byte == b'=' || *byte == b':' && kind != Kind::Path;
        if assigns {
            let name = trim_end_of_name(view.slice(name_start, at));
            if let Some(mode) = names.find(last_words(name, kind), Place::Field) {
                let value = begin_value(view, at.saturating_add(1), end);
                done = end_value(view, at, value, end, kind);
                if value < done {
                    let (start, end) = match mode {
                        Mode::Drop => whole_pair(view, name_start, done, end, kind),
                        _ => (value, done),
                    };
                    spans.push(Span { start, end, mode, pattern: None });
                }
                name_start = done;
                continue;
            }
        }
        if assigns || ends_name(*byte) {
            name_start = at.saturating_add(1);
        }
    }
    done
}

/// A parameter of a query with the `&` after it; elsewhere from the name to the end of the value.
pub(super) fn whole_pair(view: &View<'_>, from: usize, to: usize, end: usize, kind: Kind) -> (usize, usize) {
    if kind != Kind::Query {
        return (from, to);
    }
    let before = view.slice(0, from).iter().enumerate().rev().find(|(at, byte)| **byte == b'&' && view.is_literal(*at));
    let start = before.map_or(0, |(at, _)| at.saturating_add(1));
    (start, find_literal(view, to, end, |byte| byte == b'&').saturating_add(1).min(end))
}

/// What a name is not made of. Brackets, dots and quotes are: `user[password]`.
fn ends_name(byte: u8) -> bool {
    byte.is_ascii_control() || b"&;?#,{}()<>|/".contains(&byte)
}

/// `"token\": ` is the name `token`.
fn trim_end_of_name(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| !b" \t\"'\\".contains(byte));
    name.get(..=end.unwrap_or_default()).unwrap_or_default()
}

/// In prose, the word before the `=` is the name; a parameter's name may have spaces in it.
fn last_words(name: &[u8], kind: Kind) -> &[u8] {
    match kind {
        Kind::Value => name.rsplit(|byte| *byte == b' ').next().unwrap_or_default(),
        Kind::Path | Kind::Query => name,
    }
}

fn begin_value(view: &View<'_>, start: usize, end: usize) -> usize {
    let blank = view.slice(start, end).iter().take_while(|byte| b" \t\\\"'".contains(byte)).count();
    start.saturating_add(blank)
}

/// Where the value that begins at `start`, after the mark at `mark`, ends.
fn end_value(view: &View<'_>, mark: usize, start: usize, end: usize, kind: Kind) -> usize {
    match kind {
        Kind::Path => find_literal(view, start, end, |byte| byte == b'/'),
        Kind::Query => find_literal(view, start, end, |byte| byte == b'&'),
        Kind::Value => {
            let quote = view.slice(mark, start).iter().copied().find(|byte| *byte == b'"' || *byte == b'\'');
            let mut escaped = false;
            let mut rest =
                view.slice(start, end).iter().enumerate().map(|(offset, byte)| (start.saturating_add(offset), *byte));
            let stop = rest.find(|(at, byte)| {
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
            stop.map_or(end, |(at, _)| at)
        }
    }
}

/// The first byte from `start` on that is not escaped and passes `check`, else `end`.
pub(super) fn find_literal(view: &View<'_>, start: usize, end: usize, check: impl Fn(u8) -> bool) -> usize {
    let mut bytes = view.slice(start, end).iter().enumerate();
    let found = bytes.find(|(offset, byte)| check(**byte) && view.is_literal(start.saturating_add(*offset)));
    found.map_or(end, |(offset, _)| start.saturating_add(offset))
}
