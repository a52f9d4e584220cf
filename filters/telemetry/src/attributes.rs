//! The attributes that the schema names.

use crate::outcome::{ErrorKind, ErrorType, Outcome, ResponseFlags, Signature};
use crate::{Details, Ended, Request, Text, Value};
use sluicegate_host::{BreakerState, GrpcStatus};
use sluicegate_policy::Direction;
use std::num::NonZeroU16;

/// The attributes of an exchange; what is absent is not known, or is not to be written.
///
/// Names and meanings are OpenTelemetry's where it has one (semantic conventions 1.44). Texts are redacted already; each
/// is cut to its length. Times are in nanoseconds and are written as milliseconds, sizes are in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a> {
    /// The method as it came; one that OpenTelemetry does not know is written as `_OTHER` and as it came.
    pub method: Option<Text<'a>>,
    /// The path, without the query.
    pub path: Option<Text<'a>>,
    /// The query, without its `?`.
    pub query: Option<Text<'a>>,
    /// The scheme: `https`.
    pub scheme: Option<Text<'a>>,
    /// The template of the route in the policy: `/users/{id}`; never Envoy's name of it.
    pub route_template: Option<Text<'a>>,
    /// The host that the request is for, without the port.
    pub server_address: Option<Text<'a>>,
    /// The port that the request is for.
    pub server_port: Option<NonZeroU16>,
    /// The client, without its port.
    pub client_address: Option<Text<'a>>,
    /// The header `user-agent`.
    pub user_agent: Option<Text<'a>>,
    /// `http`; see [`protocol`].
    pub protocol_name: Option<Text<'a>>,
    /// `1.1`, `2`; see [`protocol`].
    pub protocol_version: Option<Text<'a>>,
    /// The HTTP status that was sent, 100 to 999.
    pub status: Option<u16>,
    /// The gRPC method with its service, `shop.Cart/Add`; absent where the exchange is not gRPC.
    pub rpc_method: Option<Text<'a>>,
    /// The gRPC status.
    pub grpc_status: Option<GrpcStatus>,
    /// OpenTelemetry's type of the error.
    pub error_type: Option<ErrorType>,

    /// Envoy's response flags; none are not written.
    pub flags: ResponseFlags,
    /// Envoy's code details.
    pub code_details: Option<Text<'a>>,
    /// Envoy's name of the route.
    pub route_name: Option<Text<'a>>,
    /// Envoy's name of the virtual host.
    pub virtual_host_name: Option<Text<'a>>,
    /// The cluster that the request went to.
    pub upstream_cluster: Option<Text<'a>>,
    /// Address and port of the host that it went to.
    pub upstream_address: Option<Text<'a>>,
    /// How often it was sent upstream.
    pub attempt_count: Option<u32>,
    /// Why the connection upstream failed.
    pub transport_failure_reason: Option<Text<'a>>,

    /// Which way the exchange went.
    pub direction: Option<Direction>,
    /// From the request's first byte to the response's last.
    pub duration: Option<u64>,
    /// From the request's first byte to the response's headers.
    pub time_to_response_headers: Option<u64>,
    /// What of it the upstream took.
    pub upstream_duration: Option<u64>,
    /// The request with its headers.
    pub request_size: Option<u64>,
    /// The response with its headers.
    pub response_size: Option<u64>,
    /// What decided that the record is kept: `error`, `slow`, `ratio`, ….
    pub sampled_by: Option<Text<'a>>,
    /// With which probability a record like this is kept, above 0 and at most 1.
    pub sampling_probability: Option<f64>,
    /// The breaker, as the request met it.
    pub breaker_state: Option<BreakerState>,
    /// Whether the breaker shed the request.
    pub shed: Option<bool>,
    /// The version of the policy in force.
    pub policy_version: Option<Text<'a>>,
    /// The kind of the error.
    pub error_kind: Option<ErrorKind>,
    /// What groups it with its like.
    pub error_signature: Option<&'a Signature>,
    /// How many records the burst limiter held back since the last one that it let pass.
    pub suppressed_count: Option<u64>,
}

