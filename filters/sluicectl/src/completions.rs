//! `sluicectl completions`: what a shell needs to complete the others.

use crate::cli::{Cli, CompletionsArgs};
use crate::console::{Answer, Console};
use anyhow::Result;
use clap::CommandFactory;

pub(crate) fn run(args: &CompletionsArgs, console: &mut Console) -> Result<Answer> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sluicectl", &mut script);
    console.out.write_all(&script)?;
    Ok(Answer::Yes)
}
