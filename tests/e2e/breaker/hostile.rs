//! Callers and services that would open a breaker for everybody else, or keep it open.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use sluicegate_tests::client::{Protocol, Request, raw};
use sluicegate_tests::envoy::{Bootstrap, Envoy};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{TWO_TICKS, Two, failing, policy, quick};
use crate::stage::PATIENCE;

/// A breaker with this field whose open time is over: the next requests are its trials.
async fn probed(field: &str, value: serde_json::Value) -> Two {
    let mut section = quick();
    section[field] = value;
    let two = Two::set(&policy(section)).await;
    two.open().await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    two
}

async fn transitions(envoy: &Envoy, cause: &str) -> f64 {
    let stats = envoy.stats().await.unwrap();
    stats.sum("sluicegate_breaker_transitions_total", &[("cause", cause)]).unwrap_or_default()
}

/// A request whose body begins, and never ends while the connection is kept.
async fn unfinished(to: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nx").await.unwrap();
    stream
}

/// A request whose body takes so long.
async fn upload(to: SocketAddr, takes: Duration) -> Option<u16> {
    let head = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\n1".as_bytes();
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(head).await.unwrap();
    tokio::time::sleep(takes).await;
    stream.write_all(b"2").await.unwrap();
    let mut reply = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut reply);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    raw::RawReply(reply).status()
}

#[tokio::test]
async fn callers_who_never_send_all_of_a_trial_do_not_keep_it_open() {
    let two = probed("probe_timeout", json!("500ms")).await;
    let address = two.stage.envoy.address();
    let before = two.stage.upstream.requests();
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(unfinished(address).await);
    }
    // One slot of three is for who sends all. That it is free again, the other worker hears on its tick.
    let (mut answered, began) = (0, tokio::time::Instant::now());
    while answered < 3 {
        answered += u32::from(two.get("/").await.status == 200);
        assert!(began.elapsed() < PATIENCE, "the slot for whole requests is not free");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let passed = two.stage.upstream.requests() - before;
    assert!((3..=8).contains(&passed), "{passed}");
    tokio::time::sleep(TWO_TICKS).await;
    let report = two.load(100, Request::get("/")).await;
    assert_eq!(report.answered(200), 100, "{report}");
    assert_eq!(transitions(&two.stage.envoy, "probe_given_up").await, 0.0);
    drop(held);
}

#[tokio::test]
async fn a_trial_that_was_sent_and_is_not_answered_is_given_up() {
    let two = probed("probe_timeout", json!("500ms")).await;
    let hangs = Request::post("/", "all of it").header("x-upstream-delay", "3000ms");
    let address = two.stage.envoy.address();
    let trial = tokio::spawn(async move { hangs.send(address, Protocol::Http1).await });
    two.stage
        .envoy
        .wait_for_stat("sluicegate_breaker_transitions_total", &[("cause", "probe_given_up")], 1.0, PATIENCE)
        .await
        .unwrap();
    trial.abort();
}

#[tokio::test]
async fn slow_uploads_are_no_slow_calls() {
    let mut section = quick();
    section["slow_call"] = json!({"threshold": "300ms", "rate": 0.1});
    let two = Two::set(&policy(section)).await;
    let address = two.stage.envoy.address();
    let uploads: tokio::task::JoinSet<_> = (0..30).map(|_| upload(address, Duration::from_millis(500))).collect();
    assert_eq!(uploads.join_all().await, [Some(200); 30]);
    tokio::time::sleep(TWO_TICKS).await;
    assert_eq!(two.get("/").await.status, 200);
    let slow = Request::post("/", "all of it").header("x-upstream-delay", "400ms");
    two.load(30, slow).await;
    tokio::time::sleep(TWO_TICKS).await;
    assert_eq!(two.get("/").await.header("x-sluicegate-breaker"), Some("open"));
}

#[tokio::test]
async fn deadlines_that_are_too_short_for_any_answer_open_nothing() {
    let two = Two::set(&policy(quick())).await;
    let call = |deadline: &str| {
        Request::grpc("/timed/Add", b"x").header("x-upstream-delay", "600ms").header("grpc-timeout", deadline)
    };
    let calls = async |deadline: &str| {
        let address = two.stage.envoy.address();
        let calls: tokio::task::JoinSet<_> = (0..30)
            .map(|_| {
                let call = call(deadline);
                async move { call.send(address, Protocol::Http2).await.unwrap() }
            })
            .collect();
        calls.join_all().await
    };
    for reply in calls("20m").await {
        assert_ne!(reply.header("grpc-status"), None, "the proxy heeds the deadline");
    }
    tokio::time::sleep(TWO_TICKS).await;
    assert_eq!(two.get("/").await.status, 200);
    // Who waits for long enough tells that the upstream hangs.
    calls("300m").await;
    tokio::time::sleep(TWO_TICKS).await;
    assert_eq!(two.get("/").await.header("x-sluicegate-breaker"), Some("open"));
}

