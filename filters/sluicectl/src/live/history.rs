//! `sluicectl history`: the policies that there were.

use super::etcd::Etcd;
use super::is_takeable;
use super::kept::Kept;
use crate::cli::HistoryArgs;
use crate::console::{Answer, Console};
use anyhow::Result;
use owo_colors::OwoColorize;
use sluicegate_policy::Fnv;

pub(crate) fn run(args: &HistoryArgs, console: &mut Console) -> Result<Answer> {
    let etcd = Etcd::connect(&args.etcd)?;
    let kept = Kept::read(&etcd, &args.etcd.key)?;
    writeln!(console.out, "{}", format_args!("{:>10}  {:>6}  {:<8}  state", "revision", "bytes", "hash").bold())?;
    if let Some(current) = &kept.current {
        let state = "in force".green().to_string();
        writeln!(console.out, "{}", line(current.mod_revision, &current.value, &state)?)?;
    }
    for earlier in &kept.earlier {
        let state = if earlier.is_rolled_back { "rolled back" } else { "" };
        writeln!(console.out, "{}", line(earlier.revision, &earlier.value, state)?.trim_end())?;
    }
    Ok(Answer::Yes)
}

/// The hash is the one that log records name beside the version of their policy.
fn line(revision: i64, value: &[u8], state: &str) -> Result<String> {
    let mut hash = Fnv::new();
    hash.write(value);
    let wrong = if is_takeable(value)? { "" } else { "no valid policy" };
    let separator = if state.is_empty() || wrong.is_empty() { "" } else { ", " };
    let (bytes, hash) = (value.len(), hash.value() >> 32);
    Ok(format!("{revision:>10}  {bytes:>6}  {hash:08x}  {state}{separator}{wrong}"))
}
