//! A proxy in memory, on which a filter's whole behaviour is tested natively.
//!
//! It keeps what a proxy keeps (headers, properties, shared data, metrics, a log), counts the hostcalls, and drives a
//! filter through the callbacks of an exchange in the order that a proxy does. Time stands still unless a test moves it,
//! and its random source always gives the same bytes, each worker's its own.

mod grpc;

pub use grpc::SentGrpc;

use crate::{
    Callbacks, Facts, Filter, Flow, GrpcMethod, HeaderMap, Host, HostError, HttpCall, Level, LocalResponse, MapKind,
    MetricId, MetricKind, Root, SharedValue, Status, headers,
};
use sluicegate_policy::{Document, Errors};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// The proxy. Tests leak it, so that it lives as long as a real one seems to for a module.
pub struct Double {
    state: RefCell<State>,
    /// What its random source gives.
    random: u8,
    shared: Rc<RefCell<HashMap<String, SharedValue>>>,
}

#[derive(Default)]
struct State {
    configuration: Vec<u8>,
    environment: HashMap<String, String>,
    headers: HashMap<MapKind, Vec<(String, Vec<u8>)>>,
    callout_body: Vec<u8>,
    properties: HashMap<String, Vec<u8>>,
    metrics: Vec<(String, u64)>,
    log: Vec<(Level, String)>,
    calls: Vec<&'static str>,
    now: u64,
    reply: Option<Reply>,
    tick_period: Duration,
    callouts: Vec<SentCallout>,
    route_cache_clears: usize,
    services: grpc::Services,
    /// How many expressions there are; `None` where the proxy has none.
    expressions: Option<usize>,
    refused: Vec<&'static str>,
}

/// A local reply that a filter made.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers that the filter gave.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// The gRPC status.
    pub grpc_status: Option<u32>,
}

/// A callout that a filter sent.
#[derive(Clone, Debug)]
pub struct SentCallout {
    /// The cluster.
    pub cluster: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The time limit.
    pub timeout: Duration,
}

/// How long the parts of an exchange take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// What comes after the request's headers.
    pub body: Body,
    /// From the request's end, or what there was of it, to the response's headers.
    pub answer: Duration,
}

/// A request's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// There is none: the headers are all of the request.
    #[default]
    None,
    /// It takes so long to come.
    Takes(Duration),
    /// It does not end before the response.
    Endless,
}

/// What came of an exchange.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The request's headers as they left for the upstream; as they stood when a filter replied.
    pub upstream: HeaderMap,
    /// The response's headers as they left for the caller.
    pub downstream: HeaderMap,
    /// The filter's reply in the place of the upstream's.
    pub reply: Option<Reply>,
    /// What the filter found out.
    pub facts: Facts,
    /// The hostcalls of this exchange, in order.
    pub calls: Vec<&'static str>,
}

