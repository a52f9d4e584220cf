//! What filters get from `sluicegate-host`, tried in a real proxy with the example `probe`.

use serde_json::json;
use sluicegate_tests::client::load::{Load, Until};
use sluicegate_tests::client::{Connection, Protocol, Reply, Request};
use sluicegate_tests::envoy::Bootstrap;
use sluicegate_tests::shipped;

use crate::stage::{PATIENCE, Stage};

/// The probe in the place of the trace-context filter, and alone.
async fn probe(change: impl FnOnce(Bootstrap) -> Bootstrap) -> Stage {
    Stage::set(|bootstrap| {
        let module = shipped::plugin("probe").unwrap();
        let bootstrap = bootstrap.only("trace_context").unwrap().module("trace_context", &module).unwrap();
        change(bootstrap.policy(&json!({"version": "1.0"})))
    })
    .await
}

fn ask(what: &str) -> Request {
    Request::get("/").header("x-probe", what)
}

fn answer(reply: &Reply) -> String {
    reply.seen().unwrap().header("x-probe-answer").unwrap().to_owned()
}

#[tokio::test]
async fn a_local_reply_is_problem_details_over_http() {
    let stage = probe(|bootstrap| bootstrap).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let reply = stage.send(&ask("reply").header("x-request-id", "r-1"), protocol).await;
        assert_eq!(reply.status, 503);
        assert_eq!(reply.all("content-type"), [b"application/problem+json"]);
        assert_eq!(reply.header("retry-after"), Some("1"));
        let expected = json!({
            "type": "urn:sluicegate:problem:PROBE_BUSY",
            "status": 503,
            "code": "PROBE_BUSY",
            "title": "The probe is busy",
            "detail": "asked by \"x-probe\"",
            "details": {"limit": 1},
            "req_id": "r-1",
        });
        assert_eq!(reply.json().unwrap(), expected);
    }
    assert_eq!(stage.upstream.requests(), 0);
}

#[tokio::test]
async fn a_local_reply_is_a_status_and_a_short_message_over_grpc() {
    let stage = probe(|bootstrap| bootstrap).await;
    let reply = stage.send(&Request::grpc("/a.B/C", b"").header("x-probe", "reply"), Protocol::Http2).await;
    assert_eq!((reply.status.as_u16(), reply.grpc_status()), (200, Some(14)));
    assert_eq!(reply.grpc_message().as_deref(), Some("PROBE_BUSY: asked by \"x-probe\""));
    assert!(reply.body.is_empty());
    // Envoy takes only the exact type for gRPC, so a caller with another gets what HTTP callers get.
    for other in ["application/grpc;a=b", "application/grpc-web"] {
        let request = Request::post("/a.B/C", "").header("content-type", other).header("x-probe", "reply");
        let reply = stage.send(&request, Protocol::Http2).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (503, Some("application/problem+json")));
    }
}

#[tokio::test]
async fn every_worker_counts_in_the_same_shared_data_and_a_new_policy_goes_on_counting() {
    let stage = probe(|bootstrap| bootstrap.concurrency(2).balanced()).await;
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers.push(Connection::open(stage.envoy.address(), Protocol::Http1).await.unwrap());
    }
    for count in 1..=6 {
        let reply = workers[count % 2].send(&ask("shared")).await.unwrap();
        assert_eq!(answer(&reply), count.to_string());
    }
    stage.envoy.swap_policy(&json!({"version": "1.0", "service": {"name": "other"}})).unwrap();
    stage.envoy.wait_for_swaps("trace_context", 2, 0, PATIENCE).await.unwrap();
    assert_eq!(answer(&stage.send(&ask("shared"), Protocol::Http1).await), "7");
}

#[tokio::test]
async fn no_count_is_lost_when_workers_race() {
    let stage = probe(|bootstrap| bootstrap.concurrency(2).balanced()).await;
    let load = Load { connections: 8, protocol: Protocol::Http1, until: Until::Requests(4_000) };
    let report = load.run(stage.envoy.address(), |_| ask("shared")).await;
    assert_eq!(report.answered(200), 4_000, "{report}");
    assert_eq!(answer(&stage.send(&ask("shared"), Protocol::Http1).await), "4001");
}

