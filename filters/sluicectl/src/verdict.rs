//! What the filters say of a policy. It is their own code that says it: see `sluicegate_host::double::check`.

use crate::document::tree::{Node, Place, SyntaxError};
use crate::document::{Excerpt, File, Found, Policy, json, locate};
use sluicegate_host::double;
use sluicegate_policy::{Document, Errors, Version};
use sluicegate_suite::Suite;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Something wrong with a policy, or worth a word.
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    /// The path of the field and what is wrong with it.
    pub(crate) message: String,
    /// The path alone; empty where there is none.
    pub(crate) path: String,
    /// Where it is, or where that is which it is missing from.
    pub(crate) at: Option<Place>,
    pub(crate) excerpt: Option<Excerpt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    Warning,
}

/// The verdict on a file.
pub(crate) struct Verdict {
    pub(crate) problems: Vec<Problem>,
    /// The environment variables of the proxy that it names, and that were not looked at.
    pub(crate) variables: BTreeSet<String>,
}

/// How a policy is judged.
#[derive(Clone, Copy, Default)]
pub(crate) struct Judging {
    /// Fields that a newer minor version may know are errors.
    pub(crate) strict: bool,
    /// `{ env: NAME }` means the variables of this process. Else they are the proxy's, and taken to be good.
    pub(crate) environment: bool,
}

impl Verdict {
    pub(crate) fn is_accepted(&self) -> bool {
        !self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }
}

/// Judges every policy of a file.
pub(crate) fn of_file(file: &File, judging: Judging) -> Verdict {
    let mut verdict = Verdict { problems: Vec::new(), variables: BTreeSet::new() };
    match &file.policies {
        Ok(policies) => {
            for policy in policies {
                let one = of_policy(policy, judging);
                verdict.problems.extend(one.problems);
                verdict.variables.extend(one.variables);
            }
        }
        Err(error) => verdict.problems.push(of_syntax(error)),
    }
    verdict
}

/// Judges one policy.
pub(crate) fn of_policy(policy: &Policy, judging: Judging) -> Verdict {
    let environment = Environment::new(judging);
    let look_up = |name: &str| environment.value(name);
    let mut said = ask(&policy.bytes, &look_up);
    if judging.strict
        && said.iter().all(|(severity, _)| *severity == Severity::Warning)
        && let Some(bytes) = of_this_version(policy)
    {
        said = ask(&bytes, &look_up);
    }
    let root = policy.root();
    let problems = said.iter().map(|(severity, message)| Problem::of(policy, &root, *severity, message));
    let mut problems: Vec<_> = problems.collect();
    // As they stand in the file; last what has no place in it.
    problems.sort_by_key(|problem| problem.at.map_or((u64::MAX, 0), |at| (at.line, at.column)));
    Verdict { problems, variables: environment.into_unseen() }
}

/// What the code of the module says of a document.
fn ask(bytes: &[u8], environment: &dyn Fn(&str) -> Option<String>) -> Vec<(Severity, String)> {
    told(double::check::<Suite>(bytes, environment))
}

fn told(verdict: Result<Vec<String>, Errors>) -> Vec<(Severity, String)> {
    match verdict {
        Ok(warnings) => warnings.into_iter().map(|warning| (Severity::Warning, warning)).collect(),
        Err(errors) => {
            let more = Some(errors.more()).filter(|more| *more > 0).map(|more| format!("and {more} more"));
            let errors = errors.iter().map(ToString::to_string).chain(more);
            errors.map(|error| (Severity::Error, error)).collect()
        }
    }
}

/// A policy of a newer minor version as one of this one, in which every field that is unknown is an error.
fn of_this_version(policy: &Policy) -> Option<Vec<u8>> {
    let theirs = Document::parse(&policy.bytes, &|_| None).ok()?.version();
    if theirs <= Version::CURRENT {
        return None;
    }
    let mut tree = policy.tree.clone()?;
    let crate::document::tree::Value::Object(fields) = &mut tree.value else { return None };
    let version = fields.iter_mut().find(|field| field.name == "version")?;
    version.node = Node::of_text(Version::CURRENT.to_string());
    Some(json::compact(&tree).into_bytes())
}

fn of_syntax(error: &SyntaxError) -> Problem {
    Problem {
        severity: Severity::Error,
        message: error.message.clone(),
        path: String::new(),
        at: error.at,
        excerpt: None,
    }
}

impl Problem {
    fn of(policy: &Policy, root: &Node, severity: Severity, message: &str) -> Problem {
        let found = locate(root, message);
        // Of what is counted only, there is no place.
        let is_of_a_field = message.contains(": ");
        let found = Some(found).filter(|_| policy.tree.is_some() && is_of_a_field);
        Problem {
            severity,
            message: message.to_owned(),
            path: message.split(": ").next().filter(|_| is_of_a_field).unwrap_or_default().to_owned(),
            at: found.as_ref().map(|found| place(found, message)).or_else(|| stated(message)),
            excerpt: found.as_ref().and_then(|found| Excerpt::of(policy, found, message)),
        }
    }
}

/// The value where it is the value that is wrong and it is on the line of its field, else the field's name.
fn place(found: &Found<'_>, message: &str) -> Place {
    let is_of_value = found.is_exact && message.contains(": found ") && found.node.at.length > 0;
    match found.field {
        Some(field) if !is_of_value || field.at.line != found.node.at.line => field.at,
        _ => found.node.at,
    }
}

