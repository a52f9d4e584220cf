//! Typed reading of the fields of an object. A reader returns what it could read and records what it could not, so that
//! an operator sees everything wrong at once; [`Document::finish`](crate::Document::finish) delivers the verdict.

/// `note!(section, name, Shape)`: leaves a note of what a reader takes for `name`, of which the schema of the document is
/// made. Without the feature it is no code at all.
#[cfg(any(test, feature = "schema"))]
macro_rules! note {
    ($section:expr, $name:expr, $($shape:tt)+) => { $section.note($name, crate::schema::Shape::$($shape)+) };
}
#[cfg(not(any(test, feature = "schema")))]
macro_rules! note {
    ($($nothing:tt)*) => {};
}

mod kinds;
mod lists;
mod names;
mod scalars;
mod secrets;

use std::fmt;

#[cfg(any(test, feature = "schema"))]
pub(crate) use self::lists::MAX_ITEMS;
pub use self::names::Entry;

use crate::carrier::Carrier;
use crate::matching::{Matcher, Rules};
use crate::path::Path;
use crate::report::Report;
use crate::value::{Found, Kind, Object, Value};

/// An object of the document: a filter's section, a part of one, or a rule of a list.
///
/// A section that is absent reads as an empty one, so that every field takes its default. Every reader returns `None`
/// for an absent field (a null counts as absent) and also for one that is wrong, which it records. Asking for a field
/// is what makes its name known, so a filter reads every field of its section, also when `enabled` is false.
#[derive(Clone)]
pub struct Section<'d> {
    origin: Origin<'d>,
    object: Option<&'d Object>,
    path: Path,
    required: bool,
    /// There is something else where this object was to be. That has been said, so nothing in it is called missing.
    is_wrong: bool,
}

/// What all sections of a document share.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'d> {
    pub(crate) carrier: Carrier,
    pub(crate) report: &'d Report,
    pub(crate) environment: &'d dyn Fn(&str) -> Option<String>,
}

/// A field of this section under the name that it has in the document.
struct Field<'d> {
    name: &'static str,
    value: Option<&'d Value>,
    secret: bool,
}

