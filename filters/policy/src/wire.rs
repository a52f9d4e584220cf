//! From the bytes of a serialised `google.protobuf.Struct` to a tree. That is how Envoy hands over a policy that stands
//! as YAML in its configuration: the module gets the `Struct` in protobuf's wire format, not as JSON.
//!
//! ```text
//! message Struct    { map<string, Value> fields = 1; }   // an entry of the map: { string key = 1; Value value = 2; }
//! message ListValue { repeated Value values = 1; }
//! message Value     { oneof kind { NullValue null_value = 1; double number_value = 2; string string_value = 3;
//!                                  bool bool_value = 4; Struct struct_value = 5; ListValue list_value = 6; } }
//! ```
//!
//! The reader takes what the encoders of protobuf write and no more. These messages are frozen, so a field or a wire type
//! that they do not define means that the bytes are something else, and it is refused rather than skipped. So are a field
//! twice in one message (a parser of protobuf would take the last one, or merge the two) and a length in more bytes than
//! it needs. Thereby nothing is read as other than it was meant, and text and `Struct` never overlap: see [`is_struct`].

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::carrier::{GIVEN_TWICE, MAX_DEPTH, NOT_UTF8, TOO_DEEP};
use crate::path::{Step, Trail};
use crate::report::PolicyError;
use crate::value::{Number, Object, Value};

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod properties;

// The tags: (number of the field << 3) | wire type. Each fits in one byte.
/// `Struct.fields` and `ListValue.values`, the only field of either.
const ITEM: u8 = 0x0a;
const KEY: u8 = 0x0a;
const VALUE: u8 = 0x12;
const NULL: u8 = 0x08;
const NUMBER: u8 = 0x11;
const STRING: u8 = 0x1a;
const BOOL: u8 = 0x20;
const STRUCT: u8 = 0x2a;
const LIST: u8 = 0x32;

/// What is wrong; the [`Trail`] says where.
type Problem = &'static str;

const ENDS_EARLY: Problem = "the bytes of the Struct end too early";
const BAD_LENGTH: Problem = "the Struct holds a malformed length";
const UNDEFINED: Problem = "the Struct holds what google.protobuf.Struct does not define";
const NO_KIND: Problem = "the Struct holds a value of which no kind is set";
const ODD_NAME: Problem = "the Struct holds a field name with control characters";
const NOT_FINITE: Problem = "found NaN or an infinity, accepted: a finite number";

/// Whether these bytes are a `Struct` that is not empty, and not text: whether they begin with an entry of the map up to
/// the tag of its value.
///
/// It cannot be told from the first bytes. The tag of an entry is a newline, and its length may be a space or a `{`. But
/// the tag of a value, 0x12, is a control character, and JSON text holds none anywhere (RFC 8259 §7) except tab, newline
/// and carriage return: no JSON is taken for a `Struct`. And [`parse`] accepts no `Struct` without an entry, no entry
/// without a value and nothing before that but the key: no `Struct` is taken for text.
pub(crate) fn is_struct(bytes: &[u8]) -> bool {
    let mut reader = Reader(bytes);
    let mut begins_with_an_entry = || {
        if reader.byte()? != ITEM {
            return Ok(false);
        }
        reader.length()?;
        let mut tag = reader.byte()?;
        if tag == KEY {
            reader.delimited()?;
            tag = reader.byte()?;
        }
        Ok::<_, Problem>(tag == VALUE)
    };
    begins_with_an_entry().unwrap_or(false)
}

/// Reads a `Struct` and nothing after it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, PolicyError> {
    let mut trail = Trail::default();
    read_struct(bytes, &mut trail).map_err(|problem| PolicyError::new(&trail.path(), problem))
}

fn read_struct(bytes: &[u8], trail: &mut Trail) -> Result<Value, Problem> {
    check_depth(trail)?;
    let mut fields = Vec::new();
    let mut names = BTreeSet::new();
    let mut reader = Reader(bytes);
    while let Some(entry) = reader.item()? {
        let (name, value) = read_entry(entry)?;
        let name: Rc<str> = name.into();
        let is_new = names.insert(Rc::clone(&name));
        trail.push(Step::Field(Rc::clone(&name)));
        if !is_new {
            return Err(GIVEN_TWICE);
        }
        fields.push((name, read_value(value, trail)?));
        trail.pop();
    }
    Ok(Value::Object(Box::new(Object::with_fields(fields))))
}

fn read_list(bytes: &[u8], trail: &mut Trail) -> Result<Value, Problem> {
    check_depth(trail)?;
    let mut items = Vec::new();
    let mut reader = Reader(bytes);
    while let Some(item) = reader.item()? {
        trail.push(Step::Item(items.len()));
        items.push(read_value(item, trail)?);
        trail.pop();
    }
    Ok(Value::Array(items))
}

