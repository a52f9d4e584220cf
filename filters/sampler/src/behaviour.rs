//! The filter as a whole, on a proxy in memory, behind one that has found out the trace.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::Sampler;
use sluicegate_host::double::{Double, Outcome, Running};
use sluicegate_host::{
    Callbacks, Exchange, Filter, Flow, Origin, Rejected, SpanId, TraceFacts, TraceFlags, TraceId, Traceparent, Vm, hex,
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
        let own = SpanId::new([7; 8]).unwrap();
        exchange.facts.trace = Some(match incoming {
            Some(theirs) => TraceFacts {
                trace_id: theirs.trace_id,
                span_id: if participates { own } else { theirs.span_id },
                parent_span_id: participates.then_some(theirs.span_id),
                flags: TraceFlags::from_byte(theirs.flags),
                origin: Origin::Continued,
                outside: None,
            },
            None => TraceFacts {
                trace_id: TraceId::new(hex::decode(TRACE.as_bytes()).unwrap()).unwrap(),
                span_id: own,
                parent_span_id: None,
                flags: TraceFlags { sampled: true, random: true },
                origin: Origin::Started,
                outside: None,
            },
        });
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
    (facts.sampled, facts.probability, facts.reason)
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
    assert!(proxy.metric("sluicegate_sampling_keys").unwrap() <= 100);
    assert!(proxy.metric("sluicegate_sampling_shared_key_total").unwrap() > 9_000);
}
