//! The proxy as a trait: the hostcalls, with errors as values.
//!
//! Two things implement it: the real proxy in a module, and [`crate::double::Double`] in tests. Filters do not call it;
//! they use [`crate::Exchange`], [`crate::Vm`] and what those offer.

use crate::HostError;
use std::time::Duration;

/// Which header map a hostcall means. Numbered as in the proxy-wasm ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum MapKind {
    /// The headers of the request.
    RequestHeaders = 0,
    /// The headers of the response.
    ResponseHeaders = 2,
    /// The headers of the response to a callout.
    CalloutResponseHeaders = 6,
}

/// How loud a line in the proxy's own log is. Numbered as in the proxy-wasm ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Level {
    /// For those who write filters.
    Debug = 1,
    /// What happened, once.
    Info = 2,
    /// Works, but somebody should look.
    Warn = 3,
    /// Something was refused or lost.
    Error = 4,
}

/// What a metric counts. Numbered as in the proxy-wasm ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MetricKind {
    /// Only grows.
    Counter = 0,
    /// Goes up and down.
    Gauge = 1,
}

/// A metric that was defined in this VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricId(pub u32);

/// A value in shared data and the number to compare-and-swap it with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedValue {
    /// The value.
    pub bytes: Vec<u8>,
    /// Changes with every write of the key; never 0.
    pub cas: u32,
}

/// A response that the proxy makes up itself.
#[derive(Clone, Copy, Debug)]
pub struct LocalResponse<'a> {
    /// The HTTP status.
    pub status: u16,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body; for gRPC requests the proxy turns it into `grpc-message`.
    pub body: &'a [u8],
    /// The gRPC status; the proxy uses it for gRPC requests only.
    pub grpc_status: Option<u32>,
}

/// A request of the module's own to a cluster of the proxy.
#[derive(Clone, Copy, Debug)]
pub struct HttpCall<'a> {
    /// The name of the cluster.
    pub cluster: &'a str,
    /// `:method`, `:path`, `:authority` and further headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
    /// After this the proxy gives up; whole milliseconds.
    pub timeout: Duration,
}

/// A gRPC method of a service behind a cluster of the proxy.
#[derive(Clone, Copy, Debug)]
pub struct GrpcMethod<'a> {
    /// The name of the cluster, at most [`GrpcMethod::MAX_CLUSTER`] bytes of ASCII.
    pub cluster: &'a str,
    /// The service with its package: `etcdserverpb.KV`.
    pub service: &'a str,
    /// The method: `Range`.
    pub method: &'a str,
    /// Metadata to begin with.
    pub metadata: &'a [(&'a str, &'a str)],
}

impl GrpcMethod<'_> {
    /// The longest name of a cluster: it is handed over inside of two messages whose lengths are a byte each.
    pub const MAX_CLUSTER: usize = 120;
}

/// The hostcalls that Sluicegate uses.
pub trait Host {
    /// A header map, in the ABI's serialisation, which [`crate::HeaderMap`] reads in place.
    fn header_map(&self, map: MapKind) -> Result<Vec<u8>, HostError>;
    /// Gives a header one value, in the place of all that it had.
    fn set_header(&self, map: MapKind, name: &str, value: &[u8]) -> Result<(), HostError>;
    /// Takes a header away, with all its values.
    fn remove_header(&self, map: MapKind, name: &str) -> Result<(), HostError>;
    /// A property by its path, the parts separated by NUL; `None` where there is none.
    fn property(&self, path: &str) -> Result<Option<Vec<u8>>, HostError>;
    /// Sets a property of the exchange (filter state), the parts separated by NUL.
    fn set_property(&self, path: &str, value: &[u8]) -> Result<(), HostError>;
    /// Answers the request in the place of the upstream.
    fn send_local_response(&self, response: &LocalResponse<'_>) -> Result<(), HostError>;
    /// Time since the Unix epoch, in nanoseconds.
    fn now(&self) -> Result<u64, HostError>;
    /// Fills the buffer from the host's cryptographic random source.
    fn random(&self, buffer: &mut [u8]) -> Result<(), HostError>;
    /// A value of shared data; `None` where the key was never written.
    fn shared_data(&self, key: &str) -> Result<Option<SharedValue>, HostError>;
    /// Writes shared data: where `cas` is given and the key exists, only if nobody wrote it since.
    fn set_shared_data(&self, key: &str, value: &[u8], cas: Option<u32>) -> Result<(), HostError>;
    /// Defines a metric, or finds the one of that name.
    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId, HostError>;
    /// Adds to a counter or gauge.
    fn increment_metric(&self, metric: MetricId, by: i64) -> Result<(), HostError>;
    /// Sets a gauge.
    fn record_metric(&self, metric: MetricId, value: u64) -> Result<(), HostError>;
    /// Sends a request of our own; the answer comes in a callback with the token returned here.
    fn http_call(&self, call: &HttpCall<'_>) -> Result<u32, HostError>;
    /// Up to `limit` bytes of the body of the response to a callout, in its callback.
    fn callout_body(&self, limit: usize) -> Result<Vec<u8>, HostError>;
    /// Calls a method that answers with one message; the answer comes in a callback with the token returned here.
    fn grpc_call(&self, method: &GrpcMethod<'_>, message: &[u8], timeout: Duration) -> Result<u32, HostError>;
    /// Opens a stream of messages both ways; what comes comes in callbacks with the token returned here.
    fn grpc_open(&self, method: &GrpcMethod<'_>) -> Result<u32, HostError>;
    /// Sends a message on a stream.
    fn grpc_send(&self, stream: u32, message: &[u8]) -> Result<(), HostError>;
    /// Lets go of a call or a stream: no callback comes of it any more.
    fn grpc_cancel(&self, token: u32) -> Result<(), HostError>;
    /// Up to `limit` bytes of the message that came, in its callback.
    fn grpc_message(&self, limit: usize) -> Result<Vec<u8>, HostError>;
    /// What a service says of why it ended a call or a stream, in that callback.
    fn grpc_status_message(&self) -> String;
    /// Calls a function of the proxy by name.
    fn call_foreign(&self, function: &str, argument: &[u8]) -> Result<Vec<u8>, HostError>;
    /// The plugin configuration, in the callback that configures.
    fn plugin_configuration(&self) -> Result<Vec<u8>, HostError>;
    /// Asks for a tick in this interval; zero ends it. Whole milliseconds.
    fn set_tick_period(&self, period: Duration) -> Result<(), HostError>;
    /// An environment variable that the operator gave the VM.
    fn environment(&self, name: &str) -> Option<String>;
    /// Writes a line to the proxy's own log.
    fn log(&self, level: Level, line: &str);
}
