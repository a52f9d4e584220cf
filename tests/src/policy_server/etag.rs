//! The document with an ETag (RFC 9110 §8.8.3), and 304 for whoever has it (§13.1.2).

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use hyper::{Response, StatusCode};

use super::Etags;
use super::server::{Body, text};

pub(super) fn answer(document: Option<Bytes>, etags: Etags, request: &HeaderMap) -> Response<Body> {
    let Some(document) = document else {
        return text(StatusCode::NOT_FOUND, "no document");
    };
    let etag = tag(&document, etags);
    let known = etag.as_ref().is_some_and(|etag| names(request, etag));
    let mut response = Response::new(Full::new(if known { Bytes::new() } else { document }));
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(etag) = etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
        response.headers_mut().insert(ETAG, etag);
    }
    response
}

/// The same for the same document, whenever it was set.
fn tag(document: &Bytes, etags: Etags) -> Option<String> {
    let mut hasher = DefaultHasher::new();
    document.hash(&mut hasher);
    let opaque = format!("\"{:016x}\"", hasher.finish());
    match etags {
        Etags::Strong => Some(opaque),
        Etags::Weak => Some(format!("W/{opaque}")),
        Etags::Absent => None,
    }
}

/// Whether one of the tags in `If-None-Match` is this one, by the weak comparison, which that field asks for.
fn names(request: &HeaderMap, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let values = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
}
