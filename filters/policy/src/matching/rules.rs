//! An ordered list of match rules: the first that matches wins.

use super::{Matcher, RequestView};

/// Rules in the order of the document, each with what holds for the requests that it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules<T> {
    rules: Vec<(Matcher, T)>,
}

impl<T> Rules<T> {
    /// What the first rule that matches has for this request.
    pub fn first(&self, request: &dyn RequestView) -> Option<&T> {
        self.first_match(request).map(|(_, value)| value)
    }

    /// As [`Rules::first`], together with the rule, for its [`Matcher::template`].
    pub fn first_match(&self, request: &dyn RequestView) -> Option<(&Matcher, &T)> {
        self.rules.iter().find(|(matcher, _)| matcher.matches(request)).map(|(matcher, value)| (matcher, value))
    }

    /// What every rule that matches has for this request, in order: for rules that have conditions of their own besides.
    pub fn all<'r>(&'r self, request: &'r dyn RequestView) -> impl Iterator<Item = &'r T> {
        self.rules.iter().filter(move |(matcher, _)| matcher.matches(request)).map(|(_, value)| value)
    }

    /// The same rules with something else for what they hold.
    pub fn map<U>(self, mut make: impl FnMut(&Matcher, T) -> U) -> Rules<U> {
        let each = |(matcher, value)| {
            let made = make(&matcher, value);
            (matcher, made)
        };
        Rules { rules: self.rules.into_iter().map(each).collect() }
    }

    /// The headers that the rules look at, in lower case; some of them more than once.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|(matcher, _)| matcher.header_names())
    }

    /// Whether there are no rules at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// What the rules hold, in order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.rules.iter().map(|(_, value)| value)
    }
}

/// No rules: nothing matches.
impl<T> Default for Rules<T> {
    fn default() -> Rules<T> {
        Rules { rules: Vec::new() }
    }
}

impl<T> FromIterator<(Matcher, T)> for Rules<T> {
    fn from_iter<I: IntoIterator<Item = (Matcher, T)>>(rules: I) -> Rules<T> {
        Rules { rules: rules.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{Request, accepted, rejected};

    const RULES: &str = r#""rules": [
        {"match": {"path": {"template": "/orders/{id}"}, "method": "POST"}, "rate": 0.1},
        {"match": {"path": {"prefix": "/orders"}}, "rate": 0.2},
        {"match": {"host": "*.example.com"}, "rate": 0.3}
    ]"#;

    fn rates(section: &crate::Section<'_>) -> Rules<Option<f64>> {
        section.rules("rules", |rule| rule.required().fraction("rate"))
    }

    #[test]
    fn the_first_rule_that_matches_wins() {
        let rules = accepted(RULES, rates);
        assert_eq!(rules.len(), 3);
        let table = [
            (Request::to("a.example.com", "/orders/1").with_method("POST"), Some(0.1), Some("/orders/{id}")),
            (Request::to("a.example.com", "/orders/1"), Some(0.2), None),
            (Request::to("a.example.com", "/"), Some(0.3), None),
            (Request::to("example.com", "/"), None, None),
        ];
        for (request, rate, template) in table {
            assert_eq!(rules.first(&request).copied().flatten(), rate);
            assert_eq!(rules.first_match(&request).and_then(|(matcher, _)| matcher.template()), template);
        }
        assert_eq!(rules.values().copied().collect::<Vec<_>>(), [Some(0.1), Some(0.2), Some(0.3)]);
    }

    #[test]
    fn what_rules_hold_can_be_made_into_something_else() {
        let rules = accepted(RULES, rates).map(|matcher, rate| (matcher.template().is_some(), rate));
        assert_eq!(rules.first(&Request::to("a", "/orders/7")), Some(&(false, Some(0.2))));
        assert_eq!(rules.first(&Request::to("a", "/orders/7").with_method("POST")), Some(&(true, Some(0.1))));
    }

    #[test]
    fn all_rules_that_match_come_in_order() {
        let rules = accepted(RULES, rates);
        let request = Request::to("shop.example.com", "/orders/7");
        let rates: Vec<_> = rules.all(&request).copied().collect();
        assert_eq!(rates, [Some(0.2), Some(0.3)]);
    }

    #[test]
    fn without_rules_nothing_matches() {
        for rules in [Rules::default(), accepted("", rates), accepted(r#""rules": []"#, rates)] {
            assert!(rules.is_empty());
            assert_eq!(rules.first(&Request::to("a", "/")), None);
        }
    }

    #[test]
    fn a_rule_without_match_is_for_every_request() {
        let rules = accepted(r#""rules": [{"rate": 1}]"#, rates);
        assert_eq!(rules.first(&Request::default()), Some(&Some(1.0)));
    }

    #[test]
    fn an_error_names_the_rule() {
        let error = rejected(
            r#""rules": [{"rate": 1}, {"match": {"path": {"template": "orders"}, "hots": "x"}, "rate": 2}, {}, "x"]"#,
            rates,
        );
        let starts = [
            r#"trace.rules[3]: found a string, accepted: an object"#,
            r#"trace.rules[1].match.path.template: found "orders", accepted: a path template"#,
            r#"trace.rules[1].rate: found 2, accepted: a fraction from 0 to 1"#,
            r#"trace.rules[2].rate: missing, accepted: a fraction from 0 to 1"#,
            r#"trace.rules[1].match.hots: unknown field, accepted: host, path, method, headers; did you mean host?"#,
        ];
        assert_eq!(error.lines().count(), starts.len(), "{error}");
        for (line, start) in error.lines().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
    }

    #[test]
    fn a_thousand_rules_are_enough() {
        let rules = |count: usize| format!("\"rules\": [{}]", vec![r#"{"rate":1}"#; count].join(","));
        assert_eq!(accepted(&rules(1_000), rates).len(), 1_000);
        assert_eq!(rejected(&rules(1_001), rates), "trace.rules: found a list of 1001, accepted: at most 1000");
    }
}
