//! How long the caller of a request wants to wait, where it says so to the proxy or to the upstream.
//!
//! Who is told that the upstream took too long learns nothing of the upstream where the time was too short for any answer.
//! It was the caller that chose it.

use sluicegate_host::HeaderMap;
use std::time::Duration;

/// Milliseconds, heeded by Envoy's router from callers that it takes for internal.
const OF_ENVOY: [&str; 4] = [
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
];

/// `Timeout` of the gRPC protocol: at most eight digits, and a unit. Heeded by servers, and by Envoy where the route says so.
const OF_GRPC: &str = "grpc-timeout";
const MAX_DIGITS: usize = 8;

/// The shortest deadline that its head names; `None` where it names none that can be read.
pub(crate) fn of(head: &HeaderMap) -> Option<Duration> {
    // Envoy takes a sign and blanks.
    let of_envoy = |name| {
        let value = head.get(name)?.trim_ascii();
        digits(value.strip_prefix(b"+").unwrap_or(value)).map(Duration::from_millis)
    };
    let of_envoy = OF_ENVOY.into_iter().filter_map(of_envoy);
    of_envoy.chain(head.get(OF_GRPC).and_then(of_grpc)).min()
}

fn of_grpc(value: &[u8]) -> Option<Duration> {
    let (unit, number) = value.split_last()?;
    let number = digits(number).filter(|_| number.len() <= MAX_DIGITS)?;
    let seconds = |seconds: u64| Duration::from_secs(number.saturating_mul(seconds));
    Some(match unit {
        b'H' => seconds(3_600),
        b'M' => seconds(60),
        b'S' => seconds(1),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Nothing but digits.
fn digits(bytes: &[u8]) -> Option<u64> {
    let is_number = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(bytes).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use sluicegate_host::MapKind;
    use sluicegate_host::double::Double;

    fn head(pairs: &[(&str, &[u8])]) -> HeaderMap {
        let proxy = Double::new();
        proxy.put_headers(MapKind::RequestHeaders, pairs);
        proxy.headers(MapKind::RequestHeaders)
    }

    #[test]
    fn grpc_writes_digits_and_a_unit() {
        let table: [(&[u8], Option<Duration>); 16] = [
            (b"1H", Some(Duration::from_secs(3_600))),
            (b"2M", Some(Duration::from_secs(120))),
            (b"3S", Some(Duration::from_secs(3))),
            (b"250m", Some(Duration::from_millis(250))),
            (b"7u", Some(Duration::from_micros(7))),
            (b"1n", Some(Duration::from_nanos(1))),
            (b"0S", Some(Duration::ZERO)),
            (b"99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
            (b"999999999n", None),
            (b"1", None),
            (b"S", None),
            (b"", None),
            (b"1 S", None),
            (b"-1S", None),
            (b"+1S", None),
            (b"1\xff", None),
        ];
        for (value, expected) in table {
            assert_eq!(of(&head(&[("grpc-timeout", value)])), expected, "{value:?}");
        }
    }

    #[test]
    fn of_several_the_shortest_counts() {
        let both: [(&str, &[u8]); 2] = [("x-envoy-upstream-rq-timeout-ms", b"300"), ("grpc-timeout", b"1S")];
        assert_eq!(of(&head(&both)), Some(Duration::from_millis(300)));
        let per_try: [(&str, &[u8]); 2] =
            [("x-envoy-upstream-rq-timeout-ms", b"x"), ("x-envoy-upstream-rq-per-try-timeout-ms", b"20")];
        assert_eq!(of(&head(&per_try)), Some(Duration::from_millis(20)));
        assert_eq!(of(&head(&[("x-envoy-upstream-stream-duration-ms", b"5")])), Some(Duration::from_millis(5)));
        for value in [&b"5"[..], b"+5", b" 5 "] {
            let expected = Some(Duration::from_millis(5));
            assert_eq!(of(&head(&[("x-envoy-expected-rq-timeout-ms", value)])), expected, "{value:?}");
        }
        assert_eq!(of(&head(&[("x-envoy-upstream-rq-timeout-ms", b"-5")])), None);
        assert_eq!(of(&head(&[(":path", b"/")])), None);
    }
}
