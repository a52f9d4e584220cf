//! A request that is under way for as long as a test wants it to be.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use sluicegate_tests::client::raw::RawReply;
use sluicegate_tests::seen::Seen;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A request whose body has not come to its end.
pub(super) struct Unfinished {
    pub(super) path: String,
    pub(super) sent: Instant,
    connection: TcpStream,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Unfinished {
    /// Until the proxy has its head.
    pub(super) async fn send(to: SocketAddr, path: String) -> Unfinished {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: shop\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: 2\r\n\r\n"
        );
        let mut connection = TcpStream::connect(to).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut reply = [0; CONTINUE.len()];
        connection.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply, CONTINUE);
        Unfinished { path, sent: Instant::now(), connection }
    }

    /// The status, and what the upstream says that it saw.
    pub(super) async fn finish(mut self) -> (u16, Result<Seen>) {
        self.connection.write_all(b"{}").await.unwrap();
        let mut reply = Vec::new();
        self.connection.read_to_end(&mut reply).await.unwrap();
        let reply = RawReply(reply);
        let text = reply.text();
        let seen = text.split_once("\r\n\r\n").context("no body").and_then(|(_, body)| Ok(serde_json::from_str(body)?));
        (reply.status().unwrap(), seen)
    }
}
