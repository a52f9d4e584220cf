//! Verdicts as people, programs and GitHub read them.

mod github;
mod json;
mod text;

use crate::verdict::{Severity, Verdict};
use clap::ValueEnum;
use std::io::{Result, Write};

/// For whom a verdict is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one object.
    Json,
    /// For GitHub: workflow commands, which become annotations of the file.
    Github,
}

/// A file by its name, and the verdict on it.
pub(crate) type Judged = (String, Verdict);

pub(crate) fn write(format: Format, judged: &[Judged], out: &mut dyn Write) -> Result<()> {
    match format {
        Format::Text => judged.iter().try_for_each(|(name, verdict)| text::write(name, verdict, out)),
        Format::Json => json::write(judged, out),
        Format::Github => judged.iter().try_for_each(|(name, verdict)| github::write(name, verdict, out)),
    }
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}
