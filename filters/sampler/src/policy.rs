//! The section `sampling` of the policy.
//!
//! | field | type, unit | default | range |
//! |---|---|---|---|
//! | `enabled` | boolean | `true` | |
//! | `direction` | direction or list of such | all | `inbound`, `outbound`, `gateway` |
//! | `target_qps` | number, requests recorded per second by this proxy | `100` | 0.01 to 1,000,000 |
//! | `min` | fraction, the least probability | `0.01` | 0 to 1, not above `max` |
//! | `max` | fraction, the greatest probability | `1.0` | 0 to 1 |
//! | `error_weight` | number; below 0 errors raise the probability | `2.0` | -100 to 100 |
//! | `window` | duration, whole seconds | `"60s"` | 5s to 10m |
//! | `per` | what has a target of its own | `"all"` | `all`, `route`, `handler` |
//! | `key` | what decides by chance | `"trace_id"` | `trace_id`, `request_id` |
//! | `parent` | what the caller's decision means | `"respect"` | `respect`, `ignore`, `at_most` |
//! | `max_keys` | whole number, windows at the same time | `1024` | 1 to 2,048 |
//! | `errors` | status, class or gRPC code, or list of such | `"5xx"` and the gRPC codes by which a service failed | |
//! | `rules` | list of rules, the first that matches wins | none | at most 1,000 |
//! | `rules[].match` | match rule | matches all | |
//! | `rules[].always`, `.never` | `true` | | one of the four in each rule |
//! | `rules[].rate` | fraction recorded | | 0 to 1 |
//! | `rules[].target_qps` | number, as above, for the requests of this rule | | |
//! | `rules[].min`, `.max`, `.error_weight`, `.window`, `.per` | as above, beside `target_qps` | the section's; `per`: `"all"` | |
//! | `force.header` | header name | `"x-sluicegate-force"` | |
//! | `force.secret` | secret, at least 16 bytes that can stand in a header | required in `force` | |
//! | `force.budget_per_second` | whole number, requests per second and worker | `10` | 1 to 10,000 |

use crate::carriers::Carriers;
use crate::decision::ParentMode;
use crate::errors::Errors;
use crate::force::ForcePolicy;
use crate::randomness::Key;
use sluicegate_host::{RequestId, SamplingFacts};
use sluicegate_policy::{Directions, Document, Rules, Section, is_context_header, is_header_name, is_standard_header};
use sluicegate_telemetry::Routes;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The whole section.
#[derive(Clone, Debug)]
pub(crate) struct SamplingPolicy {
    /// `enabled`, but never beside the proxy's own tracer: off means that nothing is decided or written here.
    pub(crate) enabled: bool,
    /// `direction`: where requests are decided on.
    pub(crate) directions: Directions,
    /// For requests that no rule matches.
    pub(crate) target: Target,
    /// `rules`.
    pub(crate) rules: Rules<Rule>,
    /// `key`.
    pub(crate) key: Key,
    /// `parent`.
    pub(crate) parent: ParentMode,
    /// `max_keys`: so many windows are kept; what has none of its own shares that of its rule.
    pub(crate) max_keys: usize,
    /// `errors`.
    pub(crate) errors: Errors,
    /// `force`; `None` where nobody may.
    pub(crate) force: Option<ForcePolicy>,
    /// `access_log.routes`: the path templates that name handlers of HTTP.
    pub(crate) routes: Routes,
    /// `trace.request_id.header`, in lower case: where the request's id stands, if another plugin put it there.
    pub(crate) request_id_header: String,
    /// `trace.inject`: what else than W3C's headers is to follow the decision.
    pub(crate) carriers: Carriers,
}

/// What is done with the requests that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    Always,
    Never,
    /// A fraction, 0 to 1.
    Rate(f64),
    Adaptive(Target),
}

