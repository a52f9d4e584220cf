//! The responses of the upstream.

use std::fmt;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::command::{Command, Trickle};
use crate::grpc::message;
use crate::seen::Seen;

pub(super) type Body = BoxBody<Bytes, Reset>;

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
    let mut response = Response::new(body(json(seen), None, command));
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
    let mut response = Response::new(body(message(&json(seen)), Some(trailers), command));
    *response.status_mut() = command.status.unwrap_or(StatusCode::OK);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    add_headers(response.headers_mut(), command);
    response
}

/// All of it, or so often as asked, piece by piece.
fn body(whole: Bytes, trailers: Option<HeaderMap>, command: &Command) -> Body {
    let Some(trickle) = command.stream else {
        let whole = Full::new(whole).map_err(|never| match never {});
        return match trailers {
            Some(trailers) => whole.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed(),
            None => whole.boxed(),
        };
    };
    let (sender, channel) = Channel::new(1);
    tokio::spawn(send(sender, whole, trailers, trickle, command.reset));
    channel.boxed()
}

async fn send(
    mut sender: Sender<Bytes, Reset>,
    piece: Bytes,
    trailers: Option<HeaderMap>,
    trickle: Trickle,
    breaks_off: bool,
) {
    for _ in 0..trickle.pieces {
        tokio::time::sleep(trickle.pause).await;
        // Whoever was to read it may have gone.
        if sender.send_data(piece.clone()).await.is_err() {
            return;
        }
    }
    if breaks_off {
        sender.abort(Reset);
    } else if let Some(trailers) = trailers {
        let _ = sender.send_trailers(trailers).await;
    }
}

fn json(seen: &Seen) -> Bytes {
    // Strings and lists of strings always serialise; an empty body would fail the test that reads it.
    serde_json::to_vec(seen).unwrap_or_default().into()
}

fn add_headers(headers: &mut HeaderMap, command: &Command) {
    for (name, value) in &command.headers {
        // There is one content type, and others may come several times.
        if name == CONTENT_TYPE {
            headers.remove(name);
        }
        headers.append(name, value.clone());
    }
    for n in 0..command.fillers {
        if let Ok(name) = HeaderName::try_from(format!("x-filler-{n}")) {
            headers.append(name, HeaderValue::from(n));
        }
    }
}
