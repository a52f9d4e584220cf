//! From what a policy's errors say, `trace.rules[3].match: …`, to the value in the file.

use super::tree::{Field, Node, Value};
use std::fmt::Write;

/// What a message is about.
pub(crate) struct Found<'n> {
    /// The value; of what is missing, the one that it is missing from.
    pub(crate) node: &'n Node,
    /// The field that it is the value of; `None` for the item of a list, and for the document.
    pub(crate) field: Option<&'n Field>,
    /// Its path, as the message writes it; empty for the document.
    pub(crate) path: String,
    /// Whether it is there, and not only what it is missing from.
    pub(crate) is_exact: bool,
}

/// Finds what a message begins with the path of.
pub(crate) fn locate<'n>(root: &'n Node, message: &str) -> Found<'n> {
    let mut found = Found { node: root, field: None, path: String::new(), is_exact: is_whole("", message) };
    while let Some(deeper) = step(&found, message) {
        found = deeper;
    }
    found
}

/// The value one step further down the path of the message.
fn step<'n>(from: &Found<'n>, message: &str) -> Option<Found<'n>> {
    let child = |path: String, node, field| {
        let is_on_the_way = message.strip_prefix(&path).is_some_and(|rest| rest.starts_with(['.', '[', ':']));
        is_on_the_way.then(|| Found { node, field, is_exact: is_whole(&path, message), path })
    };
    match &from.node.value {
        Value::Object(fields) => {
            fields.iter().find_map(|field| child(join(&from.path, &field.name), &field.node, Some(field)))
        }
        Value::List(items) => {
            let mut numbered = items.iter().enumerate();
            numbered.find_map(|(number, item)| child(format!("{}[{number}]", from.path), item, None))
        }
        _ => None,
    }
}

fn is_whole(path: &str, message: &str) -> bool {
    let path = if path.is_empty() { "the document" } else { path };
    message.strip_prefix(path).is_some_and(|rest| rest.starts_with(": "))
}

/// The path of a field, as the policy crate writes it: `trace.mode`, `from_headers["user.id"]`.
pub(crate) fn join(path: &str, name: &str) -> String {
    const LONGEST: usize = 64;
    let is_plain = (1..=LONGEST).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    match (is_plain, path) {
        (true, "") => name.to_owned(),
        (true, path) => format!("{path}.{name}"),
        (false, path) => {
            let mut quoted = String::new();
            for character in name.chars().take(LONGEST) {
                push_escaped(character, &mut quoted);
            }
            let cut = if name.chars().count() > LONGEST { "…" } else { "" };
            format!("{path}[\"{quoted}{cut}\"]")
        }
    }
}

fn push_escaped(character: char, text: &mut String) {
    match character {
        '"' => text.push_str("\\\""),
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
            push_number(character, text);
        }
        character if character.is_control() => push_number(character, text),
        character => text.push(character),
    }
}

fn push_number(character: char, text: &mut String) {
    // Writing to a String cannot fail.
    _ = write!(text, "\\u{:04x}", u32::from(character));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tree;
    use sluicegate_policy::Document;

    #[test]
    fn a_message_finds_its_value_or_what_it_is_missing_from() {
        let text = "trace:\n  rules:\n    - {}\n    - match: { path: { prefix: x } }\n  mode: a\n  mode-x: b\n";
        let root = tree::parse(text).map_err(|error| error.message).unwrap().remove(0);
        let table = [
            ("trace.mode: found", "trace.mode", true, 5),
            ("trace.mode-x: found", "trace.mode-x", true, 6),
            ("trace.rules[1].match.path.prefix: found: x", "trace.rules[1].match.path.prefix", true, 4),
            ("trace.rules[0].rate: missing", "trace.rules[0]", false, 3),
            ("sampling.force: missing", "", false, 1),
            ("the document: found", "", true, 1),
            ("and 3 more", "", false, 1),
        ];
        for (message, path, is_exact, line) in table {
            let found = locate(&root, message);
            assert_eq!((found.path.as_str(), found.is_exact, found.node.at.line), (path, is_exact, line), "{message}");
        }
    }

    #[test]
    fn paths_are_written_as_the_policy_crate_writes_them() {
        let names =
            ["plain-1_x", "x y", "user.id", "a\"\\\n\u{1b}[31m", "\u{202e}\u{feff}", "größe", "[0]", "a: b", ""];
        for name in names.map(str::to_owned).into_iter().chain(["k".repeat(64), "k".repeat(65), "ü".repeat(65)]) {
            let text = serde_json::json!({ "version": "1.0", "trace": { &name: { &name: 1 } } }).to_string();
            let document = Document::parse(text.as_bytes(), &|_| None).unwrap();
            _ = document.section("trace").boolean("enabled");
            let message = document.finish().unwrap_err().to_string();
            let root = tree::parse(&text).map_err(|error| error.message).unwrap().remove(0);
            let found = locate(&root, &message);
            assert!(found.is_exact && found.field.is_some_and(|field| field.name == name), "{name:?}: {message}");
        }
    }
}
