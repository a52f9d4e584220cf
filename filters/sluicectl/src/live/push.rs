//! `sluicectl push`: a policy goes into etcd.

use super::etcd::Etcd;
use super::kept::Kept;
use super::{change, standing, takeable};
use crate::cli::PushArgs;
use crate::console::{Answer, Console};
use crate::document::File;
use anyhow::Result;

pub(crate) fn run(args: &PushArgs, console: &mut Console) -> Result<Answer> {
    let file = File::read(&args.file)?;
    let Some(policy) = takeable(&file, console)? else { return Ok(Answer::No) };
    if policy.root().get("policy_source").is_some() {
        let text = "policy_source does not count in a policy from there: that of the plugin's configuration does";
        writeln!(console.err, "{}: {text}", file.name)?;
    }
    let etcd = Etcd::connect(&args.etcd)?;
    let kept = Kept::read(&etcd, &args.etcd.key)?;
    let (key, revision) = (&kept.key, kept.revision());
    if let Some(wanted) = args.if_revision
        && wanted != revision
    {
        writeln!(console.err, "sluicectl: {key} {}, not at {wanted}: nothing was changed", standing(revision))?;
        return Ok(Answer::No);
    }
    if kept.current.as_ref().is_some_and(|current| current.value == policy.bytes) {
        writeln!(console.out, "{key}: holds this already; it is revision {revision}")?;
        return Ok(Answer::Yes);
    }
    let what = match &kept.current {
        Some(_) => format!("written, {} bytes; revision {revision} is kept", policy.bytes.len()),
        None => format!("written, {} bytes; there was nothing before", policy.bytes.len()),
    };
    if args.dry_run {
        writeln!(console.out, "{key} {}; would be {what}", standing(revision))?;
        return Ok(Answer::Yes);
    }
    change(&etcd, &kept, &kept.put(&policy.bytes), &what, console)
}
