//! Whether two observations say the same, where ids are made at random and clocks differ.

use std::collections::{HashMap, HashSet};

/// What was seen somewhere: where, and what.
pub(super) type Field = (String, String);

/// Which id of the plugins is which of the suite. Those that were made at random differ, but one stands wherever the other
/// does; all else is equal, and an id that a client sent is itself.
#[derive(Debug, Default)]
pub(super) struct Likeness {
    of_plugins: HashMap<String, String>,
    of_suite: HashMap<String, String>,
    sent: HashSet<String>,
}

impl Likeness {
    /// Notes what a client sends.
    pub(super) fn send(&mut self, text: &str) {
        for piece in pieces(&text.to_ascii_lowercase()) {
            if let Piece::Id(id) = piece {
                // As those go on that are longer than they came.
                self.sent.extend((id.len() == 16).then(|| format!("{id:0>32}")));
                self.sent.insert(id);
            }
        }
    }

    /// Every difference, for people.
    pub(super) fn differences(&mut self, plugins: &[Field], suite: &[Field]) -> Vec<String> {
        let (plugins, suite) = (ordered(plugins), ordered(suite));
        let names = |fields: &[&Field]| fields.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let (left, right) = (names(&plugins), names(&suite));
        if left != right {
            let only = |these: &[&Field], others: &[String]| {
                let only = these.iter().filter(|(name, _)| !others.contains(name));
                only.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
            };
            let (plugins, suite) = (only(&plugins, &right), only(&suite, &left));
            return vec![if plugins.is_empty() && suite.is_empty() {
                format!("in another order or number:\n  plugins {left:?}\n  suite   {right:?}")
            } else {
                format!("only with plugins {plugins:?}, only with the suite {suite:?}")
            }];
        }
        let mut differences = Vec::new();
        for ((name, plugins), (_, suite)) in plugins.iter().zip(suite) {
            if !self.alike(name, plugins, suite) {
                differences.push(format!("{name}:\n  plugins {plugins:?}\n  suite   {suite:?}"));
            }
        }
        differences
    }

    fn alike(&mut self, name: &str, plugins: &str, suite: &str) -> bool {
        let (plugins, suite) = (without_times(name, plugins), without_times(name, suite));
        let (plugins, suite) = (pieces(&plugins), pieces(&suite));
        plugins.len() == suite.len()
            && plugins.iter().zip(&suite).all(|pair| match pair {
                (Piece::Text(plugins), Piece::Text(suite)) => plugins == suite,
                (Piece::Id(plugins), Piece::Id(suite)) => self.are_one(plugins, suite),
                _ => false,
            })
    }

    fn are_one(&mut self, plugins: &str, suite: &str) -> bool {
        let made = |id| !self.sent.contains(id);
        let may_be = plugins == suite || (shape(plugins) == shape(suite) && made(plugins) && made(suite));
        may_be
            && self.of_plugins.entry(plugins.to_owned()).or_insert_with(|| suite.to_owned()) == suite
            && self.of_suite.entry(suite.to_owned()).or_insert_with(|| plugins.to_owned()) == plugins
    }
}

/// Headers of a request that the filters write, or the beginning of their names.
const WRITTEN: [&str; 16] = [
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-",
    "uber-trace-id",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "request-id",
    "x-trace-id",
    "x-span-id",
    "x-parent-span-id",
    "trace-id",
    "span-id",
    "baggage",
    "x-request-id",
    "x-correlation-id",
];

/// In which order the filters write what they write to upstream is up to the deployment: these by name. All else, and
/// the values of one name, stay in their order.
fn ordered(fields: &[Field]) -> Vec<&Field> {
    let mut ordered: Vec<_> = fields.iter().collect();
    let written = |name: &str| {
        let header = name.strip_prefix("upstream ").or_else(|| name.strip_prefix("second "))?;
        WRITTEN.iter().any(|written| header.starts_with(written)).then(|| header.to_owned())
    };
    ordered.sort_by_key(|(name, _)| written(name));
    ordered
}

