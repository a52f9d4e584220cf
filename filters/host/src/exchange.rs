use crate::reply::{self, Problem, Response};
use crate::{
    AttributeList, AttributeValues, Facts, Flow, Head, HeadList, HeaderMap, Headers, Host, HostError, Level,
    LocalReply, LocalResponse, MapKind, Vm, identity, property,
};
use sluicegate_policy::{Direction, Directions, RequestView};
use std::any::Any;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;

/// One request and its response, as a filter sees it.
///
/// It lives from the first callback to the last. Callbacks come in no fixed order and not all of them come: an exchange
/// that an earlier filter answered, or that the proxy rejected, reaches the log without ever having had request headers
/// here. Then the header map is empty and the facts are absent.
pub struct Exchange {
    host: &'static dyn Host,
    vm: Rc<Vm>,
    request: Headers,
    response: Headers,
    grpc: OnceCell<bool>,
    direction: OnceCell<Direction>,
    has_body: bool,
    /// What filters keep for themselves.
    kept: Vec<Box<dyn Any>>,
    /// What filters found out.
    pub facts: Facts,
}

impl Exchange {
    pub(crate) fn new(host: &'static dyn Host, vm: Rc<Vm>) -> Exchange {
        Exchange {
            host,
            vm,
            request: Headers::new(host, MapKind::RequestHeaders),
            response: Headers::new(host, MapKind::ResponseHeaders),
            grpc: OnceCell::new(),
            direction: OnceCell::new(),
            has_body: false,
            kept: Vec::new(),
            facts: Facts::default(),
        }
    }

    /// The request's headers.
    pub fn request_headers(&self) -> &Headers {
        &self.request
    }

    /// The request's headers, to change; only in the callback of the request's headers.
    pub fn request_headers_mut(&mut self) -> &mut Headers {
        &mut self.request
    }

    /// The response's headers.
    pub fn response_headers(&self) -> &Headers {
        &self.response
    }

    /// The response's headers, to change; only in the callback of the response's headers.
    pub fn response_headers_mut(&mut self) -> &mut Headers {
        &mut self.response
    }

    /// What outlives the exchange: clock, entropy, the module's place in the mesh.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Which way the exchange goes, seen from the service beside this proxy. The first to ask costs the exchange a
    /// hostcall: listeners of both directions may share one root context, so there is nothing to remember it by.
    pub fn direction(&self) -> Direction {
        *self.direction.get_or_init(|| identity::direction(self.host))
    }

    /// Whether the exchange goes in one of these directions. The proxy is asked only where that matters.
    pub fn goes(&self, directions: Directions) -> bool {
        directions == Directions::ALL || directions.contains(self.direction())
    }

    /// A property of the exchange as bytes, the parts of its path separated by NUL; `None` where it is absent now.
    pub fn property(&self, path: &str) -> Option<Vec<u8>> {
        property::bytes(self.host, path)
    }

    /// A property as text; bytes that are not UTF-8 become U+FFFD. `None` also where it is empty.
    pub fn text_property(&self, path: &str) -> Option<String> {
        property::text(self.host, path)
    }

    /// A property as a number; durations and times are in nanoseconds.
    pub fn integer_property(&self, path: &str) -> Option<i64> {
        property::integer(self.host, path)
    }

