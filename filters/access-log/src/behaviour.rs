//! The filter as a whole, on a proxy in memory.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::AccessLog;
use sluicegate_host::double::{Double, Running};
use sluicegate_host::{Callbacks, Exchange, Filter, Flow, Rejected, RequestId, TraceFacts, Vm};
use sluicegate_policy::Document;
use std::time::Duration;

pub(crate) const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// When exchanges begin, in nanoseconds since the Unix epoch.
const BEGIN: i64 = 1_700_000_000_000_000_000;

/// The filter with this section `access_log`.
pub(crate) fn filter(section: &str) -> (&'static Double, Running<AccessLog>) {
    let proxy = Double::new();
    let policy = format!(r#"{{"version": "1.0", "service": {{"name": "checkout"}}, "access_log": {{{section}}}}}"#);
    let running = proxy.start(&policy).unwrap_or_else(|lines| panic!("{lines:?}"));
    (proxy, running)
}

fn rejection(section: &str) -> String {
    let policy = format!(r#"{{"version": "1.0", "access_log": {{{section}}}}}"#);
    Double::new().start::<AccessLog>(&policy).err().unwrap_or_default().join("\n")
}

/// Has exchanges end like this.
pub(crate) fn ends(proxy: &Double, code: i64, details: &str) {
    proxy.set("response\0code", code.to_le_bytes());
    proxy.set("response\0code_details", details);
    proxy.set("request\0time", BEGIN.to_le_bytes());
    proxy.set("request\0duration", 12_345_678i64.to_le_bytes());
}

/// The line that was left for the access logger.
pub(crate) fn line(proxy: &Double) -> Option<String> {
    proxy.take("access_log").map(|line| {
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line.find('\n'), Some(line.len() - 1), "{line}");
        line
    })
}

/// The line of a GET that ends like this; `None` where it is not logged.
fn logged(section: &str, code: i64, headers: &[(&str, &str)]) -> Option<String> {
    let (proxy, mut running) = filter(section);
    ends(proxy, code, "via_upstream");
    let mut all = vec![(":method", "GET"), (":path", "/cart/7?page=2"), (":authority", "shop")];
    all.extend_from_slice(headers);
    running.exchange(&all, &[(":status", "200")]);
    line(proxy)
}

fn assert_contains(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

#[test]
fn a_line_says_who_asked_for_what_and_how_it_went() {
    let (proxy, mut running) = filter("");
    ends(proxy, 200, "via_upstream");
    proxy.set("request\0protocol", "HTTP/2");
    proxy.set("source\0address", "[2001:db8::7]:4711");
    proxy.set("upstream\0address", "10.0.0.7:8080");
    proxy.set("upstream\0request_attempt_count", 2i64.to_le_bytes());
    proxy.set("xds\0route_name", "carts");
    proxy.set("xds\0cluster_name", "shop");
    proxy.set("request\0total_size", 321i64.to_le_bytes());
    proxy.advance(Duration::from_nanos(BEGIN.unsigned_abs() + 9_000_000));
    let headers = [
        (":method", "POST"),
        (":path", "/cart/7?page=2"),
        (":scheme", "https"),
        (":authority", "shop:8443"),
        ("user-agent", "curl"),
        ("traceparent", TRACEPARENT),
        ("x-request-id", "r-1"),
    ];
    running.request(&headers);
    let line = line(proxy).unwrap();
    assert_contains(
        &line,
        &[
            r#""timestamp":"2023-11-14T22:13:20.000000000Z""#,
            r#""severity_text":"INFO","severity_number":9"#,
            r#""body":"POST /cart/7 answered 200 in 12.345 ms""#,
            r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","trace_flags":"01""#,
            r#""req_id":"r-1""#,
            r#""url.path":"/cart/7","url.query":"page=2","url.scheme":"https""#,
            r#""server.address":"shop","server.port":8443,"client.address":"2001:db8::7""#,
            r#""network.protocol.name":"http","network.protocol.version":"2""#,
            r#""envoy.route.name":"carts","envoy.upstream.cluster":"shop","envoy.upstream.address":"10.0.0.7:8080""#,
            r#""envoy.upstream.attempt_count":2"#,
            r#""sluicegate.duration_ms":12.345,"sluicegate.time_to_response_headers_ms":9.0"#,
            r#""sluicegate.request_size_bytes":321"#,
            r#""sluicegate.sampled_by":"trace","sluicegate.policy_version":"1.0-"#,
            r#""service.name":"checkout""#,
        ],
    );
    assert!(!line.contains("parent_span_id") && !line.contains("via_upstream"), "{line}");
}

#[test]
fn what_goes_without_saying_is_said_in_full_detail() {
    let line = logged(r#""detail": "full""#, 200, &[]).unwrap();
    assert_contains(&line, &[r#""envoy.response.code_details":"via_upstream""#]);
}

#[test]
fn one_hop_is_one_line_so_the_callers_side_says_nothing() {
    for (direction, lines) in [(1i64, true), (2, false), (0, true)] {
        let (proxy, mut running) = filter("");
        ends(proxy, 200, "via_upstream");
        proxy.set("xds\0listener_direction", direction.to_le_bytes());
        let exchange = running.request(&[(":path", "/")]);
        assert_eq!(line(proxy).is_some(), lines, "{direction}");
        if !lines {
            // Nor does it cost more than to find out.
            assert_eq!(exchange.calls, ["proxy_get_property"]);
        }
    }
    let (proxy, mut running) = filter(r#""direction": "outbound""#);
    ends(proxy, 404, "via_upstream");
    proxy.set("xds\0listener_direction", 2i64.to_le_bytes());
    running.request(&[(":path", "/")]);
    // A caller counts every failure.
    assert_contains(&line(proxy).unwrap(), &[r#""sluicegate.direction":"outbound""#, r#""error.type":"404""#]);
}

#[test]
fn a_section_that_is_off_costs_nothing() {
    let (proxy, mut running) = filter(r#""enabled": false"#);
    ends(proxy, 500, "via_upstream");
    assert!(running.request(&[(":path", "/")]).calls.is_empty());
    assert_eq!(line(proxy), None);
}

#[test]
fn an_exchange_that_never_had_a_request_here_is_logged_too() {
    let (proxy, mut running) = filter("");
    ends(proxy, 400, "http1.codec_error");
    proxy.set("response\0flags", (1i64 << 18).to_le_bytes());
    running.rejected_exchange(&[(":status", "400")]);
    let line = line(proxy).unwrap();
    assert_contains(&line, &[r#""severity_text":"WARN""#, r#""sluicegate.error.kind":"rejected""#, "answered 400"]);
    assert!(!line.contains("url.path"), "{line}");
}

#[test]
fn what_other_plugins_found_out_is_handed_over() {
    let proxy = Double::new();
    let policy = r#"{"version": "1.0", "trace": {"request_id": {"header": "X-Correlation-Id"}}}"#;
    let mut running = proxy.start::<AccessLog>(policy).unwrap();
    ends(proxy, 503, "");
    proxy.set("sluicegate_trace", "b7ad6b7169203331");
    proxy.set("sluicegate_reply", "breaker_open");
    running.request(&[(":path", "/"), ("traceparent", TRACEPARENT), ("x-correlation-id", "c-1")]);
    assert_contains(
        &line(proxy).unwrap(),
        &[r#""parent_span_id":"b7ad6b7169203331""#, r#""req_id":"c-1""#, r#""sluicegate.error.kind":"breaker_open""#],
    );
}

#[test]
fn the_profile_decides_what_is_kept() {
    let not_sampled = [("traceparent", NOT_SAMPLED)];
    for (profile, code, kept) in [
        ("prod", 200, None),
        ("prod", 404, Some("severity")),
        ("prod", 503, Some("error")),
        ("test", 200, Some("severity")),
        ("dev", 200, Some("severity")),
    ] {
        let line = logged(&format!(r#""profile": "{profile}""#), code, &not_sampled);
        match kept {
            None => assert_eq!(line, None, "{profile} {code}"),
            Some(by) => assert_contains(&line.unwrap(), &[&format!(r#""sluicegate.sampled_by":"{by}""#)]),
        }
    }
    assert_eq!(logged(r#""profile": "dev", "always_from": "warn""#, 200, &not_sampled), None);
    assert_eq!(logged(r#""min_severity": "warn""#, 200, &[]), None);
    assert_contains(&logged("", 200, &[]).unwrap(), &[r#""sluicegate.sampled_by":"default""#]);
}

#[test]
fn the_environment_gives_the_profile() {
    let proxy = Double::new();
    let policy = r#"{"version": "1.0", "service": {"environment": "staging"}}"#;
    let mut running = proxy.start::<AccessLog>(policy).unwrap();
    ends(proxy, 200, "via_upstream");
    running.request(&[(":path", "/"), ("traceparent", NOT_SAMPLED)]);
    assert!(line(proxy).is_some());
}

#[test]
fn slow_is_measured_to_the_headers_of_the_response() {
    for (headers_after, kept) in [(999_000_000, false), (1_001_000_000, true)] {
        let (proxy, mut running) = filter("");
        ends(proxy, 200, "via_upstream");
        // An hour in all: a stream.
        proxy.set("request\0duration", 3_600_000_000_000i64.to_le_bytes());
        proxy.advance(Duration::from_nanos(BEGIN.unsigned_abs() + headers_after));
        running.request(&[(":path", "/"), ("traceparent", NOT_SAMPLED)]);
        let line = line(proxy);
        assert_eq!(line.is_some(), kept, "{headers_after}");
        if let Some(line) = line {
            let both = r#""sluicegate.duration_ms":3600000.0,"sluicegate.time_to_response_headers_ms":1001.0"#;
            assert_contains(&line, &[both, r#""sluicegate.sampled_by":"slow""#, r#""severity_text":"INFO""#]);
        }
    }
}

#[test]
fn rules_drop_noise_but_no_errors() {
    let drop =
        r#""drop": [{"match": {"path": {"prefix": "/cart"}}}, {"match": {"path": {"exact": "/"}}, "below": "warn"}]"#;
    assert_eq!(logged(drop, 200, &[]), None);
    assert_eq!(logged(drop, 404, &[]), None);
    assert!(logged(drop, 503, &[]).is_some());
    let below_warn = drop.replace("/cart", "/other").replace(r#""exact": "/""#, r#""prefix": "/cart""#);
    assert_eq!(logged(&below_warn, 200, &[]), None);
    assert!(logged(&below_warn, 404, &[]).is_some());
}

#[test]
fn rules_change_the_severity_of_all_or_of_some_responses() {
    let rules = r#""severity": [
        {"match": {"path": {"prefix": "/cart"}}, "status": ["404", "5xx"], "severity": "info"},
        {"match": {"path": {"prefix": "/cart"}}, "severity": "fatal"},
        {"severity": "debug"}
    ]"#;
    for (code, severity) in
        [(404, "INFO"), (503, "INFO"), (599, "INFO"), (403, "FATAL"), (600, "FATAL"), (200, "FATAL")]
    {
        let expected = format!(r#""severity_text":"{severity}""#);
        assert_contains(&logged(rules, code, &[]).unwrap(), &[&expected]);
    }
}

#[test]
fn the_route_is_the_template_of_the_policy() {
    let routes = r#""routes": [{"match": {"path": {"template": "/cart/{id}"}, "method": "GET"}}]"#;
    let line = logged(routes, 503, &[]).unwrap();
    assert_contains(&line, &[r#""http.route":"/cart/{id}""#]);
    let without = logged("", 503, &[]).unwrap();
    assert!(!without.contains("http.route"), "{without}");
    let signature = |line: &str| line.split_once("error.signature\":\"").map(|(_, rest)| rest[..16].to_owned());
    assert_ne!(signature(&line), signature(&without));
    let (proxy, mut running) = filter(routes);
    ends(proxy, 503, "no_such_details");
    running.request(&[(":path", "/cart/7"), (":method", "GET")]);
    assert_ne!(signature(&line), signature(&self::line(proxy).unwrap()), "details count");
    assert_eq!(signature(&line), signature(&logged(routes, 503, &[]).unwrap()));
}

#[test]
fn who_leaves_a_stream_does_nothing_wrong() {
    for (asked, content_type, gone) in [
        ("text/plain", "text/plain", true),
        ("text/plain", "text/event-stream; charset=utf-8", false),
        ("text/plain", "Text/Event-Stream", false),
        ("application/grpc", "application/grpc", false),
    ] {
        let (proxy, mut running) = filter("");
        ends(proxy, 200, "via_upstream");
        proxy.set("response\0flags", (1i64 << 14).to_le_bytes());
        running.exchange(&[(":path", "/"), ("content-type", asked)], &[("content-type", content_type)]);
        let line = line(proxy).unwrap();
        assert_eq!(line.contains("client_gone"), gone, "{content_type}: {line}");
    }
}

#[test]
fn a_burst_is_thinned_and_the_next_line_says_by_how_much() {
    let (proxy, mut running) = filter(r#""burst": {"first": 2, "every": 10}"#);
    ends(proxy, 200, "via_upstream");
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..12 {
        running.request(&[(":path", "/")]);
        lines.extend(line(proxy));
    }
    assert_eq!(lines.len(), 3);
    assert!(!lines[1].contains("suppressed") && lines[2].contains(r#""sluicegate.suppressed_count":9"#), "{lines:?}");
    // A second later all begins anew.
    proxy.set("request\0time", (BEGIN + 1_000_000_000).to_le_bytes());
    running.request(&[(":path", "/")]);
    assert!(line(proxy).is_some());
    running.tick();
    assert_eq!(proxy.metric("sluicegate_access_log_not_kept_total.reason=burst"), Some(9));
    assert_eq!(proxy.metric("sluicegate_access_log_records_total.severity=INFO"), Some(4));
}

#[test]
fn a_policy_adds_attributes_of_its_own() {
    let attributes = r#""attributes": [
        {"name": "tenant", "request_header": "X-Tenant"},
        {"name": "cache.age", "response_header": "age", "type": "integer"},
        {"name": "zone", "property": "upstream.zone"},
        {"name": "team", "value": "payments"},
        {"name": "port", "property": "upstream.port", "type": "integer"},
        {"name": "absent", "request_header": "x-absent"},
        {"name": "short", "request_header": "x-long", "max_length": 8}
    ]"#;
    let (proxy, mut running) = filter(attributes);
    ends(proxy, 200, "via_upstream");
    proxy.set("upstream\0zone", "eu-1");
    proxy.set("upstream\0port", 8080i64.to_le_bytes());
    let request = [(":path", "/"), ("x-tenant", "acme"), ("x-long", "0123456789")];
    running.exchange(&request, &[("age", " 17 ")]);
    let line = line(proxy).unwrap();
    assert_contains(
        &line,
        &[r#""tenant":"acme","cache.age":17,"zone":"eu-1","team":"payments","port":8080,"short":"01234"#],
    );
    assert!(!line.contains("absent") && !line.contains("0123456789"), "{line}");
}

#[test]
fn attributes_are_redacted_by_where_they_come_from_and_by_their_own_names() {
    let attributes = r#""attributes": [
        {"name": "who", "request_header": "authorization"},
        {"name": "api_key", "request_header": "x-key"},
        {"name": "mail", "request_header": "x-mail"},
        {"name": "session", "request_header": "x-number", "type": "integer"},
        {"name": "header", "property": "request.headers.authorization"}
    ]"#;
    let (proxy, mut running) = filter(attributes);
    ends(proxy, 200, "via_upstream");
    let request = [
        (":path", "/"),
        ("authorization", "Basic s3cr3t"),
        ("x-key", "k3y"),
        ("x-mail", "to jane@example.com"),
        ("x-number", "4711"),
    ];
    running.request(&request);
    let line = line(proxy).unwrap();
    assert_contains(
        &line,
        &[r#""who":"[redacted]","api_key":"[redacted]","mail":"to [redacted]","header":"[redacted]""#],
    );
    for secret in ["s3cr3t", "k3y", "jane", "4711"] {
        assert!(!line.contains(secret), "{line}");
    }
}

#[test]
fn a_record_that_cannot_conform_is_the_smallest_and_is_counted() {
    let (proxy, mut running) = filter(r#""attributes": [{"name": "n", "request_header": "x-n", "type": "integer"}]"#);
    ends(proxy, 503, "via_upstream");
    running.request(&[(":path", "/"), ("x-n", "seventeen"), ("traceparent", TRACEPARENT)]);
    let line = line(proxy).unwrap();
    assert_contains(
        &line,
        &[
            r#""severity_text":"ERROR""#,
            r#""trace_id":"4bf92f35"#,
            r#""sluicegate.schema_error":"custom_type: n is not an integer""#,
        ],
    );
    assert!(!line.contains("url.path") && !line.contains("seventeen"), "{line}");
    running.tick();
    assert_eq!(proxy.metric("sluicegate_access_log_schema_errors_total.code=custom_type"), Some(1));
}

#[test]
fn the_application_log_is_a_sink_for_a_quick_look() {
    let (proxy, mut running) = filter(r#""sinks": "proxy_log""#);
    ends(proxy, 200, "via_upstream");
    running.request(&[(":path", "/quick")]);
    assert_eq!(line(proxy), None);
    let lines = proxy.log_lines();
    assert!(lines.iter().any(|line| line.starts_with("{\"timestamp\"") && line.contains("/quick")), "{lines:?}");
}

#[test]
fn a_wrong_section_is_rejected_with_all_that_is_wrong() {
    let table = [
        (r#""sinks": "otlp""#, "access_log.otlp: missing, accepted: an object with the cluster"),
        (r#""sinks": []"#, "access_log.sinks: found an empty list"),
        (r#""sinks": "file""#, r#"access_log.sinks: found "file", accepted: one of "proxy", "otlp", "proxy_log""#),
        (r#""profile": "production""#, "access_log.profile: found \"production\""),
        (r#""slow_threshold": "0s""#, "access_log.slow_threshold: found \"0s\""),
        (r#""drop": [{"below": "info"}]"#, "access_log.drop[0].below: found \"info\""),
        (r#""severity": [{"status": ["40"], "severity": "info"}]"#, "access_log.severity[0].status[0]: found \"40\""),
        (r#""severity": [{}]"#, "access_log.severity[0].severity: missing"),
        (r#""routes": [{"match": {"path": {"prefix": "/a"}}}]"#, "access_log.routes[0].match: found no path template"),
        (r#""burst": {"first": 0}"#, "access_log.burst.first: found 0, accepted: a whole number from 1"),
        (r#""attributes": [{"name": "a"}]"#, "access_log.attributes[0]: missing, accepted: one of \"request_header\""),
        (r#""attributes": [{"value": "x"}]"#, "access_log.attributes[0].name: missing"),
        (
            r#""attributes": [{"name": "http.x", "value": "x"}]"#,
            "access_log.attributes[0].name: found custom_collision: http.x",
        ),
        (r#""attributes": [{"name": "A", "value": "x"}]"#, "access_log.attributes[0].name: found custom_name: A"),
        (
            r#""attributes": [{"name": "a", "value": "x"}, {"name": "a.b", "value": "x"}]"#,
            "access_log.attributes[1].name: found custom_collision: a",
        ),
        (
            r#""attributes": [{"name": "n", "value": "x", "type": "integer"}]"#,
            "access_log.attributes[0].value: found a text that is not of the attribute's type",
        ),
        (
            // As a secret it would be redacted, and that is no number. It is not shown.
            r#""attributes": [{"name": "session", "value": "4711", "type": "integer"}]"#,
            "access_log.attributes[0].value: found a text that is not of the attribute's type",
        ),
        (r#""attributes": [{"name": "a", "property": "request.headers"}]"#, "access_log.attributes[0].property: found"),
        (r#""attributes": [{"name": "a", "property": "xds.node"}]"#, "access_log.attributes[0].property: found"),
        (r#""severity": [{"status": "04xx", "severity": "info"}]"#, "access_log.severity[0].status: found \"04xx\""),
        (r#""min_severity": "fatal""#, "access_log.min_severity: found \"fatal\""),
        (r#""attributes": [{"name": "a", "request_header": "x y"}]"#, "access_log.attributes[0].request_header: found"),
        (r#""attributes": [{"name": "a", "property": "a..b"}]"#, "access_log.attributes[0].property: found"),
        (r#""redact": {"mode": "blur"}"#, "access_log.redact.mode: found \"blur\""),
        (r#""fomat": "json""#, "access_log.fomat: unknown field"),
    ];
    for (section, start) in table {
        let lines = rejection(section);
        assert!(lines.starts_with(&format!("access-log: policy rejected: {start}")), "{section}: {lines}");
    }
}

#[test]
fn a_collector_that_no_sink_uses_earns_a_warning() {
    let (proxy, _) = filter(r#""otlp": {"cluster": "otel"}"#);
    let lines = proxy.log_lines();
    assert!(lines.iter().any(|line| line.contains("access_log.otlp: is not used")), "{lines:?}");
}

#[test]
fn properties_are_read_as_what_they_are_meant_to_be() {
    let attributes = r#""attributes": [
        {"name": "digits", "property": "a.b", "type": "integer"},
        {"name": "port", "property": "a.c", "type": "float"},
        {"name": "share", "property": "a.d", "type": "float"},
        {"name": "mtls", "property": "a.e", "type": "bool"},
        {"name": "empty", "property": "a.f"},
        {"name": "code", "property": "response.code", "type": "integer"},
        {"name": "status", "property": "response.code", "type": "integer"}
    ]"#;
    let (proxy, mut running) = filter(attributes);
    ends(proxy, 200, "via_upstream");
    proxy.set("a\0b", "12345678");
    proxy.set("a\0c", 21900i64.to_le_bytes());
    proxy.set("a\0d", 0.25f64.to_le_bytes());
    proxy.set("a\0e", [1]);
    proxy.set("a\0f", "");
    running.request(&[(":path", "/")]);
    let line = line(proxy).unwrap();
    // `code` is a name under which secrets stand, and a number that is secret is left out.
    assert_contains(&line, &[r#""digits":12345678,"port":21900.0,"share":0.25,"mtls":true,"status":200}"#]);
}

#[test]
fn what_the_proxy_has_as_a_map_never_comes_out() {
    let (proxy, mut running) = filter(r#""attributes": [{"name": "m", "property": "metadata.filter_metadata.x"}]"#);
    ends(proxy, 200, "via_upstream");
    proxy.set("metadata\0filter_metadata\0x", *b"\x0a\x06cookie\x12\x06s3cr3t");
    running.request(&[(":path", "/")]);
    let line = line(proxy).unwrap();
    assert_contains(&line, &[r#""sluicegate.schema_error":"custom_type: m is not a string""#]);
    assert!(!line.contains("s3cr3t"), "{line}");
}

#[test]
fn a_number_that_is_no_text_at_all_makes_the_record_the_smallest() {
    let (proxy, mut running) = filter(r#""attributes": [{"name": "n", "request_header": "x-n", "type": "float"}]"#);
    ends(proxy, 200, "via_upstream");
    running.request(&[(":path", &b"/"[..]), ("x-n", b"\xff")]);
    assert_contains(&line(proxy).unwrap(), &["custom_type: n is not a number"]);
}

#[test]
fn texts_that_grow_when_they_are_escaped_cost_a_record_only_their_ends() {
    let attributes: Vec<_> =
        (0..8).map(|n| format!(r#"{{"name": "a{n}", "request_header": "x-odd", "max_length": 1024}}"#)).collect();
    let (proxy, mut running) = filter(&format!(r#""attributes": [{}]"#, attributes.join(",")));
    ends(proxy, 200, "via_upstream");
    let odd = "\u{80}".repeat(3_000);
    let path = format!("/{odd}?{odd}");
    running.request(&[(":path", path.as_str()), (":method", "GET"), ("user-agent", &odd), ("x-odd", &odd)]);
    let line = line(proxy).unwrap();
    assert_contains(&line, &[r#""url.path":"/\u0080"#, r#""http.request.method":"GET""#, r#""a7":"\u0080"#, "…\""]);
    assert!(line.len() <= crate::record::MAX_LINE + 1, "{}", line.len());
}

#[test]
fn a_line_that_the_proxy_does_not_take_is_counted() {
    let (proxy, mut running) = filter("");
    ends(proxy, 200, "via_upstream");
    proxy.refuse("proxy_set_property");
    running.request(&[(":path", "/")]);
    running.tick();
    assert_eq!(proxy.metric("sluicegate_access_log_undelivered_total"), Some(1));
}

#[test]
fn a_record_that_does_not_conform_is_counted_once_however_many_sinks_it_has() {
    for sinks in [r#"["proxy", "otlp", "proxy_log"]"#, r#""otlp""#, r#""proxy""#] {
        let (proxy, mut running) = filter(&format!(
            r#""sinks": {sinks}, "otlp": {{"cluster": "c"}}, "attributes": [{{"name": "n", "request_header": "x-n", "type": "bool"}}]"#
        ));
        ends(proxy, 200, "via_upstream");
        running.request(&[(":path", "/"), ("x-n", "perhaps")]);
        running.tick();
        assert_eq!(proxy.metric("sluicegate_access_log_schema_errors_total.code=custom_type"), Some(1), "{sinks}");
    }
}

#[test]
fn a_collector_gets_nothing_that_no_sink_wants_it_to_get() {
    let (proxy, mut running) = filter(r#""otlp": {"cluster": "c"}"#);
    ends(proxy, 200, "via_upstream");
    running.request(&[(":path", "/")]);
    proxy.advance(Duration::from_secs(60));
    running.tick();
    assert!(proxy.callouts().is_empty());
}

#[test]
fn a_burst_is_of_exchanges_that_end_together() {
    let (proxy, mut running) = filter(r#""burst": {"first": 1, "every": 1000}"#);
    for (number, begin) in [BEGIN, BEGIN - 5_000_000_000].into_iter().enumerate() {
        ends(proxy, 200, "via_upstream");
        proxy.set("request\0time", begin.to_le_bytes());
        proxy.set("request\0duration", (BEGIN + 1_000 - begin).to_le_bytes());
        running.request(&[(":path", "/")]);
        assert_eq!(line(proxy).is_some(), number == 0, "{number}");
    }
}

/// Another filter in the same module, before the access log.
struct Before(AccessLog);

impl Filter for Before {
    const NAME: &'static str = "before";
    const CALLBACKS: Callbacks = AccessLog::CALLBACKS;

    fn configure(document: &Document<'_>, vm: &Vm) -> Result<Before, Rejected> {
        AccessLog::configure(document, vm).map(Before)
    }

    fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
        exchange.facts.request_id = RequestId::parse(b"from-the-facts");
        exchange.facts.trace = TraceFacts::handed_over(Some(NOT_SAMPLED.as_bytes()), Some(b"b7ad6b7169203331"));
        self.0.on_request_headers(exchange)
    }

    fn on_log(&self, exchange: &mut Exchange) {
        self.0.on_log(exchange);
    }
}

#[test]
fn facts_come_before_headers() {
    let proxy = Double::new();
    let mut running = proxy.start::<Before>(r#"{"version": "1.0"}"#).unwrap();
    let other = TRACEPARENT.replace("4bf92f35", "ffffffff");
    let headers = [(":path", "/"), ("traceparent", &other), ("x-request-id", "of-the-header")];
    ends(proxy, 200, "via_upstream");
    running.request(&headers);
    assert_eq!(line(proxy), None, "the facts say that it is not sampled");
    ends(proxy, 503, "via_upstream");
    running.request(&headers);
    assert_contains(
        &line(proxy).unwrap(),
        &[r#""req_id":"from-the-facts""#, r#""parent_span_id":"b7ad6b7169203331","trace_flags":"00""#],
    );
}

#[test]
fn a_sampler_in_another_plugin_has_the_last_word_about_the_flags() {
    let proxy = Double::new();
    let mut running = proxy.start::<Before>(r#"{"version": "1.0"}"#).unwrap();
    ends(proxy, 200, "via_upstream");
    running.request(&[(":path", "/"), ("traceparent", TRACEPARENT)]);
    assert_contains(&line(proxy).unwrap(), &[r#""trace_flags":"01""#, r#""sluicegate.sampled_by":"trace""#]);
}

#[test]
fn a_record_says_what_a_sampler_decided() {
    let state = |text: &str| vec![("sluicegate_sampling", text.to_owned())];
    let sampled = [("traceparent", TRACEPARENT), ("tracestate", "a=b,ot=th:8")];
    let not_sampled = [("traceparent", NOT_SAMPLED), ("tracestate", "a=b")];
    let turns = r#""sampling": {"parent": "ignore"}"#;
    for (policy, headers, code, left, expected) in [
        ("", sampled, 200, state("1 adaptive c"), Some(r#""adaptive","sluicegate.sampling_probability":0.25,"#)),
        ("", sampled, 200, state("1 rule 0"), Some(r#""rule","sluicegate.sampling_probability":1.0,"#)),
        ("", sampled, 200, state("1 forced"), Some(r#""forced","sluicegate.policy_version""#)),
        // Nobody here decided, but somebody before.
        ("", sampled, 200, vec![], Some(r#""trace","sluicegate.sampling_probability":0.5,"#)),
        // The sampler had no hostcall left to say so.
        (turns, sampled, 200, vec![], Some(r#""adaptive","sluicegate.sampling_probability":0.5,"#)),
        // What is kept whatever was sampled stands for itself alone.
        ("", sampled, 503, state("1 adaptive c"), Some(r#""error","sluicegate.policy_version""#)),
        ("", not_sampled, 503, state("0 adaptive"), Some(r#""error","sluicegate.policy_version""#)),
        // A context that is only forwarded keeps its flag; here the decision counts.
        ("", sampled, 200, state("0 adaptive"), None),
        ("", not_sampled, 200, state("1 rule 0"), Some(r#""rule","sluicegate.sampling_probability":1.0,"#)),
    ] {
        let proxy = Double::new();
        let policy = [r#"{"version": "1.0""#, policy].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        let mut running = proxy.start::<AccessLog>(&(policy.join(", ") + "}")).unwrap();
        ends(proxy, code, "via_upstream");
        for (name, value) in left {
            proxy.set(name, value);
        }
        running.request(&[&[(":path", "/")], &headers[..]].concat());
        match (line(proxy), expected) {
            (Some(line), Some(expected)) => {
                assert_contains(&line, &[&format!(r#""sluicegate.sampled_by":{expected}"#)]);
            }
            (line, expected) => assert_eq!(line, expected.map(str::to_owned)),
        }
    }
}

#[test]
fn the_header_with_the_secret_of_the_sampler_is_never_logged() {
    let attempt = |header: &str, source: &str| {
        let policy = format!(
            r#"{{"version": "1.0", "sampling": {{"force": {{"header": "{header}"}}}},
                "access_log": {{"attributes": [{{"name": "mine.it", {source}}}]}}}}"#
        );
        Double::new().start::<AccessLog>(&policy).err().map(|lines| lines.join("\n"))
    };
    for source in [r#""request_header": "x-Debug""#, r#""property": "request.headers.X-debuG""#] {
        let refusal = attempt("X-Debug", source).unwrap();
        assert!(refusal.contains("found the header of `sampling.force`, which holds a secret"), "{refusal}");
        assert_eq!(attempt("x-other", source), None);
    }
}
