//! The document as a tree, and which of its fields somebody has asked for.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// A JSON value. It has no `Debug`, so that no `{:?}` can print a secret that the document holds.
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    String(Box<str>),
    Array(Vec<Value>),
    Object(Box<Object>),
}

/// A JSON number in the form that loses nothing of it.
#[derive(Clone, Copy)]
pub(crate) enum Number {
    Unsigned(u64),
    Negative(i64),
    /// Finite: what does not fit is an error of the parser.
    Float(f64),
}

/// A JSON object: its fields in the order of the document, and the names that a reader has asked for. What is here and
/// was never asked for is an unknown field.
#[derive(Default)]
pub(crate) struct Object {
    pub(crate) fields: Vec<(Rc<str>, Value)>,
    accepted: RefCell<Vec<Accepted>>,
    /// Somebody answers for this object field by field.
    opened: Cell<bool>,
}

/// A field name that a reader has asked for.
#[derive(Clone, Copy)]
pub(crate) struct Accepted {
    pub(crate) name: &'static str,
    /// The name that this field had in an earlier minor version.
    pub(crate) alias: Option<&'static str>,
    /// The field holds a secret: nothing of it may be shown.
    pub(crate) secret: bool,
    /// The field is answered for, whoever answers for the object around it.
    pub(crate) shared: bool,
}

impl Object {
    pub(crate) fn with_fields(fields: Vec<(Rc<str>, Value)>) -> Object {
        Object { fields, ..Object::default() }
    }

    /// The value under `name`. A null counts as absent: YAML's `trace:` with nothing behind it.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let (_, value) = self.fields.iter().find(|(key, _)| &**key == name)?;
        match value {
            Value::Null => None,
            value => Some(value),
        }
    }

    /// Says that a reader asks for every field that this object may have.
    pub(crate) fn open(&self) {
        self.opened.set(true);
    }

    /// Says that `name` is a field of this object, and returns what is known of it.
    pub(crate) fn accept(&self, name: &'static str) -> Accepted {
        let mut accepted = self.accepted.borrow_mut();
        if let Some(known) = accepted.iter().find(|known| known.name == name) {
            return *known;
        }
        let new = Accepted { name, alias: None, secret: false, shared: false };
        accepted.push(new);
        new
    }

    /// Says that the field `name` was once called `alias`.
    pub(crate) fn accept_alias(&self, name: &'static str, alias: &'static str) {
        self.change(name, |accepted| accepted.alias = Some(alias));
    }

    /// Says that the field `name` holds a secret.
    pub(crate) fn accept_secret(&self, name: &'static str) {
        self.change(name, |accepted| accepted.secret = true);
    }

    /// Says that somebody answers for the field `name`, also where nobody does for this object.
    pub(crate) fn accept_shared(&self, name: &'static str) {
        self.change(name, |accepted| accepted.shared = true);
    }

    fn change(&self, name: &'static str, change: impl FnOnce(&mut Accepted)) {
        self.accept(name);
        let mut accepted = self.accepted.borrow_mut();
        if let Some(known) = accepted.iter_mut().find(|known| known.name == name) {
            change(known);
        }
    }

    /// Whether somebody answers for every field.
    pub(crate) fn is_open(&self) -> bool {
        self.opened.get()
    }

    /// The names asked for so far.
    pub(crate) fn accepted(&self) -> Vec<Accepted> {
        self.accepted.borrow().clone()
    }
}

impl Number {
    /// The number as a whole one from zero up. `1000.0` is one: Envoy carries a policy that is written as YAML in a
    /// `Struct`, where every number is a double.
    pub(crate) fn as_unsigned(self) -> Option<u64> {
        /// 2^53: up to here every whole number has a double of its own.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match self {
            Number::Unsigned(number) => Some(number),
            // In range, so the cast is exact.
            Number::Float(number) if (0.0..=EXACT).contains(&number) && number.fract() == 0.0 => Some(number as u64),
            _ => None,
        }
    }

    pub(crate) fn as_float(self) -> f64 {
        match self {
            Number::Unsigned(number) => number as f64,
            Number::Negative(number) => number as f64,
            Number::Float(number) => number,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Unsigned(number) => write!(f, "{number}"),
            Number::Negative(number) => write!(f, "{number}"),
            Number::Float(number) => write_float(f, *number),
        }
    }
}

