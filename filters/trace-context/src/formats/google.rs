//! Google's `X-Cloud-Trace-Context`: `{trace-id}/{span-id};o={options}`, the span id in decimal, all after the trace id
//! optional (Google Cloud Trace, "Trace context").

use super::Changes;
use crate::carriers::Carriers;
use crate::remote::{Outgoing, Parsed, Remote};
use sluicegate_host::hex;
use sluicegate_host::{SpanId, TraceId};

pub(super) const HEADER: &str = "x-cloud-trace-context";

pub(super) fn extract(carriers: &Carriers<'_>) -> Parsed {
    carriers.google.read(|value| Parsed::exact(parse(value)))
}

fn parse(value: &[u8]) -> Option<Remote> {
    let (ids, options) = match value.iter().position(|byte| *byte == b';') {
        Some(at) => (value.get(..at)?, Some(value.get(at..)?.strip_prefix(b";o=")?)),
        None => (value, None),
    };
    let (trace_id, span_id) = match ids.iter().position(|byte| *byte == b'/') {
        Some(at) => (ids.get(..at)?, decimal(ids.get(at..)?.strip_prefix(b"/")?)?),
        None => (ids, 0),
    };
    let sampled = match options {
        Some(options) => Some(decimal(options)? & 1 != 0),
        None => None,
    };
    Some(Remote {
        trace_id: TraceId::new(hex::decode(trace_id)?)?,
        // Zero is how a load balancer says that it has no span.
        span_id: SpanId::new(span_id.to_be_bytes()),
        sampled,
        debug: false,
        random: false,
    })
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None; // the standard library would take a plus sign
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

pub(super) fn inject(context: &Outgoing, out: &mut Changes) {
    let mut value = Vec::with_capacity(57);
    hex::push(&mut value, context.trace_id.bytes());
    value.push(b'/');
    value.extend_from_slice(u64::from_be_bytes(*context.span_id.bytes()).to_string().as_bytes());
    value.extend_from_slice(if context.flags.sampled { b";o=1" } else { b";o=0" });
    out.set(HEADER, value);
}

#[cfg(test)]
mod tests {
    use super::super::Format::Google;
    use super::super::testing::*;
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// `SPAN` in decimal.
    const DECIMAL: &str = "67667974448284343";

    #[test]
    fn the_span_id_is_decimal_and_optional_as_are_the_options() {
        for (value, expected) in [
            (format!("{TRACE}/{DECIMAL};o=1"), context(TRACE, Some(SPAN), Some(true))),
            (format!("{TRACE}/{DECIMAL};o=0"), context(TRACE, Some(SPAN), Some(false))),
            (format!("{TRACE}/{DECIMAL};o=3"), context(TRACE, Some(SPAN), Some(true))),
            (format!("{TRACE}/{DECIMAL};o=2"), context(TRACE, Some(SPAN), Some(false))),
            (format!("{TRACE}/{DECIMAL}"), context(TRACE, Some(SPAN), None)),
            (format!("{TRACE};o=1"), context(TRACE, None, Some(true))),
            (format!("{TRACE}/0;o=1"), context(TRACE, None, Some(true))),
            (TRACE.to_uppercase(), context(TRACE, None, None)),
            (format!("{TRACE}/18446744073709551615"), context(TRACE, Some("ffffffffffffffff"), None)),
        ] {
            assert_eq!(extracted(Google, &[(HEADER, &value)]), Parsed::exact(Some(expected)), "{value}");
        }
    }

    #[test]
    fn what_breaks_the_format_is_invalid() {
        for value in [
            String::new(),
            format!("{TRACE}/"),
            format!("{TRACE}/-1"),
            format!("{TRACE}/+1"),
            format!("{TRACE}/18446744073709551616"),
            format!("{TRACE}/{SPAN}"),
            format!("{TRACE}/1;o="),
            format!("{TRACE}/1;o=x"),
            format!("{TRACE}/1;x=1"),
            format!("{TRACE}/1;"),
            format!("{}/1;o=1", "0".repeat(32)),
            format!("{}/1;o=1", &TRACE[1..]),
        ] {
            assert_eq!(extracted(Google, &[(HEADER, &value)]), Parsed::Invalid, "{value}");
        }
    }

    #[test]
    fn what_is_written_has_the_span_id_in_decimal() {
        assert_eq!(written(Google, &outgoing(true), false), [format!("{HEADER}: {TRACE}/{DECIMAL};o=1")]);
    }
}