impl Double {
    /// A proxy with one worker.
    pub fn new() -> &'static Double {
        Double::with_shared(Rc::default(), 0x5a)
    }

    /// Another worker of the same proxy: state of its own, shared data in common.
    pub fn worker_beside(&self) -> &'static Double {
        Double::with_shared(Rc::clone(&self.shared), self.random.wrapping_add(1))
    }

    /// One that compiles expressions, and evaluates none.
    #[cfg(test)]
    pub(crate) fn with_expressions() -> &'static Double {
        let proxy = Double::new();
        proxy.state.borrow_mut().expressions = Some(0);
        proxy
    }

    /// How many expressions it has compiled and still keeps.
    #[cfg(test)]
    pub(crate) fn expressions(&self) -> usize {
        self.state.borrow().expressions.unwrap_or_default()
    }

    fn with_shared(shared: Rc<RefCell<HashMap<String, SharedValue>>>, random: u8) -> &'static Double {
        Box::leak(Box::new(Double { state: RefCell::default(), random, shared }))
    }

    /// Starts a filter under a policy.
    ///
    /// # Errors
    /// The lines that a real proxy's log would show.
    pub fn start<F: Filter>(&'static self, policy: &str) -> Result<Running<F>, Vec<String>> {
        self.state.borrow_mut().configuration = policy.into();
        let mut root = Root::new(self);
        match root.configure() {
            true => {
                self.state.borrow_mut().calls.clear();
                Ok(Running { proxy: self, root })
            }
            false => Err(self.log_lines()),
        }
    }

    /// Sets the headers of a map, as a test of the headers alone needs it.
    pub fn put_headers<V: AsRef<[u8]>>(&self, map: MapKind, pairs: &[(&str, V)]) {
        let pairs = pairs.iter().map(|(n, v)| ((*n).to_owned(), v.as_ref().to_vec())).collect();
        self.state.borrow_mut().headers.insert(map, pairs);
    }

    /// The headers of a map as they stand.
    pub fn headers(&self, map: MapKind) -> HeaderMap {
        let state = self.state.borrow();
        HeaderMap::from_pairs(state.headers.get(&map).map_or(&[][..], Vec::as_slice))
    }

    /// Sets a property; the parts of its path separated by NUL.
    pub fn set(&self, property: &str, value: impl Into<Vec<u8>>) {
        self.state.borrow_mut().properties.insert(property.to_owned(), value.into());
    }

    /// Takes a property away, or what a filter left in filter state.
    pub fn take(&self, property: &str) -> Option<Vec<u8>> {
        self.state.borrow_mut().properties.remove(property)
    }

    /// Sets an environment variable of the VM.
    pub fn set_environment(&self, name: &str, value: &str) {
        self.state.borrow_mut().environment.insert(name.to_owned(), value.to_owned());
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state.borrow_mut();
        state.now = state.now.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Has a hostcall fail from now on, named as in the ABI: `proxy_set_property`, `proxy_http_call`.
    pub fn refuse(&self, call: &'static str) {
        self.state.borrow_mut().refused.push(call);
    }

    /// The hostcalls so far, by their names in the ABI; log lines are not counted.
    pub fn calls(&self) -> Vec<&'static str> {
        self.state.borrow().calls.clone()
    }

    /// What stands in the proxy's log.
    pub fn log_lines(&self) -> Vec<String> {
        self.state.borrow().log.iter().map(|(_, line)| line.clone()).collect()
    }

    /// The value of a metric by its full name; `None` where it was never defined.
    pub fn metric(&self, name: &str) -> Option<u64> {
        self.state.borrow().metrics.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }

    /// The callouts that were sent.
    pub fn callouts(&self) -> Vec<SentCallout> {
        self.state.borrow().callouts.clone()
    }

    /// The last local reply.
    pub fn reply(&self) -> Option<Reply> {
        self.state.borrow().reply.clone()
    }

    /// How often the route was to be picked anew.
    pub fn route_cache_clears(&self) -> usize {
        self.state.borrow().route_cache_clears
    }

    /// The tick that was asked for; zero for none.
    pub fn tick_period(&self) -> Duration {
        self.state.borrow().tick_period
    }

    /// A call that a test may have refused.
    fn attempted(&self, call: &'static str) -> Result<(), HostError> {
        self.called(call);
        match self.state.borrow().refused.contains(&call) {
            true => failed(call, Status::InternalFailure),
            false => Ok(()),
        }
    }

    fn called(&self, call: &'static str) {
        self.state.borrow_mut().calls.push(call);
    }
}

