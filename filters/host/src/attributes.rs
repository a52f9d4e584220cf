//! Attributes of the exchange, many in one hostcall.
//!
//! A property costs a hostcall, and one more crossing for the memory of its value. So a list of them is compiled, when a
//! filter is configured, into one expression of the Common Expression Language that the proxy evaluates to a list
//! (Envoy's foreign functions `expr_create` and `expr_evaluate`). An attribute that is absent would fail the whole
//! expression; each is guarded, and reads as empty then. A proxy without these functions is asked for one property after
//! the other.

use crate::{HeaderMap, Host, HostError};
use std::borrow::Cow;
use std::fmt::{self, Write};
use std::rc::Rc;

/// An attribute to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// One of the proxy's, the parts of its name joined by a dot: `response.code`.
    Proxy(&'static str),
    /// The same, of one without which nobody wants the others: where it is absent, all of the list are. It needs no guard,
    /// which costs as much as the value.
    Needed(&'static str),
    /// What a plugin of this product, or this one, left in the exchange's filter state.
    FilterState(&'static str),
    /// A header of the request, by its name in lower case, its values joined by commas.
    RequestHeader(Cow<'static, str>),
    /// Whether the request has a header of this name, were it empty: [`TakeAttributes::flag`].
    HasRequestHeader(Cow<'static, str>),
}

/// Attributes that are read together; see [`crate::Vm::attribute_list`]. It ends with the root context that made it.
#[derive(Clone, Debug)]
pub struct AttributeList {
    attributes: Cow<'static, [Attribute]>,
    expression: Option<Rc<Expression>>,
}

/// What the proxy compiled, and keeps until it is told that nobody wants it any more.
struct Expression {
    host: &'static dyn Host,
    /// As the proxy's functions take it.
    token: Vec<u8>,
}

impl Drop for Expression {
    fn drop(&mut self) {
        // If the proxy cannot let go of it, it goes with the VM.
        _ = self.host.call_foreign("expr_delete", &self.token);
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.token)
    }
}

impl AttributeList {
    pub(crate) fn compile(host: &'static dyn Host, attributes: Cow<'static, [Attribute]>) -> AttributeList {
        let token = host.call_foreign("expr_create", expression(&attributes).as_bytes()).ok();
        AttributeList { attributes, expression: token.map(|token| Rc::new(Expression { host, token })) }
    }

    pub(crate) fn read(&self, host: &dyn Host) -> AttributeValues {
        let together = |expression: &Rc<Expression>| host.call_foreign("expr_evaluate", &expression.token).ok();
        let is_needed = |attribute: &Attribute| matches!(attribute, Attribute::Needed(_));
        match (&self.expression, self.expression.as_ref().and_then(together)) {
            (_, Some(list)) => AttributeValues(HeaderMap::from_serialized(list)),
            (Some(_), None) if self.attributes.iter().any(is_needed) => AttributeValues(HeaderMap::default()),
            _ => AttributeValues(self.one_by_one(host)),
        }
    }

    fn one_by_one(&self, host: &dyn Host) -> HeaderMap {
        let value = |attribute: &Attribute| -> Result<Option<Vec<u8>>, HostError> {
            match attribute {
                Attribute::Proxy(name) | Attribute::Needed(name) => host.property(&name.replace('.', "\0")),
                Attribute::FilterState(name) => host.property(name),
                Attribute::RequestHeader(name) => host.property(&header_property(name)),
                Attribute::HasRequestHeader(name) => {
                    host.property(&header_property(name)).map(|value| Some(vec![u8::from(value.is_some())]))
                }
            }
        };
        let pairs: Vec<_> = self
            .attributes
            .iter()
            .map(|attribute| (value(attribute).ok().flatten().unwrap_or_default(), Vec::new()))
            .collect();
        HeaderMap::from_pairs(&pairs)
    }
}

/// The property that a header of the request is.
pub(crate) fn header_property(name: &str) -> String {
    format!("request\0headers\0{name}")
}

fn expression(attributes: &[Attribute]) -> String {
    let mut expression = String::from("[");
    for (number, attribute) in attributes.iter().enumerate() {
        let separator = if number == 0 { "" } else { ", " };
        // A String takes all that is written.
        _ = match attribute {
            Attribute::Proxy(name) => write!(expression, "{separator}has({name}) ? {name} : ''"),
            Attribute::Needed(name) => write!(expression, "{separator}{name}"),
            Attribute::FilterState(name) => {
                write!(expression, "{separator}'wasm.{name}' in filter_state ? filter_state['wasm.{name}'] : ''")
            }
            // A name is a token (RFC 9110 §5.1) or begins with a colon: no quote of this kind and no backslash.
            Attribute::RequestHeader(name) => {
                write!(expression, "{separator}\"{name}\" in request.headers ? request.headers[\"{name}\"] : ''")
            }
            Attribute::HasRequestHeader(name) => write!(expression, "{separator}\"{name}\" in request.headers"),
        };
    }
    expression.push(']');
    expression
}

/// The values of a list of attributes.
pub struct AttributeValues(HeaderMap);

impl AttributeValues {
    /// The values, in the order of the list, each to be taken as what it is.
    pub fn take(&self) -> TakeAttributes<'_> {
        // The proxy hands a list over like headers that have names alone.
        TakeAttributes(self.0.iter())
    }
}

/// Gives one value after the other. After the last, all are absent.
pub struct TakeAttributes<'v>(crate::headers::Iter<'v>);

impl<'v> TakeAttributes<'v> {
    /// The next value as yes or no.
    pub fn flag(&mut self) -> bool {
        self.bytes() == Some(&[1])
    }

    /// The next value as bytes; `None` where it is absent or empty.
    pub fn bytes(&mut self) -> Option<&'v [u8]> {
        self.0.next().map(|(value, _)| value).filter(|value| !value.is_empty())
    }

    /// The next value as a number; durations and times are in nanoseconds.
    pub fn integer(&mut self) -> Option<i64> {
        Some(i64::from_le_bytes(self.bytes()?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::double::Double;

    const LIST: [Attribute; 4] = [
        Attribute::Proxy("response.code"),
        Attribute::Proxy("response.code_details"),
        Attribute::FilterState("left"),
        Attribute::Proxy("upstream.address"),
    ];

    fn header(name: &'static str) -> Attribute {
        Attribute::RequestHeader(name.into())
    }

    #[test]
    fn every_attribute_is_guarded_in_the_expression() {
        assert_eq!(
            expression(&LIST[1..3]),
            "[has(response.code_details) ? response.code_details : '', \
             'wasm.left' in filter_state ? filter_state['wasm.left'] : '']"
        );
        let answer = [Attribute::Needed("response.code"), Attribute::Proxy("response.grpc_status")];
        assert_eq!(expression(&answer), "[response.code, has(response.grpc_status) ? response.grpc_status : '']");
        assert_eq!(
            expression(&[header("it's"), Attribute::HasRequestHeader(":path".into())]),
            "[\"it's\" in request.headers ? request.headers[\"it's\"] : '', \":path\" in request.headers]"
        );
    }

    #[test]
    fn a_header_that_is_empty_is_there() {
        let proxy = Double::new();
        proxy.put_headers(crate::MapKind::RequestHeaders, &[("a", "1"), ("empty", "")]);
        let has = |name: &'static str| Attribute::HasRequestHeader(name.into());
        let list = [has("empty"), header("empty"), has("absent"), header("a"), has("a")].to_vec();
        let values = AttributeList::compile(proxy, list.into()).read(proxy);
        let mut values = values.take();
        let taken = (values.flag(), values.bytes(), values.flag(), values.bytes(), values.flag(), values.flag());
        assert_eq!(taken, (true, None, false, Some(&b"1"[..]), true, false));
    }

    #[test]
    fn a_proxy_without_expressions_is_asked_one_by_one() {
        let proxy = Double::new();
        proxy.set("response\0code", 503i64.to_le_bytes());
        proxy.set("upstream\0address", *b"10.0.0.7");
        proxy.set_property("left", b"\xff").unwrap();
        let list = AttributeList::compile(proxy, Cow::Borrowed(&LIST));
        let values = list.read(proxy);
        let mut values = values.take();
        assert_eq!((values.integer(), values.bytes()), (Some(503), None));
        assert_eq!(
            (values.bytes(), values.bytes(), values.bytes()),
            (Some(&b"\xff"[..]), Some(&b"10.0.0.7"[..]), None)
        );
    }

    #[test]
    fn the_proxy_is_told_when_nobody_wants_a_list_any_more() {
        let proxy = Double::with_expressions();
        let list = AttributeList::compile(proxy, Cow::Borrowed(&LIST));
        let same = list.clone();
        drop(list);
        assert_eq!(proxy.expressions(), 1);
        drop(same);
        assert_eq!(proxy.expressions(), 0);
    }

    #[test]
    fn what_is_no_number_is_none() {
        let proxy = Double::new();
        proxy.set("response\0code", *b"503");
        let values = AttributeList::compile(proxy, Cow::Borrowed(&LIST)).read(proxy);
        assert_eq!(values.take().integer(), None);
    }
}
