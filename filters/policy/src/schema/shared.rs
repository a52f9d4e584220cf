//! What the schema says in several places, said once: `$defs`.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

/// A shorter schema is easier read where it stands.
const LEAST: usize = 400;

/// Moves the objects that are described in the same way more than once into `$defs`, under the name of a field that has
/// such a value.
pub(super) fn once(schema: &mut Json) {
    let mut counts = BTreeMap::new();
    count(schema, &mut counts);
    let mut definitions = Definitions { counts, names: BTreeMap::new(), bodies: Map::new() };
    definitions.take_from(schema, "document", 1);
    if let Json::Object(schema) = schema
        && !definitions.bodies.is_empty()
    {
        schema.insert("$defs".to_owned(), Json::Object(definitions.bodies));
    }
}

fn count(schema: &Json, counts: &mut BTreeMap<String, usize>) {
    if is_object(schema) {
        let times = counts.entry(schema.to_string()).or_default();
        *times = times.saturating_add(1);
    }
    match schema {
        Json::Object(fields) => fields.values().for_each(|value| count(value, counts)),
        Json::Array(items) => items.iter().for_each(|item| count(item, counts)),
        _ => {}
    }
}

/// Whether this describes an object with fields.
fn is_object(schema: &Json) -> bool {
    schema.get("properties").is_some() && schema.get("type").is_some()
}

struct Definitions {
    /// How often a schema is there, by its text.
    counts: BTreeMap<String, usize>,
    /// By its text.
    names: BTreeMap<String, String>,
    bodies: Map<String, Json>,
}

impl Definitions {
    /// `field`: the nearest one that is described so. `times`: how often what stands around it is there; what is in there as
    /// often needs no name of its own.
    fn take_from(&mut self, schema: &mut Json, field: &str, times: usize) {
        let text = schema.to_string();
        let own_times = self.counts.get(&text).copied().unwrap_or_default();
        if own_times > times && text.len() >= LEAST {
            let name = match self.names.get(&text) {
                Some(name) => name.clone(),
                None => {
                    let name = self.free_name(field);
                    self.names.insert(text, name.clone());
                    self.bodies.insert(name.clone(), Json::Null);
                    self.take_from_parts(schema, field, own_times);
                    self.bodies.insert(name.clone(), schema.take());
                    name
                }
            };
            *schema = json!({ "$ref": format!("#/$defs/{name}") });
        } else {
            self.take_from_parts(schema, field, times);
        }
    }

    fn take_from_parts(&mut self, schema: &mut Json, field: &str, times: usize) {
        match schema {
            Json::Object(parts) => {
                for (keyword, part) in parts {
                    match part {
                        Json::Object(fields) if keyword == "properties" => {
                            fields.iter_mut().for_each(|(name, part)| self.take_from(part, name, times));
                        }
                        part => self.take_from(part, field, times),
                    }
                }
            }
            Json::Array(items) => items.iter_mut().for_each(|item| self.take_from(item, field, times)),
            _ => {}
        }
    }

    fn free_name(&self, field: &str) -> String {
        let numbered = (2..).map(|number: u32| format!("{field}_{number}"));
        let names = std::iter::once(field.to_owned()).chain(numbered);
        names.into_iter().find(|name| !self.bodies.contains_key(name)).unwrap_or_default()
    }
}
