//! From what was found out to JSON Schema 2020-12.

use serde_json::{Map, Value as Json, json};

use super::documents::middle;
use super::notes::{Shape, Text};
use super::outline::{Field, Outline};
use super::shared;
use super::verdicts::Verdicts;
use crate::duration;
use crate::path::Path;
use crate::section::MAX_ITEMS;
use crate::version::Version;

/// Letters, digits and `_`: the name of an environment variable.
const VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_]{0,127}$";

/// What can stand in a header: visible ASCII, with blanks inside.
const HEADER_VALUE: &str = "^[!-~]([\\t -~]*[!-~])?$";

/// The schema of the whole document.
pub(super) fn document(outline: &Outline, verdicts: &Verdicts) -> Json {
    let Version { major, minor } = Version::CURRENT;
    let versions: Vec<_> = (0..=minor).map(|minor| Version { major, minor }.to_string()).collect();
    let mut schema = object(outline, &Path::root(), verdicts);
    if let Some(Json::Object(properties)) = schema.get_mut("properties") {
        let description = "The version of the schema that the document is written for.";
        properties.insert("version".to_owned(), json!({ "description": description, "enum": versions }));
    }
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("$id".to_owned(), json!(format!("urn:sluicegate:schema:policy:{}", Version::CURRENT)));
    schema.insert("title".to_owned(), json!(format!("Sluicegate policy {}", Version::CURRENT)));
    // A document with nothing in it is all defaults.
    schema.insert("type".to_owned(), json!(["object", "null"]));
    schema.insert("anyOf".to_owned(), json!([{ "required": ["version"] }, { "maxProperties": 0 }]));
    let mut schema = Json::Object(schema);
    shared::once(&mut schema);
    schema
}

/// What holds for an object, but not that it is one.
fn object(outline: &Outline, path: &Path, verdicts: &Verdicts) -> Map<String, Json> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut rules: Vec<Json> = Vec::new();
    for field in &outline.fields {
        let own = property(field, &path.field(field.name), verdicts);
        if let Some(earlier) = field.earlier {
            properties.insert(earlier.to_owned(), deprecated(own.clone(), field.name));
            rules.push(json!({ "not": { "allOf": [given(earlier), given(field.name)] } }));
            if field.is_required {
                rules.push(json!({ "anyOf": [given(earlier), given(field.name)] }));
            }
        } else if field.is_required {
            required.push(field.name);
        }
        properties.insert(field.name.to_owned(), own);
    }
    for names in &outline.exclusive {
        rules.push(json!({ "oneOf": names.iter().map(|name| given(name)).collect::<Vec<_>>() }));
    }
    let mut schema = Map::new();
    if !properties.is_empty() {
        schema.insert("properties".to_owned(), Json::Object(properties));
    }
    if outline.is_closed() {
        schema.insert("additionalProperties".to_owned(), json!(false));
    }
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    if !rules.is_empty() {
        schema.insert("allOf".to_owned(), json!(rules));
    }
    schema
}

/// A field that is there. A null counts as absent.
fn given(name: &str) -> Json {
    json!({ "required": [name], "properties": { name: { "not": { "type": "null" } } } })
}

fn deprecated(schema: Json, name: &str) -> Json {
    let mut schema = match schema {
        Json::Object(schema) => schema,
        _ => Map::new(),
    };
    schema.insert("deprecated".to_owned(), json!(true));
    schema.insert("description".to_owned(), json!(format!("This field is now called \"{name}\".")));
    Json::Object(schema)
}

fn property(field: &Field, path: &Path, verdicts: &Verdicts) -> Json {
    let mut alternatives: Vec<Json> = Vec::new();
    let place = Place { field, path, verdicts };
    for reading in &field.readings {
        for alternative in place.read_as(reading) {
            if !alternatives.contains(&alternative) {
                alternatives.push(alternative);
            }
        }
    }
    // `false` is a boolean.
    if alternatives.iter().any(|alternative| alternative["type"] == "boolean") {
        alternatives.retain(|alternative| *alternative != only_false());
    }
    if alternatives.is_empty() {
        // Nobody minds what it is, but if it is an object, something is read of it.
        return if_object(object(&field.object, path, verdicts));
    }
    // One under two names may be missing under either.
    if !field.is_required || field.earlier.is_some() {
        or_null(&mut alternatives);
    }
    any_of(alternatives)
}

/// What holds for an object, for what may be anything else.
fn if_object(mut schema: Map<String, Json>) -> Json {
    if schema.contains_key("allOf") {
        schema.insert("type".to_owned(), json!("object"));
        return json!({ "anyOf": [schema, { "not": { "type": "object" } }] });
    }
    Json::Object(schema)
}

fn only_false() -> Json {
    json!({ "enum": [false] })
}

fn any_of(mut alternatives: Vec<Json>) -> Json {
    match alternatives.len() {
        1 => alternatives.swap_remove(0),
        _ => json!({ "anyOf": alternatives }),
    }
}

fn or_null(alternatives: &mut Vec<Json>) {
    match alternatives.as_mut_slice() {
        [Json::Object(only)] if only.contains_key("enum") => {
            if let Some(Json::Array(values)) = only.get_mut("enum") {
                values.push(Json::Null);
            }
        }
        // What is told of the fields together would not hold for a null.
        [Json::Object(only)] if only.contains_key("type") && !only.contains_key("allOf") => {
            let stated = only.get("type").cloned();
            only.insert("type".to_owned(), json!([stated, "null"]));
        }
        _ => alternatives.push(json!({ "type": "null" })),
    }
}

