use crate::metrics::Metrics;
use crate::{
    Attribute, AttributeList, Callout, CalloutToken, Counter, Entropy, Gauge, HeadList, Host, HostError, Level,
    identity, property,
};
use sluicegate_policy::Service;
use std::borrow::Cow;

/// What a filter is given for the lifetime of its policy: clock, entropy, counters, callouts, shared data, and the
/// service it stands beside.
pub struct Vm {
    host: &'static dyn Host,
    service: Service,
    entropy: Entropy,
    pub(crate) metrics: Metrics,
}

impl Vm {
    pub(crate) fn new(host: &'static dyn Host, mut service: Service) -> Result<Vm, HostError> {
        let name = service.name.take().unwrap_or_else(|| identity::service_name(host));
        service.name = Some(name);
        Ok(Vm { host, service, entropy: Entropy::from_host(host)?, metrics: Metrics::default() })
    }

    /// Time since the Unix epoch, in nanoseconds. One hostcall.
    pub fn now(&self) -> Result<u64, HostError> {
        self.host.now()
    }

    /// Random bytes.
    pub fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    /// The service beside this proxy. Its name is the policy's, else what the proxy's node tells, else `unknown_service`;
    /// never absent.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The name that the proxy's configuration gives the plugin; empty where it gives none. One hostcall.
    pub fn plugin_name(&self) -> Vec<u8> {
        property::bytes(self.host, "plugin_name").unwrap_or_default()
    }

    /// A list of attributes that exchanges are asked for together. Make it when the filter is configured.
    pub fn attribute_list(&self, attributes: impl Into<Cow<'static, [Attribute]>>) -> AttributeList {
        AttributeList::compile(self.host, attributes.into())
    }

    /// A list of these headers of requests, in lower case, and perhaps of the name of the route, for [`crate::Exchange::head`].
    /// Make it when the filter is configured.
    pub fn head_list<N: AsRef<str>>(&self, headers: impl IntoIterator<Item = N>, route_name: bool) -> HeadList {
        HeadList::compile(self.host, headers, route_name)
    }

    /// A counter that shows in the proxy's stats as `sluicegate_<name>` with these labels. Metrics are never freed while a
    /// VM lives: labels come from a fixed set, never from a request.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Result<Counter, HostError> {
        self.metrics.counter(self.host, name, labels)
    }

    /// A gauge, named and labelled like a counter.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Result<Gauge, HostError> {
        self.metrics.gauge(self.host, name, labels)
    }

    /// Sends a request of our own; the answer comes in [`crate::Filter::on_callout_response`]. Only from there or from the
    /// tick: one that is sent in the callback of an exchange belongs to that exchange, and its answer would be lost.
    ///
    /// # Errors
    /// [`crate::Status::BadArgument`] where the proxy has no such cluster.
    pub fn call(&self, callout: &Callout<'_>) -> Result<CalloutToken, HostError> {
        callout.send(self.host)
    }

    /// The proxy itself: for [`crate::shared`].
    pub fn host(&self) -> &'static dyn Host {
        self.host
    }

    /// Writes a line to the proxy's own log.
    pub fn log(&self, level: Level, line: &str) {
        self.host.log(level, line);
    }
}
