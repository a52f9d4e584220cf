//! The filter: which breaker a request meets, what the caller gets where it is shed, and what came of it.

use crate::counters::{Counters, Series, worse};
use crate::degradation;
use crate::judgement::{self, Course};
use crate::key::Key;
use crate::lines::Lines;
use crate::policy::{BreakerPolicy, Degradation, Guard, Per};
use crate::{Breaker, Breakers, Mode, Outcome, Standing, State, TICK, Ticket, Verdict};
use sluicegate_host::{
    AnswerList, BreakerFacts, BreakerState, Callbacks, Exchange, Filter, Flow, Rejected, TraceAhead, Vm,
};
use sluicegate_policy::{Document, Fnv, Matcher, RequestView, Rules};
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
    /// What of these decides something: is neither disabled nor held open by the policy.
    deciding: Vec<Rc<Rule>>,
    counters: Counters,
    lines: Lines,
    /// Whose ids an answer names.
    ahead: TraceAhead,
}

/// At every so manieth tick it is told how breakers stand, and at once where a transition was made here.
const STATES_EVERY: u32 = 10;

/// At every so manieth tick that is told though it is no news; the first is one.
const AFRESH_EVERY: u32 = 200;

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
    course: Course,
    /// When all of it had been sent, in nanoseconds since the Unix epoch, where it matters how long it takes.
    sent: Option<u64>,
    /// How long the upstream took from then to the response's headers.
    latency: Option<Duration>,
}

/// A request that was sent elsewhere; the name of the header that says so.
struct Diverted(Option<String>);

/// The cluster that the proxy's route names.
const CLUSTER: &str = "xds\0cluster_name";
const ROUTE: &str = "xds\0route_name";

impl Filter for CircuitBreaker {
    const NAME: &'static str = "breaker";
    const CALLBACKS: Callbacks =
        Callbacks::REQUEST_HEADERS.and(Callbacks::REQUEST_END).and(Callbacks::RESPONSE_HEADERS).and(Callbacks::LOG);
    const TICK: Duration = TICK;

    fn configure(document: &Document<'_>, vm: &Vm) -> Result<CircuitBreaker, Rejected> {
        let mut policy = BreakerPolicy::read(document);
        let rules = std::mem::take(&mut policy.rules);
        let rules = rules.map(|matcher, guard| Rc::new(Rule::of(matcher, guard)));
        let rest = Rc::new(Rule::new(policy.default.clone(), SECTION));
        let all = [&rest].into_iter().chain(rules.values());
        let named: Vec<_> = all.filter(|rule| rule.guard.per.is_of_configuration()).collect();
        let decides =
            |rule: &&&Rc<Rule>| policy.enabled && matches!(rule.breaker.settings().mode, Mode::Normal | Mode::Shadow);
        let now = vm.now()?;
        Ok(CircuitBreaker {
            deciding: named.iter().filter(decides).map(|rule| Rc::clone(rule)).collect(),
            named: named.iter().map(|rule| rule.breaker.identity).collect(),
            rest,
            rules,
            breakers: RefCell::new(Breakers::new(policy.max_keys, vm.host(), now)?),
            answer: AnswerList::with_ending(vm),
            now: Cell::new(now),
            ticks: Cell::new(0),
            counters: Counters::define(vm)?,
            lines: Lines::default(),
            ahead: TraceAhead::read(document),
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
        let is_sent = !exchange.has_body() || judgement::opens_tunnel(exchange);
        let admission = match &mut *self.breakers.borrow_mut() {
            breakers if is_sent => breakers.admit(&rule.breaker, &name, vm.host(), self.now.get()),
            breakers => breakers.admit_unfinished(&rule.breaker, &name, vm.host(), self.now.get()),
        };
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
                exchange.keep(Passed { ticket, rule, series, course: Course::default(), sent: None, latency: None });
                if is_sent {
                    has_sent(exchange);
                }
                Flow::Continue
            }
            Verdict::PassUnwatched => Flow::Continue,
            Verdict::WouldShed { .. } => {
                series.would_shed();
                leave(exchange, BreakerFacts { state, shed: false });
                Flow::Continue
            }
            Verdict::Shed { retry_after } => {
                if rule.breaker.settings().mode == Mode::ForcedOpen {
                    series.is_forced();
                }
                self.shed(exchange, &rule.guard, &series, state, retry_after)
            }
        }
    }

    fn on_request_end(&self, exchange: &mut Exchange) {
        if let Some(ticket) = has_sent(exchange) {
            self.breakers.borrow_mut().sent(ticket);
        }
    }

    fn on_response_headers(&self, exchange: &mut Exchange) {
        if let Some(Diverted(Some(header))) = exchange.take_kept() {
            let state = exchange.facts.breaker.map_or(BreakerState::Open, |breaker| breaker.state);
            exchange.response_headers_mut().set(header, state.as_str());
        }
        let Some(mut passed) = exchange.take_kept::<Passed>() else { return };
        passed.course.has_begun = true;
        if let Some(sent) = passed.sent {
            let answered = exchange.facts.response_started.or_else(|| exchange.vm().now().ok());
            exchange.facts.response_started = answered;
            passed.latency = answered.map(|answered| Duration::from_nanos(answered.saturating_sub(sent)));
        }
        // A stream that was answered well is not to count as a trial that never answers.
        if passed.ticket.is_probe() && judgement::begins_well(exchange, &passed.rule.guard) {
            self.breakers.borrow_mut().answered(&passed.ticket);
        }
        exchange.keep(passed);
    }

