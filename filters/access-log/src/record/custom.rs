//! The attributes that a policy adds.

use super::SchemaError;
use sluicegate_telemetry::{Text, Value};

/// As many as a record may have.
pub const MAX_CUSTOM: usize = 32;

/// The longest name, in bytes.
pub const MAX_CUSTOM_NAME: usize = 64;

/// The longest text, in bytes; a longer one is cut.
pub const MAX_CUSTOM_TEXT: usize = 1024;

/// The first parts of the schema's own names, and OpenTelemetry's reserved `otel`. A custom attribute in one of these
/// could become a name of the schema, or a dotted prefix of one, in its next version.
const RESERVED: [&str; 11] =
    ["client", "envoy", "error", "http", "network", "otel", "rpc", "server", "sluicegate", "url", "user_agent"];

/// An attribute that the policy adds.
#[derive(Clone, Copy, Debug)]
pub struct Custom<'a> {
    /// Its name; see [`check_names`].
    pub name: &'a str,
    /// Its value.
    pub value: CustomValue<'a>,
}

/// What a policy says that a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CustomKind {
    /// Any text.
    String,
    /// A decimal integer of 64 bits.
    Integer,
    /// A decimal number that is finite.
    Float,
    /// `true` or `false`.
    Bool,
}

impl CustomKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            CustomKind::String => "a string",
            CustomKind::Integer => "an integer",
            CustomKind::Float => "a number",
            CustomKind::Bool => "true or false",
        }
    }
}

/// The value of a custom attribute.
#[derive(Clone, Copy, Debug)]
pub enum CustomValue<'a> {
    /// A string.
    Text(Text<'a>),
    /// An integer.
    Integer(i64),
    /// A number; one that is not finite makes the record not conformant.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A text that is not of the kind that it should be, which makes the record not conformant.
    Mistyped(CustomKind),
}

impl<'a> CustomValue<'a> {
    /// Reads the text of a header or a property as what the policy says that it is.
    pub fn read(kind: CustomKind, text: &'a [u8]) -> CustomValue<'a> {
        let trimmed = std::str::from_utf8(text.trim_ascii()).unwrap_or_default();
        let read = match kind {
            CustomKind::String => Some(CustomValue::Text(text.into())),
            CustomKind::Integer => trimmed.parse().ok().map(CustomValue::Integer),
            CustomKind::Float => trimmed.parse().ok().filter(|float: &f64| float.is_finite()).map(CustomValue::Float),
            CustomKind::Bool => trimmed.parse().ok().map(CustomValue::Bool),
        };
        read.unwrap_or(CustomValue::Mistyped(kind))
    }

    pub(super) fn value(self) -> Option<Value<'a>> {
        Some(match self {
            CustomValue::Text(text) => Value::Text(text.at_most(MAX_CUSTOM_TEXT)),
            CustomValue::Integer(integer) => Value::Integer(integer),
            CustomValue::Float(float) => Value::Float(float),
            CustomValue::Bool(bool) => Value::Bool(bool),
            CustomValue::Mistyped(_) => return None,
        })
    }
}

/// Whether custom attributes of these names can stand in one record: at most [`MAX_CUSTOM`]; each a few lower-case words
/// of `a-z 0-9 _` joined by dots, the first beginning with a letter, at most [`MAX_CUSTOM_NAME`] bytes; none in a
/// namespace of the schema (`http`, `envoy`, `sluicegate`, …); none twice, and none a dotted prefix of another. For a
/// policy to be refused early: a record checks its own anyway.
pub fn check_names<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Result<(), SchemaError> {
    let mut others = names.clone();
    for (place, name) in names.enumerate() {
        others.next();
        if place >= MAX_CUSTOM {
            return Err(SchemaError::CustomCount);
        }
        if !is_name(name) {
            return Err(SchemaError::CustomName(shown(name)));
        }
        let first = name.split('.').next().unwrap_or_default();
        if RESERVED.contains(&first) || others.clone().any(|other| collide(name, other)) {
            return Err(SchemaError::CustomCollision(shown(name)));
        }
    }
    Ok(())
}

