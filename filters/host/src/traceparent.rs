//! The header in which a trace context travels: W3C Trace Context, Level 2, §3.2.

use crate::{SpanId, TraceFlags, TraceId, hex};

/// A valid `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    /// The version that wrote it; what is beyond version 00 is not read.
    pub version: u8,
    /// The trace.
    pub trace_id: TraceId,
    /// The caller's span (`parent-id`).
    pub span_id: SpanId,
    /// The flags as they came, undefined ones included.
    pub flags: u8,
}

/// The length of version 00, and of the part of later versions that 00 understands.
const LEN: usize = 55;

impl Traceparent {
    /// The name of the header.
    pub const HEADER: &'static str = "traceparent";

    /// Reads one; `None` where it is not valid.
    pub fn parse(value: &[u8]) -> Option<Traceparent> {
        let (known, beyond) = value.split_at_checked(LEN)?;
        let [version, trace_id, span_id, flags] = split4(known)?;
        let [version] = hex::decode_lower(version)?;
        match (version, beyond) {
            (0xff, _) => return None,
            (0x00, []) | (0x01..=0xfe, [] | [b'-', ..]) => {}
            _ => return None,
        }
        let [flags] = hex::decode_lower(flags)?;
        Some(Traceparent {
            version,
            trace_id: TraceId::new(hex::decode_lower(trace_id)?)?,
            span_id: SpanId::new(hex::decode_lower(span_id)?)?,
            flags,
        })
    }

    /// The value of the header, in version 00.
    pub fn value(trace_id: TraceId, span_id: SpanId, flags: TraceFlags) -> Vec<u8> {
        let mut value = Vec::with_capacity(LEN);
        value.extend_from_slice(b"00-");
        hex::push(&mut value, trace_id.bytes());
        value.push(b'-');
        hex::push(&mut value, span_id.bytes());
        value.push(b'-');
        hex::push(&mut value, &[flags.byte()]);
        value
    }
}

fn split4(value: &[u8]) -> Option<[&[u8]; 4]> {
    let mut fields = value.split(|byte| *byte == b'-');
    let four = [fields.next()?, fields.next()?, fields.next()?, fields.next()?];
    fields.next().is_none().then_some(four)
}