#[tokio::test]
async fn the_proxy_tells_direction_and_service() {
    for (said, direction) in [("INBOUND", "inbound"), ("OUTBOUND", "outbound"), ("UNSPECIFIED", "gateway")] {
        let stage = probe(|bootstrap| bootstrap.direction(said)).await;
        assert_eq!(answer(&stage.send(&ask("direction"), Protocol::Http1).await), direction);
        assert_eq!(answer(&stage.send(&ask("service"), Protocol::Http1).await), "sluicegate");
    }
    let named = json!({"version": "1.0", "service": {"name": "checkout"}});
    let stage = probe(|bootstrap| bootstrap.policy(&named)).await;
    assert_eq!(answer(&stage.send(&ask("service"), Protocol::Http1).await), "checkout");
}

#[tokio::test]
async fn random_bytes_differ_between_workers_and_calls() {
    let stage = probe(|bootstrap| bootstrap.concurrency(2).balanced()).await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..20 {
        // A new connection each, by turns on both workers.
        assert!(seen.insert(answer(&stage.send(&ask("random"), Protocol::Http1).await)));
    }
}

#[tokio::test]
async fn a_callout_reaches_a_cluster_and_its_answer_comes_back() {
    let stage = probe(|bootstrap| bootstrap.concurrency(1)).await;
    stage.send(&ask("callout"), Protocol::Http1).await;
    let sent = "probe: absent: proxy_http_call answered BadArgument, sent: ok";
    stage.envoy.wait_for_log(sent, PATIENCE).await.unwrap();
    stage.envoy.wait_for_log("probe: callout Some(200)", PATIENCE).await.unwrap();
    assert_eq!(answer(&stage.send(&ask("callout-status"), Protocol::Http1).await), "200");
}

#[tokio::test]
async fn a_callout_to_a_dead_cluster_comes_back_too() {
    let stage = probe(|bootstrap| {
        // A port that nobody listens on.
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        bootstrap.concurrency(1).upstream(nobody)
    })
    .await;
    assert_eq!(stage.send(&ask("callout"), Protocol::Http1).await.status, 503);
    stage.envoy.wait_for_log("probe: callout Some(503)", PATIENCE).await.unwrap();
}

#[tokio::test]
async fn the_route_can_be_picked_anew_from_a_header_that_a_filter_set() {
    let stage = probe(|bootstrap| {
        let elsewhere = json!({
            "match": {"prefix": "/", "headers": [{"name": "x-route", "string_match": {"exact": "elsewhere"}}]},
            "direct_response": {"status": 418},
        });
        let rerouted = bootstrap.edit_connection_manager(|manager| {
            let routes = manager.pointer_mut("/route_config/virtual_hosts/0/routes").unwrap();
            routes.as_array_mut().unwrap().insert(0, elsewhere);
        });
        rerouted.unwrap()
    })
    .await;
    assert_eq!(stage.send(&ask("reroute"), Protocol::Http1).await.status, 418);
    assert_eq!(stage.send(&ask("nothing"), Protocol::Http1).await.status, 200);
}

#[tokio::test]
async fn the_log_callback_comes_also_for_what_never_had_request_headers_here() {
    let stage = probe(|bootstrap| bootstrap).await;
    stage.send(&ask("nothing"), Protocol::Http1).await;
    stage.envoy.wait_for_log("probe: logged 200, request headers true", PATIENCE).await.unwrap();
    let nonsense = b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n";
    sluicegate_tests::client::raw::send(stage.envoy.address(), nonsense, PATIENCE).await.unwrap();
    stage.envoy.wait_for_log("probe: logged 400", PATIENCE).await.unwrap();
    assert_eq!(stage.send(&ask("nothing"), Protocol::Http1).await.status, 200);
}
