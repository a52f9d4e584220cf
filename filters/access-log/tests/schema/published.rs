//! The schema's file.

use serde_json::Value;
use std::path::Path;
use std::sync::LazyLock;

pub(super) fn read(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(super) static SCHEMA: LazyLock<Value> = LazyLock::new(|| read("access-log.v1.schema.json"));

static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    jsonschema::draft202012::options().should_validate_formats(true).build(&SCHEMA).expect("the schema is one")
});

/// What is wrong with a line by an independent validator; nothing where it is valid.
pub(super) fn complaints(line: &str) -> Vec<String> {
    match serde_json::from_str::<Value>(line) {
        Ok(value) => VALIDATOR.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect(),
        Err(error) => vec![format!("no JSON: {error}")],
    }
}

#[test]
fn the_schema_is_valid_by_its_own_metaschema() {
    assert!(jsonschema::meta::is_valid(&SCHEMA));
    assert_eq!(SCHEMA["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn every_field_has_a_description_and_its_examples_are_valid() {
    for part in [
        &SCHEMA["properties"],
        &SCHEMA["properties"]["attributes"]["properties"],
        &SCHEMA["properties"]["attributes"]["patternProperties"],
        &SCHEMA["properties"]["resource"]["properties"],
    ] {
        for (name, field) in part.as_object().expect("an object") {
            assert!(field["description"].as_str().is_some_and(|text| text.len() > 10), "{name} has no description");
            assert!(field.get("type").is_some(), "{name} has no type");
            let field_alone = jsonschema::draft202012::options().should_validate_formats(true).build(field).unwrap();
            for example in field.get("examples").and_then(Value::as_array).into_iter().flatten() {
                assert!(field_alone.is_valid(example), "{name}: {example}");
            }
        }
    }
}

#[test]
fn what_is_not_a_record_is_refused() {
    let good = r#"{"timestamp":"2023-11-14T22:13:20.000000001Z","severity_text":"INFO","severity_number":9,"body":"b",
        "attributes":{"a.b":1},"resource":{"service.name":"s","telemetry.sdk.name":"sluicegate",
        "telemetry.sdk.language":"rust","telemetry.sdk.version":"0"}}"#;
    assert_eq!(complaints(good), Vec::<String>::new());
    let table = [
        (".000000001Z", ".0000000001Z"),
        ("2023-11-14", "2023-13-14"),
        ("\"INFO\"", "\"info\""),
        (":9,", ":10,"),
        ("\"b\",", "7,"),
        ("\"body\":\"b\",", ""),
        ("{\"a.b\":1}", "{\"a.b\":[1]}"),
        ("{\"a.b\":1}", "{\"a.b\":null}"),
        ("{\"a.b\":1}", "{\"A.b\":1}"),
        ("{\"a.b\":1}", "{\"http.x\":1}"),
        ("{\"a.b\":1}", "{\"http\":1}"),
        ("{\"a.b\":1}", "{\"url.path\":1}"),
        ("\"attributes\"", "\"other\":1,\"attributes\""),
        ("\"attributes\"", "\"span_id\":\"00f067aa0ba902b7\",\"attributes\""),
        ("\"service.name\":\"s\",", ""),
        ("\"service.name\":\"s\",", "\"service.name\":\"s\",\"host.name\":\"h\","),
    ];
    for (from, to) in table {
        assert_ne!(good.replace(from, to), good);
        assert!(!complaints(&good.replace(from, to)).is_empty(), "{from} as {to}");
    }
}
