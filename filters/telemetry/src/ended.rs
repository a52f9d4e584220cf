//! What the proxy tells of an exchange when it is over: first what decides whether anything is said of it at all, then
//! the rest. Two hostcalls in all.

use crate::outcome::{Ending, Ends, ErrorKind, Outcome, ResponseFlags};
use crate::{Attributes, Text, protocol};
use sluicegate_host::{
    AnswerFacts, Attribute, AttributeList, AttributeValues, BREAKER_HANDED_OVER, BreakerFacts, BreakerState,
    EndingFacts, Exchange, GrpcStatus, LocalReply, Origin, SAMPLING_HANDED_OVER, SamplingFacts, TRACE_HANDED_OVER,
    TRACEPARENT_HANDED_OVER, TRACESTATE_HANDED_OVER, TraceFacts, TraceFlags, Traceparent, Vm,
};
use sluicegate_policy::Direction;

/// The lists of attributes, compiled when the filter is configured.
#[derive(Clone, Debug)]
pub struct Readings {
    ended: AttributeList,
    details: AttributeList,
    trace_is_aside: bool,
}

/// The values of [`Readings::ended`].
pub struct EndedValues {
    values: AttributeValues,
    has_trace_state: bool,
}

const ENDED: [Attribute; 9] = [
    Attribute::Proxy("response.code"),
    Attribute::Proxy("response.grpc_status"),
    Attribute::Proxy("response.flags"),
    Attribute::Proxy("response.code_details"),
    Attribute::Proxy("request.time"),
    Attribute::Proxy("request.duration"),
    Attribute::Proxy("xds.route_name"),
    TRACEPARENT_HANDED_OVER,
    SAMPLING_HANDED_OVER,
];

const DETAILS: [Attribute; 13] = [
    Attribute::Proxy("request.protocol"),
    Attribute::Proxy("request.total_size"),
    Attribute::Proxy("response.total_size"),
    Attribute::Proxy("response.backend_latency"),
    Attribute::Proxy("source.address"),
    Attribute::Proxy("xds.virtual_host_name"),
    Attribute::Proxy("xds.cluster_name"),
    Attribute::Proxy("upstream.address"),
    Attribute::Proxy("upstream.request_attempt_count"),
    Attribute::Proxy("upstream.transport_failure_reason"),
    TRACE_HANDED_OVER,
    TRACESTATE_HANDED_OVER,
    BREAKER_HANDED_OVER,
];

impl Readings {
    /// For a filter that is being configured. Where there may be a trace that no `traceparent` carries
    /// (`TraceAhead::is_aside`), and no filter of this module knows it, what decides whether anything is said takes a look
    /// aside.
    pub fn new(vm: &Vm, trace_is_aside: bool) -> Readings {
        let mut ended = ENDED.to_vec();
        ended.extend(trace_is_aside.then_some(TRACE_HANDED_OVER));
        Readings { ended: vm.attribute_list(ended), details: vm.attribute_list(&DETAILS), trace_is_aside }
    }

    /// How it ended, for [`Ended::read`].
    pub fn ended(&self, exchange: &Exchange) -> EndedValues {
        EndedValues { values: exchange.attributes(&self.ended), has_trace_state: self.trace_is_aside }
    }

    /// The rest, for [`Details::read`].
    pub fn details(&self, exchange: &Exchange) -> AttributeValues {
        exchange.attributes(&self.details)
    }
}

/// How an exchange ended, and how long it took.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'v> {
    /// The HTTP status that was sent downstream.
    pub status: Option<u16>,
    /// `grpc-status`, where the exchange was gRPC.
    pub grpc_status: Option<i64>,
    /// Envoy's response flags.
    pub flags: ResponseFlags,
    /// Envoy's response code details; empty where there are none.
    pub code_details: &'v [u8],
    /// When the request began, in nanoseconds since the Unix epoch.
    pub started: u64,
    /// From the request's first byte to the end, in nanoseconds.
    pub duration: Option<u64>,
    /// From the request's first byte to the response's headers, in nanoseconds.
    pub time_to_response_headers: Option<u64>,
    /// Envoy's name of the route.
    pub route_name: Option<&'v [u8]>,
    /// What upstream saw as `traceparent`.
    pub traceparent: Option<&'v [u8]>,
    /// The decision of a sampler in another plugin.
    sampling: Option<&'v [u8]>,
    /// What another plugin handed over of the trace, where it was looked at.
    trace_state: Option<&'v [u8]>,
    /// The answer of one of our own filters.
    pub reply: Option<LocalReply>,
}

