//! The formats that carry a trace context, a file each. Every file knows how to read its headers and how to write them.

mod azure;
mod b3;
mod google;
mod jaeger;
mod plain;
mod w3c;
mod xray;

use crate::carriers::Carriers;
use crate::remote::{Outgoing, Parsed};
use sluicegate_host::HeaderMap;
use std::borrow::Cow;

/// A format that can carry a trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Format {
    /// `traceparent` and `tracestate` (W3C Trace Context, Level 2).
    W3c,
    /// `b3`.
    B3,
    /// `X-B3-TraceId` and its like.
    B3Multi,
    /// `uber-trace-id`.
    Jaeger,
    /// `X-Amzn-Trace-Id` (AWS).
    Xray,
    /// `X-Cloud-Trace-Context`.
    Google,
    /// `Request-Id`, hierarchical, with a root that is a W3C trace id.
    Azure,
    /// `X-Trace-ID` and `X-Span-ID`, over gRPC `trace-id` and `span-id`.
    Plain,
}

impl Format {
    /// Every format, in the order in which they are looked for unless the policy says otherwise: the standard first, then
    /// those that carry whole ids and a decision, then those that a load balancer may have put there, the least specific
    /// last.
    pub const ALL: [Format; 8] = [
        Format::W3c,
        Format::B3,
        Format::B3Multi,
        Format::Jaeger,
        Format::Xray,
        Format::Google,
        Format::Azure,
        Format::Plain,
    ];

    /// Its name in the policy and on metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Format::W3c => "w3c",
            Format::B3 => "b3",
            Format::B3Multi => "b3_multi",
            Format::Jaeger => "jaeger",
            Format::Xray => "xray",
            Format::Google => "google",
            Format::Azure => "azure",
            Format::Plain => "plain",
        }
    }

    /// Reads the context in this format's headers.
    pub(crate) fn extract(self, carriers: &Carriers<'_>) -> Parsed {
        match self {
            Format::W3c => w3c::extract(carriers),
            Format::B3 => b3::extract_single(carriers),
            Format::B3Multi => b3::extract_multi(carriers),
            Format::Jaeger => jaeger::extract(carriers),
            Format::Xray => xray::extract(carriers),
            Format::Google => google::extract(carriers),
            Format::Azure => azure::extract(carriers),
            Format::Plain => plain::extract(carriers),
        }
    }

    /// Writes the context into this format's headers.
    pub(crate) fn inject(self, context: &Outgoing, carriers: &Carriers<'_>, out: &mut Changes) {
        match self {
            Format::W3c => w3c::inject(context, out),
            Format::B3 => b3::inject_single(context, out),
            Format::B3Multi => b3::inject_multi(context, carriers, out),
            Format::Jaeger => jaeger::inject(context, out),
            Format::Xray => xray::inject(context, carriers, out),
            Format::Google => google::inject(context, out),
            Format::Azure => azure::inject(context, out),
            Format::Plain => plain::inject(context, carriers, out),
        }
    }

    /// Whether a header of this name belongs to the format; `name` in lower case.
    pub(crate) fn owns(self, name: &str) -> bool {
        let named = HeaderMap::from_pairs(&[(name, "|")]);
        Carriers::pick(&named, true, true).present.contains(self)
    }

    /// Takes away every header of this format that is there.
    pub(crate) fn remove(self, carriers: &Carriers<'_>, out: &mut Changes) {
        let mut gone = |present: bool, name: &'static str| {
            if present {
                out.remove(name);
            }
        };
        match self {
            Format::W3c => {
                gone(!carriers.traceparent.is_absent(), w3c::TRACEPARENT);
                gone(!carriers.tracestate.is_empty(), w3c::TRACESTATE);
            }
            Format::B3 => gone(true, b3::SINGLE),
            Format::B3Multi => {
                gone(!carriers.b3_trace_id.is_absent(), b3::TRACE_ID);
                gone(!carriers.b3_span_id.is_absent(), b3::SPAN_ID);
                gone(!carriers.b3_parent_span_id.is_absent(), b3::PARENT_SPAN_ID);
                gone(!carriers.b3_sampled.is_absent(), b3::SAMPLED);
                gone(!carriers.b3_flags.is_absent(), b3::FLAGS);
            }
            Format::Jaeger => gone(true, jaeger::HEADER),
            Format::Xray => gone(true, xray::HEADER),
            Format::Google => gone(true, google::HEADER),
            Format::Azure => gone(true, azure::HEADER),
            Format::Plain => {
                for (fields, names) in [(carriers.plain, plain::HTTP), (carriers.plain_grpc, plain::GRPC)] {
                    gone(!fields.trace_id.is_absent(), names.trace_id);
                    gone(!fields.span_id.is_absent(), names.span_id);
                    gone(!fields.parent_span_id.is_absent(), names.parent_span_id);
                }
            }
        }
    }
}

