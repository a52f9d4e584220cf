//! What must not leak: names and patterns that say that something is a secret, and what is put in its place.
//!
//! ```
//! use sluicegate_telemetry::redact::Redactor;
//! use sluicegate_policy::Document;
//!
//! let policy = br#"{ "version": "1.0", "access_log": { "redact": {
//!     "names": ["customer_id"],
//!     "patterns": { "card": "partial", "phone": "off" }
//! } } }"#;
//! let document = Document::parse(policy, &|name| std::env::var(name).ok())?;
//! let redactor = Redactor::from_policy(&document.section("access_log").subsection("redact"));
//! document.finish()?;
//!
//! let limit = 1024;
//! assert_eq!(redactor.path(b"/users/jane%40example.com/orders", limit), "/users/[redacted]/orders");
//! assert_eq!(redactor.query(b"page=2&access_to%6ben=s3cr3t", limit), "page=2&access_to%6ben=[redacted]");
//! assert_eq!(redactor.query(b"note=4111-1111-1111-1111", limit), "note=[redacted]1111");
//! assert_eq!(redactor.attribute("x-customer-id", b"17", limit).as_deref(), Some("[redacted]"));
//! assert_eq!(redactor.text(b"plain text", limit), "plain text");
//! # Ok::<(), sluicegate_policy::Errors>(())
//! ```
//!
//! What comes out is always UTF-8: other bytes become `%XX` in a path or a query and U+FFFD elsewhere. It is cut to the
//! limit after redaction, so that no half of a secret is left that nobody knows as one: hand in what there is, uncut. All
//! that is not secret stays byte for byte, and a value with nothing secret in it is borrowed.
//!
//! What is compared is percent-decoded to the ground: `%2574oken` is the name `token`. The time taken is linear in the
//! length of what is looked at, whatever is in it: the first three times the limit and 1 KiB. Where redaction makes so
//! much shorter that the rest would have had its place, `…` stands for it.

mod address;
mod mode;
mod names;
mod pairs;
mod pattern;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod properties;
mod render;
mod segments;
mod span;
mod syntax;
#[cfg(test)]
mod tests;
mod view;

use std::borrow::Cow;
use std::ops::Range;

pub use mode::{Mode, REDACTED};

use mode::HashKey;
use names::{Names, Place};
use pattern::Pattern;
use render::{Bytes, Rendering};
use sluicegate_policy::Section;
use span::Span;
use syntax::Syntax;
use view::View;

/// The section `access_log.redact`, compiled.
pub struct Redactor {
    names: Names,
    /// The mode of each pattern that is on.
    patterns: [Option<Mode>; Pattern::ALL.len()],
    key: Option<HashKey>,
    truncates_addresses: bool,
}

const MODES: [(&str, Mode); 4] =
    [("mask", Mode::Mask), ("partial", Mode::Partial), ("hash", Mode::Hash), ("drop", Mode::Drop)];

/// As for a mode; `None` is off.
const MODES_OR_OFF: [(&str, Option<Mode>); 5] = [
    ("mask", Some(Mode::Mask)),
    ("partial", Some(Mode::Partial)),
    ("hash", Some(Mode::Hash)),
    ("drop", Some(Mode::Drop)),
    ("off", None),
];

const A_NAME: &str = "a name in ASCII with 1 to 64 letters and digits";

/// How much is looked at beyond the limit, in bytes: three times as much, for what redaction makes shorter, and something
/// for the secrets that may begin before the end and end after it.
const MORE_TIMES: usize = 3;
const MORE: usize = 1024;

/// The least length of a hash key in bytes: 128 bits, if they are random.
const MIN_KEY: usize = 16;

