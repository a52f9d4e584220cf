use crate::{HeaderMap, Host, HostError, HttpCall, MapKind};
use std::time::Duration;

/// Names a callout that is under way, within this VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CalloutToken(pub u32);

/// Names a gRPC call or stream that is under way, within this VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GrpcToken(pub u32);

/// A request of a filter's own to a cluster of the proxy.
#[derive(Clone, Copy, Debug)]
pub struct Callout<'a> {
    /// The name of the cluster, as the proxy's configuration has it.
    pub cluster: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path with its query.
    pub path: &'a str,
    /// The `:authority`.
    pub authority: &'a str,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
    /// After this the proxy gives up; whole milliseconds.
    pub timeout: Duration,
}

impl Callout<'_> {
    pub(crate) fn send(&self, host: &dyn Host) -> Result<CalloutToken, HostError> {
        let mut headers = vec![(":method", self.method), (":path", self.path), (":authority", self.authority)];
        headers.extend_from_slice(self.headers);
        let call = HttpCall { cluster: self.cluster, headers: &headers, body: self.body, timeout: self.timeout };
        host.http_call(&call).map(CalloutToken)
    }
}

/// What came back from a callout, readable while its callback runs.
pub struct CalloutResponse<'h> {
    host: &'h dyn Host,
    headers: HeaderMap,
}

impl<'h> CalloutResponse<'h> {
    pub(crate) fn read(host: &'h dyn Host) -> CalloutResponse<'h> {
        let headers = HeaderMap::fetch(host, MapKind::CalloutResponseHeaders);
        CalloutResponse { host, headers }
    }

    /// The HTTP status; `None` where nothing came back: refused, reset, or timed out.
    pub fn status(&self) -> Option<u16> {
        std::str::from_utf8(self.headers.get(":status")?).ok()?.parse().ok()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body, up to so many bytes.
    pub fn body(&self, limit: usize) -> Result<Vec<u8>, HostError> {
        self.host.callout_body(limit)
    }
}
