//! Zipkin's B3, in one header or in several (openzipkin/b3-propagation).

use super::Changes;
use crate::carriers::{Carriers, Field};
use crate::remote::{Outgoing, Parsed, Remote};
use sluicegate_host::hex;
use sluicegate_host::{SpanId, TraceId};

pub(super) const SINGLE: &str = "b3";
pub(super) const TRACE_ID: &str = "x-b3-traceid";
pub(super) const SPAN_ID: &str = "x-b3-spanid";
pub(super) const PARENT_SPAN_ID: &str = "x-b3-parentspanid";
pub(super) const SAMPLED: &str = "x-b3-sampled";
pub(super) const FLAGS: &str = "x-b3-flags";

/// What B3 says about sampling: nothing, no, yes, or yes whatever the sampler says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Deferred,
    Deny,
    Accept,
    Debug,
}

impl State {
    fn sampled(self) -> Option<bool> {
        match self {
            State::Deferred => None,
            State::Deny => Some(false),
            State::Accept | State::Debug => Some(true),
        }
    }

    fn decision(self) -> Parsed {
        match self.sampled() {
            Some(sampled) => Parsed::Decision { sampled, debug: self == State::Debug },
            None => Parsed::Invalid,
        }
    }
}

// === b3: {TraceId}-{SpanId}-{SamplingState}-{ParentSpanId}, or {SamplingState} alone ===

pub(super) fn extract_single(carriers: &Carriers<'_>) -> Parsed {
    carriers.b3.read(|value| match state(value) {
        Some(state) => state.decision(),
        None => Parsed::exact(parse_single(value)),
    })
}

fn state(letter: &[u8]) -> Option<State> {
    match letter {
        b"0" => Some(State::Deny),
        b"1" => Some(State::Accept),
        b"d" => Some(State::Debug),
        _ => None,
    }
}

fn parse_single(value: &[u8]) -> Option<Remote> {
    let mut fields = value.split(|byte| *byte == b'-');
    let (trace_id, span_id) = (fields.next()?, fields.next()?);
    let state = fields.next().map_or(Some(State::Deferred), state)?;
    if let Some(parent) = fields.next() {
        SpanId::new(hex::decode(parent)?)?;
    }
    if fields.next().is_some() {
        return None;
    }
    remote(trace_id, span_id, state)
}

pub(super) fn inject_single(context: &Outgoing, out: &mut Changes) {
    let mut value = Vec::with_capacity(68);
    push_trace_id(&mut value, context.trace_id);
    value.push(b'-');
    hex::push(&mut value, context.span_id.bytes());
    value.extend_from_slice(match (context.debug, context.flags.sampled) {
        (true, _) => b"-d",
        (false, true) => b"-1",
        (false, false) => b"-0",
    });
    if let Some(parent) = context.parent_span_id {
        value.push(b'-');
        hex::push(&mut value, parent.bytes());
    }
    out.set(SINGLE, value);
}

// === X-B3-* ===

pub(super) fn extract_multi(carriers: &Carriers<'_>) -> Parsed {
    let Some(state) = multi_state(carriers.b3_sampled, carriers.b3_flags) else {
        return Parsed::Invalid;
    };
    match (carriers.b3_trace_id, carriers.b3_span_id) {
        (Field::One(trace_id), Field::One(span_id)) => {
            let parent_is_valid = carriers.b3_parent_span_id.is_absent_or_span_id();
            Parsed::exact(remote(trace_id, span_id, state).filter(|_| parent_is_valid))
        }
        (Field::Absent, Field::Absent) => match carriers.b3_parent_span_id {
            Field::Absent if carriers.b3_sampled.is_absent() && carriers.b3_flags.is_absent() => Parsed::Absent,
            Field::Absent => state.decision(),
            _ => Parsed::Invalid,
        },
        _ => Parsed::Invalid,
    }
}

