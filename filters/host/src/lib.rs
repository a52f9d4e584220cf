//! What a Sluicegate filter sees of the proxy.
//!
//! A filter is a [`Filter`]: it reads its policy once, then is handed every [`Exchange`] at the callbacks that it asked
//! for. Everything it wants from the proxy goes through this crate, the only one that names proxy-wasm:
//!
//! ```
//! use sluicegate_host::{Callbacks, Exchange, Filter, Flow, Rejected, Vm};
//! use sluicegate_policy::Document;
//!
//! /// Says hello to every upstream.
//! struct Greeter;
//!
//! impl Filter for Greeter {
//!     const NAME: &'static str = "greeter";
//!     const CALLBACKS: Callbacks = Callbacks::REQUEST_HEADERS;
//!
//!     fn configure(_document: &Document<'_>, _vm: &Vm) -> Result<Self, Rejected> {
//!         Ok(Greeter)
//!     }
//!
//!     fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
//!         exchange.request_headers_mut().set("x-greeting", b"hello");
//!         Flow::Continue
//!     }
//! }
//!
//! // In a module: `sluicegate_host::plugin!(Greeter);`. In a test, the same filter runs on a proxy in memory:
//! # #[cfg(feature = "double")] {
//! use sluicegate_host::double::Double;
//!
//! let proxy = Double::new();
//! let mut root = proxy.start::<Greeter>(r#"{"version": "1.0"}"#).unwrap();
//! let reply = root.request(&[(":method", "GET"), (":path", "/")]);
//! assert_eq!(reply.upstream.get("x-greeting"), Some(&b"hello"[..]));
//! # }
//! ```
//!
//! Header changes are staged on the exchange and written when the callback ends, each header at most once; what a filter
//! finds out stays on the exchange as [`Facts`] until it is logged. Errors of the proxy are values ([`HostError`]);
//! nothing that it answers, and nothing that comes from the network, makes a module trap.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod answer;
mod attributes;
mod callbacks;
mod callout;
#[cfg(any(test, feature = "double"))]
pub mod double;
mod entropy;
mod error;
mod exchange;
mod facts;
mod filter;
mod grpc;
mod handover;
mod head;
mod headers;
pub mod hex;
mod host;
mod identity;
mod live;
mod metrics;
mod module;
#[cfg(target_os = "wasi")]
mod plugin;
mod property;
#[cfg(target_os = "wasi")]
mod proxy;
mod reply;
pub mod shared;
mod threshold;
mod traceparent;
pub mod tracestate;
mod vm;

pub use answer::{AnswerFacts, AnswerList, EndingFacts};
pub use attributes::{Attribute, AttributeList, AttributeValues, TakeAttributes};
pub use callbacks::Callbacks;
pub use callout::{Callout, CalloutResponse, CalloutToken, GrpcToken};
pub use entropy::Entropy;
pub use error::{HostError, Status};
pub use exchange::Exchange;
pub use facts::{
    BreakerFacts, BreakerState, Facts, LocalReply, Origin, Outside, RequestId, SamplingFacts, SamplingReason, SpanId,
    TraceFacts, TraceFlags, TraceId,
};
pub use filter::{Filter, Flow, Rejected};
pub use grpc::GrpcStatus;
pub use handover::{
    BREAKER_HANDED_OVER, SAMPLING_HANDED_OVER, TRACE_HANDED_OVER, TRACEPARENT_HANDED_OVER, TRACESTATE_HANDED_OVER,
    TraceAhead,
};
pub use head::{Head, HeadList};
pub use headers::{HeaderMap, Headers};
pub use host::{GrpcMethod, Host, HttpCall, Level, LocalResponse, MapKind, MetricId, MetricKind, SharedValue};
pub use metrics::{Counter, Gauge};
pub use module::{Root, Stream, read};
pub use reply::{Problem, Response};
pub use threshold::Threshold;
pub use traceparent::Traceparent;
pub use tracestate::{Member, Tracestate};
pub use vm::Vm;

#[doc(hidden)]
#[cfg(target_os = "wasi")]
pub use plugin::start;
