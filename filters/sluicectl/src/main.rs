//! A command for those who write policies: what is wrong with one, what it does to a request, the manifest that carries it,
//! and how it gets into etcd and back out of it.
//!
//! Read on: `cli.rs` is what can be said to it, `verdict.rs` asks the filters' own code, `document/` knows where in a file
//! things stand, and a module for each subcommand.

#![forbid(unsafe_code)]

mod check;
mod cli;
mod completions;
mod console;
mod document;
mod explain;
mod live;
mod render;
mod report;
mod schema;
mod verdict;

use clap::Parser;
use cli::{Cli, Command};
use console::{Console, UNABLE};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut console = Console::of_process();
    let answer = match &Cli::parse().command {
        Command::Check(args) => check::run(args, &mut console),
        Command::Schema => schema::run(&mut console),
        Command::Explain(args) => explain::run(args, &mut console),
        Command::Render(args) => render::run(args, &mut console),
        Command::Push(args) => live::push::run(args, &mut console),
        Command::Rollback(args) => live::rollback::run(args, &mut console),
        Command::History(args) => live::history::run(args, &mut console),
        Command::Diff(args) => live::diff::run(args, &mut console),
        Command::Completions(args) => completions::run(args, &mut console),
    };
    match answer {
        Ok(answer) => answer.into(),
        Err(error) => {
            // There is nobody left to tell where this fails.
            _ = writeln!(console.err, "sluicectl: {error:#}");
            ExitCode::from(UNABLE)
        }
    }
}
