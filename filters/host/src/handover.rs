//! How facts reach a filter that runs as a plugin of its own, where they cannot be handed over in memory: by the headers
//! that carry them to the upstream anyway, else by filter state.

use crate::{
    Attribute, BreakerFacts, BreakerState, Exchange, LocalReply, Origin, RequestId, SamplingFacts, SamplingReason,
    SpanId, Threshold, TraceFacts, TraceFlags, Traceparent, hex,
};
use sluicegate_policy::{Directions, Document, RequestView};

/// Filter state: what `traceparent` does not say of the trace. `started` where it began here, `own` where this hop has a span
/// of its own, or then the caller's, 16 lower-case hex digits; and a second word where it is not as usual: `decided` for a
/// trace that began here because its caller decided without a context, `undecided` for one whose caller left it open. Where
/// the proxy's own tracer made the trace, `proxy`, and the caller's span if there is one. Where no `traceparent` carries
/// the trace, or none does yet, what it would say stands at the end, after `forwarded` where there is nothing else.
const TRACE: &str = "sluicegate_trace";

/// Filter state: the decision to record a request: `1` or `0`, the reason, and the threshold as in `ot=th` if there is one.
const SAMPLING: &str = "sluicegate_sampling";

/// Filter state: how the circuit breaker stood, where it was not closed: `open` or `half_open`, and `shed` where the request
/// was.
const BREAKER: &str = "sluicegate_breaker";

/// Filter state: a word for the answer that a filter of ours gave.
const REPLY: &str = "sluicegate_reply";

const STARTED: &[u8] = b"started";
const OWN: &[u8] = b"own";
const FORWARDED: &[u8] = b"forwarded";
const PROXY: &[u8] = b"proxy";
const DECIDED: &[u8] = b"decided";
const UNDECIDED: &[u8] = b"undecided";

/// What upstream saw as `traceparent`, once the exchange is over: the proxy's own tracer, where there is one, writes it
/// after all filters.
pub const TRACEPARENT_HANDED_OVER: Attribute = Attribute::Proxy("request.headers.traceparent");

/// What upstream saw as `tracestate`, once the exchange is over.
pub const TRACESTATE_HANDED_OVER: Attribute = Attribute::Proxy("request.headers.tracestate");

/// What [`Exchange::hand_over_trace`] left.
pub const TRACE_HANDED_OVER: Attribute = Attribute::FilterState(TRACE);

/// What [`Exchange::hand_over_sampling`] left.
pub const SAMPLING_HANDED_OVER: Attribute = Attribute::FilterState(SAMPLING);

/// What [`Exchange::hand_over_breaker`] left.
pub const BREAKER_HANDED_OVER: Attribute = Attribute::FilterState(BREAKER);

impl Exchange {
    /// Leaves to other plugins how the circuit breaker stood. One hostcall.
    pub fn hand_over_breaker(&self, breaker: BreakerFacts) {
        let shed: &[u8] = if breaker.shed { b" shed" } else { b"" };
        // Without it the record lacks it.
        _ = self.set_filter_state(BREAKER, &[breaker.state.as_str().as_bytes(), shed].concat());
    }

    /// Leaves to other plugins what the headers do not say of the trace. One hostcall, none where they say it all.
    pub fn hand_over_trace(&self, trace: &TraceFacts) {
        let parent = trace.parent_span_id.map(|parent| hex::text(parent.bytes()));
        let parent = parent.as_ref().map(|parent| &parent[..]);
        let traceparent = Traceparent::value(trace.trace_id, trace.span_id, trace.flags);
        let aside = (!self.carries(trace)).then_some(&traceparent[..]);
        let undecided = (!trace.decided).then_some(UNDECIDED);
        let words = match trace.origin {
            Origin::Started => [Some(STARTED), trace.decided.then_some(DECIDED), aside],
            Origin::Continued if trace.own_span => [parent.or(Some(OWN)), undecided, aside],
            Origin::Continued => [undecided.or(aside).and(Some(FORWARDED)), undecided, aside],
            Origin::Proxy => [Some(PROXY), parent, aside],
        };
        let text = words.into_iter().flatten().collect::<Vec<_>>().join(&b' ');
        if !text.is_empty() {
            // Without it a record lacks its parent, which is no reason to fail a request.
            _ = self.set_filter_state(TRACE, &text);
        }
    }

