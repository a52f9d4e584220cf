//! How a document arrives, JSON text or a serialised `google.protobuf.Struct`, and the limits that hold for both.

use crate::path::Path;
use crate::report::PolicyError;
use crate::value::{Number, Object, Value};
use crate::{syntax, wire};

/// The longest document, in bytes.
pub(crate) const MAX_BYTES: usize = 64 * 1024;

/// How deep objects and lists may be nested; the document itself is the first level.
pub(crate) const MAX_DEPTH: usize = 32;

// What may be wrong in either carrier is told in the same words.
pub(crate) const TOO_DEEP: &str = "nested too deep, accepted: at most 32 levels";
pub(crate) const GIVEN_TWICE: &str = "this field is given twice";
pub(crate) const NOT_UTF8: &str = "a string is not valid UTF-8";

/// What the bytes of a document are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// Text: a `StringValue`, or what Istio makes of `pluginConfig`.
    Json,
    /// A `Struct` in the wire format: YAML in the configuration of Envoy.
    Struct,
}

impl Carrier {
    /// Which of the two these bytes are. None are both, see [`wire::is_struct`].
    pub(crate) fn of(bytes: &[u8]) -> Carrier {
        if wire::is_struct(bytes) { Carrier::Struct } else { Carrier::Json }
    }

    /// Reads the one value that a document is. No bytes, which is also how an empty `Struct` arrives, and white space
    /// alone are an object without fields.
    pub(crate) fn read(self, bytes: &[u8]) -> Result<Value, PolicyError> {
        if bytes.len() > MAX_BYTES {
            let found = format_args!("found {} bytes, accepted: at most {MAX_BYTES} bytes", bytes.len());
            return Err(PolicyError::new(&Path::root(), found));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Object(Box::<Object>::default()));
        }
        match self {
            Carrier::Json => syntax::parse(bytes),
            Carrier::Struct => wire::parse(bytes),
        }
    }

    /// The number that `value` is or was written as. Envoy's YAML reader leaves only whole numbers up to 2^53 as numbers:
    /// `0.25` is a string by the time it is in a `Struct`.
    pub(crate) fn number(self, value: &Value) -> Option<Number> {
        match value {
            Value::Number(number) => Some(*number),
            Value::String(text) if self == Carrier::Struct => syntax::number(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::Document;
    use crate::testing::environment;
    use crate::testing::wire::{nested, object, text};

    fn read(bytes: &[u8]) -> Result<Value, PolicyError> {
        Carrier::of(bytes).read(bytes)
    }

    fn error(bytes: &[u8]) -> String {
        read(bytes).map(|_| ()).map_or_else(|error| error.to_string(), |()| "no error".to_owned())
    }

    #[test]
    fn a_document_ends_at_64_kib_in_either_carrier() {
        let json = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8)).into_bytes();
        // Two tags and a length of three bytes each for the entry, the value and the string, and the name "a".
        let binary = |length: usize| object(&[("a", text(&"x".repeat(length - 15)))]);
        for document in [&json as &dyn Fn(usize) -> Vec<u8>, &binary] {
            assert_eq!(document(65_530).len(), 65_530);
            assert_eq!(error(&document(65_536)), "no error");
            assert_eq!(error(&document(65_537)), "the document: found 65537 bytes, accepted: at most 65536 bytes");
        }
    }

    #[test]
    fn a_newline_before_the_text_does_not_make_it_a_struct() {
        for text in
            ["\n{}", "\n\n{}", "\n \n{}", "\n{\n\"a\"\n:\n{\n}\n}", "\n{\"a\":\"\\u0012\"}", "\nnull", "\n\t[\n]"]
        {
            assert_eq!(error(text.as_bytes()), "no error", "{text:?}");
        }
        let raw = error(b"\n{\"a\":\"\x12\"}");
        assert_eq!(raw, "a: a string holds a control character that is not escaped (line 2, column 7)");
    }

    #[test]
    fn no_length_makes_a_struct_look_like_text() {
        for name in (0..=140).map(|length| "{".repeat(length)) {
            for value in [0, 1, 60, 119, 120].map(|length| text(&"\n".repeat(length))) {
                let bytes = object(&[(&name, value)]);
                let Ok(Value::Object(read)) = read(&bytes) else { panic!("{bytes:x?}") };
                assert!(matches!(&read.fields[..], [(key, Value::String(_))] if **key == *name), "{bytes:x?}");
            }
        }
    }

    #[test]
    fn what_is_neither_is_told_where_yaml_goes() {
        let neither = "the document: neither JSON, which begins with { and has no comments, nor a google.protobuf.Struct, which is where YAML goes (line ";
        let table: [&[u8]; 13] = [
            b"version: \"1.0\"\ntrace: {}",
            b"\nversion: \"1.0\"\n",
            b"\"version\": \"1.0\"",
            b"---\nversion: \"1.0\"",
            b"- a",
            b"# a comment\nversion: 1",
            b"// a comment\n{}",
            b"true: 1",
            b"1: 2",
            b"\xef\xbb\xbf",
            // The Struct in a google.protobuf.Value, and one whose first length is overlong.
            b"\x2a\x07\x0a\x05\x0a\x01a\x12\x00",
            b"\x0a\x87\x00\x0a\x01a\x12\x02\x08\x00",
            b"\x0a\x05",
        ];
        for bytes in table {
            let error = error(bytes);
            assert!(error.starts_with(neither), "{error} for {:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_decimal_number_that_became_a_string_on_the_way_into_a_struct_is_a_number() {
        let number = |carrier: Carrier, text: &str| carrier.number(&Value::String(text.into())).map(Number::as_float);
        for (text, wanted) in [
            ("0.25", 0.25),
            ("1.0", 1.0),
            ("-1.5", -1.5),
            ("1e3", 1000.0),
            ("9007199254740994", 9_007_199_254_740_994.0),
        ] {
            assert_eq!(number(Carrier::Struct, text), Some(wanted), "{text:?}");
            assert_eq!(number(Carrier::Json, text), None, "{text:?}");
        }
        for text in
            ["", " 0.25", "0.25\n", ".5", "5.", "+1", "1e999", "nan", ".nan", "inf", "50%", "true", "[1]", "\"1\""]
        {
            assert_eq!(number(Carrier::Struct, text), None, "{text:?}");
        }
        for carrier in [Carrier::Json, Carrier::Struct] {
            assert_eq!(carrier.number(&Value::Number(Number::Float(0.5))).map(Number::as_float), Some(0.5));
            assert!(carrier.number(&Value::Bool(true)).is_none());
        }
    }

    #[test]
    fn fractions_and_whole_numbers_are_read_from_the_strings_of_a_struct() {
        let fields = [("f", text("0.25")), ("i", text("5.0")), ("s", text("0.25")), ("wrong", text("1.5"))];
        let bytes = object(&[("version", text("1.0")), ("trace", nested(&fields))]);
        let document = Document::parse(&bytes, &environment).unwrap();
        let trace = document.section("trace");
        assert_eq!(trace.fraction("f"), Some(0.25));
        assert_eq!(trace.integer("i", 1..=5), Some(5));
        assert_eq!(trace.string("s"), Some("0.25"));
        assert_eq!(trace.fraction("wrong"), None);
        let errors = document.finish().unwrap_err().to_string();
        assert_eq!(errors, r#"trace.wrong: found "1.5", accepted: a fraction from 0 to 1"#);
    }
}
