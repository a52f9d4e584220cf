//! Which breaker a request meets: by what, and by which value of it.

use super::rules::{Hit, Seen};
use sluicegate_policy::{Document, RequestView, Section};

/// `cluster "payments"`, by the rule that the request is for or by the section.
pub(super) fn key(document: &Document<'_>, hit: Hit, seen: &Seen<'_>) -> String {
    let section = document.section("breaker");
    let rules = section.items("rules");
    let rule = match hit {
        Hit::Rule(number) => rules.get(number).and_then(|rule| per(rule, seen)),
        Hit::None(_) | Hit::Empty => None,
    };
    rule.or_else(|| per(&section, seen)).unwrap_or_else(|| named("cluster", seen.cluster))
}

/// What a section or a rule says; `None` where it says nothing.
fn per(section: &Section<'_>, seen: &Seen<'_>) -> Option<String> {
    if let Some(key) = section.string("key") {
        return Some(named("key", key));
    }
    let header = |name: &str| {
        let value = seen.upstream.header(name).unwrap_or_default();
        String::from_utf8_lossy(&value).into_owned()
    };
    if section.is_object("per") {
        let name = section.subsection("per").string("header")?.to_ascii_lowercase();
        return Some(named(&format!("header {name}"), &header(&name)));
    }
    match section.string("per")? {
        "route" => Some(named("route", seen.route)),
        "host" => Some(named("host", &header(":authority").to_ascii_lowercase())),
        _ => Some(named("cluster", seen.cluster)),
    }
}

fn named(what: &str, name: &str) -> String {
    format!("{what} {name:?}")
}
