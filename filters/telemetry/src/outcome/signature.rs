//! The signature of an error: the same for all that went wrong in the same way.

use super::ErrorKind;
use sluicegate_policy::Fnv;

/// 16 lower-case hex digits that stand for a service, a route, a kind of error and code details without their variable
/// parts.
///
/// It is FNV-1a over 64 bits. It groups and is no defence: who chooses the input can make two errors collide, but service,
/// route and kind are not theirs to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signature([u8; 16]);

/// Details longer than this count only so far, in bytes.
const MAX_DETAILS: usize = 256;

impl Signature {
    /// Of an error. `route` is a template of the policy or Envoy's name of the route, never a path.
    pub fn of(service: &str, route: &[u8], kind: ErrorKind, code_details: &[u8]) -> Signature {
        let mut hash = Fnv::new();
        for part in [service.as_bytes(), route, kind.as_str().as_bytes()] {
            hash.write(part);
            // A byte that is in no UTF-8 text: `ab` + `c` is not `a` + `bc`.
            hash.write(&[0xff]);
        }
        constant_parts(code_details, |part| hash.write(part));
        Signature::hex(hash.value())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        // They are ASCII by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn hex(hash: u64) -> Signature {
        let mut digits = [0; 16];
        for (digit, shift) in digits.iter_mut().zip((0..64u32).step_by(4).rev()) {
            let nibble = u32::try_from(hash.checked_shr(shift).unwrap_or(0) & 0xf).unwrap_or(0);
            *digit = char::from_digit(nibble, 16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(b'0');
        }
        Signature(digits)
    }
}

/// Gives what stays the same from one occurrence to the next, with `#` for what varies: numbers, parts of addresses, ids.
/// What follows a `|` within braces is the transport's own message, with addresses and error texts of libraries: left out.
fn constant_parts(details: &[u8], mut give: impl FnMut(&[u8])) {
    let details = details.get(..MAX_DETAILS).unwrap_or(details);
    let constant = details.split(|byte| *byte == b'|').next().unwrap_or_default();
    for part in constant.chunk_by(|one, next| one.is_ascii_alphanumeric() == next.is_ascii_alphanumeric()) {
        give(if varies(part) { b"#" } else { part });
    }
}

/// A token with a digit in it that begins with one (`10`, `0x7f`), is hexadecimal (`fe80`) or long (`req9f8a7b6c`); but
/// not `http1` or `h2`.
fn varies(token: &[u8]) -> bool {
    const LONG: usize = 8;
    token.iter().any(u8::is_ascii_digit)
        && (token.first().is_some_and(u8::is_ascii_digit)
            || token.iter().all(u8::is_ascii_hexdigit)
            || token.len() >= LONG)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn constant(details: &str) -> String {
        let mut text = Vec::new();
        constant_parts(details.as_bytes(), |part| text.extend_from_slice(part));
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn the_variable_parts_of_details_are_cut() {
        let table = [
            ("", ""),
            ("via_upstream", "via_upstream"),
            ("upstream_reset_before_response_started{overflow}", "upstream_reset_before_response_started{overflow}"),
            (
                "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_111}",
                "upstream_reset_before_response_started{remote_connection_failure",
            ),
            ("http1.codec_error", "http1.codec_error"),
            ("h2.reset_stream_17", "h2.reset_stream_#"),
            ("denied{10.0.0.7:8080}", "denied{#.#.#.#:#}"),
            ("denied{[fe80::1]:80}", "denied{[#::#]:#}"),
            ("lookup{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}", "lookup{#-#-#-#-#}"),
            ("user_req9f8a7b6c_failed", "user_#_failed"),
        ];
        for (details, expected) in table {
            assert_eq!(constant(details), expected, "{details}");
        }
    }

    #[test]
    fn it_is_the_same_in_every_release() {
        // Worked out by hand from the definition of FNV-1a; a change here splits every group of errors in two.
        assert_eq!(Signature::hex(0xcbf2_9ce4_8422_2325).as_str(), "cbf29ce484222325");
        let signature = Signature::of("checkout", b"/cart/{id}", ErrorKind::Timeout, b"response_timeout");
        assert_eq!(signature.as_str(), "1b532956d3ff941d");
    }

    #[test]
    fn what_differs_in_meaning_differs() {
        let one = Signature::of("a", b"b", ErrorKind::Reset, b"x");
        let others = [
            Signature::of("ab", b"", ErrorKind::Reset, b"x"),
            Signature::of("", b"ab", ErrorKind::Reset, b"x"),
            Signature::of("a", b"b", ErrorKind::Connect, b"x"),
            Signature::of("a", b"b", ErrorKind::Reset, b"y"),
        ];
        for other in others {
            assert_ne!(one, other);
        }
        assert_eq!(one, Signature::of("a", b"b", ErrorKind::Reset, b"x|anything"));
    }

    #[test]
    fn odd_and_long_details_are_details_too() {
        let long = [b'\xff'; 10_000];
        let longer = [b'\xff'; 20_000];
        assert_eq!(
            Signature::of("s", b"\xfe", ErrorKind::Reset, &long),
            Signature::of("s", b"\xfe", ErrorKind::Reset, &longer)
        );
    }
}
