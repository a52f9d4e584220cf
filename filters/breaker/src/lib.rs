//! Sheds load from an upstream that fails, probes it, and lets traffic back when it has recovered. A request's cluster,
//! route, host or header goes in; whether it passes comes out.
//!
//! Read on: `state.rs` is the state machine and `settings.rs` what an operator decides of it; `window.rs` counts the last
//! calls, `run.rs` failures in a row, and `probe.rs` keeps the trial requests of a half-open breaker.
//!
//! All workers of a proxy have one breaker for each key. `merge.rs` is how: a worker counts by itself, and on the tick it
//! adds what it counted to a value in shared data by compare-and-swap, whereby transitions are decided; `shard.rs` and
//! `record.rs` are that value as bytes, and `news.rs` is how the others hear of it. `breakers.rs` joins all this for a
//! worker, with what it knows itself in `part.rs` and `place.rs`; `admission.rs` is what a request gets, and `account.rs`
//! what there is to say of it all.
//!
//! `filter.rs` joins it to the exchange: `policy.rs` is the section `breaker`, `judgement.rs` is what came of
//! a request: `failures.rs` says what counts as a failure, `deadline.rs` which timeouts are the caller's own; `degradation.rs` is what the caller of a shed request gets, and
//! `counters.rs` and `lines.rs` are what is counted and told.
//!
//! ```
//! use sluicegate_breaker::{Breaker, Breakers, Outcome, Settings, State, Verdict};
//! # use sluicegate_host::double::Double;
//! # let host = Double::new();
//! # let now = 1_800_000_000_000_000_000;
//! let breaker = Breaker::new(7, Settings { failure_rate: 0.6, jitter: 0.0, ..Settings::default() });
//! // While a filter is configured:
//! let mut breakers = Breakers::new(1024, host, now)?;
//! for _ in 0..20 {
//!     // A request comes, and ends.
//!     let Verdict::Pass(ticket) = breakers.admit(&breaker, b"cluster_0", host, now).verdict else { unreachable!() };
//!     breakers.ended(ticket, Outcome::Failure, None, now);
//! }
//! // On the tick:
//! breakers.on_tick(host, now, 0)?;
//! let admission = breakers.admit(&breaker, b"cluster_0", host, now);
//! assert_eq!((admission.state, admission.verdict), (State::Open, Verdict::Shed { retry_after: 60 }));
//! # Ok::<(), sluicegate_host::HostError>(())
//! ```

#![cfg_attr(not(feature = "plugin"), forbid(unsafe_code))]
// A test that overflows fails, which is what it is for.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod account;
mod admission;
#[cfg(test)]
mod behaviour;
mod breakers;
mod counters;
mod deadline;
mod degradation;
mod failures;
mod filter;
mod judgement;
mod key;
mod lines;
mod merge;
mod moment;
mod news;
mod number;
mod part;
mod pending;
mod place;
mod policy;
mod probe;
mod record;
mod run;
mod settings;
mod shard;
mod state;
#[cfg(test)]
mod tests;
mod window;

pub use account::{Standing, Transition, Uncounted};
pub use admission::{Admission, Breaker, Outcome, Ticket, Verdict};
pub use breakers::{Breakers, MAX_KEYS, RESERVED, TICK};
pub use filter::CircuitBreaker;
pub use settings::{CALLS, Cause, LONGEST, Mode, PROBES, SECONDS, Settings, SlowCall, Span};
pub use state::State;
pub use window::Totals;

#[cfg(all(feature = "plugin", target_os = "wasi"))]
sluicegate_host::plugin!(CircuitBreaker);