/// How many requests are to be recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Target {
    /// Requests per second.
    pub(crate) qps: f64,
    /// The least probability, 0 to `max`.
    pub(crate) min: f64,
    /// The greatest probability, up to 1.
    pub(crate) max: f64,
    /// How much the rate of errors lowers the probability; below 0 it raises it.
    pub(crate) error_weight: f64,
    /// How long load and errors are remembered, in seconds.
    pub(crate) window: u16,
    /// What has this target for itself.
    pub(crate) per: Per,
}

/// What has a target for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Per {
    /// All requests that the target is for share it.
    All,
    /// Each route of the proxy, by its name (`xds.route_name`).
    Route,
    /// Each handler of the service: for gRPC its service and method (`/shop.Cart/Add`, which is the path), for HTTP the
    /// method and the path's template, by the rule or by `access_log.routes`, or else the path without its query.
    Handler,
}

const KEYS: [(&str, Key); 2] = [("trace_id", Key::TraceId), ("request_id", Key::RequestId)];

const PARENTS: [(&str, ParentMode); 3] =
    [("respect", ParentMode::Respect), ("ignore", ParentMode::Ignore), ("at_most", ParentMode::AtMost)];

const PERS: [(&str, Per); 3] = [("all", Per::All), ("route", Per::Route), ("handler", Per::Handler)];

const TARGET: RangeInclusive<f64> = 0.01..=1_000_000.0;
const ERROR_WEIGHT: RangeInclusive<f64> = -100.0..=100.0;
const WINDOW: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(600);
const MAX_KEYS: RangeInclusive<u64> = 1..=2_048;
const BUDGET: RangeInclusive<u64> = 1..=10_000;

const DEFAULT: Target = Target { qps: 100.0, min: 0.01, max: 1.0, error_weight: 2.0, window: 60, per: Per::All };
const DEFAULT_MAX_KEYS: usize = 1_024;
const DEFAULT_BUDGET: u32 = 10;
const DEFAULT_FORCE: &str = "x-sluicegate-force";
/// Trace-context's, for `trace.observe.header`.
const DEFAULT_OBSERVE: &str = "x-sluicegate-trace-id";

/// In bytes. A shorter secret could be guessed, and then anybody floods the backend.
const LEAST_SECRET: usize = 16;

impl SamplingPolicy {
    /// Reads every field, and leaves what is wrong in the document.
    pub(crate) fn read(document: &Document<'_>) -> SamplingPolicy {
        let section = document.section("sampling");
        let target = read_target(&section, section.number("target_qps", TARGET).unwrap_or(DEFAULT.qps), DEFAULT);
        let max_keys = section.integer("max_keys", MAX_KEYS).and_then(|keys| usize::try_from(keys).ok());
        let request_id_header = RequestId::header(document);
        let enabled = section.boolean("enabled").unwrap_or(true);
        let observes = SamplingFacts::is_the_proxys(document);
        if observes && enabled && section.is_given() {
            section.warn("enabled", "has no effect: with `trace.mode: observe` the proxy's own tracer samples");
        }
        SamplingPolicy {
            enabled: enabled && !observes,
            directions: section.directions("direction").unwrap_or(Directions::ALL),
            target,
            rules: section.rules("rules", |rule| read_rule(rule, target)),
            key: section.choice("key", &KEYS).unwrap_or(Key::TraceId),
            parent: section.choice("parent", &PARENTS).unwrap_or(ParentMode::Respect),
            max_keys: max_keys.unwrap_or(DEFAULT_MAX_KEYS),
            errors: read_errors(&section),
            force: read_force(document, &section.subsection("force"), &request_id_header),
            routes: Routes::read(&document.neighbour("access_log")),
            request_id_header,
            carriers: Carriers::read(document),
        }
    }
}