/// Debug wins over sampled, which old tracers write as a word. `None` where either cannot be read.
fn multi_state(sampled: Field<'_>, flags: Field<'_>) -> Option<State> {
    let sampled = match sampled {
        Field::Absent => State::Deferred,
        Field::One(b"1") => State::Accept,
        Field::One(b"0") => State::Deny,
        Field::One(b"d") => State::Debug,
        Field::One(word) if word.eq_ignore_ascii_case(b"true") => State::Accept,
        Field::One(word) if word.eq_ignore_ascii_case(b"false") => State::Deny,
        _ => return None,
    };
    match flags {
        Field::One(b"1") => Some(State::Debug),
        Field::Absent | Field::One(b"0") => Some(sampled),
        _ => None,
    }
}

pub(super) fn inject_multi(context: &Outgoing, carriers: &Carriers<'_>, out: &mut Changes) {
    let mut trace_id = Vec::with_capacity(32);
    push_trace_id(&mut trace_id, context.trace_id);
    out.set(TRACE_ID, trace_id);
    out.set(SPAN_ID, hex::text(context.span_id.bytes()));
    match context.parent_span_id {
        Some(parent) => out.set(PARENT_SPAN_ID, hex::text(parent.bytes())),
        None if !carriers.b3_parent_span_id.is_absent() => out.remove(PARENT_SPAN_ID),
        None => {}
    }
    // Debug implies sampled and is sent in its place.
    if context.debug {
        out.set(FLAGS, b"1");
        if !carriers.b3_sampled.is_absent() {
            out.remove(SAMPLED);
        }
    } else {
        out.set(SAMPLED, if context.flags.sampled { b"1" } else { b"0" });
        if !carriers.b3_flags.is_absent() {
            out.remove(FLAGS);
        }
    }
}

// === both ===

fn remote(trace_id: &[u8], span_id: &[u8], state: State) -> Option<Remote> {
    Some(Remote {
        trace_id: trace_id_of(trace_id)?,
        span_id: Some(SpanId::new(hex::decode(span_id)?)?),
        sampled: state.sampled(),
        debug: state == State::Debug,
        random: false,
    })
}

/// 128 bits, or 64 that become the lower half.
pub(super) fn trace_id_of(digits: &[u8]) -> Option<TraceId> {
    match digits.len() {
        32 => TraceId::new(hex::decode(digits)?),
        16 => TraceId::new(hex::decode_short(digits)?),
        _ => None,
    }
}

