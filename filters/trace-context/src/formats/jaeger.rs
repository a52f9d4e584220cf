//! Jaeger's `uber-trace-id`: `{trace-id}:{span-id}:{parent-span-id}:{flags}`
//! (jaegertracing.io, "Client Libraries", propagation format).

use super::Changes;
use crate::carriers::Carriers;
use crate::remote::{Outgoing, Parsed, Remote};
use sluicegate_host::hex;
use sluicegate_host::{SpanId, TraceId};

pub(super) const HEADER: &str = "uber-trace-id";

const SAMPLED: u8 = 1;
const DEBUG: u8 = 2;

pub(super) fn extract(carriers: &Carriers<'_>) -> Parsed {
    carriers.jaeger.read(|value| Parsed::exact(parse(value)))
}

/// Leading zeros may have been dropped, and the colons percent-encoded.
fn parse(value: &[u8]) -> Option<Remote> {
    let (trace_id, rest) = split_at_colon(value)?;
    let (span_id, rest) = split_at_colon(rest)?;
    let (parent, flags) = split_at_colon(rest)?;
    // Deprecated; clients write 0 or nothing.
    if !parent.is_empty() {
        hex::decode_short::<8>(parent)?;
    }
    let [flags] = hex::decode_short(flags)?;
    let debug = flags & DEBUG != 0;
    Some(Remote {
        trace_id: TraceId::new(hex::decode_short(trace_id)?)?,
        span_id: Some(SpanId::new(hex::decode_short(span_id)?)?),
        sampled: Some(debug || flags & SAMPLED != 0),
        debug,
        random: false,
    })
}

fn split_at_colon(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = value.iter().position(|byte| matches!(byte, b':' | b'%'))?;
    let (before, from) = value.split_at_checked(at)?;
    let after = from.strip_prefix(b":").or_else(|| from.strip_prefix(b"%3A")).or_else(|| from.strip_prefix(b"%3a"))?;
    Some((before, after))
}

pub(super) fn inject(context: &Outgoing, out: &mut Changes) {
    let mut value = Vec::with_capacity(72);
    hex::push(&mut value, context.trace_id.bytes());
    value.push(b':');
    hex::push(&mut value, context.span_id.bytes());
    value.extend_from_slice(match (context.debug, context.flags.sampled) {
        (true, _) => b":0:3",
        (false, true) => b":0:1",
        (false, false) => b":0:0",
    });
    out.set(HEADER, value);
}

#[cfg(test)]
mod tests {
    use super::super::Format::Jaeger;
    use super::super::testing::*;
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn ids_are_read_with_their_leading_zeros_dropped_and_colons_encoded() {
        let sampled = context(TRACE, Some(SPAN), Some(true));
        let debug = Remote { debug: true, ..sampled };
        let short = context(&format!("{}1f", "0".repeat(30)), Some("000000000000000a"), Some(false));
        for (value, expected) in [
            (format!("{TRACE}:{SPAN}:0:1"), sampled),
            (format!("{TRACE}:f067aa0ba902b7:0:01"), sampled),
            (format!("{TRACE}%3A{SPAN}%3a0%3A1"), sampled),
            (format!("{TRACE}:{SPAN}::9"), sampled),
            (format!("{TRACE}:{SPAN}:05e3ac9a4f6e3b90:3"), debug),
            (format!("{TRACE}:{SPAN}:0:2"), debug),
            ("1f:a:0:0".to_owned(), short),
        ] {
            assert_eq!(extracted(Jaeger, &[(HEADER, &value)]), Parsed::exact(Some(expected)), "{value}");
        }
    }

    #[test]
    fn what_breaks_the_format_is_invalid() {
        for value in [
            String::new(),
            TRACE.into(),
            format!("{TRACE}:{SPAN}:0"),
            format!("{TRACE}:{SPAN}:0:"),
            format!("{TRACE}:{SPAN}:0:1:1"),
            format!("{TRACE}:{SPAN}:x:1"),
            format!("{TRACE}:{SPAN}:0:x"),
            format!("{TRACE}:{SPAN}:0:100"),
            format!("0:{SPAN}:0:1"),
            format!("{TRACE}:0:0:1"),
            format!(":{SPAN}:0:1"),
            format!("0{TRACE}:{SPAN}:0:1"),
            format!("{TRACE}:0{SPAN}:0:1"),
            format!("{TRACE}%3B{SPAN}:0:1"),
        ] {
            assert_eq!(extracted(Jaeger, &[(HEADER, &value)]), Parsed::Invalid, "{value}");
        }
    }

    #[test]
    fn what_is_written_has_whole_ids() {
        assert_eq!(written(Jaeger, &outgoing(false), false), [format!("{HEADER}: {TRACE}:{SPAN}:0:0")]);
    }
}
