#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::{LogRecord, Value};
use sluicegate_host::double::{Double, Running};
use sluicegate_host::{Callbacks, Exchange, Filter, Rejected};
use sluicegate_policy::Document;
use std::time::Duration;

/// Exports a record of some bytes for every exchange.
struct Exporting(Option<Exporter>);

impl Filter for Exporting {
    const NAME: &'static str = "exporting";
    const CALLBACKS: Callbacks = Callbacks::LOG;

    fn configure(document: &Document<'_>, vm: &Vm) -> Result<Exporting, Rejected> {
        let Some(settings) = Settings::read(&document.section("access_log"), Signal::Logs) else {
            return Ok(Exporting(None));
        };
        let envelope = Envelope::new(("exporting", "1"), "", |resource| {
            resource.add("service.name", Value::String(vm.service().name.as_deref().unwrap_or_default()));
        });
        Ok(Exporting(Some(Exporter::new(Signal::Logs, settings, envelope, vm)?)))
    }

    fn on_log(&self, _exchange: &mut Exchange) {
        let mut record = Vec::new();
        LogRecord { body: Some(Value::String("a record")), ..LogRecord::default() }.encode(&mut record, |_| {});
        self.0.iter().for_each(|exporter| exporter.add(&record));
    }

    fn on_tick(&self, vm: &Vm) {
        self.0.iter().for_each(|exporter| exporter.on_tick(vm));
    }

    fn on_callout_response(&self, token: CalloutToken, response: &CalloutResponse<'_>, vm: &Vm) {
        let ours = self.0.as_ref().is_some_and(|exporter| exporter.on_callout_response(token, response, vm));
        if !ours {
            vm.log(Level::Debug, "a token of somebody else");
        }
    }
}

fn policy(cluster: &str, more: &str) -> String {
    let otlp = format!(r#"{{"cluster": "{cluster}", "batch": {{"max_records": 2, "max_age": "2s"}}{more}}}"#);
    format!(r#"{{"version": "1.0", "service": {{"name": "shop"}}, "access_log": {{"otlp": {otlp}}}}}"#)
}

fn start(proxy: &'static Double, policy: &str) -> Running<Exporting> {
    proxy.start::<Exporting>(policy).unwrap()
}

fn proxy() -> &'static Double {
    let proxy = Double::new();
    proxy.advance(Duration::from_secs(1_790_000_000));
    proxy
}

fn exchanges(running: &mut Running<Exporting>, count: usize) {
    (0..count).for_each(|_| {
        let outcome = running.request(&[(":path", "/")]);
        assert_eq!(outcome.calls, Vec::<&str>::new(), "adding a record is no hostcall");
    });
}

fn metric(proxy: &Double, name: &str) -> u64 {
    let (metric, label) = name.split_once(' ').unwrap_or((name, ""));
    let label = if label.is_empty() { String::new() } else { format!(".reason={label}") };
    proxy.metric(&format!("sluicegate_otlp_{metric}.signal=logs{label}")).unwrap()
}

const OK: [(&str, &str); 1] = [(":status", "200")];

#[test]
fn a_batch_is_posted_with_its_headers_and_the_answer_is_counted() {
    let proxy = proxy();
    let headers = r#", "authority": "otel.example", "timeout": "3s", "headers": [{"name": "X-Key", "value": "k"}]"#;
    let mut running = start(proxy, &policy("otel", headers));
    exchanges(&mut running, 2);
    running.tick();
    let [request] = &proxy.callouts()[..] else { panic!("{:?}", proxy.callouts()) };
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        (":method", "POST"),
        (":path", "/v1/logs"),
        (":authority", "otel.example"),
        ("content-type", "application/x-protobuf"),
        ("user-agent", USER_AGENT),
        ("x-key", "k"),
    ];
    assert_eq!(headers, expected);
    assert_eq!((request.cluster.as_str(), request.timeout), ("otel", Duration::from_secs(3)));
    assert_eq!((metric(proxy, "made_total"), metric(proxy, "under_way"), metric(proxy, "queued")), (2, 2, 0));
    running.answer_callout(0, &OK, b"\x0a\x02\x08\x01");
    assert_eq!((metric(proxy, "sent_total"), metric(proxy, "under_way")), (1, 0));
    assert_eq!(metric(proxy, "dropped_total rejected"), 1);
}

