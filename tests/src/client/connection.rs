//! A connection that is kept open.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Reply, Request};

/// What a test waits for a whole answer: longer than any timeout of Envoy's that it could want to see.
const PATIENCE: Duration = Duration::from_secs(30);
/// Headers and their bytes that an answer may bring.
const MAX_HEADERS: usize = 2_000;
const MAX_HEADER_BYTES: u32 = 1 << 20;

/// Which HTTP to speak, in either case without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 from the first byte ("prior knowledge").
    Http2,
}

/// A connection for one request after the other.
#[derive(Debug)]
pub struct Connection {
    to: SocketAddr,
    sender: Sender,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there, or speaks this protocol.
    pub async fn open(to: SocketAddr, protocol: Protocol) -> Result<Self> {
        let stream = TcpStream::connect(to).await.with_context(|| format!("cannot connect to {to}"))?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        // Errors of the connection itself reach the request that it was carrying.
        let sender = match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::Builder::new()
                    .max_headers(MAX_HEADERS)
                    .max_buf_size(MAX_HEADER_BYTES as usize)
                    .handshake(io)
                    .await
                    .context("no HTTP/1.1 connection")?;
                tokio::spawn(connection);
                Sender::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .max_header_list_size(MAX_HEADER_BYTES)
                    .handshake(io)
                    .await
                    .context("no HTTP/2 connection")?;
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
        };
        Ok(Self { to, sender })
    }

    /// Whether another request can be sent: the peer has not said that it closes the connection.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => !sender.is_closed(),
            Sender::Http2(sender) => !sender.is_closed(),
        }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When there is no whole answer within 30 s, or a header cannot be sent.
    pub async fn send(&mut self, request: &Request) -> Result<Reply> {
        timeout(PATIENCE, self.exchange(request)).await.context("no whole answer in 30 s")?
    }

    async fn exchange(&mut self, request: &Request) -> Result<Reply> {
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request.build(self.to, Protocol::Http1)?).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request.build(self.to, Protocol::Http2)?).await?
            }
        };
        read(response).await
    }
}

async fn read(response: Response<Incoming>) -> Result<Reply> {
    let (head, body) = response.into_parts();
    let collected = body.collect().await.with_context(|| format!("the body broke off after {}", head.status))?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Ok(Reply {
        status: head.status,
        version: head.version,
        headers: head.headers,
        body: collected.to_bytes(),
        trailers,
    })
}