impl<'d> Section<'d> {
    pub(crate) fn new(origin: Origin<'d>, object: Option<&'d Object>, path: Path) -> Section<'d> {
        if let Some(object) = object {
            object.open();
        }
        Section { origin, object, path, required: false, is_wrong: false }
    }

    /// The object under `name` of `root`, of which only some fields will be read. One that is not an object is left to its
    /// owner to complain of.
    pub(crate) fn neighbour(origin: Origin<'d>, root: &'d Object, name: &'static str) -> Section<'d> {
        let object = match root.get(name) {
            Some(Value::Object(object)) => Some(object.as_ref()),
            _ => None,
        };
        Section { origin, object, path: Path::root().field(name), required: false, is_wrong: false }
    }

    /// The section that `value` is to be; anything but an object is an error.
    fn of_value(&self, value: &'d Value, path: Path) -> Section<'d> {
        match value {
            Value::Object(object) => Section::new(self.origin, Some(object), path),
            other => {
                self.origin.report.not_accepted(&path, &Kind(other), &"an object");
                Section { is_wrong: true, ..Section::new(self.origin, None, path) }
            }
        }
    }

    /// Whether the document has this section.
    pub fn is_given(&self) -> bool {
        self.object.is_some()
    }

    /// The same section, for the reading of fields that must be there: `rule.required().fraction("rate")`. An absent
    /// field is an error then. (For a list or a section of its own, absent stays the same as empty.)
    #[must_use]
    pub fn required(&self) -> Section<'d> {
        Section { required: true, ..self.clone() }
    }

    /// Says that the field `name` was called `earlier` in a former minor version. From here on `name` is read from
    /// either; that both are given is an error, and the earlier name earns a warning.
    pub fn renamed(&self, earlier: &'static str, name: &'static str) {
        let Some(object) = self.object else { return };
        object.accept_alias(name, earlier);
        let path = self.path.field(earlier);
        match (object.get(earlier), object.get(name)) {
            (Some(_), Some(_)) => self.origin.report.not_accepted(
                &path,
                &format_args!("both \"{earlier}\" and \"{name}\""),
                &format_args!("\"{name}\" alone, which is its present name"),
            ),
            (Some(_), None) => self.warn_at(&path, &format_args!("this field is now called \"{name}\"")),
            (None, _) => {}
        }
    }

    /// The object under `name`. An absent one reads as empty.
    #[must_use]
    pub fn subsection(&self, name: &'static str) -> Section<'d> {
        note!(self, name, Object);
        let field = self.field(name);
        let path = self.path.field(field.name);
        match field.value {
            Some(value) => self.of_value(value, path),
            None => Section { is_wrong: self.is_wrong, ..Section::new(self.origin, None, path) },
        }
    }

    /// The object or list under `name` of a neighbour's section, of which this filter reads every field as its owner does:
    /// so what is unknown in it is an error here too.
    #[must_use]
    pub fn shared(&self, name: &'static str) -> Section<'d> {
        if let Some(object) = self.object {
            object.accept_shared(name);
        }
        self.clone()
    }

    /// The match rule under `name`. An absent one matches every request.
    pub fn matcher(&self, name: &'static str) -> Matcher {
        Matcher::read(&self.subsection(name))
    }

    /// The ordered rules under `name`, at most 1,000: each is an object with a match rule under `match`, and `read`
    /// makes of its other fields what is to hold for a request that matches.
    pub fn rules<T>(&self, name: &'static str, mut read: impl FnMut(&Section<'d>) -> T) -> Rules<T> {
        self.items(name).iter().map(|rule| (rule.matcher("match"), read(rule))).collect()
    }

    /// Records that the value of `name` is not what is accepted. The value is shown, unless [`Section::secret`] has read
    /// it; an absent one is called missing.
    pub fn reject(&self, name: &'static str, accepted: &str) {
        let field = self.field(name);
        let path = self.path.field(field.name);
        match field.value {
            None if self.is_wrong => {}
            None => self.origin.report.missing(&path, &accepted),
            Some(_) if field.secret => {
                self.origin.report.error(&path, format_args!("not a secret that can be used, accepted: {accepted}"));
            }
            Some(value) => self.origin.report.not_accepted(&path, &Found(value), &accepted),
        }
    }

    /// Records that `found`, in the reader's own words, is not what is accepted for `name`. For what takes more than
    /// the value to tell, such as two fields that exclude each other.
    pub fn reject_as(&self, name: &'static str, found: impl fmt::Display, accepted: &str) {
        self.origin.report.not_accepted(&self.path_of(name), &found, &accepted);
    }

    /// Records that `found`, in the reader's own words, is not what is accepted for the section as a whole.
    pub fn reject_whole(&self, found: impl fmt::Display, accepted: &str) {
        self.origin.report.not_accepted(&self.path, &found, &accepted);
    }

    /// Records it as an error when this section is given and has none of the fields `names`, or more than one.
    pub fn exactly_one_of(&self, names: &[&'static str]) {
        let Some(object) = self.object else { return };
        #[cfg(any(test, feature = "schema"))]
        self.origin.report.notes.exactly_one_of(&self.path, names);
        let given: Vec<_> = names.iter().copied().filter(|name| object.get(name).is_some()).collect();
        let report = self.origin.report;
        match given.as_slice() {
            [_] => {}
            [] => report.missing(&self.path, &format_args!("{}", OneOf(names))),
            several => {
                report.not_accepted(
                    &self.path,
                    &format_args!("{} of these", several.len()),
                    &format_args!("only {}", OneOf(names)),
                );
            }
        }
    }

    /// Leaves a warning about `name`.
    pub fn warn(&self, name: &'static str, text: impl fmt::Display) {
        self.warn_at(&self.path_of(name), &text);
    }

    fn warn_at(&self, path: &Path, text: &dyn fmt::Display) {
        self.origin.report.warn(path, text);
    }

    /// The field `name`, or what stands under its earlier name.
    fn field(&self, name: &'static str) -> Field<'d> {
        let absent = Field { name, value: None, secret: false };
        let Some(object) = self.object else {
            return absent;
        };
        let accepted = object.accept(name);
        let field = |name| object.get(name).map(|value| Field { name, value: Some(value), secret: accepted.secret });
        field(name).or_else(|| accepted.alias.and_then(field)).unwrap_or(absent)
    }

    fn path_of(&self, name: &'static str) -> Path {
        self.path.field(self.field(name).name)
    }

    #[cfg(any(test, feature = "schema"))]
    fn note(&self, name: &'static str, shape: crate::schema::Shape) {
        self.origin.report.notes.read(&self.path, name, shape);
    }

    fn read<T>(
        &self,
        name: &'static str,
        accepted: &dyn fmt::Display,
        take: impl FnOnce(&'d Value) -> Option<T>,
    ) -> Option<T> {
        let field = self.field(name);
        let Some(value) = field.value else {
            if self.required && !self.is_wrong {
                self.origin.report.missing(&self.path.field(field.name), accepted);
            }
            return None;
        };
        let taken = take(value);
        if taken.is_none() {
            self.origin.report.not_accepted(&self.path.field(field.name), &Found(value), accepted);
        }
        taken
    }
}

/// The path alone: the content may hold secrets.
impl fmt::Debug for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Section({})", self.path)
    }
}

/// `one of "a", "b"`.
pub(crate) struct OneOf<'a>(pub(crate) &'a [&'a str]);

impl fmt::Display for OneOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of ")?;
        for (number, name) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            write!(f, "{separator}\"{name}\"")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{accepted, reading, rejected};

    #[test]
    fn a_subsection_and_a_list_that_are_absent_read_as_empty() {
        for fields in ["", r#""sub": null, "list": null"#, r#""sub": {}, "list": []"#] {
            let read = |section: &Section<'_>| {
                (section.subsection("sub").subsection("sub").boolean("x"), section.items("list").len())
            };
            assert_eq!(accepted(fields, read), (None, 0), "{fields}");
        }
        assert!(accepted(r#""sub": {}"#, |section| section.subsection("sub").is_given()));
        assert!(!accepted("", |section| section.subsection("sub").is_given()));
    }

    #[test]
    fn a_required_field_that_is_absent_is_missing() {
        let error = rejected(r#""null": null"#, |section| {
            let required = section.required();
            required.boolean("null");
            required.choices("letters", &[("a", 1), ("b", 2)]);
            required.integer("count", 1..=5);
            section.boolean("other");
        });
        let lines = [
            "trace.null: missing, accepted: true or false",
            r#"trace.letters: missing, accepted: one of "a", "b", or a list of such"#,
            "trace.count: missing, accepted: a whole number from 1 to 5",
        ];
        assert_eq!(error, lines.join("\n"));
    }

    #[test]
    fn nothing_is_missing_in_what_is_no_object() {
        let error = rejected(r#""sub": 5, "list": ["x"]"#, |section| {
            let sub = section.subsection("sub");
            sub.required().boolean("x");
            sub.subsection("deeper").required().boolean("x");
            sub.reject("x", "anything");
            section.items("list").iter().filter_map(|item| item.required().boolean("x")).count()
        });
        assert_eq!(
            error,
            "trace.sub: found 5, accepted: an object\ntrace.list[0]: found a string, accepted: an object"
        );
    }

    #[test]
    fn a_renamed_field_is_read_under_either_name() {
        let read = |section: &Section<'_>| {
            section.renamed("old", "new");
            (section.integer("new", 0..=9), section.subsection("sub").is_given())
        };
        assert_eq!(accepted(r#""new": 1"#, read), (Some(1), false));
        assert_eq!(accepted("", read), (None, false));
        assert_eq!(
            reading(r#""old": 2"#, read),
            ((Some(2), false), Ok(r#"trace.old: this field is now called "new""#.to_owned()))
        );
        assert_eq!(reading(r#""old": 2, "new": null"#, read).0, (Some(2), false));
        assert_eq!(rejected(r#""old": 10"#, read), "trace.old: found 10, accepted: a whole number from 0 to 9");
        assert_eq!(
            rejected(r#""old": 1, "new": 1"#, read),
            r#"trace.old: found both "old" and "new", accepted: "new" alone, which is its present name"#
        );
        assert_eq!(rejected(r#""odl": 1"#, read), "trace.odl: unknown field, accepted: new, sub");
    }

    #[test]
    fn a_filter_can_reject_and_warn_in_its_own_words() {
        let error = rejected(r#""a": "A", "b": [1]"#, |section| {
            section.reject("a", "something else");
            section.reject("b", "something else");
            section.reject("c", "something");
            section.reject_as("a", format_args!("{} and b", "a"), "one of them");
            section.reject_whole("a mess", "order");
        });
        let lines = [
            r#"trace.a: found "A", accepted: something else"#,
            "trace.b: found a list of 1, accepted: something else",
            "trace.c: missing, accepted: something",
            "trace.a: found a and b, accepted: one of them",
            "trace: found a mess, accepted: order",
        ];
        assert_eq!(error, lines.join("\n"));
        let ((), verdict) = reading(r#""a": 1"#, |section| section.warn("a", "is of no use here"));
        assert_eq!(verdict, Ok("trace.a: is of no use here".to_owned()));
    }
}
