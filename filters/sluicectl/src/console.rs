//! Where a command writes, and what its exit code means.

use std::fmt::Arguments;
use std::io::{ErrorKind, Result, Write};
use std::process::ExitCode;

/// What a command says of its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 0: fine, done, or the same.
    Yes,
    /// 1: a policy is wrong, two differ, or somebody else wrote in between. Nothing was changed.
    No,
}

/// 2: what was asked for cannot be tried: a file that is not there, an etcd that does not answer, an option that is wrong.
pub(crate) const UNABLE: u8 = 2;

impl Answer {
    pub(crate) fn yes_if(is_so: bool) -> Answer {
        if is_so { Answer::Yes } else { Answer::No }
    }
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> ExitCode {
        match answer {
            Answer::Yes => ExitCode::SUCCESS,
            Answer::No => ExitCode::from(1),
        }
    }
}

/// The two streams. Colour is for terminals, and for nobody where `NO_COLOR` is set.
pub(crate) struct Console {
    /// What was asked for.
    pub(crate) out: Box<dyn Write>,
    /// What is said beside it.
    pub(crate) err: Box<dyn Write>,
}

impl Console {
    pub(crate) fn of_process() -> Console {
        Console { out: Box::new(Said(anstream::stdout())), err: Box::new(Said(anstream::stderr())) }
    }
}

/// What is said stays said where nobody reads on, as with `sluicectl … | head`: a command ends what it does all the same, and
/// answers as it would.
struct Said<W>(W);

impl<W: Write> Write for Said<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        heard_or_not(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        heard_or_not(self.0.flush(), ())
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        heard_or_not(self.0.write_all(bytes), ())
    }

    fn write_fmt(&mut self, text: Arguments<'_>) -> Result<()> {
        heard_or_not(self.0.write_fmt(text), ())
    }
}

fn heard_or_not<T>(written: Result<T>, as_if: T) -> Result<T> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(as_if),
        other => other,
    }
}