/// The fields beside `target_qps`; what is not given is as in `defaults`.
fn read_target(section: &Section<'_>, qps: f64, defaults: Target) -> Target {
    let (min, max) = (section.fraction("min"), section.fraction("max"));
    let target = Target {
        qps,
        min: min.unwrap_or(defaults.min),
        max: max.unwrap_or(defaults.max),
        error_weight: section.number("error_weight", ERROR_WEIGHT).unwrap_or(defaults.error_weight),
        window: read_window(section).unwrap_or(defaults.window),
        per: section.choice("per", &PERS).unwrap_or(Per::All),
    };
    match (min, max) {
        _ if target.min <= target.max => {}
        (Some(_), _) => section.reject("min", "a fraction not above `max`"),
        (None, Some(_)) => section.reject("max", "a fraction not below `min`, or a smaller `min` beside it"),
        // The section is wrong, and says so itself.
        (None, None) => {}
    }
    target
}

fn read_window(section: &Section<'_>) -> Option<u16> {
    let window = section.duration("window", WINDOW)?;
    if window.subsec_nanos() != 0 {
        section.reject("window", "whole seconds, such as \"60s\"");
    }
    u16::try_from(window.as_secs()).ok()
}

fn read_rule(rule: &Section<'_>, defaults: Target) -> Rule {
    rule.exactly_one_of(&["always", "never", "rate", "target_qps"]);
    let always = read_true(rule, "always");
    let never = read_true(rule, "never");
    let rate = rule.fraction("rate");
    let qps = rule.number("target_qps", TARGET);
    if !always && !never && rate.is_none() {
        return Rule::Adaptive(read_target(rule, qps.unwrap_or(defaults.qps), defaults));
    }
    refuse_target_fields(rule);
    match rate {
        _ if always => Rule::Always,
        _ if never => Rule::Never,
        rate => Rule::Rate(rate.unwrap_or_default()),
    }
}

/// A rule says what it does, not what it does not do.
fn read_true(rule: &Section<'_>, name: &'static str) -> bool {
    let value = rule.boolean(name);
    if value == Some(false) {
        rule.reject(name, "true; leave the field out for a rule that does something else");
    }
    value == Some(true)
}

fn refuse_target_fields(rule: &Section<'_>) {
    let given = [
        ("min", rule.fraction("min").is_some()),
        ("max", rule.fraction("max").is_some()),
        ("error_weight", rule.number("error_weight", ERROR_WEIGHT).is_some()),
        ("window", rule.duration("window", WINDOW).is_some()),
        ("per", rule.choice("per", &PERS).is_some()),
    ];
    for (name, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
        rule.reject(name, "nothing, since this rule follows no load: only beside `target_qps`");
    }
}

fn read_errors(section: &Section<'_>) -> Errors {
    section
        .strings_where("errors", Errors::is_one, Errors::ACCEPTED)
        .map_or_else(Errors::default, |texts| Errors::of(&texts))
}

fn read_force(document: &Document<'_>, section: &Section<'_>, request_id_header: &str) -> Option<ForcePolicy> {
    let trace = document.neighbour("trace");
    let observe = trace.subsection("observe").string("header").unwrap_or(DEFAULT_OBSERVE);
    let published = trace.subsection("baggage").strings_by_name("from_headers").unwrap_or_default();
    let is_free = |name: &str| {
        let mut taken = [request_id_header, observe].into_iter().chain(published.iter().map(|entry| entry.value));
        may_be_taken_away(name) && !taken.any(|taken| taken.eq_ignore_ascii_case(name))
    };
    let header = section.string_where("header", is_free, A_HEADER_TO_TAKE_AWAY);
    let budget = section.integer("budget_per_second", BUDGET).and_then(|budget| u32::try_from(budget).ok());
    if !section.is_given() {
        return None;
    }
    if header.is_none() && !is_free(DEFAULT_FORCE) {
        section.reject("header", A_HEADER_TO_TAKE_AWAY);
    }
    Some(ForcePolicy {
        header: header.unwrap_or(DEFAULT_FORCE).to_ascii_lowercase(),
        secret: section.required().header_secret("secret", LEAST_SECRET)?,
        budget: budget.unwrap_or(DEFAULT_BUDGET),
    })
}

