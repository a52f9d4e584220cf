//! What a request gets that is shed.

use sluicegate_host::RequestId;
use sluicegate_policy::{Document, Section, is_context_header, is_header_name, is_standard_header};

/// What is done in the place of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Degradation {
    /// It is answered with 503 and problem details (RFC 9457), or with UNAVAILABLE over gRPC.
    Problem,
    /// `response`: it is answered with this.
    Response(FixedResponse),
    /// `fallback`: it goes upstream with this header, by the route that the proxy picks anew.
    Fallback {
        /// In lower case.
        header: String,
        value: String,
    },
}

/// A response that an operator wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FixedResponse {
    /// 200 to 599.
    pub(crate) status: u16,
    /// Names in lower case, each once.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What a shed request's response says to those who deal with it on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hints {
    /// The header that says that it was shed, in lower case; `None` for none.
    pub(crate) header: Option<String>,
    /// `x-envoy-overloaded` and `x-envoy-ratelimited`: as where Envoy itself sheds.
    pub(crate) envoy_overloaded: bool,
    /// `grpc-retry-pushback-ms`: gRPC does not retry it for so long.
    pub(crate) grpc_pushback: bool,
}

const DEFAULT_HEADER: &str = "x-sluicegate-breaker";

/// Trace-context's, for `trace.observe.header`.
const DEFAULT_OBSERVE: &str = "x-sluicegate-trace-id";
/// The sampler's, for `sampling.force.header`.
const DEFAULT_FORCE: &str = "x-sluicegate-force";

const STATUS: std::ops::RangeInclusive<u64> = 200..=599;
const DEFAULT_STATUS: u16 = 503;
/// They have no content (RFC 9110 §6.4.1).
const WITHOUT_BODY: [u16; 3] = [204, 205, 304];

const MAX_BODY: usize = 16 * 1024;
const MAX_HEADERS: usize = 32;
const MAX_VALUE: usize = 1_024;

/// They say how a message is transferred (RFC 9110 §7.6.1, §8.6), which is up to the proxy.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// They mean something to the proxy, or to gRPC.
const FAMILIES: [&str; 2] = ["x-envoy-", "grpc-"];

const A_HEADER_OF_A_RESPONSE: &str = "an HTTP header name (RFC 9110 §5.1), each once, that neither frames the message nor begins \
    with `x-envoy-` or `grpc-`, and not that of `hints`";

const A_HEADER_OF_OURS: &str = "an HTTP header name (RFC 9110 §5.1) of its own: not one that frames, routes, authorises or dates, \
    nor one of a trace context, a request id or baggage";

const A_VALUE: &str = "1 to 1,024 bytes of visible ASCII, with blanks inside at most";

/// Headers that other sections of the policy have a use for.
pub(super) struct Taken<'d> {
    names: Vec<&'d str>,
    request_id: String,
    /// Its value is a secret.
    force: Option<&'d str>,
}

impl<'d> Taken<'d> {
    pub(super) fn read(document: &'d Document<'_>) -> Taken<'d> {
        let trace = document.neighbour("trace");
        let observe = trace.subsection("observe").string("header").unwrap_or(DEFAULT_OBSERVE);
        let published = trace.subsection("baggage").strings_by_name("from_headers").unwrap_or_default();
        let force = document.neighbour("sampling").subsection("force");
        let force = force.is_given().then(|| force.string("header").unwrap_or(DEFAULT_FORCE));
        let names = published.iter().map(|entry| entry.value).chain([observe]).chain(force).collect();
        Taken { names, request_id: RequestId::header(document), force }
    }

    /// Whether a header is nobody's.
    fn is_free(&self, name: &str) -> bool {
        let is_named = self.names.iter().any(|taken| taken.eq_ignore_ascii_case(name));
        is_ours(name) && !is_named && !self.request_id.eq_ignore_ascii_case(name)
    }

    pub(super) fn is_secret(&self, name: &str) -> bool {
        self.force.is_some_and(|force| force.eq_ignore_ascii_case(name))
    }
}

fn is_ours(name: &str) -> bool {
    is_header_name(name) && !is_standard_header(name) && !is_context_header(name)
}

