//! What a collector's answer means (OTLP 1.x, "OTLP/HTTP Response").

use crate::http_date;
use crate::protobuf::{Fields, Read};
use std::time::Duration;

/// How much of the body is of interest: the message of a `partial_success` has no limit, ours has.
pub(crate) const BODY_LIMIT: usize = 4096;

/// How long a message in a report may be, in characters.
const MESSAGE_LIMIT: usize = 200;

/// The most that a `Retry-After` is believed.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);

/// What came back for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    /// The HTTP status; `None` where nothing came back.
    pub(crate) status: Option<u16>,
    /// The header `retry-after`.
    pub(crate) retry_after: Option<&'a [u8]>,
    /// The body, or as much of it as was read.
    pub(crate) body: &'a [u8],
}

/// What it means for the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Taken, but for so many records, for this reason.
    Taken { rejected: u64, message: String },
    /// To be sent again, not before this has passed.
    Retry { not_before: Option<Duration> },
    /// Not to be sent again.
    Refused,
}

impl Answer<'_> {
    /// `now` is in nanoseconds since the Unix epoch.
    pub(crate) fn meaning(&self, now: u64) -> Meaning {
        match self.status {
            Some(200..=299) => {
                let (rejected, message) = partial_success(self.body);
                Meaning::Taken { rejected, message }
            }
            None | Some(429 | 502 | 503 | 504) => {
                Meaning::Retry { not_before: self.retry_after.and_then(|value| retry_after(value, now)) }
            }
            Some(_) => Meaning::Refused,
        }
    }
}

/// Seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(value: &[u8], now: u64) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim_ascii();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What does not fit is long, not nonsense.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        Duration::from_secs(http_date::parse(text)?).saturating_sub(Duration::from_nanos(now))
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// `partial_success` of an `ExportLogsServiceResponse` or an `ExportTraceServiceResponse`, which number their fields
/// alike. A body that is neither says nothing.
fn partial_success(body: &[u8]) -> (u64, String) {
    let (mut rejected, mut message) = (0, String::new());
    for (number, field) in Fields(body) {
        let (1, Read::Bytes(partial)) = (number, field) else { continue };
        for field in Fields(partial) {
            match field {
                // Negative counts are nonsense.
                (1, Read::Varint(count)) => rejected = u64::try_from(count.cast_signed()).unwrap_or(0),
                (2, Read::Bytes(text)) => message = printable(text),
                _ => {}
            }
        }
    }
    (rejected, message)
}

/// A stranger's text, fit for one line of a log.
fn printable(text: &[u8]) -> String {
    let start = text.get(..MESSAGE_LIMIT.saturating_mul(4)).unwrap_or(text);
    let safe = |c: char| if c.is_control() { ' ' } else { c };
    String::from_utf8_lossy(start).chars().take(MESSAGE_LIMIT).map(safe).collect()
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const NOW: u64 = 784_111_777_000_000_000;

    fn status(status: u16) -> Meaning {
        Answer { status: Some(status), ..Answer::default() }.meaning(NOW)
    }

    fn body(body: &[u8]) -> Meaning {
        Answer { status: Some(200), body, ..Answer::default() }.meaning(NOW)
    }

    fn taken(rejected: u64, message: &str) -> Meaning {
        Meaning::Taken { rejected, message: message.to_owned() }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for code in [429, 502, 503, 504] {
            assert_eq!(status(code), Meaning::Retry { not_before: None }, "{code}");
        }
        assert_eq!(Answer::default().meaning(NOW), Meaning::Retry { not_before: None });
        for code in [0, 100, 199, 300, 301, 400, 401, 404, 408, 413, 428, 430, 500, 501, 505, 599, 999] {
            assert_eq!(status(code), Meaning::Refused, "{code}");
        }
        for code in [200, 202, 204, 299] {
            assert_eq!(status(code), taken(0, ""), "{code}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_is_not_believed_without_limit() {
        for (value, seconds) in [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("120", Some(120)),
            ("121", Some(120)),
            ("99999999999999999999999999", Some(120)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("Sun, 06 Nov 2094 08:49:37 GMT", Some(120)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            let answer = Answer { status: Some(503), retry_after: Some(value.as_bytes()), body: b"" };
            let not_before = seconds.map(Duration::from_secs);
            assert_eq!(answer.meaning(NOW), Meaning::Retry { not_before }, "{value:?}");
        }
        let odd = Answer { status: Some(503), retry_after: Some(b"\xff"), body: b"" };
        assert_eq!(odd.meaning(NOW), Meaning::Retry { not_before: None });
    }

    #[test]
    fn a_partial_success_is_read_and_nonsense_says_nothing() {
        assert_eq!(body(b""), taken(0, ""));
        assert_eq!(body(b"\x0a\x00"), taken(0, ""));
        assert_eq!(body(b"\x0a\x02\x08\x05"), taken(5, ""));
        assert_eq!(body(b"\x0a\x09\x08\x05\x12\x05a\nb\x00c"), taken(5, "a b c"));
        assert_eq!(body(b"\x0a\x04\x12\x02hi"), taken(0, "hi"));
        for nonsense in [
            &b"{\"partialSuccess\":{\"rejectedLogRecords\":5}}"[..],
            b"<html>",
            b"\x0a\xff",
            b"\x08\x05",
            b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert_eq!(body(nonsense), taken(0, ""), "{nonsense:?}");
        }
    }

    #[test]
    fn a_message_is_cut_to_what_a_line_can_hold() {
        let mut long = b"\x0a\xe3\x07\x12\xe0\x07".to_vec();
        long.extend_from_slice("é".repeat(496).as_bytes());
        assert_eq!(body(&long), taken(0, &"é".repeat(MESSAGE_LIMIT)));
        assert_eq!(body(b"\x0a\x04\x12\x02\xff\xfe"), taken(0, "\u{fffd}\u{fffd}"));
    }
}
