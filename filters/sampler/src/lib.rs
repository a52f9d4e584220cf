//! Decides once per request, at its head, whether it is recorded: so that traces and logs agree, the volume follows the
//! target and not the traffic, and what matters is never lost.
//!
//! Read on: `decision.rs` decides, by a `threshold.rs` and the `randomness.rs` of the trace, as OpenTelemetry's consistent
//! probability sampling has it; `load.rs` makes a probability of what was there lately; `ot.rs` is what of the decision
//! stands in `tracestate`; `force.rs` records what somebody with a secret asks for; `handler.rs` names what has a target of
//! its own, `errors.rs` says which responses count as errors, `policy.rs` is the section `sampling`.
//!
//! It is no module of its own yet: facts reach it in memory only, as in a module that it shares with trace-context.

#![forbid(unsafe_code)]
// A test that overflows fails, which is what it is for.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

#[cfg(test)]
mod behaviour;
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
mod threshold;

use counters::Counters;
use decision::{Decision, Parent, Request, Verdict, Writes, decide};
use force::{Budget, Demand};
use load::{Class, Counted, Formula, Load};
use ot::{Change, Ot};
use policy::{Per, Rule, SamplingPolicy, Target};
use randomness::{Draw, Sources};
use sluicegate_host::{
    Callbacks, Exchange, Filter, Flow, GrpcStatus, Origin, Rejected, RequestId, SamplingFacts, TraceFacts, Traceparent,
    Tracestate, Vm,
};
use sluicegate_policy::{Document, Rules};
use std::cell::RefCell;
use std::time::Duration;

/// The filter.
pub struct Sampler {
    policy: SamplingPolicy,
    rules: Rules<(Rule, Option<Class>)>,
    /// For requests that no rule matches.
    class: Class,
    load: RefCell<Load>,
    budget: RefCell<Budget>,
    counters: Counters,
}

/// The property that names the route.
const ROUTE_NAME: &str = "xds\0route_name";

/// What the sampler keeps of a request until it is over.
struct Pending(Counted);

impl Filter for Sampler {
    const NAME: &'static str = "sampler";
    const CALLBACKS: Callbacks = Callbacks::REQUEST_HEADERS.and(Callbacks::LOG);
    const TICK: Duration = load::TICK;

    fn configure(document: &Document<'_>, vm: &Vm) -> Result<Sampler, Rejected> {
        let mut policy = SamplingPolicy::read(document);
        let rules = std::mem::take(&mut policy.rules).map(|place, rule| {
            let class = match rule {
                Rule::Adaptive(target) => Some(class(place.saturating_add(1), &target)),
                _ => None,
            };
            (rule, class)
        });
        Ok(Sampler {
            class: class(0, &policy.target),
            load: RefCell::new(Load::new(policy.max_keys, vm.host(), vm.now()?)?),
            budget: RefCell::new(Budget::new()),
            counters: Counters::define(vm, rules.values().filter(|(_, class)| class.is_some()).count())?,
            rules,
            policy,
        })
    }

    fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
        if !self.is_active(exchange) {
            return Flow::Continue;
        }
        let Ok(now) = exchange.vm().now() else { return Flow::Continue };
        let forced = self.is_forced(exchange, now);
        let verdict = self.verdict(exchange, now);
        let decision = self.decide(exchange, verdict, forced);
        self.counters.decided(&decision);
        if let Some(writes) = decision.writes {
            self.write(exchange, writes);
        }
        exchange.facts.sampling = Some(SamplingFacts {
            sampled: decision.sampled,
            probability: Some(decision.probability).filter(|_| decision.consistent),
            reason: decision.reason.as_str(),
        });
        Flow::Continue
    }

    fn on_log(&self, exchange: &mut Exchange) {
        let Some(Pending(counted)) = exchange.take_kept() else { return };
        let status = exchange.integer_property("response\0code").and_then(|status| u16::try_from(status).ok());
        let grpc = if exchange.is_grpc() { exchange.integer_property("response\0grpc_status") } else { None };
        if self.policy.errors.contain(status, grpc.map(GrpcStatus::from_code)) {
            self.load.borrow_mut().error(counted);
        }
    }

    fn on_tick(&self, vm: &Vm) {
        let Ok(now) = vm.now() else { return };
        let mut load = self.load.borrow_mut();
        if load.on_tick(vm.host(), now).is_err() {
            self.counters.merge_failed();
        }
        self.counters.keys(load.keys());
        let classes = [&self.class].into_iter().chain(self.rules.values().filter_map(|(_, class)| class.as_ref()));
        for (place, class) in classes.enumerate() {
            if let Some(standing) = load.standing(class, now) {
                self.counters.stands(place, standing.probability);
            }
        }
    }
}