impl Degradation {
    /// Of `response` and `fallback`, at most one of which a policy has.
    pub(super) fn read(section: &Section<'_>, default: &Degradation, hints: &Hints, taken: &Taken<'_>) -> Degradation {
        let response = part(section, "response").map(|response| FixedResponse::read(&response, hints));
        let fallback = part(section, "fallback").and_then(|fallback| {
            let fallback = fallback.required();
            let header = fallback.string_where("header", |name| taken.is_free(name), A_HEADER_OF_OURS);
            let value = fallback.string_where("value", is_value, A_VALUE);
            Some((header?.to_ascii_lowercase(), value?.to_owned()))
        });
        match (response, fallback) {
            (Some(response), None) => Degradation::Response(response),
            (None, Some((header, value))) => Degradation::Fallback { header, value },
            (Some(_), Some(_)) => {
                section.reject_as("fallback", "both `response` and `fallback`", "one of them");
                Degradation::Problem
            }
            (None, None) => match default {
                Degradation::Response(_) if section.is_false("response") => Degradation::Problem,
                Degradation::Fallback { .. } if section.is_false("fallback") => Degradation::Problem,
                default => default.clone(),
            },
        }
    }
}

/// The object `name`; `None` where there is none, or `false` in its place.
fn part<'d>(section: &Section<'d>, name: &'static str) -> Option<Section<'d>> {
    if section.is_false(name) {
        return None;
    }
    Some(section.subsection(name)).filter(Section::is_given)
}

impl FixedResponse {
    fn read(section: &Section<'_>, hints: &Hints) -> FixedResponse {
        let status = section.integer("status", STATUS).and_then(|status| u16::try_from(status).ok());
        let status = status.unwrap_or(DEFAULT_STATUS);
        let headers = read_headers(section, hints);
        let body =
            section.string_where("body", |body| body.len() <= MAX_BODY, "a text of at most 16 KiB").unwrap_or_default();
        if !body.is_empty() && WITHOUT_BODY.contains(&status) {
            section.reject_as("body", format_args!("a body for a {status}"), "none: such a response has no content");
        } else if !body.is_empty() && !headers.iter().any(|(name, _)| name == "content-type") {
            section.warn("body", "without a content-type among `headers`, its reader has to guess what it is");
        }
        FixedResponse { status, headers, body: body.to_owned() }
    }
}

fn read_headers(section: &Section<'_>, hints: &Hints) -> Vec<(String, String)> {
    let entries = section.strings_by_name("headers").unwrap_or_default();
    if entries.len() > MAX_HEADERS {
        section.reject_as("headers", format_args!("{} of them", entries.len()), "at most 32");
    }
    let mut headers: Vec<(String, String)> = Vec::new();
    for entry in entries.iter().take(MAX_HEADERS) {
        let name = entry.name.to_ascii_lowercase();
        let is_given = headers.iter().any(|(given, _)| *given == name);
        if is_given || hints.header.as_deref() == Some(&*name) || !may_be_answered(&name) {
            entry.reject_name(A_HEADER_OF_A_RESPONSE);
        }
        if !is_value(entry.value) {
            entry.reject(A_VALUE);
        }
        headers.push((name, entry.value.to_owned()));
    }
    headers
}

/// `name` in lower case.
fn may_be_answered(name: &str) -> bool {
    is_header_name(name) && !FRAMING.contains(&name) && !FAMILIES.iter().any(|family| name.starts_with(family))
}

fn is_value(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    (1..=MAX_VALUE).contains(&text.len()) && text.bytes().all(is_good) && text.trim() == text
}

impl Hints {
    /// What is not given is as in `defaults`.
    pub(super) fn read(section: &Section<'_>, defaults: &Hints) -> Hints {
        let header = if section.is_false("header") {
            None
        } else {
            let header = section.string_where("header", is_ours, A_HEADER_OF_OURS);
            header.map(str::to_ascii_lowercase).or_else(|| defaults.header.clone())
        };
        Hints {
            header,
            envoy_overloaded: section.boolean("envoy_overloaded").unwrap_or(defaults.envoy_overloaded),
            grpc_pushback: section.boolean("grpc_pushback").unwrap_or(defaults.grpc_pushback),
        }
    }
}

impl Default for Hints {
    fn default() -> Hints {
        Hints { header: Some(DEFAULT_HEADER.to_owned()), envoy_overloaded: true, grpc_pushback: true }
    }
}
