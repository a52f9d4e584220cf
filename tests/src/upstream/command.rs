//! What the headers of a request tell the upstream to do.

use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{StatusCode, http};

/// More would only test hyper.
const MAX_FILLERS: usize = 5_000;

/// The misbehaviour that a request asks for. What cannot be understood is as if it was not there.
#[derive(Debug, Default)]
pub(super) struct Command {
    pub(super) status: Option<StatusCode>,
    pub(super) delay: Option<Duration>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// How many `x-filler-…` headers.
    pub(super) fillers: usize,
    pub(super) grpc_status: Option<HeaderValue>,
    pub(super) stream: Option<Trickle>,
    pub(super) reset: bool,
}

/// A body that comes in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trickle {
    pub(super) pieces: u32,
    /// Before each.
    pub(super) pause: Duration,
}

impl Command {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            status: text("x-upstream-status").and_then(|status| status.parse().ok()),
            delay: text("x-upstream-delay").and_then(milliseconds),
            headers: headers
                .get_all("x-upstream-response-header")
                .iter()
                .filter_map(|value| header(value.as_bytes()).ok())
                .collect(),
            fillers: text("x-upstream-response-headers-count")
                .and_then(|count| count.parse().ok())
                .unwrap_or(0)
                .min(MAX_FILLERS),
            stream: text("x-upstream-stream").and_then(trickle),
            grpc_status: headers.get("x-upstream-grpc-status").cloned(),
            reset: headers.contains_key("x-upstream-reset"),
        }
    }
}

fn milliseconds(text: &str) -> Option<Duration> {
    text.strip_suffix("ms").unwrap_or(text).parse().ok().map(Duration::from_millis)
}

/// `5x20ms`: five pieces, one every 20 ms.
fn trickle(text: &str) -> Option<Trickle> {
    let (pieces, pause) = text.split_once('x')?;
    Some(Trickle { pieces: pieces.parse().ok()?, pause: milliseconds(pause)? })
}

/// `name=value`, where the value may be any bytes that HTTP can carry.
fn header(bytes: &[u8]) -> Result<(HeaderName, HeaderValue), http::Error> {
    let mut parts = bytes.splitn(2, |byte| *byte == b'=');
    let name = HeaderName::from_bytes(parts.next().unwrap_or_default())?;
    let value = HeaderValue::from_bytes(parts.next().unwrap_or_default())?;
    Ok((name, value))
}
