//! Thousands of requests of every kind: one valid line each, none lost, none doubled, and the same in the collector.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_tests::client::{Protocol, Request, raw};
use sluicegate_tests::collector::Collector;
use sluicegate_tests::envoy::Bootstrap;
use sluicegate_tests::shipped;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Shared, as_line, attribute, by_request, log_everything, read, same, with_collector};
use crate::stage::{PATIENCE, SPAN, Stage, TRACE};

/// A kind of request and what its line must say.
struct Case {
    name: &'static str,
    protocol: Protocol,
    request: fn() -> Request,
    /// `None`: the client leaves before the answer has come.
    status: Option<u16>,
    severity: &'static str,
    kind: Option<&'static str>,
    flags: Option<&'static str>,
    also: fn(&Value),
}

const USUAL: Case = Case {
    name: "plain",
    protocol: Protocol::Http1,
    request: || Request::get("/plain?page=2&token=s3cr3t"),
    status: Some(200),
    severity: "INFO",
    kind: None,
    flags: None,
    also: |_| {},
};

fn grpc(status: &'static str) -> Request {
    Request::grpc("/shop.Cart/Add", b"x").header("x-upstream-grpc-status", status)
}

fn expect(record: &Value, name: &str, value: impl Into<Value>) {
    assert_eq!(attribute(record, name), Some(&value.into()), "{record}");
}

fn milliseconds(record: &Value, name: &str) -> f64 {
    attribute(record, name).and_then(Value::as_f64).unwrap_or_else(|| panic!("{name}: {record}"))
}

/// The first byte that is not in any text.
fn odd() -> Vec<u8> {
    (0x80..=0xffu8).chain(*b"\t\"\\ caf\xc3\xa9 \xe2\x80\xa8").collect()
}