impl Redactor {
    /// Reads the section `access_log.redact`, of which every field may be absent:
    ///
    /// - `enabled` (default true);
    /// - `mode` (`mask`, `partial`, `hash`, `drop`; default `mask`): for all that has no mode of its own;
    /// - `names`: names to list beside the usual ones;
    /// - `rules: [{ names, mode }]`: names with a mode of their own, listed already or not;
    /// - `keep`: names to take out again;
    /// - `patterns: { email, card, jwt, bearer, phone, national_id, iban, userinfo }`: a mode, or `off`;
    /// - `hash_key`: a secret of at least 16 bytes, required as soon as anything is hashed;
    /// - `client_address` (`full`, `truncate`; default `full`).
    pub fn from_policy(section: &Section<'_>) -> Redactor {
        let mode = section.choice("mode", &MODES).unwrap_or(Mode::Mask);
        let mut hashes = mode == Mode::Hash;
        let mut names = Names::usual(mode);
        for name in section.strings_where("names", names::is_name, A_NAME).unwrap_or_default() {
            names.list(name, mode);
        }
        for rule in section.items("rules") {
            let rule = rule.required();
            let listed = rule.strings_where("names", names::is_name, A_NAME).unwrap_or_default();
            let mode = rule.choice("mode", &MODES).unwrap_or(mode);
            hashes |= mode == Mode::Hash;
            for name in listed {
                names.list(name, mode);
            }
        }
        for name in section.strings_where("keep", names::is_name, A_NAME).unwrap_or_default() {
            names.keep(name);
        }
        let given = section.subsection("patterns");
        let patterns = Pattern::ALL.map(|(name, _)| given.choice(name, &MODES_OR_OFF).unwrap_or(Some(mode)));
        hashes |= patterns.contains(&Some(Mode::Hash));
        let key = section.secret("hash_key", MIN_KEY);
        let enabled = section.boolean("enabled").unwrap_or(true);
        let truncates_addresses = section.choice("client_address", &[("full", false), ("truncate", true)]);
        if hashes && key.is_none() {
            section.reject("hash_key", "a key of at least 16 bytes, since the mode \"hash\" is used");
        }
        let (names, patterns) =
            if enabled { (names, patterns) } else { (Names::default(), [None; Pattern::ALL.len()]) };
        Redactor {
            names,
            patterns,
            key: key.and_then(|key| HashKey::new(key.bytes())),
            truncates_addresses: truncates_addresses.unwrap_or(false),
        }
    }

