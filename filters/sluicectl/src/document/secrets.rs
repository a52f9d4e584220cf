//! Which values of a policy are secrets, and documents without them.

use super::locate;
use super::tree::{Field, Node, Value};

/// Stands for a secret.
pub(crate) const HIDDEN: &str = "(a secret)";
/// Stands for a secret that is not the one on the other side of a comparison.
pub(crate) const OTHER: &str = "(another secret)";

/// Whether what stands under this path is a secret, or part of one. A field under such a name is one, wherever it is:
/// `sampling.force.secret`, `access_log.redact.hash_key`, `policy_source.etcd.password`; and so are the values of the headers
/// that a collector is sent, which are credentials.
pub(crate) fn is_secret(path: &str) -> bool {
    const NAMES: [&str; 6] = ["secret", "hash_key", "password", "token", "api_key", "credentials"];
    let mut steps = path.split(['.', '[']).map(|step| step.trim_end_matches(']').trim_matches('"'));
    let is_named = |step: &str| NAMES.iter().any(|name| step.eq_ignore_ascii_case(name));
    steps.any(is_named) || (path.contains("otlp.headers") && path.ends_with(".value"))
}

/// A copy of the document in which every secret that is written in it is hidden. Where another document is given, one that
/// differs from that one's is told from it, and no more than that.
pub(crate) fn hidden(document: &Node, other: Option<&Node>) -> Node {
    hide(document, other, "")
}

fn hide(node: &Node, other: Option<&Node>, path: &str) -> Node {
    let value = match &node.value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|field| {
                    let other = other.and_then(|other| other.get(&field.name));
                    let path = locate::join(path, &field.name);
                    Field { name: field.name.clone(), at: field.at, node: hide(&field.node, other, &path) }
                })
                .collect(),
        ),
        Value::List(items) => {
            let others = other.map(Node::items).unwrap_or_default();
            let hide_item = |(number, item)| hide(item, others.get(number), &format!("{path}[{number}]"));
            Value::List(items.iter().enumerate().map(hide_item).collect())
        }
        // The name of a variable is told by errors as well.
        _ if is_secret(path) && !path.ends_with(".env") => Value::String(veil(node, other).to_owned()),
        _ => node.clone().value,
    };
    Node { value, at: node.at }
}

fn veil(node: &Node, other: Option<&Node>) -> &'static str {
    match other {
        Some(other) if other.text() != node.text() => OTHER,
        _ => HIDDEN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{json, tree};

    fn one(text: &str) -> Node {
        tree::parse(text).map_err(|error| error.message).unwrap().remove(0)
    }

    #[test]
    fn secrets_are_known_by_their_path() {
        for path in [
            "sampling.force.secret",
            "sampling.force.secret.value",
            "access_log.redact.hash_key",
            "access_log.otlp.headers[0].value",
            "trace.spans.otlp.headers[12].value",
            "policy_source.etcd.password",
            r#"trace["Password"]"#,
        ] {
            assert!(is_secret(path), "{path}");
        }
        for path in ["sampling.force.header", "access_log.otlp.headers[0].name", "breaker.fallback.value", ""] {
            assert!(!is_secret(path), "{path}");
        }
    }

    #[test]
    fn a_hidden_secret_tells_only_whether_it_is_the_same() {
        let here =
            one("{sampling: {force: {secret: s3cr3t-1, header: x}}, a: {secret: same, token: {env: NAME}}, b: 1}");
        let there = one("{sampling: {force: {secret: s3cr3t-2}}, a: {secret: same}}");
        assert_eq!(
            json::compact(&hidden(&here, Some(&there))),
            r#"{"sampling":{"force":{"secret":"(another secret)","header":"x"}},"a":{"secret":"(a secret)","token":{"env":"NAME"}},"b":1}"#
        );
        assert!(!json::compact(&hidden(&here, None)).contains("s3cr3t"));
    }

    #[test]
    fn a_secret_of_the_wrong_kind_is_hidden_too() {
        let text = json::compact(&hidden(&one("{force: {secret: [s3cr3t-1, {x: s3cr3t-2}, 17]}}"), None));
        assert_eq!(text, r#"{"force":{"secret":["(a secret)",{"x":"(a secret)"},"(a secret)"]}}"#);
    }
}
