//! Decides once per request, at its head, whether it is recorded: so that traces and logs agree, the volume follows the
//! target and not the traffic, and what matters is never lost.
//!
//! Read on: `decision.rs` decides, by a threshold and the `randomness.rs` of the trace, as OpenTelemetry's consistent
//! probability sampling has it; `load.rs` makes a probability of what was there lately; `ot.rs` is what of the decision
//! stands in `tracestate`, `carriers.rs` what becomes of other formats of a trace context; `force.rs` records what somebody with a secret asks for; `handler.rs` names what has a target of
//! its own, `errors.rs` says which responses count as errors, `policy.rs` is the section `sampling`.
//!
#![cfg_attr(not(feature = "plugin"), forbid(unsafe_code))]
// A test that overflows fails, which is what it is for.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

#[cfg(test)]
mod behaviour;
mod carriers;
mod counters;
mod decision;
mod errors;
mod force;
mod handler;
pub mod load;
mod ot;
mod policy;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod properties;
mod randomness;

use carriers::HeaderChange;
use counters::Counters;
use decision::{Decision, Parent, Request, Verdict, decide};
use force::{Budget, Demand};
use load::{Class, Counted, Formula, Load};
use ot::{Change, Ot};
use policy::{Per, Rule, SamplingPolicy, Target};
use randomness::{Draw, Key, Sources};
use sluicegate_host::{
    AnswerFacts, AnswerList, Callbacks, Exchange, Filter, Flow, GrpcStatus, Head, HeadList, Origin, Rejected,
    RequestId, SamplingFacts, SamplingReason, TraceFacts, TraceFlags, Traceparent, Tracestate, Vm,
};
use sluicegate_policy::{Document, RequestView, Rules};
use std::cell::{Cell, RefCell};
use std::time::Duration;

#[cfg(all(feature = "plugin", target_os = "wasi"))]
sluicegate_host::plugin!(Sampler);

/// The filter.
pub struct Sampler {
    policy: SamplingPolicy,
    rules: Rules<(Rule, Option<Class>)>,
    /// For requests that no rule matches.
    class: Class,
    /// What is to be known of a request's head.
    head: HeadList,
    /// What is to be known of its answer.
    answer: AnswerList,
    load: RefCell<Load>,
    budget: RefCell<Budget>,
    /// When the last tick was, in nanoseconds since the Unix epoch: near enough for counts by the second, and it costs a
    /// request no hostcall.
    now: Cell<u64>,
    counters: Counters,
}

/// What the sampler keeps of a request until it is over.
struct Pending {
    counted: Counted,
    is_grpc: bool,
}

impl Filter for Sampler {
    const NAME: &'static str = "sampler";
    const CALLBACKS: Callbacks = Callbacks::REQUEST_HEADERS.and(Callbacks::LOG);
    const TICK: Duration = load::TICK;

    fn configure(document: &Document<'_>, vm: &Vm) -> Result<Sampler, Rejected> {
        let mut policy = SamplingPolicy::read(document);
        let rules = std::mem::take(&mut policy.rules).map(|matcher, rule| {
            let class = match rule {
                Rule::Adaptive(target) => Some(class(matcher.identity(), &target)),
                _ => None,
            };
            (rule, class)
        });
        let has_class = |(place, (_, class)): (usize, &(Rule, Option<Class>))| class.as_ref().map(|_| place);
        let now = vm.now()?;
        Ok(Sampler {
            class: class(SECTION, &policy.target),
            head: head_list(&policy, &rules, vm),
            answer: AnswerList::statuses(vm),
            load: RefCell::new(Load::new(policy.max_keys, vm.host(), now)?),
            budget: RefCell::new(Budget::new()),
            now: Cell::new(now),
            counters: Counters::define(vm, rules.values().enumerate().filter_map(has_class))?,
            rules,
            policy,
        })
    }

    fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
        if !self.is_active(exchange) {
            return Flow::Continue;
        }
        let head = exchange.head(&self.head);
        let demand = self.demand(&head);
        // What somebody asked for is no load: its budget bounds it.
        let (verdict, pending) = if demand == Demand::Granted { (Verdict::Always, None) } else { self.verdict(&head) };
        let trace = head.trace();
        let tracestate = head.header(Tracestate::HEADER);
        let tracestate: Vec<_> = tracestate.as_deref().into_iter().collect();
        let ot = Ot::read(&tracestate);
        let decision = self.decide(exchange, &head, trace.as_ref(), &ot, verdict, demand == Demand::Granted);
        let changes = self.changes(&head, trace.as_ref(), &ot, &decision);

