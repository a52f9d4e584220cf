//! The filter as a whole, on a proxy in memory.

use crate::TraceContext;
use crate::formats::testing::{SPAN, TRACE, span_id, trace_id};
use sluicegate_host::double::{Double, Outcome, Running};
use sluicegate_host::{HeaderMap, Origin};
use std::time::Duration;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

const READ: &str = "proxy_get_header_map_pairs";
const WRITE: &str = "proxy_replace_header_map_value";

fn filter(trace: &str) -> Running<TraceContext> {
    Double::new().start(&format!(r#"{{"version": "1.0", "trace": {trace}}}"#)).unwrap()
}

fn text<'m>(headers: &'m HeaderMap, name: &str) -> Option<&'m str> {
    headers.get(name).map(|value| std::str::from_utf8(value).unwrap())
}

/// The traceparent that upstream saw: trace id, span id, flags.
fn traceparent(outcome: &Outcome) -> (String, String, String) {
    let fields: Vec<_> = text(&outcome.upstream, "traceparent").unwrap().split('-').collect();
    assert_eq!((fields.len(), fields[0]), (4, "00"));
    (fields[1].into(), fields[2].into(), fields[3].into())
}

fn w3c(flags: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{flags}")
}

#[test]
fn a_forwarded_context_is_not_even_written() {
    let value = w3c("01");
    let outcome = filter("{}").request(&[
        (":path", "/"),
        ("traceparent", value.as_str()),
        ("tracestate", "a=1,  b=2"),
        ("tracestate", ""),
        ("x-request-id", "r-1"),
    ]);
    assert_eq!(text(&outcome.upstream, "traceparent"), Some(value.as_str()));
    assert_eq!(outcome.upstream.all("tracestate").collect::<Vec<_>>(), [&b"a=1,  b=2"[..], b""]);
    // One read of the request's headers, and the echo in the response.
    assert_eq!(outcome.calls, [READ, WRITE]);
    let trace = outcome.facts.trace.unwrap();
    assert_eq!((trace.trace_id, trace.span_id, trace.parent_span_id), (trace_id(TRACE), span_id(SPAN), None));
    assert_eq!(trace.origin, Origin::Continued);
}

#[test]
fn a_participant_gets_a_span_of_its_own_and_keeps_the_rest() {
    let value = w3c("03");
    let outcome = filter(r#"{"mode": "participate"}"#).request(&[
        ("traceparent", value.as_str()),
        ("tracestate", "a=1"),
        ("x-request-id", "r-1"),
    ]);
    let (trace, span, flags) = traceparent(&outcome);
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "03"));
    assert_ne!(span, SPAN);
    assert_eq!(text(&outcome.upstream, "tracestate"), Some("a=1"));
    let facts = outcome.facts.trace.unwrap();
    assert_eq!(facts.span_id.to_string(), span);
    assert_eq!(facts.parent_span_id, Some(span_id(SPAN)));
    assert_eq!(outcome.calls, [READ, WRITE, WRITE]);
}

