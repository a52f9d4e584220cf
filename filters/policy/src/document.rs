//! The document as a whole: its version, its sections, and the verdict over all that was read of it.

use std::fmt;

use crate::carrier::Carrier;
use crate::fnv::Fnv;
use crate::path::Path;
use crate::report::{Errors, LISTED, PolicyError, Report};
use crate::section::{Origin, Section};
use crate::service::Service;
use crate::unknown::{self, Unknown};
use crate::value::{Found, Kind, Object, Value};
use crate::version::Version;

/// The sections that filters read. A filter reads its own and does not look into the others.
pub const SECTIONS: [&str; 6] = ["service", "trace", "sampling", "breaker", "access_log", "policy_source"];

/// A policy document that is well-formed, within the limits, and of a version that this build reads. Whether it is right shows
/// when its sections have been read: at [`Document::finish`].
pub struct Document<'e> {
    carrier: Carrier,
    version: Version,
    fingerprint: u64,
    root: Object,
    report: Report,
    environment: &'e dyn Fn(&str) -> Option<String>,
}

impl<'e> Document<'e> {
    /// Parses a document: JSON text, or a `google.protobuf.Struct` in protobuf's wire format. Which of the two it is shows
    /// in the bytes; none are both. `environment` looks up the variables of `{ env: NAME }` secrets.
    ///
    /// No bytes at all, white space alone, `null` and `{}` are the document with nothing in it but defaults: a plugin
    /// without configuration gets such.
    ///
    /// # Errors
    /// What keeps the document from being read any further: more than 64 KiB, more than 32 levels, a syntax error, a number
    /// that is not finite, a string that is not UTF-8, a field given twice, another major version.
    #[must_use = "whether a document is right shows only at finish"]
    pub fn parse(bytes: &[u8], environment: &'e dyn Fn(&str) -> Option<String>) -> Result<Document<'e>, Errors> {
        let carrier = Carrier::of(bytes);
        let root = match carrier.read(bytes)? {
            Value::Object(object) => *object,
            Value::Null => Object::default(),
            other => {
                let problem = format_args!("found {}, accepted: an object", Kind(&other));
                return Err(PolicyError::new(&Path::root(), problem).into());
            }
        };
        let report = Report::default();
        let version = read_version(&root, &report)?;
        open(&root);
        let mut fingerprint = Fnv::new();
        fingerprint.write(bytes);
        Ok(Document { carrier, version, fingerprint: fingerprint.value(), root, report, environment })
    }

    /// A document with these fields, to see what is read of it.
    #[cfg(any(test, feature = "schema"))]
    pub(crate) fn of_fields(root: Object, environment: &'e dyn Fn(&str) -> Option<String>) -> Document<'e> {
        open(&root);
        let (carrier, report) = (Carrier::Json, Report::default());
        Document { carrier, version: Version::CURRENT, fingerprint: 0, root, report, environment }
    }

    /// The fields, and what their readers left so far.
    #[cfg(any(test, feature = "schema"))]
    pub(crate) fn traces(&self) -> (&Object, &crate::schema::Notes) {
        (&self.root, &self.report.notes)
    }

    /// What its readers left.
    #[cfg(any(test, feature = "schema"))]
    pub(crate) fn into_notes(self) -> crate::schema::Notes {
        self.report.notes
    }

    /// The version that the document states.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether it has no field at all, not even a version: every plugin without configuration has such a document, and
    /// nobody who writes one down means it.
    pub fn says_nothing(&self) -> bool {
        self.root.fields.is_empty()
    }

    /// A hash of the document as it was handed over: another one is another policy, or the same written differently.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The section `name`, one of [`SECTIONS`]. An absent one reads as empty: all its fields have their defaults.
    pub fn section(&self, name: &'static str) -> Section<'_> {
        let origin = Origin { carrier: self.carrier, report: &self.report, environment: self.environment };
        Section::new(origin, Some(&self.root), Path::root()).subsection(name)
    }

    /// The section of another filter, for the few fields that concern this one as well. Fields of it that are not asked for
    /// are left to their owner; what is asked for and wrong is an error here too.
    pub fn neighbour(&self, name: &'static str) -> Section<'_> {
        let origin = Origin { carrier: self.carrier, report: &self.report, environment: self.environment };
        Section::neighbour(origin, &self.root, name)
    }

    /// The section `service`.
    pub fn service(&self) -> Service {
        Service::read(self.section("service"))
    }

    /// The verdict, once every section of interest has been read: the warnings, one line each.
    /// (The first 20, and then a line that says how many more.)
    ///
    /// # Errors
    /// Everything that the readers found wrong, and every field of the sections they read that they did not ask for.
    /// (In a document of a newer minor version such fields are ignored, with a warning that lists them.)
    pub fn finish(self) -> Result<Vec<String>, Errors> {
        if self.version > Version::CURRENT {
            self.warn_of_unknown_fields();
        } else {
            unknown::each(&self.root, &Path::root(), &mut |path, name, accepted| {
                // An error that is only counted needs no text.
                let accepted = if self.report.is_full() { &[] } else { accepted };
                self.report.error(&path.field(name), Unknown { name, accepted });
            });
        }
        self.report.into_result()
    }

    fn warn_of_unknown_fields(&self) {
        let mut listed = String::new();
        let mut number: usize = 0;
        unknown::each(&self.root, &Path::root(), &mut |path, name, _| {
            if number < LISTED {
                let separator = if number == 0 { "" } else { ", " };
                listed.push_str(&format!("{separator}{}", path.field(name)));
            }
            number = number.saturating_add(1);
        });
        if number == 0 {
            return;
        }
        let more = match number.saturating_sub(LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let (theirs, ours) = (self.version, Version::CURRENT);
        let text = format_args!("is {theirs} and this build reads {ours}; fields ignored: {listed}{more}");
        self.report.warn(&Path::root().field("version"), &text);
    }
}

/// The version alone: the content may hold secrets.
impl fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({})", self.version)
    }
}

/// A document has all sections, whoever reads them.
fn open(root: &Object) {
    root.open();
    for section in SECTIONS {
        root.accept(section);
    }
}

/// The stated version. One that is missing or malformed is an error beside others, and the document is read on as one of
/// the current version; another major ends the reading.
fn read_version(root: &Object, report: &Report) -> Result<Version, PolicyError> {
    let path = Path::root().field("version");
    root.accept("version");
    let stated = match root.get("version") {
        Some(Value::String(text)) => Version::parse(text),
        Some(_) => None,
        None if root.fields.is_empty() => Some(Version::CURRENT),
        None => {
            report.missing(&path, &ACCEPTED);
            Some(Version::CURRENT)
        }
    };
    match stated {
        Some(version) if version.major == Version::CURRENT.major => Ok(version),
        Some(version) => {
            let major = Version::CURRENT.major;
            Err(PolicyError::new(
                &path,
                format_args!("found \"{version}\", accepted: \"{major}.x\", the only major version this build reads"),
            ))
        }
        None => {
            if let Some(value) = root.get("version") {
                report.not_accepted(&path, &Found(value), &ACCEPTED);
            }
            Ok(Version::CURRENT)
        }
    }
}

const ACCEPTED: &str = "the schema's major and minor version as a string in quotes, such as \"1.0\"";

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::parse;

    fn verdict(text: &str) -> Result<Vec<String>, String> {
        let read = |document: Document<'_>| {
            let trace = document.section("trace");
            trace.boolean("enabled");
            trace.subsection("request_id").string("header");
            document.finish()
        };
        parse(text).and_then(read).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_document_with_nothing_in_it_is_all_defaults() {
        for text in
            ["", " \r\n\t", "{}", "null", "\u{feff}{}", r#"{"version":"1.0"}"#, r#"{"version":"1.0","trace":null}"#]
        {
            assert_eq!(verdict(text), Ok(vec![]), "{text:?}");
        }
        assert_eq!(parse("").unwrap().version(), Version::CURRENT);
        assert!(!parse("").unwrap().section("trace").is_given());
        assert!(parse(r#"{"version":"1.0","trace":{}}"#).unwrap().section("trace").is_given());
    }

    #[test]
    fn a_document_with_anything_in_it_states_its_version_as_a_string() {
        let accepted = r#"accepted: the schema's major and minor version as a string in quotes, such as "1.0""#;
        let table = [
            (r#"{"trace":{}}"#, "missing"),
            (r#"{"version":null,"trace":{}}"#, "missing"),
            (r#"{"version":1.0}"#, "found 1"),
            (r#"{"version":1}"#, "found 1"),
            (r#"{"version":true}"#, "found true"),
            (r#"{"version":"1"}"#, r#"found "1""#),
            (r#"{"version":"v1.0"}"#, r#"found "v1.0""#),
            (r#"{"version":{}}"#, "found an object"),
        ];
        for (text, found) in table {
            assert_eq!(verdict(text), Err(format!("version: {found}, {accepted}")), "{text}");
        }
    }

    #[test]
    fn a_missing_version_does_not_hide_the_other_errors() {
        let errors = verdict(r#"{"trace":{"enabled":1,"enabeld":1},"traec":{}}"#).unwrap_err();
        assert_eq!(errors.lines().count(), 4, "{errors}");
    }

    #[test]
    fn documents_are_told_apart_by_their_fingerprints() {
        let of = |text: &str| parse(text).unwrap().fingerprint();
        let (one, other) = (r#"{"version":"1.0","trace":{}}"#, r#"{"version":"1.0","trace":{"enabled":true}}"#);
        assert_eq!(of(one), of(one));
        assert_ne!(of(one), of(other));
    }

    #[test]
    fn another_major_version_is_rejected() {
        for version in ["0.9", "2.0", "10.0"] {
            let error = parse(&format!(r#"{{"version":"{version}","anything":1}}"#)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(r#"version: found "{version}", accepted: "1.x", the only major version this build reads"#)
            );
        }
    }

    #[test]
    fn what_is_shared_of_a_neighbour_is_read_field_by_field() {
        let verdict = |text: &str| {
            let document = parse(text).unwrap();
            let trace = document.neighbour("trace").shared("request_id").shared("rules");
            trace.subsection("request_id").integer("header", 1..=9);
            trace.rules("rules", |rule| rule.boolean("on"));
            document.finish().map_err(|errors| errors.to_string())
        };
        let known = r#"{"version":"1.0","trace":{"mystery":{"x":1},"request_id":{"header":7},"rules":[{"on":true}]}}"#;
        assert_eq!(verdict(known), Ok(vec![]));
        let unknown = r#"{"version":"1.0","trace":{"mystery":1,"request_id":{"haeder":7},"rules":[{"no":true}]}}"#;
        let lines = [
            "trace.request_id.haeder: unknown field, accepted: header; did you mean header?",
            "trace.rules[0].no: unknown field, accepted: match, on; did you mean on?",
        ];
        assert_eq!(verdict(unknown).unwrap_err(), lines.join("\n"));
        assert_eq!(verdict(r#"{"version":"1.0","trace":"on"}"#), Ok(vec![]));
    }

    #[test]
    fn a_neighbours_fields_are_read_and_the_rest_is_left_to_its_owner() {
        let read = |text: &str| {
            let document = parse(text).unwrap();
            let header = document.neighbour("trace").subsection("request_id").integer("header", 1..=9);
            (header, document.finish().map_err(|errors| errors.to_string()))
        };
        let text = r#"{"version":"1.0","trace":{"mystery":1,"request_id":{"header":7,"mystery":2}}}"#;
        assert_eq!(read(text), (Some(7), Ok(vec![])));
        assert_eq!(read(r#"{"version":"1.0"}"#), (None, Ok(vec![])));
        assert_eq!(read(r#"{"version":"1.0","trace":"on"}"#), (None, Ok(vec![])));
        let (_, verdict) = read(r#"{"version":"1.0","trace":{"request_id":{"header":10}}}"#);
        assert_eq!(verdict.unwrap_err(), "trace.request_id.header: found 10, accepted: a whole number from 1 to 9");
    }

    #[test]
    fn an_unknown_section_is_an_error() {
        assert_eq!(
            verdict(r#"{"version":"1.0","traces":{}}"#).unwrap_err(),
            "traces: unknown field, accepted: version, service, trace, sampling, breaker, access_log, policy_source; did you mean trace?"
        );
    }

    #[test]
    fn a_newer_minor_version_may_have_fields_that_we_do_not_know() {
        let text = r#"{"version":"1.7","trace":{"enabled":true,"later":1,"request_id":{"x y":2}},"newer":{}}"#;
        assert_eq!(
            verdict(text),
            Ok(vec![r#"version: is 1.7 and this build reads 1.0; fields ignored: trace.later, trace.request_id["x y"], newer"#.to_owned()])
        );
        assert_eq!(verdict(r#"{"version":"1.7","trace":{"enabled":true}}"#), Ok(vec![]));
    }

    #[test]
    fn the_warning_of_a_newer_minor_version_is_bounded() {
        let fields: Vec<_> = (0..27).map(|number| format!("\"x{number}\": 1")).collect();
        let warnings = verdict(&format!(r#"{{"version":"1.1","trace":{{{}}}}}"#, fields.join(","))).unwrap();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].ends_with("trace.x18, trace.x19 and 7 more"), "{warnings:?}");
    }

    #[test]
    fn what_we_know_must_be_right_in_a_newer_minor_version_too() {
        assert_eq!(
            verdict(r#"{"version":"1.7","trace":{"enabled":"maybe","later":1}}"#).unwrap_err(),
            r#"trace.enabled: found "maybe", accepted: true or false"#
        );
    }

    #[test]
    fn a_document_that_is_no_object_is_refused_without_being_shown() {
        let table =
            [("[1,2]", "a list of 2"), (r#""{\"key\":\"s3cr3t\"}""#, "a string"), ("true", "true"), ("17", "17")];
        for (text, found) in table {
            assert_eq!(verdict(text), Err(format!("the document: found {found}, accepted: an object")));
        }
    }

    #[test]
    fn a_section_that_is_no_object_is_refused_without_being_shown() {
        let table = [(r#""on""#, "a string"), ("[]", "an empty list"), ("false", "false"), ("0.5", "0.5")];
        for (value, found) in table {
            assert_eq!(
                verdict(&format!(r#"{{"version":"1.0","trace":{value}}}"#)),
                Err(format!("trace: found {found}, accepted: an object"))
            );
        }
    }

    #[test]
    fn neither_document_nor_section_show_their_content() {
        let document = parse(r#"{"version":"1.0","trace":{"key":"s3cr3t"}}"#).unwrap();
        assert_eq!(format!("{document:?} {:?}", document.section("trace")), "Document(1.0) Section(trace)");
    }
}
