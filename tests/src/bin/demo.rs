//! The demo: a real Envoy from the shipped configuration, requests through it, and what the service behind it saw. It
//! checks what it shows and fails if that is not as it should be.

use std::pin::pin;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

#[path = "../demo/mod.rs"]
mod demo;

/// Shows on a real Envoy what the filters do with requests, then stays for your own.
#[derive(Parser)]
#[command(name = "demo")]
struct Options {
    /// End when everything was shown
    #[arg(long)]
    once: bool,
}

/// What a shell makes of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse().once).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whatever is interrupted is dropped, and Envoy and its files with it.
async fn run(once: bool) -> Result<ExitCode> {
    let mut stopped = pin!(stopped());
    let shown = tokio::select! {
        shown = demo::show() => shown?,
        stopped = &mut stopped => return stopped.map(|()| ExitCode::from(INTERRUPTED)),
    };
    match shown {
        None => return Ok(ExitCode::FAILURE),
        Some(stage) if !once => {
            tokio::select! {
                stayed = demo::stay(&stage) => stayed?,
                stopped = stopped => stopped?,
            }
            println!("\ndemo: stopped after {} requests", stage.upstream.requests());
        }
        Some(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Until Ctrl-C, a SIGTERM, or the end of the terminal.
async fn stopped() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut hang_up = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
        _ = hang_up.recv() => Ok(()),
    }
}
