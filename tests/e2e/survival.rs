//! No input traps the module: a trapped VM answers 503 to every request of its worker.

use serde_json::json;
use sluicegate_tests::client::load::{Load, Report, Until};
use sluicegate_tests::client::{Connection, Protocol, Request, raw};

use crate::stage::{PATIENCE, SPAN, Stage, TRACE, traceparent};

const CARRIERS: [&str; 19] = [
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "uber-trace-id",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "request-id",
    "x-trace-id",
    "x-span-id",
    "trace-id",
    "span-id",
    "x-request-id",
    "baggage",
    "x-tenant-id",
];

/// The n-th of many requests that mean no good, on the way there and back.
fn hostile(n: u64) -> Request {
    let carrier = |offset: u64| CARRIERS[((n + offset) % CARRIERS.len() as u64) as usize];
    let bytes = |len: u64| -> Vec<u8> {
        // What the codecs let through: visible ASCII, and everything from 0x80 to 0xff.
        let legal: Vec<u8> = (0x21..0x7f).chain(0x80..=0xff).collect();
        (0..len).map(|i| legal[(n * 31 + i * 17) as usize % legal.len()]).collect()
    };
    let path = ["/", "/%ff%fe", "/\u{e9}?q=\u{1f600}", "/a/../b", "//", "/?"][(n % 6) as usize];
    let mut request = match n % 5 {
        0 => Request::grpc("/shop.Orders/Get", b"\xff"),
        _ => Request::get(&path.replace(|c: char| !c.is_ascii(), "%C3")),
    };
    request = match n % 4 {
        // Bytes that are not UTF-8 in every header that the filter reads.
        0 => CARRIERS.iter().fold(request, |request, name| request.header(name, bytes(1 + n % 90))),
        // One that is very large. (HTTP/2 would make five bytes of four of the odd ones, too many for Envoy in the end.)
        1 => request.header(carrier(0), [vec![b'0'; 60_000], bytes(500)].concat()),
        // Very many, some of them repeated.
        2 => (0..180).fold(request, |request, i| request.header(carrier(i % 7), bytes(i % 60))),
        // Almost right.
        _ => request
            .header("traceparent", format!("00-{TRACE}-{SPAN}-01").into_bytes().into_iter().rev().collect::<Vec<_>>())
            .header("tracestate", ",=".repeat(2_000))
            .header("uber-trace-id", "%3A%".repeat(500))
            .header("x-amzn-trace-id", ";=;Root=1-".repeat(500))
            .header("x-cloud-trace-context", format!("{TRACE}/{}", "9".repeat(5_000)))
            .header("baggage", ";=,%".repeat(2_000)),
    };
    let response = [b"x-odd=".to_vec(), bytes(200)].concat();
    let request = request.header("x-upstream-response-header", response);
    match n % 7 {
        0 => request.header("x-upstream-response-headers-count", "200"),
        1 => request.header("x-upstream-response-header", [b"x-request-id=\xff".to_vec(), vec![b'0'; 60_000]].concat()),
        2 => request.header("x-upstream-reset", "1"),
        3 => request.header("x-upstream-status", "503"),
        _ => request,
    }
}

/// They all reached the upstream, which reset some and answered some with 503, as told.
fn all_answered(report: &Report) {
    assert_eq!((report.answered(200) + report.answered(503), report.errors), (1_000, 0), "{report}");
    assert!(report.answered(200) > 700, "{report}");
}

async fn attack(trace: serde_json::Value) {
    let stage = Stage::set(|shipped| {
        shipped
            .policy(&json!({"version": "1.0", "trace": trace}))
            .concurrency(2)
            .balanced()
            .header_limits(256, 1_000)
            .unwrap()
    })
    .await;
    let load = Load { connections: 4, protocol: Protocol::Http2, until: Until::Requests(1_000) };
    let report = load.run(stage.envoy.address(), hostile).await;
    all_answered(&report);
    let load = Load { connections: 4, protocol: Protocol::Http1, until: Until::Requests(1_000) };
    all_answered(&load.run(stage.envoy.address(), hostile).await);

    // One connection each, so one of them on each worker.
    let value = format!("00-{TRACE}-{SPAN}-01");
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers.push(Connection::open(stage.envoy.address(), Protocol::Http1).await.unwrap());
    }
    for connection in &mut workers {
        let reply = connection.send(&Request::get("/").header("traceparent", &value)).await.unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(traceparent(&reply.seen().unwrap())[0], TRACE);
    }
    let log = stage.envoy.log().unwrap();
    for sign in ["panicked", "Function: proxy_on_", "Uncaught RuntimeError", "VM failed"] {
        assert!(!log.contains(sign), "{log}");
    }
}

#[tokio::test]
async fn a_thousand_hostile_requests_harm_no_worker_that_forwards() {
    attack(json!({"baggage": {"from_headers": {"tenant.id": "x-tenant-id"}}})).await;
}

#[tokio::test]
async fn a_thousand_hostile_requests_harm_no_worker_that_participates_in_every_format() {
    let all = ["w3c", "b3", "b3_multi", "jaeger", "xray", "google", "azure", "plain"];
    attack(json!({"mode": "participate", "inject": all})).await;
}

#[tokio::test]
async fn what_envoys_codec_rejects_never_had_request_headers_and_does_no_harm() {
    let stage = Stage::set(|shipped| shipped.policy(&json!({"version": "1.0"}))).await;
    for (request, status) in [
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: \x01\r\nconnection: close\r\n\r\n".to_vec(), 400),
        (b"NONSENSE\r\n\r\n".to_vec(), 400),
        (b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec(), 400),
        ([b"GET / HTTP/1.1\r\nhost: a\r\nx: ".to_vec(), vec![b'x'; 70_000], b"\r\n\r\n".to_vec()].concat(), 431),
    ] {
        let reply = raw::send(stage.envoy.address(), &request, PATIENCE).await.unwrap();
        assert_eq!(reply.status(), Some(status), "{}", reply.text());
    }
    assert_eq!(stage.send(&Request::get("/"), Protocol::Http1).await.status, 200);
}

#[tokio::test]
async fn a_reply_by_an_earlier_filter_passes_without_a_request_id() {
    let abort = json!({
        "name": "envoy.filters.http.fault",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "abort": {"http_status": 418, "percentage": {"numerator": 100}},
            "headers": [{"name": "x-abort", "present_match": true}],
        },
    });
    let stage = Stage::set(|shipped| shipped.policy(&json!({"version": "1.0"})).filter_ahead(abort).unwrap()).await;
    let aborted = stage.send(&Request::get("/").header("x-abort", "1"), Protocol::Http1).await;
    assert_eq!((aborted.status.as_u16(), aborted.header("x-request-id")), (418, None));
    let passed = stage.send(&Request::get("/"), Protocol::Http1).await;
    assert_eq!((passed.status.as_u16(), passed.header("x-request-id").is_some()), (200, true));
}
