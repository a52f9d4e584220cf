//! Match rules: which requests something is meant for. The same in every section of the policy.

mod header;
mod host;
mod path;
mod rules;

use std::borrow::Cow;
use std::hash::Hash;

use crate::Fnv;
use crate::section::Section;
use header::HeaderRule;
use host::HostRule;
use path::PathRule;
pub use rules::Rules;

/// A request as a match rule sees it. A rule asks only for the parts that it names, and for each at most once, so a view
/// may fetch them when asked; a view over many rules should keep what it fetched.
pub trait RequestView {
    /// `:authority`, or `host` where there is no such: a host and perhaps a port.
    fn authority(&self) -> Option<Cow<'_, [u8]>> {
        self.header(":authority")
    }

    /// `:path`: with the query, as the client sent it.
    fn path(&self) -> Option<Cow<'_, [u8]>> {
        self.header(":path")
    }

    /// `:method`.
    fn method(&self) -> Option<Cow<'_, [u8]>> {
        self.header(":method")
    }

    /// The value of the header with this lower-case name, those that HTTP/2 writes with a colon included; where it is
    /// repeated, the values joined by commas, as Envoy's own rules see them.
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>>;
}

/// A match rule, compiled: `{ host, path: {exact|prefix|template}, method, headers: [{name, exact|prefix|present}] }`.
/// All parts are optional and joined by AND; a rule without any matches every request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Matcher {
    host: Option<HostRule>,
    path: Option<PathRule>,
    /// Empty: any method.
    methods: Vec<Box<str>>,
    headers: Vec<HeaderRule>,
}

/// The most header conditions of one rule: each may cost a call to the host, on every request.
const MAX_HEADERS: usize = 32;

const METHOD: &str = "an HTTP method in upper case";

impl Matcher {
    pub(crate) fn read(section: &Section<'_>) -> Matcher {
        Matcher {
            host: HostRule::read(section, "host"),
            path: PathRule::read(&section.subsection("path")),
            methods: read_methods(section),
            headers: section.items_up_to("headers", MAX_HEADERS).iter().filter_map(HeaderRule::read).collect(),
        }
    }

    /// Whether the request matches. Values are compared as bytes: no input is too broken to be matched.
    pub fn matches(&self, request: &dyn RequestView) -> bool {
        self.matches_method(request)
            && self.path.as_ref().is_none_or(|rule| request.path().is_some_and(|path| rule.matches(&path)))
            && self.host.as_ref().is_none_or(|rule| request.authority().is_some_and(|host| rule.matches(&host)))
            && self.headers.iter().all(|rule| rule.matches(request))
    }

    /// Tells the rule from others, whatever its place among them; the same in every VM that runs this release.
    pub fn identity(&self) -> u64 {
        let mut fnv = Fnv::new();
        self.hash(&mut fnv);
        fnv.value()
    }

    /// The headers that the rule looks at, in lower case; some of them more than once.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        let method = (!self.methods.is_empty()).then_some(":method");
        let path = self.path.as_ref().map(|_| ":path");
        let host = self.host.as_ref().map(|_| ":authority");
        [method, path, host].into_iter().flatten().chain(self.headers.iter().map(HeaderRule::name))
    }

    /// The text of the rule's path template, such as `/orders/{id}`: OpenTelemetry's `http.route`. `None` where the rule
    /// has no template.
    pub fn template(&self) -> Option<&str> {
        self.path.as_ref().and_then(PathRule::template)
    }

    fn matches_method(&self, request: &dyn RequestView) -> bool {
        self.methods.is_empty()
            || request.method().is_some_and(|method| self.methods.iter().any(|rule| rule.as_bytes() == &*method))
    }
}

fn read_methods(section: &Section<'_>) -> Vec<Box<str>> {
    match section.strings_where("method", is_method, METHOD) {
        None => Vec::new(),
        Some(methods) => {
            if methods.is_empty() {
                section.reject("method", "at least one method; leave the field out for any");
            }
            methods.into_iter().map(Box::from).collect()
        }
    }
}

