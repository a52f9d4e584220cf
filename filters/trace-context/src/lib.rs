//! Trace context, request id and baggage for every request that crosses the proxy.
//!
//! A request comes in with a context of one of eight formats, a broken one, or none. It goes out with exactly one that is
//! valid, in the formats that the policy injects, and nothing beside it that says otherwise; and with a request id:
//!
//! ```
//! use sluicegate_host::double::Double;
//! use sluicegate_trace_context::TraceContext;
//!
//! let mut proxy = Double::new().start::<TraceContext>(r#"{ "version": "1.0" }"#).unwrap();
//! let exchange = proxy.request(&[
//!     (":path", "/"),
//!     ("b3", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"),
//!     ("x-trace-id", "not an id"),
//! ]);
//!
//! let upstream = |name| exchange.upstream.get(name).map(String::from_utf8_lossy);
//! let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
//! assert_eq!(upstream("traceparent").as_deref(), Some(traceparent));
//! assert_eq!(upstream("x-trace-id"), None);
//! assert_eq!(exchange.downstream.get("x-request-id"), exchange.upstream.get("x-request-id"));
//! ```
//!
//! Read on: [`formats`](Format) has a file for each format, `propagation.rs` the order of precedence and what goes out,
//! `spans.rs` what is told to a collector, `policy.rs` the section `trace`.

#![cfg_attr(not(feature = "plugin"), forbid(unsafe_code))]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod baggage;
#[cfg(test)]
mod behaviour;
mod carriers;
mod counters;
mod formats;
mod header_names;
mod observation;
mod policy;
mod propagation;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod properties;
mod remote;
mod request_id;
mod spans;
mod tracestate;

pub use formats::Format;

use carriers::Carriers;
use counters::Counters;
use formats::Changes;
use observation::Tracer;
use policy::{Mode, TracePolicy};
use propagation::Incoming;
use sluicegate_host::{
    Callbacks, CalloutResponse, CalloutToken, Exchange, Filter, Flow, HeaderMap, Origin, Outside, Rejected, RequestId,
    TraceFacts, Vm,
};
use sluicegate_policy::{Direction, Document};
use spans::Spans;
use std::rc::Rc;
use tracestate::Tracestate;

#[cfg(all(feature = "plugin", target_os = "wasi"))]
sluicegate_host::plugin!(TraceContext);

/// The filter.
pub struct TraceContext {
    policy: TracePolicy,
    spans: Option<Spans>,
    counters: Counters,
}

impl Filter for TraceContext {
    const NAME: &'static str = "trace-context";
    const CALLBACKS: Callbacks = Callbacks::REQUEST_HEADERS
        .and(Callbacks::RESPONSE_HEADERS)
        .and(Callbacks::LOG)
        .and(Callbacks::CALLOUT_RESPONSE);

    fn configure(document: &Document<'_>, vm: &Vm) -> Result<TraceContext, Rejected> {
        let (policy, spans) = TracePolicy::read(document);
        let spans = spans.filter(|_| policy.enabled).map(|spans| Spans::open(spans, vm)).transpose()?;
        Ok(TraceContext { policy, spans, counters: Counters::define(vm)? })
    }

    fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
        if !self.is_active(exchange) {
            return Flow::Continue;
        }
        let trusted = self.trusts(exchange);
        let headers = exchange.request_headers().original();
        let carriers = Carriers::pick(headers, exchange.is_grpc(), trusted);
        let (trace, mut changes) = match self.policy.mode {
            Mode::Observe => self.observe(headers, &carriers, exchange.vm()),
            Mode::Participate | Mode::Forward => self.propagate(&carriers, exchange.vm()),
        };
        let baggage = self.baggage(headers, trusted);
        let request_id = self.request_id(headers, trusted, exchange, &mut changes);
        let head = Rc::clone(headers);

        let out = exchange.request_headers_mut();
        for (name, value) in changes.0 {
            match value {
                Some(value) => out.set(name, value),
                None => out.remove(name),
            }
        }
        match baggage {
            Some(Some(value)) => out.set("baggage", value),
            Some(None) => out.remove("baggage"),
            None => {}
        }
        // In a module with others they see the facts; other plugins see only the headers, which do not say it all.
        if cfg!(all(feature = "plugin", target_os = "wasi"))
            && let Some(trace) = &trace
            && (self.policy.sampler_may_follow || trace.parent_span_id.is_some() || !exchange.carries(trace))
        {
            exchange.hand_over_trace(trace);
        }
        exchange.facts.trace = trace;
        exchange.facts.request_id = request_id;
        if let Some(spans) = &self.spans {
            spans.on_request_headers(head, exchange);
        }
        Flow::Continue
    }

    fn on_response_headers(&self, exchange: &mut Exchange) {
        // Without a request here (an earlier filter answered) there is no id to echo.
        if let Some(id) = exchange.facts.request_id.clone().filter(|_| self.policy.request_id.echo) {
            exchange.response_headers_mut().set(self.policy.request_id.header.clone(), id.as_str());
        }
        if let Some(spans) = &self.spans {
            spans.on_response_headers(exchange);
        }
    }

    fn on_log(&self, exchange: &mut Exchange) {
        if let Some(spans) = &self.spans {
            spans.on_log(exchange);
        }
    }

    fn on_tick(&self, vm: &Vm) {
        if let Some(spans) = &self.spans {
            spans.on_tick(vm);
        }
    }

    fn on_callout_response(&self, token: CalloutToken, response: &CalloutResponse<'_>, vm: &Vm) {
        if let Some(spans) = &self.spans {
            spans.on_callout_response(token, response, vm);
        }
    }
}

