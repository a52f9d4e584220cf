//! `Request-Id` in its hierarchical form, `|{root}.{parent}.`, where the root is a W3C trace id: what Application Insights
//! sends beside `traceparent` (.NET, "Hierarchical Request-Id").
//!
//! The header is also used for request ids of all sorts. A value that does not begin with `|` is none of this format's, and
//! not among the carriers.

use super::Changes;
use crate::carriers::Carriers;
use crate::remote::{Outgoing, Parsed, Remote};
use sluicegate_host::hex;
use sluicegate_host::{SpanId, TraceId};

pub(super) const HEADER: &str = "request-id";

/// The longest that .NET writes, in bytes.
const MAX_LEN: usize = 1024;

pub(super) fn extract(carriers: &Carriers<'_>) -> Parsed {
    carriers.azure.read(|value| Parsed::exact(parse(value)))
}

/// The root is up to the first dot; the caller's span is the last node that is a whole span id. Nodes after it are local
/// to the caller.
fn parse(value: &[u8]) -> Option<Remote> {
    let is_node = |byte: &u8| byte.is_ascii_alphanumeric() || b"-+/=#._".contains(byte);
    let ids = value.strip_prefix(b"|")?;
    if value.len() > MAX_LEN || !ids.iter().all(is_node) {
        return None;
    }
    let mut nodes = ids.split(|byte| matches!(byte, b'.' | b'_'));
    let trace_id = TraceId::new(hex::decode(nodes.next()?)?)?;
    let span_id = nodes.rev().find_map(|node| hex::decode(node).and_then(SpanId::new));
    Some(Remote { trace_id, span_id, sampled: None, debug: false, random: false })
}

pub(super) fn inject(context: &Outgoing, out: &mut Changes) {
    let mut value = Vec::with_capacity(51);
    value.push(b'|');
    hex::push(&mut value, context.trace_id.bytes());
    value.push(b'.');
    hex::push(&mut value, context.span_id.bytes());
    value.push(b'.');
    out.set(HEADER, value);
}

#[cfg(test)]
mod tests {
    use super::super::Format::Azure;
    use super::super::testing::*;
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_w3c_root_is_the_trace_and_a_whole_last_node_the_span() {
        for (value, expected) in [
            (format!("|{TRACE}.{SPAN}."), context(TRACE, Some(SPAN), None)),
            (format!("|{TRACE}.{SPAN}"), context(TRACE, Some(SPAN), None)),
            (format!("|{TRACE}.1.{SPAN}_"), context(TRACE, Some(SPAN), None)),
            (format!("|{TRACE}.{SPAN}.1."), context(TRACE, Some(SPAN), None)),
            (format!("|{TRACE}.1.2_"), context(TRACE, None, None)),
            (format!("|{TRACE}."), context(TRACE, None, None)),
        ] {
            assert_eq!(extracted(Azure, &[(HEADER, &value)]), Parsed::exact(Some(expected)), "{value}");
        }
    }

    #[test]
    fn another_root_is_invalid_and_another_kind_of_request_id_is_none_of_ours() {
        let (odd, long) = (format!("|{TRACE}.\u{e9}."), format!("|{TRACE}.{}.", "1".repeat(1024)));
        for value in ["|", "|.", "|guid.1.2.", "|4bf92f35.1.", &odd, &long] {
            assert_eq!(extracted(Azure, &[(HEADER, value)]), Parsed::Invalid, "{value}");
        }
        for value in ["", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", TRACE] {
            assert_eq!(extracted(Azure, &[(HEADER, value)]), Parsed::Absent, "{value}");
            assert_eq!(extracted(Azure, &[(HEADER, value), (HEADER, value)]), Parsed::Absent, "{value}");
        }
    }

    #[test]
    fn what_is_written_is_hierarchical() {
        assert_eq!(written(Azure, &outgoing(true), false), [format!("{HEADER}: |{TRACE}.{SPAN}.")]);
    }
}