/// The fields that hold a time, with every number of it as 0.
fn without_times(name: &str, value: &str) -> String {
    let times = [
        "client date",
        // What is left of it at a retry.
        "upstream x-envoy-expected-rq-timeout-ms",
        "record timestamp",
        "record attributes sluicegate.duration_ms",
        "record attributes sluicegate.time_to_response_headers_ms",
        "record attributes sluicegate.upstream_duration_ms",
    ];
    if times.contains(&name) {
        return no_numbers(value);
    }
    // "… answered 200 in 11.163 ms".
    match (name, value.rsplit_once(" in ")) {
        ("record body", Some((what, time))) => format!("{what} in {}", no_numbers(time)),
        _ => value.to_owned(),
    }
}

fn no_numbers(text: &str) -> String {
    let mut digits = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<Vec<_>>();
    digits.dedup_by(|one, other| *one == '0' && *other == '0');
    digits.into_iter().collect()
}

/// What an id has that chance does not decide: its length, and a UUID's version and variant.
fn shape(id: &str) -> (usize, Option<char>, bool) {
    let is_uuid = id.len() == 36;
    let at = |place| is_uuid.then(|| id.chars().nth(place)).flatten();
    (id.len(), at(14), at(19).is_none_or(|variant| "89ab".contains(variant)))
}

#[derive(Debug, PartialEq)]
enum Piece<'t> {
    Text(&'t str),
    /// In one spelling, whatever its format: those of X-Ray have a hyphen, a span of Google's is decimal.
    Id(String),
}

/// Cuts a text where ids begin and end.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        let bounded = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
        match bounded.then(|| id(&text[..at], &text[at..])).flatten() {
            Some((id, length)) => {
                pieces.push(Piece::Text(&text[rest..at]));
                pieces.push(Piece::Id(id));
                at += length;
                rest = at;
            }
            None => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    pieces.push(Piece::Text(&text[rest..]));
    pieces
}