/// Every object and list on the way here is one step of the trail.
fn check_depth(trail: &Trail) -> Result<(), Problem> {
    if trail.depth() >= MAX_DEPTH { Err(TOO_DEEP) } else { Ok(()) }
}

/// The key and the value of an entry, which may come in either order. Some encoders leave out an empty one.
fn read_entry(bytes: &[u8]) -> Result<(&str, &[u8]), Problem> {
    let (mut key, mut value) = (None, None);
    let mut reader = Reader(bytes);
    while !reader.is_at_end() {
        let field = match reader.byte()? {
            KEY => &mut key,
            VALUE => &mut value,
            _ => return Err(UNDEFINED),
        };
        if field.replace(reader.delimited()?).is_some() {
            return Err(UNDEFINED);
        }
    }
    let key = text(key.unwrap_or_default())?;
    // A key of which the length is wrong runs on into its value, a secret perhaps, and errors show keys. The tag in
    // between gives it away.
    if key.bytes().any(|byte| byte.is_ascii_control()) { Err(ODD_NAME) } else { Ok((key, value.unwrap_or_default())) }
}

fn read_value(bytes: &[u8], trail: &mut Trail) -> Result<Value, Problem> {
    if bytes.is_empty() {
        return Err(NO_KIND);
    }
    let mut reader = Reader(bytes);
    let value = match reader.byte()? {
        NULL if !reader.boolean()? => Value::Null,
        NUMBER => Value::Number(Number::Float(reader.double()?)),
        STRING => Value::String(text(reader.delimited()?)?.into()),
        BOOL => Value::Bool(reader.boolean()?),
        STRUCT => read_struct(reader.delimited()?, trail)?,
        LIST => read_list(reader.delimited()?, trail)?,
        _ => return Err(UNDEFINED),
    };
    if reader.is_at_end() { Ok(value) } else { Err(UNDEFINED) }
}

fn text(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)
}

