//! A consumer of one release reads the lines of the next, until the major version moves.

use super::published::read;
use serde_json::Value;

/// What in `new` breaks a consumer of `old`: a field that is gone, of another type, or no longer always there; a value of
/// an enumeration that is gone. Added fields and values are no break, and nothing is one when the major version moved.
///
/// Retyped is any type that is not exactly the old one, `integer` for `number` too: a mapping made from the old one may
/// not hold.
fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if major(old) == major(new) {
        compare("", old, new, &mut found);
    }
    found
}

/// The number before the dot at the end of `$id`.
fn major(schema: &Value) -> Option<&str> {
    schema["$id"].as_str()?.rsplit(':').next()?.split('.').next()
}

fn compare(path: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    if types(&old["type"]) != types(&new["type"]) {
        found.push(format!("{path}: retyped"));
    }
    let items = |of: &Value, key: &str| of[key].as_array().cloned().unwrap_or_default();
    let values = items(new, "enum");
    for value in items(old, "enum") {
        // Without an enumeration every value may come: the consumer's list was closed.
        if !values.contains(&value) {
            found.push(format!("{path}: value {value} removed"));
        }
    }
    let required = items(new, "required");
    for name in items(old, "required") {
        if !required.contains(&name) {
            found.push(format!("{path}/{}: made optional", name.as_str().unwrap_or("?")));
        }
    }
    for part in ["properties", "patternProperties"] {
        for (name, old) in old[part].as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            match new[part].get(name) {
                Some(new) => compare(&path, old, new, found),
                None => found.push(format!("{path}: removed")),
            }
        }
    }
}

/// One type or a list of them, in no order.
fn types(of: &Value) -> Vec<String> {
    let mut types: Vec<_> = match of {
        Value::Array(types) => types.iter().map(Value::to_string).collect(),
        Value::Null => Vec::new(),
        one => vec![one.to_string()],
    };
    types.sort();
    types
}

#[test]
fn the_schema_breaks_no_consumer_of_the_released_one() {
    let (released, current) = (read("released/access-log.v1.schema.json"), read("access-log.v1.schema.json"));
    assert_eq!(breaks(&released, &current), Vec::<String>::new());
    assert_eq!(major(&current), Some("1"), "the major version is part of the file's name");
}

#[test]
fn a_break_is_found_where_it_is() {
    let base = r#"{"$id": "urn:x:1.0", "type": "object", "required": ["a", "o"], "properties": {
        "a": {"type": "string", "enum": ["x", "y"]}, "b": {"type": ["integer", "string"]},
        "o": {"type": "object", "required": ["c"], "properties": {"c": {"type": "number"}},
              "patternProperties": {"^z": {"type": "string"}}}}}"#;
    let table: [(&str, &str, &[&str]); 15] = [
        ("", "", &[]),
        (r#""b": {"type": ["integer", "string"]},"#, "", &["/b: removed"]),
        (r#"["integer", "string"]"#, r#"["string", "integer"]"#, &[]),
        (r#"["integer", "string"]"#, r#""integer""#, &["/b: retyped"]),
        (r#""type": ["integer", "string"]"#, "", &["/b: retyped"]),
        (r#""number""#, r#""integer""#, &["/o/c: retyped"]),
        (r#"["a", "o"]"#, r#"["o"]"#, &["/a: made optional"]),
        (r#""required": ["c"],"#, "", &["/o/c: made optional"]),
        (r#"["a", "o"]"#, r#"["a", "o", "b"]"#, &[]),
        (r#"["x", "y"]"#, r#"["y"]"#, &[r#"/a: value "x" removed"#]),
        (r#"["x", "y"]"#, r#"["y", "x", "z"]"#, &[]),
        (r#""b":"#, r#""new": {"type": "string"}, "b":"#, &[]),
        (r#""^z""#, r#""^y""#, &["/o/^z: removed"]),
        ("1.0", "1.9", &[]),
        (r#", "enum": ["x", "y"]"#, "", &[r#"/a: value "x" removed"#, r#"/a: value "y" removed"#]),
    ];
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect(text);
    for (from, to, expected) in table {
        let changed = if from.is_empty() { base.to_owned() } else { base.replacen(from, to, 1) };
        assert_eq!(breaks(&parse(base), &parse(&changed)), expected, "{from} as {to}");
        let next_major = changed.replace("urn:x:1.", "urn:x:2.");
        assert_eq!(breaks(&parse(base), &parse(&next_major)), Vec::<String>::new());
    }
}
