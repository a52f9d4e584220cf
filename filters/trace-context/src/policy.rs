//! The section `trace` of the policy.

use crate::baggage::MAX_MEMBERS;
use crate::formats::{Format, Formats};
use crate::header_names::{A_HEADER_OF_OURS, A_HEADER_TO_PUBLISH, may_be_published, may_be_written};
use crate::spans::SpanPolicy;
use sluicegate_host::SamplingFacts;
use sluicegate_otlp::{Settings, Signal};
use sluicegate_policy::{Directions, Document, Rules, Section, is_token};
use sluicegate_telemetry::Routes;
use sluicegate_telemetry::redact::Redactor;
use std::borrow::Cow;

/// What becomes of a valid context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It goes on with a span of this hop's own.
    Participate,
    /// It goes on as it came.
    Forward,
    /// The proxy's own tracer deals with it; we only look.
    Observe,
}

/// How request ids are made (RFC 9562).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdKind {
    /// Begins with the time, so that ids sort by it.
    UuidV7,
    /// Random throughout.
    UuidV4,
}

#[derive(Clone, Debug)]
pub(crate) struct TracePolicy {
    pub(crate) enabled: bool,
    pub(crate) directions: Directions,
    pub(crate) mode: Mode,
    /// Looked for in this order.
    pub(crate) extract: Vec<Format>,
    pub(crate) inject: Formats,
    /// Those of `extract` in their order, then those that are only injected: what we look at and may change.
    pub(crate) ours: Vec<Format>,
    pub(crate) trust_incoming: bool,
    /// The first that matches decides about trust.
    pub(crate) rules: Rules<bool>,
    pub(crate) sampled_default: bool,
    /// Whether a sampler may come after us: the policy does not say that it is off.
    pub(crate) sampler_may_follow: bool,
    pub(crate) request_id: RequestIdPolicy,
    pub(crate) baggage: Vec<BaggageMember>,
    /// Where the proxy's tracer leaves its ids for us.
    pub(crate) observe_header: Cow<'static, str>,
}

#[derive(Clone, Debug)]
pub(crate) struct RequestIdPolicy {
    pub(crate) header: Cow<'static, str>,
    pub(crate) kind: IdKind,
    pub(crate) echo: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct BaggageMember {
    pub(crate) key: String,
    pub(crate) header: String,
}

const MODES: [(&str, Mode); 3] =
    [("participate", Mode::Participate), ("forward", Mode::Forward), ("observe", Mode::Observe)];

const ID_KINDS: [(&str, IdKind); 2] = [("uuidv7", IdKind::UuidV7), ("uuidv4", IdKind::UuidV4)];

impl TracePolicy {
    /// The section, and in it what is to become of spans.
    pub(crate) fn read(document: &Document<'_>) -> (TracePolicy, Option<SpanPolicy>) {
        let trace = document.section("trace");
        let formats = Format::ALL.map(|format| (format.name(), format));
        let extract = trace.choices("extract", &formats).unwrap_or_else(|| Format::ALL.to_vec());
        let inject = trace.choices("inject", &formats).unwrap_or_else(|| vec![Format::W3c]);
        let only_injected = inject.iter().filter(|format| !extract.contains(format));
        let ours: Vec<_> = extract.iter().chain(only_injected).copied().collect();
        let request_id = read_request_id(&trace.subsection("request_id"), &ours);
        let baggage = read_baggage(&trace.subsection("baggage"));
        let observe_header = read_observe_header(&trace.subsection("observe"), &ours, &request_id, &baggage);
        let inject: Formats = inject.into_iter().collect();
        let spans = read_spans(&trace, document, inject);
        let policy = TracePolicy {
            enabled: trace.boolean("enabled").unwrap_or(true),
            directions: trace.directions("direction").unwrap_or(Directions::ALL),
            mode: read_mode(&trace),
            request_id,
            extract,
            inject,
            ours,
            trust_incoming: trace.boolean("trust_incoming").unwrap_or(true),
            rules: trace.rules("rules", |rule| rule.required().boolean("trust_incoming").unwrap_or(true)),
            sampled_default: trace.boolean("sampled_default").unwrap_or(true),
            baggage,
            observe_header,
            sampler_may_follow: document.neighbour("sampling").boolean("enabled") != Some(false)
                && !SamplingFacts::is_the_proxys(document),
        };
        policy.warn(&trace);
        (policy, spans)
    }

