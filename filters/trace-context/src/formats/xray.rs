//! AWS X-Ray's `X-Amzn-Trace-Id`: `Root=1-{8 hex}-{24 hex};Parent={16 hex};Sampled={0|1|?}`, fields in any order
//! (AWS X-Ray Developer Guide, "Tracing header").

use super::Changes;
use crate::carriers::{Carriers, Field};
use crate::remote::{Outgoing, Parsed, Remote};
use sluicegate_host::hex;
use sluicegate_host::{SpanId, TraceId};

pub(super) const HEADER: &str = "x-amzn-trace-id";

/// As much as is carried over of fields that are not ours, in bytes.
const MAX_OTHER_FIELDS: usize = 256;

pub(super) fn extract(carriers: &Carriers<'_>) -> Parsed {
    carriers.xray.read(|value| Parsed::exact(parse(value)))
}

/// A load balancer writes `Root` alone, and `Self` for its own part of the way. Other fields may be there. A field that is
/// there twice makes it invalid: other readers would take the other one.
fn parse(value: &[u8]) -> Option<Remote> {
    let (mut root, mut parent, mut sampled) = (None, None, None);
    for (name, value) in fields(value) {
        let repeated = if is(name, b"Root") {
            root.replace(trace_id(value)?).is_some()
        } else if is(name, b"Parent") {
            parent.replace(SpanId::new(hex::decode(value)?)?).is_some()
        } else if is(name, b"Sampled") {
            let decision = match value {
                b"1" => Some(true),
                b"0" => Some(false),
                b"?" | b"" => None,
                _ => return None,
            };
            sampled.replace(decision).is_some()
        } else {
            false
        };
        if repeated {
            return None;
        }
    }
    Some(Remote { trace_id: root?, span_id: parent, sampled: sampled.flatten(), debug: false, random: false })
}

fn fields(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    value.split(|byte| *byte == b';').filter_map(|field| {
        let equals = field.iter().position(|byte| *byte == b'=')?;
        let (name, value) = field.split_at_checked(equals)?;
        Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
    })
}

/// Some readers take the names in any case, so none may slip by in another.
fn is(name: &[u8], known: &[u8]) -> bool {
    name.eq_ignore_ascii_case(known)
}

/// The time of its begin in seconds and 96 random bits; together what others call the trace id.
fn trace_id(root: &[u8]) -> Option<TraceId> {
    let (time, rest) = root.strip_prefix(b"1-")?.split_at_checked(8)?;
    let time: [u8; 4] = hex::decode(time)?;
    let random: [u8; 12] = hex::decode(rest.strip_prefix(b"-")?)?;
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(time.iter().chain(&random)).for_each(|(byte, from)| *byte = *from);
    TraceId::new(bytes)
}

/// What other parties put into the header goes on, but for the load balancer's `Self`, which speaks of the way up to here.
pub(super) fn inject(context: &Outgoing, carriers: &Carriers<'_>, out: &mut Changes) {
    let mut value = b"Root=1-".to_vec();
    let [time @ .., _, _, _, _, _, _, _, _, _, _, _, _] = context.trace_id.bytes();
    hex::push(&mut value, time);
    value.push(b'-');
    let [_, _, _, _, random @ ..] = context.trace_id.bytes();
    hex::push(&mut value, random);
    value.extend_from_slice(b";Parent=");
    hex::push(&mut value, context.span_id.bytes());
    value.extend_from_slice(if context.flags.sampled { b";Sampled=1" } else { b";Sampled=0" });
    if let (true, Field::One(incoming)) = (carriers.trusted, carriers.xray) {
        push_others(&mut value, incoming);
    }
    out.set(HEADER, value);
}