    fn on_log(&self, exchange: &mut Exchange) {
        let Some(Passed { ticket, rule, series, course, latency, .. }) = exchange.take_kept() else { return };
        let outcome = judgement::outcome(exchange, &self.answer, &rule.guard, course);
        series.ended(outcome);
        let (is_probe, now) = (ticket.is_probe(), self.now.get());
        let mut breakers = self.breakers.borrow_mut();
        breakers.ended(ticket, outcome, latency, now);
        // What a trial tells, hundreds may wait for.
        if is_probe && outcome != Outcome::Ignored {
            let vm = exchange.vm();
            breakers.settle(vm.host(), now, entropy(vm));
            drop(breakers);
            self.tell_transitions(now, vm);
        }
    }

    fn on_tick(&self, vm: &Vm) {
        let ticks = self.ticks.get();
        self.ticks.set(ticks.wrapping_add(1));
        if self.policy.enabled {
            self.merge(vm);
        }
        if ticks.is_multiple_of(STATES_EVERY) {
            self.tell_states(self.now.get(), ticks.is_multiple_of(AFRESH_EVERY), vm);
            self.counters.publish(vm);
        }
    }

    fn on_end(&self, vm: &Vm) {
        if self.policy.enabled {
            self.merge(vm);
        }
    }
}

/// The identity of what no rule matches; a rule has that of its match.
const SECTION: u64 = 0;

/// The identity of rules that name a key of their own: no two have the same, and what else they say may change.
const KEYED: u64 = 1;

impl CircuitBreaker {
    /// What becomes of a request that is not to reach the upstream.
    fn shed(
        &self,
        exchange: &mut Exchange,
        guard: &Guard,
        series: &Series,
        state: BreakerState,
        retry_after: u64,
    ) -> Flow {
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
        degradation::reply(exchange, guard, &self.ahead, state, retry_after)
    }

    /// The first that the request is for, else the section's.
    fn rule(&self, exchange: &Exchange, target: &Target) -> Rc<Rule> {
        let is_for = |rule: &&Rc<Rule>| rule.guard.only.holds(|| target.cluster(exchange), || target.route(exchange));
        Rc::clone(self.rules.all(exchange).find(is_for).unwrap_or(&self.rest))
    }

    /// The series of a breaker; `None` for one that shares a series with others.
    fn series(&self, identity: u64, name: &[u8], vm: &Vm) -> Option<Rc<Series>> {
        if self.named.contains(&identity) { self.counters.own(name, vm) } else { None }
    }

    /// Merges with the other workers.
    fn merge(&self, vm: &Vm) {
        let Ok(now) = vm.now() else { return };
        self.now.set(now);
        let mut breakers = self.breakers.borrow_mut();
        if breakers.on_tick(vm.host(), now, entropy(vm)).is_err() {
            self.counters.merge_failed();
        }
        self.counters.keys(breakers.keys());
        self.counters.uncounted(breakers.take_uncounted());
        drop(breakers);
        self.tell_transitions(now, vm);
    }

    /// Counts the transitions that were made here, and has a line for each.
    fn tell_transitions(&self, now: u64, vm: &Vm) {
        let transitions = self.breakers.borrow_mut().take_transitions();
        for transition in &transitions {
            let series = self.series(transition.identity, &transition.name, vm);
            series.unwrap_or_else(|| self.counters.others()).changed(transition);
        }
        if !transitions.is_empty() {
            self.tell_states(now, false, vm);
        }
        self.lines.tell(&transitions, |identity| self.named.contains(&identity), now, vm);
    }

    /// Tells how breakers stand, `afresh` also where that is no news.
    fn tell_states(&self, now: u64, afresh: bool, vm: &Vm) {
        let breakers = self.breakers.borrow();
        let unsettled = breakers.unsettled();
        let stands = |rule: &Rc<Rule>, name: &[u8]| {
            let may_have = !matches!(&rule.guard.per, Per::Key(key) if key.as_bytes() != name);
            unsettled.get(&Key::of(rule.breaker.identity, name)).copied().filter(|_| may_have)
        };
        let worst = |name: &[u8]| match unsettled.is_empty() {
            true => State::Closed,
            false => self.deciding.iter().filter_map(|rule| stands(rule, name)).fold(State::Closed, worse),
        };
        let shares = |standing: &Standing| self.series(standing.identity, &standing.name, vm).is_none();
        let others = breakers.standings(now).filter(shares).map(|standing| standing.state).reduce(worse);
        self.counters.tell_states(worst, others, afresh);
    }

    /// Whether the section is meant for this exchange.
    fn is_active(&self, exchange: &Exchange) -> bool {
        self.policy.enabled && exchange.goes(self.policy.directions)
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

/// All of a request has come; a tunnel's counts as whole with its head. The ticket of one of which that was not known yet.
fn has_sent(exchange: &mut Exchange) -> Option<&Ticket> {
    let passed = exchange.kept_mut::<Passed>().filter(|passed| !passed.course.is_sent)?;
    passed.course.is_sent = true;
    if passed.rule.is_timed() {
        let now = exchange.vm().now().ok();
        exchange.kept_mut::<Passed>()?.sent = now;
    }
    exchange.kept_mut::<Passed>().map(|passed| &passed.ticket)
}

/// A random number; no hostcall.
fn entropy(vm: &Vm) -> u64 {
    u64::from_le_bytes(vm.entropy().bytes())
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
