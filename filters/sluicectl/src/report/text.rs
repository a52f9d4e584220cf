//! For people: what is wrong, where, and the field that it is about.

use crate::verdict::{Problem, Severity, Verdict};
use owo_colors::OwoColorize;
use std::io::{Result, Write};

pub(super) fn write(name: &str, verdict: &Verdict, out: &mut dyn Write) -> Result<()> {
    for problem in &verdict.problems {
        write_problem(name, problem, out)?;
    }
    writeln!(out, "{name}: {}", summary(verdict))?;
    if !verdict.variables.is_empty() {
        let names: Vec<_> = verdict.variables.iter().map(String::as_str).collect();
        writeln!(out, "  taken to be set where the proxy runs (--env looks here): {}", names.join(", "))?;
    }
    Ok(())
}

fn write_problem(name: &str, problem: &Problem, out: &mut dyn Write) -> Result<()> {
    let place = problem.at.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
    let word = match problem.severity {
        Severity::Error => problem.severity.as_str().red().bold().to_string(),
        Severity::Warning => problem.severity.as_str().yellow().bold().to_string(),
    };
    writeln!(out, "{}: {word}: {}", format_args!("{name}{place}").bold(), problem.message)?;
    let Some(excerpt) = &problem.excerpt else { return Ok(()) };
    let line = excerpt.line.to_string();
    let (margin, before) = (" ".repeat(line.len()), " ".repeat(excerpt.before));
    writeln!(out, "  {} {} {}", line.blue(), "|".blue(), excerpt.text)?;
    writeln!(out, "  {margin} {} {before}{}", "|".blue(), "^".repeat(excerpt.pointed).red())
}

fn summary(verdict: &Verdict) -> String {
    let count = |severity: Severity| match verdict.count(severity) {
        1 => format!("1 {}", severity.as_str()),
        several => format!("{several} {}s", severity.as_str()),
    };
    match (verdict.count(Severity::Error), verdict.count(Severity::Warning)) {
        (0, 0) => "fine".green().to_string(),
        (0, _) => format!("{}, with {}", "fine".green(), count(Severity::Warning)),
        (_, 0) => count(Severity::Error).red().to_string(),
        _ => format!("{} and {}", count(Severity::Error).red(), count(Severity::Warning)),
    }
}
