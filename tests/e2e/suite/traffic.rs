//! Requests of every kind that a filter looks at, for the host `shop.test`.

use hyper::Method;
use sluicegate_tests::client::{Protocol, Request};

use super::deployment::Sent;
use crate::stage::{SPAN, TRACE};

/// Another trace and another span.
pub(super) const OTHER: &str = "0af7651916cd43dd8448eb211c80319c";
pub(super) const OTHER_SPAN: &str = "b7ad6b7169203331";
/// What `sampling.force` of the policies asks for.
pub(super) const SECRET: &str = "correct horse battery staple";

pub(super) type Headers<'h> = &'h [(&'h str, &'h [u8])];

pub(super) fn with(request: Request, headers: Headers<'_>) -> Request {
    // A host of its own goes before ours.
    let request =
        if headers.iter().any(|(name, _)| *name == "host") { request } else { request.header("host", "shop.test") };
    headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}

pub(super) fn get(path: &str, headers: Headers<'_>) -> Sent {
    Sent::Http(Protocol::Http1, with(Request::get(path), headers))
}

pub(super) fn get2(path: &str, headers: Headers<'_>) -> Sent {
    Sent::Http(Protocol::Http2, with(Request::get(path), headers))
}

pub(super) fn method(method: &str, path: &str, headers: Headers<'_>) -> Sent {
    Sent::Http(Protocol::Http1, with(Request::new(Method::from_bytes(method.as_bytes()).unwrap(), path), headers))
}

pub(super) fn post(protocol: Protocol, path: &str, body: &str, headers: Headers<'_>) -> Sent {
    Sent::Http(protocol, with(Request::post(path, body.to_owned()), headers))
}

pub(super) fn grpc(path: &str, headers: Headers<'_>) -> Sent {
    Sent::Http(Protocol::Http2, with(Request::grpc(path, b"payload"), headers))
}