#[test]
fn a_tracestate_goes_with_its_traceparent() {
    let value = w3c("01");
    let outcome = filter(r#"{"mode": "participate", "inject": ["b3"]}"#)
        .request(&[("traceparent", value.as_str()), ("tracestate", "a=1")]);
    assert_eq!(text(&outcome.upstream, "traceparent"), None);
    assert_eq!(text(&outcome.upstream, "tracestate"), None);
    assert!(text(&outcome.upstream, "b3").unwrap().starts_with(TRACE));
}

#[test]
fn without_a_valid_context_a_trace_begins_with_random_ids() {
    let mut seen = std::collections::HashSet::new();
    let mut proxy = filter("{}");
    for _ in 0..100 {
        let outcome = proxy.request(&[("traceparent", "00-nonsense"), ("tracestate", "a=1")]);
        let (trace, _, flags) = traceparent(&outcome);
        assert_eq!(flags, "03");
        assert_eq!(text(&outcome.upstream, "tracestate"), None);
        assert_eq!(outcome.facts.trace.unwrap().origin, Origin::Started);
        assert!(seen.insert(trace));
    }
}

#[test]
fn sampled_default_decides_where_nobody_has() {
    let undecided = format!("{TRACE}-{SPAN}");
    for (policy, absent, deferred) in [("{}", "03", "01"), (r#"{"sampled_default": false}"#, "02", "00")] {
        let mut proxy = filter(policy);
        assert_eq!(traceparent(&proxy.request(&[(":path", "/")])).2, absent);
        assert_eq!(traceparent(&proxy.request(&[("b3", &undecided)])).2, deferred);
    }
}

#[test]
fn a_decision_without_ids_is_that_of_the_new_trace_if_its_sender_is_trusted() {
    assert_eq!(traceparent(&filter("{}").request(&[("b3", "0")])).2, "02");
    assert_eq!(traceparent(&filter(r#"{"trust_incoming": false}"#).request(&[("b3", "0")])).2, "03");
}

#[test]
fn the_first_valid_format_in_the_order_of_the_policy_counts() {
    let other = "11111111111111111111111111111111";
    let b3 = format!("{other}-{SPAN}-1");
    let value = w3c("01");
    let headers = [("traceparent", value.as_str()), ("b3", b3.as_str())];
    assert_eq!(traceparent(&filter("{}").request(&headers)).0, TRACE);
    assert_eq!(traceparent(&filter(r#"{"extract": ["b3", "w3c"]}"#).request(&headers)).0, other);
    assert_eq!(traceparent(&filter("{}").request(&[("traceparent", "broken"), headers[1]])).0, other);
}

#[test]
fn what_disagrees_goes_and_what_agrees_stays() {
    let agrees = format!("{TRACE}-{SPAN}-1");
    let disagrees = format!("{TRACE}-{SPAN}-0");
    let value = w3c("01");
    let with = |b3: &str| filter("{}").request(&[("traceparent", value.as_str()), ("b3", b3), ("x-trace-id", "?")]);
    assert_eq!(text(&with(&agrees).upstream, "b3"), Some(agrees.as_str()));
    assert_eq!(text(&with(&disagrees).upstream, "b3"), None);
    assert_eq!(text(&with(&agrees).upstream, "x-trace-id"), None);
    let debug = format!("{TRACE}-{SPAN}-d");
    assert_eq!(text(&with(&debug).upstream, "b3"), None);
}

#[test]
fn a_forwarded_context_of_a_later_version_or_with_unknown_flags_is_written_as_this_version_knows_it() {
    for (came, goes) in [(w3c("ff"), w3c("03")), (format!("cc-{TRACE}-{SPAN}-01-more"), w3c("01"))] {
        let outcome = filter("{}").request(&[("traceparent", came.as_str()), ("tracestate", "a=1")]);
        assert_eq!(text(&outcome.upstream, "traceparent"), Some(goes.as_str()));
        assert_eq!(text(&outcome.upstream, "tracestate"), Some("a=1"));
    }
}

#[test]
fn a_format_that_is_neither_extracted_nor_injected_is_left_alone() {
    let outcome = filter(r#"{"extract": ["w3c"]}"#).request(&[("b3", "broken"), ("x-trace-id", "of the application")]);
    assert_eq!(text(&outcome.upstream, "b3"), Some("broken"));
    assert_eq!(text(&outcome.upstream, "x-trace-id"), Some("of the application"));
}

#[test]
fn every_injected_format_carries_the_same_context() {
    let all = r#"{"mode": "participate", "inject": ["w3c","b3","b3_multi","jaeger","xray","google","azure","plain"]}"#;
    let value = w3c("01");
    let outcome = filter(all).request(&[
        ("traceparent", value.as_str()),
        ("content-type", "application/grpc"),
        ("x-amzn-trace-id", "Self=1-1-1;Lineage=1:2:3"),
        ("x-b3-flags", "1"),
    ]);
    let span = traceparent(&outcome).1;
    let decimal = u64::from_str_radix(&span, 16).unwrap();
    let (time, rest) = TRACE.split_at(8);
    for (name, value) in [
        ("b3", format!("{TRACE}-{span}-1-{SPAN}")),
        ("x-b3-traceid", TRACE.into()),
        ("x-b3-spanid", span.clone()),
        ("x-b3-parentspanid", SPAN.into()),
        ("x-b3-sampled", "1".into()),
        ("uber-trace-id", format!("{TRACE}:{span}:0:1")),
        ("x-amzn-trace-id", format!("Root=1-{time}-{rest};Parent={span};Sampled=1;Lineage=1:2:3")),
        ("x-cloud-trace-context", format!("{TRACE}/{decimal};o=1")),
        ("request-id", format!("|{TRACE}.{span}.")),
        ("x-trace-id", TRACE.into()),
        ("x-span-id", span.clone()),
        ("x-parent-span-id", SPAN.into()),
        ("trace-id", TRACE.into()),
        ("span-id", span.clone()),
        ("parent-span-id", SPAN.into()),
    ] {
        assert_eq!(text(&outcome.upstream, name), Some(value.as_str()), "{name}");
    }
    assert_eq!(text(&outcome.upstream, "x-b3-flags"), None);
    assert_eq!(outcome.upstream.get("req-id"), outcome.upstream.get("x-request-id"));
}

#[test]
fn a_request_id_that_is_no_context_is_left_alone_unless_azure_is_injected() {
    let value = w3c("01");
    let headers = [("traceparent", value.as_str()), ("request-id", "of the application")];
    assert_eq!(text(&filter("{}").request(&headers).upstream, "request-id"), Some("of the application"));
    let injected = format!("|{TRACE}.{SPAN}.");
    let outcome = filter(r#"{"inject": ["w3c", "azure"]}"#).request(&headers);
    assert_eq!(text(&outcome.upstream, "request-id"), Some(injected.as_str()));
}

#[test]
fn an_injected_format_is_whole_whatever_of_it_came_in() {
    let value = w3c("01");
    let b3 = format!("{TRACE}-{SPAN}-1");
    let (time, random) = TRACE.split_at(8);
    let root = format!("Root=1-{time}-{random}");
    let decimal = u64::from_str_radix(SPAN, 16).unwrap();
    let google = format!("{TRACE}/{decimal};o=1");
    let with_traceparent = |inject: &str, name: &str, sent: &str| {
        let policy = format!(r#"{{"inject": ["w3c", "{inject}"]}}"#);
        filter(&policy).request(&[("traceparent", value.as_str()), (name, sent)])
    };
    for (inject, name, sent, goes) in [
        ("b3", "b3", "1", b3.as_str()),
        ("b3", "b3", &b3[..49], &b3),
        ("b3_multi", "x-b3-sampled", "1", "1"),
        ("plain", "x-trace-id", TRACE, TRACE),
        ("google", "x-cloud-trace-context", TRACE, &google),
        ("xray", "x-amzn-trace-id", &root, &format!("{root};Parent={SPAN};Sampled=1")),
    ] {
        let outcome = with_traceparent(inject, name, sent);
        assert_eq!(text(&outcome.upstream, name), Some(goes), "{inject}");
    }
    assert_eq!(text(&with_traceparent("b3_multi", "x-b3-sampled", "1").upstream, "x-b3-spanid"), Some(SPAN));
    assert_eq!(text(&with_traceparent("plain", "x-trace-id", TRACE).upstream, "x-span-id"), Some(SPAN));

    // A load balancer's root, to which we add the parent that we made.
    let outcome = filter(r#"{"inject": ["w3c", "xray"]}"#).request(&[("x-amzn-trace-id", root.as_str())]);
    let (trace, span, _) = traceparent(&outcome);
    assert_eq!(trace, TRACE);
    let whole = format!("{root};Parent={span};Sampled=1");
    assert_eq!(text(&outcome.upstream, "x-amzn-trace-id"), Some(whole.as_str()));
    // Not injected, it stays as it came.
    let outcome = filter("{}").request(&[("x-amzn-trace-id", root.as_str())]);
    assert_eq!(text(&outcome.upstream, "x-amzn-trace-id"), Some(root.as_str()));
}

#[test]
fn plain_ids_are_injected_in_one_spelling_under_all_their_names() {
    let uuid = "4BF92F35-77b3-4da6-a3ce-929d0e0e4736";
    let mut proxy = filter(r#"{"inject": ["plain"]}"#);
    let outcome = proxy.request(&[("trace-id", uuid), ("span-id", SPAN), ("content-type", "application/grpc")]);
    for (name, value) in [("x-trace-id", TRACE), ("trace-id", TRACE), ("x-span-id", SPAN), ("span-id", SPAN)] {
        assert_eq!(text(&outcome.upstream, name), Some(value), "{name}");
    }
    let outcome = filter("{}").request(&[("x-trace-id", uuid)]);
    assert_eq!(text(&outcome.upstream, "x-trace-id"), Some(uuid));
}

#[test]
fn blanks_around_a_header_are_not_passed_on() {
    let (value, padded) = (w3c("01"), format!(" {}\t", w3c("01")));
    let outcome = filter("{}").request(&[
        ("traceparent", padded.as_str()),
        ("tracestate", " a=1 "),
        ("tracestate", "b=2"),
        ("x-request-id", " r-1 "),
        ("b3", "1 "),
    ]);
    assert_eq!(text(&outcome.upstream, "b3"), None);
    assert_eq!(text(&outcome.upstream, "traceparent"), Some(value.as_str()));
    assert_eq!(outcome.upstream.all("tracestate").collect::<Vec<_>>(), [b"a=1,b=2"]);
    assert_eq!(text(&outcome.upstream, "x-request-id"), Some("r-1"));
}

#[test]
fn an_untrusted_caller_adds_no_fields_to_what_is_injected() {
    let request = [("x-amzn-trace-id", "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Lineage=255:a:1")];
    let sent_on = |policy| {
        let outcome = filter(policy).request(&request);
        text(&outcome.upstream, "x-amzn-trace-id").unwrap().contains("Lineage")
    };
    assert!(sent_on(r#"{"inject": ["xray"]}"#));
    assert!(!sent_on(r#"{"inject": ["xray"], "trust_incoming": false}"#));
}

#[test]
fn grpc_metadata_of_the_application_is_left_alone() {
    let request = [("content-type", "application/grpc"), ("req-id", "of the application"), ("x-request-id", "r-1")];
    let outcome = filter("{}").request(&request);
    assert_eq!(text(&outcome.upstream, "req-id"), Some("of the application"));
    let outcome = filter(r#"{"inject": ["plain"]}"#).request(&request);
    assert_eq!(text(&outcome.upstream, "req-id"), Some("r-1"));
}

#[test]
fn grpc_metadata_names_mean_nothing_outside_of_grpc() {
    let mut proxy = filter("{}");
    let ids = [("trace-id", TRACE), ("span-id", SPAN)];
    let http = proxy.request(&ids);
    assert_ne!(traceparent(&http).0, TRACE);
    assert_eq!(text(&http.upstream, "trace-id"), Some(TRACE));
    let grpc = proxy.request(&[&ids[..], &[("content-type", "application/grpc+proto")]].concat());
    assert_eq!(traceparent(&grpc).0, TRACE);
}

#[test]
fn an_untrusted_context_is_not_continued_but_remembered() {
    let value = w3c("01");
    let headers = [("traceparent", value.as_str()), ("tracestate", "a=1"), ("b3", "d"), ("baggage", "tenant=evil")];
    let mut proxy = filter(r#"{"trust_incoming": false, "sampled_default": false}"#);
    let outcome = proxy.request(&[&headers[..], &[("x-request-id", "theirs")]].concat());
    let (trace, _, flags) = traceparent(&outcome);
    assert_ne!(trace, TRACE);
    assert_eq!(flags, "02");
    for gone in ["tracestate", "b3", "baggage"] {
        assert_eq!(text(&outcome.upstream, gone), None, "{gone}");
    }
    assert_ne!(text(&outcome.upstream, "x-request-id"), Some("theirs"));
    let outside = outcome.facts.trace.unwrap().outside.unwrap();
    assert_eq!((outside.trace_id, outside.span_id), (trace_id(TRACE), Some(span_id(SPAN))));
    proxy.tick();
    assert_eq!(proxy.proxy().metric("sluicegate_trace_untrusted_total"), Some(1));
}

#[test]
fn trust_may_depend_on_the_request() {
    let policy = r#"{"trust_incoming": false, "rules": [
        {"match": {"path": {"prefix": "/internal/"}}, "trust_incoming": true}]}"#;
    let mut proxy = filter(policy);
    let value = w3c("01");
    let mut to = |path| traceparent(&proxy.request(&[(":path", path), ("traceparent", value.as_str())])).0;
    assert_eq!(to("/internal/a"), TRACE);
    assert_ne!(to("/public"), TRACE);
}

#[test]
fn what_the_service_beside_the_proxy_sends_is_always_trusted() {
    let proxy = Double::new();
    proxy.set("xds\0listener_direction", 2_i64.to_le_bytes());
    let mut running = proxy.start::<TraceContext>(r#"{"version":"1.0","trace":{"trust_incoming":false}}"#).unwrap();
    assert_eq!(traceparent(&running.request(&[("traceparent", w3c("01"))])).0, TRACE);
}

#[test]
fn the_section_works_only_in_its_directions_and_only_if_enabled() {
    let run = |direction: i64, trace: &str| {
        let proxy = Double::new();
        proxy.set("xds\0listener_direction", direction.to_le_bytes());
        let policy = format!(r#"{{"version": "1.0", "trace": {trace}}}"#);
        let outcome = proxy.start::<TraceContext>(&policy).unwrap().request(&[(":path", "/")]);
        outcome.upstream.get("traceparent").is_some()
    };
    let only_inbound = r#"{"direction": "inbound"}"#;
    assert_eq!([0, 1, 2].map(|direction| run(direction, only_inbound)), [false, true, false]);
    assert_eq!([0, 1, 2].map(|direction| run(direction, "{}")), [true, true, true]);
    assert!(!run(0, r#"{"enabled": false}"#));
}

#[test]
fn a_well_formed_request_id_is_kept_and_any_other_replaced_and_echoed() {
    let mut proxy = filter("{}");
    proxy.proxy().advance(Duration::from_millis(0x0123_4567_89ab));
    for (sent, kept) in [
        (vec![("x-request-id", "abc-123")], true),
        (vec![("x-request-id", "has space")], false),
        (vec![("x-request-id", "")], false),
        (vec![("x-request-id", "one"), ("x-request-id", "two")], false),
        (vec![("other", "x")], false),
    ] {
        let outcome = proxy.request(&sent);
        let ids: Vec<_> = outcome.upstream.all("x-request-id").collect();
        let id = std::str::from_utf8(ids[0]).unwrap();
        assert_eq!((ids.len(), id == sent[0].1), (1, kept), "{sent:?}");
        assert!(kept || id.starts_with("01234567-89ab-7"), "{id}");
        assert_eq!(text(&outcome.downstream, "x-request-id"), Some(id));
        assert_eq!(outcome.facts.request_id.unwrap().as_str(), id);
    }
}

#[test]
fn the_request_ids_header_form_and_echo_are_the_policys() {
    let policy = r#"{"request_id": {"header": "X-Correlation-ID", "format": "uuidv4", "echo": false}}"#;
    let outcome = filter(policy).request(&[("x-request-id", "not ours")]);
    let id = text(&outcome.upstream, "x-correlation-id").unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "4"));
    assert_eq!(text(&outcome.downstream, "x-correlation-id"), None);
    assert_eq!(text(&outcome.upstream, "x-request-id"), Some("not ours"));
}

#[test]
fn configured_headers_become_baggage_that_nobody_may_spoof() {
    let policy = r#"{"baggage": {"from_headers": {"tenant.id": "X-Tenant-Id", "user.id": "x-user-id"}}}"#;
    let outcome = filter(policy).request(&[
        ("x-tenant-id", "acme & co"),
        ("baggage", "tenant.id=evil,a=1"),
        ("baggage", "user.id=kept;p=1"),
    ]);
    let all: Vec<_> = outcome.upstream.all("baggage").collect();
    assert_eq!(all, [b"tenant.id=acme%20&%20co,a=1,user.id=kept;p=1"]);
}

#[test]
fn an_untrusted_caller_brings_no_baggage_beside_the_configured() {
    let policy = r#"{"trust_incoming": false, "baggage": {"from_headers": {"tenant.id": "x-tenant-id"}}}"#;
    let outcome = filter(policy).request(&[("x-tenant-id", "acme"), ("baggage", "a=1")]);
    assert_eq!(text(&outcome.upstream, "baggage"), Some("tenant.id=acme"));
}

#[test]
fn baggage_without_configured_members_is_left_as_it_is() {
    let outcome = filter("{}").request(&[("baggage", "a = 1 ,, odd"), ("x-request-id", "r")]);
    assert_eq!(text(&outcome.upstream, "baggage"), Some("a = 1 ,, odd"));
}

#[test]
fn an_observer_injects_nothing_and_leaves_nothing_beside_what_the_tracer_will_write() {
    let value = w3c("01");
    let tracer = format!("{TRACE}-1111111111111111");
    let b3 = format!("{TRACE}-{SPAN}-1");
    let outcome = filter(r#"{"mode": "observe"}"#).request(&[
        ("traceparent", value.as_str()),
        ("b3", b3.as_str()),
        ("x-b3-sampled", "0"),
        ("x-cloud-trace-context", "broken"),
        ("x-sluicegate-trace-id", tracer.as_str()),
    ]);
    for gone in ["traceparent", "b3", "x-b3-sampled", "x-cloud-trace-context", "x-sluicegate-trace-id"] {
        assert_eq!(text(&outcome.upstream, gone), None, "{gone}");
    }
    let trace = outcome.facts.trace.unwrap();
    assert_eq!((trace.span_id, trace.origin), (span_id("1111111111111111"), Origin::Proxy));
    assert_eq!(trace.parent_span_id, Some(span_id(SPAN)));
}

#[test]
fn an_observer_to_whom_nobody_hands_the_tracers_ids_passes_nothing_broken_on_and_claims_no_ids() {
    let mut proxy = filter(r#"{"mode": "observe"}"#);
    let broken = proxy.request(&[("traceparent", "00-zz"), ("b3", "broken")]);
    assert_eq!(traceparent(&broken).2, "03");
    assert_eq!(text(&broken.upstream, "b3"), None);
    assert_eq!(broken.facts.trace, None);
    let value = w3c("01");
    let valid = proxy.request(&[("traceparent", value.as_str())]);
    assert_eq!(text(&valid.upstream, "traceparent"), Some(value.as_str()));
    assert_eq!(valid.facts.trace.unwrap().trace_id, trace_id(TRACE));
    let untrusted = filter(r#"{"mode": "observe", "trust_incoming": false}"#).request(&[("traceparent", w3c("01"))]);
    assert_ne!(traceparent(&untrusted).0, TRACE);
    assert_eq!(untrusted.facts.trace, None);
}

#[test]
fn an_observer_puts_right_what_the_tracer_does_not_touch() {
    let mut proxy = filter(r#"{"mode": "observe"}"#);
    let broken = proxy.request(&[("traceparent", "00-zz"), ("tracestate", "a=1"), ("x-sluicegate-trace-id", "-")]);
    assert_eq!(traceparent(&broken).2, "03");
    assert_eq!(text(&broken.upstream, "tracestate"), None);
    assert_eq!(text(&broken.upstream, "x-sluicegate-trace-id"), None);
    let value = w3c("01");
    let valid = proxy.request(&[("traceparent", value.as_str()), ("x-sluicegate-trace-id", "-")]);
    assert_eq!(text(&valid.upstream, "traceparent"), Some(value.as_str()));
}

#[test]
fn an_exchange_without_a_request_here_is_left_as_it_is() {
    let mut proxy = filter("{}");
    let response = proxy.rejected_exchange(&[(":status", "400")]);
    assert_eq!(response.iter().count(), 1);
}

#[test]
fn what_happens_is_counted_on_the_tick() {
    let mut proxy = filter("{}");
    let b3 = format!("{TRACE}-{SPAN}-1");
    proxy.request(&[("b3", b3.as_str()), ("traceparent", "x"), ("x-request-id", "r")]);
    proxy.request(&[("traceparent", w3c("01").as_str()), ("tracestate", "=")]);
    proxy.request(&[(":path", "/")]);
    let metric = |name: &str| proxy.proxy().metric(&format!("sluicegate_trace_{name}")).unwrap();
    assert_eq!(metric("started_total"), 0);
    proxy.tick();
    for (name, count) in [
        ("started_total", 1),
        ("continued_total.format=b3", 1),
        ("continued_total.format=w3c", 1),
        ("invalid_total.format=w3c", 1),
        ("tracestate_invalid_total", 1),
        ("request_id_generated_total", 2),
        ("untrusted_total", 0),
    ] {
        assert_eq!(proxy.proxy().metric(&format!("sluicegate_trace_{name}")), Some(count), "{name}");
    }
    proxy.tick();
    assert_eq!(proxy.proxy().metric("sluicegate_trace_started_total"), Some(1));
}

#[test]
fn a_root_that_ends_hands_over_its_counts_and_stops_its_timer() {
    let mut running = filter("{}");
    let proxy = running.proxy();
    running.request(&[(":path", "/")]);
    assert_eq!(proxy.tick_period(), Duration::from_secs(1));
    drop(running);
    assert_eq!(proxy.metric("sluicegate_trace_started_total"), Some(1));
    assert_eq!(proxy.tick_period(), Duration::ZERO);
}
