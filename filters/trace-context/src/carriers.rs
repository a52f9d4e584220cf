use crate::formats::{Format, Formats};
use crate::remote::Parsed;
use sluicegate_host::hex;
use sluicegate_host::{HeaderMap, SpanId};

/// The headers of a request that can carry a trace context, picked out in one pass, and what is known of who sent them.
#[derive(Default)]
pub(crate) struct Carriers<'m> {
    /// The request is gRPC, and its metadata may carry a context too.
    pub(crate) grpc: bool,
    /// The sender may choose what goes on.
    pub(crate) trusted: bool,
    pub(crate) traceparent: Field<'m>,
    pub(crate) tracestate: Vec<&'m [u8]>,
    pub(crate) b3: Field<'m>,
    pub(crate) b3_trace_id: Field<'m>,
    pub(crate) b3_span_id: Field<'m>,
    pub(crate) b3_parent_span_id: Field<'m>,
    pub(crate) b3_sampled: Field<'m>,
    pub(crate) b3_flags: Field<'m>,
    pub(crate) jaeger: Field<'m>,
    pub(crate) xray: Field<'m>,
    pub(crate) google: Field<'m>,
    pub(crate) azure: Field<'m>,
    pub(crate) plain: PlainFields<'m>,
    /// gRPC metadata; left empty for other requests, where these names mean nothing.
    pub(crate) plain_grpc: PlainFields<'m>,
    /// The formats of which a header is there.
    pub(crate) present: Formats,
    /// Those of which one has blanks around its value. HTTP/1.1 takes them off, HTTP/2 does not but calls the message
    /// malformed (RFC 9113 §8.2.1), so such a header is understood and never passed on as it is.
    pub(crate) padded: Formats,
}

/// `X-Trace-ID` and its like.
#[derive(Clone, Copy, Default)]
pub(crate) struct PlainFields<'m> {
    pub(crate) trace_id: Field<'m>,
    pub(crate) span_id: Field<'m>,
    pub(crate) parent_span_id: Field<'m>,
}

/// A header that makes sense only once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Field<'m> {
    #[default]
    Absent,
    One(&'m [u8]),
    Repeated,
}

impl<'m> Field<'m> {
    pub(crate) fn is_absent(self) -> bool {
        self == Field::Absent
    }

    /// What its one value says; a repeated header is invalid.
    pub(crate) fn read(self, parse: impl FnOnce(&[u8]) -> Parsed) -> Parsed {
        match self {
            Field::Absent => Parsed::Absent,
            Field::Repeated => Parsed::Invalid,
            Field::One(value) => parse(value),
        }
    }

    /// Whether it holds a span id, if it is there.
    pub(crate) fn is_absent_or_span_id(self) -> bool {
        match self {
            Field::Absent => true,
            Field::Repeated => false,
            Field::One(digits) => hex::decode(digits).and_then(SpanId::new).is_some(),
        }
    }

    fn put(&mut self, value: &'m [u8]) {
        *self = match self {
            Field::Absent => Field::One(value),
            _ => Field::Repeated,
        };
    }
}

impl<'m> Carriers<'m> {
    pub(crate) fn pick(headers: &'m HeaderMap, grpc: bool, trusted: bool) -> Carriers<'m> {
        let mut carriers = Carriers { grpc, trusted, ..Carriers::default() };
        for (name, value) in headers.iter() {
            carriers.put(name, value);
        }
        carriers
    }

    fn put(&mut self, name: &[u8], value: &'m [u8]) {
        let grpc = self.grpc;
        let (field, format) = match name {
            b"traceparent" => (&mut self.traceparent, Format::W3c),
            b"tracestate" => {
                self.tracestate.push(value);
                self.present.insert(Format::W3c);
                return;
            }
            // Request ids of all sorts go by this name; only the hierarchical ones are contexts.
            b"request-id" if !value.trim_ascii_start().starts_with(b"|") => return,
            b"b3" => (&mut self.b3, Format::B3),
            b"x-b3-traceid" => (&mut self.b3_trace_id, Format::B3Multi),
            b"x-b3-spanid" => (&mut self.b3_span_id, Format::B3Multi),
            b"x-b3-parentspanid" => (&mut self.b3_parent_span_id, Format::B3Multi),
            b"x-b3-sampled" => (&mut self.b3_sampled, Format::B3Multi),
            b"x-b3-flags" => (&mut self.b3_flags, Format::B3Multi),
            b"uber-trace-id" => (&mut self.jaeger, Format::Jaeger),
            b"x-amzn-trace-id" => (&mut self.xray, Format::Xray),
            b"x-cloud-trace-context" => (&mut self.google, Format::Google),
            b"request-id" => (&mut self.azure, Format::Azure),
            b"x-trace-id" => (&mut self.plain.trace_id, Format::Plain),
            b"x-span-id" => (&mut self.plain.span_id, Format::Plain),
            b"x-parent-span-id" => (&mut self.plain.parent_span_id, Format::Plain),
            b"trace-id" if grpc => (&mut self.plain_grpc.trace_id, Format::Plain),
            b"span-id" if grpc => (&mut self.plain_grpc.span_id, Format::Plain),
            b"parent-span-id" if grpc => (&mut self.plain_grpc.parent_span_id, Format::Plain),
            _ => return,
        };
        let trimmed = value.trim_ascii();
        if trimmed.len() < value.len() {
            self.padded.insert(format);
        }
        field.put(trimmed);
        self.present.insert(format);
    }
}
