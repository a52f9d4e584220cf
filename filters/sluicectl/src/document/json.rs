//! A tree as JSON text: how the filters get it.

use super::tree::{Node, Value};

/// Over several lines, for people who look into etcd.
pub(crate) fn pretty(node: &Node) -> String {
    let mut text = String::new();
    write(node, Some(0), &mut text);
    text.push('\n');
    text
}

/// On one line.
pub(crate) fn compact(node: &Node) -> String {
    let mut text = String::new();
    write(node, None, &mut text);
    text
}

/// `depth` is how far the lines are indented; without one there is a single line.
fn write(node: &Node, depth: Option<usize>, text: &mut String) {
    let within = depth.map(|depth| depth.saturating_add(1));
    match &node.value {
        Value::List(items) if items.is_empty() => text.push_str("[]"),
        Value::Object(fields) if fields.is_empty() => text.push_str("{}"),
        Value::List(items) => {
            text.push('[');
            for (number, item) in items.iter().enumerate() {
                separate(number, within, text);
                write(item, within, text);
            }
            end_line(depth, text);
            text.push(']');
        }
        Value::Object(fields) => {
            text.push('{');
            for (number, field) in fields.iter().enumerate() {
                separate(number, within, text);
                text.push_str(&string(&field.name));
                text.push_str(if depth.is_some() { ": " } else { ":" });
                write(&field.node, within, text);
            }
            end_line(depth, text);
            text.push('}');
        }
        _ => text.push_str(&scalar(node)),
    }
}

/// A value that is no list and no object.
pub(crate) fn scalar(node: &Node) -> String {
    match &node.value {
        Value::Bool(value) => value.to_string(),
        Value::Unsigned(value) => value.to_string(),
        Value::Negative(value) => value.to_string(),
        Value::Float(value) => serde_json::Number::from_f64(*value).map_or("null".to_owned(), |n| n.to_string()),
        Value::String(value) => string(value),
        Value::Null | Value::List(_) | Value::Object(_) => "null".to_owned(),
    }
}

/// A string with its quotes.
pub(crate) fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn separate(number: usize, depth: Option<usize>, text: &mut String) {
    if number > 0 {
        text.push(',');
    }
    end_line(depth, text);
}

fn end_line(depth: Option<usize>, text: &mut String) {
    if let Some(depth) = depth {
        text.push('\n');
        text.push_str(&"  ".repeat(depth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tree;

    const TEXT: &str = r#"{"b":{"é\n":[1,-2,0.5,"x",null,true],"empty":[],"none":{}},"a":1000.0}"#;

    #[test]
    fn what_was_json_is_the_same_json_again() {
        let node = tree::parse(TEXT).map_err(|error| error.message).unwrap().remove(0);
        assert_eq!(compact(&node), TEXT);
        let again = tree::parse(&pretty(&node)).map_err(|error| error.message).unwrap().remove(0);
        assert_eq!(compact(&again), TEXT);
        assert!(pretty(&node).starts_with("{\n  \"b\": {\n    \"é\\n\": [\n      1,\n"));
    }
}
