use crate::double::{Double, Running};
use crate::{Callbacks, Exchange, Filter, Flow, MapKind, Rejected, Vm, shared};
use sluicegate_policy::Document;
use std::time::Duration;

/// Writes the service's name into each request.
struct Named(String);

impl Filter for Named {
    const NAME: &'static str = "named";
    const CALLBACKS: Callbacks = Callbacks::REQUEST_HEADERS.and(Callbacks::REQUEST_END);
    const TICK: Duration = Duration::from_millis(200);

    fn configure(_document: &Document<'_>, vm: &Vm) -> Result<Named, Rejected> {
        Ok(Named(vm.service().name.clone().unwrap_or_default()))
    }

    fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
        exchange.request_headers_mut().set("x-service", self.0.as_str());
        Flow::Continue
    }

    fn on_request_end(&self, exchange: &mut Exchange) {
        _ = exchange.set_filter_state("ended", self.0.as_bytes());
    }

    fn on_tick(&self, vm: &Vm) {
        _ = vm.counter(&format!("ticks_of_{}", self.0), &[]).map(|counter| counter.increment());
    }

    fn on_end(&self, vm: &Vm) {
        _ = vm.counter(&format!("end_of_{}", self.0), &[]).map(|counter| counter.increment());
    }
}

const PLUGIN: &str = r#"{
    "version": "1.0",
    "service": {"name": "plugin"},
    "policy_source": {"http": {"cluster": "c", "path": "/policy", "interval": "1s"}}}"#;

