//! A filter in its place between the proxy's callbacks, whichever proxy it is.

use crate::live::{Live, News, PLUGIN, Report};
use crate::{
    Callbacks, CalloutResponse, CalloutToken, Exchange, Filter, Flow, GrpcToken, Host, HostError, Level, Rejected, Vm,
};
use sluicegate_policy::{Document, Version};
use sluicegate_source::{DOCUMENT_LIMIT, Settings};
use std::rc::Rc;
use std::time::Duration;

/// A root context: one filter under one policy at a time.
pub struct Root<F: Filter> {
    host: &'static dyn Host,
    in_force: Option<InForce<F>>,
    /// Those that were in force before, until the last exchange has ended that began with them.
    retired: Vec<InForce<F>>,
    source: Option<Source>,
    report: Report,
    ticks: u64,
    /// So many versions may be taken over between two ticks.
    at_once: u8,
}

struct InForce<F> {
    filter: Rc<F>,
    vm: Rc<Vm>,
}

impl<F: Filter> InForce<F> {
    /// `newer` is the one that has replaced it, if one has.
    fn tick(&self, newer: Option<&InForce<F>>, host: &dyn Host) {
        self.filter.on_tick(&self.vm);
        self.flush(newer, host);
    }

    fn end(&self, newer: Option<&InForce<F>>, host: &dyn Host) {
        self.filter.on_end(&self.vm);
        self.flush(newer, host);
    }

    fn flush(&self, newer: Option<&InForce<F>>, host: &dyn Host) {
        match newer {
            Some(newer) => self.vm.metrics.flush_beside(&newer.vm.metrics, host),
            None => self.vm.metrics.flush(host),
        }
    }
}

/// Where the policy comes from beside the plugin configuration.
struct Source {
    live: Live,
    /// What holds where the source has nothing to say.
    plugin_configuration: Vec<u8>,
    /// What is in force is the source's.
    is_in_force: bool,
}

/// What a document holds.
struct Read<F> {
    in_force: InForce<F>,
    version: Version,
    source: Option<Settings>,
    warnings: Vec<String>,
    fingerprint: u64,
    says_nothing: bool,
}

impl<F: Filter> Root<F> {
    /// A root context that has no policy yet.
    pub fn new(host: &'static dyn Host) -> Root<F> {
        let report = Report::new(F::NAME, host);
        Root { host, in_force: None, retired: Vec::new(), source: None, report, ticks: 0, at_once: AT_ONCE }
    }

    /// Reads the policy. `false` rejects it as a whole; the proxy then keeps the root context of the policy before.
    pub fn configure(&mut self) -> bool {
        match self.begin() {
            Ok(()) => {
                if let Err(error) = self.host.set_tick_period(self.tick_period()) {
                    self.host.log(Level::Warn, &format!("{}: no ticks: {error}", F::NAME));
                }
                true
            }
            Err(problems) => {
                for problem in problems {
                    self.host.log(Level::Error, &format!("{}: policy rejected: {problem}", F::NAME));
                }
                false
            }
        }
    }

    fn begin(&mut self) -> Result<(), Vec<String>> {
        let configuration = self.host.plugin_configuration().map_err(one)?;
        let Read { in_force, version, source, warnings, fingerprint, .. } = self.read_policy(&configuration)?;
        if let Some(settings) = source {
            let live = Live::begin(F::NAME, settings, self.host).map_err(one)?;
            self.report.has(live.source()).map_err(one)?;
            self.source = Some(Source { live, plugin_configuration: configuration, is_in_force: false });
        }
        // From here on nothing is rejected any more.
        self.in_force = Some(in_force);
        self.report.begin(fingerprint);
        self.report.in_force(PLUGIN, version, OF_PLUGIN);
        self.warn(&warnings);
        if self.source.is_some() && !self.renew() {
            self.resume();
        }
        self.report.flush();
        Ok(())
    }

    fn read_policy(&self, configuration: &[u8]) -> Result<Read<F>, Vec<String>> {
        let environment = |name: &str| self.host.environment(name);
        let document = Document::parse(configuration, &environment).map_err(lines)?;
        let source = Settings::read(&document);
        let (version, fingerprint, says_nothing) =
            (document.version(), document.fingerprint(), document.says_nothing());
        let (filter, vm) = read::<F>(self.host, &document).map_err(one)?;
        let warnings = document.finish().map_err(lines)?;
        let in_force = InForce { filter: Rc::new(filter), vm: Rc::new(vm) };
        Ok(Read { in_force, version, source, warnings, fingerprint, says_nothing })
    }

