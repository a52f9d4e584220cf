//! An answer, read to its end.

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{StatusCode, Version};
use serde_json::Value;

use crate::grpc;
use crate::seen::{Seen, latin1};

/// An answer with all of its body and trailers.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The protocol that it came over.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The trailers; empty when there were none.
    pub trailers: HeaderMap,
}

impl Reply {
    /// The first value of a response header, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Every value of a response header, in order, as bytes.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        self.headers.get_all(name).iter().map(hyper::header::HeaderValue::as_bytes).collect()
    }

    /// The body as text; each byte of it that is not UTF-8 shows as U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none; the error shows status and body.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON in {} `{}`", self.status, self.text()))
    }

    /// The request as the upstream saw it, from its answer (HTTP or gRPC).
    ///
    /// # Errors
    /// When the answer is not the upstream's; the error shows status and body.
    pub fn seen(&self) -> Result<Seen> {
        let grpc =
            self.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        let json = if grpc { grpc::payload(self.body.clone()) } else { Ok(self.body.clone()) };
        json.and_then(|json| serde_json::from_slice(&json).context("not what the upstream writes"))
            .with_context(|| format!("the upstream did not answer this: {} `{}`", self.status, self.text()))
    }

    /// The `grpc-status`, from the trailers or, in an answer without a message, from the headers.
    #[must_use]
    pub fn grpc_status(&self) -> Option<u32> {
        self.grpc("grpc-status")?.parse().ok()
    }

    /// The `grpc-message`, as it was on the wire: percent-encoded.
    #[must_use]
    pub fn grpc_message(&self) -> Option<String> {
        self.grpc("grpc-message")
    }

    fn grpc(&self, name: &str) -> Option<String> {
        self.trailers.get(name).or_else(|| self.headers.get(name)).map(|value| latin1(value.as_bytes()))
    }
}
