//! A tree as YAML that every reader understands alike: Envoy's (yaml-cpp), Kubernetes' (YAML 1.1 in part) and YAML 1.2. What
//! any of them could take for something else than a string is in quotes.

use crate::document::json;
use crate::document::tree::{Node, Value};

/// The lines of a document, or of a part of one that is so far indented.
pub(super) fn write(node: &Node, indent: usize, text: &mut String) {
    match &node.value {
        Value::Object(fields) if !fields.is_empty() => {
            for field in fields {
                text.push_str(&" ".repeat(indent));
                text.push_str(&string(&field.name));
                text.push(':');
                write_value(&field.node, indent, text);
            }
        }
        Value::List(items) if !items.is_empty() => {
            for item in items {
                text.push_str(&" ".repeat(indent));
                text.push('-');
                write_item(item, indent, text);
            }
        }
        _ => {
            text.push_str(&" ".repeat(indent));
            text.push_str(&flow(node));
            text.push('\n');
        }
    }
}

fn write_value(node: &Node, indent: usize, text: &mut String) {
    if is_block(node) {
        text.push('\n');
        write(node, indent.saturating_add(2), text);
    } else {
        text.push(' ');
        text.push_str(&flow(node));
        text.push('\n');
    }
}

/// The first field of an object stands on the line of its dash.
fn write_item(node: &Node, indent: usize, text: &mut String) {
    let mut block = String::new();
    write(node, indent.saturating_add(2), &mut block);
    text.push(' ');
    text.push_str(block.trim_start());
}

/// Objects have lines of their own, and so have lists unless they are short and plain.
fn is_block(node: &Node) -> bool {
    match &node.value {
        Value::Object(fields) => !fields.is_empty(),
        Value::List(items) => !items.is_empty() && (items.len() > 8 || !items.iter().all(Node::is_scalar)),
        _ => false,
    }
}

fn flow(node: &Node) -> String {
    match &node.value {
        Value::Object(_) => "{}".to_owned(),
        Value::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) => string(text),
        _ => json::scalar(node),
    }
}

/// Plain where nobody can mistake it; else in double quotes, with JSON's escapes, which are YAML's too.
fn string(text: &str) -> String {
    const RESERVED: [&str; 12] =
        ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity"];
    let begins_well = text.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '_' | '/'));
    let is_plain = begins_well
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
        && !RESERVED.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_plain { text.to_owned() } else { json::string(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tree;

    fn one(text: &str) -> Node {
        tree::parse(text).map_err(|error| error.message).unwrap().remove(0)
    }

    #[test]
    fn a_document_is_the_same_when_it_is_read_again() {
        let text = r#"{"version":"1.0","a":{"b":[],"c":{},"d":[1,-2.5,true,null,"x y"],"e":[{"f":[[1],{}],"g":"h"},"i"]},
            "yes":"no","1":"0x10","x: y":"a\nb # c","k":"- d","l":"~","m":"1e3","n":"12:30","o":"2024-01-01","p":".5",
            "q":"","r":"größe","s":"\u0001","t":"/pay/{id}","u":"a:","v":"*x","w":1e300}"#;
        let mut yaml = String::new();
        write(&one(text), 0, &mut yaml);
        assert_eq!(json::compact(&one(&yaml)), json::compact(&one(text)), "{yaml}");
    }

    #[test]
    fn what_looks_like_another_type_to_any_reader_is_quoted() {
        for text in [
            "no", "Off", "y", "null", "1.0", "010", "0x1f", "1_000", "12:30", "~", "", "-", "a: b", "a #b", "=", ".inf",
        ] {
            assert!(string(text).starts_with('"'), "{text:?}");
        }
        for text in ["checkout", "/healthz", "x-tier", "type.googleapis.com/x.Y", "FAIL_RELOAD"] {
            assert_eq!(string(text), text);
        }
    }
}
