//! What the tests of this crate share.

pub(crate) mod wire;

use std::borrow::Cow;

use crate::{Document, Errors, RequestView, Section};

/// The environment of the tests: one variable with a good secret, one with a short one.
pub(crate) fn environment(name: &str) -> Option<String> {
    match name {
        "LONG_SECRET" => Some("0123456789abcdef-from-env".to_owned()),
        "SHORT_SECRET" => Some("s3cr3t".to_owned()),
        _ => None,
    }
}

pub(crate) fn parse(text: &str) -> Result<Document<'static>, Errors> {
    Document::parse(text.as_bytes(), &environment)
}

/// Reads the section `trace` of a document that holds `fields` there, and returns what `read` got and the verdict as
/// text: the warnings or the errors, one a line.
pub(crate) fn reading<T>(fields: &str, read: impl FnOnce(&Section<'_>) -> T) -> (T, Result<String, String>) {
    let document = parse(&format!(r#"{{"version":"1.0","trace":{{{fields}}}}}"#)).unwrap();
    let got = read(&document.section("trace"));
    (got, document.finish().map(|warnings| warnings.join("\n")).map_err(|errors| errors.to_string()))
}

/// What `read` gets of a section that is right.
pub(crate) fn accepted<T>(fields: &str, read: impl FnOnce(&Section<'_>) -> T) -> T {
    let (got, verdict) = reading(fields, read);
    assert_eq!(verdict, Ok(String::new()), "for {fields}");
    got
}

/// The errors that `read` leaves, one a line.
pub(crate) fn rejected<T>(fields: &str, read: impl FnOnce(&Section<'_>) -> T) -> String {
    let (_, verdict) = reading(fields, read);
    verdict.expect_err(fields)
}

/// A request of which everything is given beforehand.
#[derive(Clone, Default)]
pub(crate) struct Request {
    pub(crate) authority: Option<Vec<u8>>,
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) method: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Request {
    pub(crate) fn to(authority: &str, path: &str) -> Request {
        Request {
            authority: Some(authority.into()),
            path: Some(path.into()),
            method: Some("GET".into()),
            headers: Vec::new(),
        }
    }

    pub(crate) fn with_method(mut self, method: &str) -> Request {
        self.method = Some(method.into());
        self
    }

    pub(crate) fn with_header(mut self, name: &str, value: &[u8]) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl RequestView for Request {
    fn authority(&self) -> Option<Cow<'_, [u8]>> {
        self.authority.as_deref().map(Cow::from)
    }

    fn path(&self) -> Option<Cow<'_, [u8]>> {
        self.path.as_deref().map(Cow::from)
    }

    fn method(&self) -> Option<Cow<'_, [u8]>> {
        self.method.as_deref().map(Cow::from)
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| Cow::from(value.as_slice()))
    }
}