/// OpenTelemetry's name and version of what Envoy's `request.protocol` tells: `HTTP/1.1` is `http` and `1.1`. `None` for
/// anything that is not HTTP.
pub fn protocol(envoy: &[u8]) -> Option<(&'static str, &'static str)> {
    Some(match envoy {
        b"HTTP/1.0" => ("http", "1.0"),
        b"HTTP/1.1" => ("http", "1.1"),
        b"HTTP/2" => ("http", "2"),
        b"HTTP/3" => ("http", "3"),
        _ => return None,
    })
}

/// The methods of RFC 9110, PATCH (RFC 5789) and QUERY (httpbis-safe-method-w-body): those that OpenTelemetry knows.
const KNOWN_METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

// Limits of texts, in bytes.
const WORD: usize = 64;
const NAME: usize = 256;
const LONG: usize = 1024;
const URL: usize = 4096;

impl<'a> Attributes<'a> {
    /// Every name that [`each`](Attributes::each) gives, in its order, and that of a record that does not conform.
    pub const NAMES: [&'static str; 40] = [
        "http.request.method",
        "http.request.method_original",
        "url.path",
        "url.query",
        "url.scheme",
        "http.route",
        "server.address",
        "server.port",
        "client.address",
        "user_agent.original",
        "network.protocol.name",
        "network.protocol.version",
        "http.response.status_code",
        "rpc.system.name",
        "rpc.method",
        "rpc.response.status_code",
        "error.type",
        "envoy.response.flags",
        "envoy.response.code_details",
        "envoy.route.name",
        "envoy.virtual_host.name",
        "envoy.upstream.cluster",
        "envoy.upstream.address",
        "envoy.upstream.attempt_count",
        "envoy.upstream.transport_failure_reason",
        "sluicegate.direction",
        "sluicegate.duration_ms",
        "sluicegate.time_to_response_headers_ms",
        "sluicegate.upstream_duration_ms",
        "sluicegate.request_size_bytes",
        "sluicegate.response_size_bytes",
        "sluicegate.sampled_by",
        "sluicegate.sampling_probability",
        "sluicegate.breaker_state",
        "sluicegate.shed",
        "sluicegate.policy_version",
        "sluicegate.error.kind",
        "sluicegate.error.signature",
        "sluicegate.suppressed_count",
        "sluicegate.schema_error",
    ];

