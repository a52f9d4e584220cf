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