/// The place that a message of the JSON reader states itself: `… (line 3, column 14)`.
fn stated(message: &str) -> Option<Place> {
    let (_, place) = message.rsplit_once(" (line ")?;
    let (line, column) = place.strip_suffix(')')?.split_once(", column ")?;
    Some(Place { line: line.parse().ok()?, column: column.parse().ok()?, ..Place::default() })
}

/// Looks up the variables that a policy names.
struct Environment {
    is_ours: bool,
    unseen: RefCell<BTreeSet<String>>,
}

/// In the place of a secret that only the proxy knows: long enough, and able to stand in a header.
const STAND_IN: &str = "a-secret-of-the-proxy-that-nobody-here-can-know-so-this-stands-for-it";

impl Environment {
    fn new(judging: Judging) -> Environment {
        Environment { is_ours: judging.environment, unseen: RefCell::default() }
    }

    fn value(&self, name: &str) -> Option<String> {
        if self.is_ours {
            return std::env::var(name).ok();
        }
        self.unseen.borrow_mut().insert(name.to_owned());
        Some(STAND_IN.to_owned())
    }

    fn into_unseen(self) -> BTreeSet<String> {
        self.unseen.into_inner()
    }
}

/// What `{ env: NAME }` is taken to be, for whoever runs a policy.
pub(crate) fn variable(name: &str, judging: Judging) -> Option<String> {
    Environment::new(judging).value(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str, judging: Judging) -> Verdict {
        of_file(&File::of("policy.yaml", text.into()).unwrap(), judging)
    }

    fn places(text: &str) -> Vec<(String, u64, u64)> {
        let problems = judged(text, Judging::default()).problems;
        let place = |at: Place| (at.line, at.column);
        problems
            .into_iter()
            .map(|p| (p.path, p.at.map(place).unwrap_or_default()))
            .map(|(p, (l, c))| (p, l, c))
            .collect()
    }

    #[test]
    fn problems_have_the_place_of_their_field() {
        let text = "version: \"1.0\"\ntrace:\n  mode: forwrd\n  evry: 1s\nsampling:\n  rules:\n    - match: { path: { prefix: x } }\n      never: true\n    - {}\n";
        let want = [
            ("trace.mode", 3, 9),
            ("trace.evry", 4, 3),
            ("sampling.rules[0].match.path.prefix", 7, 32),
            ("sampling.rules[1]", 9, 7),
        ];
        let want: Vec<_> = want.map(|(path, line, column)| (path.to_owned(), line, column)).into();
        assert_eq!(places(text), want);
    }

    #[test]
    fn where_a_policy_comes_from_is_judged_as_well() {
        let text = "version: '1.0'\npolicy_source: { etcd: { cluster: etcd, kye: /x } }\ntrace: { mode: x }\n";
        let paths: Vec<_> = places(text).into_iter().map(|(path, line, _)| (path, line)).collect();
        for wanted in [("trace.mode", 3), ("policy_source.etcd.kye", 2)] {
            assert!(paths.contains(&(wanted.0.to_owned(), wanted.1)), "{paths:?}");
        }
        let right = text.replace("kye", "key").replace("mode: x", "mode: forward");
        assert!(judged(&right, Judging::default()).is_accepted());
    }

    #[test]
    fn broken_json_has_the_place_that_its_reader_states() {
        let file = File::of("policy.json", b"{\n  \"version\": \"1.0\",\n  \"trace\": {,\n}".to_vec()).unwrap();
        let verdict = of_file(&file, Judging::default());
        let at = verdict.problems[0].at.unwrap();
        assert_eq!((verdict.problems.len(), at.line, at.column), (1, 3, 13));
    }

    #[test]
    fn a_newer_minor_version_is_read_with_a_warning_or_strictly_not() {
        let text = "version: \"1.7\"\ntrace: { mod: x }\n";
        let verdict = judged(text, Judging::default());
        assert!(verdict.is_accepted() && verdict.count(Severity::Warning) == 1);
        let verdict = judged(text, Judging { strict: true, ..Judging::default() });
        let message = &verdict.problems[0].message;
        assert!(
            message.starts_with("trace.mod: unknown field") && message.ends_with("did you mean mode?"),
            "{message}"
        );
        let verdict = judged("version: \"1.7\"\n", Judging { strict: true, ..Judging::default() });
        assert!(verdict.is_accepted());
    }

    #[test]
    fn a_variable_of_the_proxy_is_taken_to_be_good_unless_it_is_looked_up_here() {
        let text = "version: '1.0'\nsampling: { force: { secret: { env: SLUICECTL_HAS_NO_SUCH } } }\n";
        let verdict = judged(text, Judging::default());
        assert!(verdict.is_accepted() && verdict.variables.contains("SLUICECTL_HAS_NO_SUCH"));
        let verdict = judged(text, Judging { environment: true, ..Judging::default() });
        assert!(!verdict.is_accepted() && verdict.variables.is_empty());
    }

    #[test]
    fn what_is_beyond_twenty_errors_is_counted_without_a_place() {
        let fields: String = (0..30).map(|n| format!("  x{n}: 1\n")).collect();
        let verdict = judged(&format!("version: '1.0'\ntrace:\n{fields}"), Judging::default());
        let last = verdict.problems.last().unwrap();
        assert_eq!((last.message.as_str(), last.path.as_str(), last.at), ("and 10 more", "", None));
    }
}
