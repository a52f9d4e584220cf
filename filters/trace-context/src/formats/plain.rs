//! Plain ids: `X-Trace-ID`, `X-Span-ID` and `X-Parent-Span-ID`; in gRPC metadata `trace-id`, `span-id` and
//! `parent-span-id` as well. What people wrote before there was a standard.

use super::Changes;
use super::b3::trace_id_of;
use crate::carriers::{Carriers, Field, PlainFields};
use crate::remote::{Outgoing, Parsed, Remote};
use sluicegate_host::hex;
use sluicegate_host::{SpanId, TraceId};

pub(super) struct Names {
    pub(super) trace_id: &'static str,
    pub(super) span_id: &'static str,
    pub(super) parent_span_id: &'static str,
}

pub(super) const HTTP: Names =
    Names { trace_id: "x-trace-id", span_id: "x-span-id", parent_span_id: "x-parent-span-id" };
pub(super) const GRPC: Names = Names { trace_id: "trace-id", span_id: "span-id", parent_span_id: "parent-span-id" };

/// The `X-` names come first. Both sets may stay only if they say the same.
pub(super) fn extract(carriers: &Carriers<'_>) -> Parsed {
    match (read(carriers.plain), read(carriers.plain_grpc)) {
        (Parsed::Absent, only) | (only, Parsed::Absent) => only,
        (first, second) if first == second => first,
        (Parsed::Context { remote, .. }, _) | (_, Parsed::Context { remote, .. }) => {
            Parsed::Context { remote, exact: false }
        }
        _ => Parsed::Invalid,
    }
}

fn read(fields: PlainFields<'_>) -> Parsed {
    match (fields.trace_id, fields.span_id) {
        (Field::Absent, Field::Absent) if fields.parent_span_id.is_absent() => Parsed::Absent,
        _ if !fields.parent_span_id.is_absent_or_span_id() => Parsed::Invalid,
        (Field::One(trace_id), Field::Absent) => Parsed::exact(remote(trace_id, None)),
        (Field::One(trace_id), Field::One(span_id)) => Parsed::exact(remote(trace_id, Some(span_id))),
        _ => Parsed::Invalid,
    }
}

fn remote(trace_id: &[u8], span_id: Option<&[u8]>) -> Option<Remote> {
    let span_id = match span_id {
        Some(digits) => Some(SpanId::new(hex::decode(digits)?)?),
        None => None,
    };
    let trace_id = trace_id_of(trace_id).or_else(|| uuid(trace_id))?;
    Some(Remote { trace_id, span_id, sampled: None, debug: false, random: false })
}

/// A UUID in its usual form with dashes (RFC 9562 §4).
fn uuid(text: &[u8]) -> Option<TraceId> {
    let uuid = uuid::Uuid::try_parse_ascii(text).ok().filter(|_| text.len() == 36)?;
    TraceId::new(uuid.into_bytes())
}

pub(super) fn inject(context: &Outgoing, carriers: &Carriers<'_>, out: &mut Changes) {
    write(context, carriers.plain, &HTTP, out);
    if carriers.grpc {
        write(context, carriers.plain_grpc, &GRPC, out);
    }
}

fn write(context: &Outgoing, present: PlainFields<'_>, names: &Names, out: &mut Changes) {
    out.set(names.trace_id, hex::text(context.trace_id.bytes()));
    out.set(names.span_id, hex::text(context.span_id.bytes()));
    match context.parent_span_id {
        Some(parent) => out.set(names.parent_span_id, hex::text(parent.bytes())),
        None if !present.parent_span_id.is_absent() => out.remove(names.parent_span_id),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format::Plain;
    use super::super::testing::*;
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const UUID: &str = "4BF92F35-77b3-4da6-a3ce-929d0e0e4736";

    #[test]
    fn ids_come_as_hex_or_as_a_uuid_in_headers_or_in_grpc_metadata() {
        for (headers, expected) in [
            (vec![("x-trace-id", TRACE), ("x-span-id", SPAN)], context(TRACE, Some(SPAN), None)),
            (vec![("x-trace-id", UUID)], context(TRACE, None, None)),
            (vec![("trace-id", TRACE), ("span-id", SPAN)], context(TRACE, Some(SPAN), None)),
            (vec![("trace-id", UUID), ("span-id", SPAN)], context(TRACE, Some(SPAN), None)),
            (vec![("x-trace-id", "a3ce929d0e0e4736")], context("0000000000000000a3ce929d0e0e4736", None, None)),
            (vec![("x-trace-id", TRACE), ("trace-id", UUID)], context(TRACE, None, None)),
        ] {
            assert_eq!(extracted(Plain, &headers), Parsed::exact(Some(expected)), "{headers:?}");
        }
    }

    #[test]
    fn two_sets_that_differ_may_not_stay() {
        let headers = [("x-trace-id", TRACE), ("trace-id", "00000000000000000000000000000001")];
        let remote = context(TRACE, None, None);
        assert_eq!(extracted(Plain, &headers), Parsed::Context { remote, exact: false });
    }

    #[test]
    fn anything_else_is_invalid() {
        for headers in [
            vec![("x-trace-id", "")],
            vec![("x-trace-id", "abc")],
            vec![("x-trace-id", "{4bf92f35-77b3-4da6-a3ce-929d0e0e4736}")],
            vec![("x-trace-id", "00000000-0000-0000-0000-000000000000")],
            vec![("x-trace-id", TRACE), ("x-span-id", "")],
            vec![("x-trace-id", TRACE), ("x-span-id", "xyz")],
            vec![("x-span-id", SPAN)],
            vec![("x-trace-id", TRACE), ("x-span-id", SPAN), ("x-parent-span-id", "?")],
            vec![("x-trace-id", TRACE), ("x-parent-span-id", SPAN), ("x-parent-span-id", SPAN)],
            vec![("x-trace-id", TRACE), ("x-trace-id", TRACE)],
        ] {
            assert_eq!(extracted(Plain, &headers), Parsed::Invalid, "{headers:?}");
        }
    }

    #[test]
    fn what_is_written_goes_into_grpc_metadata_as_well() {
        let parent = "05e3ac9a4f6e3b90";
        let with_parent = Outgoing { parent_span_id: Some(span_id(parent)), ..outgoing(true) };
        let http =
            [format!("x-trace-id: {TRACE}"), format!("x-span-id: {SPAN}"), format!("x-parent-span-id: {parent}")];
        let grpc = http.clone().map(|line| line.replacen("x-", "", 1));
        assert_eq!(written(Plain, &with_parent, true), [http.clone(), grpc].concat());
        assert_eq!(written(Plain, &outgoing(true), false), http[..2]);
    }
}
