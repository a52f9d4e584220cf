//! The sample upstream as a program: answers every request with what it saw of it.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::Parser;
use sluicegate_tests::upstream::Upstream;

/// A sample service that answers every request, HTTP or gRPC, with what it saw of it.
#[derive(Parser)]
struct Options {
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<()> {
    let upstream = Upstream::listen(Options::parse().listen).await?;
    println!("upstream: listening on {}", upstream.address());
    terminated().await?;
    println!("upstream: stopping after {} requests", upstream.requests());
    upstream.stop().await;
    Ok(())
}

/// Until Ctrl-C, or the SIGTERM that a container engine sends.
async fn terminated() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}