/// The id that a text begins with, and its length there.
fn id(before: &str, text: &str) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let digits = |from: usize, is: fn(&u8) -> bool| {
        bytes.get(from..).unwrap_or_default().iter().take_while(|byte| is(byte)).count()
    };
    let hex = |from: usize| digits(from, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let hyphened = |lengths: &[usize]| {
        let mut at = 0;
        lengths.iter().all(|length| {
            let fits = hex(at) == *length && (at == 0 || bytes[at - 1] == b'-');
            at += length + 1;
            fits
        })
    };
    let (id, length) = if hyphened(&[8, 4, 4, 4, 12]) {
        (text[..36].to_owned(), 36)
    } else if text.starts_with("1-") && hyphened(&[1, 8, 24]) {
        ([&text[2..10], &text[11..35]].concat(), 35)
    } else {
        match hex(0) {
            // First, for there may be 16 digits of these too.
            length @ 7..=20 if before.ends_with('/') && length == digits(0, u8::is_ascii_digit) => {
                (format!("{:016x}", text[..length].parse::<u64>().ok()?), length)
            }
            length @ (16 | 32) => (text[..length].to_owned(), length),
            14 if before.ends_with("rv:") => (text[..14].to_owned(), 14),
            _ => return None,
        }
    };
    let ends = !text[length..].starts_with(|c: char| c.is_ascii_alphanumeric());
    ends.then_some((id, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const B: &str = "0af7651916cd43dd8448eb211c80319c";

    fn field(value: &str) -> [Field; 1] {
        [("upstream x".to_owned(), value.to_owned())]
    }

    fn alike(sent: &str, pairs: &[(&str, &str)]) -> bool {
        let mut likeness = Likeness::default();
        likeness.send(sent);
        pairs.iter().all(|(plugins, suite)| likeness.differences(&field(plugins), &field(suite)).is_empty())
    }

    #[test]
    fn ids_made_at_random_are_alike_where_one_stands_for_the_other() {
        let (a, b) = (&format!("00-{A}-00f067aa0ba902b7-01")[..], &format!("00-{B}-b7ad6b7169203331-01")[..]);
        assert!(alike("", &[(a, b), (a, b), (A, B)]));
        assert!(!alike("", &[(a, b), (A, A)]), "another one in another place");
        assert!(!alike("", &[(a, b), (B, B)]), "two for one");
        assert!(!alike("", &[(a, &b.replace("-01", "-00"))]), "another flag");
        assert!(!alike(a, &[(a, b)]), "not the one that came in");
        assert!(!alike(&A.to_uppercase(), &[(A, B)]));
        assert!(alike(a, &[(a, a)]));
        assert!(!alike("", &[(A, &B[..16])]) && !alike("", &[(A, "")]));
    }

    #[test]
    fn every_spelling_of_an_id_is_the_same_id() {
        let xray = |id: &str| format!("Root=1-{}-{};Sampled=1", &id[..8], &id[8..]);
        let google = |id: &str, span: u64| format!("{id}/{span};o=1");
        let (span_a, span_b) = ("00f067aa0ba902b7", "b7ad6b7169203331");
        let decimal = |span| u64::from_str_radix(span, 16).unwrap();
        let (a, b) = (google(A, decimal(span_a)), google(B, decimal(span_b)));
        assert!(alike("", &[(&xray(A), &xray(B)), (A, B), (&a, &b), (span_a, span_b)]));
        assert!(alike("", &[(&google(A, 1_234_567_890_123_456), &google(B, 12_345_678_901_234_567_890))]));
        assert!(!alike("", &[(&xray(A), &xray(B)), (&a, &google(A, decimal(span_b)))]));
        assert!(!alike("", &[(&a, &b), (span_a, span_a)]));
        assert!(alike("", &[("ot=rv:0123456789abcd;th:8", "ot=rv:0123456789abce;th:8")]));
        assert!(!alike("", &[("ot=th:0123456789abcd", "ot=th:0123456789abce")]));
    }

    #[test]
    fn a_uuid_keeps_its_version() {
        let (v7, v4) = ("019aa4a5-8a1b-7c3d-8e4f-0123456789ab", "f81d4fae-7dec-41d0-a765-00a0c91e6bf6");
        let other = "019aa4a5-8a1c-7c3d-9e4f-0123456789ac";
        assert!(alike("", &[(v7, other), (v7, other)]));
        assert!(!alike("", &[(v7, v4)]));
    }

    #[test]
    fn of_times_only_what_they_are_counts() {
        let alike = |name: &str, plugins: &str, suite: &str| {
            let field = |value: &str| [(name.to_owned(), value.to_owned())];
            Likeness::default().differences(&field(plugins), &field(suite)).is_empty()
        };
        assert!(alike("record attributes sluicegate.duration_ms", "11.163", "8.0"));
        assert!(!alike("record attributes sluicegate.duration_ms", "11.163", "8"));
        assert!(!alike("record attributes sluicegate.request_size_bytes", "11", "12"));
        assert!(alike("record body", "GET /7 answered 200 in 1.25 ms", "GET /7 answered 200 in 12.0 ms"));
        assert!(!alike("record body", "GET /7 answered 200 in 1.25 ms", "GET /8 answered 200 in 1.25 ms"));
        assert!(!alike("record body", "GET / answered 200 in 1.25 ms", "GET / answered 200 in 1.25 ms: timeout"));
    }

    #[test]
    fn order_and_absence_are_differences() {
        let fields = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), String::new())).collect::<Vec<_>>();
        let differ = |one: &[&str], other: &[&str]| Likeness::default().differences(&fields(one), &fields(other));
        assert!(differ(&["a", "b"], &["a", "b"]).is_empty());
        assert!(differ(&["a", "b"], &["b", "a"])[0].starts_with("in another order"));
        assert!(!differ(&["a", "b", "a"], &["a", "b"]).is_empty());
        assert!(differ(&["upstream b3", "upstream a"], &["upstream a", "upstream b3"]).is_empty());
        assert!(!differ(&["client b3", "client a"], &["client a", "client b3"]).is_empty());
        assert!(differ(&["a", "b"], &["a"])[0].contains(r#"only with plugins ["b: "]"#));
    }
}
