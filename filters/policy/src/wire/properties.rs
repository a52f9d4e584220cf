//! What holds for every `Struct`, told by a library that others use: prost writes what we read, and reads what we accept.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct};

use super::{is_struct, parse};
use crate::properties::{any_json, check_time, read};
use crate::syntax;
use crate::testing::wire::{list, nested, number, object, text};
use crate::value::Value;

fn to_struct(json: &serde_json::Value) -> prost_types::Value {
    use serde_json::Value as Json;
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(value) => Kind::NumberValue(value.as_f64().unwrap()),
        Json::String(value) => Kind::StringValue(value.clone()),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(to_struct).collect() }),
        Json::Object(fields) => Kind::StructValue(Struct {
            fields: fields.iter().map(|(name, value)| (name.clone(), to_struct(value))).collect(),
        }),
    };
    prost_types::Value { kind: Some(kind) }
}

/// A tree as a `Struct` can hold it: numbers as doubles, fields in no order.
fn from_tree(tree: &Value) -> prost_types::Value {
    let kind = match tree {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(value) => Kind::NumberValue(value.as_float()),
        Value::String(value) => Kind::StringValue(value.to_string()),
        Value::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(from_tree).collect() }),
        Value::Object(object) => Kind::StructValue(Struct {
            fields: object.fields.iter().map(|(name, value)| (name.to_string(), from_tree(value))).collect(),
        }),
    };
    prost_types::Value { kind: Some(kind) }
}

/// A document with `json` in it, as JSON and as a `Struct`.
fn in_both(json: &serde_json::Value) -> (String, Vec<u8>) {
    let text = serde_json::json!({ "version": "1.0", "trace": json }).to_string();
    // Some decimal numbers are read as the double next to the nearest: the text decides.
    let Some(Kind::StructValue(message)) = to_struct(&serde_json::from_str(&text).unwrap()).kind else {
        unreachable!()
    };
    (text, message.encode_to_vec())
}

/// Whether a field has a name that JSON accepts and a `Struct` does not.
fn has_an_odd_name(json: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match json {
        Json::Array(items) => items.iter().any(has_an_odd_name),
        Json::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains(|c: char| c.is_ascii_control()) || has_an_odd_name(value))
        }
        _ => false,
    }
}

/// Bytes that are nearly a `Struct`.
fn nearly_a_struct() -> impl Strategy<Value = Vec<u8>> {
    let byte = select(b"\x00\x01\x02\x03\x08\x0a\x0b\x11\x12\x1a\x20\x2a\x32\x7f\x80\xffa\"{} ".to_vec());
    (any::<bool>(), vec(byte, 0..40)).prop_map(|(in_an_entry, bytes)| {
        // The small entry, with its length: all that follows is a value in its place.
        let entry = [&[0x0a, 0x01, b'a', 0x12, bytes.len() as u8][..], &bytes].concat();
        if in_an_entry { [&[0x0a, entry.len() as u8][..], &entry].concat() } else { bytes }
    })
}

/// One byte is changed, put in or left out, or the end is cut off.
fn damage(bytes: &mut Vec<u8>, kind: u8, at: usize, byte: u8) {
    match kind {
        0 => bytes[at] = byte,
        1 => bytes.insert(at, byte),
        2 => drop(bytes.remove(at)),
        _ => bytes.truncate(at),
    }
}

