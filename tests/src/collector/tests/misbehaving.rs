//! What a collector does on command.

use std::io::ErrorKind;
use std::time::Instant;

use hyper::StatusCode;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::client::Connection;
use crate::collector::answer::RpcStatus;
use crate::collector::{Answer, Counts};

const LONG: Duration = Duration::from_millis(300);

#[tokio::test]
async fn it_answers_with_a_status_until_told_otherwise() {
    let collector = Collector::start().await.unwrap();
    collector.answer(Answer::status(StatusCode::SERVICE_UNAVAILABLE).retry_after(2));
    for protocol in PROTOCOLS {
        let reply = logs(&["a"]).send(collector.address(), protocol).await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, Some("2")));
        assert_eq!(RpcStatus::decode(reply.body).unwrap(), RpcStatus { code: 0, message: "as ordered".into() });
    }
    collector.answer(Answer::status(StatusCode::BAD_REQUEST));
    let reply = send(&collector, &spans(&["x"])).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (400, None));
    assert_eq!(
        (collector.received(), collector.acknowledged()),
        (Counts { log_records: 2, spans: 1 }, Counts::default())
    );

    collector.answer(Answer::status(StatusCode::ACCEPTED));
    assert_eq!(send(&collector, &logs(&["b"])).await.status, 202);
    collector.answer(Answer::Accept);
    assert_eq!(send(&collector, &logs(&["c"])).await.status, 200);
    assert_eq!(bodies(&collector), ["b", "c"]);
    assert_eq!((collector.rejected(), collector.problems()), (Counts::default(), vec![]));
    let statuses: Vec<_> = collector.requests().iter().filter_map(|request| request.status).collect();
    assert_eq!(statuses, [503, 503, 400, 202, 200]);
}

#[tokio::test]
async fn it_rejects_a_part_of_each_request() {
    let collector = Collector::start().await.unwrap();
    collector.answer(Answer::Reject { records: 2, message: "too old".into() });
    for (request, rejected) in [(logs(&["a", "b", "c"]), 2), (logs(&["d"]), 1)] {
        let reply = send(&collector, &request).await;
        let partial = ExportLogsServiceResponse::decode(reply.body).unwrap().partial_success.unwrap();
        assert_eq!((reply.status.as_u16(), partial.rejected_log_records), (200, rejected));
        assert_eq!(partial.error_message, "too old");
    }
    let reply = send(&collector, &spans(&["x", "y", "z"])).await;
    let partial = ExportTraceServiceResponse::decode(reply.body).unwrap().partial_success.unwrap();
    assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (2, "too old"));
    assert_eq!(bodies(&collector), ["a"]);
    assert_eq!(collector.spans().iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["x"]);
    assert_eq!(collector.acknowledged(), Counts { log_records: 1, spans: 1 });
    assert_eq!(collector.rejected(), Counts { log_records: 3, spans: 2 });

    collector.answer(Answer::Reject { records: 0, message: "careful".into() });
    let reply = send(&collector, &logs(&["e"])).await;
    let partial = ExportLogsServiceResponse::decode(reply.body).unwrap().partial_success.unwrap();
    assert_eq!((partial.rejected_log_records, partial.error_message.as_str()), (0, "careful"));
    assert_eq!(bodies(&collector), ["a", "e"]);
}

#[tokio::test]
async fn it_answers_nonsense() {
    let collector = Collector::start().await.unwrap();
    collector.answer(Answer::Nonsense);
    let reply = send(&collector, &logs(&["a"])).await;
    assert_eq!(reply.status, 200);
    ExportLogsServiceResponse::decode(reply.body).unwrap_err();
    assert_eq!(bodies(&collector), ["a"]);
}

#[tokio::test]
async fn it_takes_its_time_and_answers_as_it_was_told_when_the_request_came() {
    for protocol in PROTOCOLS {
        let collector = Collector::start().await.unwrap();
        collector.hold(LONG);
        let started = Instant::now();
        let request = logs(&["a"]);
        let slow = request.send(collector.address(), protocol);
        let meanwhile = async {
            collector.wait_for_requests(1, PATIENCE).await.unwrap();
            assert_eq!((collector.received().log_records, collector.acknowledged().log_records), (1, 0));
            assert_eq!(collector.requests()[0].status, None);
            collector.hold(Duration::ZERO);
            collector.answer(Answer::status(StatusCode::BAD_GATEWAY));
            assert_eq!(send(&collector, &logs(&["b"])).await.status, 502);
            assert!(started.elapsed() < LONG);
        };
        let (reply, ()) = tokio::join!(slow, meanwhile);
        assert_eq!(reply.unwrap().status, 200);
        assert!(started.elapsed() >= LONG);
        assert_eq!(bodies(&collector), ["a"]);
    }
}

