//! A request's head, as a filter reads it that wants a few headers of many.

use crate::attributes::header_property;
use crate::exchange::is_grpc;
use crate::{
    Attribute, AttributeList, AttributeValues, Exchange, Host, TRACE_HANDED_OVER, TakeAttributes, TraceFacts,
    Traceparent, Tracestate,
};
use sluicegate_policy::RequestView;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// What is wanted of a request's head, beside its trace context and content type; see [`crate::Vm::head_list`].
///
/// A plugin of its own reads it together with what other plugins handed over, in one hostcall. Where a filter of the same
/// module has read all headers, it is taken from there.
#[derive(Clone, Debug)]
pub struct HeadList {
    route_name: bool,
    /// In order, each once.
    names: Vec<Box<str>>,
    attributes: AttributeList,
}

const ROUTE_NAME: &str = "xds.route_name";
const CONTENT_TYPE: &str = "content-type";

/// Headers of which an empty one is as good as none: they need no look at whether they are there.
const ALWAYS: [&str; 3] = [Traceparent::HEADER, Tracestate::HEADER, CONTENT_TYPE];

impl HeadList {
    pub(crate) fn compile<N: AsRef<str>>(
        host: &'static dyn Host,
        headers: impl IntoIterator<Item = N>,
        route_name: bool,
    ) -> HeadList {
        let names: BTreeSet<Box<str>> = headers.into_iter().map(|name| Box::from(name.as_ref())).collect();
        let mut attributes = vec![TRACE_HANDED_OVER];
        attributes.extend(ALWAYS.map(|name| Attribute::RequestHeader(name.into())));
        attributes.extend(route_name.then_some(Attribute::Proxy(ROUTE_NAME)));
        for name in &names {
            let name = || Cow::Owned(name.to_string());
            attributes.extend([Attribute::HasRequestHeader(name()), Attribute::RequestHeader(name())]);
        }
        HeadList {
            route_name,
            names: names.into_iter().collect(),
            attributes: AttributeList::compile(host, Cow::Owned(attributes)),
        }
    }

    pub(crate) fn read<'e>(&'e self, exchange: &'e Exchange) -> Head<'e> {
        Head(match exchange.request_headers().are_read() {
            true => Source::Shared(exchange),
            false => Source::Own(self, exchange.attributes(&self.attributes), exchange),
        })
    }
}

/// The head of a request, with what filters before this one made of it.
pub struct Head<'e>(Source<'e>);

enum Source<'e> {
    /// Another filter of this module has read it.
    Shared(&'e Exchange),
    /// Read for one filter alone.
    Own(&'e HeadList, AttributeValues, &'e Exchange),
}

/// The values of a list, apart.
struct Parts<'v> {
    trace: Option<&'v [u8]>,
    always: [Option<&'v [u8]>; ALWAYS.len()],
    route_name: Option<&'v [u8]>,
    headers: TakeAttributes<'v>,
}

impl HeadList {
    fn take<'v>(&self, values: &'v AttributeValues) -> Parts<'v> {
        let mut values = values.take();
        Parts {
            trace: values.bytes(),
            always: ALWAYS.map(|_| values.bytes()),
            route_name: if self.route_name { values.bytes() } else { None },
            headers: values,
        }
    }

    /// `None` for a header that is not in the list.
    fn header<'v>(&self, name: &str, values: &'v AttributeValues) -> Option<Option<&'v [u8]>> {
        let Parts { always, mut headers, .. } = self.take(values);
        let mut each = self.names.iter().map(|known| {
            let (is_there, value) = (headers.flag(), headers.bytes());
            (known, is_there.then(|| value.unwrap_or_default()))
        });
        // One that is asked for by name may be one of those that are always there, and then may be empty.
        let named = each.find(|(known, _)| ***known == *name).map(|(_, value)| value);
        named.or_else(|| ALWAYS.into_iter().zip(always).find(|(known, _)| *known == name).map(|(_, value)| value))
    }
}

