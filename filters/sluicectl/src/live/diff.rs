//! `sluicectl diff`: how a policy, or one that was in force, differs from the one that is.

use super::etcd::Etcd;
use super::kept::Kept;
use super::{accepted, is_takeable, rollback, standing};
use crate::cli::DiffArgs;
use crate::console::{Answer, Console};
use crate::document::tree::{Node, Value};
use crate::document::{File, Policy, json, secrets};
use crate::verdict::{self, Judging};
use anyhow::{Result, bail, ensure};
use owo_colors::OwoColorize;
use similar::{ChangeTag, TextDiff};
use std::io::Write;

pub(crate) fn run(args: &DiffArgs, console: &mut Console) -> Result<Answer> {
    match &args.file {
        Some(name) => with_file(name, args, console),
        None => with_earlier(args, console),
    }
}

/// What a push would change.
fn with_file(name: &str, args: &DiffArgs, console: &mut Console) -> Result<Answer> {
    let file = File::read(name)?;
    // Which of its values are secrets is known of a policy that is right.
    let Some(policy) = accepted(&file, console)? else { return Ok(Answer::No) };
    let kept = Kept::read(&Etcd::connect(&args.etcd)?, &args.etcd.key)?;
    show(&kept, &policy.root(), &file.name, console)
}

/// What a rollback would change.
fn with_earlier(args: &DiffArgs, console: &mut Console) -> Result<Answer> {
    let kept = Kept::read(&Etcd::connect(&args.etcd)?, &args.etcd.key)?;
    let target = rollback::target(&kept, args.to)?;
    let name = format!("{} at revision {}", kept.key, target.revision);
    if !is_takeable(&target.value)? {
        bail!(
            "{name} is nothing that proxies would take, so a rollback does not put it back; --to shows another value"
        );
    }
    show(&kept, &document(&name, &target.value)?, &name, console)
}

/// What would change if this came into force.
fn show(kept: &Kept, new: &Node, name: &str, console: &mut Console) -> Result<Answer> {
    let there = kept.current.as_ref().map(|current| document(&kept.key, &current.value)).transpose()?;
    let nothing = String::new();
    let there_text = there.as_ref().map_or(nothing, |there| json::pretty(&secrets::hidden(there, None)));
    let mut shown = secrets::hidden(new, there.as_ref());
    if let Some(there) = &there {
        align(&mut shown, there);
    }
    let names = (format!("{} ({})", kept.key, standing(kept.revision())), name);
    let is_same = write(&there_text, &json::pretty(&shown), names, &mut console.out)?;
    Ok(Answer::yes_if(is_same))
}

fn document(name: &str, value: &[u8]) -> Result<Node> {
    let file = File::of("policy.json", value.to_vec())?;
    ensure!(verdict::of_file(&file, Judging::default()).is_accepted(), "{name} holds no valid policy");
    Ok(file.only()?.map(Policy::root).unwrap_or_else(|_| Node::of_fields(Vec::new())))
}

/// Puts the fields in the order that those of another document have; what it has not comes after.
fn align(node: &mut Node, like: &Node) {
    match (&mut node.value, &like.value) {
        (Value::Object(fields), Value::Object(others)) => {
            let place = |name: &str| others.iter().position(|other| other.name == name).unwrap_or(usize::MAX);
            fields.sort_by_key(|field| place(&field.name));
            for field in fields {
                if let Some(other) = others.iter().find(|other| other.name == field.name) {
                    align(&mut field.node, &other.node);
                }
            }
        }
        (Value::List(items), Value::List(others)) => {
            items.iter_mut().zip(others).for_each(|(item, other)| align(item, other));
        }
        _ => {}
    }
}

/// A unified diff, with three lines of what is the same around what is not.
fn write(there: &str, here: &str, names: (String, &str), out: &mut dyn Write) -> Result<bool> {
    let diff = TextDiff::from_lines(there, here);
    let mut is_same = true;
    for group in diff.grouped_ops(3) {
        if is_same {
            writeln!(out, "{}", format_args!("--- {}\n+++ {}", names.0, names.1).bold())?;
            is_same = false;
        }
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let start = |old: usize, new: usize| (old.saturating_add(1), new.saturating_add(1));
        let (old, new) = start(first.old_range().start, first.new_range().start);
        let count = |from: usize, to: usize| to.saturating_sub(from);
        let (old_count, new_count) = (
            count(first.old_range().start, last.old_range().end),
            count(first.new_range().start, last.new_range().end),
        );
        writeln!(out, "{}", format_args!("@@ -{old},{old_count} +{new},{new_count} @@").cyan())?;
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = change.value().trim_end_matches('\n');
            match change.tag() {
                ChangeTag::Delete => writeln!(out, "{}", format_args!("-{line}").red())?,
                ChangeTag::Insert => writeln!(out, "{}", format_args!("+{line}").green())?,
                ChangeTag::Equal => writeln!(out, " {line}")?,
            }
        }
    }
    Ok(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tree;

    #[test]
    fn the_order_of_fields_is_no_difference() {
        let one = |text: &str| tree::parse(text).map_err(|error| error.message).unwrap().remove(0);
        let mut here = one("{new: 1, b: [{y: 1, x: 2}], a: {d: 1, c: 2}}");
        align(&mut here, &one("{a: {c: 1, d: 2}, b: [{x: 0, y: 0}], gone: 1}"));
        assert_eq!(json::compact(&here), r#"{"a":{"c":2,"d":1},"b":[{"x":2,"y":1}],"new":1}"#);
    }
}
