//! Each test asks a policy server what a poller would.

mod blocking;
mod etags;

use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};
use tokio::time::timeout;

use super::{Answer, PolicyServer};
use crate::client::{Connection, Protocol, Reply, Request};

const PATIENCE: Duration = Duration::from_secs(10);

async fn send(server: &PolicyServer, request: &Request) -> Reply {
    request.send(server.address(), Protocol::Http1).await.unwrap()
}

async fn get(server: &PolicyServer, query: &str) -> Reply {
    send(server, &Request::get(&format!("{}{query}", server.path()))).await
}

fn servers() -> [PolicyServer; 2] {
    [PolicyServer::start().unwrap(), PolicyServer::consul().unwrap()]
}

#[tokio::test]
async fn it_has_one_document_and_none_at_first() {
    for server in servers() {
        assert_eq!(get(&server, "?raw").await.status, 404);
        server.set("{}");
        let reply = get(&server, "?raw").await;
        assert_eq!((reply.status, reply.text().as_str()), (StatusCode::OK, "{}"));
        let other = send(&server, &Request::get("/v1/kv/another")).await;
        assert_eq!(other.status, 404);
        let put = send(&server, &Request::new(Method::PUT, &server.path())).await;
        assert_eq!((put.status, put.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, Some("GET")));
        server.remove();
        assert_eq!(get(&server, "?raw").await.status, 404);
    }
}

#[tokio::test]
async fn it_tells_how_often_it_was_asked_and_what_last() {
    let server = PolicyServer::start().unwrap();
    assert_eq!((server.requests(), server.last_query()), (0, None));
    assert!(server.wait_for_requests(1, Duration::from_millis(10)).await.is_err());
    get(&server, "?raw&index=7").await;
    assert_eq!(server.last_query().as_deref(), Some("raw&index=7"));
    send(&server, &Request::get("/").header("odd", b"\xff")).await;
    server.wait_for_requests(2, PATIENCE).await.unwrap();
    assert_eq!((server.requests(), server.unanswered(), server.last_query()), (2, 0, None));
    assert_eq!(server.last().unwrap().header("odd"), Some("\u{ff}"));
}

#[tokio::test]
async fn it_answers_as_ordered_until_it_is_ordered_otherwise() {
    for server in servers() {
        server.set("{}");
        server.answer(Answer::Status(StatusCode::INTERNAL_SERVER_ERROR));
        assert_eq!(get(&server, "?raw").await.status, 500);
        server.answer(Answer::Bytes(3_000_000));
        let reply = get(&server, "?raw").await;
        assert_eq!((reply.status, reply.body.len()), (StatusCode::OK, 3_000_000));
        server.answer(Answer::Document);
        assert_eq!(get(&server, "?raw").await.text(), "{}");
    }
}

#[tokio::test]
async fn it_can_leave_a_request_without_an_answer() {
    let server = PolicyServer::start().unwrap();
    server.set("{}");
    server.answer(Answer::Never);
    let waiting = timeout(Duration::from_millis(200), get(&server, ""));
    assert!(waiting.await.is_err());
    assert_eq!(server.requests(), 1);
    // Whoever has given up does not wait.
    let started = Instant::now();
    while server.unanswered() > 0 {
        assert!(started.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
    }
    let held = tokio::spawn({
        let (address, request) = (server.address(), Request::get(&server.path()));
        async move { request.send(address, Protocol::Http1).await }
    });
    server.wait_for_requests(2, PATIENCE).await.unwrap();
    assert_eq!(server.unanswered(), 1);
    drop(server);
    held.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_stopped_server_is_gone_and_comes_back_with_its_document() {
    let mut server = PolicyServer::start().unwrap();
    server.set("{}");
    let address = server.address();
    let mut connection = Connection::open(address, Protocol::Http1).await.unwrap();
    connection.send(&Request::get(&server.path())).await.unwrap();
    server.stop().await;
    connection.send(&Request::get(&server.path())).await.unwrap_err();
    Connection::open(address, Protocol::Http1).await.unwrap_err();
    server.restart().await.unwrap();
    assert_eq!(server.address(), address);
    assert_eq!(get(&server, "").await.text(), "{}");
    // One that runs is stopped first.
    server.restart().await.unwrap();
    assert_eq!(get(&server, "").await.text(), "{}");
}
