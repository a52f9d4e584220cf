//! What the policy calls the route of a request.

use sluicegate_policy::{RequestView, Rules, Section};

/// The path templates of the policy: `access_log.routes`, which log records and spans share.
#[derive(Clone, Debug, Default)]
pub struct Routes(Rules<()>);

impl Routes {
    /// Reads the list `routes` of the section `access_log`: `[{ match: { path: { template } } }]`, the first that matches
    /// wins.
    pub fn read(access_log: &Section<'_>) -> Routes {
        Routes(access_log.rules("routes", read_route))
    }

    /// The headers that the routes look at.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        self.0.header_names()
    }

    /// The template of the route that the request takes: OpenTelemetry's `http.route`, `/users/{id}`.
    pub fn template(&self, request: &dyn RequestView) -> Option<&str> {
        self.0.first_match(request).and_then(|(matcher, ())| matcher.template())
    }
}

fn read_route(rule: &Section<'_>) {
    if rule.matcher("match").template().is_none() {
        let accepted = "a match with a path template, such as { path: { template: \"/users/{id}\" } }";
        rule.reject_as("match", "no path template", accepted);
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use sluicegate_host::HeaderMap;
    use sluicegate_policy::Document;

    #[test]
    fn the_first_route_that_matches_names_the_request() {
        let policy = br#"{"version": "1.0", "access_log": {"routes": [
            {"match": {"path": {"template": "/users/me"}}},
            {"match": {"path": {"template": "/users/{id}"}, "method": "GET"}}]}}"#;
        let document = Document::parse(policy, &|_| None).unwrap();
        let routes = Routes::read(&document.section("access_log"));
        document.finish().unwrap();
        let template = |method: &str, path: &str| {
            routes.template(&HeaderMap::from_pairs(&[(":method", method), (":path", path)])).map(str::to_owned)
        };
        assert_eq!(template("GET", "/users/me?x").as_deref(), Some("/users/me"));
        assert_eq!(template("GET", "/users/7").as_deref(), Some("/users/{id}"));
        assert_eq!(template("POST", "/users/7"), None);
    }

    #[test]
    fn a_route_without_a_template_names_nothing() {
        let policy = br#"{"version": "1.0", "access_log": {"routes": [{"match": {"path": {"prefix": "/"}}}]}}"#;
        let document = Document::parse(policy, &|_| None).unwrap();
        Routes::read(&document.section("access_log"));
        let errors = document.finish().unwrap_err().to_string();
        assert!(errors.starts_with("access_log.routes[0].match: found no path template"), "{errors}");
    }
}
