//! The attributes that the policy adds to a record.

use crate::record::{Custom, CustomKind, CustomValue, MAX_CUSTOM, MAX_CUSTOM_NAME, MAX_CUSTOM_TEXT, check_names};
use sluicegate_host::{Exchange, HeaderMap};
use sluicegate_policy::{Section, is_header_name};
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
    is_binary: bool,
}

const KINDS: [(&str, CustomKind); 4] = [
    ("string", CustomKind::String),
    ("integer", CustomKind::Integer),
    ("float", CustomKind::Float),
    ("bool", CustomKind::Bool),
];

const DEFAULT_LENGTH: usize = 256;

/// The longest character, in bytes.
const MAX_CHARACTER: usize = 4;
const MAX_PROPERTY: usize = 256;

const A_HEADER: &str = "an HTTP header name (RFC 9110 §5.1), at most 128 characters";
const A_PROPERTY: &str =
    "a property of the proxy with one value, its parts joined by dots, such as \"upstream.address\"";
const A_NAME: &str = "lower-case words joined by dots, at most 64 characters, outside of the namespaces of the schema, each \
                      once and none a dotted prefix of another";

/// Properties that are maps or messages: headers would come out whole, secrets included.
const NOT_ONE_VALUE: [&str; 17] = [
    "cluster_metadata",
    "connection",
    "destination",
    "filter_state",
    "listener_metadata",
    "metadata",
    "node",
    "request",
    "request.headers",
    "response",
    "response.headers",
    "response.trailers",
    "route_metadata",
    "source",
    "upstream",
    "upstream_host_metadata",
    "xds",
];

/// Reads `attributes`. `redactor` redacts literals once and for all; `force_header` is the one of `sampling.force`.
pub(crate) fn read(section: &Section<'_>, redactor: &Redactor, force_header: Option<&str>) -> Vec<CustomAttribute> {
    let mut attributes: Vec<CustomAttribute> = Vec::new();
    for item in section.items_up_to("attributes", MAX_CUSTOM) {
        let Some(attribute) = read_one(&item, redactor) else { continue };
        // The sampler takes it away, but only where it is active.
        // The proxy looks properties up in any case.
        let is_force = |name: &str| force_header.is_some_and(|header| header.eq_ignore_ascii_case(name));
        if attribute.source.request_header().is_some_and(is_force) {
            let field = if matches!(attribute.source, Source::Property(_)) { "property" } else { "request_header" };
            item.reject_as(field, "the header of `sampling.force`, which holds a secret", "another header");
        }
        let names = attributes.iter().chain([&attribute]).map(|attribute| attribute.name.as_str());
        match check_names(names) {
            Ok(()) => attributes.push(attribute),
            Err(error) => item.reject_as("name", error, A_NAME),
        }
    }
    attributes
}

fn read_one(item: &Section<'_>, redactor: &Redactor) -> Option<CustomAttribute> {
    let kind = item.choice("type", &KINDS).unwrap_or(CustomKind::String);
    let max_length = item.integer("max_length", 3..=MAX_CUSTOM_TEXT as u64);
    item.exactly_one_of(&["request_header", "response_header", "property", "value"]);
    let header = |name| item.string_where(name, is_header_name, A_HEADER).map(str::to_ascii_lowercase);
    let request_header = header("request_header").map(Source::RequestHeader);
    let response_header = header("response_header").map(Source::ResponseHeader);
    let property = item.string_where("property", is_property, A_PROPERTY);
    let property = property.map(|path| Source::Property(path.replace('.', "\0")));
    let value = item.string("value");
    let name = item.required().string_where("name", |name| name.len() <= MAX_CUSTOM_NAME, A_NAME)?;
    let literal = value.and_then(|value| redactor.attribute(name, value.as_bytes(), MAX_CUSTOM_TEXT));
    if let Some(text) = &literal
        && let CustomValue::Mistyped(_) = CustomValue::read(kind, text.as_bytes())
    {
        // Without the value, which may be under the name of a secret.
        item.reject_as(
            "value",
            "a text that is not of the attribute's type",
            "a value of its type that is not redacted",
        );
    }
    let literal = literal.map(|text| Source::Literal(text.into_owned()));
    Some(CustomAttribute {
        name: name.to_owned(),
        source: request_header.or(response_header).or(property).or(literal)?,
        kind,
        max_length: max_length.and_then(|length| usize::try_from(length).ok()).unwrap_or(DEFAULT_LENGTH),
    })
}

