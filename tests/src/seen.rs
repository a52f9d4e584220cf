//! What the upstream saw of a request, on the wire between it and the tests: JSON.

use serde::{Deserialize, Serialize};

/// A request as it reached the upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The request method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// Names in lower case and values, in the order of arrival, except that hyper puts repeated headers beside their
    /// first. Bytes are kept: each is one `char` of U+0000..=U+00FF (Latin-1).
    pub headers: Vec<(String, String)>,
}

impl Seen {
    /// The first value of a header, by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Every value of a header, by its lower-case name, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// Bytes as text without loss: each byte one `char`.
#[must_use]
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back_from_json() {
        let every: Vec<u8> = (0..=u8::MAX).collect();
        let seen = Seen {
            method: "GET".into(),
            path: "/".into(),
            version: "HTTP/1.1".into(),
            headers: vec![("x".into(), latin1(&every)), ("x".into(), "b".into())],
        };
        let json = serde_json::to_vec(&seen).unwrap();
        let back: Seen = serde_json::from_slice(&json).unwrap();
        assert_eq!(back, seen);
        assert_eq!(back.all("x").len(), 2);
        let bytes: Vec<u8> = back.header("x").unwrap().chars().map(|c| u8::try_from(c).unwrap()).collect();
        assert_eq!(bytes, every);
    }
}
