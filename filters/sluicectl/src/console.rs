//! Where a command writes, and what its exit code means.

use std::io::Write;
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
        Console { out: Box::new(anstream::stdout()), err: Box::new(anstream::stderr()) }
    }
}
