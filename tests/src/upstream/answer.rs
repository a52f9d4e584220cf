//! The responses of the upstream.

use std::convert::Infallible;
use std::fmt;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::command::Command;
use crate::grpc::message;
use crate::seen::Seen;

pub(super) type Body = BoxBody<Bytes, Infallible>;

/// Instead of a response: hyper closes an HTTP/1.1 connection and resets an HTTP/2 stream.
#[derive(Debug)]
pub(super) struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reset as asked")
    }
}

impl std::error::Error for Reset {}

/// The request as JSON.
pub(super) fn http(seen: &Seen, command: &Command) -> Response<Body> {
    let mut response = Response::new(Full::new(json(seen)).boxed());
    *response.status_mut() = command.status.unwrap_or(StatusCode::OK);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    add_headers(response.headers_mut(), command);
    response
}

/// One gRPC message that holds the request as JSON, and the status in the trailers.
pub(super) fn grpc(seen: &Seen, command: &Command) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    let status = command.grpc_status.clone().unwrap_or(HeaderValue::from_static("0"));
    trailers.insert("grpc-status", status);
    let body = Full::new(message(&json(seen))).with_trailers(std::future::ready(Some(Ok(trailers))));

    let mut response = Response::new(body.boxed());
    *response.status_mut() = command.status.unwrap_or(StatusCode::OK);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    add_headers(response.headers_mut(), command);
    response
}

fn json(seen: &Seen) -> Bytes {
    // Strings and lists of strings always serialise; an empty body would fail the test that reads it.
    serde_json::to_vec(seen).unwrap_or_default().into()
}

fn add_headers(headers: &mut HeaderMap, command: &Command) {
    for (name, value) in &command.headers {
        headers.append(name, value.clone());
    }
    for n in 0..command.fillers {
        if let Ok(name) = HeaderName::try_from(format!("x-filler-{n}")) {
            headers.append(name, HeaderValue::from(n));
        }
    }
}
