//! Which values of a policy are secrets, and documents without them.

use super::locate;
use super::tree::{Field, Node, Value};

/// Stands for a secret.
pub(crate) const HIDDEN: &str = "(a secret)";
/// Stands for a secret that is not the one on the other side of a comparison.
pub(crate) const OTHER: &str = "(another secret)";

/// Whether what stands under this path is a secret, or part of one. A field under such a name is one, wherever it is:
/// `sampling.force.secret`, `access_log.redact.hash_key`, `policy_source.etcd.password`; and so are the values of the headers
/// that a collector or a server of policies is sent, which are credentials.
pub(crate) fn is_secret(path: &str) -> bool {
    const NAMES: [&str; 6] = ["secret", "hash_key", "password", "token", "api_key", "credentials"];
    let mut steps = path.split(['.', '[']).map(|step| step.trim_end_matches(']').trim_matches('"'));
    let is_named = |step: &str| NAMES.iter().any(|name| step.eq_ignore_ascii_case(name));
    let is_sent = |list| path.split_once(list).is_some_and(|(_, item): (_, &str)| item.contains("].value"));
    steps.any(is_named) || is_sent("otlp.headers[") || is_sent("http.headers[")
}

/// Whether this is the path of a request of the module's own, the query of which may hold a token: `policy_source.http.path`,
/// and that of a collector.
fn is_request_path(path: &str) -> bool {
    ["http.path", "otlp.path"].iter().any(|field| path.contains(field))
}

/// Whether what stands there is a secret, or may have one in it.
pub(crate) fn may_hold_secret(path: &str, node: &Node) -> bool {
    is_secret(path) || (is_request_path(path) && node.text().is_some_and(|text| text.contains('?')))
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
        Value::String(text) if is_request_path(path) => Value::String(without_query(text, other.and_then(Node::text))),
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

/// The path of a request, and of its query the names alone.
fn without_query(text: &str, other: Option<&str>) -> String {
    let Some((path, query)) = text.split_once('?') else { return text.to_owned() };
    let mut others = other.and_then(|other| other.split_once('?')).map(|(_, query)| query.split('&'));
    let hide = |parameter: &str| {
        let other = others.as_mut().map(|others| others.next().unwrap_or_default());
        let veil = if other.is_some_and(|other| other != parameter) { OTHER } else { HIDDEN };
        match parameter.split_once('=') {
            // Behind a name; what ends in = may be all of a token.
            Some((name, value)) if !value.trim_matches('=').is_empty() => format!("{name}={veil}"),
            // Of Consul's, which must be there.
            None if parameter == "raw" => parameter.to_owned(),
            _ => veil.to_owned(),
        }
    };
    let shown: Vec<_> = query.split('&').map(hide).collect();
    format!("{path}?{}", shown.join("&"))
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
            "policy_source.http.headers[0].value",
            "policy_source.http.headers[0].value[1]",
            r#"trace["Password"]"#,
        ] {
            assert!(is_secret(path), "{path}");
        }
        for path in ["sampling.force.header", "policy_source.http.headers[0].name", "breaker.fallback.value", ""] {
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

    #[test]
    fn of_a_query_the_names_are_shown_alone() {
        let at = |path: &str| format!("{{policy_source: {{http: {{path: '{path}'}}}}}}");
        let shown = |path: &str, other: Option<&str>| {
            let other = other.map(|other| one(&at(other)));
            let shown = hidden(&one(&at(path)), other.as_ref());
            shown.dig(&["policy_source", "http", "path"]).and_then(Node::text).unwrap().to_owned()
        };
        for (path, other, wanted) in [
            ("/a", None, "/a"),
            ("/a?raw&token=s3cr3t", None, "/a?raw&token=(a secret)"),
            ("/a?raw&token=s3cr3t", Some("/b?raw&token=s3cr3t"), "/a?raw&token=(a secret)"),
            (
                "/a?raw&token=s3cr3t&dc=b",
                Some("/a?raw&token=s3cr3t-2&dc=b"),
                "/a?raw&token=(another secret)&dc=(a secret)",
            ),
            ("/a?raw&token=s3cr3t", Some("/a"), "/a?raw&token=(a secret)"),
            ("/a?raw&token=s3cr3t", Some("/a?raw"), "/a?raw&token=(another secret)"),
            // Not to be told from a token alone.
            ("/a?s3cr3t", None, "/a?(a secret)"),
            ("/a?s3cr3t==", None, "/a?(a secret)"),
            ("a?=s3cr3t?s3cr3t", None, "a?=(a secret)"),
        ] {
            assert_eq!(shown(path, other), wanted, "{path}");
        }
        let others = one(
            "{trace: {spans: {otlp: {path: '/v1?s3cr3t'}}}, match: {path: {exact: '/a?b'}}, http: {path: ['/?s3cr3t']}}",
        );
        let others = json::compact(&hidden(&others, None));
        assert!(!others.contains("s3cr3t") && others.contains("/a?b"), "{others}");
    }
}
