//! Consul's index, and who waits for it.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;

use super::super::PolicyServer;
use super::{PATIENCE, Protocol, Reply, Request, get};

fn index(reply: &Reply) -> u64 {
    reply.header("x-consul-index").unwrap().parse().unwrap()
}

/// A query that the server has, and when it was sent.
async fn held(server: &PolicyServer, query: &str) -> (JoinHandle<Reply>, Instant) {
    let (address, request) = (server.address(), Request::get(&format!("{}{query}", server.path())));
    let (nth, sent) = (server.requests().saturating_add(1), Instant::now());
    let reply = tokio::spawn(async move { request.send(address, Protocol::Http1).await.unwrap() });
    server.wait_for_requests(nth, PATIENCE).await.unwrap();
    (reply, sent)
}

#[tokio::test]
async fn a_value_comes_raw_or_within_json_and_always_with_an_index() {
    let server = PolicyServer::consul().unwrap();
    let none = get(&server, "").await;
    assert_eq!((none.status.as_u16(), index(&none), none.body.len()), (404, 1, 0));
    server.set("one");
    server.set("two");
    let raw = get(&server, "?raw").await;
    assert_eq!((raw.text().as_str(), raw.header("content-type"), index(&raw)), ("two", Some("text/plain"), 3));
    assert_eq!(raw.header("etag"), None);
    let whole = get(&server, "").await;
    assert_eq!(index(&whole), 3);
    let key = server.path().strip_prefix("/v1/kv/").unwrap().to_owned();
    let entry = json!({
        "LockIndex": 0, "Key": key, "Flags": 0, "Value": "dHdv", "CreateIndex": 2, "ModifyIndex": 3,
    });
    assert_eq!(whole.json().unwrap(), json!([entry]));
}

#[tokio::test]
async fn a_query_with_the_present_index_is_answered_when_something_changes() {
    let server = PolicyServer::consul().unwrap();
    // One after the other; at first there is no document.
    let changes = [(Some("one"), 200, "one"), (Some("two"), 200, "two"), (None, 404, "")];
    for (present, (document, status, text)) in (1..).zip(changes) {
        let (reply, _) = held(&server, &format!("?raw&index={present}&wait=20s")).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!reply.is_finished());
        assert_eq!(server.unanswered(), 1);
        let changed = Instant::now();
        match document {
            Some(document) => server.set(document),
            None => server.remove(),
        }
        let reply = reply.await.unwrap();
        assert!(changed.elapsed() < Duration::from_secs(2), "{:?}", changed.elapsed());
        assert_eq!((reply.status.as_u16(), reply.text().as_str(), index(&reply)), (status, text, present + 1));
    }
}

#[tokio::test]
async fn a_query_that_is_behind_or_waits_for_nothing_is_answered_at_once() {
    let server = PolicyServer::consul().unwrap();
    server.set("one");
    for query in ["?raw", "?raw&index=0&wait=20s", "?raw&index=1&wait=20s", "?raw&index=&wait=20s"] {
        let started = Instant::now();
        assert_eq!(get(&server, query).await.text(), "one", "{query}");
        assert!(started.elapsed() < Duration::from_secs(2), "{query}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_query_is_answered_after_its_wait_and_a_little_more_when_nothing_changes() {
    let server = PolicyServer::consul().unwrap();
    server.set("one");
    // Also one whose index lies ahead, as after a reset.
    for ahead in [2, 99] {
        let (reply, sent) = held(&server, &format!("?raw&index={ahead}&wait=400ms")).await;
        let reply = reply.await.unwrap();
        assert!(sent.elapsed() >= Duration::from_millis(400), "{:?}", sent.elapsed());
        assert!(sent.elapsed() < Duration::from_secs(3), "{:?}", sent.elapsed());
        assert_eq!((reply.text().as_str(), index(&reply)), ("one", 2));
    }
}

#[tokio::test]
async fn when_the_index_begins_over_who_waits_is_answered_and_who_comes_later_waits() {
    let server = PolicyServer::consul().unwrap();
    for document in ["one", "two", "three"] {
        server.set(document);
    }
    let (reply, _) = held(&server, "?raw&index=4&wait=20s").await;
    let reset = Instant::now();
    server.reset_index();
    let reply = reply.await.unwrap();
    assert!(reset.elapsed() < Duration::from_secs(2), "{:?}", reset.elapsed());
    assert_eq!((reply.text().as_str(), index(&reply)), ("three", 1));

    let (reply, sent) = held(&server, "?raw&index=4&wait=300ms").await;
    server.set("four");
    let reply = reply.await.unwrap();
    assert!(sent.elapsed() >= Duration::from_millis(300), "{:?}", sent.elapsed());
    assert_eq!((reply.text().as_str(), index(&reply)), ("four", 2));
}

#[tokio::test]
async fn what_is_no_index_and_no_wait_is_refused() {
    let server = PolicyServer::consul().unwrap();
    for query in ["?index=x", "?index=-1", "?wait=x", "?wait=5", "?wait=s", "?wait=5days", "?wait=-5s"] {
        assert_eq!(get(&server, query).await.status, 400, "{query}");
    }
}
