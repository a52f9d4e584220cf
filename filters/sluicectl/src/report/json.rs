//! For programs: `{"accepted": …, "files": [{"file", "accepted", "problems": [{"severity", "path", "line", "column",
//! "message"}], "variables": […]}]}`. `line` and `column` are null where there is no place.

use super::Judged;
use crate::verdict::{Problem, Verdict};
use serde_json::{Value, json};
use std::io::{Result, Write};

pub(super) fn write(judged: &[Judged], out: &mut dyn Write) -> Result<()> {
    let files: Vec<_> = judged.iter().map(|(name, verdict)| file(name, verdict)).collect();
    let accepted = judged.iter().all(|(_, verdict)| verdict.is_accepted());
    writeln!(out, "{:#}", json!({ "accepted": accepted, "files": files }))
}

fn file(name: &str, verdict: &Verdict) -> Value {
    let problems: Vec<_> = verdict.problems.iter().map(problem).collect();
    json!({
        "file": name,
        "accepted": verdict.is_accepted(),
        "problems": problems,
        "variables": verdict.variables,
    })
}

fn problem(problem: &Problem) -> Value {
    json!({
        "severity": problem.severity.as_str(),
        "path": problem.path,
        "line": problem.at.map(|at| at.line),
        "column": problem.at.map(|at| at.column),
        "message": problem.message,
    })
}
