use sluicegate_host::{SpanId, TraceFlags, TraceId};

/// The context of a caller, as one of the formats carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) trace_id: TraceId,
    /// The caller's span; some formats may leave it out.
    pub(crate) span_id: Option<SpanId>,
    /// `None`: the decision is left to whoever comes next.
    pub(crate) sampled: Option<bool>,
    /// B3's and Jaeger's "record this whatever the sampler says"; implies sampled.
    pub(crate) debug: bool,
    /// W3C Level 2's random-trace-id flag; no other format carries it.
    pub(crate) random: bool,
}

/// What the headers of one format said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// None of them is there.
    Absent,
    /// Something is there, and it is not valid.
    Invalid,
    /// No ids, only the caller's wish to be sampled, or not (B3).
    Decision { sampled: bool, debug: bool },
    /// A context. `exact`: the headers may stay as they are.
    Context { remote: Remote, exact: bool },
}

impl Parsed {
    pub(crate) fn exact(remote: Option<Remote>) -> Parsed {
        match remote {
            Some(remote) => Parsed::Context { remote, exact: true },
            None => Parsed::Invalid,
        }
    }
}

/// The context that upstream is to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: Option<SpanId>,
    /// Whether the span is this hop's own.
    pub(crate) own_span: bool,
    pub(crate) flags: TraceFlags,
    /// Whether the caller decided about being sampled.
    pub(crate) decided: bool,
    pub(crate) debug: bool,
}

impl Outgoing {
    /// Whether a context that came in says the same, as far as its format says anything.
    pub(crate) fn agrees_with(&self, remote: &Remote) -> bool {
        remote.trace_id == self.trace_id
            && remote.span_id.is_none_or(|span_id| span_id == self.span_id)
            && remote.sampled.is_none_or(|sampled| sampled == self.flags.sampled)
            && remote.debug == self.debug
    }
}
