//! A request and its response, taken through the callbacks of their context in the order in which Envoy calls them.

use crate::{Crossing, Trap, Vm};
use sluicegate_host::double::Double;
use sluicegate_host::{HeaderMap, MapKind};
use std::collections::BTreeMap;

/// A request, and what the upstream makes of it. `response.code` is what it answers; further properties of the exchange
/// are set on the proxy itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The request's headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The sizes of the pieces in which a body comes, in bytes; an empty one at the end is an end without data. None for a
    /// request that is whole with its headers.
    pub body: Vec<i32>,
    /// The response's headers.
    pub response: Vec<(String, Vec<u8>)>,
}

/// What came of an exchange.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The callbacks of its context, in order.
    pub crossings: Vec<Crossing>,
    /// The request's headers as they left for the upstream; as they stood when the module replied.
    pub upstream: HeaderMap,
    /// The response's headers as they left for the caller.
    pub downstream: HeaderMap,
    /// The status of the module's own reply in the place of the upstream's.
    pub replied: Option<u16>,
    /// The properties that the module set, by their names: what it handed over, and under `access_log` the line.
    pub filter_state: BTreeMap<String, Vec<u8>>,
    /// The lines that the proxy's log got.
    pub log: Vec<String>,
}

impl Request {
    /// A plain request to this path; the upstream answers 200.
    pub fn get(path: &str) -> Request {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.as_bytes().to_vec());
        let headers = [(":method", "GET"), (":scheme", "http"), (":authority", "checkout"), (":path", path)];
        let response = [(":status", "200")];
        Request { headers: headers.map(owned).into(), body: Vec::new(), response: response.map(owned).into() }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Request {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }
}

impl Exchange {
    /// The names of the callbacks, in order.
    pub fn callbacks(&self) -> Vec<&'static str> {
        self.crossings.iter().map(|crossing| crossing.callback).collect()
    }

    /// The hostcalls of all callbacks, in order.
    pub fn hostcalls(&self) -> Vec<&'static str> {
        self.crossings.iter().flat_map(|crossing| crossing.hostcalls.iter().copied()).collect()
    }

    /// The instructions of all callbacks.
    pub fn instructions(&self) -> u64 {
        self.crossings.iter().map(|crossing| crossing.instructions).sum()
    }

    /// The line of the access log that Envoy would print, if there is one.
    pub fn line(&self) -> Option<String> {
        self.filter_state.get("access_log").map(|line| String::from_utf8_lossy(line).into_owned())
    }
}

/// Whether the stream has ended, as the ABI has it.
const NOT_YET: i32 = 0;
const END: i32 = 1;

impl Vm {
    /// Takes a request through the policy in force. Without one it passes untouched.
    ///
    /// # Errors
    /// When a callback does not return.
    pub fn exchange(&mut self, request: &Request) -> Result<Exchange, Trap> {
        let proxy = self.world().proxy;
        let put = |map, headers: &[(String, Vec<u8>)]| {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value)).collect();
            proxy.put_headers(map, &headers);
        };
        put(MapKind::RequestHeaders, &request.headers);
        put(MapKind::ResponseHeaders, &request.response);
        set_code(proxy);
        self.world().is_replied = false;
        let mut crossings = Vec::new();
        if let Some(root) = self.root() {
            self.enter_context(root, request, &mut crossings)?;
        }
        let world = self.world();
        let filter_state = std::mem::take(&mut world.filter_state);
        for property in filter_state.keys() {
            proxy.take(property);
        }
        Ok(Exchange {
            crossings,
            upstream: proxy.headers(MapKind::RequestHeaders),
            downstream: proxy.headers(MapKind::ResponseHeaders),
            replied: proxy.reply().filter(|_| world.is_replied).map(|reply| reply.status),
            filter_state,
            log: std::mem::take(&mut world.log),
        })
    }

    fn enter_context(&mut self, root: i32, request: &Request, crossings: &mut Vec<Crossing>) -> Result<(), Trap> {
        let count = |headers: &[(String, Vec<u8>)]| i32::try_from(headers.len()).unwrap_or(i32::MAX);
        let context = self.next_context();
        self.enter_into(crossings, "proxy_on_context_create", &[context, root])?;
        let end = if request.body.is_empty() { END } else { NOT_YET };
        self.enter_into(crossings, "proxy_on_request_headers", &[context, count(&request.headers), end])?;
        if self.world().is_replied {
            self.put_reply();
        } else {
            for (number, size) in request.body.iter().enumerate() {
                let end = if number.saturating_add(1) == request.body.len() { END } else { NOT_YET };
                self.enter_into(crossings, "proxy_on_request_body", &[context, *size, end])?;
            }
        }
        self.enter_into(crossings, "proxy_on_response_headers", &[context, count(&request.response), END])?;
        self.enter_into(crossings, "proxy_on_log", &[context])?;
        self.end(context, crossings)
    }

    /// The module's own reply is the response.
    fn put_reply(&mut self) {
        let proxy = self.world().proxy;
        let Some(reply) = proxy.reply() else { return };
        let status = reply.status.to_string();
        let mut headers = vec![(":status", status.as_bytes())];
        headers.extend(reply.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
        proxy.put_headers(MapKind::ResponseHeaders, &headers);
        set_code(proxy);
    }
}

/// The proxy's own attribute for the status of the response.
fn set_code(proxy: &Double) {
    let headers = proxy.headers(MapKind::ResponseHeaders);
    let status = headers.get(":status").and_then(|status| str::from_utf8(status).ok()?.parse::<i64>().ok());
    proxy.take("response\0code");
    if let Some(status) = status {
        proxy.set("response\0code", status.to_le_bytes());
    }
}
