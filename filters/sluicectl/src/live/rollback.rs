//! `sluicectl rollback`: an earlier policy comes back.

use super::change;
use super::etcd::Etcd;
use super::kept::{Earlier, Kept};
use crate::cli::RollbackArgs;
use crate::console::{Answer, Console};
use crate::document::File;
use crate::report::{self, Format};
use crate::verdict::{self, Judging};
use anyhow::{Context, Result, bail};

pub(crate) fn run(args: &RollbackArgs, console: &mut Console) -> Result<Answer> {
    let etcd = Etcd::connect(&args.etcd)?;
    let kept = Kept::read(&etcd, &args.etcd.key)?;
    let target = target(&kept, args.to)?;
    // Proxies would leave it, and what is in force now would stay.
    let file = File::of(&format!("{} at revision {}.json", kept.key, target.revision), target.value.clone())?;
    let judged = verdict::of_file(&file, Judging::default());
    if !judged.is_accepted() {
        report::write(Format::Text, &[(file.name, judged)], &mut console.err)?;
        return Ok(Answer::No);
    }
    let what = match &kept.current {
        Some(current) => {
            let mark = if target.is_rolled_back { "" } else { " as rolled back" };
            format!("revision {} is back; revision {} is kept{mark}", target.revision, current.mod_revision)
        }
        None => format!("revision {} is back; there was nothing", target.revision),
    };
    if args.dry_run {
        writeln!(console.out, "{}: would be: {what}", kept.key)?;
        return Ok(Answer::Yes);
    }
    change(&etcd, &kept, &kept.put_back(target), &what, console)
}

fn target(kept: &Kept, to: Option<i64>) -> Result<&Earlier> {
    let key = &kept.key;
    if let Some(revision) = to {
        let found = kept.earlier.iter().find(|earlier| earlier.revision == revision);
        return found.with_context(|| format!("{key} has no revision {revision} in its history"));
    }
    if kept.current.is_none() {
        bail!("{key} is not there: nothing is to be rolled back; --to puts an earlier value there");
    }
    let found = kept.earlier.iter().find(|earlier| !earlier.is_rolled_back);
    found.with_context(|| format!("{key} has no earlier value that was not rolled back"))
}
