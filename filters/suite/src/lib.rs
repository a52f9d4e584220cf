//! Every filter, in order, in one module.
//!
//! The filters share one exchange: headers are read once and written once, and what one finds out the others have in
//! memory. A request goes through trace-context, sampler and circuit breaker to the upstream, and the access
//! log has the last word.
//!
//! ```
//! use sluicegate_host::double::Double;
//! use sluicegate_suite::Suite;
//!
//! let proxy = Double::new();
//! let mut running = proxy.start::<Suite>(r#"{ "version": "1.0", "service": { "name": "checkout" } }"#).unwrap();
//! proxy.set("response\0code", 200i64.to_le_bytes());
//! let outcome = running.request(&[(":method", "GET"), (":path", "/cart")]);
//!
//! let line = String::from_utf8(proxy.take("access_log").unwrap()).unwrap();
//! assert!(line.contains(r#""sluicegate.sampled_by":"adaptive""#));
//! assert_eq!(outcome.upstream.get("tracestate"), Some(&b"ot=th:0"[..]));
//! ```

#![cfg_attr(not(feature = "plugin"), forbid(unsafe_code))]

#[cfg(test)]
mod behaviour;

use sluicegate_access_log::AccessLog;
use sluicegate_breaker::CircuitBreaker;
use sluicegate_host::{Callbacks, CalloutResponse, CalloutToken, Exchange, Filter, Flow, Rejected, Vm};
use sluicegate_policy::Document;
use sluicegate_sampler::Sampler;
use sluicegate_trace_context::TraceContext;
use std::cell::Cell;
use std::time::Duration;

#[cfg(all(feature = "plugin", target_os = "wasi"))]
sluicegate_host::plugin!(Suite);

/// The filters.
pub struct Suite {
    trace: TraceContext,
    sampler: Sampler,
    breaker: CircuitBreaker,
    log: AccessLog,
    /// How many ticks there were: not all filters want every one.
    ticks: Cell<u64>,
}

impl Filter for Suite {
    const NAME: &'static str = "suite";
    const CALLBACKS: Callbacks =
        TraceContext::CALLBACKS.and(Sampler::CALLBACKS).and(CircuitBreaker::CALLBACKS).and(AccessLog::CALLBACKS);
    /// The shortest of them.
    const TICK: Duration = CircuitBreaker::TICK;

    fn configure(document: &Document<'_>, vm: &Vm) -> Result<Suite, Rejected> {
        Ok(Suite {
            trace: TraceContext::configure(document, vm)?,
            sampler: Sampler::configure(document, vm)?,
            breaker: CircuitBreaker::configure(document, vm)?,
            log: AccessLog::configure(document, vm)?,
            ticks: Cell::new(0),
        })
    }

    fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
        // None of these replies; the log keeps what it needs of a request that the breaker answers as well.
        _ = self.trace.on_request_headers(exchange);
        _ = self.sampler.on_request_headers(exchange);
        _ = self.log.on_request_headers(exchange);
        self.breaker.on_request_headers(exchange)
    }

    fn on_request_end(&self, exchange: &mut Exchange) {
        self.breaker.on_request_end(exchange);
    }

    fn on_response_headers(&self, exchange: &mut Exchange) {
        self.log.on_response_headers(exchange);
        self.breaker.on_response_headers(exchange);
        self.sampler.on_response_headers(exchange);
        self.trace.on_response_headers(exchange);
    }

    fn on_log(&self, exchange: &mut Exchange) {
        self.log.on_log(exchange);
        self.breaker.on_log(exchange);
        self.sampler.on_log(exchange);
        self.trace.on_log(exchange);
    }

    fn on_tick(&self, vm: &Vm) {
        let ticks = self.ticks.get();
        self.ticks.set(ticks.wrapping_add(1));
        self.breaker.on_tick(vm);
        if is_due::<Sampler>(ticks) {
            self.sampler.on_tick(vm);
        }
        if is_due::<AccessLog>(ticks) {
            self.log.on_tick(vm);
        }
        if is_due::<TraceContext>(ticks) {
            self.trace.on_tick(vm);
        }
    }

    fn on_end(&self, vm: &Vm) {
        self.breaker.on_end(vm);
        self.sampler.on_end(vm);
        self.log.on_end(vm);
        self.trace.on_end(vm);
    }

    fn on_callout_response(&self, token: CalloutToken, response: &CalloutResponse<'_>, vm: &Vm) {
        self.log.on_callout_response(token, response, vm);
        self.trace.on_callout_response(token, response, vm);
    }
}

/// Whether a filter that ticks more seldom than the suite gets this one.
fn is_due<F: Filter>(ticks: u64) -> bool {
    let every = F::TICK.as_millis().checked_div(Suite::TICK.as_millis()).unwrap_or(1).max(1);
    u128::from(ticks).checked_rem(every) == Some(0)
}
