//! What is wrong with a document, all of it at once, and what is only worth a warning.

use std::cell::RefCell;
use std::fmt;

use crate::path::Path;

/// How many errors, warnings or paths are told one by one; of the rest only the number.
pub(crate) const LISTED: usize = 20;

/// One thing that is wrong, as one line without control characters:
/// `trace.mode: found "forwrd", accepted: one of "participate", "forward", "observe"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    path: String,
    problem: String,
}

impl PolicyError {
    pub(crate) fn new(path: &Path, problem: impl fmt::Display) -> PolicyError {
        PolicyError { path: path.to_string(), problem: problem.to_string() }
    }

    /// The JSON path of the field, such as `trace.rules[3].match.path.template`; `the document` for its root.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl std::error::Error for PolicyError {}

/// Everything that is wrong with a document: never empty, at most 20 told one by one and the rest counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    listed: Vec<PolicyError>,
    more: usize,
}

impl Errors {
    /// The errors, in the order they were found. [`Errors::more`] says how many are not among them.
    pub fn iter(&self) -> impl Iterator<Item = &PolicyError> {
        self.listed.iter()
    }

    /// How many errors there are beyond those of [`Errors::iter`].
    pub fn more(&self) -> usize {
        self.more
    }

    fn add(&mut self, error: PolicyError) {
        // A field that two filters read is wrong only once.
        if self.listed.contains(&error) {
            return;
        }
        if self.is_full() {
            self.more = self.more.saturating_add(1);
        } else {
            self.listed.push(error);
        }
    }

    fn is_full(&self) -> bool {
        self.listed.len() >= LISTED
    }
}

impl From<PolicyError> for Errors {
    fn from(error: PolicyError) -> Errors {
        Errors { listed: vec![error], more: 0 }
    }
}

/// One error a line, and at the end `and N more`.
impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.listed.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Errors {}

/// Where the readers of one document leave what they find.
#[derive(Default)]
pub(crate) struct Report {
    errors: RefCell<Errors>,
    warnings: RefCell<Warnings>,
    #[cfg(any(test, feature = "schema"))]
    pub(crate) notes: crate::schema::Notes,
}

#[derive(Default)]
struct Warnings {
    listed: Vec<String>,
    more: usize,
}

impl Report {
    pub(crate) fn error(&self, path: &Path, problem: impl fmt::Display) {
        #[cfg(any(test, feature = "schema"))]
        self.notes.wrong(path);
        let error = PolicyError::new(path, problem);
        self.errors.borrow_mut().add(error);
    }

    /// A value that is not what is accepted at `path`.
    pub(crate) fn not_accepted(&self, path: &Path, found: &dyn fmt::Display, accepted: &dyn fmt::Display) {
        self.error(path, format_args!("found {found}, accepted: {accepted}"));
    }

    /// Nothing at `path`, where something must be.
    pub(crate) fn missing(&self, path: &Path, accepted: &dyn fmt::Display) {
        #[cfg(any(test, feature = "schema"))]
        self.notes.missing(path);
        self.error(path, format_args!("missing, accepted: {accepted}"));
    }

    pub(crate) fn warn(&self, path: &Path, text: &dyn fmt::Display) {
        let warning = format!("{path}: {text}");
        let mut warnings = self.warnings.borrow_mut();
        if warnings.listed.contains(&warning) {
            return;
        }
        if warnings.listed.len() < LISTED {
            warnings.listed.push(warning);
        } else {
            warnings.more = warnings.more.saturating_add(1);
        }
    }

    /// True when one more error would only be counted: its text need not be worked out.
    pub(crate) fn is_full(&self) -> bool {
        self.errors.borrow().is_full()
    }

    pub(crate) fn into_result(self) -> Result<Vec<String>, Errors> {
        let errors = self.errors.into_inner();
        if !errors.listed.is_empty() {
            return Err(errors);
        }
        let Warnings { mut listed, more } = self.warnings.into_inner();
        if more > 0 {
            listed.push(format!("and {more} more warnings"));
        }
        Ok(listed)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn all_errors_are_told_up_to_twenty_and_the_rest_is_counted() {
        let report = Report::default();
        for number in 0..25 {
            report.not_accepted(&Path::root().item(number), &number, &"nothing");
        }
        let errors = report.into_result().unwrap_err();
        assert_eq!(errors.iter().count(), 20);
        assert_eq!(errors.more(), 5);
        let text = errors.to_string();
        assert_eq!(text.lines().count(), 21);
        assert_eq!(text.lines().next(), Some("[0]: found 0, accepted: nothing"));
        assert_eq!(text.lines().last(), Some("and 5 more"));
    }

    #[test]
    fn an_error_found_twice_is_told_once() {
        let report = Report::default();
        let path = Path::root().field("trace");
        report.missing(&path, &"something");
        report.missing(&path, &"something");
        report.missing(&path, &"something else");
        assert_eq!(
            report.into_result().unwrap_err().iter().map(PolicyError::path).collect::<Vec<_>>(),
            ["trace", "trace"]
        );
    }

    #[test]
    fn warnings_do_not_make_a_document_wrong() {
        let report = Report::default();
        for _ in 0..2 {
            report.warn(&Path::root().field("a"), &"old");
        }
        assert_eq!(report.into_result(), Ok(vec!["a: old".to_owned()]));

        let report = Report::default();
        for number in 0..25 {
            report.warn(&Path::root().item(number), &"old");
        }
        let warnings = report.into_result().unwrap();
        assert_eq!(warnings.len(), 21);
        assert_eq!(warnings.last().map(String::as_str), Some("and 5 more warnings"));
    }
}
