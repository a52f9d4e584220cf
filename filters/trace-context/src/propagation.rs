//! From the context that came in to the one that goes out.

use crate::carriers::Carriers;
use crate::formats::{Changes, Format};
use crate::policy::{Mode, TracePolicy};
use crate::remote::{Outgoing, Parsed, Remote};
use crate::tracestate::{self, Tracestate};
use sluicegate_host::{Entropy, SpanId, TraceFlags, TraceId};

/// What came in: for each format of which a header is there, what it says, in the order of precedence.
pub(crate) struct Incoming {
    pub(crate) formats: Vec<(Format, Parsed)>,
}

impl Incoming {
    pub(crate) fn read(carriers: &Carriers<'_>, policy: &TracePolicy) -> Incoming {
        let present = policy.ours.iter().filter(|format| carriers.present.contains(**format));
        let read = |format: &Format| match format.extract(carriers) {
            Parsed::Context { remote, exact } => {
                (*format, Parsed::Context { remote, exact: exact && !carriers.padded.contains(*format) })
            }
            other => (*format, other),
        };
        Incoming { formats: present.map(read).collect() }
    }

    /// The context that counts: of the formats to be extracted, the first that is valid.
    pub(crate) fn context(&self, policy: &TracePolicy) -> Option<(Format, Remote)> {
        self.extracted(policy).find_map(|(format, parsed)| match parsed {
            Parsed::Context { remote, .. } => Some((format, remote)),
            _ => None,
        })
    }

    /// The formats that are there but not valid.
    pub(crate) fn invalid(&self, policy: &TracePolicy) -> impl Iterator<Item = Format> {
        self.extracted(policy).filter(|(_, parsed)| *parsed == Parsed::Invalid).map(|(format, _)| format)
    }

    /// A caller's wish without a context; counts only where there is no context.
    fn decision(&self, policy: &TracePolicy) -> Option<(bool, bool)> {
        self.extracted(policy).find_map(|(_, parsed)| match parsed {
            Parsed::Decision { sampled, debug } => Some((sampled, debug)),
            _ => None,
        })
    }

    fn extracted(&self, policy: &TracePolicy) -> impl Iterator<Item = (Format, Parsed)> {
        self.formats.iter().copied().filter(|(format, _)| policy.extract.contains(format))
    }
}

/// The context of this hop: the caller's, as the mode has it, or a new one. (An observer comes here only where the proxy's
/// tracer has no span, and forwards.)
pub(crate) fn context(
    incoming: &Incoming,
    continued: Option<Remote>,
    trusted: bool,
    policy: &TracePolicy,
    entropy: &Entropy,
) -> Outgoing {
    let Some(remote) = continued else {
        let decision = incoming.decision(policy).filter(|_| trusted);
        let (sampled, debug) = decision.unwrap_or((policy.sampled_default, false));
        return Outgoing {
            trace_id: new_trace_id(entropy),
            span_id: new_span_id(entropy),
            parent_span_id: None,
            own_span: true,
            // Only who makes an id knows that it is random (Level 2 §3.2.2.5.2).
            flags: TraceFlags { sampled, random: true },
            decided: decision.is_some(),
            debug,
        };
    };
    let forwarded = remote.span_id.filter(|_| policy.mode != Mode::Participate);
    Outgoing {
        trace_id: remote.trace_id,
        span_id: forwarded.unwrap_or_else(|| new_span_id(entropy)),
        parent_span_id: remote.span_id.filter(|_| forwarded.is_none()),
        own_span: forwarded.is_none(),
        flags: TraceFlags { sampled: remote.sampled.unwrap_or(policy.sampled_default), random: remote.random },
        decided: remote.sampled.is_some(),
        debug: remote.debug,
    }
}

/// Writes the context: every format to be injected carries it, and every other header of ours that is there says the same
/// or goes. What a forwarded context came in stays, byte for byte.
pub(crate) fn inject(
    incoming: &Incoming,
    continued: Option<Format>,
    context: &Outgoing,
    policy: &TracePolicy,
    carriers: &Carriers<'_>,
) -> Changes {
    let mut changes = Changes::default();
    let forwarded = continued.filter(|_| policy.mode != Mode::Participate);
    for (format, parsed) in &incoming.formats {
        let (is_source, injected) = (forwarded == Some(*format), policy.inject.contains(*format));
        let stays = match parsed {
            _ if forwarded.is_none() => false,
            Parsed::Context { remote, exact } if is_source => *exact && (!injected || is_whole(*format, remote)),
            // Where writing it changes nothing, it costs nothing.
            _ if injected => false,
            Parsed::Context { remote, exact } => *exact && context.agrees_with(remote),
            Parsed::Decision { sampled, debug } => {
                let agrees = *sampled == context.flags.sampled && *debug == context.debug;
                agrees && !carriers.padded.contains(*format)
            }
            Parsed::Absent | Parsed::Invalid => false,
        };
        if stays {
            continue;
        }
        if injected || is_source {
            format.inject(context, carriers, &mut changes);
        } else {
            format.remove(carriers, &mut changes);
        }
    }
    for format in &policy.ours {
        if policy.inject.contains(*format) && !carriers.present.contains(*format) {
            format.inject(context, carriers, &mut changes);
        }
    }
    changes
}

/// Whether a context says all that its format can. Plain ids never do: they come in several spellings and under several
/// names, and upstream gets those that are documented.
fn is_whole(format: Format, remote: &Remote) -> bool {
    remote.span_id.is_some() && format != Format::Plain
}

/// What is to become of the `tracestate`: it belongs to the trace of its traceparent, and goes on only with that.
pub(crate) fn tracestate(
    incoming: &Incoming,
    context: &Outgoing,
    carriers: &Carriers<'_>,
    changes: &mut Changes,
) -> Tracestate {
    let state = tracestate::check(&carriers.tracestate);
    let same_trace = incoming.formats.iter().any(|(format, parsed)| {
        matches!((format, parsed), (Format::W3c, Parsed::Context { remote, .. }) if remote.trace_id == context.trace_id)
    });
    let gone = changes.0.iter().any(|(name, change)| name == "traceparent" && change.is_none());
    match state {
        Tracestate::Absent => {}
        Tracestate::Valid if same_trace && !gone => {}
        Tracestate::Padded if same_trace && !gone => {
            changes.set("tracestate", tracestate::combine(&carriers.tracestate))
        }
        _ => changes.remove("tracestate"),
    }
    state
}

/// Not all zero; a generator that gives only zeros would be broken, not unlucky.
fn new_trace_id(entropy: &Entropy) -> TraceId {
    loop {
        if let Some(id) = TraceId::new(entropy.bytes()) {
            return id;
        }
    }
}

fn new_span_id(entropy: &Entropy) -> SpanId {
    loop {
        if let Some(id) = SpanId::new(entropy.bytes()) {
            return id;
        }
    }
}
