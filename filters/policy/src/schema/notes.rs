//! What the readers of one document leave: what they take, and what they complained of.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::path::Path;
use crate::value::Value;

/// What a reader takes for a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Boolean,
    Integer {
        least: u64,
        most: u64,
    },
    Number {
        least: f64,
        most: f64,
    },
    Duration {
        least: Duration,
        most: Duration,
        accepted: String,
    },
    Choice(Vec<&'static str>),
    /// One of them, or a list of them without repetitions.
    Choices(Vec<&'static str>),
    Text(Text),
    /// One, or a list of them without repetitions.
    Texts(Text),
    /// An object whose names are the operator's own, with strings.
    Names,
    Secret {
        at_least: usize,
        in_header: bool,
        accepted: String,
    },
    /// An object of which fields are read.
    Object,
    /// A list of such objects.
    Items {
        at_most: usize,
    },
    /// Not a reader but a question: whether it is `false`. So it may be.
    False,
    /// Not a reader but a question: whether it is an object. So it may be.
    AnyObject,
}

/// A string that passes a check, of which this is all there is to know from outside.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    /// For people.
    pub(crate) accepted: String,
    pub(crate) may_be_empty: bool,
    /// Nothing is checked, as far as can be seen.
    pub(crate) is_any: bool,
    /// One that passes, if one was found.
    pub(crate) sample: Option<&'static str>,
}

impl Shape {
    pub(crate) fn text(check: &dyn Fn(&str) -> bool, accepted: &str) -> Shape {
        Shape::Text(Text::of(check, accepted))
    }

    pub(crate) fn texts(check: &dyn Fn(&str) -> bool, accepted: &str) -> Shape {
        Shape::Texts(Text::of(check, accepted))
    }

    /// Whether this is a question, after which a reader reads the field or leaves it.
    pub(super) fn is_question(&self) -> bool {
        matches!(self, Shape::False | Shape::AnyObject)
    }

    /// Whether it is a question to which the answer is yes.
    pub(super) fn is_answered_by(&self, value: Option<&Value>) -> bool {
        matches!((self, value), (Shape::False, Some(Value::Bool(false))) | (Shape::AnyObject, Some(Value::Object(_))))
    }
}

/// Samples are only that: what passes a check may depend on other fields.
impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        let told = |text: &Text| (text.may_be_empty, text.is_any);
        self.accepted == other.accepted && told(self) == told(other)
    }
}

impl Text {
    fn of(check: &dyn Fn(&str) -> bool, accepted: &str) -> Text {
        /// What checks of texts usually ask for: a name, a path, a status, a host.
        const SAMPLES: [&str; 8] = ["a", "/a", "404", "x-a", "A", "UNAVAILABLE", "a.example.com", "a.b"];
        /// What passes only where nothing is checked.
        const STRANGE: &str = "\u{0} \u{fffd}/{\"";
        let may_be_empty = check("");
        Text {
            accepted: accepted.to_owned(),
            may_be_empty,
            is_any: may_be_empty && check(STRANGE),
            sample: SAMPLES.into_iter().find(|sample| check(sample)),
        }
    }
}

/// The notes of one reading of one document.
#[derive(Default)]
pub(crate) struct Notes {
    /// By the path of the object.
    readings: RefCell<BTreeMap<String, Vec<(&'static str, Shape)>>>,
    exclusive: RefCell<BTreeMap<String, Vec<Vec<&'static str>>>>,
    wrong: RefCell<BTreeSet<String>>,
    missing: RefCell<BTreeSet<String>>,
}

impl Notes {
    /// The field `name` of `object` is read as this.
    pub(crate) fn read(&self, object: &Path, name: &'static str, shape: Shape) {
        self.readings.borrow_mut().entry(object.to_string()).or_default().push((name, shape));
    }

    /// Of these fields `object` has exactly one.
    pub(crate) fn exactly_one_of(&self, object: &Path, names: &[&'static str]) {
        let mut exclusive = self.exclusive.borrow_mut();
        let of_object = exclusive.entry(object.to_string()).or_default();
        // Two filters may read the same object.
        if !of_object.iter().any(|known| known == names) {
            of_object.push(names.to_vec());
        }
    }

    /// Something is wrong at `path`.
    pub(crate) fn wrong(&self, path: &Path) {
        self.wrong.borrow_mut().insert(path.to_string());
    }

    /// Nothing is at `path`, and something must be.
    pub(crate) fn missing(&self, path: &Path) {
        self.missing.borrow_mut().insert(path.to_string());
    }

    /// What was read of the object at `path`, in order.
    pub(crate) fn readings(&self, path: &Path) -> Vec<(&'static str, Shape)> {
        self.readings.borrow().get(&path.to_string()).cloned().unwrap_or_default()
    }

    /// The fields of the object at `path` that exclude each other and of which there must be one.
    pub(crate) fn exclusive(&self, path: &Path) -> Vec<Vec<&'static str>> {
        self.exclusive.borrow().get(&path.to_string()).cloned().unwrap_or_default()
    }

    /// Whether something was wrong at `path` or below it.
    pub(crate) fn is_wrong(&self, path: &Path) -> bool {
        is_told(&self.wrong.borrow(), path)
    }

    /// Whether something was missing at `path` or below it.
    pub(crate) fn is_missing(&self, path: &Path) -> bool {
        is_told(&self.missing.borrow(), path)
    }
}

fn is_told(paths: &BTreeSet<String>, path: &Path) -> bool {
    let path = path.to_string();
    let is_below = |told: &String| told.strip_prefix(&path).is_some_and(|rest| rest.starts_with(['.', '[']));
    paths.contains(&path) || paths.iter().any(is_below)
}