    /// Whether the `traceparent` in the request's headers is that of this trace.
    pub fn carries(&self, trace: &TraceFacts) -> bool {
        let carried = self.request_headers().get(Traceparent::HEADER);
        carried.as_deref().and_then(Traceparent::parse).is_some_and(|carried| trace.is_in(&carried))
    }

    /// Leaves a sampler's decision to other plugins. One hostcall.
    pub fn hand_over_sampling(&self, sampling: &SamplingFacts) {
        let mut text = vec![if sampling.sampled { b'1' } else { b'0' }, b' '];
        text.extend_from_slice(sampling.reason.as_str().as_bytes());
        if let Some(threshold) = sampling.threshold {
            text.push(b' ');
            threshold.write(&mut text);
        }
        // Without it the record does not say why it was kept, but is kept all the same.
        _ = self.set_filter_state(SAMPLING, &text);
    }

    pub(crate) fn hand_over_reply(&self, reply: LocalReply) {
        _ = self.set_filter_state(REPLY, reply.as_str().as_bytes());
    }

    /// The answer that a filter of ours gave, in this plugin or another. One hostcall where it was not this one.
    pub fn local_reply(&self) -> Option<LocalReply> {
        self.facts.reply.or_else(|| LocalReply::parse(&self.property(REPLY)?))
    }
}

impl TraceFacts {
    /// Whether this `traceparent` is the one that upstream is to see of the trace. One with the same trace and another span
    /// is somebody else's, where the policy leaves `traceparent` alone.
    pub fn is_in(&self, traceparent: &Traceparent) -> bool {
        (traceparent.trace_id, traceparent.span_id) == (self.trace_id, self.span_id)
    }

    /// The trace of which upstream sees or saw this `traceparent`, and of which another plugin left this
    /// ([`TRACE_HANDED_OVER`]). `None` where neither names one.
    pub fn handed_over(traceparent: Option<&[u8]>, state: Option<&[u8]>) -> Option<TraceFacts> {
        let words = || state.unwrap_or_default().split(|byte| *byte == b' ');
        let first = words().next().unwrap_or_default();
        let says = |word: &[u8]| words().any(|said| said == word);
        let (origin, decided) = match first {
            STARTED => (Origin::Started, says(DECIDED)),
            PROXY => (Origin::Proxy, true),
            _ => (Origin::Continued, !says(UNDECIDED)),
        };
        let parent = words().find_map(|word| hex::decode_lower(word).and_then(SpanId::new));
        let foretold = words().find_map(Traceparent::parse);
        let seen = traceparent.and_then(Traceparent::parse);
        // What the tracer wrote is the truth. Else a header beside what was foretold is somebody else's.
        let known = if origin == Origin::Proxy { seen.or(foretold) } else { foretold.or(seen) };
        let Traceparent { trace_id, span_id, flags, .. } = known?;
        Some(TraceFacts {
            trace_id,
            span_id,
            parent_span_id: parent,
            own_span: parent.is_some() || first == OWN || origin != Origin::Continued,
            flags: TraceFlags::from_byte(flags),
            decided,
            origin,
            outside: None,
        })
    }
}

/// What the policy has trace-context leave to plugins behind it.
#[derive(Clone, Debug)]
pub struct TraceAhead {
    /// Of requests in these directions.
    directions: Directions,
    is_aside: bool,
    request_id_header: String,
}

