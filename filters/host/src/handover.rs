//! How facts reach a filter that runs as a plugin of its own, where they cannot be handed over in memory: by the headers
//! that carry them to the upstream anyway, else by filter state.

use crate::{
    Attribute, Exchange, HeaderMap, LocalReply, Origin, RequestId, SpanId, TraceFacts, TraceFlags, Traceparent, hex,
};
use sluicegate_policy::Document;

/// Filter state: the caller's span, 16 lower-case hex digits, where this hop has a span of its own.
const PARENT_SPAN: &str = "sluicegate_parent_span";

/// Filter state: a word for the answer that a filter of ours gave.
const REPLY: &str = "sluicegate_reply";

/// What upstream saw as `traceparent`, once the exchange is over: the proxy's own tracer, where there is one, writes it
/// after all filters.
pub const TRACEPARENT_HANDED_OVER: Attribute = Attribute::Proxy("request.headers.traceparent");

/// The caller's span, as [`Exchange::hand_over_parent_span`] left it.
pub const PARENT_SPAN_HANDED_OVER: Attribute = Attribute::FilterState(PARENT_SPAN);

impl Exchange {
    /// Leaves the caller's span to other plugins: `traceparent` carries only this hop's own. One hostcall.
    pub fn hand_over_parent_span(&self, parent: SpanId) {
        // Without it a record lacks its parent, which is no reason to fail a request.
        _ = self.set_filter_state(PARENT_SPAN, &hex::text(parent.bytes()));
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
    /// The trace context of which upstream saw this `traceparent`; `parent` is [`PARENT_SPAN_HANDED_OVER`].
    pub fn handed_over(traceparent: &[u8], parent: Option<&[u8]>) -> Option<TraceFacts> {
        let Traceparent { trace_id, span_id, flags, .. } = Traceparent::parse(traceparent)?;
        Some(TraceFacts {
            trace_id,
            span_id,
            parent_span_id: parent.and_then(hex::decode_lower).and_then(SpanId::new),
            flags: TraceFlags::from_byte(flags),
            origin: Origin::Continued,
            outside: None,
        })
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
    pub fn handed_over(headers: &HeaderMap, header: &str) -> Option<RequestId> {
        RequestId::parse(headers.get(header)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_context_travels_in_traceparent_and_the_callers_span_beside_it() {
        let handed_over = |parent| TraceFacts::handed_over(TRACEPARENT.as_bytes(), parent).unwrap();
        let facts = handed_over(Some(b"b7ad6b7169203331"));
        assert_eq!(facts.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(facts.span_id.to_string(), "00f067aa0ba902b7");
        assert_eq!(facts.parent_span_id.map(|id| id.to_string()).as_deref(), Some("b7ad6b7169203331"));
        assert!(facts.flags.sampled);
        for parent in [None, Some(&b"0000000000000000"[..]), Some(b"x"), Some(b"")] {
            assert_eq!(handed_over(parent).parent_span_id, None);
        }
    }

    #[test]
    fn a_broken_traceparent_is_none() {
        let twice = format!("{TRACEPARENT},{TRACEPARENT}");
        for traceparent in ["", "x", &twice, "00-4bf9-00f0-01"] {
            assert_eq!(TraceFacts::handed_over(traceparent.as_bytes(), None), None, "{traceparent}");
        }
    }
}
