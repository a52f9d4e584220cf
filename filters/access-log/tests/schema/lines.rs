//! Every line that a record can become is valid.

use super::published::{SCHEMA, complaints};
use super::samples::{SIGNATURE, full, line, resource};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use sluicegate_access_log::record::{Custom, CustomKind, CustomValue, MAX_LINE, Record, Resource, Trace};
use sluicegate_host::BreakerState;
use sluicegate_host::{GrpcStatus, SpanId, TraceId};
use sluicegate_policy::{Direction, Service};
use sluicegate_telemetry::outcome::{ErrorKind, ErrorType, ResponseFlags, Severity};
use sluicegate_telemetry::{Attributes, Text};
use std::num::NonZeroU16;

/// What any of a record's texts may be: bytes, odd characters, long ones, ordinary ones.
fn text() -> impl Strategy<Value = Option<Vec<u8>>> {
    let odd = vec(select(vec!["\"", "\\", "\n", "\u{85}", "\u{2028}", "😀", "\0", "a", "\u{7f}"]), 0..40);
    of(prop_oneof![
        3 => vec(any::<u8>(), 0..60),
        3 => odd.prop_map(|parts| parts.concat().into_bytes()),
        3 => "[a-zA-Z0-9/_.-]{0,40}".prop_map(String::into_bytes),
        1 => (any::<char>(), 0..9_000usize).prop_map(|(one, times)| one.to_string().repeat(times).into_bytes()),
    ])
}

fn custom_value() -> impl Strategy<Value = CustomParts> {
    (any::<u8>(), vec(any::<u8>(), 0..30), prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY)])
}

/// How many texts a record has.
const TEXTS: usize = 20;

type Ids = ([u8; 16], [u8; 8], Option<[u8; 8]>, u8);
type CustomParts = (u8, Vec<u8>, f64);
type Choices = (Option<GrpcStatus>, Option<ErrorKind>, u8, Option<Direction>, Option<BreakerState>, Option<bool>, bool);
type Numbers = (Option<u64>, Option<u64>, Option<u64>, Option<u64>, Option<u64>, Option<u64>, Option<u32>);

/// The parts that a record is made of.
#[derive(Clone, Debug)]
struct Parts {
    timestamp: u64,
    severity: Severity,
    trace: Option<Ids>,
    texts: Vec<Option<Vec<u8>>>,
    numbers: Numbers,
    status: Option<u16>,
    port: Option<u16>,
    flags: u64,
    probability: Option<f64>,
    choices: Choices,
    custom: Vec<(String, CustomParts)>,
    limit: usize,
}

fn parts() -> impl Strategy<Value = Parts> {
    let number = || of(any::<u64>());
    let probability = of(prop_oneof![8 => 0.001..=1.0, 1 => any::<f64>(), 1 => Just(f64::NAN)]);
    let choices = (
        of(select(GrpcStatus::ALL.to_vec())),
        of(select(ErrorKind::ALL.to_vec())),
        any::<u8>(),
        of(select(vec![Direction::Inbound, Direction::Outbound, Direction::Gateway])),
        of(select(BreakerState::ALL.to_vec())),
        of(any::<bool>()),
        any::<bool>(),
    );
    let name = prop_oneof![
        6 => "[a-z]{1,3}(\\.[a-z0-9_]{1,3}){0,2}",
        1 => ".{0,80}",
        1 => select(Attributes::NAMES.to_vec()).prop_map(str::to_owned),
    ];
    let scalars = (any::<u64>(), select(Severity::ALL.to_vec()), of(any::<Ids>()));
    let status = of(prop_oneof![9 => 100..=599u16, 1 => any::<u16>()]);
    (
        scalars,
        vec(text(), TEXTS),
        (number(), number(), number(), number(), number(), number(), of(any::<u32>())),
        (status, of(any::<u16>()), any::<u64>(), probability),
        choices,
        vec((name, custom_value()), 0..5),
        prop_oneof![9 => Just(MAX_LINE), 1 => 0..4_000usize],
    )
        .prop_map(|((timestamp, severity, trace), texts, numbers, rest, choices, custom, limit)| Parts {
            timestamp,
            severity,
            trace,
            texts,
            numbers,
            status: rest.0,
            port: rest.1,
            flags: rest.2,
            probability: rest.3,
            choices,
            custom,
            limit,
        })
}

fn custom(parts: &Parts) -> Vec<Custom<'_>> {
    parts
        .custom
        .iter()
        .map(|(name, (choice, text, float))| Custom {
            name,
            value: match choice % 6 {
                0 | 1 => CustomValue::Text(text.as_slice().into()),
                2 => CustomValue::Integer(float.to_bits().cast_signed()),
                3 => CustomValue::Bool(choice % 4 < 2),
                4 => CustomValue::Float(*float),
                _ => CustomValue::read(CustomKind::Integer, text),
            },
        })
        .collect()
}