fn document(name: &str) -> String {
    format!(r#"{{"version": "1.0", "service": {{"name": "{name}"}}}}"#)
}

fn start(proxy: &'static Double) -> Running<Named> {
    proxy.start(PLUGIN).unwrap_or_else(|lines| panic!("{lines:?}"))
}

/// Two workers.
fn two() -> [(&'static Double, Running<Named>); 2] {
    let one = Double::new();
    let other = one.worker_beside();
    [one, other].map(|proxy| {
        proxy.advance(Duration::from_secs(1_800_000_000));
        (proxy, start(proxy))
    })
}

fn tick(proxy: &Double, running: &mut Running<Named>) {
    proxy.advance(Duration::from_millis(50));
    running.tick();
}

/// Ticks until the source is asked once more, and then it says this.
fn says(proxy: &Double, running: &mut Running<Named>, status: &str, body: &str) {
    let asked = proxy.callouts().len();
    for _ in 0..100 {
        tick(proxy, running);
        if proxy.callouts().len() > asked {
            running.answer_callout(u32::try_from(asked).unwrap(), &[(":status", status)], body.as_bytes());
            return;
        }
    }
    panic!("the source is not asked");
}

fn in_force(running: &mut Running<Named>) -> String {
    let outcome = running.request(&[(":path", "/")]);
    String::from_utf8(outcome.upstream.get("x-service").unwrap().to_vec()).unwrap()
}

#[test]
fn what_the_source_says_comes_into_force_on_every_worker() {
    let [(one, mut first), (other, mut second)] = two();
    assert_eq!((in_force(&mut first), in_force(&mut second)), ("plugin".to_owned(), "plugin".to_owned()));
    says(one, &mut first, "200", &document("live"));
    assert_eq!(in_force(&mut first), "live", "at once where it came");
    tick(other, &mut second);
    assert_eq!(in_force(&mut second), "live");
    assert!(other.callouts().is_empty(), "one asks for all");
    let revision = "sluicegate_policy_revision.plugin=named.source=";
    tick(one, &mut first);
    assert_eq!(one.metric(&format!("{revision}http.version=1.0")), Some(0), "HTTP has no revision");
    assert_eq!(one.metric(&format!("{revision}plugin.version=1.0")), Some(0));
}

#[test]
fn what_is_under_way_ends_with_the_policy_that_it_began_with() {
    let [(proxy, mut running), _] = two();
    says(proxy, &mut running, "200", &document("first"));
    let mut stream = running.root().stream().unwrap();
    proxy.put_headers(MapKind::RequestHeaders, &[(":path", "/")]);
    assert_eq!(stream.request_headers(false), Flow::Continue);
    says(proxy, &mut running, "200", &document("second"));
    assert_eq!(in_force(&mut running), "second");
    stream.request_end();
    assert_eq!(proxy.take("ended").as_deref(), Some(&b"first"[..]));
    // It goes when nobody needs it any more, and not before.
    (0..8).for_each(|_| tick(proxy, &mut running));
    assert_eq!(proxy.metric("sluicegate_end_of_first"), None);
    drop(stream);
    (0..8).for_each(|_| tick(proxy, &mut running));
    assert_eq!(proxy.metric("sluicegate_end_of_first"), Some(1));
    drop(running);
    assert_eq!(proxy.metric("sluicegate_end_of_second"), Some(1));
}

#[test]
fn a_filter_has_its_own_ticks_however_often_the_policy_may_change() {
    let [(proxy, mut running), _] = two();
    assert_eq!(proxy.tick_period(), Duration::from_millis(50));
    (0..40).for_each(|_| tick(proxy, &mut running));
    assert_eq!(proxy.metric("sluicegate_ticks_of_plugin"), Some(10));
}

#[test]
fn what_is_wrong_changes_nothing_and_is_told_once_for_all_workers() {
    let [(one, mut first), (other, mut second)] = two();
    says(one, &mut first, "200", &document("live"));
    for wrong in ["", "{", r#"{"version": "1.0", "service": {"nmae": "a"}}"#] {
        says(one, &mut first, "200", wrong);
        tick(other, &mut second);
        assert_eq!((in_force(&mut first), in_force(&mut second)), ("live".to_owned(), "live".to_owned()), "{wrong}");
    }
    tick(one, &mut first);
    let labels = ".plugin=named.source=http";
    assert_eq!(one.metric(&format!("sluicegate_policy_rejections_total{labels}")), Some(3));
    assert_eq!(other.metric(&format!("sluicegate_policy_rejections_total{labels}")), Some(0));
    let told = |proxy: &Double| proxy.log_lines().iter().filter(|line| line.contains("is rejected")).count();
    assert_eq!((told(one), told(other)), (3, 0));
    assert!(one.log_lines().iter().any(|line| line.contains("service.nmae: unknown field")), "{:?}", one.log_lines());
    // Who begins now finds a document that is wrong, and takes the one before.
    assert_eq!(in_force(&mut start(one)), "live");
}

#[test]
fn where_the_source_has_none_the_plugins_own_holds_again() {
    let [(proxy, mut running), _] = two();
    says(proxy, &mut running, "404", "");
    assert_eq!(in_force(&mut running), "plugin");
    says(proxy, &mut running, "200", &document("live"));
    says(proxy, &mut running, "404", "");
    assert_eq!(in_force(&mut running), "plugin");
    tick(proxy, &mut running);
    assert_eq!(proxy.metric("sluicegate_policy_deletions_total.plugin=named.source=http"), Some(1));
    assert_eq!(proxy.metric("sluicegate_policy_revision.plugin=named.source=plugin.version=1.0"), Some(1));
}

#[test]
fn another_worker_takes_over_and_what_came_is_there_for_who_begins() {
    let [(one, mut first), (other, mut second)] = two();
    says(one, &mut first, "200", &document("live"));
    tick(other, &mut second);
    drop(first);
    let mut after = start(one);
    assert_eq!(in_force(&mut after), "live", "before any tick");
    says(other, &mut second, "200", &document("taken over"));
    tick(one, &mut after);
    assert_eq!(in_force(&mut after), "taken over");
    // One that only fell silent is waited for.
    other.advance(Duration::from_secs(1));
    one.advance(Duration::from_secs(1));
    let asked = one.callouts().len();
    (0..60).for_each(|_| tick(one, &mut after));
    assert!(one.callouts().len() > asked);
}

#[test]
fn beside_another_release_each_worker_asks_for_itself() {
    let one = Double::new();
    one.advance(Duration::from_secs(1_800_000_000));
    drop(start(one));
    let lease = super::Keys::of("named", &settings()).lease;
    shared::update(one, &lease, |_| Some(vec![99])).unwrap();
    let mut running = start(one);
    says(one, &mut running, "200", &document("own"));
    assert_eq!(in_force(&mut running), "own");
    assert_eq!(shared::read(one, &lease), Ok(Some(vec![99])), "what is theirs is left alone");
}

fn settings() -> sluicegate_source::Settings {
    let document = Document::parse(PLUGIN.as_bytes(), &|_| None).unwrap();
    sluicegate_source::Settings::read(&document).unwrap()
}

#[test]
fn what_fails_at_the_source_is_told_and_counted() {
    let [(proxy, mut running), _] = two();
    says(proxy, &mut running, "500", "");
    tick(proxy, &mut running);
    assert_eq!(proxy.metric("sluicegate_policy_source_troubles_total.plugin=named.source=http"), Some(1));
    assert!(proxy.log_lines().iter().any(|line| line.starts_with("named: policy source: ")), "{:?}", proxy.log_lines());
    assert_eq!(in_force(&mut running), "plugin");
}