    /// Takes over what the source of the policy has to say: whole or not at all. Exchanges under way finish with the policy
    /// that they began with. Whether there was news.
    fn renew(&mut self) -> bool {
        let Some(source) = &mut self.source else { return false };
        let Some(news) = source.live.news() else { return false };
        let is_first = source.live.is_first_to_tell(&news);
        if !self.take(&news, is_first) {
            self.resume();
        }
        true
    }

    /// Takes over what came just now: what comes after it may be wrong, and this right. But a flood is not to keep the
    /// worker busy: of that, what is there on the tick.
    fn renew_at_once(&mut self) {
        if let Some(left) = self.at_once.checked_sub(1)
            && self.renew()
        {
            self.at_once = left;
        }
    }

    /// Takes over what others of this plugin have, if this root context does not.
    fn resume(&mut self) {
        if let Some(kept) = self.source.as_ref().and_then(|source| source.live.kept()) {
            self.take(&kept, false);
        }
    }

    /// Whether it could be taken. `tells` says that this root context counts and logs it for all of its plugin.
    fn take(&mut self, news: &News, tells: bool) -> bool {
        let Some(Source { live, plugin_configuration, is_in_force }) = &mut self.source else { return false };
        let name = live.source();
        let place = live.place();
        let from = match &news.document {
            Some(_) if news.revision == 0 => format!("the policy of {place}"),
            Some(_) => format!("the policy of {place}, revision {}", news.revision),
            None => format!("there is none at {place}; the policy of the plugin configuration"),
        };
        if news.document.is_none() && !*is_in_force {
            // Of a document that came and went between two of its ticks this root context knows from others.
            let was_there = tells && live.kept().is_some_and(|kept| kept.document.is_some());
            live.has_taken(news);
            if tells {
                self.tell_of_own(&from, was_there);
            }
            return true;
        }
        let document = news.document.as_deref().unwrap_or(plugin_configuration).to_vec();
        let read = match self.read_policy(&document) {
            // Only its beginning is here.
            _ if document.len() > DOCUMENT_LIMIT => Err(vec![TOO_LONG.to_owned()]),
            // A plugin without configuration has the defaults. A source that says nothing at all is an accident.
            Ok(read) if read.says_nothing && news.document.is_some() => Err(vec![EMPTY.to_owned()]),
            read => read,
        };
        match read {
            Ok(read) => {
                self.swap(read, news, name, tells.then_some(from));
                true
            }
            Err(problems) => {
                if tells {
                    self.report.rejected();
                    for problem in told_of(problems) {
                        self.host.log(Level::Error, &format!("{}: {from} is rejected: {problem}", F::NAME));
                    }
                }
                false
            }
        }
    }

    /// Puts into force what was read. `says` is what is told of it, if anything is.
    fn swap(&mut self, read: Read<F>, news: &News, name: &'static str, says: Option<String>) {
        let Read { in_force, version, source: named, mut warnings, .. } = read;
        self.retired.extend(self.in_force.replace(in_force));
        let is_of_source = news.document.is_some();
        if let Some(source) = &mut self.source {
            source.is_in_force = is_of_source;
            source.live.has_taken(news);
        }
        let (name, revision) = if is_of_source { (name, news.revision) } else { (PLUGIN, OF_PLUGIN) };
        self.report.in_force(name, version, revision);
        let Some(from) = says else { return };
        if is_of_source {
            self.report.updated();
            self.host.log(Level::Info, &format!("{}: {from} is in force", F::NAME));
        } else {
            self.tell_of_own(&from, true);
        }
        if is_of_source && named.is_some() {
            warnings.push("policy_source: counts in the plugin configuration alone".to_owned());
        }
        self.warn(&warnings);
    }

    /// The plugin configuration is in force: again, where the source had something before.
    fn tell_of_own(&self, from: &str, again: bool) {
        if again {
            self.report.deleted();
            self.host.log(Level::Warn, &format!("{}: {from} is in force again", F::NAME));
        } else {
            self.host.log(Level::Info, &format!("{}: {from} is in force", F::NAME));
        }
    }

    fn warn(&self, warnings: &[String]) {
        for warning in warnings {
            self.host.log(Level::Warn, &format!("{}: policy: {warning}", F::NAME));
        }
    }

    fn tick_period(&self) -> Duration {
        match &self.source {
            Some(_) => F::TICK.min(Live::TICK),
            None => F::TICK,
        }
    }

    /// Whether the filter gets this tick: a policy that changes wants them more often than some filters do.
    fn is_due(&self) -> bool {
        let every = F::TICK.as_millis().checked_div(self.tick_period().as_millis()).unwrap_or(1).max(1);
        u128::from(self.ticks).checked_rem(every) == Some(0)
    }

    /// The callbacks of a new exchange; `None` without a policy in force.
    pub fn stream(&self) -> Option<Stream<F>> {
        let InForce { filter, vm } = self.in_force.as_ref()?;
        let exchange = Exchange::new(self.host, Rc::clone(vm));
        Some(Stream { filter: Rc::clone(filter), exchange })
    }

