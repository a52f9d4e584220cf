//! A header of a request: exact, by prefix, or whether it is there at all.

use super::{RequestView, is_token};
use crate::section::Section;

/// A condition on one header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HeaderRule {
    /// In lower case.
    name: Box<str>,
    value: ValueRule,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ValueRule {
    Exact(Box<str>),
    Prefix(Box<str>),
    Present(bool),
}

const NAME: &str = "a header name (RFC 9110 §5.1)";

impl HeaderRule {
    /// Reads one item of `headers`; `None` where it is wrong.
    pub(super) fn read(section: &Section<'_>) -> Option<HeaderRule> {
        let name = section.required().string_where("name", |name| is_token(name.as_bytes()), NAME);
        let exact = section.string("exact");
        let prefix = section.string_where("prefix", |text| !text.is_empty(), "a string that is not empty");
        let present = section.boolean("present");
        section.exactly_one_of(&["exact", "prefix", "present"]);
        let value = exact
            .map(|text| ValueRule::Exact(text.into()))
            .or_else(|| prefix.map(|text| ValueRule::Prefix(text.into())))
            .or_else(|| present.map(ValueRule::Present))?;
        Some(HeaderRule { name: name?.to_ascii_lowercase().into(), value })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn matches(&self, request: &dyn RequestView) -> bool {
        let value = request.header(&self.name);
        match &self.value {
            ValueRule::Exact(exact) => value.is_some_and(|value| *value == *exact.as_bytes()),
            ValueRule::Prefix(prefix) => value.is_some_and(|value| value.starts_with(prefix.as_bytes())),
            ValueRule::Present(present) => value.is_some() == *present,
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{Request, accepted, rejected};

    fn rule(fields: &str) -> HeaderRule {
        accepted(fields, HeaderRule::read).expect(fields)
    }

    #[test]
    fn a_header_matches_by_its_bytes_or_its_presence() {
        let none = Request::default();
        let gold = Request::default().with_header("x-tier", b"gold");
        let golden = Request::default().with_header("x-tier", b"golden\xff");
        let empty = Request::default().with_header("x-tier", b"");
        let all = [&none, &gold, &golden, &empty];
        let table = [
            (r#""name": "x-tier", "exact": "gold""#, [false, true, false, false]),
            (r#""name": "X-Tier", "exact": "gold""#, [false, true, false, false]),
            (r#""name": "x-tier", "exact": "GOLD""#, [false, false, false, false]),
            (r#""name": "x-tier", "exact": """#, [false, false, false, true]),
            (r#""name": "x-tier", "prefix": "gold""#, [false, true, true, false]),
            (r#""name": "x-tier", "present": true"#, [false, true, true, true]),
            (r#""name": "x-tier", "present": false"#, [true, false, false, false]),
            (r#""name": "x-other", "present": false"#, [true, true, true, true]),
        ];
        for (fields, wanted) in table {
            assert_eq!(all.map(|request| rule(fields).matches(request)), wanted, "{fields}");
        }
    }

    #[test]
    fn a_header_condition_has_a_name_and_exactly_one_of_the_three() {
        let table = [
            (r#""exact": "x""#, "trace.name: missing, accepted: a header name (RFC 9110 §5.1)"),
            (r#""name": "x y", "exact": "x""#, r#"trace.name: found "x y", accepted: a header name (RFC 9110 §5.1)"#),
            (
                r#""name": ":path", "exact": "x""#,
                r#"trace.name: found ":path", accepted: a header name (RFC 9110 §5.1)"#,
            ),
            (r#""name": "x""#, r#"trace: missing, accepted: one of "exact", "prefix", "present""#),
            (
                r#""name": "x", "exact": "a", "present": true"#,
                r#"trace: found 2 of these, accepted: only one of "exact", "prefix", "present""#,
            ),
            (r#""name": "x", "prefix": """#, r#"trace.prefix: found "", accepted: a string that is not empty"#),
            (r#""name": "x", "present": "yes""#, r#"trace.present: found "yes", accepted: true or false"#),
            (r#""name": "x", "exact": 1"#, "trace.exact: found 1, accepted: a string (in quotes)"),
        ];
        for (fields, wanted) in table {
            assert_eq!(rejected(fields, HeaderRule::read), wanted);
        }
    }
}
