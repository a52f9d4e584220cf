//! An HTTP endpoint, polled or waited at.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::json;
use sluicegate_tests::policy_server::{Answer, PolicyServer};

use super::{Live, answering};
use crate::stage::PATIENCE;

#[tokio::test]
async fn a_document_is_asked_for_at_intervals_and_comes_only_where_it_has_changed() {
    let server = PolicyServer::start().unwrap();
    server.set(answering("first").to_string());
    let headers = json!([{"name": "X-Consul-Token", "value": "hunter2"}]);
    let source = json!({"http": {"cluster": "policies", "path": server.path(), "interval": "1s", "headers": headers}});
    let mut live = Live::set(source, |shipped| shipped.cluster("policies", server.address())).await;
    live.wait_for("first").await;
    server.wait_for_requests(3, PATIENCE).await.unwrap();
    let asked = server.last().unwrap();
    assert_eq!(asked.all("if-none-match").len(), 1, "{asked:?}");
    assert_eq!(asked.all("x-consul-token"), ["hunter2"]);
    server.set(answering("second").to_string());
    live.wait_for("second").await;
    let updates = live.envoy.wait_for_stat("sluicegate_policy_updates_total", &[], 2.0, PATIENCE).await.unwrap();
    assert_eq!(updates, 2.0);

    server.answer(Answer::Status(StatusCode::INTERNAL_SERVER_ERROR));
    live.envoy.wait_for_stat("sluicegate_policy_source_troubles_total", &[], 1.0, PATIENCE).await.unwrap();
    assert_eq!(live.say().await, ["second", "second"]);
    server.answer(Answer::Document);
    server.set("no policy at all");
    live.envoy.wait_for_stat("sluicegate_policy_rejections_total", &[], 1.0, PATIENCE).await.unwrap();
    assert_eq!(live.say().await, ["second", "second"]);
    server.remove();
    live.wait_for("plugin").await;
    let log = live.envoy.log().unwrap();
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn consul_holds_a_query_until_there_is_something_new() {
    let server = PolicyServer::consul().unwrap();
    server.set(answering("first").to_string());
    let path = format!("{}?raw", server.path());
    let source = json!({"http": {"cluster": "consul", "path": path, "blocking": "60s"}});
    let mut live = Live::set(source, |shipped| shipped.cluster("consul", server.address())).await;
    live.wait_for("first").await;
    for number in 0..10 {
        let body = format!("change {number}");
        server.set(answering(&body).to_string());
        let took = live.wait_for(&body).await;
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    assert!(server.requests() < 40, "{} requests", server.requests());
    let began = tokio::time::Instant::now();
    while server.unanswered() != 1 {
        assert!(began.elapsed() < PATIENCE, "{} queries are held, not one for all workers", server.unanswered());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let query = server.last_query().unwrap();
    assert!(query.contains("raw") && query.contains("index=") && query.contains("wait=60s"), "{query}");
    server.reset_index();
    server.set(answering("after the index began anew").to_string());
    live.wait_for("after the index began anew").await;
}
