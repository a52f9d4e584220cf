//! The attributes that the policy adds to a record.

use crate::record::{Custom, CustomKind, CustomValue, MAX_CUSTOM, MAX_CUSTOM_NAME, MAX_CUSTOM_TEXT, check_names};
use sluicegate_host::{Exchange, HeaderMap};
use sluicegate_policy::{Section, is_token};
use sluicegate_telemetry::redact::Redactor;
use std::borrow::Cow;

/// An attribute to be added.
#[derive(Clone, Debug)]
pub(crate) struct CustomAttribute {
    name: String,
    source: Source,
    kind: CustomKind,
    /// The longest text, in bytes.
    max_length: usize,
}

#[derive(Clone, Debug)]
enum Source {
    /// The first value of a header of the request, as it went upstream.
    RequestHeader(String),
    /// The first value of a header of the response, as it went to the client.
    ResponseHeader(String),
    /// A property of the proxy, the parts of its path separated by NUL.
    Property(String),
    Literal(String),
}

/// The value of one, redacted.
pub(crate) struct Fetched<'a> {
    attribute: &'a CustomAttribute,
    text: Cow<'a, str>,
}

const KINDS: [(&str, CustomKind); 4] = [
    ("string", CustomKind::String),
    ("integer", CustomKind::Integer),
    ("float", CustomKind::Float),
    ("bool", CustomKind::Bool),
];

const DEFAULT_LENGTH: usize = 256;
const MAX_HEADER_NAME: usize = 128;

/// The longest character, in bytes.
const MAX_CHARACTER: usize = 4;
const MAX_PROPERTY: usize = 256;

const A_HEADER: &str = "an HTTP header name (RFC 9110 §5.1), at most 128 characters";
const A_PROPERTY: &str = "a property of the proxy, its parts joined by dots, such as \"upstream.address\"";

/// Reads `attributes`. `redactor` redacts literals once and for all.
pub(crate) fn read(section: &Section<'_>, redactor: &Redactor) -> Vec<CustomAttribute> {
    let items = section.items_up_to("attributes", MAX_CUSTOM);
    let attributes: Vec<_> = items.iter().filter_map(|item| read_one(item, redactor)).collect();
    if let Err(error) = check_names(attributes.iter().map(|attribute| attribute.name.as_str())) {
        let accepted = "lower-case words joined by dots, at most 64 characters, outside of the namespaces of the schema, \
                        each once and none a dotted prefix of another";
        section.reject_as("attributes", error, accepted);
    }
    attributes
}

fn read_one(item: &Section<'_>, redactor: &Redactor) -> Option<CustomAttribute> {
    let kind = item.choice("type", &KINDS).unwrap_or(CustomKind::String);
    let max_length = item.integer("max_length", 3..=MAX_CUSTOM_TEXT as u64);
    item.exactly_one_of(&["request_header", "response_header", "property", "value"]);
    let header = |name| item.string_where(name, is_header, A_HEADER).map(str::to_ascii_lowercase);
    let request_header = header("request_header").map(Source::RequestHeader);
    let response_header = header("response_header").map(Source::ResponseHeader);
    let property = item.string_where("property", is_property, A_PROPERTY);
    let property = property.map(|path| Source::Property(path.replace('.', "\0")));
    let value = item.string("value");
    let name = item.required().string_where(
        "name",
        |name| name.len() <= MAX_CUSTOM_NAME,
        "a name of at most 64 characters",
    )?;
    let literal = value.and_then(|value| redactor.attribute(name, value.as_bytes(), MAX_CUSTOM_TEXT));
    if let Some(text) = &literal
        && let CustomValue::Mistyped(_) = CustomValue::read(kind, text.as_bytes())
    {
        item.reject("value", "a value of the attribute's type that is not redacted");
    }
    let literal = literal.map(|text| Source::Literal(text.into_owned()));
    Some(CustomAttribute {
        name: name.to_owned(),
        source: request_header.or(response_header).or(property).or(literal)?,
        kind,
        max_length: max_length.and_then(|length| usize::try_from(length).ok()).unwrap_or(DEFAULT_LENGTH),
    })
}