        self.counters.decided(&decision);
        let sampling =
            SamplingFacts { sampled: decision.sampled, threshold: decision.threshold, reason: decision.reason };
        exchange.facts.sampling = Some(sampling);
        if decision.writes.is_some()
            && let Some(trace) = &mut exchange.facts.trace
        {
            trace.flags.sampled = decision.sampled;
        }
        // In a module with others they see the facts.
        if cfg!(all(feature = "plugin", target_os = "wasi")) && !is_told(trace.as_ref(), &decision, &changes, &pending)
        {
            exchange.hand_over_sampling(&sampling);
        }
        let out = exchange.request_headers_mut();
        if let Some(force) = self.policy.force.as_ref().filter(|_| demand != Demand::None) {
            // Whatever it holds: upstream has no use for a secret.
            out.remove(force.header.clone());
        }
        for (name, value) in changes {
            match value {
                Some(value) => out.set(name, value),
                None => out.remove(name),
            }
        }
        if let Some(pending) = pending {
            exchange.keep(pending);
        }
        Flow::Continue
    }

    fn on_log(&self, exchange: &mut Exchange) {
        let Some(Pending { counted, is_grpc }) = exchange.take_kept() else { return };
        let AnswerFacts { status, grpc_status, .. } = exchange.answer(&self.answer);
        // The proxy makes a gRPC status of every other.
        let grpc_status = grpc_status.filter(|_| is_grpc).map(GrpcStatus::from_code);
        if self.policy.errors.contain(status, grpc_status) {
            self.load.borrow_mut().error(counted);
        }
    }

    fn on_tick(&self, vm: &Vm) {
        if !self.policy.enabled {
            return;
        }
        let Some(now) = self.merge(vm) else { return };
        let mut load = self.load.borrow_mut();
        let classes = [&self.class].into_iter().chain(self.rules.values().filter_map(|(_, class)| class.as_ref()));
        for (number, class) in classes.enumerate().take(self.counters.gauges()) {
            if let Some(standing) = load.standing(class, now) {
                self.counters.stands(number, standing.probability);
            }
        }
    }

    fn on_end(&self, vm: &Vm) {
        if self.policy.enabled {
            self.merge(vm);
        }
    }
}

impl Sampler {
    /// Merges with the other workers; when, in nanoseconds since the Unix epoch.
    fn merge(&self, vm: &Vm) -> Option<u64> {
        let now = vm.now().ok()?;
        self.now.set(now);
        let mut load = self.load.borrow_mut();
        if load.on_tick(vm.host(), now).is_err() {
            self.counters.merge_failed();
        }
        self.counters.keys(load.keys());
        Some(now)
    }
}

/// The identity of what no rule matches; a rule has that of its match.
const SECTION: u64 = 0;

fn class(identity: u64, target: &Target) -> Class {
    let Target { qps, min, max, error_weight, window, .. } = *target;
    Class::new(identity, window, Formula { target_qps: qps, min, max, error_weight })
}

/// What the policy looks at, and nothing else.
fn head_list(policy: &SamplingPolicy, rules: &Rules<(Rule, Option<Class>)>, vm: &Vm) -> HeadList {
    let targets = || {
        let of_rules = rules.values().filter_map(|(rule, _)| match rule {
            Rule::Adaptive(target) => Some(target),
            _ => None,
        });
        of_rules.chain([&policy.target])
    };
    let has_handlers = targets().any(|target| target.per == Per::Handler);
    let mut names: Vec<&str> = rules.header_names().chain(policy.carriers.header_names()).collect();
    if policy.key == Key::RequestId {
        names.push(&policy.request_id_header);
    }
    names.extend(policy.force.as_ref().map(|force| force.header.as_str()));
    if has_handlers {
        names.extend([":method", ":path"]);
        names.extend(policy.routes.header_names());
    }
    vm.head_list(names, targets().any(|target| target.per == Per::Route))
}

impl Sampler {
    /// Whether the section is meant for this exchange.
    fn is_active(&self, exchange: &Exchange) -> bool {
        self.policy.enabled && exchange.goes(self.policy.directions)
    }

    /// What somebody with the secret asks for, or without.
    fn demand(&self, head: &Head<'_>) -> Demand {
        let Some(force) = &self.policy.force else { return Demand::None };
        let value = head.header(&force.header);
        let demand = force.demand(value.as_deref(), &mut self.budget.borrow_mut(), self.now.get());
        self.counters.demanded(demand);
        demand
    }

