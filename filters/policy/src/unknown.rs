//! Fields that nobody asked for.

use std::fmt;

use crate::path::Path;
use crate::value::{Accepted, Object, Quoted, Value};

/// Calls `tell` for every field that no reader asked for, in the order of the document. Objects that nobody opened, such
/// as the sections of other filters, are not looked into, but for what is shared of them.
pub(crate) fn each(object: &Object, path: &Path, tell: &mut dyn FnMut(&Path, &str, &[Accepted])) {
    let (accepted, is_open) = (object.accepted(), object.is_open());
    for (name, value) in &object.fields {
        match accepted.iter().find(|known| known.name == &**name || known.alias == Some(name)) {
            None if is_open => tell(path, name, &accepted),
            Some(known) if is_open || known.shared => each_within(value, &path.field(name), tell),
            _ => {}
        }
    }
}

fn each_within(value: &Value, path: &Path, tell: &mut dyn FnMut(&Path, &str, &[Accepted])) {
    match value {
        Value::Object(object) => each(object, path, tell),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if let Value::Object(object) = item {
                    each(object, &path.item(index), tell);
                }
            }
        }
        _ => {}
    }
}

/// What to say of an unknown field. Its value is not shown: it may be a secret under a misspelled name.
pub(crate) struct Unknown<'a> {
    pub(crate) name: &'a str,
    pub(crate) accepted: &'a [Accepted],
}

impl fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown field, accepted: ")?;
        if self.accepted.is_empty() {
            f.write_str("none")?;
        }
        for (number, accepted) in self.accepted.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            write!(f, "{separator}{}", accepted.name)?;
        }
        match similar(self.name, self.accepted) {
            Some(name) => write!(f, "; did you mean {name}?"),
            None => Ok(()),
        }
    }
}

/// The accepted name that was probably meant: the same but for upper case, `-` and `_`, else the one with the fewest
/// typing errors, one or two.
fn similar(name: &str, accepted: &[Accepted]) -> Option<&'static str> {
    if name.len() > Quoted::LONGEST {
        return None;
    }
    let names = || accepted.iter().map(|accepted| accepted.name);
    let same_letters = names().find(|accepted| letters(accepted).eq(letters(name)));
    same_letters
        .or_else(|| names().find(|accepted| within(name.as_bytes(), accepted.as_bytes(), 1)))
        // Two errors in a short word make another word.
        .or_else(|| names().find(|accepted| accepted.len() > 4 && within(name.as_bytes(), accepted.as_bytes(), 2)))
}

fn letters(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(|byte| !matches!(byte, b'-' | b'_')).map(|byte| byte.to_ascii_lowercase())
}

/// Whether at most `typos` typing errors make one word of the other: a character too many, too few or wrong, or two that
/// changed places.
fn within(left: &[u8], right: &[u8], typos: u32) -> bool {
    match (left, right) {
        ([], []) => true,
        ([a, left @ ..], [b, right @ ..]) if a == b => within(left, right, typos),
        _ => typos.checked_sub(1).is_some_and(|typos| {
            let (left_rest, right_rest) = (left.get(1..).unwrap_or_default(), right.get(1..).unwrap_or_default());
            within(left_rest, right_rest, typos)
                || within(left_rest, right, typos)
                || within(left, right_rest, typos)
                || matches!((left, right), ([a, b, left @ ..], [c, d, right @ ..])
                    if a == d && b == c && within(left, right, typos))
        }),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{accepted, parse, reading, rejected};

    fn named(names: &[&'static str]) -> Vec<Accepted> {
        names.iter().map(|name| Accepted { name, alias: None, secret: false, shared: false }).collect()
    }

    #[test]
    fn the_name_that_was_probably_meant_is_found() {
        let known = named(&["mode", "enabled", "request_id", "rate", "extract"]);
        let table = [
            ("mod", Some("mode")),
            ("mdoe", Some("mode")),
            ("moode", Some("mode")),
            ("Mode", Some("mode")),
            ("enabeld", Some("enabled")),
            ("enalbde", Some("enabled")),
            ("requestId", Some("request_id")),
            ("request-id", Some("request_id")),
            ("extarct", Some("extract")),
            ("mist", None),
            ("note", None),
            ("", None),
            ("completely different", None),
        ];
        for (name, meant) in table {
            assert_eq!(similar(name, &known), meant, "{name:?}");
        }
        assert_eq!(similar(&"mode".repeat(17), &known), None);
    }

    #[test]
    fn typing_errors_are_counted_from_both_sides() {
        let table = [
            ("kitten", "sitten", 1),
            ("ab", "ba", 1),
            ("abc", "abcd", 1),
            ("abcdef", "badcfe", 3),
            ("kitten", "sitting", 3),
            ("", "ab", 2),
        ];
        for (left, right, typos) in table {
            for (left, right) in [(left, right), (right, left)] {
                assert!(within(left.as_bytes(), right.as_bytes(), typos), "{left} {right}");
                assert!(!within(left.as_bytes(), right.as_bytes(), typos - 1), "{left} {right}");
            }
        }
    }

    #[test]
    fn an_unknown_field_is_an_error_that_lists_the_known_ones() {
        let error =
            rejected(r#""mod": 1, "mode": "a", "rules": [{}, {"x y": "secret"}], "sub": {"z": {}}"#, |section| {
                section.string("mode");
                for rule in section.items("rules") {
                    rule.fraction("rate");
                }
                let _ = section.subsection("sub");
            });
        let lines = [
            "trace.mod: unknown field, accepted: mode, rules, sub; did you mean mode?",
            r#"trace.rules[1]["x y"]: unknown field, accepted: rate"#,
            "trace.sub.z: unknown field, accepted: none",
        ];
        assert_eq!(error, lines.join("\n"));
    }

    #[test]
    fn a_null_does_not_make_a_name_known() {
        assert_eq!(
            rejected(r#""mod": null"#, |section| section.string("mode").is_some()),
            "trace.mod: unknown field, accepted: mode; did you mean mode?"
        );
    }

    #[test]
    fn names_of_the_operators_own_are_never_unknown() {
        let fields = r#""from_headers": {"user.id": "x-user-id", "anything": "x"}"#;
        accepted(fields, |section| section.strings_by_name("from_headers").map(|names| names.len()));
    }

    #[test]
    fn the_sections_of_other_filters_are_not_looked_into() {
        let document =
            parse(r#"{"version":"1.0","breaker":{"no":{"such":"field"}},"access_log":5,"trace":{}}"#).unwrap();
        document.section("trace").boolean("enabled");
        assert_eq!(document.finish(), Ok(vec![]));
    }

    #[test]
    fn two_readers_of_one_section_know_the_fields_of_both() {
        let ((), verdict) = reading(r#""a": 1, "b": 2, "c": {"x": 1, "y": 2}"#, |section| {
            section.integer("a", 0..=9);
            section.clone().integer("b", 0..=9);
            section.subsection("c").integer("x", 0..=9);
            section.subsection("c").integer("y", 0..=9);
        });
        assert_eq!(verdict, Ok(String::new()));
    }

    #[test]
    fn every_unknown_field_beyond_twenty_is_only_counted() {
        let fields: Vec<_> = (0..30).map(|number| format!("\"x{number}\": 1")).collect();
        let error = rejected(&fields.join(","), |section| section.string("mode").is_some());
        assert_eq!(error.lines().last(), Some("and 10 more"));
    }
}