/// Whole fields, as many as fit; `Lineage` before all others, because it keeps Lambda from calling itself for ever.
fn push_others(value: &mut Vec<u8>, incoming: &[u8]) {
    let ours = |name: &[u8]| [&b"Root"[..], b"Parent", b"Sampled", b"Self"].iter().any(|known| is(name, known));
    let visible = |text: &[u8]| text.iter().all(u8::is_ascii_graphic);
    let others = fields(incoming).filter(|(name, field)| !ours(name) && visible(name) && visible(field));
    let (lineage, rest) =
        (others.clone().filter(|(name, _)| is(name, b"Lineage")), others.filter(|(name, _)| !is(name, b"Lineage")));
    let mut room = MAX_OTHER_FIELDS;
    for (name, field) in lineage.chain(rest) {
        let len = name.len().saturating_add(field.len()).saturating_add(2);
        if let Some(left) = room.checked_sub(len) {
            room = left;
            value.extend_from_slice(&[b";", name, b"=", field].concat());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format::Xray;
    use super::super::testing::*;
    use super::*;
    use sluicegate_host::HeaderMap;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const ROOT: &str = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736";

    #[test]
    fn fields_are_read_in_any_order_and_strange_ones_passed_over() {
        for (value, expected) in [
            (format!("{ROOT};Parent={SPAN};Sampled=1"), context(TRACE, Some(SPAN), Some(true))),
            (format!("Sampled=0;Parent={SPAN};{ROOT}"), context(TRACE, Some(SPAN), Some(false))),
            (format!("{ROOT};Parent={SPAN};Sampled=?"), context(TRACE, Some(SPAN), None)),
            (format!("{ROOT}; Parent={SPAN} ; Sampled=1"), context(TRACE, Some(SPAN), Some(true))),
            (ROOT.to_owned(), context(TRACE, None, None)),
            (format!("Self=1-67891234-12456789abcdef012345678a;{ROOT}"), context(TRACE, None, None)),
            (format!("{ROOT};Parent={SPAN};Sampled=1;Lineage=25:a87bd80c:1"), context(TRACE, Some(SPAN), Some(true))),
            (format!("{ROOT};CalledFrom=app;"), context(TRACE, None, None)),
        ] {
            assert_eq!(extracted(Xray, &[(HEADER, &value)]), Parsed::exact(Some(expected)), "{value}");
        }
    }

    #[test]
    fn what_breaks_the_format_is_invalid() {
        for value in [
            String::new(),
            "Self=1-67891234-12456789abcdef012345678a".into(),
            "Parent=00f067aa0ba902b7".into(),
            format!("{ROOT};Parent=1"),
            format!("{ROOT};Parent=0000000000000000"),
            format!("{ROOT};Sampled=yes"),
            "Root=2-4bf92f35-77b34da6a3ce929d0e0e4736".into(),
            "Root=1-4bf92f3577b34da6a3ce929d0e0e4736".into(),
            "Root=1-00000000-000000000000000000000000".into(),
            "Root=1-4bf92f35-77b34da6a3ce929d0e0e473".into(),
            format!("{ROOT};{ROOT}"),
            format!("{ROOT};root=1-11111111-111111111111111111111111"),
            format!("{ROOT};Sampled=?;Sampled=1"),
        ] {
            assert_eq!(extracted(Xray, &[(HEADER, &value)]), Parsed::Invalid, "{value}");
        }
    }

    #[test]
    fn what_is_written_carries_other_fields_on_but_not_self() {
        assert_eq!(written(Xray, &outgoing(true), false), [format!("{HEADER}: {ROOT};Parent={SPAN};Sampled=1")]);
        let rewritten = |incoming: String| {
            let map = HeaderMap::from_pairs(&[(HEADER, incoming)]);
            let mut changes = Changes::default();
            inject(&outgoing(false), &Carriers::pick(&map, false, true), &mut changes);
            lines(changes)
        };
        let ours = format!("{HEADER}: {ROOT};Parent={SPAN};Sampled=0");
        let incoming = "Self=1-1-1;root=1-x;app=a;Lineage=25:a87bd80c:1;odd=\u{e9};also odd=1";
        assert_eq!(rewritten(incoming.into()), [format!("{ours};Lineage=25:a87bd80c:1;app=a")]);
        let long = format!("a={};b={};c=1;Lineage=1:2:3", "x".repeat(200), "y".repeat(200));
        assert_eq!(rewritten(long), [format!("{ours};Lineage=1:2:3;a={};c=1", "x".repeat(200))]);
    }
}