    /// The path of a URL, in at most `limit` bytes. A segment that is a listed name (`/reset-password/…`) makes a secret
    /// of the next one. A query or a fragment, if there is one, is redacted as such.
    pub fn path<'a>(&self, raw: &'a [u8], limit: usize) -> Cow<'a, str> {
        self.redact(raw, Syntax::Path, Bytes::Escaped, limit)
    }

    /// The query of a URL, without the `?`, in at most `limit` bytes.
    pub fn query<'a>(&self, raw: &'a [u8], limit: usize) -> Cow<'a, str> {
        self.redact(raw, Syntax::Query, Bytes::Escaped, limit)
    }

    /// The value of a header or a custom attribute with this name, in at most `limit` bytes; `None` where it is to be
    /// dropped. A value made from a header is asked for by the header's name. Within a value whose name is not listed,
    /// pairs (`token=…`, `"token": …`, as in a cookie or a `referer`), segments of a path after a listed one and patterns
    /// are redacted.
    pub fn attribute<'a>(&self, name: &str, raw: &'a [u8], limit: usize) -> Option<Cow<'a, str>> {
        let Some(mode) = self.names.find(View::new(name.as_bytes()).bytes(), Place::Field) else {
            return Some(self.redact(raw, Syntax::Field, Bytes::Replaced, limit));
        };
        let view = looked_at(raw, limit);
        let whole = |end, mode| Span { start: 0, end, mode, pattern: None };
        let end = view.bytes().len();
        let inner = self.secrets(&view, Syntax::Field);
        let mode = inner.into_iter().fold(mode, |mode, span| span::strictest(whole(end, mode), span));
        match mode {
            Mode::Drop => None,
            _ if raw.is_empty() => Some(Cow::Borrowed("")),
            // What was not looked at may have something stricter in it.
            Mode::Partial if !view.is_cut() => {
                Some(self.rendering(&view, Bytes::Replaced, limit).text(&[whole(end, mode)]))
            }
            Mode::Hash => {
                let view = View::new(raw);
                Some(self.rendering(&view, Bytes::Replaced, limit).text(&[whole(view.bytes().len(), mode)]))
            }
            Mode::Mask | Mode::Partial => Some(Cow::Borrowed(REDACTED.get(..limit).unwrap_or(REDACTED))),
        }
    }

    /// Free text, in at most `limit` bytes: redacted by patterns alone. A dropped pattern leaves nothing in its place.
    pub fn text<'a>(&self, raw: &'a [u8], limit: usize) -> Cow<'a, str> {
        let view = looked_at(raw, limit);
        let mut spans = Vec::new();
        self.find_patterns(&view, 0..view.bytes().len(), Syntax::Field, &mut spans);
        span::merge(&mut spans);
        self.rendering(&view, Bytes::Replaced, limit).text(&spans)
    }

    /// A client's address as the policy wants it: in full as given, or only its network, without port and zone (/24 of
    /// IPv4, also where it is mapped into IPv6; /48 of IPv6). Of what is no address nothing can be cut off, so
    /// [`REDACTED`] stands for it then.
    pub fn client_address<'a>(&self, address: &'a str) -> Cow<'a, str> {
        if !self.truncates_addresses {
            return Cow::Borrowed(address);
        }
        address::network(address).map_or(Cow::Borrowed(REDACTED), |network| Cow::Owned(network.to_string()))
    }

    /// Whether values under this name are secret, so that they need not even be fetched where they are dropped.
    pub fn mode_of(&self, name: &str) -> Option<Mode> {
        self.names.find(name.as_bytes(), Place::Field)
    }

    fn redact<'a>(&self, raw: &'a [u8], syntax: Syntax, bytes: Bytes, limit: usize) -> Cow<'a, str> {
        let view = looked_at(raw, limit);
        let spans = self.secrets(&view, syntax);
        self.rendering(&view, bytes, limit).text(&spans)
    }

    /// What is secret in a text that begins in this syntax, in order and apart.
    fn secrets(&self, view: &View<'_>, syntax: Syntax) -> Vec<Span> {
        let mut spans = Vec::new();
        let end = view.bytes().len();
        if syntax == Syntax::Field {
            self.find(view, 0..end, Syntax::Field, &mut spans);
            span::merge(&mut spans);
            return spans;
        }
        let mut query = 0..end;
        if syntax == Syntax::Path {
            let path_end = view.find_literal(0..end, |byte| byte == b'?' || byte == b'#');
            self.find(view, 0..path_end, Syntax::Path, &mut spans);
            span::merge(&mut spans);
            // A path of which everything is dropped is still one.
            if let [Span { start, end, mode: Mode::Drop, .. }] = spans.as_mut_slice()
                && view.slice(*start, *end).starts_with(b"/")
                && (*start, *end) == (0, path_end)
            {
                *start = 1;
            }
            query.start = path_end.saturating_add(1).min(end);
        }
        self.find(view, query.clone(), Syntax::Query, &mut spans);
        span::merge(&mut spans);
        pairs::drop_parameters(view, query, &mut spans);
        spans
    }

    fn find(&self, view: &View<'_>, within: Range<usize>, syntax: Syntax, spans: &mut Vec<Span>) {
        pairs::find(view, within.clone(), syntax, &self.names, spans);
        segments::find(view, within.clone(), syntax, &self.names, spans);
        if syntax != Syntax::Path {
            return self.find_patterns(view, within, syntax, spans);
        }
        let mut start = within.start;
        for segment in view.slice(within.start, within.end).split(|byte| *byte == b'/') {
            let end = start.saturating_add(segment.len());
            self.find_patterns(view, start..end, syntax, spans);
            start = end.saturating_add(1);
        }
    }

    fn find_patterns(&self, view: &View<'_>, within: Range<usize>, syntax: Syntax, spans: &mut Vec<Span>) {
        let mode_of = |pattern: Pattern| self.patterns.get(pattern as usize).copied().flatten();
        let text = view.slice(within.start, within.end);
        pattern::find(
            text,
            |pattern| mode_of(pattern).is_some(),
            |pattern, range| {
                let Some(mode) = mode_of(pattern) else { return };
                let (start, end) = match (mode, syntax) {
                    (Mode::Drop, Syntax::Path) => (within.start.saturating_sub(1), within.end),
                    _ => (within.start.saturating_add(range.start), within.start.saturating_add(range.end)),
                };
                spans.push(Span { start, end, mode, pattern: Some(pattern) });
            },
        );
    }

    fn rendering<'v, 'a>(&'v self, view: &'v View<'a>, bytes: Bytes, limit: usize) -> Rendering<'v, 'a> {
        Rendering { view, key: self.key.as_ref(), bytes, limit }
    }
}

/// As much of `raw` as can matter for an output of `limit` bytes.
fn looked_at(raw: &[u8], limit: usize) -> View<'_> {
    View::beginning(raw, limit.saturating_mul(MORE_TIMES).saturating_add(MORE))
}
