//! What is shown of the line that a message is about.
//!
//! Not the line as it stands: other fields and comments on it may hold secrets. It is the field and its value, and the value
//! only where the message itself quotes it. So an excerpt never shows more of a document than the message does, and those
//! show no secrets.

use super::secrets::may_hold_secret;
use super::tree::Place;
use super::{Found, Policy};

/// A piece of a line.
pub(crate) struct Excerpt {
    /// From 1.
    pub(crate) line: u64,
    /// The piece, without line ends or control characters.
    pub(crate) text: String,
    /// How many characters come before the one that is pointed at.
    pub(crate) before: usize,
    /// How many characters are pointed at.
    pub(crate) pointed: usize,
}

/// So many characters of a value are shown; a message quotes as many.
const MOST: usize = 64;

impl Excerpt {
    /// `found` is what the message is about.
    pub(crate) fn of(policy: &Policy, found: &Found<'_>, message: &str) -> Option<Excerpt> {
        let name = found.field.and_then(|field| slice(policy, field.at));
        let value = Some(found.node).filter(|node| node.is_scalar() && is_quoted(found, message));
        let value = value.and_then(|node| slice(policy, node.at));
        let line = found.field.map_or(found.node.at.line, |field| field.at.line);
        let is_same_line = found.field.is_none_or(|field| field.at.line == found.node.at.line);
        let (head, pointed) = match (name, value.filter(|_| is_same_line)) {
            (Some(name), Some(value)) => (format!("{}: ", cut(name)), cut(value)),
            (Some(name), None) => (String::new(), cut(name)),
            (None, Some(value)) => ("- ".to_owned(), cut(value)),
            (None, None) => return None,
        };
        let before = head.chars().count();
        let tail = if before == 0 { ": …" } else { "" };
        let text = format!("{head}{pointed}{tail}");
        if text.chars().any(char::is_control) {
            return None;
        }
        Some(Excerpt { line, text, before, pointed: pointed.chars().count() })
    }
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(MOST).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// Whether the message quotes the value: `found "forwrd"`, `found 10`.
fn is_quoted(found: &Found<'_>, message: &str) -> bool {
    let quotes = match found.node.text() {
        Some(_) => message.contains(": found \""),
        None => message.contains(": found "),
    };
    found.is_exact && quotes && !may_hold_secret(&found.path, found.node)
}

/// The text at a place, where that is known and all on one line.
fn slice(policy: &Policy, place: Place) -> Option<&str> {
    let start = place.offset?;
    let end = start.checked_add(place.length)?;
    let text = policy.text.get(start..end).filter(|text| !text.is_empty())?;
    (!text.contains(['\n', '\r'])).then_some(text)
}

#[cfg(test)]
mod tests {
    use crate::document::{Excerpt, File, locate};

    fn excerpt(text: &str, message: &str) -> Option<(String, usize, usize)> {
        let file = File::of("policy.yaml", text.into()).unwrap();
        let policy = file.only().unwrap().map_err(|error| error.message.clone()).unwrap();
        let root = policy.root();
        let excerpt = Excerpt::of(policy, &locate(&root, message), message)?;
        Some((excerpt.text, excerpt.before, excerpt.pointed))
    }

    #[test]
    fn a_field_is_shown_with_the_value_that_the_message_quotes() {
        let table = [
            ("a: { mode: forwrd, x: s3cr3t } # s3cr3t", r#"a.mode: found "forwrd", accepted"#, "mode: forwrd", 6, 6),
            ("a: ['x', \"ü\\n\"]", r#"a[1]: found "ü\n""#, "- \"ü\\n\"", 2, 5),
            ("a:\n  b: 17", "a.b: found 17, accepted: an object", "b: 17", 3, 2),
        ];
        for (text, message, shown, before, pointed) in table {
            assert_eq!(excerpt(text, message), Some((shown.to_owned(), before, pointed)), "{text}");
        }
    }

    #[test]
    fn no_more_of_a_value_is_shown_than_the_message_quotes() {
        let text = format!("a: {}s3cr3t", "ü".repeat(64));
        let (shown, _, pointed) = excerpt(&text, "a: found \"ü").unwrap();
        assert_eq!((shown, pointed), (format!("a: {}", "ü".repeat(64)), 64));
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let table = [
            // A secret under a misspelt name.
            ("sampling: { force: { secrte: s3cr3t } }", "sampling.force.secrte: unknown field, accepted: secret"),
            // A whole section that arrives as a string.
            ("sampling: s3cr3t", "sampling: found a string, accepted: an object"),
            ("sampling: { force: { secret: s3cr3t } }", "sampling.force.secret: not a secret that can be used"),
            ("sampling: { force: { secret: s3cr3t } }", "sampling.force.secret: found \"x\""),
            ("trace: { x: { y: s3cr3t } }", "trace.x: found an object, accepted: a string"),
            ("trace:\n  mode: |\n    s3cr3t\n    s3cr3t\n", "trace.mode: found \"s3cr3t"),
            // The query of a path, however it is written.
            ("http: { path: 'a?s3cr3t' }", "http.path: found \"a\" with a query"),
            ("http: { path: \"a\\x3fs3cr3t\" }", "http.path: found \"a\" with a query"),
        ];
        for (text, message) in table {
            let shown = excerpt(text, message);
            assert!(!shown.is_some_and(|(shown, ..)| shown.contains("s3cr3t")), "{text}");
        }
    }

    #[test]
    fn what_is_missing_points_at_the_field_that_it_is_missing_from() {
        let shown = excerpt("a:\n  rule: {}\n", "a.rule.rate: missing, accepted: a fraction");
        assert_eq!(shown, Some(("rule: …".to_owned(), 0, 4)));
        assert_eq!(excerpt("a: [{}]", "a[0].rate: missing"), None);
    }
}
