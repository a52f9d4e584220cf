//! What becomes of a collector that is killed, and of those who speak to it.

use std::time::Instant;

use hyper::StatusCode;

use super::*;
use crate::client::Connection;
use crate::collector::Answer;

#[tokio::test]
async fn stopped_it_refuses_connections_and_restarted_it_goes_on() {
    let mut collector = Collector::start().await.unwrap();
    let address = collector.address();
    collector.answer(Answer::status(StatusCode::ACCEPTED));
    for protocol in PROTOCOLS {
        let mut connection = Connection::open(address, protocol).await.unwrap();
        connection.send(&logs(&["a"])).await.unwrap();
        collector.stop().await;
        connection.send(&logs(&["lost"])).await.unwrap_err();
        let refused = format!("{:#}", logs(&["lost"]).send(address, protocol).await.unwrap_err());
        assert!(refused.contains("refused"), "{refused}");
        collector.stop().await;
        collector.restart().await.unwrap();
        let reply = logs(&["b"]).send(address, protocol).await.unwrap();
        assert_eq!(reply.status, 202, "it has not forgotten its orders");
    }
    assert_eq!(collector.address(), address);
    assert_eq!(bodies(&collector), ["a", "b", "a", "b"]);
    assert_eq!(collector.problems(), [""; 0]);
}

#[tokio::test]
async fn a_restart_of_a_running_one_cuts_its_connections() {
    let mut collector = Collector::start().await.unwrap();
    let mut connection = Connection::open(collector.address(), Protocol::Http1).await.unwrap();
    connection.send(&logs(&["a"])).await.unwrap();
    collector.restart().await.unwrap();
    connection.send(&logs(&["b"])).await.unwrap_err();
    send(&collector, &logs(&["c"])).await;
    assert_eq!(bodies(&collector), ["a", "c"]);
}

#[tokio::test]
async fn nobody_else_gets_the_port_meanwhile() {
    let mut collector = Collector::start().await.unwrap();
    collector.stop().await;
    let error = std::net::TcpStream::connect(collector.address()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    // A socket as others make them, without SO_REUSEADDR.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(false).unwrap();
    assert_eq!(socket.bind(collector.address()).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn what_was_under_way_is_never_acknowledged() {
    let hold = Duration::from_millis(100);
    for protocol in PROTOCOLS {
        let mut collector = Collector::start().await.unwrap();
        collector.hold(hold);
        let address = collector.address();
        let slow = tokio::spawn(async move { logs(&["a"]).send(address, protocol).await });
        collector.wait_for_requests(1, PATIENCE).await.unwrap();
        collector.stop().await;
        slow.await.unwrap().unwrap_err();
        tokio::time::sleep(hold * 2).await;
        assert_eq!((collector.received().log_records, collector.acknowledged().log_records), (1, 0), "{protocol:?}");
    }
}

#[tokio::test]
async fn dropping_it_closes_the_port_and_the_connections() {
    let collector = Collector::start().await.unwrap();
    let address = collector.address();
    let mut connection = Connection::open(address, Protocol::Http2).await.unwrap();
    connection.send(&logs(&["a"])).await.unwrap();
    drop(collector);
    connection.send(&logs(&["b"])).await.unwrap_err();
    logs(&["c"]).send(address, Protocol::Http1).await.unwrap_err();
}

/// How many requests, one after the other, were answered with 200 and how many were not until then.
async fn client(to: std::net::SocketAddr, protocol: Protocol, until: Instant) -> (u64, u64) {
    let (mut answered, mut lost) = (0_u64, 0_u64);
    let mut kept = None;
    while Instant::now() < until {
        let exchange = async {
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(to, protocol).await?,
            };
            let reply = connection.send(&logs(&["a", "b"])).await?;
            assert_eq!(reply.status, 200);
            kept = Some(connection);
            anyhow::Ok(())
        };
        // hyper's client now and then waits for ever on a connection that was reset under it.
        match tokio::time::timeout(Duration::from_secs(1), exchange).await {
            Ok(Ok(())) => answered = answered.saturating_add(1),
            _ => lost = lost.saturating_add(1),
        }
    }
    (answered, lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_restarted_under_load_its_books_are_right() {
    const CLIENTS: u64 = 8;
    const KILLS: u64 = 20;
    for protocol in PROTOCOLS {
        let mut collector = Collector::start().await.unwrap();
        let until = Instant::now() + Duration::from_millis(600);
        let clients: tokio::task::JoinSet<_> =
            (0..CLIENTS).map(|_| client(collector.address(), protocol, until)).collect();
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(15)).await;
            collector.stop().await;
            let before = collector.acknowledged();
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert_eq!(collector.acknowledged(), before, "stopped, it acknowledges nothing");
            collector.restart().await.unwrap();
        }
        let counts = clients.join_all().await;
        let (answered, lost) = counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
        let acknowledged = collector.acknowledged().log_records;
        assert!(answered > 0 && lost > 0, "{answered}, {lost}");
        // An answer may be lost on its way, one per client and kill; nobody got one that is not in the books.
        assert!(answered * 2 <= acknowledged, "{answered}, acknowledged {acknowledged}");
        assert!(acknowledged <= (answered + CLIENTS * KILLS) * 2, "{answered}, acknowledged {acknowledged}");
        assert!(collector.received().log_records >= acknowledged);
        assert_eq!(collector.log_records().len() as u64, acknowledged);
        assert_eq!(collector.problems(), [""; 0]);
    }
}