    /// Keeps something of a filter's own until a later callback; of each type one.
    pub fn keep<T: 'static>(&mut self, value: T) {
        self.kept.retain(|kept| !kept.is::<T>());
        self.kept.push(Box::new(value));
    }

    /// What was kept, in its place.
    pub fn kept_mut<T: 'static>(&mut self) -> Option<&mut T> {
        self.kept.iter_mut().find_map(|kept| kept.downcast_mut())
    }

    /// Takes out what was kept.
    pub fn take_kept<T: 'static>(&mut self) -> Option<T> {
        let place = self.kept.iter().position(|kept| kept.is::<T>())?;
        self.kept.swap_remove(place).downcast().ok().map(|value| *value)
    }

    /// What is in the list of the request's head. One hostcall, and none where a filter of this module has read the
    /// headers.
    pub fn head<'e>(&'e self, list: &'e HeadList) -> Head<'e> {
        list.read(self)
    }

    /// Reads a list of attributes in one hostcall.
    pub fn attributes(&self, list: &AttributeList) -> AttributeValues {
        list.read(self.host)
    }

    /// Leaves a value in the proxy's filter state, where access loggers and other plugins find it as `wasm.<name>`.
    pub fn set_filter_state(&self, name: &str, value: &[u8]) -> Result<(), HostError> {
        self.host.set_property(name, value)
    }

    /// Has the route picked anew from the headers as this callback leaves them.
    pub fn clear_route_cache(&self) -> Result<(), HostError> {
        self.host.call_foreign("clear_route_cache", &[]).map(drop)
    }

    /// Whether the request is gRPC by its content type, as the proxy decides it.
    pub fn is_grpc(&self) -> bool {
        *self.grpc.get_or_init(|| self.request.original().get("content-type").is_some_and(is_grpc))
    }

    /// Whether more of the request is to come than its headers: a body, trailers, or a tunnel.
    pub fn has_body(&self) -> bool {
        self.has_body
    }

    /// Answers the request in the place of the upstream, in the form that its caller reads: problem details
    /// (RFC 9457) over HTTP, a status and a short message over gRPC. Return the flow that this returns.
    pub fn reply(&mut self, problem: &Problem) -> Flow {
        // Before the reply: it ends the exchange for the filters that come after this one.
        self.hand_over_reply(problem.reply);
        let sent = reply::send(self.host, problem, &self.facts, self.is_grpc());
        self.replied(problem.reply, sent)
    }

    /// Answers the request with a response of the policy's, which is no problem's. Return the flow that this returns.
    pub fn respond(&mut self, response: &Response<'_>) -> Flow {
        self.hand_over_reply(response.reply);
        let sent = self.host.send_local_response(&LocalResponse {
            status: response.status,
            headers: response.headers,
            body: response.body,
            grpc_status: None,
        });
        self.replied(response.reply, sent)
    }

    fn replied(&mut self, reply: LocalReply, sent: Result<(), HostError>) -> Flow {
        match sent {
            Ok(()) => {
                self.facts.reply = Some(reply);
                Flow::Replied
            }
            Err(error) => {
                self.host.log(Level::Error, &format!("{}: not sent: {error}", reply.as_str()));
                Flow::Continue
            }
        }
    }

    // === callbacks, from the module ===

    pub(crate) fn begin_request(&mut self, is_whole: bool) {
        self.has_body = !is_whole;
    }

    pub(crate) fn end_request(&mut self) {
        let written = self.request.write();
        self.complain("request headers", written);
    }

    pub(crate) fn end_response(&mut self) {
        let written = self.response.write();
        self.complain("response headers", written);
    }

    fn complain(&self, what: &str, written: Result<(), HostError>) {
        if let Err(error) = written {
            self.host.log(Level::Error, &format!("{what}: not written: {error}"));
        }
    }
}

/// `application/grpc` and `application/grpc+proto`, with no parameters, and not `application/grpc-web`: what the proxy
/// itself treats as gRPC, and so what it turns a local reply into a gRPC one for.
pub(crate) fn is_grpc(content_type: &[u8]) -> bool {
    matches!(content_type.strip_prefix(b"application/grpc"), Some([] | [b'+', ..]))
}

/// The request as it came.
impl RequestView for HeaderMap {
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.joined(name)
    }
}

/// The request as it stands.
impl RequestView for Exchange {
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.request.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::double::Double;
    use sluicegate_policy::Service;

    #[test]
    fn what_is_kept_is_there_once_for_each_type() {
        let proxy = Double::new();
        let vm = Vm::new(proxy, Service::default()).unwrap();
        let mut exchange = Exchange::new(proxy, Rc::new(vm));
        exchange.keep(7u8);
        exchange.keep("seven");
        exchange.keep(8u8);
        assert_eq!(exchange.kept_mut::<u8>(), Some(&mut 8));
        assert_eq!(exchange.take_kept::<u8>(), Some(8));
        assert_eq!(exchange.take_kept::<u8>(), None);
        assert_eq!(exchange.take_kept::<&str>(), Some("seven"));
    }

    #[test]
    fn grpc_is_told_by_the_content_type_and_grpc_web_is_none() {
        for grpc in ["application/grpc", "application/grpc+proto"] {
            assert!(is_grpc(grpc.as_bytes()), "{grpc}");
        }
        for other in
            ["", "application/json", "application/grpc-web", "application/grpc-web+proto", "application/grpc;a=b"]
        {
            assert!(!is_grpc(other.as_bytes()), "{other}");
        }
    }
}