fn is_header(name: &str) -> bool {
    name.len() <= MAX_HEADER_NAME && is_token(name.as_bytes())
}

fn is_property(path: &str) -> bool {
    path.len() <= MAX_PROPERTY && !path.contains('\0') && path.split('.').all(|part| !part.is_empty())
}

/// Fetches them all: one hostcall for headers of the request, one for those of the response, one for each property.
pub(crate) fn fetch<'a>(
    attributes: &'a [CustomAttribute],
    exchange: &'a Exchange,
    redactor: &Redactor,
) -> Vec<Fetched<'a>> {
    attributes.iter().filter_map(|attribute| fetch_one(attribute, exchange, redactor)).collect()
}

fn fetch_one<'a>(attribute: &'a CustomAttribute, exchange: &'a Exchange, redactor: &Redactor) -> Option<Fetched<'a>> {
    let first = |headers: &'a HeaderMap, name: &str| headers.get(name).map(Cow::Borrowed);
    let (raw, source_name) = match &attribute.source {
        Source::Literal(text) => return Some(Fetched { attribute, text: Cow::Borrowed(text) }),
        Source::RequestHeader(name) => (first(exchange.request_headers().original(), name)?, name.as_str()),
        Source::ResponseHeader(name) => (first(exchange.response_headers().original(), name)?, name.as_str()),
        Source::Property(path) => {
            let value = exchange.property(path).filter(|value| !value.is_empty())?;
            (Cow::Owned(property_text(value, attribute.kind)), path.rsplit('\0').next().unwrap_or_default())
        }
    };
    let text = redacted(attribute, source_name, raw, redactor)?;
    Some(Fetched { attribute, text })
}

/// Redacted under the name of where it comes from as well as under its own. A number that is secret is left out, for what
/// would stand in its place is none.
fn redacted<'a>(
    attribute: &CustomAttribute,
    source_name: &str,
    raw: Cow<'a, [u8]>,
    redactor: &Redactor,
) -> Option<Cow<'a, str>> {
    let name = match redactor.mode_of(&attribute.name) {
        Some(_) => attribute.name.as_str(),
        None => source_name,
    };
    // A little more, so that what is cut can be seen to be.
    let limit = attribute.max_length.saturating_add(MAX_CHARACTER);
    let text = match raw {
        Cow::Borrowed(raw) => redactor.attribute(name, raw, limit)?,
        Cow::Owned(ref raw) => Cow::Owned(redactor.attribute(name, raw, limit)?.into_owned()),
    };
    if attribute.kind != CustomKind::String && !is_same(&text, &raw) {
        return None;
    }
    Some(text)
}

fn is_same(text: &str, raw: &[u8]) -> bool {
    // What is not UTF-8 is no number either, and shall be told as such.
    text.as_bytes() == raw || std::str::from_utf8(raw).is_err()
}

/// The proxy hands numbers over in binary. Eight digits are text all the same: no number that they could be is any
/// property's.
fn property_text(value: Vec<u8>, kind: CustomKind) -> Vec<u8> {
    let is_digits = value.iter().all(|byte| byte.is_ascii_digit() || b"+-.".contains(byte));
    match (kind, <[u8; 8]>::try_from(value.as_slice())) {
        (CustomKind::Integer, Ok(bytes)) if !is_digits => i64::from_le_bytes(bytes).to_string().into_bytes(),
        (CustomKind::Float, Ok(bytes)) if !is_digits => format!("{:?}", f64::from_le_bytes(bytes)).into_bytes(),
        (CustomKind::Bool, _) if matches!(value.as_slice(), [0 | 1]) => {
            if value == [1] {
                b"true".to_vec()
            } else {
                b"false".to_vec()
            }
        }
        _ => value,
    }
}

impl Fetched<'_> {
    /// As a record takes it.
    pub(crate) fn value(&self) -> Custom<'_> {
        let value = match CustomValue::read(self.attribute.kind, self.text.as_bytes()) {
            CustomValue::Text(text) => CustomValue::Text(text.at_most(self.attribute.max_length)),
            other => other,
        };
        Custom { name: &self.attribute.name, value }
    }
}