const CASES: &[Case] = &[
    Case {
        also: |record| {
            expect(record, "url.path", "/plain");
            expect(record, "url.query", "page=2&token=[redacted]");
            expect(record, "http.request.method", "GET");
            expect(record, "network.protocol.version", "1.1");
            expect(record, "envoy.upstream.cluster", "upstream");
            expect(record, "envoy.response.code_details", "via_upstream");
            assert!(milliseconds(record, "sluicegate.duration_ms") > 0.0);
        },
        ..USUAL
    },
    Case {
        name: "http2",
        protocol: Protocol::Http2,
        request: || {
            let traceparent = format!("00-{TRACE}-{SPAN}-01");
            Request::post("/plain", "body").header("traceparent", traceparent)
        },
        also: |record| {
            expect(record, "network.protocol.version", "2");
            assert_eq!((&record["trace_id"], &record["span_id"]), (&json!(TRACE), &json!(SPAN)));
        },
        ..USUAL
    },
    Case {
        name: "grpc",
        protocol: Protocol::Http2,
        request: || grpc("0"),
        also: |record| {
            expect(record, "rpc.system.name", "grpc");
            expect(record, "rpc.method", "shop.Cart/Add");
            expect(record, "rpc.response.status_code", "OK");
        },
        ..USUAL
    },
    Case {
        name: "grpc not found",
        protocol: Protocol::Http2,
        request: || grpc("5"),
        severity: "WARN",
        kind: Some("upstream_grpc"),
        also: |record| expect(record, "rpc.response.status_code", "NOT_FOUND"),
        ..USUAL
    },
    Case {
        name: "grpc unavailable",
        protocol: Protocol::Http2,
        request: || grpc("14"),
        severity: "ERROR",
        kind: Some("upstream_grpc"),
        also: |record| expect(record, "error.type", "UNAVAILABLE"),
        ..USUAL
    },
    Case {
        name: "4xx",
        request: || Request::get("/x").header("x-upstream-status", "404"),
        status: Some(404),
        severity: "WARN",
        kind: Some("client_error"),
        // To a server it is no error, as OpenTelemetry sees it.
        also: |record| assert_eq!(attribute(record, "error.type"), None),
        ..USUAL
    },
    Case {
        name: "5xx",
        request: || Request::get("/x").header("x-upstream-status", "500"),
        status: Some(500),
        severity: "ERROR",
        kind: Some("upstream_5xx"),
        also: |record| expect(record, "error.type", "500"),
        ..USUAL
    },
    Case {
        name: "429",
        request: || Request::get("/x").header("x-upstream-status", "429"),
        status: Some(429),
        severity: "WARN",
        kind: Some("rate_limited"),
        ..USUAL
    },
    Case {
        name: "reset",
        request: || Request::get("/x").header("x-upstream-reset", ""),
        status: Some(503),
        severity: "ERROR",
        kind: Some("reset"),
        flags: Some("UC"),
        ..USUAL
    },
    Case {
        name: "broken off after the response started",
        request: || Request::get("/x").header("x-upstream-stream", "2x5ms").header("x-upstream-reset", ""),
        // The client sees the connection break.
        status: None,
        severity: "ERROR",
        // A body in chunks without its last chunk: not HTTP.
        kind: Some("protocol"),
        flags: Some("UPE"),
        also: |record| expect(record, "http.response.status_code", 200),
        ..USUAL
    },
    Case {
        name: "timeout",
        request: || Request::get("/timeout").header("x-upstream-delay", "400ms"),
        status: Some(504),
        severity: "ERROR",
        kind: Some("timeout"),
        flags: Some("UT"),
        also: |record| expect(record, "error.type", "timeout"),
        ..USUAL
    },
    Case {
        name: "client leaves",
        request: || Request::get("/x").header("x-upstream-delay", "300ms"),
        status: None,
        severity: "WARN",
        kind: Some("client_gone"),
        ..USUAL
    },
    Case {
        name: "client leaves a stream",
        request: || {
            Request::get("/x")
                .header("x-upstream-stream", "40x10ms")
                .header("x-upstream-response-header", "content-type=text/event-stream")
        },
        status: None,
        also: |record| expect(record, "http.response.status_code", 200),
        ..USUAL
    },
    Case {
        name: "retries",
        request: || Request::get("/retry").header("x-upstream-status", "503"),
        status: Some(503),
        severity: "ERROR",
        kind: Some("upstream_5xx"),
        flags: Some("URX"),
        also: |record| expect(record, "envoy.upstream.attempt_count", 3),
        ..USUAL
    },
    Case {
        name: "no route",
        request: || Request::get("/x").header("host", "elsewhere.example"),
        status: Some(404),
        severity: "WARN",
        kind: Some("no_route"),
        flags: Some("NR"),
        ..USUAL
    },
    Case {
        name: "nobody listens",
        request: || Request::get("/dead"),
        status: Some(503),
        severity: "ERROR",
        kind: Some("connect"),
        flags: Some("UF"),
        also: |record| assert!(attribute(record, "envoy.upstream.transport_failure_reason").is_some(), "{record}"),
        ..USUAL
    },
    Case {
        name: "no host",
        request: || Request::get("/empty"),
        status: Some(503),
        severity: "ERROR",
        kind: Some("no_healthy_upstream"),
        flags: Some("UH"),
        ..USUAL
    },
    Case {
        name: "direct response",
        request: || Request::get("/direct"),
        status: Some(500),
        severity: "ERROR",
        kind: Some("local_reply"),
        ..USUAL
    },
    Case {
        name: "an earlier filter answers",
        request: || Request::get("/x").header("x-envoy-fault-abort-request", "403"),
        status: Some(403),
        severity: "WARN",
        kind: Some("fault_injected"),
        flags: Some("FI"),
        also: |record| expect(record, "url.path", "/x"),
        ..USUAL
    },
    Case {
        name: "our own reply",
        request: || Request::get("/x").header("x-probe", "reply"),
        status: Some(503),
        severity: "ERROR",
        kind: Some("rate_limited"),
        ..USUAL
    },
    Case {
        name: "our own reply over gRPC",
        protocol: Protocol::Http2,
        request: || grpc("0").header("x-probe", "reply"),
        severity: "ERROR",
        kind: Some("rate_limited"),
        also: |record| expect(record, "rpc.response.status_code", "UNAVAILABLE"),
        ..USUAL
    },
    Case {
        name: "long stream",
        request: || Request::get("/stream").header("x-upstream-stream", "20x10ms"),
        also: |record| {
            let whole = milliseconds(record, "sluicegate.duration_ms");
            let headers = milliseconds(record, "sluicegate.time_to_response_headers_ms");
            assert!(whole > 190.0 && headers < whole - 100.0, "{record}");
        },
        ..USUAL
    },
    Case {
        name: "gRPC stream",
        protocol: Protocol::Http2,
        request: || grpc("0").header("x-upstream-stream", "10x10ms"),
        ..USUAL
    },
    Case {
        name: "odd bytes",
        request: || {
            Request::get("/odd/%ff%01/%E2%80%A8/caf%C3%A9?q=%22%5C&r=%")
                .header("x-odd", odd())
                .header("user-agent", odd())
        },
        also: |record| {
            let shown = attribute(record, "odd").and_then(Value::as_str).unwrap();
            assert!(shown.starts_with('\u{fffd}') && shown.ends_with("café \u{2028}"), "{record}");
        },
        ..USUAL
    },
    Case {
        name: "very long",
        request: || {
            let long = "x".repeat(30_000);
            Request::get(&format!("/{long}?{long}")).header("user-agent", &long).header("x-odd", &long)
        },
        also: |record| {
            let path = attribute(record, "url.path").and_then(Value::as_str).unwrap();
            assert!(path.starts_with("/xxx") && path.len() <= 4096, "{}", path.len());
        },
        ..USUAL
    },
    Case {
        name: "an odd method",
        // Envoy's HTTP/1 codec takes only methods that it knows.
        protocol: Protocol::Http2,
        request: || Request::new("BREW".parse().unwrap(), "/pot"),
        also: |record| {
            expect(record, "http.request.method", "_OTHER");
            expect(record, "http.request.method_original", "BREW");
        },
        ..USUAL
    },
    Case {
        name: "not conformant",
        request: || Request::get("/x").header("x-count", "many"),
        also: |record| expect(record, "sluicegate.schema_error", "custom_type: count is not an integer"),
        ..USUAL
    },
];

