//! What holds for every input.

use crate::TraceContext;
use crate::carriers::Carriers;
use crate::formats::{Changes, Format};
use crate::remote::{Outgoing, Parsed, Remote};
use crate::tracestate;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use sluicegate_host::double::Double;
use sluicegate_host::{HeaderMap, SpanId, TraceFlags, TraceId};

/// Every header that can carry a context.
const CARRIERS: [&str; 20] = [
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "uber-trace-id",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "request-id",
    "x-trace-id",
    "x-span-id",
    "x-parent-span-id",
    "trace-id",
    "span-id",
    "parent-span-id",
    "x-request-id",
    "baggage",
];

fn ids() -> impl Strategy<Value = (TraceId, SpanId)> {
    // Few different ids, so that headers agree and disagree about as often; some with zeros in front.
    let trace = select(vec![[0x4b; 16], [1; 16], [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]]);
    let span = select(vec![[0x0f; 8], [0, 0, 0, 0, 0, 0, 0, 1]]);
    (trace, span).prop_filter_map("zero", |(trace, span)| Some((TraceId::new(trace)?, SpanId::new(span)?)))
}

fn contexts() -> impl Strategy<Value = Outgoing> {
    let parent = proptest::option::of(ids());
    (ids(), parent, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(ids, parent, sampled, random, debug)| {
        Outgoing {
            trace_id: ids.0,
            span_id: ids.1,
            parent_span_id: parent.map(|(_, span)| span),
            own_span: true,
            flags: TraceFlags { sampled: sampled || debug, random },
            decided: true,
            debug,
        }
    })
}

fn formats() -> impl Strategy<Value = Format> {
    select(Format::ALL.to_vec())
}

type Pair = (String, Vec<u8>);

/// The headers of a valid context in some format, or of a bare decision; now and then with blanks behind.
fn valid() -> impl Strategy<Value = Vec<Pair>> {
    let decision = select(vec![("b3", "1"), ("b3", "0"), ("x-b3-sampled", "1"), ("x-b3-flags", "1")]);
    let decision = decision.prop_map(|(name, value)| vec![(name.to_owned(), value.as_bytes().to_vec())]);
    let whole = (formats(), contexts(), any::<bool>());
    let whole = whole.prop_map(|(format, context, grpc)| write(format, &context, grpc));
    let padding = prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\t")];
    (prop_oneof![5 => whole, 1 => decision], padding).prop_map(|(mut headers, padding)| {
        headers.iter_mut().for_each(|(_, value)| value.extend_from_slice(padding.as_bytes()));
        headers
    })
}

fn write(format: Format, context: &Outgoing, grpc: bool) -> Vec<Pair> {
    let mut changes = Changes::default();
    format.inject(context, &Carriers { grpc, ..Carriers::default() }, &mut changes);
    changes.0.into_iter().filter_map(|(name, value)| Some((name.into_owned(), value?))).collect()
}

/// A carrier with anything in it: bytes, or something of the right letters.
fn broken() -> impl Strategy<Value = Vec<Pair>> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..80);
    let letters = "[0-9a-fA-F:;=|./_ ,?d-]{0,80}".prop_map(String::into_bytes);
    (select(CARRIERS.to_vec()), prop_oneof![bytes, letters]).prop_map(|(name, value)| vec![(name.to_owned(), value)])
}

fn requests() -> impl Strategy<Value = Vec<Pair>> {
    let parts = proptest::collection::vec(prop_oneof![3 => valid(), 2 => broken()], 0..6);
    (parts, any::<bool>()).prop_map(|(parts, grpc)| {
        let mut headers: Vec<Pair> = parts.concat();
        if grpc {
            headers.push(("content-type".into(), b"application/grpc".to_vec()));
        }
        headers
    })
}

fn policies() -> impl Strategy<Value = (String, Vec<Format>)> {
    let inject = subsequence(Format::ALL.to_vec(), 0..=Format::ALL.len());
    (any::<bool>(), any::<bool>(), inject).prop_map(|(participate, trust, inject)| {
        let mode = if participate { "participate" } else { "forward" };
        let names: Vec<_> = inject.iter().map(|format| format!("\"{}\"", format.name())).collect();
        let inject_list = names.join(",");
        let policy = format!(
            r#"{{"version":"1.0","trace":{{"mode":"{mode}","trust_incoming":{trust},"inject":[{inject_list}]}}}}"#
        );
        (policy, inject)
    })
}

fn map(pairs: &[Pair]) -> HeaderMap {
    HeaderMap::from_pairs(pairs)
}