/// A double with up to nine decimals, and "about" before it where these do not tell all of it. The standard library's
/// own way shows every double exactly, with code that would be a tenth of a small module.
fn write_float(f: &mut fmt::Formatter<'_>, number: f64) -> fmt::Result {
    const LARGE: f64 = 1e15;
    const BILLION: u64 = 1_000_000_000;
    let magnitude = number.abs();
    if magnitude >= LARGE {
        return f.write_str(if number > 0.0 { "a number above 1e15" } else { "a number below -1e15" });
    }
    // Both casts are of whole numbers below 10^15.
    let mut whole = magnitude.trunc() as u64;
    let mut billionths = (magnitude.fract() * BILLION as f64).round() as u64;
    if billionths == BILLION {
        whole = whole.saturating_add(1);
        billionths = 0;
    }
    let shown = whole as f64 + billionths as f64 / BILLION as f64;
    let about = if shown == magnitude { "" } else { "about " };
    let sign = if number < 0.0 { "-" } else { "" };
    write!(f, "{about}{sign}{whole}")?;
    if billionths == 0 {
        return Ok(());
    }
    let mut places: usize = 9;
    while billionths.is_multiple_of(10) {
        billionths /= 10;
        places = places.saturating_sub(1);
    }
    write!(f, ".{billionths:0places$}")
}

/// A value as an error shows it: a string quoted and cut, an object or a list only as such.
pub(crate) struct Found<'a>(pub(crate) &'a Value);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::String(value) => write!(f, "{}", Quoted(value)),
            structure => write!(f, "{}", Kind(structure)),
        }
    }
}

/// A value as an error shows it where an object or a list was to be: what it is and not what it holds. A whole section
/// that arrives as a string may hold secrets.
pub(crate) struct Kind<'a>(pub(crate) &'a Value);

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::String(_) => f.write_str("a string"),
            Value::Array(items) if items.is_empty() => f.write_str("an empty list"),
            Value::Array(items) => write!(f, "a list of {}", items.len()),
            Value::Object(_) => f.write_str("an object"),
        }
    }
}

/// Text from the document for a log line: quoted, cut at [`Quoted::LONGEST`] characters, and with everything escaped
/// that could end the line or change how it is shown.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl Quoted<'_> {
    pub(crate) const LONGEST: usize = 64;
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(Self::LONGEST) {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                // Control characters, and the invisible ones that end lines, turn the direction of text or have no width.
                character if character.is_control() => write!(f, "\\u{:04x}", u32::from(character))?,
                '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                    write!(f, "\\u{:04x}", u32::from(character))?;
                }
                character => write!(f, "{character}")?,
            }
        }
        f.write_str(if characters.next().is_some() { "…\"" } else { "\"" })
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_whole_double_is_a_whole_number_as_far_as_doubles_are_exact() {
        let table = [
            (Number::Unsigned(u64::MAX), Some(u64::MAX)),
            (Number::Float(1000.0), Some(1000)),
            (Number::Float(0.0), Some(0)),
            (Number::Float(-0.0), Some(0)),
            (Number::Float(9_007_199_254_740_992.0), Some(9_007_199_254_740_992)),
            (Number::Float(9_007_199_254_740_994.0), None),
            (Number::Float(0.5), None),
            (Number::Float(-1.0), None),
            (Number::Float(1e300), None),
            (Number::Negative(-1), None),
        ];
        for (number, whole) in table {
            assert_eq!(number.as_unsigned(), whole, "{number}");
        }
    }

    #[test]
    fn numbers_are_shown_short() {
        let table = [
            (Number::Float(0.25), "0.25"),
            (Number::Float(1.0), "1"),
            (Number::Float(-0.0), "0"),
            (Number::Float(-0.1), "-0.1"),
            (Number::Float(1.000_000_1), "1.0000001"),
            (Number::Float(12.000_000_001), "12.000000001"),
            (Number::Float(0.999_999_999_9), "about 1"),
            (Number::Float(1e-12), "about 0"),
            (Number::Float(-1.0 / 3.0), "about -0.333333333"),
            (Number::Float(999_999_999_999_999.0), "999999999999999"),
            (Number::Float(1e15), "a number above 1e15"),
            (Number::Float(-1e300), "a number below -1e15"),
            (Number::Negative(-3), "-3"),
        ];
        for (number, shown) in table {
            assert_eq!(number.to_string(), shown);
        }
    }

    #[test]
    fn structure_is_shown_only_as_such() {
        let object = || Value::Object(Box::default());
        let text = || Value::String("s3cr3t".into());
        let table = [
            (Value::Null, "null", "null"),
            (Value::Bool(true), "true", "true"),
            (text(), r#""s3cr3t""#, "a string"),
            (object(), "an object", "an object"),
            (Value::Array(vec![]), "an empty list", "an empty list"),
            (Value::Array(vec![text(), object()]), "a list of 2", "a list of 2"),
        ];
        for (value, found, kind) in table {
            assert_eq!(Found(&value).to_string(), found);
            assert_eq!(Kind(&value).to_string(), kind);
        }
    }
}