/// Routes and clusters on which things go wrong, and a plugin that replies.
fn stage_for_trouble(shipped: Bootstrap, dead: SocketAddr) -> Bootstrap {
    let probe = shipped::plugin("probe").unwrap();
    let wasm = json!({
        "name": "probe",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "vm_config": {"runtime": "envoy.wasm.runtime.v8", "vm_id": "probe", "code": {"local": {"filename": probe}}},
                "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "{\"version\":\"1.0\"}"},
            },
        },
    });
    // Answers on command, before any of our filters.
    let fault = json!({
        "name": "envoy.filters.http.fault",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "abort": {"header_abort": {}, "percentage": {"numerator": 100}},
        },
    });
    let cluster = |name: &str, endpoints: Value| {
        let endpoints = json!({"cluster_name": name, "endpoints": endpoints});
        json!({"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": endpoints})
    };
    let address = json!({"socket_address": {"address": dead.ip().to_string(), "port_value": dead.port()}});
    let dead = cluster("dead", json!([{"lb_endpoints": [{"endpoint": {"address": address}}]}]));
    let empty = cluster("empty", json!([]));
    let retry = json!({"retry_on": "5xx", "num_retries": 2, "retry_back_off": {"base_interval": "0.001s"}});
    let routes = json!([
        {"match": {"prefix": "/timeout"}, "route": {"cluster": "upstream", "timeout": "0.1s"}},
        {"match": {"prefix": "/retry"}, "route": {"cluster": "upstream", "retry_policy": retry}},
        {"match": {"prefix": "/dead"}, "route": {"cluster": "dead"}},
        {"match": {"prefix": "/empty"}, "route": {"cluster": "empty"}},
        {"match": {"prefix": "/direct"}, "direct_response": {"status": 500}},
        {"match": {"prefix": "/"}, "name": "rest", "route": {"cluster": "upstream"}},
    ]);
    shipped
        .edit(|config| {
            let clusters = config["static_resources"]["clusters"].as_array_mut().unwrap();
            clusters.extend([dead, empty]);
        })
        .edit_connection_manager(|manager| {
            let filters = manager["http_filters"].as_array_mut().unwrap();
            filters.insert(1, wasm);
            filters.insert(0, fault);
            let host = &mut manager["route_config"]["virtual_hosts"][0];
            host["domains"] = json!(["127.0.0.1:*", "127.0.0.1", "upstream"]);
            host["routes"] = routes;
        })
        .unwrap()
}