impl TraceAhead {
    /// As the section `trace` has it.
    pub fn read(document: &Document<'_>) -> TraceAhead {
        let trace = document.neighbour("trace");
        let is_on = trace.boolean("enabled") != Some(false);
        let directions = || trace.directions("direction").unwrap_or(Directions::ALL);
        TraceAhead {
            directions: if is_on { directions() } else { Directions::NONE },
            is_aside: is_on && (SamplingFacts::is_the_proxys(document) || trace.lists("inject", "w3c") == Some(false)),
            request_id_header: RequestId::header(document),
        }
    }

    /// Whether there may be a trace that no `traceparent` carries.
    pub fn is_aside(&self) -> bool {
        self.is_aside
    }

    /// Finds the ids of the request where no filter of this module has made them, in its headers. One hostcall more where
    /// the trace may be aside.
    pub fn find_ids(&self, exchange: &mut Exchange) {
        if !exchange.goes(self.directions) {
            return;
        }
        if exchange.facts.request_id.is_none() {
            exchange.facts.request_id = RequestId::handed_over(exchange, &self.request_id_header);
        }
        if exchange.facts.trace.is_none() {
            let state = if self.is_aside { exchange.property(TRACE) } else { None };
            let traceparent = exchange.request_headers().get(Traceparent::HEADER).map(|value| value.into_owned());
            exchange.facts.trace = TraceFacts::handed_over(traceparent.as_deref(), state.as_deref());
        }
    }
}

impl BreakerFacts {
    /// What another plugin left ([`BREAKER_HANDED_OVER`]).
    pub fn handed_over(state: &[u8]) -> Option<BreakerFacts> {
        let mut words = state.split(|byte| *byte == b' ');
        let state = BreakerState::parse(words.next()?)?;
        Some(BreakerFacts { state, shed: words.next() == Some(b"shed") })
    }
}

impl SamplingFacts {
    /// The header in which a caller with the secret asks for a request to be recorded, in lower case; `None` where the
    /// policy lets nobody. The sampler takes it away, and nobody logs it.
    pub fn force_header(document: &Document<'_>) -> Option<String> {
        let force = document.neighbour("sampling").subsection("force");
        let header = || force.string("header").unwrap_or("x-sluicegate-force").to_ascii_lowercase();
        force.is_given().then(header)
    }

    /// Whether under this policy the proxy's own tracer samples, so that no filter of ours does.
    pub fn is_the_proxys(document: &Document<'_>) -> bool {
        document.neighbour("trace").string("mode") == Some("observe")
    }

    /// In which directions a request may be recorded under this policy although the context that it came with, or was
    /// given here, said that it is not. Where that is so, a plugin that samples leaves it to
    /// [`SamplingFacts::told_by_headers`] to say why where it has to write both headers.
    pub fn may_turn(document: &Document<'_>) -> Directions {
        let sampling = document.neighbour("sampling");
        let is_on = sampling.boolean("enabled") != Some(false) && !Self::is_the_proxys(document);
        let turns = sampling.string("parent") == Some("ignore")
            || sampling.subsection("force").is_given()
            || document.neighbour("trace").boolean("sampled_default") == Some(false);
        match is_on && turns {
            true => sampling.directions("direction").unwrap_or(Directions::ALL),
            false => Directions::NONE,
        }
    }

    /// A decision that another plugin left ([`SAMPLING_HANDED_OVER`]).
    pub fn handed_over(state: &[u8]) -> Option<SamplingFacts> {
        let mut words = state.split(|byte| *byte == b' ');
        let sampled = match words.next()? {
            b"1" => true,
            b"0" => false,
            _ => return None,
        };
        let reason = SamplingReason::parse(words.next()?)?;
        Some(SamplingFacts { sampled, threshold: words.next().and_then(Threshold::parse), reason })
    }

    /// The decision to record a request by its load, as `tracestate` shows it where nothing was handed over: only for a
    /// policy that [may turn](SamplingFacts::may_turn) what the context said.
    pub fn told_by_headers(tracestate: &[u8]) -> Option<SamplingFacts> {
        let threshold = Threshold::of_tracestate(tracestate)?;
        Some(SamplingFacts { sampled: true, threshold: Some(threshold), reason: SamplingReason::Adaptive })
    }
}

