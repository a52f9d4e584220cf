//! What the proxy's own tracer says about an exchange (`trace.mode: observe`).
//!
//! Its router writes `traceparent` after all filters, so where it has a span we inject nothing; a `header_mutation` filter ahead of
//! ours leaves the tracer's ids in a header: `{trace id}-{span id}`. A header without ids (`-`) says that this exchange has
//! no span; then the router writes nothing either, and what came in is ours to put right.

use crate::carriers::Carriers;
use crate::formats::Format;
use crate::remote::Parsed;
use sluicegate_host::hex;
use sluicegate_host::{Origin, SpanId, TraceFacts, TraceFlags, TraceId};

/// What the tracer left in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracer {
    /// No header: nobody puts it there.
    Silent,
    /// A header without ids: no span for this exchange.
    NoSpan,
    /// The trace, and the span of this hop where it was said.
    Span(TraceId, Option<SpanId>),
}

impl Tracer {
    pub(crate) fn read(header: Option<&[u8]>) -> Tracer {
        match (header, header.and_then(parse)) {
            (_, Some((trace_id, span_id))) => Tracer::Span(trace_id, span_id),
            (Some(_), None) => Tracer::NoSpan,
            (None, None) => Tracer::Silent,
        }
    }
}

/// The trace of the exchange; `None` where the tracer left nothing and no caller sent a context, for then its id is known
/// only after us.
pub(crate) fn facts(tracer: Tracer, carriers: &Carriers<'_>, sampled_default: bool) -> Option<TraceFacts> {
    let caller = match Format::W3c.extract(carriers) {
        Parsed::Context { remote, .. } => Some(remote),
        _ => None,
    };
    let Tracer::Span(trace_id, span_id) = tracer else {
        // The tracer continues the caller's trace, with a span that we do not know.
        let remote = caller?;
        return Some(TraceFacts {
            trace_id: remote.trace_id,
            span_id: remote.span_id?,
            parent_span_id: None,
            own_span: false,
            flags: TraceFlags { sampled: remote.sampled.unwrap_or(sampled_default), random: remote.random },
            decided: remote.sampled.is_some(),
            origin: Origin::Continued,
            outside: None,
        });
    };
    let caller = caller.filter(|remote| remote.trace_id == trace_id);
    let parent_span_id = caller.and_then(|remote| remote.span_id);
    Some(TraceFacts {
        trace_id,
        span_id: span_id.or(parent_span_id)?,
        parent_span_id: parent_span_id.filter(|_| span_id.is_some()),
        own_span: true,
        flags: TraceFlags {
            // The tracer does not tell its decision; it keeps to the caller's.
            sampled: caller.and_then(|remote| remote.sampled).unwrap_or(sampled_default),
            random: caller.is_some_and(|remote| remote.random),
        },
        decided: true,
        origin: Origin::Proxy,
        outside: None,
    })
}

fn parse(value: &[u8]) -> Option<(TraceId, Option<SpanId>)> {
    let (trace_id, rest) = value.trim_ascii().split_at_checked(32)?;
    let trace_id = TraceId::new(hex::decode(trace_id)?)?;
    let span_id = rest.strip_prefix(b"-").and_then(hex::decode).and_then(SpanId::new);
    Some((trace_id, span_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::testing::{SPAN, TRACE, span_id, trace_id};
    use sluicegate_host::HeaderMap;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const OWN: &str = "1111111111111111";

    fn observed(tracer: Option<&str>, traceparent: Option<String>) -> Option<TraceFacts> {
        let pairs: Vec<_> = traceparent.iter().map(|value| ("traceparent", value)).collect();
        let map = HeaderMap::from_pairs(&pairs);
        facts(Tracer::read(tracer.map(str::as_bytes)), &Carriers::pick(&map, false, true), true)
    }

    #[test]
    fn the_tracers_ids_count_and_the_caller_is_the_parent() {
        let facts = observed(Some(&format!("{TRACE}-{OWN}")), Some(format!("00-{TRACE}-{SPAN}-00"))).unwrap();
        assert_eq!((facts.trace_id, facts.span_id), (trace_id(TRACE), span_id(OWN)));
        assert_eq!(facts.parent_span_id, Some(span_id(SPAN)));
        assert_eq!((facts.flags.sampled, facts.origin), (false, Origin::Proxy));
    }

    #[test]
    fn a_caller_whom_the_tracer_did_not_follow_is_no_parent() {
        let other = "ffffffffffffffffffffffffffffffff";
        let facts = observed(Some(&format!("{TRACE}-{OWN}")), Some(format!("00-{other}-{SPAN}-00"))).unwrap();
        assert_eq!((facts.trace_id, facts.parent_span_id), (trace_id(TRACE), None));
    }

    #[test]
    fn a_header_without_ids_says_that_there_is_no_span() {
        assert_eq!(Tracer::read(None), Tracer::Silent);
        for value in ["-", "", "x", "00000000000000000000000000000000-0000000000000000"] {
            assert_eq!(Tracer::read(Some(value.as_bytes())), Tracer::NoSpan, "{value}");
        }
        assert_eq!(Tracer::read(Some(TRACE.as_bytes())), Tracer::Span(trace_id(TRACE), None));
    }

    #[test]
    fn without_the_tracers_header_the_callers_context_is_what_is_known() {
        let facts = observed(None, Some(format!("00-{TRACE}-{SPAN}-01"))).unwrap();
        assert_eq!((facts.trace_id, facts.span_id, facts.origin), (trace_id(TRACE), span_id(SPAN), Origin::Continued));
        assert_eq!(observed(None, None), None);
    }
}
