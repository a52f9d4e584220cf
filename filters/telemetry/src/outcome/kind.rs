/// What kind of error ended an exchange: a closed list, the values of `sluicegate.error.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Something took longer than it may: the upstream, one try, a stream that idles, the request of a slow caller.
    Timeout,
    /// No connection to the upstream came about, or its TLS handshake failed.
    Connect,
    /// The name of the upstream did not resolve.
    Dns,
    /// The upstream's stream or connection broke off.
    Reset,
    /// The upstream's answer was not valid HTTP.
    Protocol,
    /// A limit on connections, pending requests, retries or buffered bytes was reached.
    Overflow,
    /// The proxy sheds load: its overload manager, a drop rule of the cluster, maintenance mode.
    Overload,
    /// No route or no cluster for the request.
    NoRoute,
    /// No host of the cluster is healthy.
    NoHealthyUpstream,
    /// The upstream answered 5xx.
    Upstream5xx,
    /// The upstream answered with a gRPC status other than OK.
    UpstreamGrpc,
    /// The upstream answered 4xx.
    ClientError,
    /// The client left before the end.
    ClientGone,
    /// A limit on the rate of requests was reached: the proxy's, ours, or the upstream's (429, RESOURCE_EXHAUSTED).
    RateLimited,
    /// The circuit breaker shed the request.
    BreakerOpen,
    /// The request itself was refused: malformed, too large, headers that may not be.
    Rejected,
    /// Not authenticated or not authorised, by the proxy.
    Denied,
    /// Whoever was to authorise it could not be asked.
    AuthUnavailable,
    /// The proxy was told to fail it: fault injection.
    FaultInjected,
    /// The proxy or a filter answered with an error for any other reason.
    LocalReply,
    /// It ended without a response, and nothing tells why.
    NoResponse,
}

impl ErrorKind {
    /// All of them.
    pub const ALL: [ErrorKind; 21] = [
        ErrorKind::Timeout,
        ErrorKind::Connect,
        ErrorKind::Dns,
        ErrorKind::Reset,
        ErrorKind::Protocol,
        ErrorKind::Overflow,
        ErrorKind::Overload,
        ErrorKind::NoRoute,
        ErrorKind::NoHealthyUpstream,
        ErrorKind::Upstream5xx,
        ErrorKind::UpstreamGrpc,
        ErrorKind::ClientError,
        ErrorKind::ClientGone,
        ErrorKind::RateLimited,
        ErrorKind::BreakerOpen,
        ErrorKind::Rejected,
        ErrorKind::Denied,
        ErrorKind::AuthUnavailable,
        ErrorKind::FaultInjected,
        ErrorKind::LocalReply,
        ErrorKind::NoResponse,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Timeout => "timeout",
            ErrorKind::Connect => "connect",
            ErrorKind::Dns => "dns",
            ErrorKind::Reset => "reset",
            ErrorKind::Protocol => "protocol",
            ErrorKind::Overflow => "overflow",
            ErrorKind::Overload => "overload",
            ErrorKind::NoRoute => "no_route",
            ErrorKind::NoHealthyUpstream => "no_healthy_upstream",
            ErrorKind::Upstream5xx => "upstream_5xx",
            ErrorKind::UpstreamGrpc => "upstream_grpc",
            ErrorKind::ClientError => "client_error",
            ErrorKind::ClientGone => "client_gone",
            ErrorKind::RateLimited => "rate_limited",
            ErrorKind::BreakerOpen => "breaker_open",
            ErrorKind::Rejected => "rejected",
            ErrorKind::Denied => "denied",
            ErrorKind::AuthUnavailable => "auth_unavailable",
            ErrorKind::FaultInjected => "fault_injected",
            ErrorKind::LocalReply => "local_reply",
            ErrorKind::NoResponse => "no_response",
        }
    }

    /// It is an error only if the response says so: a denial may be a redirect to the login page, and what the breaker
    /// shed may have been answered as well as without the upstream it can.
    pub(super) fn is_of_a_response(self) -> bool {
        matches!(
            self,
            ErrorKind::RateLimited
                | ErrorKind::BreakerOpen
                | ErrorKind::Rejected
                | ErrorKind::Denied
                | ErrorKind::FaultInjected
                | ErrorKind::LocalReply
                | ErrorKind::NoRoute
        )
    }

    /// The status of the response says as much.
    pub(super) fn is_told_by_status(self) -> bool {
        matches!(
            self,
            ErrorKind::Upstream5xx | ErrorKind::UpstreamGrpc | ErrorKind::ClientError | ErrorKind::LocalReply
        )
    }
}
