//! Whatever bytes a module is handed for a policy: it says what its code says when it is not in a module, and never traps.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod kit;
#[path = "../../../filters/sluicectl/tests/kit/mutated.rs"]
mod mutated;

use kit::{assert_same_verdict, module, shipped_policy, start};
use mutated::{Numbers, garble, mutated};
use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct};
use serde_json::Value;
use sluicegate_engine::{Request, Vm};
use sluicegate_suite::Suite;

/// The document as Envoy hands over YAML of its configuration.
fn structure(value: &Value) -> Struct {
    let fields = value.as_object().unwrap();
    Struct { fields: fields.iter().map(|(name, value)| (name.clone(), wire(value))).collect() }
}

fn wire(value: &Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(yes) => Kind::BoolValue(*yes),
        // Envoy's YAML reader leaves whole numbers alone as numbers.
        Value::Number(number) if number.is_f64() => Kind::StringValue(number.to_string()),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(wire).collect() }),
        Value::Object(_) => Kind::StructValue(structure(value)),
    };
    prost_types::Value { kind: Some(kind) }
}

/// Asserts the verdict on each, that some of them are accepted if `some`, and that the module serves on.
fn assert_verdicts(vm: &mut Vm, documents: impl Iterator<Item = Vec<u8>>, some: bool) {
    let (mut count, mut accepted) = (0, 0);
    for document in documents {
        count += 1;
        accepted += usize::from(assert_same_verdict::<Suite>(vm, &document));
    }
    assert!(count > 0 && (accepted > 0) == some && accepted < count, "{accepted} of {count}");
    assert_serves(vm);
    println!("{accepted} of {count} accepted");
}

fn assert_serves(vm: &mut Vm) {
    assert!(vm.configure(br#"{"version": "1.0", "access_log": {"profile": "test"}}"#).unwrap().is_accepted);
    let exchange = vm.exchange(&Request::get("/")).unwrap();
    assert!(exchange.line().is_some() && exchange.upstream.get("traceparent").is_some());
}

#[test]
fn random_bytes() {
    let mut numbers = Numbers(11);
    let starts: [&[u8]; 6] =
        [b"", b"{", b"{\"version\": \"1.0\", ", b"\n", b"\n\x0e\n\x07version\x12\x05\x1a\x031.0", b" "];
    let documents = (0..3_000).map(|number| {
        let length = numbers.up_to(200);
        let random = (0..length).map(|_| numbers.up_to(256) as u8).collect::<Vec<_>>();
        [starts[number % starts.len()], &random].concat()
    });
    let mut vm = start(&module("suite"));
    // Nothing at all is the defaults.
    assert_verdicts(&mut vm, documents.chain([Vec::new()]), true);
}

#[test]
fn documents_that_end_too_early() {
    let policy = shipped_policy();
    let mut vm = start(&module("suite"));
    for whole in [policy.to_string().into_bytes(), structure(&policy).encode_to_vec()] {
        let cuts = (1..=whole.len()).map(|end| whole[..end].to_vec());
        assert_verdicts(&mut vm, cuts, true);
    }
}

#[test]
fn structs_that_somebody_broke() {
    let (mut numbers, whole) = (Numbers(13), structure(&shipped_policy()).encode_to_vec());
    let documents = (0..3_000).map(|_| garble(&whole, &mut numbers));
    assert_verdicts(&mut start(&module("suite")), documents, true);
}

#[test]
fn structs_of_broken_policies() {
    let policy = shipped_policy();
    let parsed = mutated(&policy).filter_map(|document| serde_json::from_slice::<Value>(&document).ok());
    let documents = parsed.filter(Value::is_object).take(1_500).map(|policy| structure(&policy).encode_to_vec());
    assert_verdicts(&mut start(&module("suite")), documents, true);
}

#[test]
fn depths_and_sizes_beyond_all_measure() {
    let lists =
        |depth: usize| format!("{{\"version\": \"1.0\", \"trace\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}0{}", "{\"trace\":".repeat(depth), "}".repeat(depth));
    let depths = [1, 30, 31, 32, 33, 100, 5_000, 30_000];
    let mut documents: Vec<Vec<u8>> =
        depths.iter().flat_map(|depth| [lists(*depth), objects(*depth)]).map(Into::into).collect();
    documents.extend([60_000, 1_000_000].map(|depth| "[".repeat(depth).into_bytes()));
    // A Struct in a Struct, with all its lengths right.
    for depth in depths.into_iter().filter(|depth| *depth <= 5_000) {
        let mut inner = Struct::default().encode_to_vec();
        for _ in 0..depth {
            let value = field(5, &inner);
            inner = field(1, &[field(1, b"trace"), field(2, &value)].concat());
        }
        documents.push(inner);
    }
    for length in [64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 1 << 20, 10 << 20] {
        let start = "{\"version\": \"1.0\"";
        documents.push(format!("{start}{}}}", " ".repeat(length - start.len() - 1)).into_bytes());
        let start = "{\"version\": \"1.0\", \"service\": {\"name\": \"";
        documents.push(format!("{start}{}\"}}}}", "n".repeat(length - start.len() - 3)).into_bytes());
    }
    let many =
        |start: &str, item: &str, end: &str| format!("{start}{}{end}", vec![item; 50_000 / item.len()].join(","));
    documents.push(many("{\"version\": \"1.0\", \"trace\": {\"extract\": [", "\"w3c\"", "]}}").into_bytes());
    documents.push(many("{\"version\": \"1.0\", \"sampling\": {\"rules\": [", "{\"never\":true}", "]}}").into_bytes());
    documents.push(many("{\"version\": \"1.0\", \"trace\": {\"rules\": [", "{}", "]}}").into_bytes());
    let fields: Vec<_> = (0..4_000).map(|number| format!("\"f{number}\":1")).collect();
    documents.push(format!("{{\"version\": \"1.0\", \"trace\": {{{}}}}}", fields.join(",")).into_bytes());
    assert_verdicts(&mut start(&module("suite")), documents.into_iter(), true);
}

/// A field of a message in protobuf's wire format: a string or a message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    [&bytes, content].concat()
}
