//! Objects whose names are the operator's own: `from_headers: { user.id: x-user-id }`.

use std::fmt;

use super::Section;
use super::lists::MAX_ITEMS;
use super::scalars::reminder_of_quotes;
use crate::path::Path;
use crate::report::Report;
use crate::value::{Found, Kind, Quoted, Value};

/// A name and its string in an object whose names are the operator's own.
#[derive(Clone)]
pub struct Entry<'d> {
    /// The name, as it stands in the document.
    pub name: &'d str,
    /// The string under that name.
    pub value: &'d str,
    path: Path,
    report: &'d Report,
}

impl<'d> Section<'d> {
    /// An object whose names are the operator's own and whose values are strings, in the order of the document; at most
    /// 1,000. A name whose value is null counts as absent.
    pub fn strings_by_name(&self, name: &'static str) -> Option<Vec<Entry<'d>>> {
        note!(self, name, Names);
        let field = self.field(name);
        let path = self.path.field(field.name);
        let object = match field.value? {
            Value::Object(object) => object,
            other => {
                self.origin.report.not_accepted(&path, &Kind(other), &"an object of strings");
                return None;
            }
        };
        let mut entries = Vec::new();
        let given = object.fields.iter().filter(|(_, value)| !matches!(value, Value::Null));
        for (key, value) in given {
            if entries.len() >= MAX_ITEMS {
                self.origin.report.error(&path, format_args!("too many, accepted: at most {MAX_ITEMS}"));
                return None;
            }
            let path = path.field(key);
            match value {
                Value::String(value) => {
                    entries.push(Entry { name: key, value, path, report: self.origin.report });
                }
                other => {
                    let accepted = format_args!("a string{}", reminder_of_quotes(other));
                    self.origin.report.not_accepted(&path, &Found(other), &accepted);
                }
            }
        }
        Some(entries)
    }
}

impl Entry<'_> {
    /// Records that the value is not what is accepted.
    pub fn reject(&self, accepted: &str) {
        self.report.not_accepted(&self.path, &Quoted(self.value), &accepted);
    }

    /// Records that the name is not what is accepted.
    pub fn reject_name(&self, accepted: &str) {
        self.report.error(&self.path, format_args!("found the name {}, accepted: {accepted}", Quoted(self.name)));
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({})", self.path)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{accepted, rejected};

    #[test]
    fn strings_by_name_keep_their_order_and_can_be_rejected_one_by_one() {
        let read = |section: &Section<'_>| {
            let entries = section.strings_by_name("x")?;
            for entry in &entries {
                if entry.name == "bad name" {
                    entry.reject_name("a good name");
                }
                if entry.value == "bad\n" {
                    entry.reject("a good value");
                }
            }
            Some(entries.iter().map(|entry| format!("{}={}", entry.name, entry.value)).collect::<Vec<_>>())
        };
        assert_eq!(
            accepted(r#""x": {"z": "1", "none": null, "user.id": "2"}"#, read),
            Some(vec!["z=1".into(), "user.id=2".into()])
        );
        assert_eq!(accepted("", read), None);
        let lines = [
            r#"trace.x.n: found 7, accepted: a string (in quotes)"#,
            r#"trace.x.o: found an object, accepted: a string"#,
            r#"trace.x["bad name"]: found the name "bad name", accepted: a good name"#,
            r#"trace.x.v: found "bad\n", accepted: a good value"#,
        ];
        assert_eq!(rejected(r#""x": {"n": 7, "o": {}, "bad name": "", "v": "bad\n"}"#, read), lines.join("\n"));
        assert_eq!(rejected(r#""x": ["a"]"#, read), "trace.x: found a list of 1, accepted: an object of strings");
        let names: Vec<_> = (0..1_001).map(|number| format!("\"{number}\":\"\"")).collect();
        assert_eq!(
            rejected(&format!("\"x\": {{{}}}", names.join(",")), read),
            "trace.x: too many, accepted: at most 1000"
        );
    }
}