/// A set of formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Formats(u8);

impl Formats {
    pub(crate) fn insert(&mut self, format: Format) {
        self.0 |= 1 << format as u8;
    }

    pub(crate) fn contains(self, format: Format) -> bool {
        self.0 & 1 << format as u8 != 0
    }
}

impl FromIterator<Format> for Formats {
    fn from_iter<I: IntoIterator<Item = Format>>(formats: I) -> Formats {
        let mut set = Formats::default();
        formats.into_iter().for_each(|format| set.insert(format));
        set
    }
}

/// Changes to the request's headers, in order; a later one to the same header counts.
#[derive(Debug, Default)]
pub(crate) struct Changes(pub(crate) Vec<(Cow<'static, str>, Option<Vec<u8>>)>);

impl Changes {
    pub(crate) fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Vec<u8>>) {
        self.0.push((name.into(), Some(value.into())));
    }

    pub(crate) fn remove(&mut self, name: impl Into<Cow<'static, str>>) {
        self.0.push((name.into(), None));
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! What the tests of all formats share.

    use super::*;
    use crate::carriers::Carriers;
    use crate::remote::Remote;
    use sluicegate_host::{SpanId, TraceFlags, TraceId};

    pub(crate) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    pub(crate) const SPAN: &str = "00f067aa0ba902b7";

    pub(crate) fn trace_id(hex: &str) -> TraceId {
        TraceId::new(sluicegate_host::hex::decode(hex.as_bytes()).unwrap()).unwrap()
    }

    pub(crate) fn span_id(hex: &str) -> SpanId {
        SpanId::new(sluicegate_host::hex::decode(hex.as_bytes()).unwrap()).unwrap()
    }

    /// What a format reads in these headers, of a gRPC request.
    pub(crate) fn extracted<V: AsRef<[u8]>>(format: Format, headers: &[(&str, V)]) -> Parsed {
        let map = HeaderMap::from_pairs(headers);
        format.extract(&Carriers::pick(&map, true, true))
    }

    /// The ids and the decision of a context.
    pub(crate) fn context(trace: &str, span: Option<&str>, sampled: Option<bool>) -> Remote {
        Remote { trace_id: trace_id(trace), span_id: span.map(span_id), sampled, debug: false, random: false }
    }

    pub(crate) fn outgoing(sampled: bool) -> Outgoing {
        Outgoing {
            trace_id: trace_id(TRACE),
            span_id: span_id(SPAN),
            parent_span_id: None,
            own_span: true,
            flags: TraceFlags { sampled, random: false },
            decided: true,
            debug: false,
        }
    }

    /// The headers that a format writes for a request that had none of them, each as `name: value`.
    pub(crate) fn written(format: Format, context: &Outgoing, grpc: bool) -> Vec<String> {
        let mut changes = Changes::default();
        format.inject(context, &Carriers { grpc, ..Carriers::default() }, &mut changes);
        lines(changes)
    }

    /// Each header that is set, as `name: value`, and each that is removed, as `name`.
    pub(crate) fn lines(changes: Changes) -> Vec<String> {
        let line = |(name, value): (Cow<'static, str>, Option<Vec<u8>>)| match value {
            Some(value) => format!("{name}: {}", String::from_utf8(value).unwrap()),
            None => name.into_owned(),
        };
        changes.0.into_iter().map(line).collect()
    }
}