#[tokio::test]
async fn who_does_not_wait_for_the_answer_has_none() {
    for protocol in PROTOCOLS {
        let collector = Collector::start().await.unwrap();
        collector.hold(LONG);
        let address = collector.address();
        let client = tokio::spawn(async move { logs(&["a"]).send(address, protocol).await });
        collector.wait_for_requests(1, PATIENCE).await.unwrap();
        client.abort();
        tokio::time::sleep(LONG * 2).await;
        assert_eq!(collector.received().log_records, 1);
        assert_eq!(bodies(&collector), [""; 0], "{protocol:?}");
        assert_eq!(collector.requests()[0].status, None);
    }
}

#[tokio::test]
async fn it_never_answers() {
    for protocol in PROTOCOLS {
        let collector = Collector::start().await.unwrap();
        collector.answer(Answer::Never);
        let address = collector.address();
        let unanswered = tokio::spawn(async move { logs(&["a"]).send(address, protocol).await });
        collector.wait_for_requests(1, PATIENCE).await.unwrap();
        // It does not change its mind about what it has.
        collector.answer(Answer::Accept);
        send(&collector, &logs(&["b"])).await;
        tokio::time::sleep(LONG / 2).await;
        assert!(!unanswered.is_finished());
        assert_eq!(bodies(&collector), ["b"]);
        drop(collector);
        unanswered.await.unwrap().unwrap_err();
    }
}

#[tokio::test]
async fn it_resets_the_connection() {
    let collector = Collector::start().await.unwrap();
    collector.answer(Answer::Reset);
    let mut stream = TcpStream::connect(collector.address()).await.unwrap();
    let request =
        b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let end = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 99])).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);

    let mut connection = Connection::open(collector.address(), Protocol::Http2).await.unwrap();
    connection.send(&logs(&["a"])).await.unwrap_err();
    assert!(!connection.is_open());
    assert_eq!((collector.received().log_records, collector.acknowledged().log_records), (1, 0));
    assert_eq!(collector.problems(), [""; 0]);
}

#[tokio::test]
async fn what_else_was_on_a_connection_that_is_reset_is_not_acknowledged() {
    let collector = Collector::start().await.unwrap();
    let mut connection = TwoAtOnce::open(&collector).await;
    collector.hold(LONG);
    let slow = connection.send("slow");
    collector.wait_for_requests(1, PATIENCE).await.unwrap();
    collector.hold(Duration::ZERO);
    collector.answer(Answer::Reset);
    let reset = connection.send("reset");
    slow.await.unwrap().unwrap_err();
    reset.await.unwrap().unwrap_err();
    tokio::time::sleep(LONG * 2).await;
    assert_eq!((collector.received().log_records, collector.acknowledged().log_records), (2, 0));
}

/// An HTTP/2 connection for several requests at a time.
struct TwoAtOnce(hyper::client::conn::http2::SendRequest<http_body_util::Full<bytes::Bytes>>, std::net::SocketAddr);

impl TwoAtOnce {
    async fn open(collector: &Collector) -> Self {
        let stream = TcpStream::connect(collector.address()).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(connection);
        Self(sender, collector.address())
    }

    fn send(&mut self, body: &str) -> tokio::task::JoinHandle<hyper::Result<hyper::Response<hyper::body::Incoming>>> {
        let scoped = logs::ScopeLogs {
            log_records: vec![logs::LogRecord { body: Some(text(body)), ..Default::default() }],
            ..Default::default()
        };
        let resource_logs = vec![logs::ResourceLogs { scope_logs: vec![scoped], ..Default::default() }];
        let body = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        let request = hyper::Request::post(format!("http://{}/v1/logs", self.1))
            .header("content-type", "application/x-protobuf")
            .body(http_body_util::Full::new(body.into()))
            .unwrap();
        tokio::spawn(self.0.send_request(request))
    }
}