/// A field where it stands.
struct Place<'a> {
    field: &'a Field,
    path: &'a Path,
    verdicts: &'a Verdicts,
}

impl Place<'_> {
    /// What suits all these readers: one of the alternatives.
    fn read_as(&self, shapes: &[Shape]) -> Vec<Json> {
        let told: Vec<_> =
            shapes.iter().filter(|shape| !shapes.iter().any(|other| goes_without_saying(shape, other))).collect();
        let mut each: Vec<Vec<Json>> = told.into_iter().map(|shape| self.alternatives(shape)).collect();
        each.dedup();
        match each.len() {
            1 => each.swap_remove(0),
            _ => vec![json!({ "allOf": each.into_iter().map(any_of).collect::<Vec<_>>() })],
        }
    }

    fn alternatives(&self, shape: &Shape) -> Vec<Json> {
        match shape {
            Shape::Boolean => vec![self.boolean()],
            Shape::Integer { least, most } => vec![json!({ "type": "integer", "minimum": least, "maximum": most })],
            Shape::Number { least, most } => vec![self.number(*least, *most)],
            Shape::Duration { accepted, .. } => {
                vec![json!({ "type": "string", "pattern": duration::PATTERN, "description": accepted })]
            }
            Shape::Choice(names) => vec![json!({ "enum": names })],
            Shape::Choices(names) => self.one_or_list(json!({ "enum": names }), json!([names.first()])),
            Shape::Text(text) => vec![string(text)],
            Shape::Texts(text) => self.one_or_list(string(text), json!([text.sample.unwrap_or("a")])),
            Shape::Names => vec![json!({ "type": "object", "additionalProperties": { "type": ["string", "null"] } })],
            Shape::Secret { at_least, in_header, accepted } => secret(*at_least, *in_header, accepted),
            Shape::Object | Shape::AnyObject => vec![self.an_object(&self.field.object, self.path)],
            Shape::Items { at_most } => {
                let item = self.an_object(&self.field.items, &self.path.item(0));
                vec![json!({ "type": "array", "items": item, "maxItems": at_most })]
            }
            Shape::False => vec![only_false()],
        }
    }

    fn an_object(&self, outline: &Outline, path: &Path) -> Json {
        let mut schema = object(outline, path, self.verdicts);
        schema.insert("type".to_owned(), json!("object"));
        Json::Object(schema)
    }

    fn boolean(&self) -> Json {
        let refuses = |value: bool| self.verdicts.refuses(self.path, &json!(value), &json!(!value));
        match (refuses(false), refuses(true)) {
            (true, _) => json!({ "enum": [true] }),
            (_, true) => only_false(),
            (false, false) => json!({ "type": "boolean" }),
        }
    }

    fn number(&self, least: f64, most: f64) -> Json {
        let within = json!(middle(least, most));
        let excludes = |bound: f64| least < most && self.verdicts.refuses(self.path, &json!(bound), &within);
        let minimum = if excludes(least) { "exclusiveMinimum" } else { "minimum" };
        let maximum = if excludes(most) { "exclusiveMaximum" } else { "maximum" };
        json!({ "type": "number", minimum: least, maximum: most })
    }

    /// `sample`: a list of one that may be right.
    fn one_or_list(&self, one: Json, sample: Json) -> Vec<Json> {
        let least = usize::from(self.verdicts.refuses(self.path, &json!([]), &sample));
        let list = json!({
            "type": "array", "items": one, "uniqueItems": true, "minItems": least, "maxItems": MAX_ITEMS,
        });
        vec![one, list]
    }
}

/// Whether whatever suits `other` suits `shape` as well.
fn goes_without_saying(shape: &Shape, other: &Shape) -> bool {
    match shape {
        Shape::Text(text) if text.is_any => match other {
            Shape::Text(other) => !other.is_any,
            Shape::Choice(_) | Shape::Duration { .. } => true,
            _ => false,
        },
        Shape::Texts(text) if text.is_any => match other {
            Shape::Texts(other) => !other.is_any,
            Shape::Text(_) | Shape::Choice(_) | Shape::Choices(_) => true,
            _ => false,
        },
        _ => false,
    }
}

fn string(text: &Text) -> Json {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("string"));
    if !text.may_be_empty {
        schema.insert("minLength".to_owned(), json!(1));
    }
    if !text.is_any {
        schema.insert("description".to_owned(), json!(text.accepted));
    }
    Json::Object(schema)
}

fn secret(at_least: usize, in_header: bool, accepted: &str) -> Vec<Json> {
    let literal = if in_header {
        json!({ "type": "string", "minLength": at_least, "pattern": HEADER_VALUE, "description": accepted })
    } else {
        // A character has up to four bytes, and bytes are what counts.
        json!({ "type": "string", "minLength": at_least.div_ceil(4), "description": accepted })
    };
    let variable = json!({
        "type": "object",
        "properties": { "env": { "type": "string", "pattern": VARIABLE } },
        "required": ["env"],
        "additionalProperties": false,
        "description": "The name of an environment variable that holds it.",
    });
    vec![literal, variable]
}