    /// What may be meant, but more likely is not.
    fn warn(&self, trace: &Section<'_>) {
        let distrusts = !self.trust_incoming || self.rules.values().any(|trusted| !trusted);
        if self.mode == Mode::Observe && distrusts {
            let text =
                "observe leaves the trace to the proxy's tracer, which continues that of an untrusted caller as well";
            trace.warn("trust_incoming", text);
        }
        if self.mode != Mode::Observe && self.inject == Formats::default() {
            trace.warn("inject", "is empty: upstream sees no context where none came in");
        }
    }
}

/// A span is exported where this hop has one of its own, and only there.
fn read_mode(trace: &Section<'_>) -> Mode {
    let mode = trace.choice("mode", &MODES);
    if !trace.subsection("spans").is_given() {
        return mode.unwrap_or(Mode::Forward);
    }
    let accepted = "\"participate\", or no spans";
    match mode {
        None | Some(Mode::Participate) => {}
        Some(Mode::Forward) => {
            trace.reject_as("mode", "\"forward\", by which this hop has no span to export", accepted)
        }
        Some(Mode::Observe) => {
            trace.reject_as("mode", "\"observe\", by which the proxy's tracer exports spans", accepted)
        }
    }
    Mode::Participate
}

fn read_spans(trace: &Section<'_>, document: &Document<'_>, inject: Formats) -> Option<SpanPolicy> {
    let spans = trace.subsection("spans");
    let settings = Settings::read(&spans, Signal::Traces);
    if !spans.is_given() {
        return None;
    }
    let otlp = spans.subsection("otlp");
    if settings.is_none() && !otlp.is_given() {
        otlp.reject("cluster", "the name of the proxy's cluster in which the collector is");
    }
    let access_log = document.neighbour("access_log").shared("redact").shared("routes");
    let redactor = Redactor::from_policy(&access_log.subsection("redact"));
    let routes = Routes::read(&access_log);
    Some(SpanPolicy {
        settings: settings?,
        redactor,
        routes,
        writes_traceparent: inject.contains(Format::W3c),
        sampler_may_turn: SamplingFacts::may_turn(document),
    })
}

fn read_request_id(section: &Section<'_>, ours: &[Format]) -> RequestIdPolicy {
    RequestIdPolicy {
        header: read_header(section, "x-request-id", ours),
        kind: section.choice("format", &ID_KINDS).unwrap_or(IdKind::UuidV7),
        echo: section.boolean("echo").unwrap_or(true),
    }
}

fn read_observe_header(
    section: &Section<'_>,
    ours: &[Format],
    request_id: &RequestIdPolicy,
    baggage: &[BaggageMember],
) -> Cow<'static, str> {
    let header = read_header(section, "x-sluicegate-trace-id", ours);
    if header == request_id.header || baggage.iter().any(|member| member.header == header) {
        section.reject("header", "a header of its own, since the filter takes it away");
    }
    header
}

fn read_header(section: &Section<'_>, default: &'static str, ours: &[Format]) -> Cow<'static, str> {
    match section.string_where("header", |name| may_be_written(name, ours), A_HEADER_OF_OURS) {
        Some(header) => Cow::Owned(header.to_ascii_lowercase()),
        None => Cow::Borrowed(default),
    }
}