fn is_w3c_traceparent(value: &[u8]) -> bool {
    let lower_hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<_> = value.split(|b| *b == b'-').collect();
    let [version, trace, span, flags] = parts[..] else { return false };
    version == b"00"
        && (trace.len(), span.len(), flags.len()) == (32, 16, 2)
        && [trace, span, flags].into_iter().all(lower_hex)
        && trace.iter().any(|b| *b != b'0')
        && span.iter().any(|b| *b != b'0')
        && matches!(flags, [b'0', b'0'..=b'3'])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn no_bytes_make_a_parser_panic(format in formats(), parts in proptest::collection::vec(broken(), 0..8)) {
        let headers = map(&parts.concat());
        let _ = format.extract(&Carriers::pick(&headers, true, true));
    }

    #[test]
    fn what_is_written_reads_back_in_the_fields_that_the_format_carries(
        format in formats(), context in contexts(), grpc in any::<bool>(),
    ) {
        let headers = map(&write(format, &context, grpc));
        let Parsed::Context { remote, exact } = format.extract(&Carriers::pick(&headers, grpc, true)) else {
            panic!("{format:?} does not read what it wrote");
        };
        prop_assert!(exact);
        let carries_decision = !matches!(format, Format::Azure | Format::Plain);
        let carries_debug = matches!(format, Format::B3 | Format::B3Multi | Format::Jaeger);
        prop_assert_eq!(remote, Remote {
            trace_id: context.trace_id,
            span_id: Some(context.span_id),
            sampled: carries_decision.then_some(context.flags.sampled),
            debug: carries_debug && context.debug,
            random: format == Format::W3c && context.flags.random,
        });
    }

}

proptest! {
    // Each case starts a filter and runs a whole exchange.
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn upstream_never_sees_two_contexts_that_disagree_nor_a_broken_one(
        request in requests(), (policy, inject) in policies(),
    ) {
        let grpc = request.iter().any(|(name, _)| name == "content-type");
        let pairs: Vec<_> = request.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let outcome = Double::new().start::<TraceContext>(&policy).unwrap().request(&pairs);
        let facts = outcome.facts.trace.unwrap();
        let carriers = Carriers::pick(&outcome.upstream, grpc, true);
        for format in Format::ALL {
            match format.extract(&carriers) {
                Parsed::Absent => prop_assert!(!inject.contains(&format), "{format:?} is missing"),
                Parsed::Invalid => prop_assert!(false, "{format:?} is broken"),
                Parsed::Decision { sampled, .. } => {
                    prop_assert!(!inject.contains(&format), "{format:?} has no ids");
                    prop_assert!(!carriers.padded.contains(format), "{format:?}");
                    prop_assert_eq!(sampled, facts.flags.sampled);
                }
                Parsed::Context { remote, exact } => {
                    prop_assert!(exact && !carriers.padded.contains(format), "{format:?}");
                    prop_assert!(remote.span_id.is_some() || !inject.contains(&format), "{format:?} has no span");
                    prop_assert_eq!(remote.trace_id, facts.trace_id, "{:?}", format);
                    prop_assert!(remote.span_id.is_none_or(|span| span == facts.span_id), "{format:?}");
                    prop_assert!(remote.sampled.is_none_or(|sampled| sampled == facts.flags.sampled), "{format:?}");
                }
            }
        }
        for value in outcome.upstream.all("traceparent") {
            prop_assert!(is_w3c_traceparent(value));
        }
        let tracestate: Vec<_> = outcome.upstream.all("tracestate").collect();
        prop_assert!(matches!(tracestate::check(&tracestate), tracestate::Tracestate::Absent | tracestate::Tracestate::Valid));
        prop_assert_eq!(outcome.upstream.all("x-request-id").count(), 1);
        prop_assert!(outcome.facts.request_id.is_some());
    }

    #[test]
    fn a_valid_context_that_is_forwarded_keeps_its_bytes(context in contexts(), others in requests()) {
        let own = write(Format::W3c, &context, false);
        let others = others.into_iter().filter(|(name, _)| !name.starts_with("trace"));
        let request: Vec<_> = own.iter().cloned().chain(others).collect();
        let pairs: Vec<_> = request.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let outcome = Double::new().start::<TraceContext>(r#"{"version":"1.0"}"#).unwrap().request(&pairs);
        prop_assert_eq!(outcome.upstream.all("traceparent").collect::<Vec<_>>(), [own[0].1.as_slice()]);
    }
}