/// Valid contexts in every format, by the names and values of their headers.
pub(super) fn contexts() -> Vec<Vec<(&'static str, String)>> {
    let w3c = |flags: &str| format!("00-{TRACE}-{SPAN}-{flags}");
    let other = format!("00-{OTHER}-{OTHER_SPAN}-00");
    let xray = format!("1-{}-{}", &TRACE[..8], &TRACE[8..]);
    let uuid = [&TRACE[..8], &TRACE[8..12], &TRACE[12..16], &TRACE[16..20], &TRACE[20..]].join("-");
    let b3 = [("x-b3-traceid", TRACE.to_owned()), ("x-b3-spanid", SPAN.to_owned())];
    let b3 = |more: &[(&'static str, &str)]| {
        b3.iter().cloned().chain(more.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect::<Vec<_>>()
    };
    vec![
        vec![("traceparent", w3c("01"))],
        vec![("traceparent", w3c("00"))],
        vec![("traceparent", w3c("03")), ("tracestate", "vendor=x, ot=th:8;x:y,other=z".to_owned())],
        vec![("traceparent", w3c("02")), ("tracestate", "ot=th:0".to_owned())],
        vec![("traceparent", w3c("01")), ("tracestate", "ot=rv:ffffffffffffff;th:c".to_owned())],
        vec![("traceparent", w3c("01")), ("tracestate", "a=b".to_owned()), ("tracestate", "ot=th:fe".to_owned())],
        vec![("traceparent", format!("cc-{TRACE}-{SPAN}-ff-later"))],
        vec![("b3", format!("{TRACE}-{SPAN}-1-{OTHER_SPAN}"))],
        vec![("b3", format!("{TRACE}-{SPAN}"))],
        vec![("b3", format!("{}-{SPAN}-d", &TRACE[16..]))],
        b3(&[]),
        b3(&[("x-b3-sampled", "0"), ("x-b3-parentspanid", OTHER_SPAN)]),
        b3(&[("x-b3-flags", "1")]),
        vec![("uber-trace-id", format!("{TRACE}:{SPAN}:0:1"))],
        vec![("uber-trace-id", format!("{TRACE}%3A{SPAN}%3A0%3A3"))],
        vec![("x-amzn-trace-id", format!("Root={xray};Parent={SPAN};Sampled=0;Lineage=a:1|b:2"))],
        vec![("x-amzn-trace-id", format!("Root={xray}"))],
        vec![("x-amzn-trace-id", format!("Sampled=?;Parent={SPAN};Root={xray};Self={xray}"))],
        vec![("x-cloud-trace-context", format!("{TRACE}/67667974448284343;o=1"))],
        vec![("x-cloud-trace-context", TRACE.to_owned())],
        vec![("request-id", format!("|{TRACE}.{SPAN}."))],
        vec![("x-trace-id", uuid), ("x-span-id", SPAN.to_owned()), ("x-parent-span-id", OTHER_SPAN.to_owned())],
        vec![("x-trace-id", TRACE[16..].to_owned())],
        // Two of the same trace, and two that disagree.
        vec![("traceparent", w3c("01")), ("b3", format!("{TRACE}-{SPAN}-1"))],
        vec![
            ("traceparent", other),
            ("b3", format!("{TRACE}-{SPAN}-1")),
            ("uber-trace-id", format!("{TRACE}:{SPAN}:0:0")),
        ],
    ]
}

/// What stands where a context is to be and is none, or not a whole one.
fn broken_contexts() -> Vec<Vec<(&'static str, Vec<u8>)>> {
    let w3c = format!("00-{TRACE}-{SPAN}-01");
    let state = |members: usize| (0..members).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",").into_bytes();
    let valid = || ("traceparent", w3c.clone().into_bytes());
    vec![
        vec![valid(), valid()],
        vec![("traceparent", w3c.to_uppercase().into_bytes())],
        vec![("traceparent", format!("ff-{TRACE}-{SPAN}-01").into_bytes())],
        vec![("traceparent", format!("00-{}-{SPAN}-01", "0".repeat(32)).into_bytes())],
        vec![("traceparent", [w3c.as_bytes(), b"\xff"].concat())],
        vec![("traceparent", vec![])],
        vec![("traceparent", vec![b'0'; 8192])],
        vec![("tracestate", b"a=b".to_vec())],
        vec![valid(), ("tracestate", state(33))],
        vec![valid(), ("tracestate", state(32))],
        vec![valid(), ("tracestate", b"A=b".to_vec())],
        vec![valid(), ("tracestate", b"".to_vec())],
        vec![valid(), ("tracestate", b"a=\xff".to_vec())],
        vec![("b3", b"0".to_vec())],
        vec![("b3", b"1".to_vec())],
        vec![("b3", b"d".to_vec())],
        vec![("b3", b"broken\xfe".to_vec()), ("b3", b"".to_vec())],
        vec![("x-b3-sampled", b"1".to_vec()), ("x-b3-sampled", b"0".to_vec())],
        vec![("x-b3-sampled", b"true".to_vec())],
        vec![("x-b3-traceid", TRACE.as_bytes().to_vec())],
        vec![("uber-trace-id", b"0:0:0:0".to_vec())],
        vec![("x-amzn-trace-id", b"Root=1-1-1;Root=2".to_vec())],
        vec![("x-cloud-trace-context", b"x/y;o=z".to_vec())],
        vec![("request-id", b"|a.b".to_vec())],
        vec![("request-id", b"order-4711".to_vec())],
        vec![("x-trace-id", b"order-4711".to_vec())],
    ]
}

fn values<'v, V: AsRef<[u8]>>(headers: &'v [(&'static str, V)]) -> Vec<(&'v str, &'v [u8])> {
    headers.iter().map(|(name, value)| (*name, value.as_ref())).collect()
}

/// Every context, and what there is instead of one; by turns over HTTP/1.1 and HTTP/2.
pub(super) fn traced() -> Vec<Sent> {
    let by_turns = |n: usize, headers: Headers<'_>| match n % 2 {
        0 => get("/cart/7", headers),
        _ => get2("/cart/7?page=2", headers),
    };
    let mut all = vec![get("/", &[]), get2("/", &[])];
    all.extend(contexts().iter().enumerate().map(|(n, context)| by_turns(n, &values(context))));
    all.extend(broken_contexts().iter().enumerate().map(|(n, context)| by_turns(n, &values(context))));
    // Blanks are HTTP/1.1's to take off, and go on over HTTP/2.
    let blanks = format!(" 00-{TRACE}-{SPAN}-01 ");
    let blanks: Headers<'_> =
        &[("traceparent", blanks.as_bytes()), ("tracestate", b" a=b "), ("x-request-id", b" r-1 ")];
    all.extend([get("/blanks", blanks), get2("/blanks", blanks)]);
    let plain: Headers<'_> = &[
        ("trace-id", TRACE.as_bytes()),
        ("span-id", SPAN.as_bytes()),
        ("req-id", b"r-2"),
        ("x-request-id", b"not this"),
    ];
    all.extend([grpc("/shop.Cart/Add", plain), get2("/not-grpc", plain)]);
    all
}