#[tokio::test]
async fn a_stream_that_begins_well_closes_it_before_it_ends() {
    let two = probed("probe_timeout", json!("500ms")).await;
    let address = two.stage.envoy.address();
    let streams: tokio::task::JoinSet<_> = (0..3)
        .map(|_| Request::get("/").header("x-upstream-stream", "60x50ms"))
        .map(|stream| async move { stream.send(address, Protocol::Http1).await.unwrap().status.as_u16() })
        .collect();
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let report = two.load(100, Request::get("/")).await;
    assert_eq!(report.answered(200), 100, "{report}");
    assert_eq!(streams.join_all().await, [200; 3]);
}

/// A request that the proxy sends on to where it was redirected comes by twice.
#[tokio::test]
async fn a_redirected_request_is_two_trials_one_after_the_other() {
    let two = probed("probes", json!(1)).await;
    // The upstream redirects the second time as well, which the caller is told.
    let redirected = Request::get("/redirected")
        .header("x-upstream-status", "302")
        .header("x-upstream-response-header", "location=http://shop/again");
    let before = two.stage.upstream.requests();
    let reply = two.stage.send(&redirected, Protocol::Http1).await;
    assert_eq!((reply.status.as_u16(), two.stage.upstream.requests() - before), (302, 2));
    assert_eq!(two.get("/").await.status, 200);
}

#[tokio::test]
async fn what_a_breaker_behind_it_sheds_does_not_open_the_one_in_front() {
    let inner = Two::set(&policy(json!({"mode": "forced_open"}))).await;
    let outer = Bootstrap::shipped().unwrap().only("breaker").unwrap().policy(&policy(quick()));
    let outer = outer.upstream(inner.stage.envoy.address()).start().await.unwrap();
    for (call, protocol) in
        [(Request::get("/"), Protocol::Http1), (Request::grpc("/shop.Cart/Add", b"x"), Protocol::Http2)]
    {
        for _ in 0..60 {
            let reply = call.send(outer.address(), protocol).await.unwrap();
            assert_eq!(reply.header("x-sluicegate-breaker"), Some("open"));
        }
    }
    tokio::time::sleep(TWO_TICKS).await;
    assert_eq!(transitions(&outer, "failure_rate").await, 0.0);
    let passed = outer.wait_for_stat("sluicegate_breaker_passed_total", &[], 120.0, PATIENCE).await.unwrap();
    assert_eq!(passed, 120.0);
}

#[tokio::test]
async fn nothing_that_a_caller_sends_traps_it() {
    let mut section = quick();
    section["per"] = json!({"header": "x-tenant"});
    section["slow_call"] = json!({"threshold": "1ms", "rate": 1.0});
    section["fallback"] = json!({"header": "x-route", "value": "fallback"});
    let two = Two::set(&policy(section)).await;
    let long = "k".repeat(30_000);
    let values: [&[u8]; 6] = [b"", b"\xff\xfe\x80", b"a,b", long.as_bytes(), b"_other", b"999999999999999999999n"];
    for value in values {
        for name in ["x-tenant", "grpc-timeout", "x-route", "upgrade", "x-sluicegate-breaker", "content-type"] {
            for protocol in [Protocol::Http1, Protocol::Http2] {
                // Envoy itself refuses some of them.
                _ = failing("/").header(name, value).send(two.stage.envoy.address(), protocol).await;
            }
        }
    }
    assert_eq!(two.get("/healthy").await.status, 200);
    let log = two.stage.envoy.log().unwrap();
    for sign in ["panicked", "Function: proxy_on_", "Uncaught RuntimeError", "VM failed"] {
        assert!(!log.contains(sign), "{log}");
    }
}

/// Who reads slowly, or not at all, lets the proxy's time for the response run out.
#[tokio::test]
async fn a_timeout_of_a_response_that_began_well_opens_nothing() {
    let two = Two::set(&policy(quick())).await;
    two.load(40, Request::get("/hurried").header("x-upstream-stream", "20x50ms")).await;
    tokio::time::sleep(TWO_TICKS).await;
    assert_eq!(two.get("/").await.status, 200);
    let ignored = two.stage.envoy.wait_for_stat("sluicegate_breaker_ignored_total", &[], 40.0, PATIENCE).await.unwrap();
    assert_eq!(ignored, 40.0);
}