impl<'v> Ended<'v> {
    /// Takes the values of [`Readings::ended`]. A hostcall more only for an error that nothing else explains: then one of
    /// our own filters may have answered.
    pub fn read(values: &'v EndedValues, exchange: &Exchange) -> Ended<'v> {
        let EndedValues { values, has_trace_state } = values;
        let mut values = values.take();
        let status = values.integer().and_then(|status| u16::try_from(status).ok());
        let status = status.filter(|status| (100..=999).contains(status));
        // Envoy makes one of the HTTP status where there is none.
        let grpc_status = values.integer().filter(|_| exchange.is_grpc());
        let flags = ResponseFlags::from_bits(values.integer().map_or(0, i64::cast_unsigned));
        let code_details = values.bytes().unwrap_or_default();
        let started = unsigned(values.integer()).unwrap_or_default();
        let duration = unsigned(values.integer());
        let route_name = values.bytes();
        let traceparent = values.bytes();
        let sampling = values.bytes();
        let trace_state = if *has_trace_state { values.bytes() } else { None };
        let response_started = exchange.facts.response_started;
        Ended {
            status,
            grpc_status,
            flags,
            code_details,
            started,
            duration,
            time_to_response_headers: response_started.map(|at| at.saturating_sub(started)),
            route_name,
            traceparent,
            sampling,
            trace_state,
            reply: reply(status, flags, code_details, exchange),
        }
    }

    /// What its ending means. Where a response that had begun was left, a hostcall more may tell whether it was a stream,
    /// which a client ends by leaving.
    pub fn outcome(&self, exchange: &Exchange) -> Outcome {
        let direction = exchange.direction();
        let outcome = Outcome::of(&self.ending(direction, Ends::Upstream));
        match ends(outcome.kind, self.time_to_response_headers.is_some(), exchange) {
            Ends::Upstream => outcome,
            ends => Outcome::of(&self.ending(direction, ends)),
        }
    }

    /// For filters of the same module that judge the exchange as well.
    pub fn answer(&self) -> AnswerFacts {
        let ending = EndingFacts { flags: self.flags.bits(), code_details: self.code_details.into() };
        AnswerFacts { status: self.status, grpc_status: self.grpc_status, ending: Some(ending) }
    }

    /// The route by which errors are grouped: the template of the policy, else Envoy's name of the route.
    pub fn route<'r>(&self, template: Option<&'r str>) -> &'r [u8]
    where
        'v: 'r,
    {
        template.map(str::as_bytes).or(self.route_name).unwrap_or_default()
    }

    fn ending(&self, direction: Direction, ends: Ends) -> Ending<'v> {
        Ending {
            direction,
            status: self.status,
            grpc_status: self.grpc_status,
            flags: self.flags,
            code_details: self.code_details,
            reply: self.reply,
            ends,
        }
    }

    /// The trace context of the exchange: the fact, or what another plugin or the proxy's own tracer sent upstream, whose
    /// flags count in any case. `state` is [`Details::trace_state`], where that is known already.
    pub fn trace(&self, exchange: &Exchange, state: Option<&[u8]>) -> Option<TraceFacts> {
        let Some(mut trace) = exchange.facts.trace.clone() else {
            return TraceFacts::handed_over(self.traceparent, state.or(self.trace_state));
        };
        // A sampler in another plugin decides after this one, and the proxy's tracer may give the span another id.
        let is_same = |written: &Traceparent| match trace.origin {
            Origin::Proxy => written.trace_id == trace.trace_id,
            Origin::Started | Origin::Continued => trace.is_in(written),
        };
        let written = self.traceparent.and_then(Traceparent::parse).filter(is_same);
        if let Some(written) = written {
            trace.flags = TraceFlags::from_byte(written.flags);
        }
        Some(trace)
    }

    /// A sampler's decision; `None` where there is no sampler, or where the headers say it all.
    pub fn sampling(&self, exchange: &Exchange) -> Option<SamplingFacts> {
        exchange.facts.sampling.or_else(|| SamplingFacts::handed_over(self.sampling?))
    }

    /// Whether the exchange is recorded: by a sampler's decision, else by its trace's. `None` where nobody decided.
    pub fn sampled(&self, exchange: &Exchange) -> Option<bool> {
        let by_trace = || self.trace(exchange, None).map(|trace| trace.flags.sampled);
        self.sampling(exchange).map(|sampling| sampling.sampled).or_else(by_trace)
    }

    /// When it ended, in nanoseconds since the Unix epoch.
    pub fn end(&self) -> u64 {
        self.started.saturating_add(self.duration.unwrap_or_default())
    }

    /// How long its caller waited for the response to begin, in nanoseconds: to its headers, or to the end where none
    /// came. What a stream is to be judged by.
    pub fn latency(&self) -> Option<u64> {
        self.time_to_response_headers.or(self.duration)
    }
}

/// The answer that a filter of ours gave. Of such a one the proxy tells neither details nor flags; a hostcall only where it
/// is not known and nothing else explains the status.
pub fn reply(
    status: Option<u16>,
    flags: ResponseFlags,
    code_details: &[u8],
    exchange: &Exchange,
) -> Option<LocalReply> {
    let unexplained = status.is_some() && flags.is_empty() && code_details.is_empty();
    if unexplained { exchange.local_reply() } else { exchange.facts.reply }
}