fn record<'p>(parts: &'p Parts, custom: &'p [Custom<'p>]) -> Record<'p> {
    let mut texts = parts.texts.iter().map(|text| text.as_deref().map(Text::from));
    let mut text = || texts.next().expect("TEXTS is too few");
    let (duration, to_headers, upstream, request, response, suppressed, attempts) = parts.numbers;
    let (grpc_status, error_kind, error, direction, breaker_state, shed, signed) = parts.choices;
    Record {
        timestamp: parts.timestamp,
        severity: parts.severity,
        trace: parts.trace.and_then(|(trace_id, span_id, parent_span_id, flags)| {
            Some(Trace {
                trace_id: TraceId::new(trace_id)?,
                span_id: SpanId::new(span_id)?,
                parent_span_id: parent_span_id.and_then(SpanId::new),
                flags,
            })
        }),
        request_id: text(),
        attributes: Attributes {
            method: text(),
            path: text(),
            query: text(),
            scheme: text(),
            route_template: text(),
            server_address: text(),
            server_port: parts.port.and_then(NonZeroU16::new),
            client_address: text(),
            user_agent: text(),
            protocol_name: text(),
            protocol_version: text(),
            status: parts.status,
            rpc_method: text(),
            grpc_status,
            error_type: match error % 4 {
                0 => None,
                1 => Some(ErrorType::Status(u16::from(error))),
                2 => grpc_status.map(ErrorType::Grpc),
                _ => error_kind.map(ErrorType::Kind),
            },
            flags: ResponseFlags::from_bits(parts.flags),
            code_details: text(),
            route_name: text(),
            virtual_host_name: text(),
            upstream_cluster: text(),
            upstream_address: text(),
            attempt_count: attempts,
            transport_failure_reason: text(),
            direction,
            duration,
            time_to_response_headers: to_headers,
            upstream_duration: upstream,
            request_size: request,
            response_size: response,
            sampled_by: text(),
            sampling_probability: parts.probability,
            breaker_state,
            shed,
            policy_version: text(),
            error_kind,
            error_signature: signed.then_some(&*SIGNATURE),
            suppressed_count: suppressed,
        },
        custom,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn every_record_becomes_one_valid_line(parts in parts()) {
        let custom = custom(&parts);
        let record = record(&parts, &custom);
        let mut line = String::new();
        let written = record.write(&resource(), parts.limit, &mut line);
        prop_assert_eq!(complaints(&line), Vec::<String>::new(), "{}", line);
        let broken = |c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}';
        prop_assert!(!line.contains(broken), "{:?}", line);
        match written {
            Ok(()) => {
                prop_assert!(line.len() <= parts.limit && !line.contains("sluicegate.schema_error"));
                prop_assert_eq!(record.check(), Ok(()));
            }
            Err(error) => {
                let value: serde_json::Value = serde_json::from_str(&line).unwrap();
                let attributes = value["attributes"].as_object().unwrap();
                let reason = attributes["sluicegate.schema_error"].as_str().unwrap();
                prop_assert_eq!(attributes.len(), 1);
                prop_assert!(reason.starts_with(error.code()));
            }
        }
    }

    #[test]
    fn every_service_becomes_a_valid_resource(labels in vec(of(".{0,256}"), 4)) {
        let mut labels = labels.into_iter();
        let mut label = || labels.next().flatten();
        let service = Service { name: label(), version: label(), namespace: label(), environment: label() };
        let mut line = String::new();
        full().write(&Resource::of(&service), MAX_LINE, &mut line).unwrap();
        prop_assert_eq!(complaints(&line), Vec::<String>::new());
    }
}

#[test]
fn the_fullest_record_and_the_smallest_are_valid() {
    for limit in [MAX_LINE, 0] {
        assert_eq!(complaints(&line(&full(), limit)), Vec::<String>::new());
    }
}

#[test]
fn the_longest_smallest_line_is_below_its_bound() {
    let label = Some("\u{10ffff}".repeat(256));
    let service = Service { name: label.clone(), version: label.clone(), namespace: label.clone(), environment: label };
    let id = vec![0; 1_000];
    let record = Record { request_id: Some(id.as_slice().into()), ..full() };
    let mut line = String::new();
    record.write(&Resource::of(&service), 0, &mut line).unwrap_err();
    assert_eq!(complaints(&line), Vec::<String>::new());
    assert!(line.len() < 16 * 1024, "{}", line.len());
}

#[test]
fn ordinary_texts_at_their_longest_fit_into_the_line() {
    let long = vec![b'x'; 10_000];
    let parts = Parts {
        timestamp: 0,
        severity: Severity::Info,
        trace: None,
        texts: vec![Some(long); TEXTS],
        numbers: (None, None, None, None, None, None, None),
        status: None,
        port: None,
        flags: 0,
        probability: None,
        choices: (None, None, 0, None, None, None, false),
        custom: Vec::new(),
        limit: MAX_LINE,
    };
    let mut line = String::new();
    assert_eq!(record(&parts, &[]).write(&resource(), MAX_LINE, &mut line), Ok(()));
    assert_eq!(complaints(&line), Vec::<String>::new());

    // All of them are cut, to the very length that the schema allows.
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let fields = &SCHEMA["properties"];
    assert_eq!(line["req_id"].as_str().map(str::len), Some(128));
    assert_eq!(fields["req_id"]["maxLength"], 128);
    let mut cut = 0;
    for (name, value) in line["attributes"].as_object().unwrap() {
        if let Some(text) = value.as_str().filter(|text| text.ends_with('…')) {
            assert_eq!(fields["attributes"]["properties"][name]["maxLength"], text.len(), "{name}");
            cut += 1;
        }
    }
    assert_eq!(cut, TEXTS - 1);
}

#[test]
fn a_custom_text_is_cut_to_the_length_of_the_schema() {
    let long = "x".repeat(10_000);
    let custom = [Custom { name: "tenant", value: CustomValue::Text(long.as_str().into()) }];
    let line: serde_json::Value = serde_json::from_str(&line(&Record { custom: &custom, ..full() }, MAX_LINE)).unwrap();
    let patterns = SCHEMA["properties"]["attributes"]["patternProperties"].as_object().unwrap();
    let allowed = &patterns.values().next().unwrap()["maxLength"];
    assert_eq!(line["attributes"]["tenant"].as_str().unwrap().len(), *allowed);
}