/// Whether a filter would take this configuration, as its module would read it: the warnings, or all that is wrong.
///
/// # Errors
/// Those of the policy.
pub fn check<F: Filter>(
    configuration: &[u8],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, Errors> {
    let document = Document::parse(configuration, environment)?;
    _ = sluicegate_source::Settings::read(&document);
    match crate::read::<F>(Double::new(), &document) {
        Ok(_) => document.finish(),
        Err(error) => unreachable!("a proxy in memory refuses only what it is told to: {error}"),
    }
}

/// A filter on the proxy.
pub struct Running<F: Filter> {
    proxy: &'static Double,
    root: Root<F>,
}

impl<F: Filter> Running<F> {
    /// A whole exchange whose upstream answers 200.
    pub fn request<V: AsRef<[u8]>>(&mut self, headers: &[(&str, V)]) -> Outcome {
        self.exchange(headers, &[(":status", "200")])
    }

    /// A whole exchange, of a request without a body, in no time.
    pub fn exchange<V: AsRef<[u8]>, W: AsRef<[u8]>>(
        &mut self,
        request: &[(&str, V)],
        response: &[(&str, W)],
    ) -> Outcome {
        self.timed_exchange(request, response, Pace::default())
    }

    /// A whole exchange that takes its time.
    pub fn timed_exchange<V: AsRef<[u8]>, W: AsRef<[u8]>>(
        &mut self,
        request: &[(&str, V)],
        response: &[(&str, W)],
        pace: Pace,
    ) -> Outcome {
        let Some(mut stream) = self.root.stream() else {
            unreachable!("a running filter has a policy");
        };
        let before = self.proxy.calls().len();
        self.proxy.put_headers(MapKind::RequestHeaders, request);
        self.proxy.put_headers(MapKind::ResponseHeaders, response);
        self.proxy.state.borrow_mut().reply = None;
        let is_whole = pace.body == Body::None;
        let is_replied =
            F::CALLBACKS.contains(Callbacks::REQUEST_HEADERS) && stream.request_headers(is_whole) == Flow::Replied;
        if is_replied {
            let reply = self.proxy.state.borrow().reply.clone();
            if let Some(reply) = reply {
                let status = reply.status.to_string();
                let mut headers = vec![(":status", status.as_bytes())];
                headers.extend(reply.headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())));
                self.proxy.put_headers(MapKind::ResponseHeaders, &headers);
            }
        } else {
            if let Body::Takes(time) = pace.body {
                self.proxy.advance(time);
                stream.request_end();
            }
            self.proxy.advance(pace.answer);
        }
        if F::CALLBACKS.contains(Callbacks::RESPONSE_HEADERS) {
            stream.response_headers();
        }
        if F::CALLBACKS.contains(Callbacks::LOG) {
            stream.log();
        }
        Outcome {
            upstream: self.proxy.headers(MapKind::RequestHeaders),
            downstream: self.proxy.headers(MapKind::ResponseHeaders),
            reply: self.proxy.state.borrow().reply.clone(),
            facts: stream.exchange().facts.clone(),
            calls: self.proxy.calls().split_off(before),
        }
    }

    /// An exchange that never had request headers here: an earlier filter answered it, or the proxy rejected it.
    pub fn rejected_exchange<W: AsRef<[u8]>>(&mut self, response: &[(&str, W)]) -> HeaderMap {
        let Some(mut stream) = self.root.stream() else {
            unreachable!("a running filter has a policy");
        };
        self.proxy.state.borrow_mut().headers.remove(&MapKind::RequestHeaders);
        self.proxy.put_headers(MapKind::ResponseHeaders, response);
        if F::CALLBACKS.contains(Callbacks::RESPONSE_HEADERS) {
            stream.response_headers();
        }
        if F::CALLBACKS.contains(Callbacks::LOG) {
            stream.log();
        }
        self.proxy.headers(MapKind::ResponseHeaders)
    }

    /// A tick.
    pub fn tick(&mut self) {
        self.root.tick();
    }

    /// The answer to a callout, by its number in [`Double::callouts`].
    pub fn answer_callout(&mut self, callout: u32, headers: &[(&str, &str)], body: &[u8]) {
        self.proxy.put_headers(MapKind::CalloutResponseHeaders, headers);
        self.proxy.state.borrow_mut().callout_body = body.to_vec();
        self.root.callout_response(crate::CalloutToken(callout));
    }

    /// The proxy.
    pub fn proxy(&self) -> &'static Double {
        self.proxy
    }

    /// The root context.
    pub fn root(&self) -> &Root<F> {
        &self.root
    }

    /// The filter.
    pub fn filter(&self) -> Option<&F> {
        self.root.filter()
    }
}

fn failed<T>(call: &'static str, status: Status) -> Result<T, HostError> {
    Err(HostError { call, status })
}

