//! A filter in its place between the proxy's callbacks, whichever proxy it is.

use crate::{Callbacks, CalloutResponse, CalloutToken, Exchange, Filter, Flow, Host, HostError, Level, Rejected, Vm};
use sluicegate_policy::Document;
use std::rc::Rc;
use std::time::Duration;

/// A root context: one filter under one policy.
pub struct Root<F: Filter> {
    host: &'static dyn Host,
    in_force: Option<InForce<F>>,
}

struct InForce<F> {
    filter: Rc<F>,
    vm: Rc<Vm>,
}

impl<F: Filter> Root<F> {
    /// A root context that has no policy yet.
    pub fn new(host: &'static dyn Host) -> Root<F> {
        Root { host, in_force: None }
    }

    /// Reads the policy. `false` rejects it as a whole; the proxy then keeps the root context of the policy before.
    pub fn configure(&mut self) -> bool {
        match self.read_policy() {
            Ok(in_force) => {
                self.in_force = Some(in_force);
                if let Err(error) = self.host.set_tick_period(F::TICK) {
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

    fn read_policy(&self) -> Result<InForce<F>, Vec<String>> {
        let configuration = self.host.plugin_configuration().map_err(|error| vec![error.to_string()])?;
        let environment = |name: &str| self.host.environment(name);
        let document = Document::parse(&configuration, &environment).map_err(lines)?;
        let (filter, vm) = read::<F>(self.host, &document).map_err(|error| vec![error.to_string()])?;
        let warnings = document.finish().map_err(lines)?;
        for warning in warnings {
            self.host.log(Level::Warn, &format!("{}: policy: {warning}", F::NAME));
        }
        Ok(InForce { filter: Rc::new(filter), vm: Rc::new(vm) })
    }

    /// The callbacks of a new exchange; `None` without a policy in force.
    pub fn stream(&self) -> Option<Stream<F>> {
        let InForce { filter, vm } = self.in_force.as_ref()?;
        let exchange = Exchange::new(self.host, Rc::clone(vm));
        Some(Stream { filter: Rc::clone(filter), exchange })
    }

    /// Time has passed.
    pub fn tick(&self) {
        if let Some(InForce { filter, vm }) = &self.in_force {
            filter.on_tick(vm);
            vm.metrics.flush(self.host);
        }
    }

    /// A callout was answered, or given up.
    pub fn callout_response(&self, token: CalloutToken) {
        if let Some(InForce { filter, vm }) = &self.in_force {
            filter.on_callout_response(token, &CalloutResponse::read(self.host), vm);
        }
    }

    /// The filter in force: for tests.
    pub fn filter(&self) -> Option<&F> {
        self.in_force.as_ref().map(|in_force| in_force.filter.as_ref())
    }
}

/// Runs when the proxy deletes the context, not when it is done with it: a callback for "done" would be entered for every
/// exchange too.
impl<F: Filter> Drop for Root<F> {
    fn drop(&mut self) {
        if let Some(InForce { vm, .. }) = &self.in_force {
            vm.metrics.flush(self.host);
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