/// How often each kind of request is made.
const ROUNDS: usize = 100;
const AT_ONCE: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_request_has_one_valid_line_and_the_collector_sees_the_same() {
    let collector = Collector::start().await.unwrap();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stage = Stage::set(|shipped| {
        let shipped = shipped.policy(&log_everything()).header_limits(1_000, 200).unwrap();
        stage_for_trouble(with_collector(shipped, &collector), dead)
    })
    .await;
    let (to, places) = (stage.envoy.address(), Shared::new(Semaphore::new(AT_ONCE)));
    let mut requests = JoinSet::new();
    for number in 0..ROUNDS {
        for (case, Case { protocol, request, status, .. }) in CASES.iter().enumerate() {
            let request = request().header("x-request-id", format!("{case}:{number}"));
            let places = Shared::clone(&places);
            requests.spawn(async move {
                let _place = places.acquire().await.unwrap();
                let reply = match status {
                    Some(_) => request.send(to, *protocol).await.map(|reply| reply.status.as_u16()).ok(),
                    // Long enough for the request to be under way, too short for its answer.
                    None => {
                        let sent = timeout(Duration::from_millis(120), request.send(to, *protocol)).await;
                        sent.ok().and_then(Result::ok).map(|reply| reply.status.as_u16())
                    }
                };
                (case, reply)
            });
        }
    }
    while let Some(done) = requests.join_next().await {
        let (case, status) = done.unwrap();
        assert_eq!(status, CASES[case].status, "{}", CASES[case].name);
    }
    // What the codec refuses never has a request here: no id, no path, but a line.
    let refused = 100;
    let mut refusals = JoinSet::new();
    for _ in 0..refused {
        let malformed = b"GET / HTTP/1.1\r\nhost: upstream\r\nbad header: x\r\n\r\n";
        refusals.spawn(async move { raw::send(to, malformed, PATIENCE).await.unwrap().status() });
    }
    while let Some(refusal) = refusals.join_next().await {
        assert_eq!(refusal.unwrap(), Some(400));
    }

    let expected = CASES.len() * ROUNDS + refused;
    let lines = stage.envoy.wait_for_access_log(expected, PATIENCE).await.unwrap();
    let exported = collector.wait_for_log_records(expected as u64, PATIENCE).await.unwrap();
    // Whatever came twice would come now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(stage.envoy.access_log().unwrap().lines().count(), expected);
    assert_eq!(collector.log_records().len(), expected);
    assert_eq!(collector.problems(), [""; 0]);

    let (logged, nameless) = by_request(lines.iter().map(|line| read(line)));
    let (collected, _) = by_request(exported.iter().map(as_line));
    assert_eq!(nameless.len(), refused);
    for record in &nameless {
        expect(record, "sluicegate.error.kind", "rejected");
        assert_eq!(record["severity_text"], "WARN");
    }
    for (case, Case { name, status, severity, kind, flags, also, .. }) in CASES.iter().enumerate() {
        for number in 0..ROUNDS {
            let id = format!("{case}:{number}");
            let [record] = logged.get(&id).map(Vec::as_slice).unwrap_or_default() else {
                panic!("{name}: {:?}", logged.get(&id));
            };
            let [twin] = collected.get(&id).map(Vec::as_slice).unwrap_or_default() else { panic!("{name}") };
            let mut comparable = record.clone();
            comparable.as_object_mut().unwrap().remove("timestamp");
            assert!(same(&comparable, twin), "{name}\n{comparable}\n{twin}");
            assert_eq!(record["severity_text"], *severity, "{name}: {record}");
            also(record);
            if attribute(record, "sluicegate.schema_error").is_some() {
                continue;
            }
            assert_eq!(attribute(record, "sluicegate.error.kind").and_then(Value::as_str), *kind, "{name}: {record}");
            if let Some(status) = status {
                expect(record, "http.response.status_code", *status);
            }
            if let Some(letters) = flags {
                let shown = attribute(record, "envoy.response.flags").and_then(Value::as_str).unwrap_or_default();
                assert!(shown.split(',').any(|flag| flag == *letters), "{name}: {record}");
            }
            assert!(!record.to_string().contains("s3cr3t"), "{record}");
        }
        // The same error is the same group; another is not.
        let signatures: std::collections::BTreeSet<_> = (0..ROUNDS)
            .map(|n| logged[&format!("{case}:{n}")][0]["attributes"]["sluicegate.error.signature"].to_string())
            .collect();
        assert_eq!(signatures.len(), 1, "{name}: {signatures:?}");
    }
}