impl Head<'_> {
    /// The trace that the request belongs to; `None` where it has none.
    pub fn trace(&self) -> Option<TraceFacts> {
        match &self.0 {
            Source::Shared(exchange) => exchange.facts.trace.clone(),
            Source::Own(list, values, _) => {
                let Parts { trace, always: [traceparent, ..], .. } = list.take(values);
                TraceFacts::handed_over(traceparent, trace)
            }
        }
    }

    /// The proxy's name of the route, where the list has it. A hostcall where another filter has read the head.
    pub fn route_name(&self) -> Option<Vec<u8>> {
        match &self.0 {
            Source::Shared(exchange) => exchange.property(&ROUTE_NAME.replace('.', "\0")),
            Source::Own(list, values, _) => list.take(values).route_name.map(<[u8]>::to_vec),
        }
    }

    /// As [`Exchange::is_grpc`].
    pub fn is_grpc(&self) -> bool {
        match &self.0 {
            Source::Shared(exchange) => exchange.is_grpc(),
            Source::Own(..) => self.header(CONTENT_TYPE).is_some_and(|content_type| is_grpc(&content_type)),
        }
    }
}

/// A header that is not in the list costs a hostcall where the head was read for one filter alone.
impl RequestView for Head<'_> {
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match &self.0 {
            Source::Shared(exchange) => exchange.header(name),
            Source::Own(list, values, exchange) => match list.header(name, values) {
                Some(value) => value.map(Cow::Borrowed),
                None => exchange.property(&header_property(name)).map(Cow::Owned),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::double::Double;
    use crate::{Callbacks, Filter, Flow, Origin, Rejected, Vm};
    use sluicegate_policy::Document;

    /// Tells upstream what it reads, alone or beside a filter that reads and changes the headers.
    struct Teller<const ALONE: bool>(HeadList);

    impl<const ALONE: bool> Filter for Teller<ALONE> {
        const NAME: &'static str = "teller";
        const CALLBACKS: Callbacks = Callbacks::REQUEST_HEADERS;

        fn configure(_document: &Document<'_>, vm: &Vm) -> Result<Self, Rejected> {
            Ok(Teller(vm.head_list(["x-tier", "x-empty", "x-none"], true)))
        }

        fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
            if !ALONE {
                exchange.request_headers().original();
            }
            let head = exchange.head(&self.0);
            let header = |name| head.header(name).map(|value| String::from_utf8_lossy(&value).into_owned());
            let headers = ["x-tier", "x-empty", "x-none"].map(header);
            let route = head.route_name().map(|name| String::from_utf8_lossy(&name).into_owned());
            let other = head.header("x-other").map(|value| String::from_utf8_lossy(&value).into_owned());
            let told = format!("{headers:?} {other:?} {route:?} {}", head.is_grpc());
            exchange.request_headers_mut().set("x-told", told);
            Flow::Continue
        }
    }

    #[test]
    fn a_head_reads_alike_alone_and_beside_others() {
        fn told<const ALONE: bool>(headers: &[(&str, &str)]) -> String {
            let proxy = Double::new();
            proxy.set("xds\0route_name", *b"cart");
            let outcome = proxy.start::<Teller<ALONE>>("").unwrap().request(headers);
            String::from_utf8(outcome.upstream.get("x-told").unwrap().to_vec()).unwrap()
        }
        let headers = [
            ("content-type", "application/grpc"),
            ("x-tier", "gold"),
            ("x-empty", ""),
            ("x-tier", "silver"),
            ("x-other", "o"),
        ];
        let expected = r#"[Some("gold,silver"), Some(""), None] Some("o") Some("cart") true"#;
        assert_eq!(told::<true>(&headers), expected);
        assert_eq!(told::<false>(&headers), expected);
        assert!(told::<true>(&headers[1..]).ends_with("false"));
    }

    #[test]
    fn the_trace_is_that_of_the_header_and_of_what_was_handed_over() {
        let proxy = Double::new();
        let exchange = |headers: &[(&str, &str)]| {
            proxy.put_headers(crate::MapKind::RequestHeaders, headers);
            let list = HeadList::compile(proxy, [""; 0], false);
            let vm = Vm::new(proxy, sluicegate_policy::Service::default()).unwrap();
            let exchange = Exchange::new(proxy, std::rc::Rc::new(vm));
            exchange.head(&list).trace().map(|trace| trace.origin)
        };
        let traceparent = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(exchange(&[]), None);
        assert_eq!(exchange(&[traceparent]), Some(Origin::Continued));
        proxy.set_property("sluicegate_trace", b"started").unwrap();
        assert_eq!(exchange(&[traceparent]), Some(Origin::Started));
    }
}
