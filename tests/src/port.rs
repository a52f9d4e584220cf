//! A port of the loopback interface that stays ours, whoever listens on it and whoever does not at the moment.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// A reserved port: a server that is stopped comes back on the same one.
#[derive(Debug)]
pub(crate) struct Port {
    address: SocketAddr,
    // Bound, never listening. While no more than one listens, any number of sockets may share a port, those of other
    // processes included, as long as all of them allow it (SO_REUSEADDR); nobody who asks for just any port gets it.
    _reserved: TcpSocket,
}

impl Port {
    /// Any that is free.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn reserve() -> Result<Self> {
        let reserved = bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = reserved.local_addr().context("the socket has no address")?;
        Ok(Self { address, _reserved: reserved })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens on it, inside the current tokio runtime.
    ///
    /// # Errors
    /// When somebody listens there already.
    pub(crate) fn listen(&self) -> Result<TcpListener> {
        bind(self.address)?.listen(BACKLOG).with_context(|| format!("cannot listen on {}", self.address))
    }
}

fn bind(address: SocketAddr) -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address).with_context(|| format!("cannot bind {address}"))?;
    Ok(socket)
}
