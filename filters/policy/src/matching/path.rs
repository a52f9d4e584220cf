//! The path of a request, without query and fragment: exact, by prefix, or by template.

use crate::section::Section;

/// One of `exact`, `prefix` and `template`. Bytes are compared as they are: nothing is decoded or normalised.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum PathRule {
    Exact(Box<str>),
    /// Plain bytes, as Envoy's prefix: `/api` is also a prefix of `/apis`.
    Prefix(Box<str>),
    Template(Template),
}

const PATH: &str = "a path that starts with \"/\" and has no query, fragment or white space";
const TEMPLATE: &str =
    "a path template such as \"/orders/{id}\": each parameter is a whole segment with a name of its own";

impl PathRule {
    /// Reads the object under `path`; `None` where it is absent, or wrong.
    pub(super) fn read(section: &Section<'_>) -> Option<PathRule> {
        let exact = section.string_where("exact", is_path, PATH);
        let prefix = section.string_where("prefix", is_path, PATH);
        let template = section.string_where("template", |text| Template::parse(text).is_some(), TEMPLATE);
        section.exactly_one_of(&["exact", "prefix", "template"]);
        exact
            .map(|text| PathRule::Exact(text.into()))
            .or_else(|| prefix.map(|text| PathRule::Prefix(text.into())))
            .or_else(|| template.and_then(Template::parse).map(PathRule::Template))
    }

    pub(super) fn matches(&self, path: &[u8]) -> bool {
        let path = without_query(path);
        match self {
            PathRule::Exact(exact) => path == exact.as_bytes(),
            PathRule::Prefix(prefix) => path.starts_with(prefix.as_bytes()),
            PathRule::Template(template) => template.matches(path),
        }
    }

    pub(super) fn template(&self) -> Option<&str> {
        match self {
            PathRule::Template(template) => Some(&template.text),
            PathRule::Exact(_) | PathRule::Prefix(_) => None,
        }
    }
}

/// A path in which `{name}` stands for any one segment that is not empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Template {
    text: Box<str>,
    /// What must stand between the slashes; `None` is a parameter.
    segments: Vec<Option<Box<str>>>,
}

impl Template {
    fn parse(text: &str) -> Option<Template> {
        if !is_path(text) {
            return None;
        }
        let mut parameters = Vec::new();
        let mut segments = Vec::new();
        for segment in text.split('/') {
            let parameter = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            match parameter {
                Some(name) if is_name(name) && !parameters.contains(&name) => {
                    parameters.push(name);
                    segments.push(None);
                }
                None if !segment.contains(['{', '}']) => segments.push(Some(segment.into())),
                _ => return None,
            }
        }
        Some(Template { text: text.into(), segments })
    }

    fn matches(&self, path: &[u8]) -> bool {
        let mut segments = path.split(|byte| *byte == b'/');
        let each_matches = self.segments.iter().all(|wanted| {
            segments.next().is_some_and(|segment| match wanted {
                Some(literal) => segment == literal.as_bytes(),
                None => !segment.is_empty(),
            })
        });
        each_matches && segments.next().is_none()
    }
}

fn without_query(path: &[u8]) -> &[u8] {
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#'));
    end.and_then(|end| path.get(..end)).unwrap_or(path)
}

/// What a path without query can be; a rule with anything else would never match.
fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && !text.contains(['?', '#'])
        && !text.chars().any(|character| character.is_control() || character.is_whitespace())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{accepted, rejected};

    fn rule(fields: &str) -> PathRule {
        accepted(fields, PathRule::read).expect(fields)
    }

    #[test]
    fn a_path_matches_without_its_query_and_fragment() {
        let table: [(&str, &[&str], &[&str]); 8] = [
            (
                r#""exact": "/orders""#,
                &["/orders", "/orders?id=1", "/orders#top", "/orders?", "/orders#?"],
                &["/orders/", "/order", "/Orders", "orders", "", "?/orders", "/%6Frders"],
            ),
            (r#""prefix": "/api""#, &["/api", "/api/v1", "/apis", "/api?x"], &["/ap", "/ap?i", "/API", "", "api"]),
            (r#""prefix": "/""#, &["/", "/x"], &["", "*"]),
            (
                r#""template": "/orders/{id}""#,
                &["/orders/17", "/orders/x%2Fy?z", "/orders/{id}", "/orders/\u{fc}"],
                &["/orders", "/orders/", "/orders/?id=1", "/orders/1/", "/orders/1/items", "x/orders/1", "//orders/1"],
            ),
            (
                r#""template": "/orders/{id}/items/{item.no}""#,
                &["/orders/1/items/2"],
                &["/orders/1/items/", "/orders//items/2", "/orders/1/item/2", "/orders/1/items"],
            ),
            (r#""template": "/{a}""#, &["/x"], &["/", "", "/x/y"]),
            (r#""template": "/""#, &["/", "/?q"], &["", "/x", "//"]),
            (r#""template": "/a//{b}/""#, &["/a//b/"], &["/a/b/", "/a//b", "/a///"]),
        ];
        for (fields, matching, others) in table {
            let rule = rule(fields);
            for path in matching {
                assert!(rule.matches(path.as_bytes()), "{fields} should match {path}");
            }
            for path in others {
                assert!(!rule.matches(path.as_bytes()), "{fields} should not match {path}");
            }
        }
        assert!(rule(r#""template": "/orders/{id}""#).matches(b"/orders/\xff\x00"));
    }

    #[test]
    fn only_a_template_has_a_template_text() {
        assert_eq!(rule(r#""template": "/orders/{id}""#).template(), Some("/orders/{id}"));
        assert_eq!(rule(r#""exact": "/orders""#).template(), None);
        assert_eq!(rule(r#""prefix": "/orders""#).template(), None);
    }

    #[test]
    fn a_path_that_could_never_match_is_an_error() {
        for field in ["exact", "prefix", "template"] {
            for text in ["", "orders", "/a?b", "/a#b", "/a b", r"/a\n", "http://x/"] {
                let error = rejected(&format!(r#""{field}": "{text}""#), PathRule::read);
                assert!(error.starts_with(&format!("trace.{field}: found \"{text}\", accepted: a path")), "{error}");
            }
        }
    }

    #[test]
    fn braces_stand_for_whole_segments_with_names_of_their_own() {
        for text in
            ["/{}", "/a{id}", "/{id}b", "/{id", "/id}", "/{a}/{a}", "/{a b}", "/{{a}}", "/{a}{b}", "/{a/b}", "/{*}"]
        {
            let error = rejected(&format!(r#""template": "{text}""#), PathRule::read);
            assert_eq!(error, format!("trace.template: found \"{text}\", accepted: {TEMPLATE}"));
        }
    }

    #[test]
    fn a_path_rule_is_exactly_one_of_the_three() {
        let read = |section: &crate::Section<'_>| PathRule::read(&section.subsection("path"));
        assert_eq!(accepted("", read), None);
        assert_eq!(accepted(r#""path": null"#, read), None);
        assert_eq!(
            rejected(r#""path": {}"#, read),
            r#"trace.path: missing, accepted: one of "exact", "prefix", "template""#
        );
        assert_eq!(
            rejected(r#""path": {"exact": "/a", "prefix": "/a", "template": null}"#, read),
            r#"trace.path: found 2 of these, accepted: only one of "exact", "prefix", "template""#
        );
        assert_eq!(rejected(r#""path": "/a""#, read), "trace.path: found a string, accepted: an object");
    }
}