/// A token (RFC 9110 §9.1). Methods are case-sensitive and the registered ones are in upper case, so lower case is a
/// mistake that would never match.
fn is_method(text: &str) -> bool {
    is_token(text.as_bytes()) && !text.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// The name of a header (RFC 9110 §5.1), of either case, at most 128 characters.
pub fn is_header_name(name: &str) -> bool {
    name.len() <= 128 && is_token(name.as_bytes())
}

/// A token (RFC 9110 §5.6.2): what the name of a method, of a header or of a member of baggage is made of.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{Request, accepted, rejected};

    fn matcher(rule: &str) -> Matcher {
        accepted(&format!("\"match\": {rule}"), |section| section.matcher("match"))
    }

    #[test]
    fn a_rule_without_parts_matches_every_request() {
        let empty = Request::default();
        let usual = Request::to("example.com", "/");
        for rule in
            ["{}", "null", r#"{"host": null, "path": null, "method": null, "headers": null}"#, r#"{"headers": []}"#]
        {
            assert_eq!(matcher(rule), Matcher::default());
            assert!(matcher(rule).matches(&empty) && matcher(rule).matches(&usual));
        }
        assert_eq!(accepted("", |section| section.matcher("match")), Matcher::default());
    }

    #[test]
    fn a_rule_is_told_by_what_it_says() {
        let rules = [
            "{}",
            r#"{"host": "a"}"#,
            r#"{"path": {"exact": "/a"}}"#,
            r#"{"path": {"prefix": "/a"}}"#,
            r#"{"path": {"template": "/a/{b}"}}"#,
            r#"{"path": {"template": "/a/{c}"}}"#,
            r#"{"method": "GET"}"#,
            r#"{"method": ["GET", "PUT"]}"#,
            r#"{"headers": [{"name": "a", "exact": "b"}]}"#,
            r#"{"headers": [{"name": "a", "present": true}]}"#,
            r#"{"headers": [{"name": "a", "present": false}]}"#,
        ];
        let identities: std::collections::BTreeSet<_> = rules.iter().map(|rule| matcher(rule).identity()).collect();
        assert_eq!(identities.len(), rules.len());
        assert_eq!(matcher(rules[3]).identity(), matcher(rules[3]).identity());
    }

    #[test]
    fn a_rule_names_the_headers_that_it_looks_at() {
        let names = |rule: &str| matcher(rule).header_names().map(str::to_owned).collect::<Vec<_>>();
        assert!(names("{}").is_empty());
        let all =
            r#"{"host": "a", "path": {"exact": "/"}, "method": "GET", "headers": [{"name": "X-A", "exact": ""}]}"#;
        assert_eq!(names(all), [":method", ":path", ":authority", "x-a"]);
    }

    #[test]
    fn the_parts_are_joined_by_and() {
        let rule = matcher(
            r#"{"host": "shop.example.com", "path": {"prefix": "/orders"}, "method": ["POST", "PUT"],
                "headers": [{"name": "x-tier", "exact": "gold"}, {"name": "x-test", "present": false}]}"#,
        );
        let good =
            Request::to("shop.example.com:8080", "/orders/1?x").with_method("PUT").with_header("x-tier", b"gold");
        assert!(rule.matches(&good));
        let bad = [
            Request { authority: Some("example.com".into()), ..good.clone() },
            Request { authority: None, ..good.clone() },
            Request { path: Some("/".into()), ..good.clone() },
            Request { path: None, ..good.clone() },
            Request { headers: Vec::new(), ..good.clone() },
            good.clone().with_method("GET"),
            Request { method: None, ..good.clone() },
            good.clone().with_header("x-test", b""),
        ];
        for (number, request) in bad.iter().enumerate() {
            assert!(!rule.matches(request), "number {number}");
        }
    }

    #[test]
    fn a_request_without_a_part_does_not_match_a_rule_about_it() {
        for rule in [
            r#"{"host": "a"}"#,
            r#"{"path": {"prefix": "/"}}"#,
            r#"{"method": "GET"}"#,
            r#"{"headers": [{"name": "a", "present": true}]}"#,
        ] {
            assert!(!matcher(rule).matches(&Request::default()), "{rule}");
        }
    }

    #[test]
    fn methods_are_compared_as_they_are() {
        let rule = matcher(r#"{"method": "M-SEARCH"}"#);
        for (method, matches) in [("M-SEARCH", true), ("m-search", false), ("M-SEARCH ", false), ("", false)] {
            assert_eq!(rule.matches(&Request::to("a", "/").with_method(method)), matches, "{method:?}");
        }
    }

    #[test]
    fn errors_name_the_part() {
        let table = [
            (r#"{"host": "*"}"#, r#"trace.match.host: found "*", accepted: a host name such as"#),
            (
                r#"{"method": "get"}"#,
                r#"trace.match.method: found "get", accepted: an HTTP method in upper case, or a list of such"#,
            ),
            (
                r#"{"method": ["GET", "G T"]}"#,
                r#"trace.match.method[1]: found "G T", accepted: an HTTP method in upper case"#,
            ),
            (
                r#"{"method": ["GET", "GET"]}"#,
                r#"trace.match.method[1]: found "GET" a second time, accepted: each only once"#,
            ),
            (r#"{"method": []}"#, "trace.match.method: found an empty list, accepted: at least one method"),
            (r#"{"headers": {"name": "x"}}"#, "trace.match.headers: found an object, accepted: a list of objects"),
            (
                r#"{"headers": [{"name": "x"}]}"#,
                r#"trace.match.headers[0]: missing, accepted: one of "exact", "prefix", "present""#,
            ),
            (
                r#"{"paths": {}}"#,
                "trace.match.paths: unknown field, accepted: host, path, method, headers; did you mean path?",
            ),
            (
                r#"{"path": {"regex": "x", "exact": "/"}}"#,
                "trace.match.path.regex: unknown field, accepted: exact, prefix, template",
            ),
            (r#""/orders""#, "trace.match: found a string, accepted: an object"),
        ];
        for (rule, start) in table {
            let error = rejected(&format!("\"match\": {rule}"), |section| section.matcher("match"));
            assert!(error.starts_with(start), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn header_conditions_are_limited() {
        let rule = |count: usize| {
            format!(r#""match": {{"headers": [{}]}}"#, vec![r#"{"name":"x","present":true}"#; count].join(","))
        };
        accepted(&rule(32), |section| section.matcher("match"));
        assert_eq!(
            rejected(&rule(33), |section| section.matcher("match")),
            "trace.match.headers: found a list of 33, accepted: at most 32"
        );
    }
}
