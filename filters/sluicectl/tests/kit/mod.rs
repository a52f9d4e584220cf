//! Runs the command as a shell would.

// Each test binary uses its own part of it.
#![allow(dead_code, clippy::expect_used)]

pub(crate) mod live;
pub(crate) mod mutated;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What a run of the command left.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the command without input.
pub(crate) fn run(args: &[&str]) -> Run {
    run_with(args, &[], "")
}

/// Runs the command with these variables in its environment, and this on its standard input.
pub(crate) fn run_with(args: &[&str], variables: &[(&str, &str)], input: &str) -> Run {
    run_in(&root(), args, variables, input)
}

/// Runs the command with nobody who reads what it says; its exit code, `None` where a signal ended it.
pub(crate) fn run_unheard(args: &[&str]) -> Option<i32> {
    let closed = || std::io::pipe().expect("a pipe").1;
    let mut command = command(args);
    command.stdin(Stdio::null()).stdout(closed()).stderr(closed()).status().expect("sluicectl starts").code()
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicectl"));
    for variable in ["NO_COLOR", "CLICOLOR_FORCE", "SLUICECTL_PASSWORD"] {
        command.env_remove(variable);
    }
    command.args(args).current_dir(root());
    command
}

/// Runs the command in this folder.
pub(crate) fn run_in(folder: &Path, args: &[&str], variables: &[(&str, &str)], input: &str) -> Run {
    let mut command = command(args);
    command.envs(variables.iter().copied()).current_dir(folder);
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sluicectl starts");
    // It need not read it.
    _ = process.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = process.wait_with_output().expect("sluicectl ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Run { code: output.status.code().expect("no signal"), out: text(output.stdout), err: text(output.stderr) }
}

impl Run {
    /// All that was written.
    pub(crate) fn all(&self) -> String {
        format!("exit code {}\n{}\n{}", self.code, self.out, self.err)
    }

    pub(crate) fn assert_code(&self, code: i32) -> &Run {
        assert_eq!(self.code, code, "{}", self.all());
        self
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// A folder of files.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Files {
        Files(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }
}
