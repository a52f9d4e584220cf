//! What a collector makes of clients that do wrong.

use super::*;
use crate::client::raw;
use crate::collector::answer::RpcStatus;
use crate::collector::{Answer, Counts};

#[tokio::test]
async fn what_is_no_otlp_is_refused_and_remembered() {
    let protobuf = |path: &str, body: &'static [u8]| {
        Request::post(path, body).header("content-type", "application/x-protobuf; charset=x")
    };
    let unlike = |content_type: &str| Request::post("/v1/logs", "").header("content-type", content_type);
    let cases = [
        (protobuf("/v1/logs", b"\xff\xff"), 400, "POST /v1/logs: 400 Bad Request: 2 bytes: failed to decode"),
        (protobuf("/v1/traces", b"\x0a\x05"), 400, "POST /v1/traces: 400 Bad Request: 2 bytes: failed to decode"),
        (protobuf("/v1/metrics", b""), 404, "no such path: /v1/metrics"),
        (protobuf("/", b""), 404, "no such path: /"),
        (Request::get("/v1/traces"), 405, "not POST but GET"),
        (unlike("application/json"), 415, "content-type: application/json"),
        (unlike("application/x-protobuffer"), 415, "content-type: application/x-protobuffer"),
        (Request::post("/v1/logs", ""), 415, "content-type: "),
        (protobuf("/v1/logs", b"").header("content-encoding", "gzip"), 415, "content-encoding: gzip"),
        (
            Request::post("/v1/logs", vec![0; (16 << 20) + 1]).header("content-type", "application/x-protobuf"),
            413,
            "more than 16777216 bytes",
        ),
    ];
    for protocol in PROTOCOLS {
        for (request, status, problem) in &cases {
            let collector = Collector::start().await.unwrap();
            // What was ordered is for clients that do right.
            collector.answer(Answer::Nonsense);
            let reply = request.send(collector.address(), protocol).await.unwrap();
            assert_eq!(reply.status, *status, "{problem}");
            assert_eq!(reply.header("content-type"), Some("application/x-protobuf"));
            assert_eq!(reply.header("allow"), (*status == 405).then_some("POST"));
            let why = RpcStatus::decode(reply.body).unwrap().message;
            let problems = collector.problems();
            assert!(problems.len() == 1 && problems[0].contains(problem), "{problem}: {problems:?}");
            assert!(!why.is_empty() && problems[0].ends_with(&why), "{problem}: {why}");
            assert_eq!(collector.requests()[0].status, Some(*status));
            assert_eq!((collector.received(), collector.acknowledged()), (Counts::default(), Counts::default()));
        }
    }
}

#[tokio::test]
async fn a_type_in_other_words_is_the_same_type() {
    let collector = Collector::start().await.unwrap();
    for content_type in ["Application/X-Protobuf", "application/x-protobuf ;v=1"] {
        let request = Request::post("/v1/logs", "").header("content-type", content_type);
        assert_eq!(send(&collector, &request.header("content-encoding", "identity")).await.status, 200);
    }
    assert_eq!(collector.problems(), [""; 0]);
}

#[tokio::test]
async fn what_is_no_http_is_a_problem() {
    let collector = Collector::start().await.unwrap();
    raw::send(collector.address(), b"no http\r\n\r\n", PATIENCE).await.unwrap();
    collector.wait_until(PATIENCE, |ledger| !ledger.problems().is_empty()).await.unwrap();
    let problems = collector.problems();
    assert!(problems.len() == 1 && problems[0].starts_with("no HTTP: "), "{problems:?}");
}

#[tokio::test]
async fn a_request_that_breaks_off_was_not_received() {
    let collector = Collector::start().await.unwrap();
    let head =
        b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 9\r\n\r\n\x0a";
    raw::send(collector.address(), head, Duration::from_millis(50)).await.unwrap();
    send(&collector, &logs(&["a"])).await;
    assert_eq!(collector.requests().len(), 1);
    assert_eq!(collector.problems(), [""; 0]);
}

#[tokio::test]
async fn spans_that_otlp_forbids_are_taken_and_complained_of() {
    let link = trace::span::Link { trace_id: vec![1; 16], ..Default::default() };
    let twice = vec![pair("k", text("1")), pair("k", text("2"))];
    let cases = [
        (trace::Span { trace_id: vec![1; 15], ..span("a") }, "trace id `01"),
        (trace::Span { trace_id: vec![0; 16], ..span("a") }, "trace id `00"),
        (trace::Span { span_id: vec![], ..span("a") }, "span id ``"),
        (trace::Span { parent_span_id: vec![0; 8], ..span("a") }, "parent span id `0000"),
        (span(""), "no name"),
        (trace::Span { kind: 6, ..span("a") }, "kind 6"),
        (trace::Span { end_time_unix_nano: 0, ..span("a") }, "from 1 to 0 ns"),
        (trace::Span { start_time_unix_nano: 0, ..span("a") }, "from 0 to 2 ns"),
        (trace::Span { status: Some(trace::Status { code: 3, ..Default::default() }), ..span("a") }, "status 3"),
        (trace::Span { links: vec![link], ..span("a") }, "a link to `01"),
        (trace::Span { attributes: twice, ..span("a") }, "attribute k more than once"),
        (trace::Span { attributes: vec![pair("", text("1"))], ..span("a") }, "an attribute without a key"),
        (trace::Span { attributes: vec![pair("k", AnyValue::default())], ..span("a") }, "attribute k without a value"),
    ];
    for (span, problem) in cases {
        let collector = Collector::start().await.unwrap();
        assert_eq!(send(&collector, &spans_of(vec![span])).await.status, 200);
        assert_eq!(collector.acknowledged().spans, 1);
        let problems = collector.problems();
        assert!(problems.len() == 1 && problems[0].contains(problem), "{problem}: {problems:?}");
    }
}

#[tokio::test]
async fn log_records_that_otlp_forbids_are_taken_and_complained_of() {
    let bare = logs::LogRecord::default;
    let cases = [
        (logs::LogRecord { severity_number: 25, ..bare() }, "severity 25"),
        (logs::LogRecord { trace_id: vec![1; 8], ..bare() }, "trace id `01"),
        (logs::LogRecord { trace_id: vec![1; 16], span_id: vec![0; 8], ..bare() }, "span id `00"),
        (logs::LogRecord { span_id: vec![1; 8], ..bare() }, "a span id without a trace id"),
        (logs::LogRecord { attributes: vec![pair("", text("1"))], ..bare() }, "an attribute without a key"),
    ];
    for (record, problem) in cases {
        let collector = Collector::start().await.unwrap();
        let scoped = logs::ScopeLogs { log_records: vec![record], ..Default::default() };
        let resource_logs = vec![logs::ResourceLogs { scope_logs: vec![scoped], ..Default::default() }];
        let request = otlp("/v1/logs", &ExportLogsServiceRequest { resource_logs });
        assert_eq!(send(&collector, &request).await.status, 200);
        assert_eq!(collector.acknowledged().log_records, 1);
        let problems = collector.problems();
        assert!(problems.len() == 1 && problems[0].contains(problem), "{problem}: {problems:?}");
    }
}
