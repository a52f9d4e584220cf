#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use sluicegate_policy::Service;
use sluicegate_telemetry::outcome::{ErrorKind, ErrorType, ResponseFlags};

fn resource() -> Resource {
    Resource::of(&Service { name: Some("check\"out".into()), environment: Some("prod".into()), ..Service::default() })
}

fn record() -> Record<'static> {
    Record {
        timestamp: 1_700_000_000_123_456_789,
        severity: Severity::Error,
        trace: Some(Trace {
            trace_id: TraceId::new([0xab; 16]).unwrap(),
            span_id: SpanId::new([1; 8]).unwrap(),
            parent_span_id: SpanId::new([2; 8]),
            flags: 1,
        }),
        request_id: Some("r-1".into()),
        attributes: Attributes {
            method: Some("GET".into()),
            path: Some("/a".into()),
            status: Some(504),
            error_type: Some(ErrorType::Kind(ErrorKind::Timeout)),
            flags: ResponseFlags::from_bits(1 << 2),
            duration: Some(1_500_000),
            error_kind: Some(ErrorKind::Timeout),
            ..Attributes::default()
        },
        custom: &[],
    }
}

fn line(record: &Record<'_>, limit: usize) -> (String, Result<(), SchemaError>) {
    let mut line = String::new();
    let written = record.write(&resource(), limit, &mut line);
    (line, written)
}

const RESOURCE: &str = concat!(
    r#""resource":{"service.name":"check\"out","deployment.environment.name":"prod","#,
    r#""telemetry.sdk.name":"sluicegate","telemetry.sdk.language":"rust","telemetry.sdk.version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}"#
);

const IDS: &str = concat!(
    r#""trace_id":"abababababababababababababababab","span_id":"0101010101010101","#,
    r#""parent_span_id":"0202020202020202","trace_flags":"01","req_id":"r-1","#
);

#[test]
fn a_record_is_one_object_of_two_levels() {
    let custom = [
        Custom { name: "tenant", value: CustomValue::Text("a\nb".into()) },
        Custom { name: "user.tier", value: CustomValue::Integer(-3) },
    ];
    let (line, written) = line(&Record { custom: &custom, ..record() }, MAX_LINE);
    assert_eq!(written, Ok(()));
    let expected = [
        r#"{"timestamp":"2023-11-14T22:13:20.123456789Z","severity_text":"ERROR","severity_number":17,"#,
        r#""body":"GET /a answered 504 in 1.5 ms: timeout","#,
        IDS,
        r#""attributes":{"http.request.method":"GET","url.path":"/a","http.response.status_code":504,"#,
        r#""error.type":"timeout","envoy.response.flags":"UT","sluicegate.duration_ms":1.5,"#,
        r#""sluicegate.error.kind":"timeout","tenant":"a\nb","user.tier":-3},"#,
        RESOURCE,
    ];
    assert_eq!(line, expected.concat());
}

#[test]
fn a_record_that_does_not_conform_is_the_smallest_with_its_reason() {
    let custom = |name, value| [Custom { name, value }];
    let mistyped = custom("quota", CustomValue::Mistyped(CustomKind::Integer));
    let nan = custom("ratio", CustomValue::Float(f64::NAN));
    let reserved = custom("http.route", CustomValue::Bool(true));
    let unnamed = custom("a\n\"b", CustomValue::Bool(true));
    let many = custom("a", CustomValue::Bool(true)).repeat(2);
    let with = |attributes| Record { attributes, ..record() };
    let attributes = Attributes::default();
    let table = [
        (Record { custom: &mistyped, ..record() }, "custom_type: quota is not an integer"),
        (Record { custom: &nan, ..record() }, "not_finite: ratio"),
        (Record { custom: &reserved, ..record() }, "custom_collision: http.route"),
        (Record { custom: &unnamed, ..record() }, r#"custom_name: a\n\"b"#),
        (Record { custom: &many, ..record() }, "custom_collision: a"),
        (with(Attributes { status: Some(99), ..attributes }), "out_of_range: http.response.status_code"),
        (with(Attributes { status: Some(1000), ..attributes }), "out_of_range: http.response.status_code"),
        (
            with(Attributes { sampling_probability: Some(f64::INFINITY), ..attributes }),
            "not_finite: sluicegate.sampling_probability",
        ),
        (
            with(Attributes { sampling_probability: Some(1.1), ..attributes }),
            "out_of_range: sluicegate.sampling_probability",
        ),
        (
            with(Attributes { sampling_probability: Some(0.0), ..attributes }),
            "out_of_range: sluicegate.sampling_probability",
        ),
    ];
    for (record, reason) in table {
        let (line, written) = line(&record, MAX_LINE);
        assert!(written.is_err());
        let expected = [
            r#"{"timestamp":"2023-11-14T22:13:20.123456789Z","severity_text":"ERROR","severity_number":17,"#,
            r#""body":"A record did not conform to the schema","#,
            IDS,
            r#""attributes":{"sluicegate.schema_error":""#,
            reason,
            r#""},"#,
            RESOURCE,
        ];
        assert_eq!(line, expected.concat());
    }
}

#[test]
fn a_line_may_be_as_long_as_its_limit_and_no_longer() {
    let (whole, written) = line(&record(), MAX_LINE);
    assert_eq!(written, Ok(()));
    assert_eq!(line(&record(), whole.len()), (whole.clone(), Ok(())));
    let (smallest, written) = line(&record(), whole.len() - 1);
    assert_eq!(written, Err(SchemaError::LineTooLong));
    assert!(smallest.contains(r#""sluicegate.schema_error":"line_too_long""#), "{smallest}");
}

#[test]
fn a_line_is_appended_to_what_is_there() {
    let mut lines = String::from("before\n");
    record().write(&resource(), MAX_LINE, &mut lines).unwrap();
    let (one, _) = line(&record(), MAX_LINE);
    assert_eq!(lines, format!("before\n{one}"));
    let mut lines = String::from("before\n");
    record().write(&resource(), 10, &mut lines).unwrap_err();
    assert!(lines.starts_with("before\n{\"timestamp\"") && !lines.contains("url.path"), "{lines}");
}

#[test]
fn a_method_that_opentelemetry_does_not_know_is_other() {
    let method = |method: &'static str| {
        let attributes = Attributes { method: Some(method.into()), ..Attributes::default() };
        line(&Record { attributes, ..record() }, MAX_LINE).0
    };
    assert!(method("PATCH").contains(r#"{"http.request.method":"PATCH"}"#));
    let other = r#"{"http.request.method":"_OTHER","http.request.method_original":"get"}"#;
    assert!(method("get").contains(other), "{}", method("get"));
}
