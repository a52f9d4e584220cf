//! The readers one by one, and what they make of each other.

#[cfg(not(target_arch = "wasm32"))]
mod properties;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use serde_json::{Value, json};

use super::of;
use crate::Section;

/// The schema of the section `trace` where it is read like this and there is one.
fn schema_of_section(read: impl Fn(&Section<'_>)) -> Value {
    let mut schema = of(|document| read(&document.section("trace")));
    match schema["properties"]["trace"].take() {
        Value::Object(mut either) if either.contains_key("anyOf") => either["anyOf"][0].take(),
        section => section,
    }
}

/// The schema of the field `x` of a section that is read like this.
fn schema_of_x(read: impl Fn(&Section<'_>)) -> Value {
    schema_of_section(read)["properties"]["x"].take()
}

#[test]
fn a_field_with_one_value_is_what_its_reader_takes_or_null() {
    type Read = fn(&Section<'_>);
    let table: [(Read, Value); 10] = [
        (|section| _ = section.boolean("x"), json!({"type": ["boolean", "null"]})),
        (|section| _ = section.integer("x", 2..=9), json!({"type": ["integer", "null"], "minimum": 2, "maximum": 9})),
        (|section| _ = section.fraction("x"), json!({"type": ["number", "null"], "minimum": 0.0, "maximum": 1.0})),
        (
            |section| _ = section.number("x", -1.5..=4.0),
            json!({"type": ["number", "null"], "minimum": -1.5, "maximum": 4.0}),
        ),
        (
            |section| _ = section.duration("x", Duration::from_millis(10)..=Duration::from_secs(60)),
            json!({
                "type": ["string", "null"],
                "pattern": crate::duration::PATTERN,
                "description": "a duration from 10ms to 1m, written like \"250ms\", \"1.5s\" or \"10m\"",
            }),
        ),
        (|section| _ = section.choice("x", &[("a", 1), ("b", 2)]), json!({"enum": ["a", "b", null]})),
        (|section| _ = section.string("x"), json!({"type": ["string", "null"]})),
        (
            |section| _ = section.string_where("x", |text| text.len() == 2, "two letters"),
            json!({"type": ["string", "null"], "minLength": 1, "description": "two letters"}),
        ),
        (
            |section| _ = section.string_where("x", |text| text.len() <= 2, "up to two letters"),
            json!({"type": ["string", "null"], "description": "up to two letters"}),
        ),
        (
            |section| _ = section.strings_by_name("x"),
            json!({"type": ["object", "null"], "additionalProperties": {"type": ["string", "null"]}}),
        ),
    ];
    for (read, schema) in table {
        assert_eq!(schema_of_x(read), schema);
    }
}

#[test]
fn a_field_with_several_values_is_one_of_them_or_a_list() {
    let list = |one: &Value, least: usize| json!({"type": "array", "items": one, "uniqueItems": true, "minItems": least, "maxItems": 1000});
    let letters = json!({"enum": ["a", "b"]});
    let name = json!({"type": "string", "minLength": 1, "description": "a name"});
    let directions = json!({"enum": ["inbound", "outbound", "gateway"]});
    assert_eq!(
        schema_of_x(|section| _ = section.choices("x", &[("a", 1), ("b", 2)])),
        json!({"anyOf": [letters, list(&letters, 0), {"type": "null"}]})
    );
    assert_eq!(
        schema_of_x(|section| _ = section.strings_where("x", |text| !text.is_empty(), "a name")),
        json!({"anyOf": [name, list(&name, 0), {"type": "null"}]})
    );
    // Nobody told that it may not be empty: it was tried.
    assert_eq!(
        schema_of_x(|section| _ = section.directions("x")),
        json!({"anyOf": [directions, list(&directions, 1), {"type": "null"}]})
    );
}

#[test]
fn a_secret_is_a_text_or_the_name_of_a_variable() {
    let variable = json!({
        "type": "object",
        "properties": {"env": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,127}$"}},
        "required": ["env"],
        "additionalProperties": false,
        "description": "The name of an environment variable that holds it.",
    });
    let schema = schema_of_x(|section| _ = section.required().secret("x", 10));
    let accepted = "a string of at least 10 bytes, or {\"env\": NAME} with such a variable";
    // Three characters may have ten bytes.
    assert_eq!(schema, json!({"anyOf": [{"type": "string", "minLength": 3, "description": accepted}, variable]}));

    let schema = schema_of_x(|section| _ = section.header_secret("x", 10));
    assert_eq!(schema["anyOf"][0]["minLength"], 10);
    assert_eq!(schema["anyOf"][0]["pattern"], "^[!-~]([\\t -~]*[!-~])?$");
    assert_eq!((&schema["anyOf"][1], &schema["anyOf"][2]), (&variable, &json!({"type": "null"})));
}

#[test]
fn objects_and_lists_of_them_have_only_the_fields_that_are_read() {
    let boolean = json!({"type": ["boolean", "null"]});
    let schema = schema_of_section(|section| {
        section.subsection("sub").boolean("b");
        for item in section.items_up_to("items", 7) {
            item.subsection("deep").boolean("c");
        }
    });
    let closed = |name: &str, field: &Value, kind: Value| json!({"type": kind, "properties": {name: field}, "additionalProperties": false});
    let item = closed("deep", &closed("c", &boolean, json!(["object", "null"])), json!("object"));
    assert_eq!(
        schema,
        json!({
            "type": ["object", "null"],
            "properties": {
                "sub": closed("b", &boolean, json!(["object", "null"])),
                "items": {"type": ["array", "null"], "items": item, "maxItems": 7},
            },
            "additionalProperties": false,
        })
    );
}

#[test]
fn a_rule_has_a_match_and_whatever_else_is_read_of_it() {
    let schema = schema_of_section(|section| _ = section.rules("rules", |rule| rule.required().fraction("rate")));
    let rule = &schema["properties"]["rules"]["items"];
    assert_eq!(rule["required"], json!(["rate"]));
    let rule_match = &rule["properties"]["match"];
    assert_eq!(rule_match["type"], json!(["object", "null"]));
    let names: Vec<_> = rule_match["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["headers", "host", "method", "path"]);
    let header = &rule_match["properties"]["headers"]["items"];
    assert_eq!(header["required"], json!(["name"]));
    assert_eq!(header["allOf"][0]["oneOf"].as_array().map(Vec::len), Some(3));
}

#[test]
fn required_is_what_nobody_may_leave_out() {
    let required = |read: fn(&Section<'_>)| {
        schema_of_section(move |section| {
            let sub = section.subsection("sub");
            sub.boolean("also");
            read(&sub);
        })["properties"]["sub"]["required"]
            .take()
    };
    assert_eq!(required(|sub| _ = sub.required().boolean("b")), json!(["b"]));
    assert_eq!(required(|sub| _ = sub.boolean("b")), Value::Null);
    // Only where something else is given, or is not.
    assert_eq!(
        required(|sub| _ = if sub.boolean("also").is_some() { sub.required() } else { sub.clone() }.boolean("b")),
        Value::Null
    );
    assert_eq!(
        required(|sub| _ = if sub.boolean("also").is_none() { sub.required() } else { sub.clone() }.boolean("b")),
        Value::Null
    );
    assert_eq!(
        required(|sub| {
            let is_free = sub.boolean("also").is_some() && sub.boolean("too").is_some();
            if is_free { sub.clone() } else { sub.required() }.boolean("b");
        }),
        Value::Null
    );
    // Told in a reader's own words, of the field itself or of something in it.
    assert_eq!(
        required(|sub| {
            if sub.boolean("b").is_none() {
                sub.reject("b", "something");
            }
            let deep = sub.subsection("c");
            if sub.is_given() && deep.boolean("d").is_none() {
                deep.reject("d", "something");
            }
        }),
        json!(["b", "c"])
    );
}

#[test]
fn a_required_field_is_not_null() {
    let schema = schema_of_x(|section| _ = section.required().choice("x", &[("a", 1)]));
    assert_eq!(schema, json!({"enum": ["a"]}));
}

#[test]
fn what_is_read_in_several_ways_may_be_any_of_them() {
    let schema = schema_of_x(|section| {
        if section.is_object("x") {
            section.subsection("x").required().boolean("b");
        } else {
            section.choice("x", &[("a", 1)]);
        }
    });
    let object = json!({
        "type": "object",
        "properties": {"b": {"type": "boolean"}},
        "required": ["b"],
        "additionalProperties": false,
    });
    assert_eq!(schema, json!({"anyOf": [{"enum": ["a"]}, object, {"type": "null"}]}));

    let schema = schema_of_x(|section| {
        if !section.is_false("x") {
            section.integer("x", 1..=5);
        }
    });
    let number = json!({"type": "integer", "minimum": 1, "maximum": 5});
    assert_eq!(schema, json!({"anyOf": [number, {"enum": [false]}, {"type": "null"}]}));

    // Nothing is read where the answer is yes.
    let schema = schema_of_x(|section| {
        if !section.is_false("x") && !section.is_object("x") {
            section.choice("x", &[("a", 1)]);
        }
    });
    let answers = json!([{"enum": ["a"]}, {"enum": [false]}, {"type": "object"}, {"type": "null"}]);
    assert_eq!(schema, json!({"anyOf": answers}));

    // A boolean may be false anyway.
    let schema = schema_of_x(|section| {
        if !section.is_false("x") {
            section.boolean("x");
        }
    });
    assert_eq!(schema, json!({"type": ["boolean", "null"]}));
}

#[test]
fn what_two_readers_read_suits_both() {
    let schema = schema_of_x(|section| {
        section.string("x");
        section.choice("x", &[("a", 1)]);
        section.choice("x", &[("a", 1)]);
    });
    assert_eq!(schema, json!({"enum": ["a", null]}));
    let schema = schema_of_x(|section| {
        section.string("x");
        section.string_where("x", |_| true, "any text");
    });
    assert_eq!(schema, json!({"type": ["string", "null"]}));
    let schema = schema_of_x(|section| {
        section.integer("x", 1..=5);
        section.number("x", 0.5..=2.5);
    });
    let integer = json!({"type": "integer", "minimum": 1, "maximum": 5});
    let number = json!({"type": "number", "minimum": 0.5, "maximum": 2.5});
    assert_eq!(schema, json!({"anyOf": [{"allOf": [integer, number]}, {"type": "null"}]}));
    let schema = schema_of_x(|section| {
        section.string_where("x", |text| text.len() < 5, "four letters");
        section.string_where("x", |text| !text.contains(' '), "one word");
    });
    let text = |accepted: &str| json!({"type": "string", "description": accepted});
    assert_eq!(schema["anyOf"][0], json!({"allOf": [text("four letters"), text("one word")]}));
    let schema = schema_of_x(|section| {
        section.strings_where("x", |_| true, "a letter");
        section.choices("x", &[("a", 1)]);
    });
    assert_eq!(schema["anyOf"][0], json!({"enum": ["a"]}));
}

#[test]
fn a_value_that_no_reader_takes_is_left_out() {
    let schema = schema_of_x(|section| {
        if section.boolean("x") == Some(false) {
            section.reject("x", "true");
        }
    });
    assert_eq!(schema, json!({"enum": [true, null]}));
    let schema = schema_of_x(|section| {
        if section.boolean("x") == Some(true) {
            section.reject("x", "false");
        }
    });
    assert_eq!(schema, json!({"enum": [false, null]}));
    let schema = schema_of_x(|section| {
        if section.fraction("x").is_some_and(|fraction| fraction <= 0.0 || fraction >= 1.0) {
            section.reject("x", "a fraction between 0 and 1");
        }
    });
    assert_eq!(schema, json!({"type": ["number", "null"], "exclusiveMinimum": 0.0, "exclusiveMaximum": 1.0}));
}

#[test]
fn a_value_that_only_depends_on_another_is_left_in() {
    let schema = schema_of_section(|section| {
        let (least, most) = (section.fraction("least").unwrap_or(0.2), section.fraction("most").unwrap_or(0.8));
        if least > most {
            section.reject("least", "not above `most`");
            section.reject("most", "not below `least`");
        }
        if section.boolean("on") == Some(false) && section.boolean("forced") == Some(true) {
            section.reject("on", "true, as it is forced");
        }
        if section.boolean("off") == Some(false) && section.boolean("forced").is_some() {
            section.reject("off", "true, or nothing about force");
        }
    });
    for field in ["least", "most"] {
        let schema = &schema["properties"][field];
        assert_eq!(*schema, json!({"type": ["number", "null"], "minimum": 0.0, "maximum": 1.0}), "{field}");
    }
    for field in ["on", "off"] {
        assert_eq!(schema["properties"][field], json!({"type": ["boolean", "null"]}), "{field}");
    }
}

#[test]
fn a_renamed_field_is_deprecated_under_its_earlier_name() {
    let read = |section: &Section<'_>| {
        section.renamed("old", "new");
        section.required().integer("new", 1..=5);
    };
    let schema = schema_of_section(read);
    let number = json!({"type": ["integer", "null"], "minimum": 1, "maximum": 5});
    assert_eq!(schema["properties"]["new"], number);
    let mut old = number;
    old["deprecated"] = json!(true);
    old["description"] = json!("This field is now called \"new\".");
    assert_eq!(schema["properties"]["old"], old);
    let given = |name: &str| json!({"required": [name], "properties": {name: {"not": {"type": "null"}}}});
    let rules = json!([
        {"not": {"allOf": [given("old"), given("new")]}},
        {"anyOf": [given("old"), given("new")]},
    ]);
    assert_eq!((&schema["allOf"], &schema["required"]), (&rules, &Value::Null));
    // Not at first.
    let schema = schema_of_section(|section| {
        if section.boolean("new").is_some() {
            section.renamed("old", "new");
        }
    });
    assert_eq!(schema["properties"]["old"]["deprecated"], true);
}

#[test]
fn exactly_one_of_some_fields_is_told_once() {
    let schema = schema_of_section(|section| {
        for _ in 0..2 {
            section.exactly_one_of(&["a", "b"]);
        }
        section.boolean("a");
        section.boolean("b");
    });
    let given = |name: &str| json!({"required": [name], "properties": {name: {"not": {"type": "null"}}}});
    assert_eq!(schema["allOf"], json!([{"oneOf": [given("a"), given("b")]}]));
    // A null in its place has neither, and need not.
    let schema = schema_of_x(|section| {
        let x = section.subsection("x");
        x.exactly_one_of(&["a", "b"]);
        x.boolean("a");
        x.boolean("b");
    });
    assert_eq!((&schema["anyOf"][0]["type"], &schema["anyOf"][1]), (&json!("object"), &json!({"type": "null"})));
    // Only under a condition.
    let schema = schema_of_section(|section| {
        if section.boolean("a").is_some() {
            section.exactly_one_of(&["b", "c"]);
        }
        section.boolean("b");
        section.boolean("c");
    });
    assert_eq!(schema["allOf"], Value::Null);
    let schema = schema_of_section(|section| {
        if section.boolean("a").is_none() {
            section.exactly_one_of(&["b", "c"]);
        }
        section.boolean("b");
        section.boolean("c");
    });
    assert_eq!(schema["allOf"], Value::Null);
}

/// Fields that are read only under conditions.
fn read_conditionally(section: &Section<'_>) {
    let boolean = |name| section.boolean(name).is_some();
    let kind = section.choice("kind", &[("a", 1), ("b", 2), ("c", 3)]);
    if kind == Some(2) {
        boolean("of_b");
    }
    if !boolean("flag") {
        boolean("without_flag");
    }
    let (one, other) = (section.subsection("one"), section.subsection("other"));
    if one.is_given() && other.is_given() {
        one.boolean("of_both");
    }
    section.exactly_one_of(&["first", "second", "third"]);
    let given = (boolean("first"), boolean("second"), boolean("third"));
    if given == (false, true, false) && one.is_given() {
        boolean("of_second");
    }
    let is_one = matches!(given, (true, false, false) | (false, false, true));
    if is_one && one.is_given() && kind == Some(2) {
        boolean("of_one");
    }
}

#[test]
fn what_is_read_only_beside_others_is_found() {
    let schema = schema_of_section(|section| {
        read_conditionally(section);
        section.items("items").iter().for_each(read_conditionally);
    });
    let properties = &schema["properties"];
    for properties in [properties, &properties["items"]["items"]["properties"]] {
        for name in ["of_b", "without_flag", "of_second", "of_one"] {
            assert_eq!(properties[name], json!({"type": ["boolean", "null"]}), "{name} in {properties:#}");
        }
        assert_eq!(properties["one"]["properties"]["of_both"], json!({"type": ["boolean", "null"]}));
    }
}

#[test]
fn fields_that_nobody_answers_for_are_left_to_their_owner() {
    let schema = of(|document| {
        let neighbour = document.neighbour("sampling").shared("rules");
        neighbour.boolean("enabled");
        neighbour.subsection("force").string("header");
        for rule in neighbour.items("rules") {
            rule.boolean("always");
        }
        document.section("trace").boolean("enabled");
    });
    let sampling = &schema["properties"]["sampling"];
    assert_eq!(sampling["additionalProperties"], Value::Null);
    assert_eq!(sampling["type"], Value::Null);
    assert_eq!(sampling["properties"]["enabled"], json!({"type": ["boolean", "null"]}));
    assert_eq!(sampling["properties"]["force"]["additionalProperties"], Value::Null);
    assert_eq!(sampling["properties"]["rules"]["items"]["additionalProperties"], false);
    assert_eq!(schema["properties"]["trace"]["additionalProperties"], false);
    assert_eq!(schema["properties"]["breaker"], json!({}));
}

#[test]
fn the_document_has_a_version_unless_it_is_empty() {
    let schema = of(|document| _ = document.service());
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["$id"], "urn:sluicegate:schema:policy:1.0");
    assert_eq!(schema["type"], json!(["object", "null"]));
    assert_eq!(schema["properties"]["version"]["enum"], json!(["1.0"]));
    assert_eq!(schema["anyOf"], json!([{"required": ["version"]}, {"maxProperties": 0}]));
    assert_eq!(schema["additionalProperties"], false);
    let names: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["access_log", "breaker", "policy_source", "sampling", "service", "trace", "version"]);
    let service = schema["properties"]["service"]["properties"].as_object().unwrap();
    assert_eq!(service.keys().collect::<Vec<_>>(), ["environment", "name", "namespace", "version"]);
}

#[test]
fn what_is_the_same_in_several_places_is_defined_once() {
    let schema = of(|document| {
        document.section("trace").rules("rules", |rule| rule.boolean("on"));
        document.section("breaker").rules("rules", |rule| rule.boolean("off"));
    });
    let rule_match =
        |section: &str| schema["properties"][section]["properties"]["rules"]["items"]["properties"]["match"].clone();
    assert_eq!(rule_match("trace"), json!({"$ref": "#/$defs/match"}));
    assert_eq!(rule_match("breaker"), rule_match("trace"));
    assert_eq!(schema["$defs"].as_object().unwrap().keys().collect::<Vec<_>>(), ["match"]);
    assert_eq!(schema["$defs"]["match"]["additionalProperties"], false);
}

#[test]
fn objects_of_different_kinds_have_different_names() {
    let read = |section: Section<'_>, in_b: bool, own: &'static str| {
        section.boolean(own);
        let long = section.subsection("long");
        for name in ["first_field", "second_field", "third_field", "fourth_field"] {
            long.duration(name, Duration::ZERO..=Duration::from_secs(if in_b { 2 } else { 1 }));
        }
    };
    let schema = of(|document| {
        for (section, in_b) in [("trace", false), ("breaker", false), ("sampling", true), ("access_log", true)] {
            read(document.section(section), in_b, section);
        }
    });
    assert_eq!(schema["$defs"].as_object().unwrap().keys().collect::<Vec<_>>(), ["long", "long_2"]);
}

#[test]
fn objects_within_objects_without_end_are_taken_as_they_are_at_some_depth() {
    fn read(section: &Section<'_>) {
        let inner = section.subsection("not");
        section.boolean("on");
        if inner.is_given() {
            read(&inner);
        }
    }
    let mut schema = &schema_of_section(read);
    let mut depth = 0;
    while schema["properties"]["on"].is_object() {
        schema = &schema["properties"]["not"];
        depth += 1;
    }
    assert!((10..20).contains(&depth), "{depth}");
    assert_eq!(schema["additionalProperties"], Value::Null);
}
