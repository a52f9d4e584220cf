//! One record per request, conformant to a published schema and safe to store.
//!
//! ```
//! use sluicegate_access_log::AccessLog;
//! use sluicegate_host::double::Double;
//!
//! let proxy = Double::new();
//! let policy = r#"{ "version": "1.0", "service": { "name": "checkout" } }"#;
//! let mut running = proxy.start::<AccessLog>(policy).unwrap();
//! proxy.set("response\0code", 503i64.to_le_bytes());
//! proxy.set("response\0code_details", *b"via_upstream");
//! running.request(&[(":method", "GET"), (":path", "/cart?token=s3cr3t")]);
//!
//! let line = String::from_utf8(proxy.take("access_log").unwrap()).unwrap();
//! assert!(line.contains(r#""severity_text":"ERROR""#));
//! assert!(line.contains(r#""url.query":"token=[redacted]""#));
//! assert!(line.contains(r#""sluicegate.error.kind":"upstream_5xx""#));
//! ```
//!
//! Read on: `keep.rs` decides whether an exchange is logged, `record.rs` what its line looks like, `burst.rs` holds back
//! what comes too often, `sinks.rs` says where lines go, `policy.rs` is the section `access_log`.

#![cfg_attr(not(feature = "plugin"), forbid(unsafe_code))]
// A test that overflows fails, which is what it is for.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

#[cfg(test)]
mod behaviour;
mod burst;
mod counters;
mod custom;
mod keep;
mod policy;
mod profile;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod properties;
pub mod record;
mod sinks;

use burst::{Burst, Key};
use counters::{Counters, NotKept};
use keep::{Judged, SampledBy, Verdict};
use policy::LogPolicy;
use record::{Record, Trace};
use sinks::Sinks;
use sluicegate_host::{
    Callbacks, CalloutResponse, CalloutToken, Exchange, Filter, Flow, HeaderMap, Rejected, RequestId, SamplingFacts,
    Threshold, TraceAhead, TraceFacts, Vm,
};
use sluicegate_policy::Document;
use sluicegate_telemetry::outcome::{Severity, Signature};
use sluicegate_telemetry::{Attributes, Details, Ended, Readings, Request, Text};
use std::cell::RefCell;
use std::rc::Rc;

#[cfg(all(feature = "plugin", target_os = "wasi"))]
sluicegate_host::plugin!(AccessLog);

/// The filter.
pub struct AccessLog {
    policy: LogPolicy,
    readings: Readings,
    burst: Option<RefCell<Burst>>,
    sinks: Sinks,
    counters: Counters,
    service: String,
}

impl Filter for AccessLog {
    const NAME: &'static str = "access-log";
    const CALLBACKS: Callbacks = Callbacks::REQUEST_HEADERS
        .and(Callbacks::RESPONSE_HEADERS)
        .and(Callbacks::LOG)
        .and(Callbacks::CALLOUT_RESPONSE);

    fn configure(document: &Document<'_>, vm: &Vm) -> Result<AccessLog, Rejected> {
        let (policy, destinations) = LogPolicy::read(document);
        let ahead = TraceAhead::read(document);
        // In a module with trace-context its facts are there.
        let trace_is_aside = ahead.is_aside() && cfg!(all(feature = "plugin", target_os = "wasi"));
        Ok(AccessLog {
            readings: Readings::new(vm, trace_is_aside),
            burst: policy.burst.map(|limit| RefCell::new(Burst::new(limit))),
            sinks: Sinks::open(destinations, vm)?,
            counters: Counters::define(vm)?,
            service: vm.service().name.clone().unwrap_or_default(),
            policy,
        })
    }

    fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
        if self.is_active(exchange) {
            // Later others may have changed them, or taken away what tells gRPC.
            exchange.facts.request = Some(Rc::clone(exchange.request_headers().original()));
            _ = exchange.is_grpc();
        }
        Flow::Continue
    }

    fn on_response_headers(&self, exchange: &mut Exchange) {
        if exchange.facts.response_started.is_none() && self.is_active(exchange) {
            exchange.facts.response_started = exchange.vm().now().ok();
        }
    }

    fn on_log(&self, exchange: &mut Exchange) {
        if !self.is_active(exchange) {
            return;
        }
        // Without a callback for the request an earlier filter answered it, or the proxy rejected it.
        let head = exchange.facts.request.clone().unwrap_or_else(|| Rc::clone(exchange.request_headers().original()));
        let values = self.readings.ended(exchange);
        let ended = Ended::read(&values, exchange);
        if !cfg!(all(feature = "plugin", target_os = "wasi")) {
            exchange.facts.answer = Some(ended.answer());
        }
        let outcome = ended.outcome(exchange);
        let severity = self.policy.severity(&head, &ended, outcome.severity);
        let sampled = ended.sampled(exchange);
        let verdict =
            keep::judge(&self.policy.keep, &Judged { severity, latency: ended.latency(), head: &head, sampled });
        let sampled_by = match verdict {
            Verdict::Keep(by) => by,
            Verdict::Leave(reason) => return self.counters.not_kept(reason),
        };
        let route_template = self.policy.routes.template(head.as_ref());
        let route = ended.route(route_template);
        let suppressed = match &self.burst {
            Some(burst) => match burst.borrow_mut().pass(Key::of(route, severity), ended.end()) {
                Some(suppressed) => suppressed,
                None => return self.counters.not_kept(NotKept::Burst),
            },
            None => 0,
        };

        let values = self.readings.details(exchange);
        let details = Details::read(&values);
        let request = Request::read(&head, exchange.is_grpc(), &self.policy.redactor);
        let client = details.client_address().map(|address| self.policy.redactor.client_address(address));
        let breaker = details.breaker(&ended, exchange);
        let (sampled_by, sampling_probability) = self.sampling(sampled_by, &ended, &details, exchange);
        let signature = outcome.kind.map(|kind| Signature::of(&self.service, route, kind, ended.code_details));
        let mut attributes = Attributes {
            route_template: route_template.map(Text::from),
            client_address: client.as_deref().map(Text::from),
            error_signature: signature.as_ref(),
            direction: Some(exchange.direction()),
            breaker_state: breaker.map(|breaker| breaker.state),
            shed: breaker.map(|breaker| breaker.shed),
            sampled_by: Some(sampled_by.as_str().into()),
            sampling_probability,
            policy_version: Some(self.policy.version.as_str().into()),
            suppressed_count: Some(suppressed).filter(|count| *count > 0),
            ..Attributes::of(&request, &ended, outcome, &details)
        };
        if !self.policy.detailed {
            attributes.leave_out_the_obvious();
        }

        let trace = ended.trace(exchange, details.trace_state);
        let request_id = self.request_id(exchange, &head);
        let fetched = custom::fetch(&self.policy.custom, exchange, &self.policy.redactor);
        let custom: Vec<_> = fetched.iter().map(custom::Fetched::value).collect();
        let record = Record {
            timestamp: ended.started,
            severity,
            trace: trace.as_ref().map(Trace::from),
            request_id: request_id.as_ref().map(|id| id.as_str().into()),
            attributes,
            custom: &custom,
        };
        self.counters.kept(severity);
        self.sinks.deliver(&record, ended.end(), exchange, &self.counters);
    }

    fn on_tick(&self, vm: &Vm) {
        self.sinks.on_tick(vm);
    }

    fn on_callout_response(&self, token: CalloutToken, response: &CalloutResponse<'_>, vm: &Vm) {
        self.sinks.on_callout_response(token, response, vm);
    }
}

impl AccessLog {
    /// Whether the section is meant for this exchange.
    fn is_active(&self, exchange: &Exchange) -> bool {
        self.policy.enabled && exchange.goes(self.policy.directions)
    }

    /// Why it is kept, and of how many like it a record that is kept for its trace is one.
    fn sampling(
        &self,
        by: SampledBy,
        ended: &Ended<'_>,
        details: &Details<'_>,
        exchange: &Exchange,
    ) -> (SampledBy, Option<f64>) {
        if by != SampledBy::Trace {
            return (by, None);
        }
        let may_be_told = |_: &&[u8]| self.policy.sampler_may_turn.contains(exchange.direction());
        let told = || SamplingFacts::told_by_headers(details.tracestate.filter(may_be_told)?);
        let (by, threshold) = match ended.sampling(exchange).or_else(told) {
            Some(sampling) => (SampledBy::Sampling(sampling.reason), sampling.threshold),
            None => (by, details.tracestate.and_then(Threshold::of_tracestate)),
        };
        (by, threshold.map(Threshold::probability))
    }

    fn request_id(&self, exchange: &Exchange, head: &HeaderMap) -> Option<RequestId> {
        exchange.facts.request_id.clone().or_else(|| RequestId::handed_over(head, &self.policy.request_id_header))
    }
}

impl From<&TraceFacts> for Trace {
    fn from(facts: &TraceFacts) -> Trace {
        Trace {
            trace_id: facts.trace_id,
            span_id: facts.span_id,
            parent_span_id: facts.parent_span_id,
            flags: facts.flags.byte(),
        }
    }
}

/// How a severity is named in a policy.
const SEVERITIES: [(&str, Severity); 5] = [
    ("debug", Severity::Debug),
    ("info", Severity::Info),
    ("warn", Severity::Warn),
    ("error", Severity::Error),
    ("fatal", Severity::Fatal),
];
