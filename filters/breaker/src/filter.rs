//! The filter: which breaker a request meets, what the caller gets where it is shed, and what came of it.

use crate::counters::{Counters, Series, tell};
use crate::degradation;
use crate::policy::{BreakerPolicy, Degradation, Guard, Per};
use crate::{Breaker, Breakers, Mode, Outcome, State, TICK, Ticket, Verdict};
use sluicegate_host::{
    AnswerFacts, AnswerList, BreakerFacts, BreakerState, Callbacks, EndingFacts, Exchange, Filter, Flow, Rejected, Vm,
};
use sluicegate_policy::{Document, Fnv, Matcher, RequestView, Rules};
use sluicegate_telemetry::outcome::{self, Ending, Ends, ResponseFlags};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::hash::Hash;
use std::rc::Rc;
use std::time::Duration;

/// The filter.
pub struct CircuitBreaker {
    policy: BreakerPolicy,
    rules: Rules<Rc<Rule>>,
    /// For requests that no rule matches.
    rest: Rc<Rule>,
    breakers: RefCell<Breakers>,
    answer: AnswerList,
    /// When the last tick was, in nanoseconds since the Unix epoch: it costs a request no hostcall.
    now: Cell<u64>,
    ticks: Cell<u32>,
    /// The identities of breakers whose names come from the configuration and not from requests.
    named: BTreeSet<u64>,
    counters: Counters,
}

/// At every so manieth tick it is told how breakers stand, and at once where a transition was made here.
const STATES_EVERY: u32 = 10;

/// What guards the requests of a rule.
struct Rule {
    guard: Guard,
    breaker: Breaker,
}

/// A request that passed and whose outcome is awaited.
struct Passed {
    ticket: Ticket,
    rule: Rc<Rule>,
    series: Rc<Series>,
    /// Whether a response has begun.
    has_begun: bool,
    /// When, in nanoseconds since the Unix epoch, where it matters how long it takes.
    started: Option<u64>,
    /// How long it took to the response's headers.
    latency: Option<Duration>,
}

/// A request that was sent elsewhere; the name of the header that says so.
struct Diverted(Option<String>);

/// The cluster that the proxy's route names.
const CLUSTER: &str = "xds\0cluster_name";
const ROUTE: &str = "xds\0route_name";

impl Filter for CircuitBreaker {
    const NAME: &'static str = "breaker";
    const CALLBACKS: Callbacks = Callbacks::REQUEST_HEADERS.and(Callbacks::RESPONSE_HEADERS).and(Callbacks::LOG);
    const TICK: Duration = TICK;

    fn configure(document: &Document<'_>, vm: &Vm) -> Result<CircuitBreaker, Rejected> {
        let mut policy = BreakerPolicy::read(document);
        let rules = std::mem::take(&mut policy.rules);
        let rules = rules.map(|matcher, guard| Rc::new(Rule::of(matcher, guard)));
        let rest = Rc::new(Rule::new(policy.default.clone(), SECTION));
        let all = [&rest].into_iter().chain(rules.values());
        let now = vm.now()?;
        Ok(CircuitBreaker {
            named: all.filter(|rule| rule.guard.per.is_of_configuration()).map(|rule| rule.breaker.identity).collect(),
            rest,
            rules,
            breakers: RefCell::new(Breakers::new(policy.max_keys, vm.host(), now)?),
            answer: AnswerList::with_ending(vm),
            now: Cell::new(now),
            ticks: Cell::new(0),
            counters: Counters::define(vm)?,
            policy,
        })
    }

    fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
        if !self.is_active(exchange) {
            return Flow::Continue;
        }
        let mut target = Target::default();
        let mut rule = self.rule(exchange, &target);
        if let Degradation::Fallback { header, .. } = &rule.guard.degradation
            && exchange.header(header).is_some()
        {
            // Where a request goes that is not shed is not its caller's to choose.
            degradation::undo(exchange, header);
            target = Target::default();
            rule = self.rule(exchange, &target);
        }
        if rule.breaker.settings().mode == Mode::Disabled {
            return Flow::Continue;
        }
        // Without a cluster there is nobody to be spared.
        let Some(name) = rule.name(exchange, &target) else { return Flow::Continue };
        let vm = exchange.vm();
        let series = self.series(rule.breaker.identity, &name, vm).unwrap_or_else(|| self.counters.others());
        let admission = self.breakers.borrow_mut().admit(&rule.breaker, &name, vm.host(), self.now.get());
        let state = of_state(admission.state);
        if !matches!(admission.verdict, Verdict::Shed { .. }) {
            series.passed();
        }
        match admission.verdict {
            Verdict::Pass(ticket) => {
                if state != BreakerState::Closed {
                    leave(exchange, BreakerFacts { state, shed: false });
                }
                // Later the filters of others may have taken away what tells gRPC, or CONNECT.
                _ = exchange.is_grpc();
                let head = Rc::clone(exchange.request_headers().original());
                exchange.facts.request.get_or_insert(head);
                let started = if rule.is_timed() { exchange.vm().now().ok() } else { None };
                exchange.keep(Passed { ticket, rule, series, has_begun: false, started, latency: None });
                Flow::Continue
            }
            Verdict::PassUnwatched => Flow::Continue,
            Verdict::WouldShed { .. } => {
                series.would_shed();
                leave(exchange, BreakerFacts { state, shed: false });
                Flow::Continue
            }
            Verdict::Shed { retry_after } => shed(exchange, &rule.guard, &series, state, retry_after),
        }
    }

    fn on_response_headers(&self, exchange: &mut Exchange) {
        if let Some(Diverted(Some(header))) = exchange.take_kept() {
            let state = exchange.facts.breaker.map_or(BreakerState::Open, |breaker| breaker.state);
            exchange.response_headers_mut().set(header, state.as_str());
        }
        let Some(mut passed) = exchange.take_kept::<Passed>() else { return };
        passed.has_begun = true;
        if let Some(started) = passed.started {
            let answered = exchange.facts.response_started.or_else(|| exchange.vm().now().ok());
            exchange.facts.response_started = answered;
            passed.latency = answered.map(|answered| Duration::from_nanos(answered.saturating_sub(started)));
        }
        // A stream that was answered well is not to count as a trial that never answers.
        if passed.ticket.is_probe() && self.begins_well(exchange, &passed.rule) {
            self.breakers.borrow_mut().answered(&passed.ticket);
        }
        exchange.keep(passed);
    }

    fn on_log(&self, exchange: &mut Exchange) {
        let Some(Passed { ticket, rule, series, has_begun, latency, .. }) = exchange.take_kept() else { return };
        let outcome = self.outcome(exchange, &rule, has_begun);
        series.ended(outcome);
        self.breakers.borrow_mut().ended(ticket, outcome, latency, self.now.get());
    }

    fn on_tick(&self, vm: &Vm) {
        if !self.policy.enabled {
            return;
        }
        let Ok(now) = vm.now() else { return };
        self.now.set(now);
        let mut breakers = self.breakers.borrow_mut();
        if breakers.on_tick(vm.host(), now, u64::from_le_bytes(vm.entropy().bytes())).is_err() {
            self.counters.merge_failed();
        }
        self.counters.keys(breakers.keys());
        self.counters.uncounted(breakers.take_uncounted());
        let transitions = breakers.take_transitions();
        drop(breakers);
        for transition in &transitions {
            let series = self.series(transition.identity, &transition.name, vm);
            series.unwrap_or_else(|| self.counters.others()).changed(transition);
        }
        let ticks = self.ticks.get();
        self.ticks.set(ticks.wrapping_add(1));
        if !transitions.is_empty() || ticks.is_multiple_of(STATES_EVERY) {
            self.tell_states(&self.breakers.borrow(), now, vm);
            self.counters.publish(vm);
        }
        tell(&transitions, |identity| self.named.contains(&identity), vm);
    }
}

/// The identity of what no rule matches; a rule has that of its match.
const SECTION: u64 = 0;

/// The identity of rules that name a key of their own: no two have the same, and what else they say may change.
const KEYED: u64 = 1;

impl CircuitBreaker {
    /// The first that the request is for, else the section's.
    fn rule(&self, exchange: &Exchange, target: &Target) -> Rc<Rule> {
        let is_for = |rule: &&Rc<Rule>| rule.guard.only.holds(|| target.cluster(exchange), || target.route(exchange));
        Rc::clone(self.rules.all(exchange).find(is_for).unwrap_or(&self.rest))
    }

    /// The series of a breaker; `None` for one that shares a series with others.
    fn series(&self, identity: u64, name: &[u8], vm: &Vm) -> Option<Rc<Series>> {
        if self.named.contains(&identity) { self.counters.own(name, vm) } else { None }
    }

    fn tell_states(&self, breakers: &Breakers, now: u64, vm: &Vm) {
        let mut worst = State::Closed;
        for standing in breakers.standings(now) {
            match self.series(standing.identity, &standing.name, vm) {
                Some(series) => series.stands(standing.state),
                None if standing.state == State::Open || worst == State::Closed => worst = standing.state,
                None => {}
            }
        }
        self.counters.others().stands(worst);
    }

    /// What came of a request that passed.
    fn outcome(&self, exchange: &mut Exchange, rule: &Rule, has_begun: bool) -> Outcome {
        let AnswerFacts { status, grpc_status, ending } = exchange.answer(&self.answer);
        let EndingFacts { flags, code_details } = ending.unwrap_or_default();
        // Whose upstream fails is told so by the proxy. Who is told nothing went away.
        if status.is_none() {
            return Outcome::Ignored;
        }
        let flags = ResponseFlags::from_bits(flags);
        let reply = sluicegate_telemetry::reply(status, flags, &code_details, exchange);
        // A caller may call its request gRPC, of whose plain answer the proxy makes a gRPC status: no failure of the upstream.
        let is_grpc = |status: &i64| exchange.is_grpc() && (*status == 0 || is_grpc_response(exchange));
        let grpc_status = grpc_status.filter(is_grpc);
        let ending = |ends| Ending {
            direction: exchange.direction(),
            status,
            grpc_status,
            flags,
            code_details: &code_details,
            reply,
            ends,
        };
        let kind = outcome::Outcome::of(&ending(Ends::Upstream)).kind;
        let has_begun = has_begun && kind.is_some() && !is_trailers_only(exchange);
        rule.guard.failures.judge(&ending(sluicegate_telemetry::ends(kind, has_begun, exchange)))
    }