fn class(identity: usize, target: &Target) -> Class {
    let Target { qps, min, max, error_weight, window, .. } = *target;
    let formula = Formula { target_qps: qps, min, max, error_weight };
    Class::new(u64::try_from(identity).unwrap_or(u64::MAX), window, formula)
}

impl Sampler {
    /// Whether the section is meant for this exchange.
    fn is_active(&self, exchange: &Exchange) -> bool {
        self.policy.enabled && exchange.goes(self.policy.directions)
    }

    /// Whether somebody with the secret asks for it. The header goes in any case: upstream has no use for a secret.
    fn is_forced(&self, exchange: &mut Exchange, now: u64) -> bool {
        let Some(force) = &self.policy.force else { return false };
        let values = exchange.request_headers().original().all(&force.header);
        let demand = force.demand(values, &mut self.budget.borrow_mut(), now);
        if demand != Demand::None {
            exchange.request_headers_mut().remove(force.header.clone());
        }
        self.counters.demanded(demand);
        demand == Demand::Granted
    }

    /// What the first rule that matches says, or else the load; and counts the request.
    fn verdict(&self, exchange: &mut Exchange, now: u64) -> Verdict {
        let found = self.rules.first_match(exchange);
        let (target, class, template) = match found {
            Some((_, (Rule::Always, _))) => return Verdict::Always,
            Some((_, (Rule::Never, _))) => return Verdict::Never,
            Some((_, (Rule::Rate(rate), _))) => return Verdict::Rate(*rate),
            Some((matcher, (Rule::Adaptive(target), Some(class)))) => (target, class, matcher.template()),
            Some((_, (Rule::Adaptive(target), None))) => (target, &self.class, None),
            None => (&self.policy.target, &self.class, None),
        };
        let name = match target.per {
            Per::All => None,
            Per::Route => exchange.property(ROUTE_NAME),
            Per::Handler => {
                let template = template.or_else(|| self.policy.routes.template(exchange));
                Some(handler::name(exchange, exchange.is_grpc(), template))
            }
        };
        let judged = self.load.borrow_mut().request(class, name.as_deref(), now);
        if judged.shares {
            self.counters.shared_key();
        }
        exchange.keep(Pending(judged.counted));
        Verdict::Adaptive(judged.probability)
    }

    fn decide(&self, exchange: &Exchange, verdict: Verdict, forced: bool) -> Decision {
        let headers = exchange.request_headers().original();
        let tracestates: Vec<_> = headers.all(Tracestate::HEADER).collect();
        let trace = exchange.facts.trace.as_ref();
        let began_here = trace.is_none_or(|trace| trace.origin == Origin::Started);
        // The tracestate of a trace that began here is of another one, and goes.
        let ot = Ot::read(if began_here { &[] } else { &tracestates });
        let parent = trace.filter(|_| !began_here);
        let parent = parent.map(|trace| Parent { sampled: trace.flags.sampled, threshold: ot.threshold() });
        let handed_over = || RequestId::handed_over(headers, &self.policy.request_id_header);
        let request_id = exchange.facts.request_id.clone().or_else(handed_over);
        let sources =
            Sources { trace: trace.map(|trace| trace.trace_id), rv: ot.randomness(), request: request_id.as_ref() };
        decide(&Request {
            verdict,
            parent,
            mode: self.policy.parent,
            draw: Draw::of(self.policy.key, sources, exchange.vm().entropy()),
            forced,
            writable: trace.is_some_and(is_writable),
        })
    }

    /// Writes the decision into the context that goes on.
    fn write(&self, exchange: &mut Exchange, writes: Writes) {
        let Some(trace) = &mut exchange.facts.trace else { return };
        trace.flags.sampled = writes.sampled;
        let began_here = trace.origin == Origin::Started;
        let traceparent = Traceparent::value(trace.trace_id, trace.span_id, trace.flags);
        let headers = std::rc::Rc::clone(exchange.request_headers().original());
        let tracestates: Vec<_> = headers.all(Tracestate::HEADER).collect();
        let edited = Ot::read(if began_here { &[] } else { &tracestates }).with(writes.threshold, writes.randomness);
        if edited.left_out {
            self.counters.left_out();
        }
        let out = exchange.request_headers_mut();
        out.set(Traceparent::HEADER, traceparent);
        match edited.change {
            Change::Unchanged => {}
            Change::Set(value) => out.set(Tracestate::HEADER, value),
            Change::Remove => out.remove(Tracestate::HEADER),
        }
    }
}

/// Whether this hop made the context or changes it: one that is only forwarded is not ours to write.
fn is_writable(trace: &TraceFacts) -> bool {
    match trace.origin {
        Origin::Started => true,
        Origin::Continued => trace.parent_span_id.is_some(),
        Origin::Proxy => false,
    }
}
