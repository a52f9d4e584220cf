//! `traceparent` and `tracestate`: W3C Trace Context, Level 2.

use super::Changes;
use crate::carriers::{Carriers, Field};
use crate::remote::{Outgoing, Parsed, Remote};
use sluicegate_host::{TraceFlags, Traceparent};

pub(super) const TRACEPARENT: &str = Traceparent::HEADER;
pub(super) const TRACESTATE: &str = "tracestate";

pub(super) fn extract(carriers: &Carriers<'_>) -> Parsed {
    match carriers.traceparent {
        Field::One(value) => parse(value),
        Field::Repeated => Parsed::Invalid,
        // A tracestate without a traceparent means nothing (§4.1: "invalid and MUST be discarded").
        Field::Absent if !carriers.tracestate.is_empty() => Parsed::Invalid,
        Field::Absent => Parsed::Absent,
    }
}

/// A `traceparent` (§3.2). Exact is one that this version could have written: later versions are written down to 00, and
/// flags that are not defined are zeroed (§3.2.2.5.3).
fn parse(value: &[u8]) -> Parsed {
    let Some(traceparent) = Traceparent::parse(value) else {
        return Parsed::Invalid;
    };
    let flags = TraceFlags::from_byte(traceparent.flags);
    let remote = Remote {
        trace_id: traceparent.trace_id,
        span_id: Some(traceparent.span_id),
        sampled: Some(flags.sampled),
        debug: false,
        random: flags.random,
    };
    Parsed::Context { remote, exact: traceparent.version == 0 && flags.byte() == traceparent.flags }
}

pub(super) fn inject(context: &Outgoing, out: &mut Changes) {
    out.set(TRACEPARENT, Traceparent::value(context.trace_id, context.span_id, context.flags));
}

#[cfg(test)]
mod tests {
    use super::super::Format::W3c;
    use super::super::testing::*;
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn traceparent(value: &str) -> Parsed {
        parse(value.trim().as_bytes())
    }

    #[test]
    fn a_valid_traceparent_is_read_and_may_stay() {
        for (flags, sampled, random) in
            [("00", false, false), ("01", true, false), ("02", false, true), ("03", true, true)]
        {
            let parsed = traceparent(&format!("00-{TRACE}-{SPAN}-{flags}"));
            let remote = Remote { random, ..context(TRACE, Some(SPAN), Some(sampled)) };
            assert_eq!(parsed, Parsed::Context { remote, exact: true }, "{flags}");
        }
    }

    #[test]
    fn unknown_flags_and_later_versions_are_understood_but_written_anew() {
        for value in [
            format!("00-{TRACE}-{SPAN}-09"),
            format!("cc-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"),
            format!("01-{TRACE}-{SPAN}-01-"),
        ] {
            let remote = context(TRACE, Some(SPAN), Some(true));
            assert_eq!(traceparent(&value), Parsed::Context { remote, exact: false }, "{value}");
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_invalid() {
        let upper = TRACE.to_uppercase();
        for value in [
            String::new(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-extra"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01."),
            format!("cc-{TRACE}-{SPAN}-01.extra"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-0X"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("000-{TRACE}-{SPAN}-01"),
            format!("FF-{TRACE}-{SPAN}-01"),
            format!("CC-{TRACE}-{SPAN}-01"),
            format!("00-{upper}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}0-{}-01", &SPAN[1..]),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{TRACE}-{SPAN} -01"),
            format!("{TRACE}-{SPAN}-01-00"),
        ] {
            assert_eq!(traceparent(&value), Parsed::Invalid, "{value}");
        }
    }

    #[test]
    fn white_space_around_it_is_ignored() {
        let value = format!(" \t00-{TRACE}-{SPAN}-01\t ");
        assert!(matches!(extracted(W3c, &[("traceparent", value)]), Parsed::Context { .. }));
    }

    #[test]
    fn a_repeated_traceparent_is_invalid_even_if_the_copies_agree() {
        let value = format!("00-{TRACE}-{SPAN}-01");
        let headers = [("traceparent", &value), ("traceparent", &value)];
        assert_eq!(extracted(W3c, &headers), Parsed::Invalid);
    }

    #[test]
    fn a_tracestate_alone_is_invalid() {
        assert_eq!(extracted(W3c, &[("tracestate", "a=1")]), Parsed::Invalid);
    }

    #[test]
    fn what_is_written_has_the_fixed_form() {
        let value = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(written(W3c, &outgoing(true), false), [format!("traceparent: {value}")]);
    }
}