    /// Time has passed.
    pub fn tick(&mut self) {
        if self.is_due()
            && let Some(in_force) = &self.in_force
        {
            let host = self.host;
            in_force.tick(None, host);
            self.retired.retain(|retired| {
                retired.tick(Some(in_force), host);
                let is_wanted = Rc::strong_count(&retired.filter) > 1;
                if !is_wanted {
                    retired.end(Some(in_force), host);
                }
                is_wanted
            });
        }
        self.ticks = self.ticks.wrapping_add(1);
        self.at_once = self.at_once.saturating_add(1).min(AT_ONCE);
        if let Some(source) = &mut self.source {
            source.live.tick(&self.report);
        }
        self.renew();
        self.report.flush();
    }

    /// A callout was answered, or given up.
    pub fn callout_response(&mut self, token: CalloutToken) {
        let response = CalloutResponse::read(self.host);
        if let Some(source) = &mut self.source
            && source.live.fetched(token, &response, &self.report)
        {
            return self.renew_at_once();
        }
        for InForce { filter, vm } in self.in_force.iter().chain(&self.retired) {
            filter.on_callout_response(token, &response, vm);
        }
    }

    /// A message came from a gRPC service.
    pub fn grpc_message(&mut self, token: GrpcToken) {
        if let Some(source) = &mut self.source {
            source.live.grpc_message(token, &self.report);
            self.renew_at_once();
        }
    }

    /// A gRPC call has failed, or a stream ended.
    pub fn grpc_closed(&mut self, token: GrpcToken, status: u32) {
        if let Some(source) = &mut self.source {
            source.live.grpc_closed(token, status, &self.report);
        }
    }

    /// The filter in force: for tests.
    pub fn filter(&self) -> Option<&F> {
        self.in_force.as_ref().map(|in_force| in_force.filter.as_ref())
    }
}

const TOO_LONG: &str = "the document: found more than 65536 bytes, accepted: at most 65536 bytes";
const EMPTY: &str = "the document: found nothing, accepted: a policy such as {\"version\": \"1.0\"}";

/// As many versions are taken over at once; then one for each tick.
const AT_ONCE: u8 = 4;

/// The problems of one version that are told, at most.
const MOST_TOLD: usize = 3;

/// The plugin configuration has no revision that anybody would tell; this says that it is in force.
const OF_PLUGIN: u64 = 1;

/// Runs when the proxy deletes the context, not when it is done with it: a callback for "done" would be entered for every
/// exchange too.
impl<F: Filter> Drop for Root<F> {
    fn drop(&mut self) {
        if let Some(in_force) = &self.in_force {
            self.retired.iter().for_each(|retired| retired.end(Some(in_force), self.host));
            in_force.end(None, self.host);
            self.report.flush();
            // The timer of a context outlives the context, and would burn CPU in an idle proxy after many reloads.
            let _ = self.host.set_tick_period(Duration::ZERO);
        }
    }
}

/// The context of one exchange.
pub struct Stream<F: Filter> {
    filter: Rc<F>,
    exchange: Exchange,
}

impl<F: Filter> Stream<F> {
    /// The request's headers have come, and with them all of it where it `is_whole`.
    pub fn request_headers(&mut self, is_whole: bool) -> Flow {
        self.exchange.begin_request(is_whole);
        let flow = self.filter.on_request_headers(&mut self.exchange);
        self.exchange.end_request();
        if is_whole && flow == Flow::Continue {
            self.request_end();
        }
        flow
    }

    /// The request's last byte has come, or its trailers.
    pub fn request_end(&mut self) {
        if F::CALLBACKS.contains(Callbacks::REQUEST_END) {
            self.filter.on_request_end(&mut self.exchange);
        }
    }

    /// The response's headers have come.
    pub fn response_headers(&mut self) {
        self.filter.on_response_headers(&mut self.exchange);
        self.exchange.end_response();
    }

    /// The exchange is over.
    pub fn log(&mut self) {
        self.filter.on_log(&mut self.exchange);
    }

    /// The exchange: for tests.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }
}

/// Has a filter read its part of a document, and what it stands on. Whether the document is right shows at its
/// [`Document::finish`].
///
/// # Errors
/// Those of the proxy.
pub fn read<F: Filter>(host: &'static dyn Host, document: &Document<'_>) -> Result<(F, Vm), HostError> {
    let vm = Vm::new(host, document.service())?;
    let filter = F::configure(document, &vm).map_err(|Rejected(error)| error)?;
    Ok((filter, vm))
}

fn one(error: HostError) -> Vec<String> {
    vec![error.to_string()]
}

