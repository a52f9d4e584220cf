//! A server of the kit that can be stopped, as a process is that is killed, and comes back on the same port.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::port::Port;

/// A port of its own, and whoever serves there. Dropping it closes the port and ends its connections.
#[derive(Debug)]
pub(crate) struct Serving {
    /// Whose it is, for what it has to complain of.
    name: &'static str,
    port: Port,
    running: Option<Running>,
}

/// Loses its sender when all is to end.
pub(crate) type Stopped = watch::Receiver<()>;

#[derive(Debug)]
struct Running {
    // Whoever holds the other end stops when this one goes.
    stop: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Serving {
    /// On a free port of the loopback interface, where nobody listens yet.
    ///
    /// # Errors
    /// When no port can be had.
    pub(crate) fn reserve(name: &'static str) -> Result<Self> {
        Ok(Self { name, port: Port::reserve()?, running: None })
    }

    /// Where it listens, when it does.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Listens, inside the current tokio runtime, and has each connection served. `serve` must return soon after it is
    /// told to stop. To be called where nobody listens.
    ///
    /// # Errors
    /// When the port cannot be listened on.
    pub(crate) fn listen<F>(&mut self, serve: impl Fn(TcpStream, Stopped) -> F + Send + 'static) -> Result<()>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(());
        let accepting = tokio::spawn(accept(self.name, self.port.listen()?, serve, stopped));
        self.running = Some(Running { stop, accepting });
        Ok(())
    }

    /// Closes the port and ends all connections, and returns when that is done.
    pub(crate) async fn stop(&mut self) {
        if let Some(Running { stop, accepting }) = self.running.take() {
            drop(stop);
            // It fails only if the runtime is going as well.
            let _ = accepting.await;
        }
    }
}

async fn accept<F>(
    name: &'static str,
    listener: TcpListener,
    serve: impl Fn(TcpStream, Stopped) -> F,
    mut stopped: Stopped,
) where
    F: Future<Output: Send> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let served = serve(stream, stopped.clone());
                    // What goes wrong on a connection is its client's to notice.
                    connections.spawn(async move { drop(served.await) });
                }
                Err(error) => {
                    eprintln!("{name}: cannot accept a connection: {error}");
                    // Out of file descriptors, most likely, which a busy loop would not cure.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
