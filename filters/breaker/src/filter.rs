//! The filter: which breaker a request meets, what the caller gets where it is shed, and what came of it.

use crate::counters::{Counters, Series};
use crate::deadline;
use crate::degradation;
use crate::lines::Lines;
use crate::policy::{BreakerPolicy, Degradation, Guard, Per};
use crate::{Breaker, Breakers, Mode, Outcome, State, TICK, Ticket, Verdict};
use sluicegate_host::{
    AnswerFacts, AnswerList, BreakerFacts, BreakerState, Callbacks, EndingFacts, Exchange, Filter, Flow, GrpcStatus,
    Rejected, Vm,
};
use sluicegate_policy::{Document, Fnv, Matcher, RequestView, Rules};
use sluicegate_telemetry::outcome::{self, Ending, Ends, ErrorKind, ResponseFlags};
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
    lines: Lines,
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
    /// When all of it had come, in nanoseconds since the Unix epoch, where it matters how long it takes.
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
            lines: Lines::default(),
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
        let is_sent = !exchange.has_body() || is_tunnel(exchange);
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
                exchange.keep(Passed { ticket, rule, series, has_begun: false, sent: None, latency: None });
                if is_sent {
                    self.is_sent(exchange);
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
                shed(exchange, &rule.guard, &series, state, retry_after)
            }
        }
    }

    fn on_request_end(&self, exchange: &mut Exchange) {
        if exchange.has_body() {
            self.is_sent(exchange);
        }
    }

    fn on_response_headers(&self, exchange: &mut Exchange) {
        if let Some(Diverted(Some(header))) = exchange.take_kept() {
            let state = exchange.facts.breaker.map_or(BreakerState::Open, |breaker| breaker.state);
            exchange.response_headers_mut().set(header, state.as_str());
        }
        let Some(mut passed) = exchange.take_kept::<Passed>() else { return };
        passed.has_begun = true;
        if let Some(sent) = passed.sent {
            let answered = exchange.facts.response_started.or_else(|| exchange.vm().now().ok());
            exchange.facts.response_started = answered;
            passed.latency = answered.map(|answered| Duration::from_nanos(answered.saturating_sub(sent)));
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
        let (is_probe, now) = (ticket.is_probe(), self.now.get());
        let mut breakers = self.breakers.borrow_mut();
        breakers.ended(ticket, outcome, latency, now);
        // What a trial tells, hundreds may wait for.
        if is_probe {
            let vm = exchange.vm();
            breakers.settle(vm.host(), now, entropy(vm));
        }
    }

    fn on_tick(&self, vm: &Vm) {
        if !self.policy.enabled {
            return;
        }
        let Ok(now) = vm.now() else { return };
        self.now.set(now);
        let mut breakers = self.breakers.borrow_mut();
        if breakers.on_tick(vm.host(), now, entropy(vm)).is_err() {
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
        self.lines.tell(&transitions, |identity| self.named.contains(&identity), now, vm);
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
        for standing in breakers.standings(now) {
            let series = self.series(standing.identity, &standing.name, vm);
            series.unwrap_or_else(|| self.counters.others()).stands(standing.state);
        }
        self.counters.tell_states();
    }

    /// All of a request has come; a tunnel's counts as whole with its head.
    fn is_sent(&self, exchange: &mut Exchange) {
        let Some(passed) = exchange.kept_mut::<Passed>().filter(|passed| passed.sent.is_none()) else { return };
        let is_timed = passed.rule.is_timed();
        self.breakers.borrow_mut().sent(&passed.ticket);
        let now = if is_timed { exchange.vm().now().ok() } else { None };
        if let Some(passed) = exchange.kept_mut::<Passed>() {
            passed.sent = now;
        }
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
        let outcome = rule.guard.failures.judge(&ending(sluicegate_telemetry::ends(kind, has_begun, exchange)));
        let is_late = kind == Some(ErrorKind::Timeout)
            || grpc_status.map(GrpcStatus::from_code) == Some(GrpcStatus::DeadlineExceeded);
        let is_of_another = match kind {
            _ if outcome != Outcome::Failure => false,
            _ if is_late && rule.is_hurried(exchange) => true,
            Some(ErrorKind::Upstream5xx | ErrorKind::UpstreamGrpc | ErrorKind::ClientError) => rule.is_shed(exchange),
            _ => false,
        };
        if is_of_another { Outcome::Ignored } else { outcome }
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

    /// Whether the caller gave so little time that no answer in that says nothing.
    fn is_hurried(&self, exchange: &Exchange) -> bool {
        let deadline = exchange.facts.request.as_ref().and_then(|head| deadline::of(head));
        deadline.is_some_and(|deadline| deadline < self.guard.min_deadline)
    }

    /// Whether a breaker behind this one gave the answer: its upstream fails, not this one's. One hostcall.
    fn is_shed(&self, exchange: &Exchange) -> bool {
        let headers = exchange.response_headers().original();
        self.guard.hints.header.as_deref().is_some_and(|name| headers.get(name).is_some())
    }

    /// Whether it matters how long its calls take.
    fn is_timed(&self) -> bool {
        self.breaker.settings().slow_call.is_some()
    }
}

/// Whether a request opens what never ends, as a WebSocket does (RFC 9110 §7.8 and §9.3.6): the upstream is to answer to
/// its head.
fn is_tunnel(exchange: &Exchange) -> bool {
    let headers = exchange.request_headers().original();
    headers.get("upgrade").is_some() || headers.get(":method") == Some(b"CONNECT")
}

/// A random number; no hostcall.
fn entropy(vm: &Vm) -> u64 {
    u64::from_le_bytes(vm.entropy().bytes())
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