/// As much of what is wrong as is told: the source may say something else that is wrong in the next moment.
fn told_of(mut problems: Vec<String>) -> Vec<String> {
    let more = problems.len().saturating_sub(MOST_TOLD);
    if more > 0 {
        problems.truncate(MOST_TOLD);
        problems.push(format!("and {more} more; sluicectl check tells them all"));
    }
    problems
}

fn lines(errors: sluicegate_policy::Errors) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use crate::double::{Body, Double, Pace};
    use crate::{Callbacks, Exchange, Filter, Flow, Rejected, Vm};
    use sluicegate_policy::Document;
    use std::time::Duration;

    struct Named(String);

    impl Filter for Named {
        const NAME: &'static str = "named";
        const CALLBACKS: Callbacks = Callbacks::REQUEST_HEADERS;
        const TICK: Duration = Duration::from_millis(50);

        fn configure(document: &Document<'_>, vm: &Vm) -> Result<Named, Rejected> {
            document.section("trace").boolean("enabled");
            Ok(Named(vm.service().name.clone().unwrap_or_default()))
        }

        fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
            exchange.request_headers_mut().set("x-service", self.0.as_str());
            Flow::Continue
        }
    }

    fn service(proxy: &'static Double, policy: &str) -> String {
        let outcome = proxy.start::<Named>(policy).unwrap().request(&[(":path", "/")]);
        String::from_utf8(outcome.upstream.get("x-service").unwrap().to_vec()).unwrap()
    }

    #[test]
    fn the_service_is_named_by_the_policy_else_by_the_node_else_unknown() {
        let proxy = Double::new();
        assert_eq!(service(proxy, ""), "unknown_service");
        proxy.set("xds\0node\0cluster", "cluster");
        assert_eq!(service(proxy, ""), "cluster");
        proxy.set("xds\0node\0metadata\0WORKLOAD_NAME", "workload");
        assert_eq!(service(proxy, ""), "workload");
        proxy.set("xds\0node\0metadata\0LABELS\0service.istio.io/canonical-name", "canonical");
        assert_eq!(service(proxy, ""), "canonical");
        assert_eq!(service(proxy, r#"{"version": "1.0", "service": {"name": "checkout"}}"#), "checkout");
    }

    #[test]
    fn everything_that_is_wrong_is_logged_and_nothing_comes_into_force() {
        let policy = r#"{"version": "1.0", "service": {"nmae": "a"}, "trace": {"enabled": 1}}"#;
        let Err(lines) = Double::new().start::<Named>(policy) else { panic!("accepted") };
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("named: policy rejected: trace.enabled: found 1"), "{lines:?}");
        assert!(lines[1].starts_with("named: policy rejected: service.nmae: unknown field"), "{lines:?}");
    }

    #[test]
    fn fields_of_a_newer_minor_version_earn_one_warning() {
        let proxy = Double::new();
        let policy = r#"{"version": "1.9", "trace": {"newer": 1, "newest": 2}}"#;
        assert!(proxy.start::<Named>(policy).is_ok());
        let [line] = &proxy.log_lines()[..] else { panic!("{:?}", proxy.log_lines()) };
        assert!(line.starts_with("named: policy: version") && line.contains("trace.newest"), "{line}");
    }

    struct Ended;

    impl Filter for Ended {
        const NAME: &'static str = "ended";
        const CALLBACKS: Callbacks = Callbacks::REQUEST_HEADERS.and(Callbacks::REQUEST_END);

        fn configure(_document: &Document<'_>, _vm: &Vm) -> Result<Ended, Rejected> {
            Ok(Ended)
        }

        fn on_request_end(&self, exchange: &mut Exchange) {
            let said = format!("{} {:?}", exchange.has_body(), exchange.vm().now());
            exchange.set_filter_state("ended", said.as_bytes()).unwrap();
        }
    }

    #[test]
    fn a_request_ends_with_its_headers_or_with_what_comes_after_them() {
        let second = Duration::from_secs(1);
        let table = [
            (Body::None, Some("false Ok(0)")),
            (Body::Takes(second), Some("true Ok(1000000000)")),
            (Body::Endless, None),
        ];
        for (body, says) in table {
            let proxy = Double::new();
            let mut running = proxy.start::<Ended>("").unwrap();
            running.timed_exchange(&[(":path", "/")], &[(":status", "200")], Pace { body, answer: second });
            assert_eq!(proxy.take("ended").as_deref(), says.map(str::as_bytes), "{body:?}");
        }
    }

    #[test]
    fn a_filter_ticks_as_often_as_it_says() {
        let proxy = Double::new();
        let running = proxy.start::<Named>("").unwrap();
        assert_eq!(proxy.tick_period(), Duration::from_millis(50));
        drop(running);
        assert_eq!(proxy.tick_period(), Duration::ZERO);
    }
}
