//! The filter as a whole, on a proxy in memory, behind one that has found out the trace.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::Sampler;
use sluicegate_host::double::{Double, Outcome, Running};
use sluicegate_host::{
    Callbacks, Exchange, Filter, Flow, Origin, Rejected, SpanId, Threshold, TraceFacts, TraceFlags, TraceId,
    Traceparent, Vm, hex,
};
use sluicegate_policy::Document;
use std::time::Duration;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// What trace-context does in the mode that `x-mode` names: `started`, `participate`, `forward`.
struct Behind(Sampler);

impl Filter for Behind {
    const NAME: &'static str = "behind";
    const CALLBACKS: Callbacks = Sampler::CALLBACKS;

    fn configure(document: &Document<'_>, vm: &Vm) -> Result<Behind, Rejected> {
        Sampler::configure(document, vm).map(Behind)
    }

    fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
        let headers = exchange.request_headers().original();
        let incoming = headers.get("traceparent").and_then(Traceparent::parse);
        let participates = headers.get("x-mode") == Some(b"participate");
        let decided = headers.get("x-undecided").is_none();
        let own = SpanId::new([7; 8]).unwrap();
        let trace = match incoming {
            Some(theirs) => TraceFacts {
                trace_id: theirs.trace_id,
                span_id: if participates { own } else { theirs.span_id },
                parent_span_id: participates.then_some(theirs.span_id),
                own_span: participates,
                flags: TraceFlags::from_byte(theirs.flags),
                decided,
                origin: Origin::Continued,
                outside: None,
            },
            None => TraceFacts {
                trace_id: TraceId::new(hex::decode(TRACE.as_bytes()).unwrap()).unwrap(),
                span_id: own,
                parent_span_id: None,
                own_span: true,
                flags: TraceFlags { sampled: true, random: true },
                decided: false,
                origin: Origin::Started,
                outside: None,
            },
        };
        let traceparent = Traceparent::value(trace.trace_id, trace.span_id, trace.flags);
        let out = exchange.request_headers_mut();
        if trace.origin == Origin::Started {
            out.remove("tracestate");
        }
        out.set("traceparent", traceparent);
        exchange.facts.trace = Some(trace);
        self.0.on_request_headers(exchange)
    }

    fn on_log(&self, exchange: &mut Exchange) {
        self.0.on_log(exchange);
    }

    fn on_tick(&self, vm: &Vm) {
        self.0.on_tick(vm);
    }
}

fn filter(section: &str) -> (&'static Double, Running<Behind>) {
    let proxy = Double::new();
    proxy.advance(Duration::from_secs(1_700_000_000));
    let policy = format!(r#"{{"version": "1.0", "sampling": {{{section}}}}}"#);
    let running = proxy.start(&policy).unwrap_or_else(|lines| panic!("{lines:?}"));
    (proxy, running)
}

fn upstream<'o>(outcome: &'o Outcome, name: &str) -> Option<std::borrow::Cow<'o, str>> {
    outcome.upstream.get(name).map(String::from_utf8_lossy)
}

fn decided(outcome: &Outcome) -> (bool, Option<f64>, &'static str) {
    let facts = outcome.facts.sampling.as_ref().unwrap();
    (facts.sampled, facts.threshold.map(Threshold::probability), facts.reason.as_str())
}

