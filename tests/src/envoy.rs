//! A real Envoy, started from the configuration that users copy.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use serde_json::json;
//! use sluicegate_tests::client::{Protocol, Request};
//! use sluicegate_tests::envoy::Bootstrap;
//! use sluicegate_tests::upstream::Upstream;
//!
//! let upstream = Upstream::start().await?;
//! let envoy = Bootstrap::shipped()?
//!     .upstream(upstream.address())
//!     .policy(&json!({"version": "1.0", "trace": {"mode": "participate"}}))
//!     .start()
//!     .await?;
//! let reply = Request::get("/").send(envoy.address(), Protocol::Http1).await?;
//! assert!(reply.seen()?.header("traceparent").is_some());
//! # Ok(())
//! # }
//! ```

mod access_log;
mod binary;
mod bootstrap;
mod discovery;
mod process;
mod stats;

pub use binary::{binary, validate, version};
pub use bootstrap::Bootstrap;
pub use process::Envoy;
pub use stats::{Series, Stats};
