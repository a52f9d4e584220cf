//! What the end-to-end tests and the demo stand on: a real Envoy, a service behind it, and clients in front of it.
//!
//! - [`upstream`] is the service: it answers with what it saw, and misbehaves on command.
//! - [`envoy`] starts a real Envoy from the configuration that users copy, and looks into it: log, stats, admin.
//! - [`client`] speaks to it: HTTP/1.1, HTTP/2, gRPC, raw bytes and load.
//! - [`collector`] is an OpenTelemetry collector's receiver: it keeps what it acknowledged, and misbehaves on command.
//! - [`etcd`] starts a real etcd, and kills, empties or freezes it.
//! - [`policy_server`] is an HTTP server with a policy document: with ETags, or as Consul's KV.
//! - [`grpc`] frames messages for both sides.
//! - [`seen`] is what the upstream saw, as both sides of the wire understand it.
//! - [`shipped`] finds the files of this repository.

pub mod client;
pub mod collector;
pub mod envoy;
pub mod etcd;
pub mod grpc;
pub mod policy_server;
mod port;
pub mod seen;
mod serving;
pub mod shipped;
pub mod upstream;
