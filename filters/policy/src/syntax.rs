//! From JSON text to a tree. serde_json reads the JSON; what is built, and how much of it, is decided here.
//!
//! No text of serde_json's reaches the reader of an error: it could quote the document, and the document holds secrets.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;

use crate::carrier::{GIVEN_TWICE, MAX_DEPTH, NOT_UTF8, TOO_DEEP};
use crate::path::{Step, Trail};
use crate::report::PolicyError;
use crate::value::{Number, Object, Value};

/// Reads one JSON value and nothing after it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, PolicyError> {
    // A byte order mark may be ignored (RFC 8259 §8.1), and editors leave them.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut progress = Progress::default();
    let mut json = Deserializer::from_slice(bytes);
    ValueSeed { progress: &mut progress, step: None }
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value))
        .map_err(|error| progress.explain(bytes, &error))
}

/// Reads the JSON number that a text is, with nothing around it.
pub(crate) fn number(text: &str) -> Option<Number> {
    let is_in_number = |byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    if !text.bytes().all(is_in_number) {
        return None;
    }
    match parse(text.as_bytes()) {
        Ok(Value::Number(number)) => Some(number),
        _ => None,
    }
}

/// How far the parser has come.
#[derive(Default)]
struct Progress {
    trail: Trail,
    /// What was wrong, when it was we who stopped the parser.
    refusal: Option<&'static str>,
}

impl Progress {
    fn explain(&self, bytes: &[u8], error: &serde_json::Error) -> PolicyError {
        let problem = self.refusal.unwrap_or_else(|| problem(bytes, error));
        let (line, column) = (error.line(), error.column());
        PolicyError::new(&self.trail.path(), format_args!("{problem} (line {line}, column {column})"))
    }

    fn refuse<E: serde::de::Error>(&mut self, refusal: &'static str) -> E {
        self.refusal = Some(refusal);
        E::custom("")
    }

    /// Every object and list on the way here is one step of the trail.
    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.trail.depth() >= MAX_DEPTH { Err(self.refuse(TOO_DEEP)) } else { Ok(()) }
    }
}

fn problem(bytes: &[u8], error: &serde_json::Error) -> &'static str {
    // Text that begins in another way was not meant to be JSON. Mostly it is YAML, put into a string.
    if !matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[')) {
        return "neither JSON, which begins with { and has no comments, nor a google.protobuf.Struct, which is where YAML goes";
    }
    let theirs = error.to_string();
    let ours = PROBLEMS.iter().find(|(start, _)| theirs.starts_with(start));
    ours.map_or("not valid JSON", |(_, ours)| ours)
}

/// How serde_json's messages begin, and what we say instead.
const PROBLEMS: [(&str, &str); 17] = [
    ("EOF while parsing a string", "the document ends inside a string"),
    ("EOF while parsing an object", "the document ends inside an object"),
    ("EOF while parsing a list", "the document ends inside a list"),
    ("EOF", "the document ends too early"),
    ("expected `:`", "expected a colon after the field's name"),
    ("expected `,` or `]`", "expected a comma or the end of the list"),
    ("expected `,` or `}`", "expected a comma or the end of the object"),
    ("expected", "expected a JSON value (JSON has no NaN, no Infinity and no comments)"),
    ("invalid escape", "a string holds an escape that JSON does not know"),
    ("unexpected end of hex escape", "a string holds half of a surrogate pair"),
    ("lone leading surrogate", "a string holds half of a surrogate pair"),
    ("invalid unicode code point", NOT_UTF8),
    ("control character", "a string holds a control character that is not escaped"),
    ("invalid number", "not a JSON number"),
    ("number out of range", "a number that is out of range"),
    ("key must be a string", "expected a field name in double quotes"),
    ("trailing", "something follows where nothing may: a comma too many, or text after the document"),
];

/// Reads a value one step further down the path. serde_json calls it when it has seen that there is a value: a name
/// without a colon never gets into the path, and that is well, for it may be a secret after a misplaced brace.
struct ValueSeed<'p> {
    progress: &'p mut Progress,
    /// `None` for the document itself.
    step: Option<Step>,
}

struct ValueVisitor<'p>(&'p mut Progress);

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        if let Some(step) = self.step {
            self.progress.trail.push(step);
        }
        let value = json.deserialize_any(ValueVisitor(self.progress))?;
        self.progress.trail.pop();
        Ok(value)
    }
}

