//! The exporter that logs and spans share: records go in, and leave in batches for an OpenTelemetry collector, as
//! OTLP/HTTP protobuf (OTLP 1.x) through a cluster of the proxy.
//!
//! A filter makes an [`Exporter`] when it is configured, adds records when an exchange is logged, and hands on its ticks
//! and the answers to its callouts:
//!
//! ```
//! use sluicegate_host::{CalloutResponse, CalloutToken, Callbacks, Exchange, Filter, Rejected, Vm};
//! use sluicegate_otlp::{Envelope, Exporter, LogRecord, Settings, Signal, Value};
//! use sluicegate_policy::Document;
//!
//! /// Exports a record that says hello for every exchange.
//! struct Greeter(Option<Exporter>);
//!
//! impl Filter for Greeter {
//!     const NAME: &'static str = "greeter";
//!     const CALLBACKS: Callbacks = Callbacks::LOG.and(Callbacks::TICK);
//!
//!     fn configure(document: &Document<'_>, vm: &Vm) -> Result<Self, Rejected> {
//!         let Some(settings) = Settings::read(&document.section("access_log"), Signal::Logs) else {
//!             return Ok(Greeter(None));
//!         };
//!         let envelope = Envelope::new(("greeter", "0.1.0"), "", |resource| {
//!             resource.add("service.name", Value::String(vm.service().name.as_deref().unwrap_or_default()));
//!         });
//!         Ok(Greeter(Some(Exporter::new(Signal::Logs, settings, envelope, vm)?)))
//!     }
//!
//!     fn on_log(&self, _exchange: &mut Exchange) {
//!         let mut record = Vec::new();
//!         LogRecord { severity_number: 9, body: Some(Value::String("hello")), ..LogRecord::default() }
//!             .encode(&mut record, |attributes| attributes.add("greeting.loud", Value::Bool(false)));
//!         self.0.iter().for_each(|exporter| exporter.add(&record));
//!     }
//!
//!     fn on_tick(&self, vm: &Vm) {
//!         self.0.iter().for_each(|exporter| exporter.on_tick(vm));
//!     }
//!
//!     fn on_callout_response(&self, token: CalloutToken, response: &CalloutResponse<'_>, vm: &Vm) {
//!         self.0.iter().for_each(|exporter| {
//!             exporter.on_callout_response(token, response, vm);
//!         });
//!     }
//! }
//!
//! use sluicegate_host::double::Double;
//! use std::time::Duration;
//!
//! let proxy = Double::new();
//! let policy = r#"{ "version": "1.0", "access_log": { "otlp": { "cluster": "otel_collector" } } }"#;
//! let mut running = proxy.start::<Greeter>(policy).unwrap();
//! running.request(&[(":path", "/")]);
//! assert!(proxy.callouts().is_empty());
//!
//! proxy.advance(Duration::from_secs(5));
//! running.tick();
//! let [request] = &proxy.callouts()[..] else { panic!("one batch goes out") };
//! assert_eq!(request.cluster, "otel_collector");
//! assert!(request.body.windows(5).any(|bytes| bytes == b"hello"));
//!
//! running.answer_callout(0, &[(":status", "200")], b"");
//! assert_eq!(proxy.metric("sluicegate_otlp_sent_total.signal=logs"), Some(1));
//! ```
//!
//! Read on: `outbox.rs` has the queue and what becomes of a batch, `retry.rs` and `answer.rs` when it is sent again,
//! `post.rs` what happens on a reload, `settings.rs` the object `otlp` of a section of the policy.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod answer;
mod attributes;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod conformance;
mod counts;
mod envelope;
mod exporter;
mod http_date;
mod log_record;
mod metrics;
mod outbox;
mod post;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod properties;
mod protobuf;
mod retry;
mod settings;
mod signal;
mod span;

pub use attributes::{Attributes, Value};
pub use envelope::Envelope;
pub use exporter::Exporter;
pub use log_record::LogRecord;
pub use settings::Settings;
pub use signal::Signal;
pub use span::{Link, Span, SpanKind, SpanParts, SpanStatus};
