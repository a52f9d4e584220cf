use crate::Attributes;
use crate::protobuf::Writer;

/// A span (`opentelemetry.proto.trace.v1.Span`) but for its attributes and links, which [`Span::encode`] asks for. It has
/// no events.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// The trace. Not all zero.
    pub trace_id: [u8; 16],
    /// The span. Not all zero.
    pub span_id: [u8; 8],
    /// The parent; `None` for a root.
    pub parent_span_id: Option<[u8; 8]>,
    /// The W3C `tracestate`; empty for none.
    pub trace_state: &'a str,
    /// W3C trace flags in the lowest 8 bits; bit 8 says that bit 9 is known, which is set where the parent is remote.
    pub flags: u32,
    /// The name, of few different values.
    pub name: &'a str,
    /// On which side of the exchange it stands.
    pub kind: SpanKind,
    /// Nanoseconds since the Unix epoch.
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the Unix epoch, not before the start.
    pub end_time_unix_nano: u64,
    /// How it went.
    pub status: SpanStatus<'a>,
    /// How many attributes there were beside those that are given.
    pub dropped_attributes_count: u32,
}

/// Numbered as in OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SpanKind {
    /// Nothing of the following.
    Internal = 1,
    /// Serves a request.
    Server = 2,
    /// Makes a request.
    Client = 3,
    /// Sends a message.
    Producer = 4,
    /// Receives a message.
    Consumer = 5,
}

/// How a span's operation went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanStatus<'a> {
    /// No more to say: what instrumentation leaves where nothing failed.
    #[default]
    Unset,
    /// Somebody made sure that it went well.
    Ok,
    /// It failed, with a message for people that may be empty.
    Error(&'a str),
}

/// A link to a span of another trace.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The other trace.
    pub trace_id: [u8; 16],
    /// The span there.
    pub span_id: [u8; 8],
    /// Its `tracestate`; empty for none.
    pub trace_state: &'a str,
    /// As [`Span::flags`].
    pub flags: u32,
}

/// Where the attributes and links of a span go, in any order.
pub struct SpanParts<'w, 'b>(&'w mut Writer<'b>);

impl<'b> SpanParts<'_, 'b> {
    /// The attributes of the span.
    pub fn attributes(&mut self) -> Attributes<'_, 'b> {
        Attributes::new(self.0, 9)
    }

    /// Adds a link, with attributes of its own.
    pub fn link(&mut self, link: &Link<'_>, attributes: impl FnOnce(&mut Attributes<'_, '_>)) {
        self.0.message(13, |writer| {
            writer.bytes(1, &link.trace_id);
            writer.bytes(2, &link.span_id);
            writer.bytes_unless_empty(3, link.trace_state.as_bytes());
            attributes(&mut Attributes::new(writer, 4));
            writer.fixed32_unless_zero(6, link.flags);
        });
    }
}

impl Span<'_> {
    /// Appends the span to `buffer`, in the form that [`crate::Exporter::add`] takes; `parts` adds attributes and links.
    pub fn encode(&self, buffer: &mut Vec<u8>, parts: impl FnOnce(&mut SpanParts<'_, '_>)) {
        let mut span = Writer(buffer);
        span.bytes(1, &self.trace_id);
        span.bytes(2, &self.span_id);
        span.bytes_unless_empty(3, self.trace_state.as_bytes());
        if let Some(parent) = self.parent_span_id {
            span.bytes(4, &parent);
        }
        span.bytes_unless_empty(5, self.name.as_bytes());
        span.varint(6, self.kind as u64);
        span.fixed64_unless_zero(7, self.start_time_unix_nano);
        span.fixed64_unless_zero(8, self.end_time_unix_nano);
        parts(&mut SpanParts(&mut span));
        span.varint_unless_zero(10, u64::from(self.dropped_attributes_count));
        match self.status {
            SpanStatus::Unset => {}
            SpanStatus::Ok => span.message(15, |status| status.varint(3, 1)),
            SpanStatus::Error(message) => span.message(15, |status| {
                status.bytes_unless_empty(2, message.as_bytes());
                status.varint(3, 2);
            }),
        }
        span.fixed32_unless_zero(16, self.flags);
    }
}
