//! `tracestate`: what vendors add to a trace context (W3C Trace Context, Level 2, §3.3).

use sluicegate_host::tracestate::trim;

/// What is to become of the `tracestate` of a context that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracestate {
    /// There is none.
    Absent,
    /// It keeps to the grammar and goes on as it came.
    Valid,
    /// It keeps to the grammar, but a header has blanks around it, which HTTP/2 calls malformed.
    Padded,
    /// It says nothing: empty headers are to be accepted, not to be sent (§3.3.1.1).
    Empty,
    /// It breaks the grammar and is discarded whole (§4.3).
    Invalid,
}

/// Reads the headers as one list.
pub(crate) fn check(headers: &[&[u8]]) -> Tracestate {
    if headers.is_empty() {
        return Tracestate::Absent;
    }
    let Some(list) = sluicegate_host::Tracestate::parse(headers) else {
        return Tracestate::Invalid;
    };
    match (list.members().next(), headers.iter().any(|header| trim(header).len() < header.len())) {
        (None, _) => Tracestate::Empty,
        (_, true) => Tracestate::Padded,
        (_, false) => Tracestate::Valid,
    }
}

/// The headers as one (RFC 9110 §5.3), without blanks around them.
pub(crate) fn combine(headers: &[&[u8]]) -> Vec<u8> {
    let trimmed: Vec<_> = headers.iter().map(|header| trim(header)).filter(|header| !header.is_empty()).collect();
    trimmed.join(&b","[..])
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn check_one(header: &str) -> Tracestate {
        check(&[header.as_bytes()])
    }

    fn members(count: usize) -> String {
        (0..count).map(|n| format!("k{n}={n}")).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn what_keeps_to_the_grammar_is_valid() {
        let all_value_bytes: String = (' '..='~').filter(|c| !",=".contains(*c)).collect();
        for header in [
            "foo=1".to_owned(),
            "foo=1,bar=2".into(),
            "foo=1 \t , \t bar=2, \t baz=3".into(),
            ",foo=1,,bar=2,".into(),
            "foo= 1".into(),
            "0foo=1".into(),
            "foo@=1,foo@@bar=1,t@v=2".into(),
            "a_-*/@z9=x".into(),
            format!("k={all_value_bytes}"),
            format!("{}=1", "z".repeat(256)),
            format!("k={}", "v".repeat(256)),
            "foo=1,foo=2".into(),
            members(32),
        ] {
            assert_eq!(check_one(&header), Tracestate::Valid, "{header}");
        }
    }

    #[test]
    fn what_breaks_it_is_invalid() {
        for header in [
            "foo".to_owned(),
            "foo=".into(),
            "=1".into(),
            "foo =1".into(),
            "FOO=1".into(),
            "foo.bar=1".into(),
            "@foo=1,bar=2".into(),
            "_foo=1".into(),
            "foo=bar=baz".into(),
            "foo=,bar=3".into(),
            "foo=\u{7f}".into(),
            "foo=caf\u{e9}".into(),
            "foo=a\tb".into(),
            format!("{}=1", "z".repeat(257)),
            format!("k={}", "v".repeat(257)),
            members(33),
        ] {
            assert_eq!(check_one(&header), Tracestate::Invalid, "{header}");
        }
    }

    #[test]
    fn several_headers_are_one_list() {
        assert_eq!(check(&[b"foo=1,bar=2", b"rojo=1"]), Tracestate::Valid);
        assert_eq!(check(&[b"", b"foo=1"]), Tracestate::Valid);
        let (first, second) = (members(20), members(13));
        assert_eq!(check(&[first.as_bytes(), second.as_bytes()]), Tracestate::Invalid);
    }

    #[test]
    fn blanks_around_a_header_are_taken_off() {
        let headers = [&b" foo=1 , bar=2\t"[..], b"", b"baz=3"];
        assert_eq!(check(&headers), Tracestate::Padded);
        let combined = combine(&headers);
        assert_eq!(combined, b"foo=1 , bar=2,baz=3");
        assert_eq!(check(&[&combined]), Tracestate::Valid);
    }

    #[test]
    fn empty_headers_say_nothing() {
        assert_eq!(check(&[]), Tracestate::Absent);
        assert_eq!(check(&[b"", b" ,\t, "]), Tracestate::Empty);
    }
}
