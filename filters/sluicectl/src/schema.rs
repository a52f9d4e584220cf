//! `sluicectl schema`: what editors complete and check policies by. It comes out of the code that reads policies.

use crate::console::{Answer, Console};
use anyhow::Result;
use serde_json::Value;
use sluicegate_host::double::Double;
use sluicegate_policy::schema;
use sluicegate_source::Settings;
use sluicegate_suite::Suite;

pub(crate) fn run(console: &mut Console) -> Result<Answer> {
    writeln!(console.out, "{:#}", of_policies())?;
    Ok(Answer::Yes)
}

fn of_policies() -> Value {
    let proxy = Double::new();
    schema::of(|document| {
        // What is wrong with one of the documents that are tried is in the document.
        _ = sluicegate_host::read::<Suite>(proxy, document);
        _ = Settings::read(document);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::secrets::is_secret;

    /// Finds the paths of fields that take a string or `{ env: NAME }`.
    struct Secrets<'s> {
        definitions: &'s Value,
        paths: Vec<String>,
    }

    impl Secrets<'_> {
        fn find(&mut self, schema: &Value, path: &str) {
            let definition = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/"));
            let schema = definition.map_or(schema, |name| &self.definitions[name]);
            let is_variable = |schema: &Value| {
                let fields = schema["properties"].as_object();
                fields.is_some_and(|fields| fields.len() == 1 && fields.contains_key("env"))
            };
            let alternatives = ["anyOf", "oneOf"].into_iter().flat_map(|word| schema[word].as_array()).flatten();
            if alternatives.clone().any(is_variable) {
                self.paths.push(path.to_owned());
                return;
            }
            alternatives.for_each(|alternative| self.find(alternative, path));
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                let separator = if path.is_empty() { "" } else { "." };
                self.find(field, &format!("{path}{separator}{name}"));
            }
            if schema["items"].is_object() {
                self.find(&schema["items"], &format!("{path}[0]"));
            }
        }
    }

    #[test]
    fn every_secret_of_the_schema_is_known_as_one() {
        let schema = of_policies();
        let mut secrets = Secrets { definitions: &schema["$defs"], paths: Vec::new() };
        secrets.find(&schema, "");
        for path in ["sampling.force.secret", "access_log.redact.hash_key", "access_log.otlp.headers[0].value"] {
            assert!(secrets.paths.iter().any(|found| found == path), "{path} is not among {:?}", secrets.paths);
        }
        let shown: Vec<_> = secrets.paths.iter().filter(|path| !is_secret(path)).collect();
        assert!(shown.is_empty(), "{shown:?} of {:?}", secrets.paths);
    }
}
