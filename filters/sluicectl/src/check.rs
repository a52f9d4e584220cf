//! `sluicectl check`: would the filters take this policy?

use crate::cli::CheckArgs;
use crate::console::{Answer, Console};
use crate::document::File;
use crate::report;
use crate::verdict::{self, Judging};
use anyhow::Result;

pub(crate) fn run(args: &CheckArgs, console: &mut Console) -> Result<Answer> {
    let judging = Judging { strict: args.strict, environment: args.env };
    let mut judged = Vec::new();
    let mut unreadable = None;
    for name in &args.files {
        match File::read(name) {
            Ok(file) => {
                let verdict = verdict::of_file(&file, judging);
                judged.push((file.name, verdict));
            }
            // The others are judged all the same.
            Err(error) => {
                if let Some(earlier) = unreadable.replace(error) {
                    writeln!(console.err, "sluicectl: {earlier:#}")?;
                }
            }
        }
    }
    report::write(args.format, &judged, &mut console.out)?;
    match unreadable {
        Some(error) => Err(error),
        None => Ok(Answer::yes_if(judged.iter().all(|(_, verdict)| verdict.is_accepted()))),
    }
}
