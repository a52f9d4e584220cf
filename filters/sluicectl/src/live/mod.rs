//! Policies in etcd: what is in force, what was, and how that changes.
//!
//! Every change is one transaction that is made only if the key still stands as it was read, so nobody's work is lost.

pub(crate) mod diff;
mod etcd;
pub(crate) mod history;
mod kept;
pub(crate) mod push;
pub(crate) mod rollback;

use crate::console::{Answer, Console};
use crate::document::{File, Policy};
use crate::report::{self, Format};
use crate::verdict::{self, Judging};
use anyhow::Result;
use etcd::{Change, Etcd, Outcome};
use kept::Kept;
use sluicegate_policy::Version;

/// The policy of a file that proxies would take; `None` where they would not, which has been told.
fn accepted<'f>(file: &'f File, console: &mut Console) -> Result<Option<&'f Policy>> {
    let policy = file.only()?;
    let judged = verdict::of_file(file, Judging::default());
    let is_accepted = judged.is_accepted();
    if !judged.problems.is_empty() {
        report::write(Format::Text, &[(file.name.clone(), judged)], &mut console.err)?;
    }
    Ok(policy.ok().filter(|_| is_accepted))
}

/// A policy that proxies would take from etcd; `None` where they would not, which has been told. There it must say something.
fn takeable<'f>(file: &'f File, console: &mut Console) -> Result<Option<&'f Policy>> {
    let Some(policy) = accepted(file, console)? else { return Ok(None) };
    if policy.says_nothing() {
        writeln!(
            console.err,
            "{}: it says nothing, and proxies take no such policy from etcd; at least it says its version: \
             {{\"version\": \"{}\"}}, which has the defaults in force. To have the plugin configuration in force again, \
             delete the key (etcdctl del)",
            file.name,
            Version::CURRENT
        )?;
        return Ok(None);
    }
    Ok(Some(policy))
}

/// Whether proxies would take this value of a key.
fn is_takeable(value: &[u8]) -> Result<bool> {
    let file = File::of("policy.json", value.to_vec())?;
    let is_accepted = verdict::of_file(&file, Judging::default()).is_accepted();
    Ok(is_accepted && file.only()?.is_ok_and(|policy| !policy.says_nothing()))
}

/// Makes changes, and says what came of it.
fn change(etcd: &Etcd, kept: &Kept, changes: &[Change], what: &str, console: &mut Console) -> Result<Answer> {
    let key = &kept.key;
    match etcd.compare_and_swap(key, kept.revision(), changes)? {
        Outcome::Done(revision) => {
            writeln!(console.out, "{key}: {what}; it is revision {revision}")?;
            Ok(Answer::Yes)
        }
        Outcome::Refused(revision) => {
            let stands = standing(revision);
            writeln!(
                console.err,
                "sluicectl: {key}: somebody else wrote in between: it {stands}, and nothing was changed; look at it \
                 (diff), and say it again if it still holds"
            )?;
            Ok(Answer::No)
        }
    }
}

fn standing(revision: i64) -> String {
    if revision == 0 { "is not there".to_owned() } else { format!("is at revision {revision}") }
}
