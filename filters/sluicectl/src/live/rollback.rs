//! `sluicectl rollback`: an earlier policy comes back.

use super::etcd::Etcd;
use super::kept::{Earlier, Kept};
use super::{change, is_takeable, takeable};
use crate::cli::RollbackArgs;
use crate::console::{Answer, Console};
use crate::document::File;
use anyhow::{Context, Result, bail};

pub(crate) fn run(args: &RollbackArgs, console: &mut Console) -> Result<Answer> {
    let etcd = Etcd::connect(&args.etcd)?;
    let kept = Kept::read(&etcd, &args.etcd.key)?;
    let target = target(&kept, args.to)?;
    // Proxies would leave it, and what is in force now would stay.
    let mut file = File::of("policy.json", target.value.clone())?;
    file.name = format!("{} at revision {}", kept.key, target.revision);
    if takeable(&file, console)?.is_none() {
        writeln!(console.err, "sluicectl: {}", refusal(&kept, target, args.to)?)?;
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

/// Why nothing is put back, and what could be. Not done unasked: it takes more back than the last change.
fn refusal(kept: &Kept, target: &Earlier, to: Option<i64>) -> Result<String> {
    let Kept { key, earlier, .. } = kept;
    let chosen = match to {
        Some(_) => "is what --to asks for",
        None => "is the newest that was not rolled back",
    };
    let refused =
        format!("{key}: revision {} {chosen}, and proxies would not take it: nothing was changed", target.revision);
    for other in earlier.iter().filter(|other| other.revision < target.revision && !other.is_rolled_back) {
        if is_takeable(&other.value)? {
            return Ok(format!("{refused}; they would take the one before it, --to {}", other.revision));
        }
    }
    Ok(format!("{refused}; there is none before it that they would take"))
}

/// The value that comes back.
pub(super) fn target(kept: &Kept, to: Option<i64>) -> Result<&Earlier> {
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
