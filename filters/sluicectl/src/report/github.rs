//! For GitHub: `::error file=policy.yaml,line=3,col=9::message` (workflow commands).

use crate::verdict::Verdict;
use std::io::{Result, Write};

pub(super) fn write(name: &str, verdict: &Verdict, out: &mut dyn Write) -> Result<()> {
    for problem in &verdict.problems {
        let place = problem.at.map(|at| format!(",line={},col={}", at.line, at.column)).unwrap_or_default();
        let (severity, message) = (problem.severity.as_str(), escape(&problem.message));
        writeln!(out, "::{severity} file={}{place}::{message}", escape_property(name))?;
    }
    Ok(())
}

fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_message_or_a_name_ends_the_command() {
        assert_eq!(escape("a: 100%\r\n::error::b"), "a: 100%25%0D%0A::error::b");
        assert_eq!(escape_property("a,line=1:b.yaml"), "a%2Cline=1%3Ab.yaml");
    }
}
