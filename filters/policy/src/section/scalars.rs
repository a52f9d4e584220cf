//! Fields with one value: booleans, numbers, durations, strings, choices.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{OneOf, Section};
use crate::callout::is_request_path;
use crate::duration::{self, Written};
use crate::value::{Number, Value};

impl<'d> Section<'d> {
    /// `true` or `false`.
    pub fn boolean(&self, name: &'static str) -> Option<bool> {
        note!(self, name, Boolean);
        self.read(name, &"true or false", |value| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        })
    }

    /// A whole number in `range`. `1000.0` is one too: a carrier such as Envoy's `Struct` knows only doubles.
    pub fn integer(&self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let accepted = format_args!("a whole number from {} to {}", range.start(), range.end());
        note!(self, name, Integer { least: *range.start(), most: *range.end() });
        self.read(name, &accepted, |value| {
            let number = self.origin.carrier.number(value)?.as_unsigned()?;
            range.contains(&number).then_some(number)
        })
    }

    /// A number from 0 to 1. In a `Struct` also a string that holds one, for Envoy makes strings of decimal numbers.
    pub fn fraction(&self, name: &'static str) -> Option<f64> {
        note!(self, name, Number { least: 0.0, most: 1.0 });
        self.read(name, &"a fraction from 0 to 1", |value| {
            // What is not finite never gets past the parser; the range would refuse it too.
            let number = self.origin.carrier.number(value)?.as_float();
            (0.0..=1.0).contains(&number).then_some(number)
        })
    }

    /// A number in `range`, which may be below zero and need not be whole. In a `Struct` also a string that holds one.
    pub fn number(&self, name: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        note!(self, name, Number { least: *range.start(), most: *range.end() });
        let (least, most) = (Number::Float(*range.start()), Number::Float(*range.end()));
        self.read(name, &format_args!("a number from {least} to {most}"), |value| {
            let number = self.origin.carrier.number(value)?.as_float();
            range.contains(&number).then_some(number)
        })
    }

    /// A duration such as `"250ms"` in `range`; see [`duration::parse`](crate::duration::parse).
    pub fn duration(&self, name: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let (least, most) = (Written(*range.start()), Written(*range.end()));
        let accepted = format_args!("a duration from {least} to {most}, written like \"250ms\", \"1.5s\" or \"10m\"");
        note!(self, name, Duration { least: *range.start(), most: *range.end(), accepted: accepted.to_string() });
        self.read(name, &accepted, |value| {
            let duration = duration::parse(as_str(value)?)?;
            range.contains(&duration).then_some(duration)
        })
    }

    /// Any string.
    pub fn string(&self, name: &'static str) -> Option<&'d str> {
        self.string_where(name, |_| true, "a string")
    }

    /// A string that passes `check`. `accepted` is for people: `"a header name (RFC 9110 §5.1)"`.
    pub fn string_where(&self, name: &'static str, check: impl Fn(&str) -> bool, accepted: &str) -> Option<&'d str> {
        note!(self, name, text(&check, accepted));
        self.read_string(name, &check, &accepted)
    }

    /// The path of a request of the module's own, with its query, in at most `limit` bytes. No error shows the query: it may
    /// hold a token.
    pub fn request_path(&self, name: &'static str, limit: usize, accepted: &str) -> Option<&'d str> {
        let check = |text: &str| is_request_path(text, limit);
        note!(self, name, text(&check, accepted));
        let with_query = self.field(name).value.and_then(as_str).filter(|text| !check(text));
        match with_query.and_then(|text| text.split_once('?')) {
            Some((path, _)) => {
                self.reject_as(name, format_args!("{path:?} with a query"), accepted);
                None
            }
            None => self.read_string(name, &check, &accepted),
        }
    }

    pub(super) fn read_string(
        &self,
        name: &'static str,
        check: &dyn Fn(&str) -> bool,
        accepted: &dyn fmt::Display,
    ) -> Option<&'d str> {
        let quoted = self.field(name).value.map_or("", reminder_of_quotes);
        self.read(name, &format_args!("{accepted}{quoted}"), |value| as_str(value).filter(|text| check(text)))
    }

    /// One string out of `options`, as what stands beside it there.
    pub fn choice<T: Copy>(&self, name: &'static str, options: &[(&'static str, T)]) -> Option<T> {
        let names: Vec<_> = options.iter().map(|(name, _)| *name).collect();
        note!(self, name, Choice(names.clone()));
        let chosen = self.read_string(name, &|text| names.contains(&text), &OneOf(&names))?;
        option(options, chosen)
    }
}

