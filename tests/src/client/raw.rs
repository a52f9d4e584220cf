//! Requests that no HTTP library would send.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::seen::latin1;

/// The bytes that came back.
#[derive(Clone, Debug)]
pub struct RawReply(pub Vec<u8>);

impl RawReply {
    /// The status of the first response in it; none when the peer only closed the connection.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let text = self.text();
        text.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
    }

    /// All of it, each byte one `char`.
    #[must_use]
    pub fn text(&self) -> String {
        latin1(&self.0)
    }
}

/// Sends bytes as they are and collects what comes back until the peer closes, or for as long as `patience`: put
/// `connection: close` in the request to see the end of the answer at once.
///
/// # Errors
/// When nobody listens there.
pub async fn send(to: SocketAddr, bytes: &[u8], patience: Duration) -> Result<RawReply> {
    let mut stream = TcpStream::connect(to).await.with_context(|| format!("cannot connect to {to}"))?;
    // A peer that refuses the request may close before it has read all of it; its answer is what counts.
    let _ = stream.write_all(bytes).await;
    let mut reply = Vec::new();
    let _ = timeout(patience, stream.read_to_end(&mut reply)).await;
    Ok(RawReply(reply))
}