fn is_property(path: &str) -> bool {
    // The newer names of the same things.
    let short = path.strip_prefix("xds.").unwrap_or(path);
    path.len() <= MAX_PROPERTY
        && !path.contains('\0')
        && path.split('.').all(|part| !part.is_empty())
        && !NOT_ONE_VALUE.contains(&short)
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
        Source::Literal(text) => return Some(Fetched { attribute, text: Cow::Borrowed(text), is_binary: false }),
        Source::RequestHeader(name) => (first(exchange.request_headers().original(), name)?, name.as_str()),
        Source::ResponseHeader(name) => (first(exchange.response_headers().original(), name)?, name.as_str()),
        Source::Property(path) => {
            let value = exchange.property(path).filter(|value| !value.is_empty())?;
            (Cow::Owned(property_text(value, attribute.kind)), header_of(path).unwrap_or(&attribute.name))
        }
    };
    let is_binary = raw.iter().any(|byte| *byte < b' ' && *byte != b'\t');
    let text = redacted(attribute, source_name, raw, redactor)?;
    Some(Fetched { attribute, text, is_binary })
}

impl Source {
    /// The header of the request that it is, in any case.
    fn request_header(&self) -> Option<&str> {
        match self {
            Source::RequestHeader(name) => Some(name),
            Source::Property(path) => path.strip_prefix("request\0headers\0"),
            Source::ResponseHeader(_) | Source::Literal(_) => None,
        }
    }
}

/// The header that a property is.
fn header_of(path: &str) -> Option<&str> {
    let maps = ["request\0headers\0", "response\0headers\0", "response\0trailers\0"];
    maps.into_iter().find_map(|map| path.strip_prefix(map))
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

/// The text of a property that is to be of this kind. The proxy hands numbers over in binary, without saying of which sort.
fn property_text(value: Vec<u8>, kind: CustomKind) -> Vec<u8> {
    // Eight digits are text all the same: no number that they could be is any property's.
    let is_digits = value.iter().all(|byte| byte.is_ascii_digit() || b"+-.".contains(byte));
    match (kind, <[u8; 8]>::try_from(value.as_slice())) {
        (CustomKind::Integer, Ok(bytes)) if !is_digits => i64::from_le_bytes(bytes).to_string().into_bytes(),
        (CustomKind::Float, Ok(bytes)) if !is_digits => format!("{:?}", number(bytes)).into_bytes(),
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

/// Integers and doubles look alike, but integers that occur are no doubles that do.
fn number(bytes: [u8; 8]) -> f64 {
    const USUAL: std::ops::Range<f64> = 1e-100..1e100;
    let (double, integer) = (f64::from_le_bytes(bytes), i64::from_le_bytes(bytes));
    if double == 0.0 || USUAL.contains(&double.abs()) { double } else { integer as f64 }
}

impl Fetched<'_> {
    /// As a record takes it.
    pub(crate) fn value(&self) -> Custom<'_> {
        // A map or a message of the proxy's in its own encoding is no text.
        if self.attribute.kind == CustomKind::String && self.is_binary {
            return Custom { name: &self.attribute.name, value: CustomValue::Mistyped(CustomKind::String) };
        }
        let value = match CustomValue::read(self.attribute.kind, self.text.as_bytes()) {
            CustomValue::Text(text) => CustomValue::Text(text.at_most(self.attribute.max_length)),
            other => other,
        };
        Custom { name: &self.attribute.name, value }
    }
}