/// What is left to read of a message.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> Result<u8, Problem> {
        let (byte, rest) = self.0.split_first().ok_or(ENDS_EARLY)?;
        self.0 = rest;
        Ok(*byte)
    }

    /// A varint of at most 21 bits: a longer one could only be a length that runs past the longest document.
    fn length(&mut self) -> Result<usize, Problem> {
        let mut length = 0;
        for place in [1, 1 << 7, 1 << 14] {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f).saturating_mul(place);
            if byte < 0x80 {
                // A last digit of zero could have been left out.
                return if byte == 0 && place > 1 { Err(BAD_LENGTH) } else { Ok(length) };
            }
        }
        Err(BAD_LENGTH)
    }

    /// What a length stands before: a string or a message.
    fn delimited(&mut self) -> Result<&'b [u8], Problem> {
        let length = self.length()?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(ENDS_EARLY)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// The next value of a list or entry of a map; `None` at the end.
    fn item(&mut self) -> Result<Option<&'b [u8]>, Problem> {
        if self.is_at_end() {
            return Ok(None);
        }
        if self.byte()? != ITEM {
            return Err(UNDEFINED);
        }
        self.delimited().map(Some)
    }

    /// A bool, or a `NullValue`, whose only number is 0.
    fn boolean(&mut self) -> Result<bool, Problem> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(UNDEFINED),
        }
    }

    fn double(&mut self) -> Result<f64, Problem> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(ENDS_EARLY)?;
        self.0 = rest;
        let number = f64::from_le_bytes(*bytes);
        if number.is_finite() { Ok(number) } else { Err(NOT_FINITE) }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::Document;
    use crate::testing::environment;
    use crate::testing::wire::{delimited, list, nested, number, object, text};
    use crate::value::Found;

    fn error(bytes: &[u8]) -> String {
        match parse(bytes) {
            Ok(_) => "no error".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// The value under `a` in a `Struct` that holds nothing else.
    fn shown(value: &[u8]) -> String {
        match parse(&object(&[("a", value.to_vec())])) {
            Ok(Value::Object(object)) => Found(&object.fields[0].1).to_string(),
            Ok(_) => panic!("not an object"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_policy_is_read_as_envoy_hands_it_over() {
        // {version: "1.0", trace: {enabled: true, rate: 0.25, limit: 1000, from: [a, b], nothing: null}}
        let bytes = b"\x0a\x10\x0a\x07version\x12\x05\x1a\x031.0\
            \x0a\x66\x0a\x05trace\x12\x5d\x2a\x5b\
            \x0a\x0d\x0a\x07enabled\x12\x02\x20\x01\
            \x0a\x11\x0a\x04rate\x12\x09\x11\0\0\0\0\0\0\xd0\x3f\
            \x0a\x12\x0a\x05limit\x12\x09\x11\0\0\0\0\0\x40\x8f\x40\
            \x0a\x14\x0a\x04from\x12\x0c\x32\x0a\x0a\x03\x1a\x01a\x0a\x03\x1a\x01b\
            \x0a\x0d\x0a\x07nothing\x12\x02\x08\0";
        let wanted = object(&[
            ("version", text("1.0")),
            (
                "trace",
                nested(&[
                    ("enabled", vec![0x20, 1]),
                    ("rate", number(0.25)),
                    ("limit", number(1000.0)),
                    ("from", list(&[text("a"), text("b")])),
                    ("nothing", vec![0x08, 0]),
                ]),
            ),
        ]);
        assert_eq!(bytes[..], wanted[..]);

        let document = Document::parse(bytes, &environment).unwrap();
        let trace = document.section("trace");
        assert_eq!(trace.boolean("enabled"), Some(true));
        assert_eq!(trace.fraction("rate"), Some(0.25));
        assert_eq!(trace.integer("limit", 1..=1000), Some(1000));
        assert_eq!(trace.choices("from", &[("a", 1), ("b", 2)]), Some(vec![1, 2]));
        assert_eq!(trace.boolean("nothing"), None);
        assert_eq!(document.finish(), Ok(vec![]));
    }

    #[test]
    fn a_value_is_of_exactly_one_defined_kind() {
        let table: [(&[u8], &str); 32] = [
            (b"\x08\x00", "null"),
            (b"\x20\x00", "false"),
            (b"\x20\x01", "true"),
            (b"\x11\x00\x00\x00\x00\x00\x00\xe0\x3f", "0.5"),
            (b"\x11\x00\x00\x00\x00\x00\x00\x08\xc0", "-3"),
            (b"\x11\xff\xff\xff\xff\xff\xff\xef\x7f", "a number above 1e15"),
            (b"\x1a\x00", "\"\""),
            (b"\x1a\x02\xc3\xa4", "\"ä\""),
            (b"\x2a\x00", "an object"),
            (b"\x32\x00", "an empty list"),
            (
                b"\x32\x0a\x0a\x02\x08\x00\x0a\x04\x32\x02\x0a\x00",
                "a[1][0]: the Struct holds a value of which no kind is set",
            ),
            (b"", "a: the Struct holds a value of which no kind is set"),
            (b"\x11\x00\x00\x00\x00\x00\x00\xf8\x7f", "a: found NaN or an infinity, accepted: a finite number"),
            (b"\x11\x00\x00\x00\x00\x00\x00\xf0\x7f", "a: found NaN or an infinity, accepted: a finite number"),
            (b"\x11\x00\x00\x00\x00\x00\x00\xf0\xff", "a: found NaN or an infinity, accepted: a finite number"),
            (b"\x1a\x01\xff", "a: a string is not valid UTF-8"),
            (b"\x1a\x03\xed\xa0\x80", "a: a string is not valid UTF-8"),
            (b"\x1a\x02x", "a: the bytes of the Struct end too early"),
            (b"\x1a", "a: the bytes of the Struct end too early"),
            (b"\x1a\x80", "a: the bytes of the Struct end too early"),
            (b"\x11\x00\x00\x00\x00\x00\x00\xf0", "a: the bytes of the Struct end too early"),
            (b"\x1a\x80\x00", "a: the Struct holds a malformed length"),
            (b"\x1a\x81\x80\x00x", "a: the Struct holds a malformed length"),
            (b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a: the Struct holds a malformed length"),
            (b"\x1a\xff\xff\x7f", "a: the bytes of the Struct end too early"),
            // A number of NullValue and of bool that is none, and a bool in more bytes than it needs.
            (b"\x08\x01", "a: the Struct holds what google.protobuf.Struct does not define"),
            (b"\x20\x02", "a: the Struct holds what google.protobuf.Struct does not define"),
            (b"\x20\x81\x00", "a: the Struct holds what google.protobuf.Struct does not define"),
            // Two kinds, an unknown field, a known field of another wire type, a group.
            (b"\x20\x01\x1a\x01x", "a: the Struct holds what google.protobuf.Struct does not define"),
            (b"\x3a\x00", "a: the Struct holds what google.protobuf.Struct does not define"),
            (b"\x22\x01\x01", "a: the Struct holds what google.protobuf.Struct does not define"),
            (b"\x2b\x2c", "a: the Struct holds what google.protobuf.Struct does not define"),
        ];
        for (value, wanted) in table {
            assert_eq!(shown(value), wanted, "{value:x?}");
        }
    }

    #[test]
    fn an_entry_has_at_most_one_key_and_one_value() {
        let undefined = "the document: the Struct holds what google.protobuf.Struct does not define";
        let table: [(&[u8], &str); 14] = [
            (b"\x0a\x06\x12\x02\x20\x01\x0a\x00", "no error"),
            (b"\x0a\x07\x12\x02\x20\x01\x0a\x01a", "no error"),
            (b"\x0a\x04\x12\x02\x20\x01", "no error"),
            (b"\x0a\x03\x0a\x01a", "a: the Struct holds a value of which no kind is set"),
            (b"\x0a\x00", "[\"\"]: the Struct holds a value of which no kind is set"),
            (b"\x0a\x07\x0a\x01\xff\x12\x02\x20\x01", "the document: a string is not valid UTF-8"),
            (
                b"\x0a\x09\x0a\x07a\x12\x03\x1a\x01s!",
                "the document: the Struct holds a field name with control characters",
            ),
            (b"\x0a\x0a\x0a\x01a\x0a\x01a\x12\x02\x20\x01", undefined),
            (b"\x0a\x0b\x0a\x01a\x12\x02\x20\x01\x12\x02\x20\x01", undefined),
            (b"\x0a\x0a\x0a\x01a\x12\x02\x20\x01\x1a\x01a", undefined),
            (b"\x0a\x04\x0a\x01a\x12\x02\x20\x01", "the document: the bytes of the Struct end too early"),
            (b"\x0a\x07\x0a\x01a\x12\x02\x20\x01\x12\x00", undefined),
            (b"\x0a\x08\x0a\x01a\x12\x02\x20\x01", "the document: the bytes of the Struct end too early"),
            (b"\x0b\x0c", undefined),
        ];
        for (bytes, wanted) in table {
            assert_eq!(error(bytes), wanted, "{bytes:x?}");
        }
    }

    #[test]
    fn a_field_given_twice_is_told_with_its_path() {
        let twice = nested(&[("c", text("s3cr3t")), ("x y", number(1.0)), ("c", text("s3cr3t"))]);
        let bytes = object(&[("a", nested(&[("b", list(&[nested(&[]), twice]))]))]);
        assert_eq!(error(&bytes), "a.b[1].c: this field is given twice");
    }

    #[test]
    fn nesting_ends_at_32_levels() {
        // The innermost of so many levels is the empty object or list.
        let objects = |levels: usize| (1..levels).fold(vec![], |inner, _| object(&[("a", delimited(0x2a, &inner))]));
        let lists = |levels: usize| {
            let lists = (3..=levels).fold(list(&[]), |inner, _| list(&[inner]));
            object(&[("a", lists)])
        };
        let too_deep = "nested too deep, accepted: at most 32 levels";
        for (document, last) in
            [(&objects as &dyn Fn(usize) -> Vec<u8>, ["a"; 32].join(".")), (&lists, format!("a{}", "[0]".repeat(31)))]
        {
            assert_eq!(error(&document(32)), "no error");
            assert_eq!(error(&document(33)), format!("{last}: {too_deep}"));
            assert_eq!(error(&document(500)), format!("{last}: {too_deep}"));
        }
    }

    #[test]
    fn the_empty_struct_is_an_object_without_fields() {
        assert!(matches!(parse(b""), Ok(Value::Object(object)) if object.fields.is_empty()));
        assert!(!is_struct(b""));
    }

    #[test]
    fn a_struct_is_told_from_text_by_its_first_entry() {
        let with_key = |key: &str| object(&[(key, vec![0x08, 0])]);
        let structs = [
            with_key("version"),
            with_key(""),
            with_key(&"k".repeat(0x7b - 6)),
            with_key(&"k".repeat(20_000)),
            b"\x0a\x07\x12\x02\x20\x01\x0a\x01a".to_vec(),
            b"\x0a\x04\x12\x02\x20\x01".to_vec(),
        ];
        for bytes in structs {
            assert!(is_struct(&bytes), "{bytes:x?}");
            assert_eq!(error(&bytes), "no error", "{bytes:x?}");
        }
        for text in ["{}", "\n{}", "\n{\n\"a\":1}", "\n\n\n\n\n\n", "\n\n\n{\"version\":\"1.0\"}", "\nversion: 1", "\n"]
        {
            assert!(!is_struct(text.as_bytes()), "{text:?}");
        }
    }
}