/// Contexts by which an outcome that depends on chance is the same for all who see them.
pub(super) fn decided() -> Vec<Sent> {
    let mut all = Vec::new();
    for (n, byte) in [0x00u8, 0x20, 0x60, 0x80, 0xb0, 0xff].into_iter().enumerate() {
        for (m, flags) in ["00", "01", "03"].into_iter().enumerate() {
            let trace = format!("00-{}{byte:02x}{}-{SPAN}-{flags}", &TRACE[..18], &TRACE[20..]);
            let id = format!("request-{n}-{m}");
            let state =
                ["", "ot=th:8", "ot=th:0,a=b", "ot=rv:80000000000000;th:c", "ot=th:f;x:y", "nonsense"][(n + m) % 6];
            let mut headers: Vec<(&str, &[u8])> =
                vec![("traceparent", trace.as_bytes()), ("x-request-id", id.as_bytes())];
            if !state.is_empty() {
                headers.push(("tracestate", state.as_bytes()));
            }
            all.push(if m == 0 { get2("/cart/7", &headers) } else { get("/cart/7", &headers) });
        }
    }
    let open = contexts().into_iter().filter(|context| context[0].0 != "traceparent");
    all.extend(open.enumerate().map(|(n, mut context)| {
        context.push(("x-request-id", format!("open-{n}")));
        get("/users/7", &values(&context))
    }));
    all
}

/// Ids of requests and baggage.
pub(super) fn named() -> Vec<Sent> {
    let many = (0..70).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
    let (long_id, long) = ("i".repeat(129), format!("k={}", "v".repeat(8200)));
    let cases: &[Headers<'_>] = &[
        &[("x-request-id", b"abc-1")],
        &[("x-request-id", b"f81d4fae-7dec-11d0-a765-00a0c91e6bf6")],
        &[("x-request-id", b"a b")],
        &[("x-request-id", b"\xff\x80")],
        &[("x-request-id", b"")],
        &[("x-request-id", long_id.as_bytes())],
        &[("x-request-id", b"a"), ("x-request-id", b"b")],
        &[("x-correlation-id", b"abc-2")],
        &[("x-tenant", b"gold & silver")],
        &[("x-tenant", b"gold"), ("x-tenant", b"caf\xe9"), ("baggage", b"tenant.id=theirs,a=b")],
        &[("x-tenant", b""), ("baggage", b"tenant%2Eid=theirs;p=1, b = c")],
        &[("baggage", b"a=b"), ("baggage", b"\xff=c,,=,k")],
        &[("baggage", many.as_bytes()), ("x-tenant", b"gold")],
        &[("baggage", long.as_bytes()), ("x-tenant", b"gold")],
        &[("baggage", b""), ("x-sluicegate-force", SECRET.as_bytes())],
        &[("x-sluicegate-force", b"wrong")],
        &[("x-sluicegate-force", SECRET.as_bytes()), ("x-sluicegate-force", SECRET.as_bytes())],
    ];
    let mut all: Vec<_> = cases.iter().map(|headers| get("/cart/7", headers)).collect();
    all.extend(cases.iter().map(|headers| get2("/public/7", headers)));
    let answered: Headers<'_> = &[
        ("x-upstream-response-header", b"x-request-id=of the service"),
        ("x-upstream-response-header", b"traceparent=of the service"),
        ("x-upstream-response-header", b"x-sluicegate-breaker=of the service"),
        ("x-upstream-response-header", b"set-cookie=a=b\xff"),
    ];
    all.push(get("/answered", answered));
    all
}

