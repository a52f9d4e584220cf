#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use sluicegate_policy::Document;

/// What is read of `otlp`, or the errors, one a line.
fn read(otlp: &str) -> Result<Option<Settings>, String> {
    let text = format!(r#"{{"version": "1.0", "access_log": {{"otlp": {otlp}}}}}"#);
    let environment = |name: &str| (name == "OTLP_TOKEN").then(|| "Bearer t0ken".to_owned());
    let document = Document::parse(text.as_bytes(), &environment).unwrap();
    let settings = Settings::read(&document.section("access_log"), Signal::Logs);
    document.finish().map_err(|errors| errors.to_string())?;
    Ok(settings)
}

fn accepted(otlp: &str) -> Settings {
    read(otlp).unwrap().unwrap()
}

#[test]
fn a_cluster_is_enough() {
    let Settings { destination, tuning } = accepted(r#"{"cluster": "otel"}"#);
    assert_eq!((destination.path.as_str(), destination.authority.as_str()), ("/v1/logs", "otel"));
    assert!(destination.headers.is_empty());
    let expected = Tuning {
        batch: BatchLimits { max_records: 512, max_bytes: 524_288, max_age: seconds(5) },
        queue: QueueLimits { max_records: 8_192, max_bytes: 8_388_608 },
        timeout: seconds(10),
        retry: Retry { initial: seconds(1), max: seconds(30), attempts: 5, max_age: seconds(300) },
    };
    assert_eq!(tuning, expected);
    assert_eq!(read("null"), Ok(None));
}

#[test]
fn every_field_may_be_given() {
    let Settings { destination, tuning } = accepted(
        r#"{
            "cluster": "otel", "path": "/otlp/v1/logs?x=1", "authority": "otel.example:4318",
            "headers": [{"name": "Authorization", "value": {"env": "OTLP_TOKEN"}}, {"name": "x-tenant", "value": "a b"}],
            "batch": {"max_records": 10, "max_bytes": 2048, "max_age": "1s"},
            "queue": {"max_records": 20, "max_bytes": 4096},
            "timeout": "2s",
            "retry": {"initial": "3s", "max": "4s", "attempts": 6, "max_age": "7s"}
        }"#,
    );
    assert_eq!((destination.path.as_str(), destination.authority.as_str()), ("/otlp/v1/logs?x=1", "otel.example:4318"));
    let headers: Vec<_> = destination.headers.iter().map(|(name, value)| (name.as_str(), value.bytes())).collect();
    assert_eq!(headers, [("authorization", &b"Bearer t0ken"[..]), ("x-tenant", b"a b")]);
    let expected = Tuning {
        batch: BatchLimits { max_records: 10, max_bytes: 2048, max_age: seconds(1) },
        queue: QueueLimits { max_records: 20, max_bytes: 4096 },
        timeout: seconds(2),
        retry: Retry { initial: seconds(3), max: seconds(4), attempts: 6, max_age: seconds(7) },
    };
    assert_eq!(tuning, expected);
}

#[test]
fn what_is_wrong_is_named_with_its_path() {
    for (fields, expected) in [
        (r#""path": "/""#, "access_log.otlp.cluster: missing"),
        (r#""cluster": """#, "access_log.otlp.cluster: found"),
        (r#""cluster": "a b""#, "access_log.otlp.cluster: found"),
        (r#""path": "v1/logs""#, "access_log.otlp.path: found"),
        (r#""path": "/a#b""#, "access_log.otlp.path: found"),
        (r#""path": "/a\nb""#, "access_log.otlp.path: found"),
        (r#""authority": "a/b""#, "access_log.otlp.authority: found"),
        (r#""authority": """#, "access_log.otlp.authority: found"),
        (r#""headers": [{"name": "a"}]"#, "access_log.otlp.headers[0].value: missing"),
        (r#""headers": [{"value": "a"}]"#, "access_log.otlp.headers[0].name: missing"),
        (r#""headers": [{"name": "Content-Type", "value": "a"}]"#, "access_log.otlp.headers[0].name: found"),
        (r#""headers": [{"name": ":path", "value": "a"}]"#, "access_log.otlp.headers[0].name: found"),
        (r#""headers": [{"name": "x y", "value": "a"}]"#, "access_log.otlp.headers[0].name: found"),
        (
            r#""headers": [{"name": "x", "value": "a"}, {"name": "X", "value": "a"}]"#,
            "access_log.otlp.headers[1].name: found",
        ),
        (r#""batch": {"max_records": 0}"#, "access_log.otlp.batch.max_records: found 0"),
        (r#""batch": {"max_bytes": 1023}"#, "access_log.otlp.batch.max_bytes: found 1023"),
        (r#""batch": {"max_age": "99ms"}"#, "access_log.otlp.batch.max_age: found"),
        (r#""queue": {"max_records": 100001}"#, "access_log.otlp.queue.max_records: found 100001"),
        (r#""queue": {"max_records": 511}"#, "access_log.otlp.queue.max_records: found 511, with 512 in a batch"),
        (r#""queue": {"max_bytes": 67108865}"#, "access_log.otlp.queue.max_bytes: found 67108865"),
        (r#""queue": {"max_bytes": 1024}"#, "access_log.otlp.queue.max_bytes: found 1024, with 524288 in a batch"),
        (r#""timeout": "61s""#, "access_log.otlp.timeout: found"),
        (r#""retry": {"initial": "31s"}"#, "access_log.otlp.retry.max: found 30s, with an initial wait of 31s"),
        (r#""retry": {"attempts": 0}"#, "access_log.otlp.retry.attempts: found 0"),
        (r#""retry": {"max_age": "0s"}"#, "access_log.otlp.retry.max_age: found"),
        (r#""clutser": "a""#, "access_log.otlp.clutser: unknown field"),
    ] {
        let cluster = if expected.contains("cluster:") { "" } else { r#""cluster": "otel", "# };
        let errors = read(&format!("{{{cluster}{fields}}}")).expect_err(fields);
        assert!(errors.starts_with(expected), "{fields}: {errors}");
    }
}

#[test]
fn the_value_of_a_header_is_never_shown() {
    for value in ["s3cr3t\\n", "s3cr3té", " s3cr3t", "s3cr3t "] {
        let otlp = format!(r#"{{"cluster": "otel", "headers": [{{"name": "x", "value": "{value}"}}]}}"#);
        let errors = read(&otlp).expect_err(value);
        assert!(errors.contains("access_log.otlp.headers[0].value") && !errors.contains("s3cr3t"), "{errors}");
    }
    let settings = accepted(r#"{"cluster": "otel", "headers": [{"name": "x", "value": "s3cr3t"}]}"#);
    assert!(!format!("{settings:?}").contains("s3cr3t"));
}

#[test]
fn the_authority_is_the_host_in_the_name_of_the_cluster() {
    for (cluster, authority) in [
        ("otel_collector", "otel_collector"),
        ("outbound|4318||otel.monitoring.svc.cluster.local", "otel.monitoring.svc.cluster.local"),
        ("otel/collector", "collector"),
        ("outbound|4318||", "collector"),
    ] {
        assert_eq!(accepted(&format!(r#"{{"cluster": "{cluster}"}}"#)).destination.authority, authority);
    }
}
