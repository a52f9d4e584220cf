//! One span for each sampled exchange, sent to a collector (`trace.spans`).
//!
//! Names, status and attributes are OpenTelemetry's for HTTP and gRPC (semantic conventions 1.44); what an access log says
//! of the same exchange comes from the same readings, so the two agree.

mod name;

use sluicegate_host::{CalloutResponse, CalloutToken, Exchange, HeaderMap, HostError, TraceFacts, Vm};
use sluicegate_otlp::{Exporter, Link, Settings, Signal, Span, SpanKind, SpanParts, SpanStatus, Value};
use sluicegate_policy::{Direction, Directions};
use sluicegate_telemetry::otlp::{self, REQ_ID};
use sluicegate_telemetry::outcome::{ErrorType, Signature};
use sluicegate_telemetry::redact::Redactor;
use sluicegate_telemetry::{Attributes, Details, Ended, Readings, Request, Resource, Routes};
use std::cell::RefCell;
use std::rc::Rc;

/// What the policy wants.
pub(crate) struct SpanPolicy {
    pub(crate) settings: Settings,
    /// The access log's: what is a secret there is one here.
    pub(crate) redactor: Redactor,
    /// The access log's as well, so that record and span name the same route.
    pub(crate) routes: Routes,
    /// Whether `traceparent` is written, without which no `tracestate` goes on.
    pub(crate) writes_traceparent: bool,
    /// [`SamplingFacts::may_turn`].
    pub(crate) sampler_may_turn: Directions,
}

/// Makes the spans, and sends them.
pub(crate) struct Spans {
    redactor: Redactor,
    routes: Routes,
    writes_traceparent: bool,
    sampler_may_turn: Directions,
    readings: Readings,
    exporter: Exporter,
    /// One buffer for all spans.
    encoded: RefCell<Vec<u8>>,
}

const SCOPE: (&str, &str) = ("sluicegate-trace-context", env!("CARGO_PKG_VERSION"));

/// The trace of an untrusted caller who named no span, to which no link can be made.
const OUTSIDE_TRACE_ID: &str = "sluicegate.outside_trace_id";

// OTLP's flags beyond those of W3C.
const REMOTENESS_IS_KNOWN: u32 = 1 << 8;
const IS_REMOTE: u32 = 1 << 9;

impl Spans {
    pub(crate) fn open(policy: SpanPolicy, vm: &Vm) -> Result<Spans, HostError> {
        let SpanPolicy { settings, redactor, routes, writes_traceparent, sampler_may_turn } = policy;
        let envelope = otlp::envelope(SCOPE, &Resource::of(vm.service()));
        let exporter = Exporter::new(Signal::Traces, settings, envelope, vm)?;
        Ok(Spans {
            redactor,
            routes,
            writes_traceparent,
            sampler_may_turn,
            readings: Readings::new(vm, false),
            exporter,
            encoded: RefCell::default(),
        })
    }

    /// Keeps the request as it came: the proxy would tell it later as filters changed it. No hostcall.
    pub(crate) fn on_request_headers(&self, head: Rc<HeaderMap>, exchange: &mut Exchange) {
        // Also where it is not sampled yet: a filter after us may decide otherwise.
        exchange.facts.request.get_or_insert(head);
    }

    /// Notes when the response began. One hostcall for an exchange that may be sampled, unless another filter has noted it.
    pub(crate) fn on_response_headers(&self, exchange: &mut Exchange) {
        if self.may_be_sampled(exchange) && exchange.facts.response_started.is_none() {
            exchange.facts.response_started = exchange.vm().now().ok();
        }
    }