impl TraceContext {
    /// Whether the section is meant for this exchange.
    fn is_active(&self, exchange: &Exchange) -> bool {
        self.policy.enabled && exchange.goes(self.policy.directions)
    }

    /// Whether the caller's context is continued. From the service beside this proxy it always is: the edge that trust is
    /// about lies on the other side.
    fn trusts(&self, exchange: &Exchange) -> bool {
        *self.policy.rules.first(exchange).unwrap_or(&self.policy.trust_incoming)
            || exchange.direction() == Direction::Outbound
    }

    fn observe(&self, headers: &HeaderMap, carriers: &Carriers<'_>, vm: &Vm) -> (Option<TraceFacts>, Changes) {
        let tracer = Tracer::read(headers.get(&self.policy.observe_header));
        let observed = observation::facts(tracer, carriers, self.policy.sampled_default);
        let (facts, mut changes) = match tracer {
            // The proxy's router writes its own context after us; whatever else is there would disagree with it.
            Tracer::Span(..) => {
                let mut changes = Changes::default();
                let present = self.policy.ours.iter().filter(|format| carriers.present.contains(**format));
                present.for_each(|format| format.remove(carriers, &mut changes));
                (observed, changes)
            }
            Tracer::NoSpan => self.propagate(carriers, vm),
            // Should a tracer run all the same, its router will overwrite what we write: with the caller's trace, or with
            // ids that we do not know.
            Tracer::Silent => (observed.filter(|_| carriers.trusted), self.propagate(carriers, vm).1),
        };
        if tracer != Tracer::Silent {
            changes.remove(self.policy.observe_header.clone());
        }
        (facts, changes)
    }

    fn propagate(&self, carriers: &Carriers<'_>, vm: &Vm) -> (Option<TraceFacts>, Changes) {
        let incoming = Incoming::read(carriers, &self.policy);
        let found = incoming.context(&self.policy);
        let continued = found.filter(|_| carriers.trusted);
        let format = continued.map(|(format, _)| format);
        let remote = continued.map(|(_, remote)| remote);

        let context = propagation::context(&incoming, remote, carriers.trusted, &self.policy, vm.entropy());
        let mut changes = propagation::inject(&incoming, format, &context, &self.policy, carriers);
        if self.policy.ours.contains(&Format::W3c) {
            let tracestate = propagation::tracestate(&incoming, &context, carriers, &mut changes);
            if tracestate == Tracestate::Invalid {
                self.counters.tracestate_invalid.increment();
            }
        }

        incoming.invalid(&self.policy).for_each(|format| self.counters.invalid(format));
        match (format, found) {
            (Some(format), _) => self.counters.continued(format),
            (None, Some(_)) => {
                self.counters.untrusted.increment();
                self.counters.started.increment();
            }
            (None, None) => self.counters.started.increment(),
        }
        let outside = found
            .filter(|_| !carriers.trusted)
            .map(|(_, remote)| Outside { trace_id: remote.trace_id, span_id: remote.span_id });
        let facts = TraceFacts {
            trace_id: context.trace_id,
            span_id: context.span_id,
            parent_span_id: context.parent_span_id,
            own_span: context.own_span,
            flags: context.flags,
            decided: context.decided,
            origin: if format.is_some() { Origin::Continued } else { Origin::Started },
            outside,
        };
        (Some(facts), changes)
    }

    /// The id of the request, and the headers that carry it on.
    fn request_id(
        &self,
        headers: &HeaderMap,
        trusted: bool,
        exchange: &Exchange,
        changes: &mut Changes,
    ) -> Option<RequestId> {
        const GRPC_METADATA: &str = "req-id";
        let policy = &self.policy.request_id;
        let metadata = exchange.is_grpc() && self.policy.ours.contains(&Format::Plain);
        let mut kept = None;
        if trusted {
            kept = request_id::incoming(headers.all(&policy.header));
            if kept.is_none() && metadata {
                kept = request_id::incoming(headers.all(GRPC_METADATA));
            }
        }
        let id = kept.or_else(|| {
            self.counters.request_id_generated.increment();
            request_id::generate(policy.kind, exchange.vm())
        })?;
        changes.set(policy.header.clone(), id.as_str());
        if metadata && self.policy.inject.contains(Format::Plain) {
            changes.set(GRPC_METADATA, id.as_str());
        }
        Some(id)
    }

    /// The new baggage; `Some(None)` to take it away, `None` to leave it as it is.
    fn baggage(&self, headers: &HeaderMap, trusted: bool) -> Option<Option<Vec<u8>>> {
        let incoming: Vec<_> = if trusted { headers.all("baggage").collect() } else { Vec::new() };
        let values: Vec<_> = self
            .policy
            .baggage
            .iter()
            .filter_map(|member| {
                Some((member.key.as_str(), headers.joined(&member.header).filter(|value| !value.is_empty())?))
            })
            .collect();
        if values.is_empty() {
            return (!trusted && headers.get("baggage").is_some()).then_some(None);
        }
        let ours: Vec<_> = values.iter().map(|(key, value)| (*key, value.as_ref())).collect();
        let merged = baggage::merge(&incoming, &ours);
        self.counters.baggage_dropped.add(merged.dropped);
        Some(Some(merged.value).filter(|value| !value.is_empty()))
    }
}
