//! Consul's `GET /v1/kv/<key>`, with blocking queries, as its documentation has them ("Blocking Queries").

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use super::server::{Body, text};
use super::{KEY, Shelf};

const DEFAULT_WAIT: Duration = Duration::from_secs(5 * 60);
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);
/// At most so great a part of `wait` is added to it, so that not all who wait wake at once.
const STAGGER: u32 = 16;

/// What a query asks for.
#[derive(Debug, PartialEq, Eq)]
struct Query {
    /// The value alone, instead of JSON around it.
    raw: bool,
    /// To wait for a later index than this. Every index is later than 0.
    index: u64,
    wait: Duration,
}

pub(super) async fn answer(mut shelf: watch::Receiver<Shelf>, query: &str) -> Response<Body> {
    let query = match Query::read(query) {
        Ok(query) => query,
        Err(line) => return text(StatusCode::BAD_REQUEST, line),
    };
    let resets = shelf.borrow().resets;
    let over = |shelf: &Shelf| shelf.index > query.index || shelf.resets > resets;
    // Whether anything came or not: it is answered with what there is then.
    let _ = timeout(staggered(query.wait), shelf.wait_for(over)).await;
    let shelf = shelf.borrow().clone();
    let mut response = match &shelf.document {
        None => Response::builder().status(StatusCode::NOT_FOUND).body(Full::default()).unwrap_or_default(),
        Some(value) if query.raw => {
            let mut response = with_type(value.clone(), "text/plain");
            for (name, value) in [("x-content-type-options", "nosniff"), ("content-security-policy", "sandbox")] {
                response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            response
        }
        Some(value) => with_type(entries(value, &shelf).into(), "application/json"),
    };
    let headers = response.headers_mut();
    headers.insert("x-consul-index", HeaderValue::from(shelf.index));
    headers.insert("x-consul-knownleader", HeaderValue::from_static("true"));
    headers.insert("x-consul-lastcontact", HeaderValue::from_static("0"));
    response
}

impl Query {
    fn read(text: &str) -> Result<Self, &'static str> {
        let mut query = Self { raw: false, index: 0, wait: DEFAULT_WAIT };
        for part in text.split('&') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name {
                "raw" => query.raw = true,
                "index" if !value.is_empty() => query.index = value.parse().map_err(|_| "Invalid index")?,
                "wait" if !value.is_empty() => query.wait = duration(value).ok_or("Invalid wait time")?,
                _ => {}
            }
        }
        if query.wait.is_zero() {
            query.wait = DEFAULT_WAIT;
        }
        query.wait = query.wait.min(LONGEST_WAIT);
        Ok(query)
    }
}

/// A duration as Go writes it, in whole numbers: `500ms`, `10s`, `1m30s`.
fn duration(mut text: &str) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    while !text.is_empty() {
        let (number, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let (unit, rest) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
        let milliseconds: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        let part = Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(milliseconds)?);
        sum = sum.checked_add(part)?;
        text = rest;
    }
    Some(sum)
}

fn staggered(wait: Duration) -> Duration {
    // The keys of a new hasher are random.
    let chance = RandomState::new().hash_one(());
    #[allow(clippy::cast_precision_loss)]
    let fraction = chance as f64 / u64::MAX as f64;
    let stagger = wait.checked_div(STAGGER).unwrap_or_default().mul_f64(fraction);
    wait.saturating_add(stagger)
}

fn with_type(body: Bytes, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn entries(value: &Bytes, shelf: &Shelf) -> String {
    json!([{
        "LockIndex": 0,
        "Key": KEY,
        "Flags": 0,
        "Value": STANDARD.encode(value),
        "CreateIndex": shelf.created,
        "ModifyIndex": shelf.index,
    }])
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_as_go_writes_it_and_never_longer_than_ten_minutes() {
        let table = [
            ("wait=500ms", 500),
            ("wait=10s", 10_000),
            ("wait=5m", 300_000),
            ("wait=1m30s", 90_000),
            ("wait=10m1s", 600_000),
            ("wait=1h", 600_000),
            ("wait=0s", 300_000),
            ("wait=", 300_000),
            ("", 300_000),
        ];
        for (text, milliseconds) in table {
            assert_eq!(Query::read(text).unwrap().wait, Duration::from_millis(milliseconds), "{text}");
        }
    }

    #[test]
    fn a_wait_is_staggered_by_a_sixteenth_at_most() {
        let wait = Duration::from_secs(16);
        let waits: Vec<_> = (0..1_000).map(|_| staggered(wait)).collect();
        assert!(waits.iter().all(|staggered| (16.0..=17.0).contains(&staggered.as_secs_f64())));
        let (shortest, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(shortest.as_secs_f64() < 16.1 && longest.as_secs_f64() > 16.9, "{shortest:?} {longest:?}");
    }
}