/// Every way in which an exchange goes on and ends.
pub(super) fn exchanges() -> Vec<Sent> {
    let status = |status: &'static str| get("/orders/17?token=s3cr3t", &[("x-upstream-status", status.as_bytes())]);
    let mut all: Vec<_> = ["200", "204", "302", "304", "401", "404", "429", "499", "500", "503"].map(status).into();
    all.extend(["HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"].map(|name| method(name, "/orders/17", &[])));
    let agent: Headers<'_> =
        &[("user-agent", b"curl/8.5.0 token=abcdef0123456789abcdef"), ("x-tier", b"gold"), ("x-tier", b"")];
    all.extend([
        post(Protocol::Http1, "/orders/17", "a body", agent),
        post(Protocol::Http2, "/orders/17", &"of more than one piece ".repeat(4000), agent),
        post(Protocol::Http2, "/orders", "", agent),
        get("/healthz", &[]),
        get("/never", &[]),
        get2("/always?card=4111111111111111&mail=a@b.example", &[("authorization", b"Bearer abc.def.ghi")]),
        get("/public/7", &[("x-odd", b"\xff\x80"), ("x-count", b"7"), ("x-long", &[b'l'; 3000])]),
        get("//public//7/../8", &[]),
        get("/a%2fb", &[]),
        get("/cart/7", &[("host", b"other.test:8443"), ("x-count", b"lots")]),
        get("/cart/7", &[("host", b"unknown.test")]),
        get("/moved", &[]),
        get("/direct", &[]),
        get("/dead", &[]),
        get("/second", &[("x-fallback", b"fresh")]),
        get("/second", &[("x-fallback", b"stale")]),
        get("/hurried", &[("x-upstream-delay", b"5s")]),
        get("/cart", &[("x-upstream-reset", b"")]),
        get2("/cart", &[("x-upstream-reset", b"")]),
        get("/cart", &[("x-upstream-stream", b"3x1ms")]),
        get2("/cart", &[("x-upstream-stream", b"2x1ms"), ("x-upstream-reset", b"")]),
        get("/retried", &[("x-upstream-status", b"503")]),
        get2("/retried", &[("x-upstream-reset", b"")]),
        get(
            "/redirected",
            &[("x-upstream-status", b"302"), ("x-upstream-response-header", b"location=http://shop.test/cart/landed")],
        ),
        get("/refused", &[("x-refuse", b"1")]),
        get("/upgraded", &[("connection", b"upgrade"), ("upgrade", b"websocket")]),
        get("/filled", &[("x-upstream-response-headers-count", b"300")]),
    ]);
    all
}

/// gRPC, with its status in trailers or headers.
pub(super) fn calls() -> Vec<Sent> {
    let ends = |status: &'static str| grpc("/shop.Cart/Add", &[("x-upstream-grpc-status", status.as_bytes())]);
    let mut all: Vec<_> = ["0", "1", "4", "5", "8", "13", "14", "16", "99", "x"].map(ends).into();
    all.extend([
        grpc("/shop.Cart/Add", &[("x-upstream-status", b"503")]),
        grpc("/shop.Cart/Add", &[("x-upstream-reset", b"")]),
        grpc("/shop.Cart/Watch", &[("x-upstream-stream", b"3x1ms"), ("grpc-timeout", b"10S")]),
        grpc("/hurried.Cart/Add", &[("x-upstream-delay", b"5s"), ("grpc-timeout", b"20m")]),
        grpc("/odd", &[("req-id", b"r-3"), ("content-type", b"application/grpc+proto")]),
        grpc("/shop.Cart/Add", &[("host", b"unknown.test")]),
        grpc("/shop.Cart/Add", &[("x-refuse", b"")]),
    ]);
    all
}

/// What no library sends: most of it Envoy answers by itself.
pub(super) fn raw() -> Vec<Sent> {
    let head = |head: &str| Sent::Raw(format!("{head}\r\nconnection: close\r\n\r\n"));
    let filled = |count: usize, length: usize| {
        (0..count).map(|n| format!("\r\nx-{n}: {}", "v".repeat(length))).collect::<String>()
    };
    vec![
        head("GET / HTTP/1.1\r\nhost: shop.test\r\nX-Request-ID:  spaced \r\nTRACEPARENT:\t00"),
        head("GET / HTTP/1.1\r\nhost: shop.test\r\nbad\x01: x"),
        head("GET / HTTP/1.1\r\nhost: shop.test\r\nx-nul: a\0b"),
        head("GET / HTTP/1.1"),
        head("GET / HTTP/1.0\r\nhost: shop.test"),
        head("NONSENSE"),
        head(&format!("GET /many HTTP/1.1\r\nhost: shop.test{}", filled(500, 20))),
        head(&format!("GET /too-many HTTP/1.1\r\nhost: shop.test{}", filled(700, 1))),
        head(&format!("GET /long HTTP/1.1\r\nhost: shop.test\r\ntraceparent: 0{}", filled(20, 8192))),
        head(&format!("GET /too-long HTTP/1.1\r\nhost: shop.test{}", filled(40, 8192))),
        head("CONNECT shop.test:443 HTTP/1.1\r\nhost: shop.test:443"),
        head("GET http://shop.test/absolute HTTP/1.1\r\nhost: other.test"),
        head("GET /chat HTTP/1.1\r\nhost: shop.test\r\nupgrade: websocket"),
    ]
}

/// All of it.
pub(super) fn everything() -> Vec<Sent> {
    [traced(), named(), exchanges(), calls(), raw()].concat()
}