/// A client that says it will send a body, and does not.
#[tokio::test]
async fn a_client_that_breaks_off_its_request_is_logged() {
    let stage =
        Stage::set(|shipped| shipped.policy(&json!({"version": "1.0", "access_log": {"profile": "dev"}}))).await;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(stage.envoy.address()).await.unwrap();
        stream.write_all(b"POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for line in stage.envoy.wait_for_access_log(20, PATIENCE).await.unwrap() {
        let record = read(&line);
        expect(&record, "url.path", "/upload");
        assert_eq!(record["severity_text"], "WARN", "{record}");
    }
}

/// Answers every request with 101, and then every byte with itself.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
                stream.write_all(switch).await.unwrap();
                let (mut reading, mut writing) = stream.split();
                _ = tokio::io::copy(&mut reading, &mut writing).await;
            });
        }
    });
    address
}

/// Its line comes when it ends, and says when it began to answer.
#[tokio::test]
async fn a_web_socket_is_logged_at_its_end() {
    let echo = echo().await;
    let policy = json!({"version": "1.0", "access_log": {"profile": "prod", "slow_threshold": "250ms"}});
    let stage = Stage::set(|shipped| {
        let shipped = shipped.upstream(echo).policy(&policy);
        let upgrades = json!([{"upgrade_type": "websocket"}]);
        shipped.edit_connection_manager(|manager| manager["upgrade_configs"] = upgrades).unwrap().edit(|config| {
            // The shipped cluster speaks what the client spoke.
            config["static_resources"]["clusters"][0]
                .as_object_mut()
                .unwrap()
                .remove("typed_extension_protocol_options");
        })
    })
    .await;
    let mut socket = TcpStream::connect(stage.envoy.address()).await.unwrap();
    let request = format!(
        "GET /chat HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n\r\nping"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"ping") {
        answer.push(socket.read_u8().await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(stage.envoy.access_log().unwrap(), "");
    drop(socket);
    let [line] = &stage.envoy.wait_for_access_log(1, PATIENCE).await.unwrap()[..] else { panic!("one line") };
    let record = read(line);
    expect(&record, "http.response.status_code", 101);
    assert_eq!(
        (&record["severity_text"], attribute(&record, "sluicegate.error.kind")),
        (&json!("INFO"), None),
        "{record}"
    );
    // It was not slow to answer, however long it lasted.
    expect(&record, "sluicegate.sampled_by", "parent");
    assert!(milliseconds(&record, "sluicegate.duration_ms") >= 400.0, "{record}");
}
