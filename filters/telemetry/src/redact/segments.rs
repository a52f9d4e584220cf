//! Segments of a path that name the one after them: `/reset-password/…`.

use std::ops::Range;

use super::mode::Mode;
use super::names::{Names, Place};
use super::span::Span;
use super::syntax::Syntax;
use super::view::View;

/// Adds the segments that stand after a listed one to `spans`: of a path, or of whatever has a path in it, in which one
/// begins with a `/`.
pub(super) fn find(view: &View<'_>, within: Range<usize>, syntax: Syntax, names: &Names, spans: &mut Vec<Span>) {
    let is_path = syntax == Syntax::Path;
    let ends_path = |byte: u8| !is_path && (byte.is_ascii_control() || b"?#&\"<> ".contains(&byte));
    // Where the segment that is being read began; there is none outside of a path.
    let mut segment = is_path.then_some(within.start);
    // The listed segment whose value comes next, and where it began.
    let mut named: Option<(Mode, usize)> = None;
    // Where the value that was found last ends: it is looked for once, however many names are in it.
    let mut done = within.start;
    for at in within.start..=within.end {
        let byte = view.bytes().get(at).copied().filter(|_| at < within.end);
        let ends = byte.is_none_or(|byte| ends_path(byte) && view.is_literal(at));
        if !ends && byte != Some(b'/') {
            continue;
        }
        if let Some(start) = segment {
            let text = view.slice(start, at);
            let name = text.split(|byte| *byte == b';').next().unwrap_or_default();
            if let Some((mode, name_start)) = named.filter(|_| !is_nothing(text)) {
                if done <= start {
                    done = view.find_literal(start..within.end, |byte| byte == b'/' || ends_path(byte));
                }
                let start = if mode == Mode::Drop { name_start.saturating_sub(1) } else { start };
                spans.push(Span { start, end: done, mode, pattern: None });
            }
            named = match names.find(name, Place::Segment) {
                Some(mode) => Some((mode, start)),
                // What has no letter or digit may be a mark of the router: the secret is still to come.
                None => named.filter(|_| !name.iter().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())),
            };
        }
        segment = (!ends).then(|| at.saturating_add(1));
        named = named.filter(|_| !ends);
    }
}

/// Whether a segment leaves the path as it is: `//`, `/./`, `/%20/`.
fn is_nothing(segment: &[u8]) -> bool {
    segment.iter().all(|byte| *byte == b'.' || *byte == b' ' || byte.is_ascii_control())
}
