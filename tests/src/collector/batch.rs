//! The records of one request, and what is wrong with a request that brings none.

use std::fmt;

use bytes::Bytes;
use hyper::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode, http};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::answer::{self, Body};
use super::conformance;
use super::record::{self, LogRecord, Span};

/// The media type of OTLP/HTTP's binary encoding.
pub(super) const PROTOBUF: &str = "application/x-protobuf";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Logs,
    Traces,
}

/// The records of a request that could be read. They stay as they were sent, which takes a fraction of the memory of
/// what a test reads, and of the time under load.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) signal: Signal,
    pub(super) records: usize,
    pub(super) body: Bytes,
    /// What is not as OTLP demands it.
    pub(super) complaints: Vec<String>,
}

/// A request that brings no records, and its answer.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    why: String,
}

impl Batch {
    /// Reads a request.
    pub(super) fn read(head: &http::request::Parts, body: Bytes) -> Result<Self, Refusal> {
        let signal = match head.uri.path() {
            "/v1/logs" => Signal::Logs,
            "/v1/traces" => Signal::Traces,
            path => return Err(Refusal::new(StatusCode::NOT_FOUND, format!("no such path: {path}"))),
        };
        if head.method != Method::POST {
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("not POST but {}", head.method)));
        }
        check_type(&head.headers).map_err(|why| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why))?;
        let (records, complaints) = match signal {
            Signal::Logs => ExportLogsServiceRequest::decode(body.clone())
                .map(|request| (record::count_log_records(&request), conformance::of_logs(&request))),
            Signal::Traces => ExportTraceServiceRequest::decode(body.clone())
                .map(|request| (record::count_spans(&request), conformance::of_traces(&request))),
        }
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("{} bytes: {error}", body.len())))?;
        Ok(Self { signal, records, body, complaints })
    }

    // What was decoded once to be counted decodes again.

    pub(super) fn log_records(&self) -> Vec<LogRecord> {
        record::log_records(ExportLogsServiceRequest::decode(self.body.clone()).unwrap_or_default())
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        record::spans(ExportTraceServiceRequest::decode(self.body.clone()).unwrap_or_default())
    }
}

/// Protobuf, not compressed: OTLP lets a client compress, but ours has no business to.
fn check_type(headers: &HeaderMap) -> Result<(), String> {
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if !media_type.eq_ignore_ascii_case(PROTOBUF.as_bytes()) {
        return Err(format!("content-type: {}", content_type.escape_ascii()));
    }
    match headers.get(CONTENT_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(format!("content-encoding: {}", coding.as_bytes().escape_ascii()))
        }
        _ => Ok(()),
    }
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    pub(super) fn response(&self) -> Response<Body> {
        let mut response = answer::error(self.status, &self.why);
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

/// Such as `404 Not Found: no such path: /v1/metrics`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.why)
    }
}