    /// What the first rule that matches says, or else the load, which the request is counted in.
    fn verdict(&self, head: &Head<'_>) -> (Verdict, Option<Pending>) {
        let found = self.rules.first_match(head);
        let (target, class, template) = match found {
            Some((_, (Rule::Always, _))) => return (Verdict::Always, None),
            Some((_, (Rule::Never, _))) => return (Verdict::Never, None),
            Some((_, (Rule::Rate(rate), _))) => return (Verdict::Rate(*rate), None),
            Some((matcher, (Rule::Adaptive(target), Some(class)))) => (target, class, matcher.template()),
            Some((_, (Rule::Adaptive(target), None))) => (target, &self.class, None),
            None => (&self.policy.target, &self.class, None),
        };
        let is_grpc = head.is_grpc();
        let name = match target.per {
            Per::All => None,
            Per::Route => head.route_name(),
            Per::Handler => {
                let template = template.or_else(|| self.policy.routes.template(head));
                Some(handler::name(head, is_grpc, template))
            }
        };
        let judged = self.load.borrow_mut().request(class, name.as_deref(), self.now.get());
        if judged.shares {
            self.counters.shared_key();
        }
        (Verdict::Adaptive(judged.probability), Some(Pending { counted: judged.counted, is_grpc }))
    }

    fn decide(
        &self,
        exchange: &Exchange,
        head: &Head<'_>,
        trace: Option<&TraceFacts>,
        ot: &Ot<'_>,
        verdict: Verdict,
        forced: bool,
    ) -> Decision {
        let parent = trace.filter(|trace| trace.decided);
        let request_id = || RequestId::handed_over(head, &self.policy.request_id_header);
        let request_id = || exchange.facts.request_id.clone().or_else(request_id);
        // To look for it may cost a hostcall.
        let is_wanted = self.policy.key == Key::RequestId || trace.is_none();
        let request_id = is_wanted.then(request_id).flatten();
        let sources =
            Sources { trace: trace.map(|trace| trace.trace_id), rv: ot.randomness(), request: request_id.as_ref() };
        decide(&Request {
            verdict,
            parent: parent.map(|trace| Parent { sampled: trace.flags.sampled, threshold: ot.threshold() }),
            is_root: trace.is_none_or(|trace| trace.origin == Origin::Started),
            mode: self.policy.parent,
            draw: Draw::of(self.policy.key, sources, exchange.vm().entropy()),
            forced,
            writable: trace.is_some_and(|trace| is_writable(trace, head)),
        })
    }

    /// What the decision makes of the context that goes on: what says it already stays as it is.
    fn changes(
        &self,
        head: &Head<'_>,
        trace: Option<&TraceFacts>,
        ot: &Ot<'_>,
        decision: &Decision,
    ) -> Vec<HeaderChange> {
        let (Some(trace), Some(writes)) = (trace, decision.writes) else { return Vec::new() };
        let mut changes: Vec<HeaderChange> = Vec::new();
        if trace.flags.sampled != writes.sampled {
            let flags = TraceFlags { sampled: writes.sampled, ..trace.flags };
            let traceparent = Traceparent::value(trace.trace_id, trace.span_id, flags);
            changes.push((Traceparent::HEADER, Some(traceparent)));
        }
        let edited = ot.with(writes.threshold, writes.randomness);
        if edited.left_out {
            self.counters.left_out();
        }
        match edited.change {
            Change::Unchanged => {}
            Change::Set(value) => changes.push((Tracestate::HEADER, Some(value))),
            Change::Remove => changes.push((Tracestate::HEADER, None)),
        }
        changes.extend(self.policy.carriers.changes(head, trace.trace_id, writes.sampled));
        changes
    }
}

/// Whether the context that goes on is ours to write: one that this hop made or changes, were it only by the flag that the
/// caller left open, and of which upstream sees a `traceparent`.
fn is_writable(trace: &TraceFacts, head: &Head<'_>) -> bool {
    let carried = || head.header(Traceparent::HEADER).as_deref().and_then(Traceparent::parse);
    let is_ours = trace.own_span || !trace.decided;
    is_ours && trace.origin != Origin::Proxy && carried().is_some_and(|carried| trace.is_in(&carried))
}

/// Whether the headers tell other plugins the decision: that a request is not recorded they do in the flag. And why one is,
/// where it took both headers to say that it is and its answer is still to be read, which leaves no hostcall; see
/// [`SamplingFacts::told_by_headers`].
fn is_told(
    trace: Option<&TraceFacts>,
    decision: &Decision,
    changes: &[HeaderChange],
    pending: &Option<Pending>,
) -> bool {
    if !decision.sampled {
        return decision.writes.is_some() || trace.is_some_and(|trace| !trace.flags.sampled);
    }
    let writes = |header| changes.iter().any(|(name, value)| *name == header && value.is_some());
    let says_why =
        decision.reason == SamplingReason::Adaptive && decision.writes.is_some_and(|w| w.threshold.is_some());
    says_why && pending.is_some() && writes(Traceparent::HEADER) && writes(Tracestate::HEADER)
}