/// Who ends the response of an exchange that ended with this kind of error. A hostcall only for one that broke off after
/// its response had begun.
pub fn ends(kind: Option<ErrorKind>, has_begun: bool, exchange: &Exchange) -> Ends {
    match kind {
        Some(ErrorKind::ClientGone | ErrorKind::Reset | ErrorKind::Timeout) if has_begun && is_connect(exchange) => {
            Ends::Either
        }
        Some(ErrorKind::ClientGone | ErrorKind::Timeout)
            if has_begun && (exchange.is_grpc() || is_event_stream(exchange)) =>
        {
            Ends::Client
        }
        _ => Ends::Upstream,
    }
}

/// CONNECT (RFC 9110 §9.3.6) opens a tunnel.
fn is_connect(exchange: &Exchange) -> bool {
    exchange.facts.request.as_ref().is_some_and(|head| head.get(":method") == Some(b"CONNECT"))
}

/// Server-sent events (HTML, §9.2).
fn is_event_stream(exchange: &Exchange) -> bool {
    const EVENT_STREAM: &[u8] = b"text/event-stream";
    let content_type = exchange.response_headers().original().get("content-type").unwrap_or_default();
    content_type.get(..EVENT_STREAM.len()).is_some_and(|start| start.eq_ignore_ascii_case(EVENT_STREAM))
}

/// What there is to say besides.
#[derive(Clone, Copy, Debug)]
pub struct Details<'v> {
    protocol: Option<&'v [u8]>,
    request_size: Option<u64>,
    response_size: Option<u64>,
    upstream_duration: Option<u64>,
    /// Address and port.
    client: Option<&'v [u8]>,
    virtual_host_name: Option<&'v [u8]>,
    upstream_cluster: Option<&'v [u8]>,
    upstream_address: Option<&'v [u8]>,
    attempt_count: Option<u32>,
    transport_failure_reason: Option<&'v [u8]>,
    /// What another plugin handed over of the trace.
    pub trace_state: Option<&'v [u8]>,
    /// What upstream saw as `tracestate`.
    pub tracestate: Option<&'v [u8]>,
    breaker: Option<&'v [u8]>,
}

impl<'v> Details<'v> {
    /// Takes the values of [`Readings::details`].
    pub fn read(values: &'v AttributeValues) -> Details<'v> {
        let mut values = values.take();
        Details {
            protocol: values.bytes(),
            request_size: unsigned(values.integer()),
            response_size: unsigned(values.integer()),
            upstream_duration: unsigned(values.integer()),
            client: values.bytes(),
            virtual_host_name: values.bytes(),
            upstream_cluster: values.bytes(),
            upstream_address: values.bytes(),
            attempt_count: unsigned(values.integer()).map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
            transport_failure_reason: values.bytes(),
            trace_state: values.bytes(),
            tracestate: values.bytes(),
            breaker: values.bytes(),
        }
    }

    /// How the circuit breaker stood, where it was not closed: the fact, or what another plugin handed over, or what the
    /// answer tells that it gave.
    pub fn breaker(&self, ended: &Ended<'_>, exchange: &Exchange) -> Option<BreakerFacts> {
        let handed_over = || BreakerFacts::handed_over(self.breaker?);
        let by_reply = (ended.reply == Some(LocalReply::BreakerOpen))
            .then_some(BreakerFacts { state: BreakerState::Open, shed: true });
        exchange.facts.breaker.or_else(handed_over).or(by_reply)
    }

    /// The client's address without its port.
    pub fn client_address(&self) -> Option<&'v str> {
        let text = std::str::from_utf8(self.client?).ok()?;
        match text.parse::<std::net::SocketAddr>() {
            Ok(_) => text.rsplit_once(':').map(|(host, _)| host.trim_start_matches('[').trim_end_matches(']')),
            // An address of another kind: a path, or one that Envoy made up.
            Err(_) => Some(text),
        }
    }

    /// Fills in what stands here and in `ended`.
    pub(crate) fn fill<'a>(&self, ended: &Ended<'a>, attributes: &mut Attributes<'a>)
    where
        'v: 'a,
    {
        if let Some((name, version)) = self.protocol.and_then(protocol) {
            attributes.protocol_name = Some(name.into());
            attributes.protocol_version = Some(version.into());
        }
        attributes.status = ended.status;
        attributes.grpc_status = ended.grpc_status.map(GrpcStatus::from_code);
        attributes.flags = ended.flags;
        attributes.code_details = text(Some(ended.code_details).filter(|details| !details.is_empty()));
        attributes.route_name = text(ended.route_name);
        attributes.duration = ended.duration;
        attributes.time_to_response_headers = ended.time_to_response_headers;
        attributes.upstream_duration = self.upstream_duration;
        attributes.request_size = self.request_size;
        attributes.response_size = self.response_size;
        attributes.virtual_host_name = text(self.virtual_host_name);
        attributes.upstream_cluster = text(self.upstream_cluster);
        attributes.upstream_address = text(self.upstream_address);
        attributes.attempt_count = self.attempt_count;
        attributes.transport_failure_reason = text(self.transport_failure_reason);
    }
}

fn text(bytes: Option<&[u8]>) -> Option<Text<'_>> {
    bytes.map(Text::from)
}

fn unsigned(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| u64::try_from(number).ok())
}
