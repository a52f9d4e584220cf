//! HTTP as tests need it: every header as it was written, every byte of the answer, no retry behind the scenes.
//!
//! ```no_run
//! # async fn example(envoy: std::net::SocketAddr) -> anyhow::Result<()> {
//! use sluicegate_tests::client::{Protocol, Request};
//!
//! let reply = Request::get("/orders")
//!     .header("tracestate", "a=1")
//!     .header("tracestate", b"b=\xff")
//!     .send(envoy, Protocol::Http1)
//!     .await?;
//! assert_eq!(reply.status, 200);
//! assert_eq!(reply.seen()?.all("tracestate"), ["a=1", "b=\u{ff}"]);
//!
//! let reply = Request::grpc("/shop.Orders/Get", b"payload").send(envoy, Protocol::Http2).await?;
//! assert_eq!(reply.grpc_status(), Some(0));
//! # Ok(())
//! # }
//! ```

mod connection;
pub mod load;
pub mod raw;
mod reply;
mod request;

pub use connection::{Connection, Protocol};
pub use reply::Reply;
pub use request::Request;