/// An id whose upper half is zero came from a tracer that knows 64 bits, and goes on to it as it came.
fn push_trace_id(text: &mut Vec<u8>, trace_id: TraceId) {
    match trace_id.bytes() {
        [0, 0, 0, 0, 0, 0, 0, 0, lower @ ..] => hex::push(text, lower),
        all => hex::push(text, all),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format::{B3, B3Multi};
    use super::super::testing::*;
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const TRACE_64: &str = "a3ce929d0e0e4736";

    #[test]
    fn one_header_is_read_in_all_its_lengths() {
        let padded = format!("{}{TRACE_64}", "0".repeat(16));
        let debug = Remote { debug: true, ..context(TRACE, Some(SPAN), Some(true)) };
        for (value, expected) in [
            (format!("{TRACE}-{SPAN}-1"), context(TRACE, Some(SPAN), Some(true))),
            (format!("{TRACE}-{SPAN}-0"), context(TRACE, Some(SPAN), Some(false))),
            (format!("{TRACE}-{SPAN}-d"), debug),
            (format!("{TRACE}-{SPAN}"), context(TRACE, Some(SPAN), None)),
            (format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90"), context(TRACE, Some(SPAN), Some(true))),
            (format!("{TRACE_64}-{SPAN}-1"), context(&padded, Some(SPAN), Some(true))),
            (format!("{}-{SPAN}-1", TRACE.to_uppercase()), context(TRACE, Some(SPAN), Some(true))),
        ] {
            assert_eq!(extracted(B3, &[("b3", &value)]), Parsed::exact(Some(expected)), "{value}");
        }
    }

    #[test]
    fn a_decision_may_come_without_ids() {
        let decision = |sampled, debug| Parsed::Decision { sampled, debug };
        for (value, expected) in
            [("0", decision(false, false)), ("1", decision(true, false)), ("d", decision(true, true))]
        {
            assert_eq!(extracted(B3, &[("b3", value)]), expected);
        }
        assert_eq!(extracted(B3Multi, &[("x-b3-sampled", "0")]), decision(false, false));
        assert_eq!(extracted(B3Multi, &[("x-b3-sampled", "true")]), decision(true, false));
        assert_eq!(extracted(B3Multi, &[("x-b3-flags", "1")]), decision(true, true));
    }

    #[test]
    fn one_header_that_breaks_the_format_is_invalid() {
        for value in [
            String::new(),
            "2".into(),
            TRACE.into(),
            format!("{TRACE}-"),
            format!("{TRACE}-{SPAN}-2"),
            format!("{TRACE}-{SPAN}-true"),
            format!("{TRACE}-{SPAN}-1-"),
            format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90-x"),
            format!("{}-{SPAN}-1", &TRACE[1..]),
            format!("{TRACE}-{}-1", &SPAN[1..]),
            format!("{}-{SPAN}-1", "0".repeat(32)),
            format!("{}-{SPAN}-1", "0".repeat(16)),
            format!("{TRACE}-{}-1", "0".repeat(16)),
            format!("g{}-{SPAN}-1", &TRACE[1..]),
        ] {
            assert_eq!(extracted(B3, &[("b3", &value)]), Parsed::Invalid, "{value}");
        }
    }

    #[test]
    fn several_headers_are_read() {
        let ids = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)];
        let with = |more: &[(&'static str, &'static str)]| extracted(B3Multi, &[&ids[..], more].concat());
        let debug = Remote { debug: true, ..context(TRACE, Some(SPAN), Some(true)) };
        assert_eq!(with(&[]), Parsed::exact(Some(context(TRACE, Some(SPAN), None))));
        assert_eq!(with(&[("x-b3-sampled", "1")]), Parsed::exact(Some(context(TRACE, Some(SPAN), Some(true)))));
        assert_eq!(with(&[("x-b3-sampled", "false")]), Parsed::exact(Some(context(TRACE, Some(SPAN), Some(false)))));
        assert_eq!(with(&[("x-b3-sampled", "0"), ("x-b3-flags", "1")]), Parsed::exact(Some(debug)));
        assert_eq!(with(&[("x-b3-flags", "0")]), Parsed::exact(Some(context(TRACE, Some(SPAN), None))));
        for broken in
            [("x-b3-sampled", "maybe"), ("x-b3-flags", "x"), ("x-b3-parentspanid", "1"), ("x-b3-spanid", SPAN)]
        {
            assert_eq!(with(&[broken]), Parsed::Invalid, "{broken:?}");
        }
        assert_eq!(extracted(B3Multi, &ids[..1]), Parsed::Invalid);
        assert_eq!(extracted(B3Multi, &ids[1..]), Parsed::Invalid);
        assert_eq!(extracted(B3Multi, &[("other", "x")]), Parsed::Absent);
    }

    #[test]
    fn a_64_bit_id_goes_on_with_64_bits() {
        let short = Outgoing { trace_id: trace_id(&format!("{}{TRACE_64}", "0".repeat(16))), ..outgoing(true) };
        assert_eq!(written(B3, &short, false), [format!("b3: {TRACE_64}-{SPAN}-1")]);
        assert_eq!(written(B3Multi, &short, false)[0], format!("x-b3-traceid: {TRACE_64}"));
    }

    #[test]
    fn debug_is_written_in_the_place_of_sampled() {
        let debug = Outgoing { debug: true, ..outgoing(true) };
        assert_eq!(written(B3, &debug, false), [format!("b3: {TRACE}-{SPAN}-d")]);
        let several = [format!("x-b3-traceid: {TRACE}"), format!("x-b3-spanid: {SPAN}"), "x-b3-flags: 1".into()];
        assert_eq!(written(B3Multi, &debug, false), several);
    }
}
