//! The documents that are tried: with one field set alone, or amid all others.

use std::fmt;

use serde_json::{Value as Json, json};

use super::notes::Shape;
use super::outline::{Field, Outline};
use crate::duration::Written;
use crate::path::Path;
use crate::value::{Number, Object, Value};
use crate::version::Version;

/// The fields of an object.
pub(super) type Fields = serde_json::Map<String, Json>;

/// What stands around a field that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// Nothing but the objects on the way to it.
    Alone,
    /// All that is known, with the first or least value.
    Least,
    /// All that is known, with the last or greatest value.
    Most,
}

/// A field, and what is tried for it.
#[derive(Clone)]
pub(super) struct Probe {
    /// From the root down.
    place: Vec<Step>,
    /// `None`: it is left out.
    pub(super) value: Option<Json>,
}

/// A field on the way.
#[derive(Clone, Copy)]
struct Step {
    name: &'static str,
    /// The way goes on in the one item of its list.
    in_item: bool,
}

/// The document that says nothing.
pub(super) fn empty() -> Fields {
    let version = Version::CURRENT.to_string();
    [("version".to_owned(), Json::from(version))].into_iter().collect()
}

/// Every value of interest of every field that is known.
pub(super) fn probes(outline: &Outline) -> Vec<Probe> {
    let mut probes = Vec::new();
    collect(outline, &[], &mut probes);
    probes
}

fn collect(outline: &Outline, way: &[Step], probes: &mut Vec<Probe>) {
    for field in &outline.fields {
        let to = |in_item| [way, &[Step { name: field.name, in_item }]].concat();
        // What nobody has read yet may be somebody's to look into.
        let values = if field.readings.is_empty() { vec![json!({})] } else { values(field) };
        probes.extend(values.into_iter().map(|value| Probe { place: to(false), value: Some(value) }));
        collect(&field.object, &to(false), probes);
        collect(&field.items, &to(true), probes);
    }
}

/// What a field may be, the least first.
fn values(field: &Field) -> Vec<Json> {
    let mut values = Vec::new();
    for value in field.readings.iter().flatten().chain(&field.asked).flat_map(values_of) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

fn values_of(shape: &Shape) -> Vec<Json> {
    let written = |duration| Json::from(Written(duration).to_string());
    match shape {
        Shape::Boolean => vec![json!(false), json!(true)],
        Shape::Integer { least, most } => vec![json!(least), json!(most)],
        Shape::Number { least, most } => vec![json!(least), json!(middle(*least, *most)), json!(most)],
        Shape::Duration { least, most, .. } => vec![written(*least), written(*most)],
        Shape::Choice(names) => names.iter().map(|name| json!(name)).collect(),
        Shape::Choices(names) => {
            let each = names.iter().map(|name| json!([name]));
            [json!([])].into_iter().chain(each).chain([json!(names)]).collect()
        }
        Shape::Text(text) => vec![json!(text.sample.unwrap_or("a"))],
        Shape::Texts(text) => vec![json!([]), json!([text.sample.unwrap_or("a")])],
        Shape::Names => vec![json!({}), json!({"a": "a"})],
        Shape::Secret { at_least, .. } => vec![json!({"env": "A"}), json!("0".repeat((*at_least).max(1)))],
        Shape::Object | Shape::AnyObject => vec![json!({})],
        Shape::Items { .. } => vec![json!([{}])],
        Shape::False => vec![json!(false)],
    }
}

/// A number well within the range.
pub(super) fn middle(least: f64, most: f64) -> f64 {
    least.midpoint(most)
}

/// The document with all that is known.
pub(super) fn full(context: Context, outline: &Outline) -> Fields {
    let mut document = filled(outline, context);
    document.extend(empty());
    document
}

/// Everything that is known of an object.
fn filled(outline: &Outline, context: Context) -> Fields {
    let is_left_out = |name: &str| {
        outline
            .exclusive
            .iter()
            .filter(|names| names.contains(&name))
            .any(|names| chosen(names, context) != Some(&name))
    };
    let given = outline.fields.iter().filter(|field| !is_left_out(field.name));
    given.filter_map(|field| Some((field.name.to_owned(), usual(field, context)?))).collect()
}

fn usual(field: &Field, context: Context) -> Option<Json> {
    match chosen(&values(field), context)?.clone() {
        Json::Object(fields) if fields.is_empty() => Some(Json::Object(filled(&field.object, context))),
        Json::Array(items) if items == [json!({})] => Some(json!([filled(&field.items, context)])),
        value => Some(value),
    }
}

fn chosen<T>(options: &[T], context: Context) -> Option<&T> {
    match context {
        Context::Alone => None,
        Context::Least => options.first(),
        Context::Most => options.last(),
    }
}

impl Probe {
    /// The field left out.
    pub(super) fn removal(&self) -> Probe {
        Probe { value: None, ..self.clone() }
    }

    /// Where the field stands in a document that has it.
    pub(super) fn path(&self) -> Path {
        self.place.iter().fold(Path::root(), |path, step| {
            let path = path.field(step.name);
            if step.in_item { path.item(0) } else { path }
        })
    }

    /// The document in which the field has the value.
    pub(super) fn within(&self, context: Context, outline: &Outline) -> Fields {
        let mut document = if context == Context::Alone { empty() } else { full(context, outline) };
        put(&mut document, outline, &self.place, self.value.clone());
        document
    }
}

/// The path and the value.
impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_ref().map(ToString::to_string);
        write!(f, "{} = {}", self.path(), value.as_deref().unwrap_or("nothing"))
    }
}

/// Sets a field, and whatever must be there, or must not be, for it to be read.
fn put(fields: &mut Fields, outline: &Outline, way: &[Step], value: Option<Json>) {
    let [step, rest @ ..] = way else { return };
    for excluded in outline.exclusive.iter().filter(|names| names.contains(&step.name)).flatten() {
        if *excluded != step.name {
            fields.remove(*excluded);
        }
    }
    if rest.is_empty() {
        match value {
            Some(value) => fields.insert(step.name.to_owned(), value),
            None => fields.remove(step.name),
        };
        return;
    }
    let Some(field) = outline.field(step.name) else { return };
    let entry = fields.entry(step.name).or_insert(Json::Null);
    if step.in_item {
        let mut item = match entry {
            Json::Array(items) => items.pop().and_then(into_fields),
            _ => None,
        }
        .unwrap_or_default();
        put(&mut item, &field.items, rest, value);
        *entry = json!([item]);
    } else {
        let mut object = into_fields(entry.take()).unwrap_or_default();
        put(&mut object, &field.object, rest, value);
        *entry = Json::Object(object);
    }
}

fn into_fields(json: Json) -> Option<Fields> {
    match json {
        Json::Object(fields) => Some(fields),
        _ => None,
    }
}

/// The same as an object of a document.
pub(super) fn object(fields: &Fields) -> Object {
    Object::with_fields(fields.iter().map(|(name, json)| (name.as_str().into(), value(json))).collect())
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Number(match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Number::Unsigned(number),
            (None, Some(number)) => Number::Negative(number),
            (None, None) => Number::Float(number.as_f64().unwrap_or_default()),
        }),
        Json::String(text) => Value::String(text.as_str().into()),
        Json::Array(items) => Value::Array(items.iter().map(value).collect()),
        Json::Object(fields) => Value::Object(Box::new(object(fields))),
    }
}
