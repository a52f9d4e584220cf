//! Where in the document: `trace.rules[3].match.path.template`.

use std::fmt::{self, Write};
use std::rc::Rc;

use crate::value::Quoted;

/// A JSON path. A key that is not a plain word is written `["x y"]`; the root is "the document".
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Path(String);

impl Path {
    pub(crate) fn root() -> Path {
        Path::default()
    }

    /// The path of the field `name` under this path.
    pub(crate) fn field(&self, name: &str) -> Path {
        let mut path = self.clone();
        path.push_field(name);
        path
    }

    /// The path of the item at `index`, from 0, under this path.
    pub(crate) fn item(&self, index: usize) -> Path {
        let mut path = self.clone();
        path.push_item(index);
        path
    }

    pub(crate) fn push_field(&mut self, name: &str) {
        if !is_plain_word(name) {
            self.write(format_args!("[{}]", Quoted(name)));
        } else if self.0.is_empty() {
            self.0.push_str(name);
        } else {
            self.write(format_args!(".{name}"));
        }
    }

    pub(crate) fn push_item(&mut self, index: usize) {
        self.write(format_args!("[{index}]"));
    }

    fn write(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(text);
    }
}

fn is_plain_word(name: &str) -> bool {
    (1..=Quoted::LONGEST).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "the document" } else { &self.0 })
    }
}

/// The way from the root of the document down to where its parser is. When the parser fails, the trail is left as it was
/// at that moment.
#[derive(Default)]
pub(crate) struct Trail(Vec<Step>);

pub(crate) enum Step {
    Field(Rc<str>),
    /// Counted from 0.
    Item(usize),
}

impl Trail {
    pub(crate) fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    /// How many steps it is from the root.
    pub(crate) fn depth(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn path(&self) -> Path {
        let mut path = Path::root();
        for step in &self.0 {
            match step {
                Step::Field(name) => path.push_field(name),
                Step::Item(index) => path.push_item(*index),
            }
        }
        path
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn plain_words_are_joined_by_dots_and_items_by_index() {
        let path = Path::root().field("trace").field("rules").item(3).field("match").field("x-y_1");
        assert_eq!(path.to_string(), "trace.rules[3].match.x-y_1");
        assert_eq!(Path::root().to_string(), "the document");
        assert_eq!(Path::root().item(0).to_string(), "[0]");
    }

    #[test]
    fn any_other_key_is_quoted_escaped_and_cut() {
        let long = "k".repeat(65);
        let cut = format!("[\"{}…\"]", "k".repeat(64));
        let table = [
            ("x y", r#"["x y"]"#),
            ("user.id", r#"["user.id"]"#),
            ("", r#"[""]"#),
            ("a\"\\\n\u{1b}[31m", r#"["a\"\\\n\u001b[31m"]"#),
            ("\u{202e}\u{feff}", r#"["\u202e\ufeff"]"#),
            ("größe", r#"["größe"]"#),
            (&long, &cut),
        ];
        for (key, shown) in table {
            assert_eq!(Path::root().field(key).to_string(), shown);
            assert_eq!(Path::root().field("a").field(key).to_string(), format!("a{shown}"));
        }
    }
}