#[test]
fn an_operator_may_say_who_calls() {
    let proxy = proxy();
    let mut running = start(proxy, &policy("otel", r#", "headers": [{"name": "User-Agent", "value": "us"}]"#));
    exchanges(&mut running, 2);
    running.tick();
    let agents = proxy.callouts()[0].headers.iter().filter(|(name, _)| name == "user-agent").count();
    assert_eq!(agents, 1);
}

#[test]
fn an_answer_lets_the_next_batch_go_without_a_tick() {
    let proxy = proxy();
    let mut running = start(proxy, &policy("otel", ""));
    exchanges(&mut running, 6);
    running.tick();
    assert_eq!(proxy.callouts().len(), 2);
    running.answer_callout(1, &OK, b"");
    assert_eq!(proxy.callouts().len(), 3);
    running.answer_callout(7, &OK, b"");
    assert_eq!(proxy.callouts().len(), 3);
    assert!(proxy.log_lines().iter().any(|line| line == "a token of somebody else"));
}

#[test]
fn an_idle_tick_asks_for_the_time_and_nothing_else() {
    let proxy = proxy();
    let mut running = start(proxy, &policy("otel", ""));
    running.tick();
    assert_eq!(proxy.calls(), ["proxy_get_current_time_nanoseconds"]);
}

#[test]
fn retry_after_is_read_from_the_answer() {
    let proxy = proxy();
    let mut running = start(proxy, &policy("otel", ""));
    exchanges(&mut running, 2);
    running.tick();
    running.answer_callout(0, &[(":status", "503"), ("retry-after", "20")], b"");
    proxy.advance(Duration::from_secs(19));
    running.tick();
    assert_eq!(proxy.callouts().len(), 1);
    // With jitter of up to retry.initial.
    proxy.advance(Duration::from_secs(2));
    running.tick();
    assert_eq!((proxy.callouts().len(), metric(proxy, "retried_total")), (2, 2));
}

#[test]
fn a_request_that_is_never_answered_is_forgotten_and_made_again() {
    let proxy = proxy();
    let mut running = start(proxy, &policy("otel", r#", "timeout": "1s""#));
    exchanges(&mut running, 2);
    running.tick();
    for _ in 0..2 {
        proxy.advance(Duration::from_secs(6));
        running.tick();
    }
    assert_eq!((proxy.callouts().len(), metric(proxy, "retried_total"), metric(proxy, "under_way")), (2, 2, 2));
    let under_way = |running: &Running<Exporting>| {
        running.filter().and_then(|filter| filter.0.as_ref()).map(|exporter| exporter.under_way.borrow().len())
    };
    assert_eq!(under_way(&running), Some(1));
    running.answer_callout(0, &OK, b"");
    assert_eq!(metric(proxy, "sent_total"), 0);
    running.answer_callout(1, &OK, b"");
    assert_eq!((metric(proxy, "sent_total"), under_way(&running)), (2, Some(0)));
}

#[test]
fn the_log_hears_of_drops_once_a_minute() {
    let proxy = proxy();
    let mut running = start(proxy, &policy("otel", ""));
    for callout in 0..2 {
        exchanges(&mut running, 2);
        running.tick();
        running.answer_callout(callout, &[(":status", "401")], b"");
        running.tick();
    }
    let line = "otlp: 2 logs for cluster otel were dropped: the collector answers 401";
    assert_eq!(proxy.log_lines(), [line]);
    proxy.advance(Duration::from_secs(60));
    running.tick();
    assert_eq!(proxy.log_lines(), [line, line]);
}

#[test]
fn a_reload_loses_nothing_of_what_is_queued_or_under_way() {
    let proxy = proxy();
    let mut old = start(proxy, &policy("otel", ""));
    exchanges(&mut old, 2);
    old.tick();
    exchanges(&mut old, 1);
    let mut new = start(proxy, &policy("otel", r#", "timeout": "1s""#));
    // Requests under way finish with the old policy.
    exchanges(&mut old, 1);
    drop(old);
    assert_eq!((metric(proxy, "queued"), metric(proxy, "under_way")), (4, 0));
    new.tick();
    let [_, again, other] = &proxy.callouts()[..] else { panic!("{:?}", proxy.callouts()) };
    assert_eq!((again.timeout, other.timeout), (Duration::from_secs(1), Duration::from_secs(1)));
    new.answer_callout(1, &OK, b"");
    new.answer_callout(2, &OK, b"");
    assert_eq!((metric(proxy, "made_total"), metric(proxy, "sent_total"), metric(proxy, "queued")), (4, 4, 0));
}

#[test]
fn an_answer_to_the_old_policy_counts_while_it_lasts() {
    let proxy = proxy();
    let mut old = start(proxy, &policy("otel", ""));
    exchanges(&mut old, 2);
    old.tick();
    let mut new = start(proxy, &policy("otel", r#", "timeout": "1s""#));
    new.tick();
    old.answer_callout(0, &OK, b"");
    drop(old);
    new.tick();
    assert_eq!((proxy.callouts().len(), metric(proxy, "sent_total")), (1, 2));
}

#[test]
fn what_is_queued_for_another_destination_still_goes_there() {
    let proxy = proxy();
    let mut old = start(proxy, &policy("before", ""));
    exchanges(&mut old, 3);
    let mut new = start(proxy, &policy("after", ""));
    drop(old);
    exchanges(&mut new, 2);
    proxy.advance(Duration::from_secs(2));
    new.tick();
    let clusters = |proxy: &Double| proxy.callouts().iter().map(|callout| callout.cluster.clone()).collect::<Vec<_>>();
    assert_eq!(clusters(proxy), ["before", "before", "after"]);
    (0..3).for_each(|callout| new.answer_callout(callout, &OK, b""));
    assert_eq!((metric(proxy, "sent_total"), metric(proxy, "queued")), (5, 0));
    new.tick();
    assert!(Post::orphans().is_empty());
}

#[test]
fn a_policy_that_is_rejected_changes_nothing() {
    let proxy = proxy();
    let mut running = start(proxy, &policy("otel", ""));
    exchanges(&mut running, 1);
    assert!(proxy.start::<Exporting>(&policy("otel", r#", "unknown": 1"#)).is_err());
    exchanges(&mut running, 1);
    running.tick();
    assert_eq!((proxy.callouts().len(), metric(proxy, "queued")), (1, 0));
}

#[test]
fn what_nobody_can_send_any_more_is_counted_as_dropped() {
    let proxy = proxy();
    let mut old = start(proxy, &policy("otel", ""));
    exchanges(&mut old, 5);
    old.tick();
    let off = start(proxy, r#"{"version": "1.0"}"#);
    drop(old);
    assert_eq!((metric(proxy, "dropped_total stopped"), metric(proxy, "queued")), (5, 0));
    assert_eq!(metric(proxy, "under_way"), 0);
    drop(off);
}

#[test]
fn of_many_destinations_that_were_given_up_the_oldest_is_dropped() {
    let proxy = proxy();
    let mut running = start(proxy, &policy("d0", ""));
    for number in 1..=6 {
        exchanges(&mut running, 1);
        let next = start(proxy, &policy(&format!("d{number}"), ""));
        drop(std::mem::replace(&mut running, next));
    }
    assert_eq!((metric(proxy, "dropped_total stopped"), metric(proxy, "queued")), (2, 4));
    proxy.advance(Duration::from_secs(2));
    running.tick();
    let clusters: Vec<_> = proxy.callouts().iter().map(|callout| callout.cluster.clone()).collect();
    assert_eq!(clusters, ["d2", "d3", "d4", "d5"]);
}
