//! A request in the making.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Method, Uri};

use super::{Connection, Protocol, Reply};
use crate::grpc;

/// A request with its headers in order and its body whole. What cannot be sent is an error of `send`, so that a request
/// reads as one chain.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    unsendable: Option<String>,
}

impl Request {
    /// A request for this path and query.
    #[must_use]
    pub fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Bytes::new(), unsendable: None }
    }

    /// A GET.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    /// A POST with this body.
    #[must_use]
    pub fn post(path: &str, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::new(Method::POST, path) }
    }

    /// A unary gRPC call with this payload. Send it over [`Protocol::Http2`].
    #[must_use]
    pub fn grpc(path: &str, payload: &[u8]) -> Self {
        Self::post(path, grpc::message(payload)).header("content-type", "application/grpc").header("te", "trailers")
    }

    /// One more header, of any bytes that HTTP can carry; a repeated name makes a repeated header. `host` becomes the
    /// `:authority` of HTTP/2.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        match (HeaderName::try_from(name), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) => self.headers.push((name, value)),
            _ => self.unsendable = Some(format!("{name}: {}", value.escape_ascii())),
        }
        self
    }

    /// Sends it over a connection of its own.
    ///
    /// # Errors
    /// When there is no whole answer in time, or a header cannot be sent (see [`raw`](super::raw) for those).
    pub async fn send(&self, to: SocketAddr, protocol: Protocol) -> Result<Reply> {
        Connection::open(to, protocol).await?.send(self).await
    }

    pub(super) fn build(&self, to: SocketAddr, protocol: Protocol) -> Result<hyper::Request<Full<Bytes>>> {
        if let Some(header) = &self.unsendable {
            return Err(anyhow!("hyper cannot send the header `{header}`"));
        }
        let host = self.headers.iter().find(|(name, _)| name == HOST).map(|(_, value)| value.clone());
        let host = match host {
            Some(host) => host,
            None => HeaderValue::try_from(to.to_string()).context("the address is no host")?,
        };
        let mut request = hyper::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = match protocol {
            Protocol::Http1 => self.path.parse(),
            Protocol::Http2 => format!("http://{}{}", host.to_str().context("host")?, self.path).parse::<Uri>(),
        }
        .with_context(|| format!("{} is no path", self.path))?;
        let headers = request.headers_mut();
        if protocol == Protocol::Http1 {
            headers.insert(HOST, host);
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| name != HOST) {
            headers.append(name, value.clone());
        }
        Ok(request)
    }
}