/// Whatever we accept, prost reads as the same; and it is no text.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let _ = read(bytes);
    if let Ok(tree) = parse(bytes) {
        let theirs = prost_types::Value { kind: Some(Kind::StructValue(Struct::decode(bytes).unwrap())) };
        prop_assert_eq!(from_tree(&tree), theirs);
        prop_assert_eq!(is_struct(bytes), !bytes.is_empty());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn a_struct_is_read_as_the_same_document_in_json_is(json in any_json(), space in "[ \t\r\n]{0,9}") {
        let (text, bytes) = in_both(&json);
        let text = format!("\n{space}{text}");
        prop_assert!(is_struct(&bytes) && !is_struct(text.as_bytes()));
        let Ok(wanted) = syntax::parse(text.as_bytes()) else { return Err(TestCaseError::fail(text)) };
        match parse(&bytes) {
            Ok(ours) => prop_assert_eq!(from_tree(&ours), from_tree(&wanted)),
            Err(error) => prop_assert!(has_an_odd_name(&json), "{error} for {text}"),
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_are_read_as_what_they_are_not(bytes in vec(any::<u8>(), 0..200)) {
        check(&bytes)?;
    }

    #[test]
    fn what_is_nearly_a_struct_is_read_right_or_refused(bytes in nearly_a_struct()) {
        check(&bytes)?;
    }

    #[test]
    fn a_damaged_struct_is_read_right_or_refused(
        json in any_json(),
        damages in vec((0_u8..4, any::<Index>(), any::<u8>()), 1..4),
    ) {
        let (_, mut bytes) = in_both(&json);
        for (kind, at, byte) in damages {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                damage(&mut bytes, kind, at, byte);
            }
        }
        check(&bytes)?;
    }
}

#[test]
fn no_bytes_are_both_text_and_a_struct() {
    const SYMBOLS: &[u8] = b"\x00\x01\x02\x03\x04\x05\x08\x0a\x12 1{}\"";
    let (mut texts, mut structs) = (0, 0);
    for number in 0..SYMBOLS.len().pow(5) {
        let symbol = |place: u32| SYMBOLS[number / SYMBOLS.len().pow(place) % SYMBOLS.len()];
        let bytes = [b'\n', symbol(0), symbol(1), symbol(2), symbol(3), symbol(4)];
        let as_text = syntax::parse(&bytes).is_ok();
        let as_struct = parse(&bytes).is_ok();
        assert!(!(as_text && (as_struct || is_struct(&bytes))), "{bytes:x?}");
        assert!(!as_struct || is_struct(&bytes), "{bytes:x?}");
        texts += usize::from(as_text);
        structs += usize::from(as_struct);
    }
    assert!(texts > 0 && structs > 0);
}

#[test]
fn ten_times_the_struct_takes_about_ten_times_as_long() {
    let null = || vec![0x08, 0];
    let fields = |count: usize| {
        let names: Vec<_> = (0..count).map(|number| format!("{number:04x}")).collect();
        let fields: Vec<_> = names.iter().map(|name| (&**name, null())).collect();
        object(&[("version", text("1.0")), ("trace", nested(&fields))])
    };
    let items = |count: usize| object(&[("version", text("1.0")), ("trace", list(&vec![null(); count]))]);
    let deep = |count: usize| {
        let inner = (0..29).fold(list(&vec![null(); count]), |inner, _| list(&[inner]));
        object(&[("version", text("1.0")), ("trace", inner)])
    };
    check_time(&fields(450), &fields(4_500));
    check_time(&items(1_600), &items(16_000));
    check_time(&deep(1_600), &deep(16_000));
}

#[test]
fn no_single_damage_to_a_struct_brings_its_secret_to_light() {
    let bytes = object(&[
        ("version", text("1.0")),
        ("trace", nested(&[("key", text("s3cr3t-hunter2")), ("rules", list(&[nested(&[("rate", number(0.5))])]))])),
        ("sampling", nested(&[("a", number(1.0)), ("key", nested(&[("env", text("LONG_SECRET"))]))])),
    ]);
    assert!(parse(&bytes).is_ok());
    let is_safe = |kind: u8, at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        damage(&mut bytes, kind, at, byte);
        let shown = read(&bytes).map_or_else(|errors| errors.to_string(), |warnings| warnings.join("\n"));
        assert!(!["hunter2", "s3cr", "abcdef"].iter().any(|secret| shown.contains(secret)), "{bytes:x?}: {shown}");
    };
    for at in 0..bytes.len() {
        is_safe(2, at, 0);
        is_safe(3, at, 0);
        for byte in 0..=u8::MAX {
            is_safe(0, at, byte);
            is_safe(1, at, byte);
        }
    }
}