impl Host for Double {
    fn header_map(&self, map: MapKind) -> Result<Vec<u8>, HostError> {
        self.called("proxy_get_header_map_pairs");
        match self.state.borrow().headers.get(&map) {
            Some(pairs) => Ok(headers::serialize(pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_slice())))),
            None => failed("proxy_get_header_map_pairs", Status::BadArgument),
        }
    }

    fn set_header(&self, map: MapKind, name: &str, value: &[u8]) -> Result<(), HostError> {
        self.called("proxy_replace_header_map_value");
        let mut state = self.state.borrow_mut();
        let pairs = state.headers.entry(map).or_default();
        pairs.retain(|(n, _)| n != name);
        pairs.push((name.to_owned(), value.to_vec()));
        Ok(())
    }

    fn remove_header(&self, map: MapKind, name: &str) -> Result<(), HostError> {
        self.called("proxy_remove_header_map_value");
        self.state.borrow_mut().headers.entry(map).or_default().retain(|(n, _)| n != name);
        Ok(())
    }

    fn property(&self, path: &str) -> Result<Option<Vec<u8>>, HostError> {
        self.called("proxy_get_property");
        let state = self.state.borrow();
        if let Some(name) = path.strip_prefix("request\0headers\0") {
            let headers = state.headers.get(&MapKind::RequestHeaders).map(|pairs| HeaderMap::from_pairs(pairs));
            return Ok(headers.and_then(|headers| headers.joined(name).map(Cow::into_owned)));
        }
        Ok(state.properties.get(path).cloned())
    }

    fn set_property(&self, path: &str, value: &[u8]) -> Result<(), HostError> {
        self.attempted("proxy_set_property")?;
        self.state.borrow_mut().properties.insert(path.to_owned(), value.to_vec());
        Ok(())
    }

    fn send_local_response(&self, response: &LocalResponse<'_>) -> Result<(), HostError> {
        self.called("proxy_send_local_response");
        let headers = response.headers.iter().map(|(n, v)| ((*n).to_owned(), v.to_vec())).collect();
        self.state.borrow_mut().reply = Some(Reply {
            status: response.status,
            headers,
            body: response.body.to_vec(),
            grpc_status: response.grpc_status,
        });
        Ok(())
    }

    fn now(&self) -> Result<u64, HostError> {
        self.called("proxy_get_current_time_nanoseconds");
        Ok(self.state.borrow().now)
    }

    fn random(&self, buffer: &mut [u8]) -> Result<(), HostError> {
        self.called("random_get");
        buffer.fill(self.random);
        Ok(())
    }

    fn shared_data(&self, key: &str) -> Result<Option<SharedValue>, HostError> {
        self.called("proxy_get_shared_data");
        Ok(self.shared.borrow().get(key).cloned())
    }

    fn set_shared_data(&self, key: &str, value: &[u8], cas: Option<u32>) -> Result<(), HostError> {
        self.called("proxy_set_shared_data");
        let mut shared = self.shared.borrow_mut();
        let next = shared.values().map(|value| value.cas).max().unwrap_or(0).saturating_add(1);
        match (shared.get(key), cas) {
            // Like the real one, it does not check a key that does not exist.
            (Some(current), Some(cas)) if current.cas != cas => failed("proxy_set_shared_data", Status::CasMismatch),
            _ => {
                shared.insert(key.to_owned(), SharedValue { bytes: value.to_vec(), cas: next });
                Ok(())
            }
        }
    }

    fn define_metric(&self, _kind: MetricKind, name: &str) -> Result<MetricId, HostError> {
        self.called("proxy_define_metric");
        let mut state = self.state.borrow_mut();
        let known = state.metrics.iter().position(|(n, _)| n == name);
        let position = known.unwrap_or_else(|| {
            state.metrics.push((name.to_owned(), 0));
            state.metrics.len().saturating_sub(1)
        });
        Ok(MetricId(u32::try_from(position).unwrap_or(u32::MAX)))
    }

    fn increment_metric(&self, metric: MetricId, by: i64) -> Result<(), HostError> {
        self.called("proxy_increment_metric");
        match self.state.borrow_mut().metrics.get_mut(metric.0 as usize) {
            Some((_, value)) => {
                *value = value.wrapping_add_signed(by);
                Ok(())
            }
            None => failed("proxy_increment_metric", Status::NotFound),
        }
    }

    fn record_metric(&self, metric: MetricId, recorded: u64) -> Result<(), HostError> {
        self.called("proxy_record_metric");
        match self.state.borrow_mut().metrics.get_mut(metric.0 as usize) {
            Some((_, value)) => {
                *value = recorded;
                Ok(())
            }
            None => failed("proxy_record_metric", Status::NotFound),
        }
    }

    fn http_call(&self, call: &HttpCall<'_>) -> Result<u32, HostError> {
        self.attempted("proxy_http_call")?;
        let mut state = self.state.borrow_mut();
        state.callouts.push(SentCallout {
            cluster: call.cluster.to_owned(),
            headers: call.headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            body: call.body.to_vec(),
            timeout: call.timeout,
        });
        Ok(u32::try_from(state.callouts.len().saturating_sub(1)).unwrap_or(u32::MAX))
    }

    fn callout_body(&self, limit: usize) -> Result<Vec<u8>, HostError> {
        self.called("proxy_get_buffer_bytes");
        Ok(self.state.borrow().callout_body.iter().copied().take(limit).collect())
    }

    fn grpc_call(&self, method: &GrpcMethod<'_>, message: &[u8], _timeout: Duration) -> Result<u32, HostError> {
        self.attempted("proxy_grpc_call")?;
        Ok(self.state.borrow_mut().services.begin(method, vec![message.to_vec()]))
    }

    fn grpc_open(&self, method: &GrpcMethod<'_>) -> Result<u32, HostError> {
        self.attempted("proxy_grpc_stream")?;
        Ok(self.state.borrow_mut().services.begin(method, Vec::new()))
    }

    fn grpc_send(&self, stream: u32, message: &[u8]) -> Result<(), HostError> {
        self.attempted("proxy_grpc_send")?;
        match self.state.borrow_mut().services.sent(stream) {
            Some(sent) => {
                sent.messages.push(message.to_vec());
                Ok(())
            }
            None => failed("proxy_grpc_send", Status::NotFound),
        }
    }

    fn grpc_cancel(&self, token: u32) -> Result<(), HostError> {
        self.called("proxy_grpc_cancel");
        match self.state.borrow_mut().services.sent(token) {
            Some(sent) => {
                sent.is_cancelled = true;
                Ok(())
            }
            None => failed("proxy_grpc_cancel", Status::NotFound),
        }
    }

    fn grpc_message(&self, limit: usize) -> Result<Vec<u8>, HostError> {
        self.called("proxy_get_buffer_bytes");
        Ok(self.state.borrow().services.message(limit))
    }

    fn grpc_status_message(&self) -> String {
        self.called("proxy_get_status");
        self.state.borrow().services.status_message()
    }

    fn call_foreign(&self, function: &str, _argument: &[u8]) -> Result<Vec<u8>, HostError> {
        self.called("proxy_call_foreign_function");
        if let Some(expressions) = &mut self.state.borrow_mut().expressions {
            match function {
                "expr_create" => {
                    *expressions = expressions.saturating_add(1);
                    return Ok(vec![0; 4]);
                }
                "expr_delete" => {
                    *expressions = expressions.saturating_sub(1);
                    return Ok(Vec::new());
                }
                _ => {}
            }
        }
        match function {
            "clear_route_cache" => {
                let mut state = self.state.borrow_mut();
                state.route_cache_clears = state.route_cache_clears.saturating_add(1);
                Ok(Vec::new())
            }
            _ => failed("proxy_call_foreign_function", Status::NotFound),
        }
    }

    fn plugin_configuration(&self) -> Result<Vec<u8>, HostError> {
        self.called("proxy_get_buffer_bytes");
        Ok(self.state.borrow().configuration.clone())
    }

    fn set_tick_period(&self, period: Duration) -> Result<(), HostError> {
        self.called("proxy_set_tick_period_milliseconds");
        self.state.borrow_mut().tick_period = period;
        Ok(())
    }

    fn environment(&self, name: &str) -> Option<String> {
        self.state.borrow().environment.get(name).cloned()
    }

    fn log(&self, level: Level, line: &str) {
        self.state.borrow_mut().log.push((level, line.to_owned()));
    }
}
