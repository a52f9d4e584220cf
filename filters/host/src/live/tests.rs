use crate::double::{Double, Running};
use crate::{Callbacks, Exchange, Filter, Flow, Gauge, MapKind, Rejected, Vm, shared};
use sluicegate_policy::Document;
use std::time::Duration;

/// Writes the service's name into each request, and its length into a gauge.
struct Named(String, Gauge);

impl Filter for Named {
    const NAME: &'static str = "named";
    const CALLBACKS: Callbacks = Callbacks::REQUEST_HEADERS.and(Callbacks::REQUEST_END);
    const TICK: Duration = Duration::from_millis(200);

    fn configure(_document: &Document<'_>, vm: &Vm) -> Result<Named, Rejected> {
        Ok(Named(vm.service().name.clone().unwrap_or_default(), vm.gauge("length", &[])?))
    }

    fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
        exchange.request_headers_mut().set("x-service", self.0.as_str());
        Flow::Continue
    }

    fn on_request_end(&self, exchange: &mut Exchange) {
        _ = exchange.set_filter_state("ended", self.0.as_bytes());
    }

    fn on_tick(&self, vm: &Vm) {
        self.1.set(u64::try_from(self.0.len()).unwrap());
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

/// Ticks until the source is asked once more; then it says this, and one tick passes.
fn says(proxy: &Double, running: &mut Running<Named>, status: &str, body: &str) {
    let asked = proxy.callouts().len();
    for _ in 0..100 {
        tick(proxy, running);
        if proxy.callouts().len() > asked {
            running.answer_callout(u32::try_from(asked).unwrap(), &[(":status", status)], body.as_bytes());
            return tick(proxy, running);
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
    assert_eq!(in_force(&mut first), "live");
    tick(other, &mut second);
    assert_eq!(in_force(&mut second), "live");
    assert!(other.callouts().is_empty(), "one asks for all");
    let revision = "sluicegate_policy_revision.plugin=named.source=";
    tick(one, &mut first);
    assert_eq!(one.metric(&format!("{revision}http.version=1.0")), Some(1), "HTTP has no revision");
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
    assert_eq!(proxy.metric("sluicegate_length"), Some(6), "of what is in force");
    drop(stream);
    (0..8).for_each(|_| tick(proxy, &mut running));
    assert_eq!(proxy.metric("sluicegate_end_of_first"), Some(1));
    assert_eq!(proxy.metric("sluicegate_length"), Some(6));
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
    let wrong = ["", "null", "\u{feff} {}", "{", r#"{"version": "1.0", "service": {"nmae": "a"}}"#];
    for wrong in wrong {
        says(one, &mut first, "200", wrong);
        tick(other, &mut second);
        assert_eq!((in_force(&mut first), in_force(&mut second)), ("live".to_owned(), "live".to_owned()), "{wrong}");
    }
    tick(one, &mut first);
    let labels = ".plugin=named.source=http";
    assert_eq!(one.metric(&format!("sluicegate_policy_rejections_total{labels}")), Some(5));
    assert_eq!(other.metric(&format!("sluicegate_policy_rejections_total{labels}")), Some(0));
    let told = |proxy: &Double| proxy.log_lines().iter().filter(|line| line.contains("is rejected")).count();
    assert_eq!((told(one), told(other)), (5, 0));
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

/// The source is asked, and answers between two ticks.
fn says_between_ticks(proxy: &Double, running: &mut Running<Named>, status: &str, body: &str) {
    let asked = proxy.callouts().len();
    while proxy.callouts().len() == asked {
        tick(proxy, running);
    }
    running.answer_callout(u32::try_from(asked).unwrap(), &[(":status", status)], body.as_bytes());
}

#[test]
fn what_comes_is_in_force_at_once_where_it_came_for_what_comes_next_may_be_wrong() {
    let [(proxy, mut running), _] = two();
    says_between_ticks(proxy, &mut running, "200", &document("live"));
    assert_eq!(in_force(&mut running), "live");
    says_between_ticks(proxy, &mut running, "200", "wrong");
    assert_eq!(in_force(&mut running), "live");
}

/// Another plugin with the same source.
struct Other;

impl Filter for Other {
    const NAME: &'static str = "other";
    const CALLBACKS: Callbacks = Callbacks::REQUEST_HEADERS;

    fn configure(_document: &Document<'_>, _vm: &Vm) -> Result<Other, Rejected> {
        Ok(Other)
    }
}

#[test]
fn a_document_that_was_gone_before_a_worker_saw_it_is_told_of_all_the_same() {
    let [(one, mut holder), (other, _)] = two();
    let [mut first, mut second] = [one, other].map(|proxy| proxy.start::<Other>(PLUGIN).unwrap_or_else(|_| panic!()));
    says(one, &mut holder, "200", &document("live"));
    first.tick();
    says(one, &mut holder, "404", "");
    // The one that has not seen it is the first of its plugin to see that it is gone.
    second.tick();
    first.tick();
    first.tick();
    let deletions = |proxy: &Double| proxy.metric("sluicegate_policy_deletions_total.plugin=other.source=http");
    assert_eq!((deletions(one), deletions(other)), (Some(0), Some(1)));
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
fn of_what_is_wrong_the_beginning_is_told() {
    let [(proxy, mut running), _] = two();
    let fields = (0..9).map(|number| format!(r#""field {number}": 1"#)).collect::<Vec<_>>().join(", ");
    says(proxy, &mut running, "200", &format!(r#"{{"version": "1.0", "service": {{{fields}}}}}"#));
    let lines = proxy.log_lines();
    let told: Vec<_> = lines.iter().filter(|line| line.contains("is rejected")).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[3].ends_with("and 6 more; sluicectl check tells them all"), "{told:?}");
}

#[test]
fn who_reads_the_place_in_another_way_is_not_in_the_way_and_begins_with_what_was_in_force() {
    let [(proxy, mut running), _] = two();
    says(proxy, &mut running, "200", &document("live"));
    let changed = PLUGIN.replace(r#""interval""#, r#""headers": [{"name": "x-token", "value": "new"}], "interval""#);
    let mut after = proxy.start::<Named>(&changed).unwrap_or_else(|lines| panic!("{lines:?}"));
    assert_eq!(in_force(&mut after), "live", "before it has read anything");
    // The one before is still there, and is refused; and this one asks for itself.
    says(proxy, &mut after, "200", &document("better"));
    assert_eq!((in_force(&mut after), in_force(&mut running)), ("better".to_owned(), "live".to_owned()));
    says(proxy, &mut after, "404", "");
    let mut again = start(proxy);
    assert_eq!(in_force(&mut again), "live", "as its own board has it");
}

#[test]
fn what_nobody_kept_up_is_not_in_force_until_the_source_has_said_it_again() {
    let [(proxy, mut running), _] = two();
    says(proxy, &mut running, "200", &document("live"));
    drop(running);
    // A plugin that was reloaded a while later.
    proxy.advance(Duration::from_secs(29));
    let mut soon = start(proxy);
    assert_eq!(in_force(&mut soon), "live");
    drop(soon);
    proxy.advance(Duration::from_secs(31));
    let mut late = start(proxy);
    assert_eq!(in_force(&mut late), "plugin");
    says(proxy, &mut late, "500", "");
    says(proxy, &mut late, "200", "wrong");
    assert_eq!(in_force(&mut late), "plugin");
    says(proxy, &mut late, "200", &document("live"));
    assert_eq!(in_force(&mut late), "live");
}

#[test]
fn what_was_said_again_is_in_force_though_it_is_what_was_left_behind() {
    let [(proxy, mut running), _] = two();
    says(proxy, &mut running, "200", &document("live"));
    drop(running);
    proxy.advance(Duration::from_secs(40));
    let mut late = start(proxy);
    assert_eq!(in_force(&mut late), "plugin");
    says(proxy, &mut late, "200", &document("live"));
    assert_eq!(in_force(&mut late), "live");
}

#[test]
fn the_gauges_are_of_the_plugin_configuration_that_came_last() {
    let [(proxy, mut running), _] = two();
    says(proxy, &mut running, "200", &document("live"));
    let revision = |source: &str| {
        proxy.metric(&format!("sluicegate_policy_revision.plugin=named.source={source}.version=1.0")).unwrap_or(99)
    };
    assert_eq!((revision("http"), revision("plugin")), (1, 0));
    let mut after = proxy.start::<Named>(&document("without a source")).unwrap_or_else(|lines| panic!("{lines:?}"));
    tick(proxy, &mut after);
    assert_eq!((revision("http"), revision("plugin")), (0, 1));
    // One that drains says nothing any more.
    says(proxy, &mut running, "200", &document("later"));
    assert_eq!(in_force(&mut running), "later");
    assert_eq!((revision("http"), revision("plugin")), (0, 1));
}

#[test]
fn the_last_success_is_that_of_the_last_answer() {
    let [(proxy, mut running), _] = two();
    let last = || proxy.metric("sluicegate_policy_last_success_seconds.plugin=named.source=http");
    says(proxy, &mut running, "500", "");
    assert_eq!(last(), Some(0));
    let mut before = Some(1_800_000_000);
    for status in ["200", "200", "404"] {
        says(proxy, &mut running, status, &document("live"));
        assert!(last() > before, "{status}: {:?}", last());
        before = last();
    }
    says(proxy, &mut running, "503", "");
    says(proxy, &mut running, "503", "");
    assert_eq!(last(), before);
}

#[test]
fn what_fails_at_the_source_is_told_and_counted() {
    let [(proxy, mut running), _] = two();
    says(proxy, &mut running, "500", "");
    tick(proxy, &mut running);
    assert_eq!(proxy.metric("sluicegate_policy_source_troubles_total.plugin=named.source=http"), Some(1));
    assert!(
        proxy
            .log_lines()
            .iter()
            .any(|line| line.starts_with("named: policy source http (cluster \"c\", path \"/policy\"): ")),
        "{:?}",
        proxy.log_lines()
    );
    assert_eq!(in_force(&mut running), "plugin");
}