pub(super) fn option<T: Copy>(options: &[(&'static str, T)], chosen: &str) -> Option<T> {
    options.iter().find(|(name, _)| *name == chosen).map(|(_, option)| *option)
}

pub(super) fn as_str(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// YAML reads `2.10` as a number and `no` as false; whoever wrote that meant a string.
pub(super) fn reminder_of_quotes(value: &Value) -> &'static str {
    match value {
        Value::Number(_) | Value::Bool(_) => " (in quotes)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::Document;
    use crate::testing::wire::{nested, object, text};
    use crate::testing::{accepted, environment, rejected};

    const LIMITS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);
    const LETTERS: [(&str, u8); 3] = [("a", 1), ("b", 2), ("c", 3)];

    #[test]
    fn booleans_are_true_or_false_and_nothing_like_it() {
        let read = |section: &Section<'_>| section.boolean("x");
        assert_eq!(accepted(r#""x": true"#, read), Some(true));
        assert_eq!(accepted(r#""x": false"#, read), Some(false));
        assert_eq!(accepted(r#""x": null"#, read), None);
        assert_eq!(accepted("", read), None);
        for (value, found) in [("1", "1"), (r#""true""#, r#""true""#), ("[]", "an empty list"), ("{}", "an object")] {
            assert_eq!(
                rejected(&format!("\"x\": {value}"), read),
                format!("trace.x: found {found}, accepted: true or false")
            );
        }
    }

    #[test]
    fn integers_are_whole_and_in_range() {
        let read = |section: &Section<'_>| section.integer("x", 1..=1024);
        for (value, number) in [("1", 1), ("1024", 1024), ("1e3", 1000), ("5.0", 5)] {
            assert_eq!(accepted(&format!("\"x\": {value}"), read), Some(number));
        }
        let table = [
            ("0", "0"),
            ("1025", "1025"),
            ("-1", "-1"),
            ("1.5", "1.5"),
            ("1e300", "a number above 1e15"),
            ("18446744073709551615", "18446744073709551615"),
            (r#""5""#, r#""5""#),
            ("true", "true"),
            ("[5]", "a list of 1"),
        ];
        for (value, found) in table {
            assert_eq!(
                rejected(&format!("\"x\": {value}"), read),
                format!("trace.x: found {found}, accepted: a whole number from 1 to 1024")
            );
        }
        let most = accepted(r#""x": 18446744073709551615"#, |section| section.integer("x", 0..=u64::MAX));
        assert_eq!(most, Some(u64::MAX));
    }

    #[test]
    fn fractions_lie_between_0_and_1() {
        let read = |section: &Section<'_>| section.fraction("x");
        for (value, number) in [("0", 0.0), ("1", 1.0), ("0.25", 0.25), ("1e-9", 1e-9), ("1.0", 1.0)] {
            assert_eq!(accepted(&format!("\"x\": {value}"), read), Some(number));
        }
        for value in ["1.0000001", "-0.1", "100", "\"0.5\"", "\"NaN\"", "\"50%\""] {
            assert_eq!(
                rejected(&format!("\"x\": {value}"), read),
                format!("trace.x: found {value}, accepted: a fraction from 0 to 1")
            );
        }
    }

    #[test]
    fn numbers_are_in_range_whole_or_not() {
        let read = |section: &Section<'_>| section.number("x", -100.0..=0.5);
        for (value, number) in
            [("-100", -100.0), ("-2.5", -2.5), ("0", 0.0), ("-0.0", 0.0), ("0.5", 0.5), ("5e-1", 0.5), ("1e-9", 1e-9)]
        {
            assert_eq!(accepted(&format!("\"x\": {value}"), read), Some(number));
        }
        for value in ["-100.001", "0.6", "1", "\"-1\"", "\"NaN\"", "true", "an empty list"] {
            let written = if value.starts_with("an") { "[]" } else { value };
            assert_eq!(
                rejected(&format!("\"x\": {written}"), read),
                format!("trace.x: found {value}, accepted: a number from -100 to 0.5")
            );
        }
        assert_eq!(accepted(r#""x": null"#, read), None);
        // Envoy carries -2.5 as a string.
        let bytes = object(&[("version", text("1.0")), ("trace", nested(&[("x", text("-2.5"))]))]);
        let document = Document::parse(&bytes, &environment).unwrap();
        assert_eq!(read(&document.section("trace")), Some(-2.5));
    }

    #[test]
    fn durations_are_strings_with_a_unit_and_in_range() {
        let read = |section: &Section<'_>| section.duration("x", LIMITS);
        assert_eq!(accepted(r#""x": "10ms""#, read), Some(Duration::from_millis(10)));
        assert_eq!(accepted(r#""x": "1h""#, read), Some(Duration::from_secs(3600)));
        for value in ["10", "\"10\"", "\"9.999ms\"", "\"3600.000001s\"", "\"1d\""] {
            assert_eq!(
                rejected(&format!("\"x\": {value}"), read),
                format!(
                    "trace.x: found {value}, accepted: a duration from 10ms to 1h, written like \"250ms\", \"1.5s\" or \"10m\""
                )
            );
        }
    }

    #[test]
    fn strings_are_what_their_check_says() {
        let read =
            |section: &Section<'_>| section.string_where("x", |text| text.len() == 2, "two letters").map(str::to_owned);
        assert_eq!(accepted(r#""x": "ab""#, read), Some("ab".to_owned()));
        assert_eq!(rejected(r#""x": "abc""#, read), r#"trace.x: found "abc", accepted: two letters"#);
        assert_eq!(rejected(r#""x": 12"#, read), "trace.x: found 12, accepted: two letters (in quotes)");
        assert_eq!(rejected(r#""x": false"#, read), "trace.x: found false, accepted: two letters (in quotes)");
        assert_eq!(accepted(r#""x": """#, |section| section.string("x").map(str::len)), Some(0));
    }

    #[test]
    fn what_an_error_shows_is_one_short_line() {
        let error = rejected(r#""x": "a\nb\u0000\u001b[31m\"\u2028\ud83d\ude00""#, |section| section.boolean("x"));
        assert_eq!(error, "trace.x: found \"a\\nb\\u0000\\u001b[31m\\\"\\u2028😀\", accepted: true or false");
        let error = rejected(&format!(r#""x": "{}""#, "ü".repeat(65)), |section| section.boolean("x"));
        assert_eq!(error, format!("trace.x: found \"{}…\", accepted: true or false", "ü".repeat(64)));
        let error = rejected(&format!(r#""x": "{}""#, "ü".repeat(64)), |section| section.boolean("x"));
        assert_eq!(error, format!("trace.x: found \"{}\", accepted: true or false", "ü".repeat(64)));
    }

    #[test]
    fn a_choice_is_one_of_the_options() {
        let read = |section: &Section<'_>| section.choice("x", &LETTERS);
        assert_eq!(accepted(r#""x": "b""#, read), Some(2));
        assert_eq!(rejected(r#""x": "B""#, read), r#"trace.x: found "B", accepted: one of "a", "b", "c""#);
        assert_eq!(rejected(r#""x": ["a"]"#, read), r#"trace.x: found a list of 1, accepted: one of "a", "b", "c""#);
    }
}
