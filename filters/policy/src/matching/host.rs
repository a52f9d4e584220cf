//! The host of a request: `example.com`, `*.example.com`, `example.com:8443`, `[2001:db8::1]`.

use crate::section::Section;

/// A host to match, without regard to case and to the dot that may end a full name. Without a port it matches any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HostRule {
    name: Name,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    Exact(Box<str>),
    /// `*.example.com` as `.example.com`: any name that ends so and has something before.
    Below(Box<str>),
}

const HOST: &str =
    "a host name such as \"shop.example.com\", \"*.example.com\" or \"[2001:db8::1]\", with or without a port";

impl HostRule {
    pub(super) fn read(section: &Section<'_>, field: &'static str) -> Option<HostRule> {
        HostRule::parse(section.string_where(field, |text| HostRule::parse(text).is_some(), HOST)?)
    }

    fn parse(text: &str) -> Option<HostRule> {
        let (host, port) = split_port(text.as_bytes());
        let port = match port {
            Some(port) => Some(number(port)?),
            None if text.ends_with(':') => return None,
            None => None,
        };
        let host = text.get(..without_final_dot(host).len())?;
        let name = match host.strip_prefix('*') {
            Some(rest) if rest.strip_prefix('.').is_some_and(is_host_name) => Name::Below(rest.into()),
            None if is_host_name(host) || is_ipv6_literal(host) => Name::Exact(host.into()),
            _ => return None,
        };
        Some(HostRule { name, port })
    }

    pub(super) fn matches(&self, authority: &[u8]) -> bool {
        let (host, port) = split_port(authority);
        let host = without_final_dot(host);
        self.name.matches(host) && self.port.is_none_or(|wanted| port.and_then(number) == Some(wanted))
    }
}

impl Name {
    fn matches(&self, host: &[u8]) -> bool {
        match self {
            Name::Exact(name) => host.eq_ignore_ascii_case(name.as_bytes()),
            Name::Below(end) => host
                .len()
                .checked_sub(end.len())
                .filter(|before| *before > 0)
                .and_then(|before| host.get(before..))
                .is_some_and(|host_end| host_end.eq_ignore_ascii_case(end.as_bytes())),
        }
    }
}

/// The host and the port of an authority (RFC 3986 §3.2). A colon inside the brackets of an IPv6 literal starts no port;
/// an empty port is none.
fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let after_literal = authority.iter().rposition(|byte| *byte == b']').unwrap_or(0);
    let colon = authority.iter().rposition(|byte| *byte == b':').filter(|colon| *colon > after_literal);
    match colon.and_then(|colon| authority.split_at_checked(colon)) {
        Some((host, port)) => (host, port.get(1..).filter(|port| !port.is_empty())),
        None => (authority, None),
    }
}

fn number(port: &[u8]) -> Option<u16> {
    if !port.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(port).ok()?.parse().ok()
}

fn without_final_dot(host: &[u8]) -> &[u8] {
    host.strip_suffix(b".").unwrap_or(host)
}

/// Labels of letters, digits, `-` and `_`, with single dots between them; IPv4 addresses are such, too.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// An IPv6 address in brackets. It is compared as it is written.
fn is_ipv6_literal(text: &str) -> bool {
    let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    address.is_some_and(|address| {
        address.contains(':') && address.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
    })
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn matches(rule: &str, authority: &[u8]) -> bool {
        HostRule::parse(rule).expect(rule).matches(authority)
    }

    #[test]
    fn a_host_matches_without_regard_to_case_port_and_final_dot() {
        let table: [(&str, &[&str], &[&str]); 9] = [
            (
                "example.com",
                &["example.com", "EXAMPLE.com", "example.com:8080", "example.com.", "example.com.:80", "example.com:"],
                &[
                    "",
                    ":80",
                    "a.example.com",
                    "example.org",
                    "xexample.com",
                    "example.com.evil",
                    "user@example.com",
                    "example.com..",
                    "example.com:80:80",
                ],
            ),
            ("Example.COM.", &["example.com", "example.com."], &["example"]),
            (
                "example.com:8080",
                &["example.com:8080", "example.com.:8080", "example.com:08080"],
                &[
                    "example.com",
                    "example.com:80",
                    "example.com:",
                    "example.com:80800",
                    "example.com:8080x",
                    "example.com:+8080",
                ],
            ),
            (
                "*.example.com",
                &["a.example.com", "A.B.example.com:99", "a.example.com."],
                &["example.com", ".example.com", "aexample.com", "a.example.com.evil", "", "m"],
            ),
            ("*.example.com:443", &["a.example.com:443"], &["a.example.com", "a.example.com:80", "example.com:443"]),
            ("10.0.0.1", &["10.0.0.1", "10.0.0.1:80"], &["10.0.0.10", "10.0.0"]),
            ("[::1]", &["[::1]", "[::1]:8080"], &["::1", "[::]", "[::1", "[::1]x", "[::1]:80:80"]),
            ("[2001:DB8::1]:443", &["[2001:db8::1]:443"], &["[2001:db8::1]", "[2001:db8::1]:80", "[2001:db8::1:443]"]),
            ("localhost", &["localhost:10000"], &["localhost.localdomain"]),
        ];
        for (rule, matching, others) in table {
            for authority in matching {
                assert!(matches(rule, authority.as_bytes()), "{rule} should match {authority}");
            }
            for authority in others {
                assert!(!matches(rule, authority.as_bytes()), "{rule} should not match {authority}");
            }
        }
        assert!(!matches("example.com", b"example.com\xff"));
        assert!(matches("*.example.com", b"\xff.example.com"));
    }

    #[test]
    fn what_could_never_match_is_not_a_host() {
        let table = [
            "",
            ".",
            "*",
            "*.",
            "*.*.com",
            "a.*.com",
            "*example.com",
            "a..b",
            ".a",
            "a.b..",
            "a b",
            "a/b",
            "http://a",
            "user@a",
            "::1",
            "[1]",
            "[::g]",
            "[]",
            "[::1",
            "::1]",
            "a:b",
            "a:",
            "a:65536",
            "a:80:80",
            "größe.de",
            "*.[::1]",
            "*:80",
            "a\n",
        ];
        for text in table {
            assert_eq!(HostRule::parse(text), None, "{text:?}");
        }
        assert_eq!(HostRule::parse(&"a".repeat(254)), None);
    }
}
