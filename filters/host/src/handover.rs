//! How facts reach a filter that runs as a plugin of its own, where they cannot be handed over in memory: by the headers
//! that carry them to the upstream anyway, else by filter state.

use crate::{
    Attribute, Exchange, LocalReply, Origin, RequestId, SamplingFacts, SamplingReason, SpanId, Threshold, TraceFacts,
    TraceFlags, Traceparent, hex,
};
use sluicegate_policy::{Document, RequestView};

/// Filter state: what `traceparent` does not say of the trace. `started` where it began here, `own` where this hop has a span
/// of its own, or then the caller's, 16 lower-case hex digits; and a second word where it is not as usual: `decided` for a
/// trace that began here because its caller decided without a context, `undecided` for one whose caller left it open. Where
/// the proxy's own tracer made the trace, `proxy`, what it will write as `traceparent` as far as that is known, and the
/// caller's span if there is one.
const TRACE: &str = "sluicegate_trace";

/// Filter state: the decision to record a request: `1` or `0`, the reason, and the threshold as in `ot=th` if there is one.
const SAMPLING: &str = "sluicegate_sampling";

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

impl Exchange {
    /// Leaves to other plugins what the headers do not say of the trace. One hostcall, none where they say it all.
    pub fn hand_over_trace(&self, trace: &TraceFacts) {
        let parent = trace.parent_span_id.map(|parent| hex::text(parent.bytes()));
        let parent = parent.as_ref().map(|parent| &parent[..]);
        let traceparent = Traceparent::value(trace.trace_id, trace.span_id, trace.flags);
        let undecided = (!trace.decided).then_some(UNDECIDED);
        let words = match trace.origin {
            Origin::Started => [Some(STARTED), trace.decided.then_some(DECIDED), None],
            Origin::Continued if trace.own_span => [parent.or(Some(OWN)), undecided, None],
            Origin::Continued => [undecided.and(Some(FORWARDED)), undecided, None],
            Origin::Proxy => [Some(PROXY), Some(&traceparent[..]), parent],
        };
        let text = words.into_iter().flatten().collect::<Vec<_>>().join(&b' ');
        if !text.is_empty() {
            // Without it a record lacks its parent, which is no reason to fail a request.
            _ = self.set_filter_state(TRACE, &text);
        }
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
    /// The trace of which upstream sees or saw this `traceparent`, and of which another plugin left this
    /// ([`TRACE_HANDED_OVER`]). `None` where neither names one.
    pub fn handed_over(traceparent: Option<&[u8]>, state: Option<&[u8]>) -> Option<TraceFacts> {
        let mut words = state.unwrap_or_default().split(|byte| *byte == b' ');
        let [first, second, third] =
            [words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next().unwrap_or_default()];
        let span = |word| hex::decode_lower(word).and_then(SpanId::new);
        let (origin, parent, foretold, decided) = match first {
            STARTED => (Origin::Started, None, None, second == DECIDED),
            // The proxy's tracer writes the header after all filters: until then the state has to do.
            PROXY => (Origin::Proxy, span(third), Traceparent::parse(second), true),
            _ => (Origin::Continued, span(first), None, second != UNDECIDED),
        };
        let Traceparent { trace_id, span_id, flags, .. } = traceparent.and_then(Traceparent::parse).or(foretold)?;
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

impl SamplingFacts {
    /// The header in which a caller with the secret asks for a request to be recorded, in lower case; `None` where the
    /// policy lets nobody. The sampler takes it away, and nobody logs it.
    pub fn force_header(document: &Document<'_>) -> Option<String> {
        let force = document.neighbour("sampling").subsection("force");
        let header = || force.string("header").unwrap_or("x-sluicegate-force").to_ascii_lowercase();
        force.is_given().then(header)
    }

    /// Whether under this policy a request may be recorded although the context that it came with, or was given here, said
    /// that it is not. Where that is so, a plugin that samples leaves it to [`SamplingFacts::told_by_headers`] to say why
    /// where it has to write both headers.
    pub fn may_turn(document: &Document<'_>) -> bool {
        let sampling = document.neighbour("sampling");
        if sampling.boolean("enabled") == Some(false) {
            return false;
        }
        sampling.string("parent") == Some("ignore")
            || sampling.subsection("force").is_given()
            || document.neighbour("trace").boolean("sampled_default") == Some(false)
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
        for (facts, state, is_foretold) in [
            (trace(Origin::Started, false), Some("started".to_owned()), false),
            (TraceFacts { decided: true, ..trace(Origin::Started, false) }, Some("started decided".to_owned()), false),
            (own.clone(), Some("own".to_owned()), false),
            (TraceFacts { decided: false, ..own }, Some("own undecided".to_owned()), false),
            (TraceFacts { decided: false, ..forwarded() }, Some("forwarded undecided".to_owned()), false),
            (
                TraceFacts { decided: false, ..trace(Origin::Continued, true) },
                Some("0707070707070707 undecided".to_owned()),
                false,
            ),
            (trace(Origin::Continued, true), Some("0707070707070707".to_owned()), false),
            (trace(Origin::Continued, false), None, false),
            (trace(Origin::Proxy, false), Some(format!("proxy {TRACEPARENT}")), true),
            (trace(Origin::Proxy, true), Some(format!("proxy {TRACEPARENT} 0707070707070707")), true),
        ] {
            let (proxy, exchange) = exchange();
            exchange.hand_over_trace(&facts);
            let left = proxy.take(TRACE);
            assert_eq!(left.as_deref(), state.as_ref().map(String::as_bytes));
            let header = Some(TRACEPARENT.as_bytes());
            assert_eq!(TraceFacts::handed_over(header, left.as_deref()), Some(facts.clone()));
            let before_the_tracer = TraceFacts::handed_over(None, left.as_deref());
            assert_eq!(before_the_tracer, Some(facts).filter(|_| is_foretold));
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
            (r#"{"version": "1.0"}"#, false),
            (r#"{"version": "1.0", "sampling": {"parent": "at_most"}, "trace": {"sampled_default": true}}"#, false),
            (r#"{"version": "1.0", "sampling": {"parent": "ignore"}}"#, true),
            (r#"{"version": "1.0", "sampling": {"force": {"secret": "0123456789abcdef"}}}"#, true),
            (r#"{"version": "1.0", "trace": {"sampled_default": false}}"#, true),
            (r#"{"version": "1.0", "sampling": {"enabled": false, "parent": "ignore"}}"#, false),
        ] {
            let document = Document::parse(policy.as_bytes(), &|_| None).unwrap();
            assert_eq!(SamplingFacts::may_turn(&document), expected, "{policy}");
        }
    }
}