    /// Whether the section is meant for this exchange.
    fn is_active(&self, exchange: &Exchange) -> bool {
        self.policy.enabled && exchange.goes(self.policy.directions)
    }

    /// Whether the headers of a response are not those of a failure. One hostcall.
    fn begins_well(&self, exchange: &Exchange, rule: &Rule) -> bool {
        let headers = exchange.response_headers().original();
        let number = |name| std::str::from_utf8(headers.get(name)?).ok()?.parse().ok();
        let begun = Ending {
            direction: exchange.direction(),
            status: number(":status"),
            grpc_status: number("grpc-status").filter(|_| exchange.is_grpc()).map(i64::from),
            flags: ResponseFlags::default(),
            code_details: b"via_upstream",
            reply: None,
            ends: Ends::Upstream,
        };
        rule.guard.failures.judge(&begun) == Outcome::Success
    }
}

/// Where the proxy sends a request; each part is asked for once, where it matters.
#[derive(Default)]
struct Target {
    cluster: OnceCell<Vec<u8>>,
    route: OnceCell<Vec<u8>>,
}

impl Target {
    fn cluster(&self, exchange: &Exchange) -> &[u8] {
        self.cluster.get_or_init(|| exchange.property(CLUSTER).unwrap_or_default())
    }

    fn route(&self, exchange: &Exchange) -> &[u8] {
        self.route.get_or_init(|| exchange.property(ROUTE).unwrap_or_default())
    }
}

/// What becomes of a request that is not to reach the upstream.
fn shed(exchange: &mut Exchange, guard: &Guard, series: &Series, state: BreakerState, retry_after: u64) -> Flow {
    let facts = BreakerFacts { state, shed: true };
    if let Degradation::Fallback { header, value } = &guard.degradation {
        series.fell_back();
        leave(exchange, facts);
        degradation::divert(exchange, header, value);
        exchange.keep(Diverted(guard.hints.header.clone()));
        return Flow::Continue;
    }
    series.shed();
    // That it was shed by an open breaker the reply tells by itself.
    if state == BreakerState::Open {
        exchange.facts.breaker = Some(facts);
    } else {
        leave(exchange, facts);
    }
    degradation::reply(exchange, guard, state, retry_after)
}

impl Rule {
    fn new(guard: Guard, identity: u64) -> Rule {
        let breaker = Breaker::new(identity, guard.settings.clone());
        let breaker = if guard.per.is_of_configuration() { breaker.reserved() } else { breaker };
        Rule { breaker, guard }
    }

    /// Told from others by its key, or else by what it is for, whatever its place among them.
    fn of(matcher: &Matcher, guard: Guard) -> Rule {
        if let Per::Key(_) = guard.per {
            return Rule::new(guard, KEYED);
        }
        let mut identity = Fnv::new();
        (matcher.identity(), &guard.only).hash(&mut identity);
        Rule::new(guard, identity.value())
    }

    /// What has a breaker of its own; `None` for a request that goes nowhere.
    fn name(&self, exchange: &Exchange, target: &Target) -> Option<Vec<u8>> {
        match &self.guard.per {
            Per::Cluster => Some(target.cluster(exchange).to_vec()).filter(|name| !name.is_empty()),
            Per::Route => Some(target.route(exchange).to_vec()),
            Per::Host => Some(exchange.authority().map(|host| host.to_ascii_lowercase()).unwrap_or_default()),
            Per::Header(name) => Some(exchange.header(name).unwrap_or_default().into_owned()),
            Per::Key(name) => Some(name.as_bytes().to_vec()),
        }
    }

    /// Whether it matters how long its calls take.
    fn is_timed(&self) -> bool {
        self.breaker.settings().slow_call.is_some()
    }
}

/// Whether the response is gRPC as well. One hostcall.
fn is_grpc_response(exchange: &Exchange) -> bool {
    let headers = exchange.response_headers().original();
    headers.get("content-type").is_some_and(|content_type| content_type.starts_with(b"application/grpc"))
}

/// Whether a response is over with its headers (gRPC over HTTP/2, Trailers-Only), as one is that the proxy makes up in the
/// place of an upstream that did not answer. One hostcall.
fn is_trailers_only(exchange: &Exchange) -> bool {
    exchange.response_headers().original().get("grpc-status").is_some()
}

/// Leaves how the breaker stood to other filters, in this module and in other plugins.
fn leave(exchange: &mut Exchange, breaker: BreakerFacts) {
    exchange.facts.breaker = Some(breaker);
    if cfg!(all(feature = "plugin", target_os = "wasi")) {
        exchange.hand_over_breaker(breaker);
    }
}

fn of_state(state: State) -> BreakerState {
    match state {
        State::Closed => BreakerState::Closed,
        State::Open => BreakerState::Open,
        State::HalfOpen => BreakerState::HalfOpen,
    }
}
