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
//! length of the input, whatever is in it.

mod address;
mod mode;
mod names;
mod pairs;
mod pattern;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod properties;
mod render;
mod span;
#[cfg(test)]
mod tests;
mod view;

use std::borrow::Cow;

pub use mode::{Mode, REDACTED};

use mode::HashKey;
use names::{Names, Place};
use pairs::Kind;
use pattern::Pattern;
use render::{Bytes, Rendering};
use sluicegate_policy::Section;
use span::Span;
use view::View;

/// The section `access_log.redact`, compiled.
pub struct Redactor {
    enabled: bool,
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
        Redactor {
            enabled,
            names,
            patterns,
            key: key.and_then(|key| HashKey::new(key.bytes())),
            truncates_addresses: truncates_addresses.unwrap_or(false),
        }
    }

    /// The path of a URL, in at most `limit` bytes. A segment that is a listed name (`/reset-password/…`) makes a secret
    /// of the next one. A query or a fragment, if there is one, is redacted as such.
    pub fn path<'a>(&self, raw: &'a [u8], limit: usize) -> Cow<'a, str> {
        self.redact(raw, Kind::Path, Bytes::Escaped, limit)
    }

    /// The query of a URL, without the `?`, in at most `limit` bytes.
    pub fn query<'a>(&self, raw: &'a [u8], limit: usize) -> Cow<'a, str> {
        self.redact(raw, Kind::Query, Bytes::Escaped, limit)
    }

    /// The value of a header or a custom attribute with this name, in at most `limit` bytes; `None` where it is to be
    /// dropped. A value made from a header is asked for by the header's name. Within a value whose name is not listed,
    /// pairs (`token=…`, `"token": …`, as in a cookie or a `referer`) and patterns are redacted.
    pub fn attribute<'a>(&self, name: &str, raw: &'a [u8], limit: usize) -> Option<Cow<'a, str>> {
        match self.names.find(View::new(name.as_bytes()).bytes(), Place::Field).filter(|_| self.enabled) {
            None => Some(self.redact(raw, Kind::Value, Bytes::Replaced, limit)),
            Some(Mode::Drop) => None,
            Some(_) if raw.is_empty() => Some(Cow::Borrowed("")),
            Some(mode) => {
                let view = View::new(raw);
                let span = Span { start: 0, end: view.bytes().len(), mode, pattern: None };
                Some(self.rendering(&view, Bytes::Replaced, limit).text(&[span]))
            }
        }
    }

    /// Free text, in at most `limit` bytes: redacted by patterns alone. A dropped pattern leaves nothing in its place.
    pub fn text<'a>(&self, raw: &'a [u8], limit: usize) -> Cow<'a, str> {
        let view = View::new(raw);
        let mut spans = Vec::new();
        if self.enabled {
            self.find_patterns(&view, 0..view.bytes().len(), Kind::Value, &mut spans);
            span::merge(&mut spans);
        }
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
        self.names.find(name.as_bytes(), Place::Field).filter(|_| self.enabled)
    }

    fn redact<'a>(&self, raw: &'a [u8], kind: Kind, bytes: Bytes, limit: usize) -> Cow<'a, str> {
        let view = View::new(raw);
        let mut spans = Vec::new();
        if self.enabled {
            let end = view.bytes().len();
            let path_end = match kind {
                Kind::Path => pairs::find_literal(&view, 0, end, |byte| byte == b'?' || byte == b'#'),
                Kind::Query | Kind::Value => 0,
            };
            let after_path = if kind == Kind::Path { Kind::Query } else { kind };
            if kind == Kind::Path {
                pairs::find_in_path(&view, path_end, &self.names, &mut spans);
            }
            pairs::find_pairs(&view, path_end..end, end, after_path, &self.names, &mut spans);
            self.find_in_rest(&view, path_end, after_path, &mut spans);
            span::merge(&mut spans);
        }
        let text = self.rendering(&view, bytes, limit).text(&spans);
        match kind {
            Kind::Path if text.is_empty() && raw.starts_with(b"/") && limit > 0 => Cow::Borrowed("/"),
            Kind::Query
                if text.ends_with('&') && !raw.ends_with(b"&") && spans.iter().any(|span| span.mode == Mode::Drop) =>
            {
                Cow::Owned(text.trim_end_matches('&').to_owned())
            }
            _ => text,
        }
    }

    /// Looks for patterns wherever `spans` has nothing yet.
    fn find_in_rest(&self, view: &View<'_>, path_end: usize, kind: Kind, spans: &mut Vec<Span>) {
        let mut start = 0;
        for number in 0..=spans.len() {
            // `spans` grows by what is found: the ones from before are those up to `number`.
            let taken = spans.get(number).filter(|span| span.pattern.is_none()).copied();
            let end = taken.map_or(view.bytes().len(), |span| span.start);
            if start < path_end {
                let mut segment_start = start;
                for segment in view.slice(start, end.min(path_end)).split(|byte| *byte == b'/') {
                    let segment_end = segment_start.saturating_add(segment.len());
                    self.find_patterns(view, segment_start..segment_end, Kind::Path, spans);
                    segment_start = segment_end.saturating_add(1);
                }
            }
            self.find_patterns(view, start.max(path_end)..end, kind, spans);
            match taken {
                Some(span) => start = span.end,
                None => break,
            }
        }
    }

    fn find_patterns(&self, view: &View<'_>, within: std::ops::Range<usize>, kind: Kind, spans: &mut Vec<Span>) {
        let mode_of = |pattern: Pattern| self.patterns.get(pattern as usize).copied().flatten();
        let text = view.slice(within.start, within.end);
        // The parameter that was dropped last: its ends are looked for once, however much is found in it.
        let mut dropped = 0..0;
        pattern::find(
            text,
            |pattern| mode_of(pattern).is_some(),
            |pattern, range| {
                let Some(mode) = mode_of(pattern) else { return };
                let start = within.start.saturating_add(range.start);
                let end = within.start.saturating_add(range.end);
                let (start, end) = match (mode, kind) {
                    (Mode::Drop, Kind::Path) => (within.start.saturating_sub(1), within.end),
                    (Mode::Drop, Kind::Query) if dropped.contains(&start) => return,
                    (Mode::Drop, Kind::Query) => {
                        let end = pairs::find_literal(view, end, view.bytes().len(), |byte| byte == b'&');
                        {
                            let (start, end) = pairs::whole_pair(view, start, end, view.bytes().len(), kind);
                            dropped = start..end;
                            (start, end)
                        }
                    }
                    _ => (start, end),
                };
                spans.push(Span { start, end, mode, pattern: Some(pattern) });
            },
        );
    }

    fn rendering<'v, 'a>(&'v self, view: &'v View<'a>, bytes: Bytes, limit: usize) -> Rendering<'v, 'a> {
        Rendering { view, key: self.key.as_ref(), bytes, limit }
    }
}