impl<'de> Visitor<'de> for ValueVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(Number::Unsigned(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(u64::try_from(value).map_or(Number::Negative(value), Number::Unsigned)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(Number::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        self.0.enter()?;
        let mut items = Vec::new();
        loop {
            let step = Some(Step::Item(items.len()));
            match list.next_element_seed(ValueSeed { progress: self.0, step })? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        self.0.enter()?;
        let mut fields = Vec::new();
        let mut names = BTreeSet::new();
        while let Some(name) = object.next_key_seed(NameSeed)? {
            let step = Step::Field(Rc::clone(&name));
            if !names.insert(Rc::clone(&name)) {
                self.0.trail.push(step);
                return Err(self.0.refuse(GIVEN_TWICE));
            }
            let value = object.next_value_seed(ValueSeed { progress: self.0, step: Some(step) })?;
            fields.push((name, value));
        }
        Ok(Value::Object(Box::new(Object::with_fields(fields))))
    }
}

struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Rc<str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Rc<str>, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Rc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Rc<str>, E> {
        Ok(name.into())
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn error(bytes: impl AsRef<[u8]>) -> String {
        match parse(bytes.as_ref()) {
            Ok(_) => "no error".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_syntax_error_says_where_and_what_but_quotes_nothing() {
        let no_value = "expected a JSON value (JSON has no NaN, no Infinity and no comments)";
        let table: [(&[u8], String); 28] = [
            (b"{", "the document: the document ends inside an object (line 1, column 1)".into()),
            (b"[1", "the document: the document ends inside a list (line 1, column 2)".into()),
            (b"{\"a\":\"s3cr3t", "a: the document ends inside a string (line 1, column 12)".into()),
            (b"{\"a\":", "a: the document ends too early (line 1, column 5)".into()),
            (b"{\n \"a\": {\"b\" 1}}", "a: expected a colon after the field's name (line 2, column 12)".into()),
            (b"{\"a\":[1 2]}", "a: expected a comma or the end of the list (line 1, column 9)".into()),
            (b"{\"a\":1 \"b\":2}", "the document: expected a comma or the end of the object (line 1, column 8)".into()),
            (b"{\"a\":}", format!("a: {no_value} (line 1, column 6)")),
            (b"{\"a\":NaN}", format!("a: {no_value} (line 1, column 6)")),
            (b"{\"a\":Infinity}", format!("a: {no_value} (line 1, column 6)")),
            (b"{\"a\":-Infinity}", "a: not a JSON number (line 1, column 7)".into()),
            (b"{\"a\":nul}", format!("a: {no_value} (line 1, column 9)")),
            (b"{\"a\":'s3cr3t'}", format!("a: {no_value} (line 1, column 6)")),
            (b"{\"a\":\"\\x\"}", "a: a string holds an escape that JSON does not know (line 1, column 8)".into()),
            (b"{\"a\":\"\\ud800\"}", "a: a string holds half of a surrogate pair (line 1, column 13)".into()),
            (b"{\"a\":\"\\ud800\\u0020\"}", "a: a string holds half of a surrogate pair (line 1, column 18)".into()),
            (b"{\"a\":[0,\"\xff\"]}", "a[1]: a string is not valid UTF-8 (line 1, column 10)".into()),
            (b"{\"a\":{\"\xc3\":1}}", "a: a string is not valid UTF-8 (line 1, column 8)".into()),
            (b"{\"a\":\"\n\"}", "a: a string holds a control character that is not escaped (line 2, column 0)".into()),
            (b"{\"a\":1.}", "a: not a JSON number (line 1, column 8)".into()),
            (b"{\"a\":01}", "a: not a JSON number (line 1, column 7)".into()),
            (b"{\"a\":[1e999]}", "a[0]: a number that is out of range (line 1, column 11)".into()),
            (b"{\"a\":-1e999}", "a: a number that is out of range (line 1, column 11)".into()),
            (b"{1:2}", "the document: expected a field name in double quotes (line 1, column 2)".into()),
            (b"{a:2}", "the document: expected a field name in double quotes (line 1, column 2)".into()),
            (b"[1,]", "the document: something follows where nothing may: a comma too many, or text after the document (line 1, column 4)".into()),
            (b"{} s3cr3t", "the document: something follows where nothing may: a comma too many, or text after the document (line 1, column 4)".into()),
            (b"{\"a\":{\"b\":1,\"x y\":[{},{\"c\":1,\"c\":\"s3cr3t\"}]}}",
             "a[\"x y\"][1].c: this field is given twice (line 1, column 32)".into()),
        ];
        for (bytes, wanted) in table {
            assert_eq!(error(bytes), wanted, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn names_are_compared_after_their_escapes() {
        assert!(error(r#"{"trace":1,"tr\u0061ce":2}"#).starts_with("trace: this field is given twice"));
    }

    #[test]
    fn nesting_ends_at_32_levels() {
        let lists = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let objects = |levels: usize| format!("{}0{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert_eq!(error(lists(32)), "no error");
        assert_eq!(error(objects(32)), "no error");
        let too_deep = "nested too deep, accepted: at most 32 levels (line 1, column";
        for text in [lists(33), objects(33), lists(30_000), "[".repeat(60_000)] {
            assert!(error(&text).contains(too_deep), "{}", error(&text));
        }
    }

    #[test]
    fn the_order_of_fields_is_kept_and_numbers_lose_nothing() {
        let text = r#"{"z":18446744073709551615,"a":-9223372036854775808,"m":1.5,"b":18446744073709551616,"c":-0}"#;
        let Ok(Value::Object(object)) = parse(text.as_bytes()) else { panic!("not an object") };
        let shown: Vec<_> = object
            .fields
            .iter()
            .map(|(name, value)| match value {
                Value::Number(number) => format!("{name} {number}"),
                _ => panic!("not a number"),
            })
            .collect();
        assert_eq!(
            shown,
            ["z 18446744073709551615", "a -9223372036854775808", "m 1.5", "b a number above 1e15", "c 0"]
        );
    }
}
