//! Where a policy comes from while the proxy runs: a key of etcd, or any HTTP endpoint, Consul's KV included. What the
//! source answers goes in; what to ask it next, and each new version of the document, comes out.
//!
//! Nothing here knows a proxy: a [`Session`] says what is to be done ([`Action`]) and is told what came of it
//! ([`Event`]), with the time and random numbers handed in. `settings.rs` is the section `policy_source` that names the
//! source. `etcd.rs` reads and watches a key, with the few messages of etcd in `etcd/messages.rs` and their encoding in
//! `protobuf.rs`; `http.rs` polls an endpoint, or waits at it as Consul has it (`http/consul.rs`). `backoff.rs` is how
//! long either waits after a failure, and `trouble.rs` what the proxy's log hears of it.
//!
//! A proxy needs one session, not one per worker. [`lease`] is how the workers agree who holds it, and [`board`] is
//! where the holder posts what came: both are values in the proxy's shared data, here as pure functions from bytes to
//! bytes.
//!
//! What a document says does not matter here: whoever it is delivered to checks it. That it is short does: of a longer
//! one than [`DOCUMENT_LIMIT`] only the beginning is kept, one byte more than is accepted.
//!
//! ```
//! use sluicegate_policy::Document;
//! use sluicegate_source::{Action, Moment, Session, Settings};
//! use std::rc::Rc;
//!
//! let policy = r#"{
//!     "version": "1.0",
//!     "policy_source": { "etcd": { "cluster": "etcd", "key": "/sluicegate/policy/checkout" } }
//! }"#;
//! let document = Document::parse(policy.as_bytes(), &|name| std::env::var(name).ok())?;
//! let settings = Settings::read(&document);
//! document.finish()?;
//!
//! let mut session = Session::new(Rc::new(settings.unwrap()), None);
//! let actions = session.on_tick(Moment { now: 1_800_000_000_000_000_000, entropy: 7 });
//! let [Action::Call { service, method, .. }] = actions.as_slice() else { unreachable!() };
//! assert_eq!((*service, *method), ("etcdserverpb.KV", "Range"));
//! # Ok::<(), sluicegate_policy::Errors>(())
//! ```

#![forbid(unsafe_code)]
// A test that overflows fails, which is what it is for.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod backoff;
pub mod board;
mod etcd;
mod http;
mod latest;
pub mod lease;
mod moment;
mod protobuf;
mod session;
mod settings;
#[cfg(test)]
mod testing;
mod trouble;

pub use latest::DOCUMENT_LIMIT;
pub use moment::Moment;
pub use session::{Action, Delivery, Event, Session};
pub use settings::{Etcd, Http, Settings};
