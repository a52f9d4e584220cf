//! Headers that are spoken for, so that no policy has them written or taken away.

/// They frame, route, authorise or date a message, or a standard says what they are.
const STANDARD: [&str; 39] = [
    "age",
    "allow",
    "alt-svc",
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "from",
    "host",
    "http2-settings",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "priority",
    "range",
    "referer",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-real-ip",
];

const STANDARD_FAMILIES: [&str; 9] =
    ["accept", "access-control-", "content-", "grpc-", "if-", "proxy-", "sec-", "x-envoy-", "x-forwarded-"];

/// They carry a trace context, a request id or baggage, in one format or another.
const CONTEXT: [&str; 16] = [
    "b3",
    "baggage",
    "parent-span-id",
    "req-id",
    "request-id",
    "span-id",
    "trace-id",
    "traceparent",
    "traceresponse",
    "tracestate",
    "uber-trace-id",
    "x-cloud-trace-context",
    "x-parent-span-id",
    "x-request-id",
    "x-span-id",
    "x-trace-id",
];

const CONTEXT_FAMILIES: [&str; 2] = ["x-amzn-trace-", "x-b3-"];

/// Whether this header frames, routes, authorises or dates a message, or is somebody's by a standard; `name` in either case.
pub fn is_standard_header(name: &str) -> bool {
    is_among(name, &STANDARD, &STANDARD_FAMILIES)
}

/// Whether this header carries a trace context, a request id or baggage, in use or not; `name` in either case.
pub fn is_context_header(name: &str) -> bool {
    is_among(name, &CONTEXT, &CONTEXT_FAMILIES)
}

fn is_among(name: &str, names: &[&str], families: &[&str]) -> bool {
    let name = name.to_ascii_lowercase();
    names.contains(&name.as_str()) || families.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_header_is_standard_or_carries_context_or_is_free() {
        for (name, standard, context) in [
            ("Host", true, false),
            ("transfer-encoding", true, false),
            ("Content-Length", true, false),
            ("x-envoy-retry-on", true, false),
            ("traceparent", false, true),
            ("X-Request-Id", false, true),
            ("X-B3-TraceId", false, true),
            ("x-amzn-trace-id", false, true),
            ("x-tenant", false, false),
            ("x-b", false, false),
            ("hosts", false, false),
            ("", false, false),
        ] {
            assert_eq!((is_standard_header(name), is_context_header(name)), (standard, context), "{name}");
        }
    }
}