fn read_baggage(section: &Section<'_>) -> Vec<BaggageMember> {
    let entries = section.strings_by_name("from_headers").unwrap_or_default();
    if entries.len() > MAX_MEMBERS {
        section.reject_as("from_headers", format_args!("{} members", entries.len()), "at most 64");
    }
    let mut members = Vec::new();
    for entry in entries {
        if !is_token(entry.name.as_bytes()) {
            entry.reject_name("a baggage key (W3C Baggage §3.2.1.2: a token of RFC 7230)");
        } else if !may_be_published(entry.value) {
            entry.reject(A_HEADER_TO_PUBLISH);
        } else {
            let (key, header) = (entry.name.to_owned(), entry.value.to_ascii_lowercase());
            members.push(BaggageMember { key, header });
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use crate::TraceContext;
    use sluicegate_host::double::Double;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// What the log says when this section comes in.
    fn rejection(trace: &str) -> String {
        let policy = format!(r#"{{"version": "1.0", "trace": {trace}}}"#);
        match Double::new().start::<TraceContext>(&policy) {
            Ok(_) => String::new(),
            Err(lines) => lines.join("\n"),
        }
    }

    #[test]
    fn every_field_may_be_given() {
        let all = r#"{
            "enabled": true, "direction": ["inbound"], "mode": "participate",
            "extract": ["b3", "w3c"], "inject": ["w3c", "plain"], "trust_incoming": false,
            "rules": [{"match": {"path": {"prefix": "/internal"}}, "trust_incoming": true}],
            "sampled_default": false,
            "request_id": {"header": "X-Correlation-Id", "format": "uuidv4", "echo": false},
            "baggage": {"from_headers": {"user.id": "X-User-Id"}},
            "observe": {"header": "x-tracer"},
            "spans": {"otlp": {"cluster": "otel_collector", "batch": {"max_age": "2s"}}}
        }"#;
        assert_eq!(rejection(all), "");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path_and_what_would_be_right() {
        for (trace, expected) in [
            (r#"{"mode": "fwd"}"#, r#"trace.mode: found "fwd", accepted: one of "participate", "forward", "observe""#),
            (r#"{"extract": ["zipkin"]}"#, r#"trace.extract[0]: found "zipkin", accepted: one of "w3c", "b3""#),
            (r#"{"inject": ["w3c", "w3c"]}"#, "trace.inject[1]: found"),
            (r#"{"trust_incomming": false}"#, "trace.trust_incomming: unknown field"),
            (r#"{"rules": [{"match": {}}]}"#, "trace.rules[0].trust_incoming"),
            (r#"{"request_id": {"header": ":path"}}"#, "trace.request_id.header: found \":path\""),
            (r#"{"request_id": {"header": "request-id"}}"#, "trace.request_id.header: found \"request-id\""),
            (r#"{"request_id": {"header": "traceparent"}}"#, "trace.request_id.header: found \"traceparent\""),
            (r#"{"baggage": {"from_headers": {"user id": "x"}}}"#, "trace.baggage.from_headers"),
            (r#"{"baggage": {"from_headers": {"user": "x y"}}}"#, "trace.baggage.from_headers.user: found \"x y\""),
            (r#"{"baggage": {"from_headers": {"t": "Authorization"}}}"#, "trace.baggage.from_headers.t: found"),
            (r#"{"baggage": {"from_headers": {"t": "baggage"}}}"#, "trace.baggage.from_headers.t: found"),
            (r#"{"observe": {"header": "traceparent"}}"#, "trace.observe.header: found \"traceparent\""),
            (r#"{"observe": {"header": "X-Request-Id"}}"#, "trace.observe.header: found \"X-Request-Id\""),
            (
                r#"{"observe": {"header": "x-t"}, "baggage": {"from_headers": {"t": "x-t"}}}"#,
                "trace.observe.header: found \"x-t\"",
            ),
            (r#"{"direction": []}"#, "trace.direction"),
            (r#"{"spans": {}}"#, "trace.spans.otlp.cluster: missing, accepted: the name of"),
            (r#"{"spans": {"otlp": {}}}"#, "trace.spans.otlp.cluster: missing"),
            (r#"{"spans": {"otlp": {"cluster": ""}}}"#, "trace.spans.otlp.cluster: found \"\""),
            (r#"{"spans": true}"#, "trace.spans: found true, accepted: an object"),
            (r#"{"spans": {"otpl": {"cluster": "c"}}}"#, "trace.spans.otpl: unknown field"),
            (
                r#"{"mode": "forward", "spans": {"otlp": {"cluster": "c"}}}"#,
                r#"trace.mode: found "forward", by which this hop has no span to export, accepted: "participate", or no spans"#,
            ),
            (
                r#"{"mode": "observe", "spans": {"otlp": {"cluster": "c"}}}"#,
                r#"trace.mode: found "observe", by which the proxy's tracer exports spans, accepted: "participate", or no spans"#,
            ),
        ] {
            let lines = rejection(trace);
            assert!(lines.contains("trace-context: policy rejected: "), "{trace}: {lines}");
            assert!(lines.contains(expected), "{trace}: {lines}");
        }
    }

    #[test]
    fn a_request_id_goes_into_no_header_that_means_something_else() {
        for header in [
            "host",
            "Transfer-Encoding",
            "content-length",
            "connection",
            "te",
            "grpc-status",
            "cookie",
            "authorization",
            "x-envoy-max-retries",
            "x-forwarded-for",
            "baggage",
            "req-id",
            "x-b3-traceid",
            "x-trace-id",
            "span-id",
            "",
            "x y",
        ] {
            // Whether its format is read or not.
            for formats in [r#""extract": ["w3c"], "#, ""] {
                let lines = rejection(&format!(r#"{{{formats}"request_id": {{"header": "{header}"}}}}"#));
                assert!(lines.contains("trace.request_id.header: found"), "{header}: {lines}");
            }
        }
    }

    #[test]
    fn what_is_more_likely_a_mistake_earns_a_warning() {
        let warnings = |trace: &str| {
            let proxy = Double::new();
            let policy = format!(r#"{{"version": "1.0", "trace": {trace}}}"#);
            assert!(proxy.start::<TraceContext>(&policy).is_ok());
            proxy.log_lines()
        };
        let untrusted_rule = r#"{"mode": "observe", "rules": [{"match": {}, "trust_incoming": false}]}"#;
        for (trace, warning) in [
            (r#"{"mode": "observe", "trust_incoming": false}"#, "trace-context: policy: trace.trust_incoming"),
            (untrusted_rule, "trace-context: policy: trace.trust_incoming"),
            (r#"{"inject": []}"#, "trace-context: policy: trace.inject"),
        ] {
            let [line] = &warnings(trace)[..] else { panic!("{trace}: {:?}", warnings(trace)) };
            assert!(line.starts_with(warning), "{line}");
        }
        for trace in [r#"{"mode": "observe", "inject": []}"#, r#"{"trust_incoming": false}"#, "{}"] {
            assert!(warnings(trace).is_empty(), "{trace}: {:?}", warnings(trace));
        }
    }

    #[test]
    fn request_id_is_a_header_like_any_other_where_azure_is_off() {
        let trace = r#"{"extract": ["w3c"], "request_id": {"header": "request-id"}}"#;
        assert_eq!(rejection(trace), "");
    }
}