/// What a header is that nobody but us needs, for people.
const A_HEADER_TO_TAKE_AWAY: &str = "an HTTP header name (RFC 9110 §5.1) of its own, since the filter takes it away: not \
    one that frames, routes, authorises or dates, nor one of a trace context, a request id or baggage";

fn may_be_taken_away(name: &str) -> bool {
    is_header_name(name) && !is_standard_header(name) && !is_context_header(name)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use sluicegate_host::{GrpcStatus, HeaderMap};
    use sluicegate_policy::Direction;

    const SECRET: &str = "correct horse battery";

    /// The section as it is read, and what is wrong with it.
    fn reading(section: &str) -> (SamplingPolicy, String) {
        let text =
            format!(r#"{{"version": "1.0", "sampling": {section}, "trace": {{"request_id": {{"header": "X-Id"}}}}}}"#);
        let document = Document::parse(text.as_bytes(), &|_| None).unwrap();
        let policy = SamplingPolicy::read(&document);
        // Its own filter reads it.
        document.section("trace").subsection("request_id").string("header");
        (policy, document.finish().map_or_else(|errors| errors.to_string(), |warnings| warnings.join("\n")))
    }

    fn accepted(section: &str) -> SamplingPolicy {
        let (policy, complaints) = reading(section);
        assert_eq!(complaints, "", "{section}");
        policy
    }

    fn rules(rules: &str) -> Vec<Rule> {
        accepted(&format!(r#"{{"window": "30s", "min": 0.2, "max": 0.9, "error_weight": -1, "rules": {rules}}}"#))
            .rules
            .values()
            .copied()
            .collect()
    }

    #[test]
    fn every_field_has_its_default() {
        let policy = accepted("{}");
        assert!(policy.enabled);
        assert_eq!(policy.directions, Directions::ALL);
        assert_eq!(policy.target, DEFAULT);
        assert!(policy.rules.is_empty());
        assert_eq!((policy.key, policy.parent), (Key::TraceId, ParentMode::Respect));
        assert_eq!((policy.max_keys, policy.force), (1_024, None));
        assert_eq!(policy.errors, Errors::default());
        assert_eq!(policy.request_id_header, "x-id");
        let nothing = Document::parse(br#"{"version": "1.0"}"#, &|_| None).unwrap();
        let policy = SamplingPolicy::read(&nothing);
        assert!(nothing.finish().is_ok() && policy.enabled);
        assert_eq!(policy.request_id_header, "x-request-id");
    }

    #[test]
    fn every_field_may_be_given() {
        let policy = accepted(
            r#"{
            "enabled": false, "direction": "inbound", "target_qps": 12.5, "min": 0, "max": 0.5, "error_weight": -4,
            "window": "5m", "per": "handler", "key": "request_id", "parent": "at_most", "max_keys": 10,
            "errors": ["5xx", "429", "UNAVAILABLE"], "rules": [{"match": {}, "never": true}],
            "force": {"header": "X-Debug", "secret": "correct horse battery", "budget_per_second": 3}
        }"#,
        );
        assert!(!policy.enabled);
        assert_eq!(policy.directions, Directions::NONE.with(Direction::Inbound));
        let target = Target { qps: 12.5, min: 0.0, max: 0.5, error_weight: -4.0, window: 300, per: Per::Handler };
        assert_eq!(policy.target, target);
        assert_eq!((policy.key, policy.parent), (Key::RequestId, ParentMode::AtMost));
        assert_eq!(policy.max_keys, 10);
        assert!(policy.errors.contain(Some(200), Some(GrpcStatus::Unavailable)));
        assert!(!policy.errors.contain(Some(200), Some(GrpcStatus::Internal)));
        let force = policy.force.unwrap();
        assert_eq!((force.header.as_str(), force.budget), ("x-debug", 3));
        assert!(force.secret.matches(SECRET.as_bytes()));
        let force = accepted(r#"{"force": {"secret": "correct horse battery"}}"#).force.unwrap();
        assert_eq!((force.header.as_str(), force.budget), ("x-sluicegate-force", 10));
    }

    #[test]
    fn a_rule_does_one_thing_and_takes_from_the_section_what_it_does_not_say() {
        let target = |qps| Target { qps, min: 0.2, max: 0.9, error_weight: -1.0, window: 30, per: Per::All };
        let read = rules(
            r#"[{"always": true}, {"never": true}, {"rate": 0.05}, {"rate": 0}, {"target_qps": 5},
                {"target_qps": 7, "min": 0.3, "max": 0.4, "error_weight": 1, "window": "10s", "per": "route"}]"#,
        );
        let own = Target { qps: 7.0, min: 0.3, max: 0.4, error_weight: 1.0, window: 10, per: Per::Route };
        let expected = [
            Rule::Always,
            Rule::Never,
            Rule::Rate(0.05),
            Rule::Rate(0.0),
            Rule::Adaptive(target(5.0)),
            Rule::Adaptive(own),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let policy = accepted(
            r#"{"rules": [
                {"match": {"path": {"exact": "/healthz"}}, "never": true},
                {"match": {"path": {"prefix": "/payment"}}, "always": true},
                {"match": {"method": "GET"}, "rate": 0.5}]}"#,
        );
        let rule = |path| policy.rules.first(&HeaderMap::from_pairs(&[(":method", "GET"), (":path", path)])).copied();
        assert_eq!(rule("/healthz"), Some(Rule::Never));
        assert_eq!(rule("/payment/7"), Some(Rule::Always));
        assert_eq!(rule("/"), Some(Rule::Rate(0.5)));
        assert_eq!(policy.rules.first(&HeaderMap::from_pairs(&[(":method", "PUT"), (":path", "/")])), None);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path_and_what_would_be_right() {
        for (section, expected) in [
            (r#"{"enabled": "yes"}"#, r#"sampling.enabled: found "yes", accepted: true or false"#),
            (r#"{"direction": []}"#, "sampling.direction: found an empty list"),
            (r#"{"target_qps": 0}"#, "sampling.target_qps: found 0, accepted: a number from 0.01 to 1000000"),
            (r#"{"target_qps": 1000001}"#, "sampling.target_qps: found 1000001"),
            (r#"{"min": 1.1}"#, "sampling.min: found 1.1, accepted: a fraction from 0 to 1"),
            (r#"{"max": -1}"#, "sampling.max: found -1"),
            (r#"{"min": 0.5, "max": 0.4}"#, "sampling.min: found 0.5, accepted: a fraction not above `max`"),
            (r#"{"max": 0.001}"#, "sampling.max: found 0.001, accepted: a fraction not below `min`, or a smaller"),
            (r#"{"error_weight": -101}"#, "sampling.error_weight: found -101, accepted: a number from -100 to 100"),
            (r#"{"window": "4s"}"#, r#"sampling.window: found "4s", accepted: a duration from 5s to 10m"#),
            (r#"{"window": "11m"}"#, r#"sampling.window: found "11m""#),
            (r#"{"window": "5.5s"}"#, r#"sampling.window: found "5.5s", accepted: whole seconds, such as "60s""#),
            (r#"{"per": "path"}"#, r#"sampling.per: found "path", accepted: one of "all", "route", "handler""#),
            (r#"{"key": "x"}"#, r#"sampling.key: found "x", accepted: one of "trace_id", "request_id""#),
            (
                r#"{"parent": "most"}"#,
                r#"sampling.parent: found "most", accepted: one of "respect", "ignore", "at_most""#,
            ),
            (r#"{"max_keys": 0}"#, "sampling.max_keys: found 0, accepted: a whole number from 1 to 2048"),
            (r#"{"errors": ["5xx", "OK"]}"#, r#"sampling.errors[1]: found "OK", accepted: an HTTP status such as"#),
            (r#"{"errors": 503}"#, "sampling.errors: found 503"),
            (r#"{"target": 5}"#, "sampling.target: unknown field"),
            (
                r#"{"rules": [{"match": {}}]}"#,
                r#"sampling.rules[0]: missing, accepted: one of "always", "never", "rate", "target_qps""#,
            ),
            (
                r#"{"rules": [{"always": true, "rate": 0.1}]}"#,
                r#"sampling.rules[0]: found 2 of these, accepted: only one of "always""#,
            ),
            (
                r#"{"rules": [{"always": false}]}"#,
                "sampling.rules[0].always: found false, accepted: true; leave the field out",
            ),
            (r#"{"rules": [{"never": "true"}]}"#, r#"sampling.rules[0].never: found "true", accepted: true or false"#),
            (r#"{"rules": [{"rate": 5}]}"#, "sampling.rules[0].rate: found 5, accepted: a fraction from 0 to 1"),
            (r#"{"rules": [{"target_qps": -1}]}"#, "sampling.rules[0].target_qps: found -1"),
            (
                r#"{"rules": [{"rate": 0.1, "window": "10s"}]}"#,
                r#"sampling.rules[0].window: found "10s", accepted: nothing, since this rule follows no load"#,
            ),
            (r#"{"rules": [{"always": true, "min": 0}]}"#, "sampling.rules[0].min: found 0, accepted: nothing"),
            (r#"{"rules": [{"never": true, "max": 1}]}"#, "sampling.rules[0].max: found 1, accepted: nothing"),
            (r#"{"rules": [{"never": true, "per": "all"}]}"#, "sampling.rules[0].per: found"),
            (r#"{"rules": [{"never": true, "error_weight": 1}]}"#, "sampling.rules[0].error_weight: found 1"),
            (
                r#"{"max": 0.5, "rules": [{"target_qps": 1, "min": 0.6}]}"#,
                "sampling.rules[0].min: found 0.6, accepted: a fraction not above `max`",
            ),
            (r#"{"rules": [{"match": {"path": "/x"}, "never": true}]}"#, "sampling.rules[0].match.path: found"),
            (r#"{"force": {}}"#, "sampling.force.secret: missing, accepted: a string of at least 16 bytes"),
            (r#"{"force": {"secret": "0123456789abcde"}}"#, "sampling.force.secret: not a secret that can be used"),
            (
                r#"{"force": {"secret": "correct horse battery", "budget_per_second": 0}}"#,
                "sampling.force.budget_per_second: found 0, accepted: a whole number from 1 to 10000",
            ),
            (
                r#"{"force": {"header": "x y", "secret": "correct horse battery"}}"#,
                r#"sampling.force.header: found "x y""#,
            ),
        ] {
            let (_, complaints) = reading(section);
            assert!(complaints.starts_with(expected), "{section}: {complaints}");
            assert_eq!(complaints.lines().count(), 1, "{section}: {complaints}");
            assert!(!complaints.contains("horse") && !complaints.contains("abcde"), "{complaints}");
        }
    }

    #[test]
    fn a_header_that_somebody_needs_is_not_taken_away() {
        for header in [
            "",
            ":path",
            "Host",
            "authorization",
            "content-length",
            "Transfer-Encoding",
            "Date",
            "referer",
            "x-real-ip",
            "grpc-timeout",
            "access-control-request-method",
            "x-envoy-retry-on",
            "x-forwarded-for",
            "x-id",
            "X-Request-Id",
            &"x".repeat(129),
        ] {
            let (_, complaints) = reading(&format!(r#"{{"force": {{"header": "{header}", "secret": "{SECRET}"}}}}"#));
            assert!(complaints.starts_with("sampling.force.header: found"), "{header}: {complaints}");
        }
    }

    /// Of a policy with this section `trace`, which its own filter reads.
    fn complaints_beside(trace: &str, header: &str) -> String {
        let force = format!(r#"{{"header": {header}, "secret": "{SECRET}"}}"#);
        let text = format!(r#"{{"version": "1.0", "sampling": {{"force": {force}}}, "trace": {trace}}}"#);
        let document = Document::parse(text.as_bytes(), &|_| None).unwrap();
        SamplingPolicy::read(&document);
        document.finish().map_or_else(|errors| errors.to_string(), |warnings| warnings.join("\n"))
    }

    #[test]
    fn no_header_of_a_trace_context_is_taken_away_whether_it_is_in_use_or_not() {
        for header in [
            "traceparent",
            "tracestate",
            "traceresponse",
            "baggage",
            "b3",
            "X-B3-TraceId",
            "x-b3-spanid",
            "x-b3-parentspanid",
            "x-b3-sampled",
            "x-b3-flags",
            "uber-trace-id",
            "X-Amzn-Trace-Id",
            "x-cloud-trace-context",
            "Request-Id",
            "x-request-id",
            "req-id",
            "x-trace-id",
            "x-span-id",
            "x-parent-span-id",
            "trace-id",
            "span-id",
            "parent-span-id",
        ] {
            let complaints = complaints_beside(r#"{"extract": ["w3c"]}"#, &format!("\"{header}\""));
            let expected = format!("sampling.force.header: found \"{header}\", accepted: {A_HEADER_TO_TAKE_AWAY}");
            assert_eq!(complaints, expected);
        }
    }

    #[test]
    fn no_header_that_trace_context_was_told_of_is_taken_away() {
        let observe = r#"{"observe": {"header": "X-Tracer"}}"#;
        let baggage = r#"{"baggage": {"from_headers": {"tier": "X-Tier", "user.id": "X-User"}}}"#;
        let request_id = r#"{"request_id": {"header": "X-Correlation"}}"#;
        for (trace, header, taken) in [
            ("{}", "x-sluicegate-trace-id", true),
            (observe, "x-sluicegate-trace-id", false),
            (observe, "x-tracer", true),
            (baggage, "x-tier", true),
            (baggage, "X-USER", true),
            (baggage, "x-tracer", false),
            (baggage, "tier", false),
            (request_id, "x-correlation", true),
        ] {
            let complaints = complaints_beside(trace, &format!("\"{header}\""));
            assert_eq!(complaints.starts_with("sampling.force.header: found"), taken, "{trace} {header}: {complaints}");
            assert_eq!(complaints.is_empty(), !taken, "{trace} {header}: {complaints}");
        }
        let default_is_taken = r#"{"observe": {"header": "x-sluicegate-force"}}"#;
        let complaints = complaints_beside(default_is_taken, "null");
        assert!(
            complaints.starts_with("sampling.force.header: missing, accepted: an HTTP header name"),
            "{complaints}"
        );
        assert_eq!(complaints_beside(default_is_taken, "\"x-mine\""), "");
    }

    #[test]
    fn a_secret_that_no_request_can_bring_is_refused_and_not_shown() {
        for secret in [" correct horse battery", "correct horse battery\\n", "correct hors\u{e9} battery"] {
            let (policy, complaints) = reading(&format!(r#"{{"force": {{"secret": "{secret}"}}}}"#));
            assert!(complaints.starts_with("sampling.force.secret: not a secret that can be used"), "{complaints}");
            assert!(complaints.contains("header") && !complaints.contains("batt"), "{complaints}");
            assert_eq!(policy.force, None);
        }
    }

    #[test]
    fn formats_that_trace_context_injects_follow() {
        let carriers = |trace: &str| {
            let text = format!(r#"{{"version": "1.0", "trace": {trace}}}"#);
            let document = Document::parse(text.as_bytes(), &|_| None).unwrap();
            SamplingPolicy::read(&document).carriers.header_names().map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(carriers("{}").is_empty());
        assert_eq!(carriers(r#"{"inject": ["w3c", "b3"]}"#), ["b3"]);
    }
}