pub(super) fn check(all: &[Custom<'_>]) -> Result<(), SchemaError> {
    check_names(all.iter().map(|custom| custom.name))?;
    for custom in all {
        match custom.value {
            CustomValue::Mistyped(kind) => return Err(SchemaError::CustomType(shown(custom.name), kind)),
            CustomValue::Float(float) if !float.is_finite() => {
                return Err(SchemaError::NotFinite(shown(custom.name)));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_CUSTOM_NAME
        && name.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && name
            .split('.')
            .all(|word| !word.is_empty() && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')))
}

/// The same, or one a dotted prefix of the other: Elasticsearch cannot map `a` as a number and `a.b` beside it.
fn collide(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// As much of a wrong name as an error needs.
fn shown(name: &str) -> String {
    name.get(..name.floor_char_boundary(MAX_CUSTOM_NAME)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use sluicegate_telemetry::Attributes;

    fn names(names: &[&str]) -> String {
        check_names(names.iter().copied()).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn names_are_dotted_words_that_do_not_collide() {
        let long = "a".repeat(65);
        let table: [(&[&str], &str); 22] = [
            (&[], "fine"),
            (&["tenant", "user.id", "a.b_c.d9", "a.b_c", &long[..64]], "custom_collision: a.b_c.d9"),
            (&["tenant", "user.id", "a.b_c.d9", "a.b", &long[..64]], "fine"),
            (&[&long], &format!("custom_name: {}", &long[..64])),
            (&[""], "custom_name: "),
            (&["A"], "custom_name: A"),
            (&["9a"], "custom_name: 9a"),
            (&["_a"], "custom_name: _a"),
            (&["a."], "custom_name: a."),
            (&[".a"], "custom_name: .a"),
            (&["a..b"], "custom_name: a..b"),
            (&["a-b"], "custom_name: a-b"),
            (&["é"], "custom_name: é"),
            (&["a\nb"], "custom_name: a\nb"),
            (&["x", "x"], "custom_collision: x"),
            (&["a", "b", "a.c"], "custom_collision: a"),
            (&["a.c", "b", "a"], "custom_collision: a.c"),
            (&["a", "ab"], "fine"),
            (&["http"], "custom_collision: http"),
            (&["http.request.header.x"], "custom_collision: http.request.header.x"),
            (&["https"], "fine"),
            (&["otel.scope"], "custom_collision: otel.scope"),
        ];
        for (given, expected) in table {
            assert_eq!(names(given), *expected, "{given:?}");
        }
        let many: Vec<_> = (0..33).map(|n| format!("a{n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!((names(&many[..32]), names(&many)), ("fine".to_owned(), "custom_count".to_owned()));
    }

    #[test]
    fn the_reserved_names_are_the_schemas_and_one_more() {
        let mut firsts: Vec<_> = Attributes::NAMES.iter().map(|name| name.split('.').next().unwrap()).collect();
        firsts.push("otel");
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts, RESERVED);
    }

    #[test]
    fn a_text_is_read_as_what_it_should_be() {
        let read = |kind, text: &str| match CustomValue::read(kind, text.as_bytes()) {
            CustomValue::Text(_) => "text".to_owned(),
            CustomValue::Integer(integer) => integer.to_string(),
            CustomValue::Float(float) => format!("{float:?}"),
            CustomValue::Bool(bool) => bool.to_string(),
            CustomValue::Mistyped(kind) => format!("not {}", kind.as_str()),
        };
        let table = [
            (CustomKind::String, "7", "text"),
            (CustomKind::Integer, " 7 ", "7"),
            (CustomKind::Integer, "-9223372036854775808", "-9223372036854775808"),
            (CustomKind::Integer, "9223372036854775808", "not an integer"),
            (CustomKind::Integer, "7.0", "not an integer"),
            (CustomKind::Integer, "", "not an integer"),
            (CustomKind::Float, "7.5e1", "75.0"),
            (CustomKind::Float, "NaN", "not a number"),
            (CustomKind::Float, "inf", "not a number"),
            (CustomKind::Float, "1e999", "not a number"),
            (CustomKind::Bool, "true", "true"),
            (CustomKind::Bool, "True", "not true or false"),
        ];
        for (kind, text, expected) in table {
            assert_eq!(read(kind, text), expected, "{text}");
        }
        assert!(matches!(CustomValue::read(CustomKind::Bool, b"\xff"), CustomValue::Mistyped(CustomKind::Bool)));
    }
}