    /// Of an exchange that is over: what the proxy tells. The route's template, the client, the signature and the direction
    /// are left to be added.
    pub fn of(request: &'a Request<'_>, ended: &Ended<'a>, outcome: Outcome, details: &Details<'a>) -> Attributes<'a> {
        let mut attributes =
            Attributes { error_type: outcome.error_type, error_kind: outcome.kind, ..Attributes::default() };
        request.fill(&mut attributes);
        details.fill(ended, &mut attributes);
        attributes
    }

    /// Leaves out what is so most of the time: that the response came from the upstream, at the first attempt.
    pub fn leave_out_the_obvious(&mut self) {
        self.code_details = self.code_details.filter(|details| !details.is("via_upstream"));
        self.attempt_count = self.attempt_count.filter(|count| *count > 1);
        self.virtual_host_name = None;
    }

    /// The method, if OpenTelemetry knows it.
    pub fn known_method(&self) -> Option<&'static str> {
        let method = self.method?;
        KNOWN_METHODS.into_iter().find(|known| method.is(known))
    }

    /// The port that the request is for: where it does not say, that of its scheme.
    pub fn port(&self) -> Option<NonZeroU16> {
        let scheme = self.scheme;
        let of_scheme = |(name, port)| NonZeroU16::new(port).filter(|_| scheme.is_some_and(|scheme| scheme.is(name)));
        self.server_port.or_else(|| [("http", 80), ("https", 443)].into_iter().find_map(of_scheme))
    }

    /// The URL that the request is for: OpenTelemetry's `url.full`, put together of its redacted parts. `None` without
    /// scheme or host.
    pub fn url(&self) -> Option<String> {
        let (scheme, host) = (self.scheme?.at_most(WORD).whole(), self.server_address?.whole());
        let mut url = if host.contains(':') { format!("{scheme}://[{host}]") } else { format!("{scheme}://{host}") };
        if let Some(port) = self.server_port {
            url.push_str(&format!(":{port}"));
        }
        // `*` is the server as a whole.
        if let Some(path) = self.path.map(Text::whole).filter(|path| path.starts_with('/')) {
            url.push_str(&path);
        }
        if let Some(query) = self.query {
            url.push('?');
            url.push_str(&query.whole());
        }
        Some(url)
    }

    /// Gives every attribute that is there, in the order of the schema.
    pub fn each(&self, give: &mut dyn FnMut(&str, Value<'a>)) {
        self.http(give);
        self.rpc(give);
        self.envoy(give);
        self.ours(give);
    }

    fn http(&self, give: &mut dyn FnMut(&str, Value<'a>)) {
        if let Some(method) = self.method {
            match self.known_method() {
                Some(known) => text("http.request.method", Some(known.into()), WORD, give),
                None => {
                    text("http.request.method", Some("_OTHER".into()), WORD, give);
                    text("http.request.method_original", Some(method), WORD, give);
                }
            }
        }
        text("url.path", self.path, URL, give);
        text("url.query", self.query, URL, give);
        text("url.scheme", self.scheme, WORD, give);
        text("http.route", self.route_template, LONG, give);
        text("server.address", self.server_address, NAME, give);
        integer("server.port", self.server_port.map(|port| port.get().into()), give);
        text("client.address", self.client_address, NAME, give);
        text("user_agent.original", self.user_agent, LONG, give);
        text("network.protocol.name", self.protocol_name, WORD, give);
        text("network.protocol.version", self.protocol_version, WORD, give);
        integer("http.response.status_code", self.status.map(u64::from), give);
    }

    fn rpc(&self, give: &mut dyn FnMut(&str, Value<'a>)) {
        if self.rpc_method.is_some() || self.grpc_status.is_some() {
            text("rpc.system.name", Some("grpc".into()), WORD, give);
        }
        text("rpc.method", self.rpc_method, LONG, give);
        word("rpc.response.status_code", self.grpc_status.map(GrpcStatus::as_str), give);
        match self.error_type {
            Some(ErrorType::Status(status)) => give("error.type", Value::Digits(status)),
            Some(ErrorType::Grpc(status)) => word("error.type", Some(status.as_str()), give),
            Some(ErrorType::Kind(kind)) => word("error.type", Some(kind.as_str()), give),
            None => {}
        }
    }

    fn envoy(&self, give: &mut dyn FnMut(&str, Value<'a>)) {
        if !self.flags.is_empty() {
            give("envoy.response.flags", Value::Flags(self.flags));
        }
        text("envoy.response.code_details", self.code_details, LONG, give);
        text("envoy.route.name", self.route_name, NAME, give);
        text("envoy.virtual_host.name", self.virtual_host_name, NAME, give);
        text("envoy.upstream.cluster", self.upstream_cluster, NAME, give);
        text("envoy.upstream.address", self.upstream_address, NAME, give);
        integer("envoy.upstream.attempt_count", self.attempt_count.map(u64::from), give);
        text("envoy.upstream.transport_failure_reason", self.transport_failure_reason, LONG, give);
    }

    fn ours(&self, give: &mut dyn FnMut(&str, Value<'a>)) {
        word("sluicegate.direction", self.direction.map(Direction::as_str), give);
        milliseconds("sluicegate.duration_ms", self.duration, give);
        milliseconds("sluicegate.time_to_response_headers_ms", self.time_to_response_headers, give);
        milliseconds("sluicegate.upstream_duration_ms", self.upstream_duration, give);
        integer("sluicegate.request_size_bytes", self.request_size, give);
        integer("sluicegate.response_size_bytes", self.response_size, give);
        text("sluicegate.sampled_by", self.sampled_by, WORD, give);
        if let Some(probability) = self.sampling_probability {
            give("sluicegate.sampling_probability", Value::Float(probability));
        }
        word("sluicegate.breaker_state", self.breaker_state.map(BreakerState::as_str), give);
        if let Some(shed) = self.shed {
            give("sluicegate.shed", Value::Bool(shed));
        }
        text("sluicegate.policy_version", self.policy_version, WORD, give);
        word("sluicegate.error.kind", self.error_kind.map(ErrorKind::as_str), give);
        word("sluicegate.error.signature", self.error_signature.map(Signature::as_str), give);
        integer("sluicegate.suppressed_count", self.suppressed_count, give);
    }
}

fn text<'a>(name: &str, value: Option<Text<'a>>, most: usize, give: &mut dyn FnMut(&str, Value<'a>)) {
    if let Some(value) = value {
        give(name, Value::Text(value.at_most(most)));
    }
}

/// A text of our own making, short already.
fn word<'a>(name: &str, value: Option<&'a str>, give: &mut dyn FnMut(&str, Value<'a>)) {
    text(name, value.map(Text::from), WORD, give);
}

/// OpenTelemetry's integers have 63 bits and a sign.
fn integer<'a>(name: &str, value: Option<u64>, give: &mut dyn FnMut(&str, Value<'a>)) {
    if let Some(value) = value {
        give(name, Value::Integer(i64::try_from(value).unwrap_or(i64::MAX)));
    }
}

fn milliseconds<'a>(name: &str, nanoseconds: Option<u64>, give: &mut dyn FnMut(&str, Value<'a>)) {
    if let Some(nanoseconds) = nanoseconds {
        give(name, Value::Milliseconds(nanoseconds));
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_url_is_put_together_of_its_parts() {
        let of =
            |scheme: &'static str, host: &'static str, port: u16, path: &'static str, query: Option<&'static str>| {
                let attributes = Attributes {
                    scheme: Some(scheme.into()).filter(|_| !scheme.is_empty()),
                    server_address: Some(host.into()).filter(|_| !host.is_empty()),
                    server_port: NonZeroU16::new(port),
                    path: Some(path.into()),
                    query: query.map(Text::from),
                    ..Attributes::default()
                };
                (attributes.url().unwrap_or_default(), attributes.port().map(NonZeroU16::get))
            };
        for (told, port, url) in [
            (of("https", "shop", 0, "/a", Some("b=c")), Some(443), "https://shop/a?b=c"),
            (of("http", "shop", 0, "/", None), Some(80), "http://shop/"),
            (of("http", "shop", 8080, "/", None), Some(8080), "http://shop:8080/"),
            (of("http", "::1", 80, "*", None), Some(80), "http://[::1]:80"),
            (of("ftp", "shop", 0, "/", None), None, "ftp://shop/"),
            (of("", "shop", 0, "/", None), None, ""),
            (of("http", "", 0, "/", None), Some(80), ""),
        ] {
            assert_eq!(told, (url.to_owned(), port));
        }
    }

    #[test]
    fn no_name_is_a_dotted_prefix_of_another() {
        for one in Attributes::NAMES {
            for other in Attributes::NAMES {
                assert!(!other.starts_with(&format!("{one}.")), "{one} and {other}");
            }
        }
    }

    #[test]
    fn each_name_is_there_once() {
        let names: std::collections::BTreeSet<_> = Attributes::NAMES.into();
        assert_eq!(names.len(), Attributes::NAMES.len());
    }

    #[test]
    fn envoys_protocols_have_opentelemetrys_names() {
        assert_eq!(protocol(b"HTTP/1.1"), Some(("http", "1.1")));
        assert_eq!(protocol(b"HTTP/2"), Some(("http", "2")));
        for other in [&b""[..], b"HTTP/4", b"http/1.1", b"\xff"] {
            assert_eq!(protocol(other), None);
        }
    }
}