#[test]
fn a_trace_that_begins_here_says_how_it_was_sampled() {
    let (_, mut running) =
        filter(r#""rules": [{"match": {"path": {"exact": "/half"}}, "rate": 0.5}, {"always": true}]"#);
    let always = running.request(&[(":path", "/pay")]);
    assert_eq!(decided(&always), (true, Some(1.0), "rule"));
    assert_eq!(upstream(&always, "tracestate").as_deref(), Some("ot=th:0"));
    assert!(upstream(&always, "traceparent").unwrap().ends_with("-03"));
    // The low 56 bits of the id are ce929d0e0e4736, which is above one half.
    let half = running.request(&[(":path", "/half")]);
    assert_eq!(decided(&half), (true, Some(0.5), "rule"));
    assert_eq!(upstream(&half, "tracestate").as_deref(), Some("ot=th:8"));
}

#[test]
fn what_is_not_sampled_says_so_and_carries_no_threshold() {
    let (_, mut running) = filter(r#""rules": [{"never": true}]"#);
    let never = running.request(&[(":path", "/health"), ("tracestate", "ot=th:8;rv:00000000000001,a=b")]);
    assert_eq!(decided(&never), (false, None, "rule"));
    assert!(upstream(&never, "traceparent").unwrap().ends_with("-02"));
    assert!(!never.facts.trace.unwrap().flags.sampled);
}

#[test]
fn a_context_that_is_only_forwarded_stays_as_it_is() {
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let (_, mut running) = filter(r#""parent": "ignore", "rules": [{"never": true}]"#);
    let headers = [(":path", "/"), ("traceparent", traceparent.as_str()), ("tracestate", "ot=th:8,a=b")];
    let forwarded = running.request(&headers);
    assert!(!decided(&forwarded).0);
    assert_eq!(upstream(&forwarded, "traceparent").as_deref(), Some(traceparent.as_str()));
    assert_eq!(upstream(&forwarded, "tracestate").as_deref(), Some("ot=th:8,a=b"));

    let participating: Vec<_> = headers.into_iter().chain([("x-mode", "participate")]).collect();
    let changed = running.request(&participating);
    assert!(upstream(&changed, "traceparent").unwrap().ends_with("-0707070707070707-00"));
    assert_eq!(upstream(&changed, "tracestate").as_deref(), Some("a=b"));
}

#[test]
fn the_callers_decision_stands() {
    let (_, mut running) = filter(r#""rules": [{"never": true}]"#);
    for (flags, sampled) in [("01", true), ("00", false)] {
        let traceparent = format!("00-{TRACE}-{SPAN}-{flags}");
        let outcome = running.request(&[(":path", "/"), ("traceparent", traceparent.as_str())]);
        assert_eq!((decided(&outcome).0, decided(&outcome).2), (sampled, "parent"));
    }
}

#[test]
fn what_the_caller_left_open_is_decided_here() {
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let (_, mut running) = filter(r#""rules": [{"never": true}]"#);
    let headers =
        [(":path", "/"), ("traceparent", traceparent.as_str()), ("x-mode", "participate"), ("x-undecided", "1")];
    let outcome = running.request(&headers);
    assert_eq!(decided(&outcome), (false, None, "rule"));
    assert!(upstream(&outcome, "traceparent").unwrap().ends_with("-0707070707070707-00"));
}

/// The sampler as a plugin of its own, behind a trace-context that is another.
fn alone(section: &str, state: Option<&str>) -> (&'static Double, Running<Sampler>) {
    let proxy = Double::new();
    proxy.advance(Duration::from_secs(1_700_000_000));
    if let Some(state) = state {
        proxy.set("sluicegate_trace", state);
    }
    let running = proxy.start(&format!(r#"{{"version": "1.0", "sampling": {{{section}}}}}"#)).unwrap();
    (proxy, running)
}

#[test]
fn alone_it_decides_as_beside_trace_context() {
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let headers = [(":path", "/eighth"), ("traceparent", &traceparent), ("tracestate", "a=b")];
    let eighth = r#""rules": [{"match": {"path": {"exact": "/eighth"}}, "rate": 0.125}, {"always": true}]"#;
    for (section, state, flags, tracestate) in [
        // It began here, and its id is below what would keep one of eight.
        (eighth, Some("started"), "00", "a=b"),
        ("", Some("started"), "01", "ot=th:0,a=b"),
        // The caller's decision stands, in whatever mode.
        (eighth, Some("00f067aa0ba902b8"), "01", "a=b"),
        (eighth, None, "01", "a=b"),
        (r#""parent": "ignore", "rules": [{"never": true}]"#, Some("00f067aa0ba902b8"), "00", "a=b"),
        (r#""parent": "ignore", "rules": [{"never": true}]"#, Some("own"), "00", "a=b"),
        (r#""parent": "ignore", "rules": [{"never": true}]"#, None, "01", "a=b"),
        (r#""rules": [{"never": true}]"#, Some("own undecided"), "00", "a=b"),
        (r#""rules": [{"never": true}]"#, Some("forwarded undecided"), "00", "a=b"),
    ] {
        let (_, mut running) = alone(section, state);
        let outcome = running.request(&headers);
        assert_eq!(
            upstream(&outcome, "traceparent").unwrap(),
            format!("00-{TRACE}-{SPAN}-{flags}"),
            "{section} {state:?}"
        );
        assert_eq!(upstream(&outcome, "tracestate").as_deref(), Some(tracestate), "{section} {state:?}");
        assert!(!outcome.calls.contains(&"proxy_get_header_map_pairs"));
    }
}

#[test]
fn where_upstream_sees_no_traceparent_none_is_written() {
    let (_, mut running) = alone(r#""rules": [{"never": true}]"#, Some("started"));
    let outcome = running.request(&[(":path", "/")]);
    assert_eq!(decided(&outcome), (false, None, "rule"));
    assert_eq!(upstream(&outcome, "traceparent"), None);
}

#[test]
fn a_request_asks_for_no_time() {
    let (_, mut running) = alone("", Some("started"));
    let outcome = running.request(&[(":path", "/"), ("traceparent", &format!("00-{TRACE}-{SPAN}-01"))]);
    assert!(!outcome.calls.contains(&"proxy_get_current_time_nanoseconds"), "{:?}", outcome.calls);
}

#[test]
fn what_was_asked_for_is_no_load() {
    let section = r#""target_qps": 1, "min": 0, "force": {"secret": "0123456789abcdef", "budget_per_second": 1000}"#;
    let (proxy, mut running) = filter(section);
    for _ in 0..500 {
        running.request(&[(":path", "/"), ("x-sluicegate-force", "0123456789abcdef")]);
    }
    proxy.advance(Duration::from_secs(1));
    running.tick();
    let first = decided(&running.request(&[(":path", "/")])).1.unwrap();
    assert!(first > 0.9, "{first}");
}

#[test]
fn a_rule_keeps_its_counts_when_others_come_before_it() {
    let busy = r#"{"match": {"path": {"exact": "/busy"}}, "target_qps": 1}"#;
    let (proxy, mut running) = filter(&format!(r#""rules": [{busy}]"#));
    for _ in 0..1_000 {
        running.request(&[(":path", "/busy")]);
    }
    proxy.advance(Duration::from_secs(1));
    running.tick();
    let reloaded = format!(
        r#"{{"version": "1.0", "sampling": {{"rules": [{{"match": {{"path": {{"exact": "/new"}}}}, "target_qps": 1}}, {busy}]}}}}"#
    );
    let mut running = proxy.start::<Behind>(&reloaded).unwrap();
    let busy = decided(&running.request(&[(":path", "/busy")])).1.unwrap();
    let new = decided(&running.request(&[(":path", "/new")])).1.unwrap();
    assert!(busy <= 0.0101 && new > 0.5, "{busy} {new}");
}

#[test]
fn load_lowers_the_probability_and_errors_as_well() {
    let (proxy, mut running) = filter(r#""target_qps": 10, "error_weight": 1.0"#);
    proxy.set("response\0code", 200i64.to_le_bytes());
    let mut last = 1.0;
    let mut second = |running: &mut Running<Behind>, requests: usize| {
        for _ in 0..requests {
            let (_, probability, reason) = decided(&running.request(&[(":path", "/")]));
            assert_eq!(reason, "adaptive");
            last = probability.unwrap();
        }
        proxy.advance(Duration::from_secs(1));
        running.tick();
        last
    };
    for _ in 0..60 {
        second(&mut running, 100);
    }
    let steady = second(&mut running, 100);
    assert!((0.095..0.105).contains(&steady), "{steady}");
    proxy.set("response\0code", 503i64.to_le_bytes());
    for _ in 0..30 {
        second(&mut running, 100);
    }
    let failing = second(&mut running, 100);
    assert!((0.04..0.06).contains(&failing), "half of them failed: {failing}");
    let shown = proxy.metric("sluicegate_sampling_probability_millionths.rule=default").unwrap();
    assert!((40_000..60_000).contains(&shown), "{shown}");
}

#[test]
fn what_the_proxy_makes_of_a_status_is_no_grpc_status() {
    let (proxy, mut running) = filter(r#""target_qps": 10, "error_weight": 1.0, "window": "5s""#);
    // Too many requests, of which Envoy makes UNAVAILABLE.
    proxy.set("response\0code", 429i64.to_le_bytes());
    proxy.set("response\0grpc_status", 14i64.to_le_bytes());
    let mut probability = |headers: &[(&str, &str)]| {
        for _ in 0..8 {
            for _ in 0..100 {
                running.request(headers);
            }
            proxy.advance(Duration::from_secs(1));
            running.tick();
        }
        decided(&running.request(headers)).1
    };
    let http = probability(&[(":path", "/")]).unwrap();
    assert!((0.08..0.12).contains(&http), "{http}");
    let grpc = probability(&[(":path", "/shop.Cart/Add"), ("content-type", "application/grpc")]).unwrap();
    assert!(grpc < 0.02, "{grpc}");
}

#[test]
fn beside_the_proxys_own_tracer_it_decides_nothing() {
    let proxy = Double::new();
    let policy = r#"{"version": "1.0", "trace": {"mode": "observe"}, "sampling": {"rules": [{"never": true}]}}"#;
    let mut running = proxy.start::<Sampler>(policy).unwrap();
    assert!(proxy.log_lines().iter().any(|line| line.contains("sampling.enabled")), "{:?}", proxy.log_lines());
    let outcome = running.request(&[(":path", "/")]);
    assert!(outcome.calls.is_empty() && outcome.facts.sampling.is_none());
}

#[test]
fn who_has_the_secret_is_recorded_and_the_header_goes() {
    let section = r#""rules": [{"never": true}], "force": {"secret": "0123456789abcdef", "budget_per_second": 1}"#;
    let (proxy, mut running) = filter(section);
    let force = |running: &mut Running<Behind>, secret: &str| {
        let outcome = running.request(&[(":path", "/"), ("x-sluicegate-force", secret)]);
        assert_eq!(upstream(&outcome, "x-sluicegate-force"), None);
        (decided(&outcome).0, decided(&outcome).2)
    };
    assert_eq!(force(&mut running, "not the secret at all"), (false, "rule"));
    assert_eq!(force(&mut running, "0123456789abcdef"), (true, "forced"));
    assert_eq!(force(&mut running, "0123456789abcdef"), (false, "rule"));
    running.tick();
    assert_eq!(proxy.metric("sluicegate_sampling_force_over_budget_total"), Some(1));
    assert_eq!(proxy.metric("sluicegate_sampling_force_wrong_secret_total"), Some(1));
}

#[test]
fn handlers_have_targets_of_their_own_within_a_bound() {
    let (proxy, mut running) = filter(r#""per": "handler", "max_keys": 100, "target_qps": 1"#);
    for number in 0..10_000 {
        running.request(&[(":path", format!("/{number}").as_str())]);
    }
    running.tick();
    let keys = proxy.metric("sluicegate_sampling_keys").unwrap();
    assert!((1..=100).contains(&keys), "{keys}");
    // The main thread, which sees no requests, does not say that there are none.
    let mut idle = proxy.start::<Behind>(r#"{"version": "1.0"}"#).unwrap();
    idle.tick();
    assert_eq!(proxy.metric("sluicegate_sampling_keys"), Some(keys));
    assert!(proxy.metric("sluicegate_sampling_shared_key_total").unwrap() > 9_000);
}
