//! Fields with several values: lists of strings, of choices, of objects.

use std::fmt;

use super::scalars::{as_str, option, reminder_of_quotes};
use super::{OneOf, Section};
use crate::direction::{Direction, Directions};
use crate::path::Path;
use crate::value::{Found, Kind, Quoted, Value};

/// The most items of a list, unless its reader says otherwise.
pub(crate) const MAX_ITEMS: usize = 1_000;

impl<'d> Section<'d> {
    /// A list of strings out of `options`, none of them twice, in the order of the document. It may be empty. A single
    /// string is a list of one.
    pub fn choices<T: Copy>(&self, name: &'static str, options: &[(&'static str, T)]) -> Option<Vec<T>> {
        let names: Vec<_> = options.iter().map(|(name, _)| *name).collect();
        note!(self, name, Choices(names.clone()));
        let chosen = self.read_strings(name, &|text| names.contains(&text), &OneOf(&names))?;
        Some(chosen.into_iter().filter_map(|chosen| option(options, chosen)).collect())
    }

    /// A list of strings that all pass `check`, none of them twice, at most 1,000. It may be empty. A single string is
    /// a list of one. `accepted` says for people what one of them is.
    pub fn strings_where(
        &self,
        name: &'static str,
        check: impl Fn(&str) -> bool,
        accepted: &str,
    ) -> Option<Vec<&'d str>> {
        note!(self, name, texts(&check, accepted));
        self.read_strings(name, &check, &accepted)
    }

    fn read_strings(
        &self,
        name: &'static str,
        check: &dyn Fn(&str) -> bool,
        accepted: &dyn fmt::Display,
    ) -> Option<Vec<&'d str>> {
        let Some(Value::Array(items)) = self.field(name).value else {
            let accepted = format_args!("{accepted}, or a list of such");
            return self.read_string(name, check, &accepted).map(|text| vec![text]);
        };
        let path = self.path_of(name);
        if !self.is_within(&path, items, MAX_ITEMS) {
            return None;
        }
        let mut strings = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let refuse = |found: &dyn fmt::Display, accepted: &dyn fmt::Display| {
                self.origin.report.not_accepted(&path.item(index), found, accepted);
            };
            match as_str(item).filter(|text| check(text)) {
                None => refuse(&Found(item), &format_args!("{accepted}{}", reminder_of_quotes(item))),
                Some(text) if strings.contains(&text) => {
                    refuse(&format_args!("{} a second time", Quoted(text)), &"each only once");
                }
                Some(text) => strings.push(text),
            }
        }
        (strings.len() == items.len()).then_some(strings)
    }

    /// In which directions a filter works: `inbound`, `outbound`, `gateway`, or a list of them that is not empty.
    pub fn directions(&self, name: &'static str) -> Option<Directions> {
        let directions: Vec<Direction> = self.choices(name, &Direction::NAMES)?;
        if directions.is_empty() {
            self.reject(name, "at least one direction");
            return None;
        }
        Some(directions.into_iter().collect())
    }

    /// The objects of the list under `name`, at most 1,000. An absent list reads as empty.
    pub fn items(&self, name: &'static str) -> Vec<Section<'d>> {
        self.items_up_to(name, MAX_ITEMS)
    }

    /// The objects of the list under `name`, at most `limit`. An absent list reads as empty.
    pub fn items_up_to(&self, name: &'static str, limit: usize) -> Vec<Section<'d>> {
        note!(self, name, Items { at_most: limit });
        let field = self.field(name);
        let path = self.path.field(field.name);
        let items = match field.value {
            Some(Value::Array(items)) if self.is_within(&path, items, limit) => items.as_slice(),
            Some(Value::Array(_)) | None => &[],
            Some(other) => {
                self.origin.report.not_accepted(&path, &Kind(other), &"a list of objects");
                &[]
            }
        };
        items.iter().enumerate().map(|(index, item)| self.of_value(item, path.item(index))).collect()
    }

    fn is_within(&self, path: &Path, items: &[Value], limit: usize) -> bool {
        let fits = items.len() <= limit;
        if !fits {
            let found = format_args!("a list of {}", items.len());
            self.origin.report.not_accepted(path, &found, &format_args!("at most {limit}"));
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{accepted, reading, rejected};

    const LETTERS: [(&str, u8); 3] = [("a", 1), ("b", 2), ("c", 3)];

    #[test]
    fn choices_keep_their_order_and_come_only_once() {
        let read = |section: &Section<'_>| section.choices("x", &LETTERS);
        let table = [(r#"["c","a"]"#, vec![3, 1]), ("[]", vec![]), (r#""b""#, vec![2])];
        for (value, chosen) in table {
            assert_eq!(accepted(&format!("\"x\": {value}"), read), Some(chosen));
        }
        let (got, verdict) = reading(r#""x": ["a", "d", "a", null, 5]"#, read);
        let lines = [
            r#"trace.x[1]: found "d", accepted: one of "a", "b", "c""#,
            r#"trace.x[2]: found "a" a second time, accepted: each only once"#,
            r#"trace.x[3]: found null, accepted: one of "a", "b", "c""#,
            r#"trace.x[4]: found 5, accepted: one of "a", "b", "c" (in quotes)"#,
        ];
        assert_eq!((got, verdict), (None, Err(lines.join("\n"))));
        assert_eq!(
            rejected(r#""x": {}"#, read),
            r#"trace.x: found an object, accepted: one of "a", "b", "c", or a list of such"#
        );
    }

    #[test]
    fn lists_of_strings_are_limited() {
        let list = |count: usize| {
            let items: Vec<_> = (0..count).map(|number| format!("\"{number}\"")).collect();
            format!("\"x\": [{}]", items.join(","))
        };
        let read =
            |section: &Section<'_>| section.strings_where("x", |_| true, "a string").map(|strings| strings.len());
        assert_eq!(accepted(&list(1_000), read), Some(1_000));
        assert_eq!(rejected(&list(1_001), read), "trace.x: found a list of 1001, accepted: at most 1000");
    }

    #[test]
    fn items_are_objects_within_a_limit() {
        let read = |section: &Section<'_>| {
            section.items_up_to("x", 2).iter().map(|item| item.boolean("on")).collect::<Vec<_>>()
        };
        assert_eq!(accepted(r#""x": [{"on": true}, {}]"#, read), [Some(true), None]);
        assert_eq!(rejected(r#""x": [{}, {}, {}]"#, read), "trace.x: found a list of 3, accepted: at most 2");
        assert_eq!(rejected(r#""x": {"on": true}"#, read), "trace.x: found an object, accepted: a list of objects");
        assert_eq!(
            rejected(r#""x": [null, {"on": 1}]"#, read),
            "trace.x[0]: found null, accepted: an object\ntrace.x[1].on: found 1, accepted: true or false"
        );
    }
}