impl RequestId {
    /// The header in which the policy has the id travel, in lower case: that of the trace-context filter, whose section
    /// says so.
    pub fn header(document: &Document<'_>) -> String {
        let header = document.neighbour("trace").subsection("request_id").string("header");
        header.unwrap_or("x-request-id").to_ascii_lowercase()
    }

    /// The request id in this header.
    pub fn handed_over(headers: &dyn RequestView, header: &str) -> Option<RequestId> {
        RequestId::parse(&headers.header(header)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    use crate::Vm;
    use crate::double::Double;

    fn exchange() -> (&'static Double, Exchange) {
        let proxy = Double::new();
        let vm = Vm::new(proxy, sluicegate_policy::Service::default()).unwrap();
        (proxy, Exchange::new(proxy, std::rc::Rc::new(vm)))
    }

    fn trace(origin: Origin, parent: bool) -> TraceFacts {
        let mut facts = TraceFacts::handed_over(Some(TRACEPARENT.as_bytes()), None).unwrap();
        facts.origin = origin;
        facts.own_span = parent || origin != Origin::Continued;
        facts.decided = origin != Origin::Started;
        facts.parent_span_id = SpanId::new([7; 8]).filter(|_| parent);
        facts
    }

    #[test]
    fn a_trace_context_travels_in_traceparent_and_the_rest_beside_it() {
        let forwarded = || trace(Origin::Continued, false);
        let own = TraceFacts { own_span: true, ..forwarded() };
        for (facts, state) in [
            (trace(Origin::Started, false), Some("started".to_owned())),
            (TraceFacts { decided: true, ..trace(Origin::Started, false) }, Some("started decided".to_owned())),
            (own.clone(), Some("own".to_owned())),
            (TraceFacts { decided: false, ..own }, Some("own undecided".to_owned())),
            (TraceFacts { decided: false, ..forwarded() }, Some("forwarded undecided".to_owned())),
            (
                TraceFacts { decided: false, ..trace(Origin::Continued, true) },
                Some("0707070707070707 undecided".to_owned()),
            ),
            (trace(Origin::Continued, true), Some("0707070707070707".to_owned())),
            (trace(Origin::Continued, false), None),
            (trace(Origin::Proxy, false), Some("proxy".to_owned())),
            (trace(Origin::Proxy, true), Some("proxy 0707070707070707".to_owned())),
        ] {
            for is_carried in [true, false] {
                let (proxy, mut exchange) = exchange();
                if is_carried {
                    exchange.request_headers_mut().set(Traceparent::HEADER, TRACEPARENT);
                }
                exchange.hand_over_trace(&facts);
                let left = proxy.take(TRACE).map(|left| String::from_utf8(left).unwrap());
                let aside = format!("{} {TRACEPARENT}", state.as_deref().unwrap_or("forwarded"));
                assert_eq!(left, if is_carried { state.clone() } else { Some(aside) });
                let header = Some(TRACEPARENT.as_bytes()).filter(|_| is_carried);
                let state = left.as_deref().map(str::as_bytes);
                assert_eq!(TraceFacts::handed_over(header, state), Some(facts.clone()));
            }
        }
        let flags = TraceFacts::handed_over(Some(TRACEPARENT.as_bytes()), Some(b"started")).unwrap().flags;
        assert!(flags.sampled && !flags.random);
    }

    #[test]
    fn what_the_tracer_wrote_goes_before_what_was_foretold() {
        let written = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-00", "1".repeat(16));
        let state = format!("proxy {TRACEPARENT}");
        let facts = TraceFacts::handed_over(Some(written.as_bytes()), Some(state.as_bytes())).unwrap();
        assert_eq!((facts.span_id, facts.flags.sampled), (SpanId::new([0x11; 8]).unwrap(), false));
    }

    #[test]
    fn a_traceparent_of_the_same_trace_and_another_span_is_somebody_elses() {
        let facts = trace(Origin::Continued, true);
        for (span, is_carried) in [("00f067aa0ba902b7", true), ("1111111111111111", false)] {
            let (proxy, mut exchange) = exchange();
            let header = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span}-01");
            exchange.request_headers_mut().set(Traceparent::HEADER, header);
            assert_eq!(exchange.carries(&facts), is_carried);
            exchange.hand_over_trace(&facts);
            assert_eq!(proxy.take(TRACE).unwrap().ends_with(TRACEPARENT.as_bytes()), !is_carried);
        }
    }

    #[test]
    fn what_was_foretold_goes_before_somebody_elses_header() {
        let foreign = format!("00-{}-{}-00", "7".repeat(32), "1".repeat(16));
        for word in ["started", "own", "forwarded"] {
            let state = format!("{word} {TRACEPARENT}");
            let facts = TraceFacts::handed_over(Some(foreign.as_bytes()), Some(state.as_bytes())).unwrap();
            assert!(facts.flags.sampled && facts.span_id != SpanId::new([0x11; 8]).unwrap(), "{word}");
        }
    }

    #[test]
    fn ids_that_are_not_known_are_found_where_the_policy_has_them() {
        let found = |trace: &str, state: Option<&str>, headers: &[(&str, &str)]| {
            let policy = format!(r#"{{"version": "1.0", "trace": {trace}}}"#);
            let ahead = TraceAhead::read(&Document::parse(policy.as_bytes(), &|_| None).unwrap());
            let (proxy, mut exchange) = exchange();
            proxy.put_headers(crate::MapKind::RequestHeaders, headers);
            if let Some(state) = state {
                proxy.set(TRACE, state);
            }
            ahead.find_ids(&mut exchange);
            let id = exchange.facts.request_id.as_ref().map(|id| id.as_str().to_owned());
            (id, exchange.facts.trace.map(|trace| trace.span_id.to_string()))
        };
        let headers = [("traceparent", TRACEPARENT), ("x-request-id", "r-1"), ("x-own", "r-2")];
        let aside = "own 00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01";
        let (one, other) = (Some("00f067aa0ba902b7".to_owned()), Some("1111111111111111".to_owned()));
        let id = |id: &str| Some(id.to_owned());
        assert_eq!(found("{}", Some(aside), &headers), (id("r-1"), one.clone()), "no look aside");
        assert_eq!(found(r#"{"inject": ["b3"]}"#, Some(aside), &headers), (id("r-1"), other.clone()));
        assert_eq!(found(r#"{"inject": ["b3", "w3c"]}"#, Some(aside), &headers), (id("r-1"), one));
        assert_eq!(found(r#"{"mode": "observe"}"#, Some(aside), &[]), (None, other));
        assert_eq!(found(r#"{"request_id": {"header": "x-own"}}"#, None, &headers[1..]), (id("r-2"), None));
        assert_eq!(found(r#"{"enabled": false}"#, Some(aside), &headers), (None, None));
    }

    #[test]
    fn a_broken_traceparent_or_state_is_none() {
        let twice = format!("{TRACEPARENT},{TRACEPARENT}");
        for traceparent in ["", "x", &twice, "00-4bf9-00f0-01"] {
            assert_eq!(TraceFacts::handed_over(Some(traceparent.as_bytes()), Some(b"started")), None, "{traceparent}");
        }
        for state in ["", "x", "0000000000000000", "proxy", "proxy x y", " ", "STARTED"] {
            let facts = TraceFacts::handed_over(Some(TRACEPARENT.as_bytes()), Some(state.as_bytes())).unwrap();
            assert_eq!(facts.parent_span_id, None, "{state}");
        }
    }

    #[test]
    fn a_decision_is_handed_over_whole() {
        let threshold = Threshold::of_probability(0.05);
        for (sampled, threshold, reason, text) in [
            (true, threshold, SamplingReason::Adaptive, "1 adaptive f3333"),
            (true, Some(Threshold::ALL), SamplingReason::Rule, "1 rule 0"),
            (true, None, SamplingReason::Forced, "1 forced"),
            (false, None, SamplingReason::Parent, "0 parent"),
        ] {
            let (proxy, exchange) = exchange();
            let facts = SamplingFacts { sampled, threshold, reason };
            exchange.hand_over_sampling(&facts);
            let left = proxy.take(SAMPLING).unwrap();
            assert_eq!(String::from_utf8_lossy(&left), text);
            assert_eq!(SamplingFacts::handed_over(&left), Some(facts));
        }
        for text in ["", "1", "1 ", "2 rule", "1 chance", "1 rule_", "1  rule"] {
            assert_eq!(SamplingFacts::handed_over(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_breaker_that_is_not_closed_is_handed_over() {
        for (state, shed, text) in [
            (BreakerState::Open, true, "open shed"),
            (BreakerState::Open, false, "open"),
            (BreakerState::HalfOpen, true, "half_open shed"),
            (BreakerState::HalfOpen, false, "half_open"),
        ] {
            let (proxy, exchange) = exchange();
            exchange.hand_over_breaker(BreakerFacts { state, shed });
            let left = proxy.take(BREAKER).unwrap();
            assert_eq!(String::from_utf8_lossy(&left), text);
            assert_eq!(BreakerFacts::handed_over(&left), Some(BreakerFacts { state, shed }));
        }
        for text in ["", "ajar", " open"] {
            assert_eq!(BreakerFacts::handed_over(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn headers_tell_of_what_was_sampled_by_its_load() {
        let facts = SamplingFacts::told_by_headers(b"a=b,ot=rv:00000000000001;th:c").unwrap();
        assert_eq!((facts.threshold, facts.reason), (Threshold::parse(b"c"), SamplingReason::Adaptive));
        for tracestate in ["", "a=b", "ot=rv:00000000000001", "ot=th:C", "not one"] {
            assert_eq!(SamplingFacts::told_by_headers(tracestate.as_bytes()), None, "{tracestate}");
        }
    }

    #[test]
    fn the_header_with_the_secret_is_the_policys() {
        let header = |sampling: &str| {
            let policy = format!(r#"{{"version": "1.0", "sampling": {sampling}}}"#);
            SamplingFacts::force_header(&Document::parse(policy.as_bytes(), &|_| None).unwrap())
        };
        assert_eq!(header("{}"), None);
        assert_eq!(header(r#"{"force": {}}"#).as_deref(), Some("x-sluicegate-force"));
        assert_eq!(header(r#"{"force": {"header": "X-Debug"}}"#).as_deref(), Some("x-debug"));
    }

    #[test]
    fn some_policies_have_requests_recorded_that_their_context_says_are_not() {
        for (policy, expected) in [
            (r#"{"version": "1.0"}"#, Directions::NONE),
            (
                r#"{"version": "1.0", "sampling": {"parent": "at_most"}, "trace": {"sampled_default": true}}"#,
                Directions::NONE,
            ),
            (r#"{"version": "1.0", "sampling": {"parent": "ignore"}}"#, Directions::ALL),
            (r#"{"version": "1.0", "sampling": {"force": {"secret": "0123456789abcdef"}}}"#, Directions::ALL),
            (r#"{"version": "1.0", "trace": {"sampled_default": false}}"#, Directions::ALL),
            (
                r#"{"version": "1.0", "sampling": {"parent": "ignore", "direction": "inbound"}}"#,
                Directions::NONE.with(sluicegate_policy::Direction::Inbound),
            ),
            (r#"{"version": "1.0", "sampling": {"enabled": false, "parent": "ignore"}}"#, Directions::NONE),
            (r#"{"version": "1.0", "sampling": {"parent": "ignore"}, "trace": {"mode": "observe"}}"#, Directions::NONE),
        ] {
            let document = Document::parse(policy.as_bytes(), &|_| None).unwrap();
            assert_eq!(SamplingFacts::may_turn(&document), expected, "{policy}");
        }
    }
}
