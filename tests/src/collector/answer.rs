//! What the collector answers (OTLP 1.x, "OTLP/HTTP Response").

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;

use super::batch::{PROTOBUF, Signal};

/// No protobuf, in the first byte already.
const NONSENSE: &[u8] = b"\xff\xff<html>It works!</html>";

pub(super) type Body = Full<Bytes>;

/// How requests are answered. What does not deserve an answer like this (another path, no protobuf …) is refused as
/// OTLP demands it, whatever was ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// 200, and everything is acknowledged.
    #[default]
    Accept,
    /// This final status, with a `google.rpc.Status` in the body. A 2xx acknowledges everything, any other nothing.
    Status {
        /// The status, not below 200.
        status: StatusCode,
        /// The header `retry-after`, if any.
        retry_after: Option<HeaderValue>,
    },
    /// 200 with a `partial_success`: the last `records` of each request are rejected, at most all; the others are
    /// acknowledged. None rejected is a warning.
    Reject {
        /// How many of each request.
        records: u64,
        /// Why.
        message: String,
    },
    /// 200 with a body that is no protobuf. Everything is acknowledged.
    Nonsense,
    /// None, until the client gives up or the collector stops.
    Never,
    /// None: the connection is reset (TCP RST), with every other request on it.
    Reset,
}

impl Answer {
    /// [`Answer::Status`] without `retry-after`.
    #[must_use]
    pub fn status(status: StatusCode) -> Self {
        Self::Status { status, retry_after: None }
    }

    /// With this header `retry-after`: a number of seconds, or a [`HeaderValue`] with an HTTP date or what else a server
    /// may write there. Only [`Answer::Status`] has one.
    #[must_use]
    pub fn retry_after(self, value: impl Into<HeaderValue>) -> Self {
        match self {
            Self::Status { status, .. } => Self::Status { status, retry_after: Some(value.into()) },
            other => other,
        }
    }

    /// How many of so many records it acknowledges, the first ones; `None` where it takes none of them on.
    pub(super) fn accepts(&self, records: usize) -> Option<usize> {
        match self {
            Self::Accept | Self::Nonsense => Some(records),
            Self::Status { status, .. } => status.is_success().then_some(records),
            Self::Reject { records: rejected, .. } => {
                Some(records.saturating_sub(usize::try_from(*rejected).unwrap_or(usize::MAX)))
            }
            Self::Never | Self::Reset => None,
        }
    }

    /// The response to a request with so many records; `None` where there is none.
    pub(super) fn response(&self, signal: Signal, records: usize) -> Option<Response<Body>> {
        match self {
            Self::Accept => Some(response(StatusCode::OK, acknowledgement(signal, None))),
            Self::Status { status, retry_after } => {
                let mut response = if status.is_success() {
                    response(*status, acknowledgement(signal, None))
                } else {
                    error(*status, "as ordered")
                };
                if let Some(value) = retry_after {
                    response.headers_mut().insert(RETRY_AFTER, value.clone());
                }
                Some(response)
            }
            Self::Reject { message, .. } => {
                let rejected = records.saturating_sub(self.accepts(records).unwrap_or(0));
                Some(response(StatusCode::OK, acknowledgement(signal, Some((rejected, message)))))
            }
            Self::Nonsense => Some(response(StatusCode::OK, NONSENSE.to_vec())),
            Self::Never | Self::Reset => None,
        }
    }
}

/// `ExportLogsServiceResponse` or `ExportTraceServiceResponse`.
fn acknowledgement(signal: Signal, partial: Option<(usize, &str)>) -> Vec<u8> {
    let partial = partial.map(|(rejected, message)| (i64::try_from(rejected).unwrap_or(i64::MAX), message.to_owned()));
    match signal {
        Signal::Logs => {
            let partial_success = partial.map(|(rejected_log_records, error_message)| ExportLogsPartialSuccess {
                rejected_log_records,
                error_message,
            });
            ExportLogsServiceResponse { partial_success }.encode_to_vec()
        }
        Signal::Traces => {
            let partial_success = partial
                .map(|(rejected_spans, error_message)| ExportTracePartialSuccess { rejected_spans, error_message });
            ExportTraceServiceResponse { partial_success }.encode_to_vec()
        }
    }
}

/// `google.rpc.Status` without details, the body of every answer that is an error.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RpcStatus {
    /// OTLP/HTTP leaves it unset: the HTTP status says it.
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

/// An answer of this status that says why.
pub(super) fn error(status: StatusCode, message: &str) -> Response<Body> {
    response(status, RpcStatus { code: 0, message: message.to_owned() }.encode_to_vec())
}

fn response(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    response
}