    /// Makes the span of an exchange that is over. Three hostcalls for a sampled exchange, none for another; one more for
    /// an error that needs a closer look.
    pub(crate) fn on_log(&self, exchange: &Exchange) {
        if !self.may_be_sampled(exchange) {
            return;
        }
        let ended = self.readings.ended(exchange);
        let ended = Ended::read(&ended, exchange);
        let (Some(trace), Some(head)) = (ended.trace(exchange, None), &exchange.facts.request) else { return };
        if ended.sampled(exchange) != Some(true) {
            return;
        }
        let direction = exchange.direction();
        let kind = if direction == Direction::Outbound { SpanKind::Client } else { SpanKind::Server };

        let outcome = ended.outcome(exchange);
        let details = self.readings.details(exchange);
        let details = Details::read(&details);
        let request = Request::read(head, exchange.is_grpc(), &self.redactor);
        let client = details.client_address().map(|address| self.redactor.client_address(address));
        let template = self.routes.template(head.as_ref());
        let service = exchange.vm().service().name.as_deref().unwrap_or_default();
        let signature =
            outcome.kind.map(|kind| Signature::of(service, ended.route(template), kind, ended.code_details));
        let mut attributes = Attributes {
            route_template: template.map(Into::into),
            client_address: client.as_deref().map(Into::into),
            error_signature: signature.as_ref(),
            direction: Some(direction),
            ..Attributes::of(&request, &ended, outcome, &details)
        };
        attributes.leave_out_the_obvious();
        // The span says it itself.
        attributes.duration = None;

        let name = name::of(&attributes, exchange.is_grpc());
        let tracestate = details.tracestate.filter(|_| self.writes_traceparent).unwrap_or_default();
        let remote = if trace.parent_span_id.is_some() { IS_REMOTE } else { 0 };
        let span = Span {
            trace_id: *trace.trace_id.bytes(),
            span_id: *trace.span_id.bytes(),
            parent_span_id: trace.parent_span_id.map(|parent| *parent.bytes()),
            trace_state: std::str::from_utf8(tracestate).unwrap_or_default(),
            flags: u32::from(trace.flags.byte()) | REMOTENESS_IS_KNOWN | remote,
            name: &name,
            kind,
            start_time_unix_nano: ended.started,
            end_time_unix_nano: ended.end(),
            status: status(outcome.error_type),
            dropped_attributes_count: 0,
        };
        let mut encoded = self.encoded.borrow_mut();
        encoded.clear();
        span.encode(&mut encoded, |parts| {
            if let Some(id) = &exchange.facts.request_id {
                parts.attributes().add(REQ_ID, Value::String(id.as_str()));
            }
            match kind {
                SpanKind::Client => add_clients(attributes, parts),
                _ => add_all(&attributes, parts),
            }
            add_outside(&trace, parts);
        });
        self.exporter.add(&encoded);
    }

    /// As far as is known before it is over: a sampler in another plugin decides after us.
    fn may_be_sampled(&self, exchange: &Exchange) -> bool {
        let turns = || self.sampler_may_turn != Directions::NONE && exchange.goes(self.sampler_may_turn);
        exchange.facts.trace.as_ref().is_some_and(|trace| trace.flags.sampled || turns())
    }

    pub(crate) fn on_tick(&self, vm: &Vm) {
        self.exporter.on_tick(vm);
    }

    pub(crate) fn on_callout_response(&self, token: CalloutToken, response: &CalloutResponse<'_>, vm: &Vm) {
        // Another's token is of no interest here.
        _ = self.exporter.on_callout_response(token, response, vm);
    }
}

/// An error as the conventions see it: a server's 4xx is none. What the status of the response tells needs no message.
fn status(error: Option<ErrorType>) -> SpanStatus<'static> {
    match error {
        None => SpanStatus::Unset,
        Some(ErrorType::Status(_) | ErrorType::Grpc(_)) => SpanStatus::Error(""),
        Some(ErrorType::Kind(kind)) => SpanStatus::Error(kind.as_str()),
    }
}

fn add_all(attributes: &Attributes<'_>, parts: &mut SpanParts<'_, '_>) {
    attributes.each(&mut |name, value| otlp::add(&mut parts.attributes(), name, value));
}

/// A client says what it asked for in one URL and to which port it went; who it is and what runs there is the server's to
/// tell.
fn add_clients(attributes: Attributes<'_>, parts: &mut SpanParts<'_, '_>) {
    if let Some(url) = attributes.url() {
        parts.attributes().add("url.full", Value::String(&url));
    }
    if let Some(template) = attributes.route_template {
        parts.attributes().add("url.template", Value::String(&template.whole()));
    }
    if let Some(resends) =
        attributes.attempt_count.and_then(|attempts| attempts.checked_sub(1)).filter(|count| *count > 0)
    {
        parts.attributes().add("http.request.resend_count", Value::Int(resends.into()));
    }
    let attributes = Attributes {
        path: None,
        query: None,
        scheme: None,
        route_template: None,
        client_address: None,
        server_port: attributes.port(),
        ..attributes
    };
    add_all(&attributes, parts);
}

/// The trace of an untrusted caller, who is not the parent.
fn add_outside(trace: &TraceFacts, parts: &mut SpanParts<'_, '_>) {
    let Some(outside) = &trace.outside else { return };
    match outside.span_id {
        Some(span_id) => {
            let link = Link {
                trace_id: *outside.trace_id.bytes(),
                span_id: *span_id.bytes(),
                trace_state: "",
                flags: REMOTENESS_IS_KNOWN | IS_REMOTE,
            };
            parts.link(&link, |_| ());
        }
        None => parts.attributes().add(OUTSIDE_TRACE_ID, Value::String(&outside.trace_id.to_string())),
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
