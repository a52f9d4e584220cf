//! What vendors add to a trace context: W3C Trace Context, Level 2, §3.3.

/// The list in the `tracestate` headers of one request, several of which are one list (§3.3.1: combined as RFC 9110 §5.3
/// says). It keeps to the grammar; nothing is copied before something is changed.
#[derive(Clone, Copy, Debug)]
pub struct Tracestate<'h> {
    headers: &'h [&'h [u8]],
}

/// One vendor's part of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'h> {
    /// Who it belongs to.
    pub key: &'h [u8],
    /// What they make of it: 1 to 256 bytes of printable ASCII, leading blanks included.
    pub value: &'h [u8],
    /// Both as they came, without the blanks around them.
    text: &'h [u8],
}

impl<'h> Tracestate<'h> {
    /// The name of the header.
    pub const HEADER: &'static str = "tracestate";

    /// The most members of a list (§3.3.1.1).
    pub const MAX_MEMBERS: usize = 32;

    /// The longest value, in bytes (§3.3.1.3.2).
    pub const MAX_VALUE: usize = 256;

    /// How long a list may become by a change, in bytes. W3C has at least 512 propagated (§3.3.1.5); servers such as nginx
    /// and Apache refuse a header field from 8 KiB on by default.
    pub const MAX_LEN: usize = 8_000;

    const MAX_KEY: usize = 256;

    /// Reads the headers, which are none, empty or members. `None` where they break the grammar: then the whole list is to
    /// be discarded (§4.3), for one that was cut or mixed up cannot be told from one whose members mean what they say.
    pub fn parse(headers: &'h [&'h [u8]]) -> Option<Tracestate<'h>> {
        let mut count: usize = 0;
        for text in texts(headers) {
            count = count.saturating_add(1);
            if count > Self::MAX_MEMBERS {
                return None;
            }
            Member::parse(text)?;
        }
        Some(Tracestate { headers })
    }

    /// The members from left, where the latest change stands, to right. (§3.3.1.1: empty ones are none.)
    pub fn members(&self) -> impl Iterator<Item = Member<'h>> + use<'h> {
        texts(self.headers).filter_map(Member::parse)
    }

    /// The list with this value for `key`, which moves to the left, or without it; `None` where nothing is left of the
    /// list. All other members keep their order and every byte (§3.5). The right-most goes where there would be 33; where
    /// the list would grow beyond [`Tracestate::MAX_LEN`], members of more than 128 bytes go first, then any, from the
    /// right (§3.3.1.5).
    pub fn with(&self, key: &str, value: Option<&[u8]>) -> Option<Vec<u8>> {
        let first = value.map(|value| [key.as_bytes(), b"=", value].concat());
        let came: usize = self.members().map(|member| member.text.len().saturating_add(1)).sum();
        let mut members: Vec<&[u8]> = Vec::with_capacity(Self::MAX_MEMBERS);
        members.extend(first.as_deref());
        members.extend(self.members().filter(|member| member.key != key.as_bytes()).map(|member| member.text));
        members.truncate(Self::MAX_MEMBERS);
        // What came in too long is not ours to cut.
        shorten(&mut members, usize::from(first.is_some()), came.max(Self::MAX_LEN));
        (!members.is_empty()).then(|| members.join(&b","[..]))
    }
}

impl<'h> Member<'h> {
    fn parse(text: &'h [u8]) -> Option<Member<'h>> {
        let (key, value) = text.split_at_checked(text.iter().position(|byte| *byte == b'=')?)?;
        let value = value.get(1..)?;
        (is_key(key) && is_value(value)).then_some(Member { key, value, text })
    }
}

/// The members as they came, without the blanks around them.
fn texts<'h>(headers: &'h [&'h [u8]]) -> impl Iterator<Item = &'h [u8]> {
    let parts = headers.iter().flat_map(|header| header.split(|byte| *byte == b','));
    parts.map(trim).filter(|text| !text.is_empty())
}

/// Without the optional blanks around it.
pub fn trim(text: &[u8]) -> &[u8] {
    // OWS is blanks and tabs (RFC 9110 §5.6.3), less than what trim_ascii takes.
    let is_ows = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !is_ows(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_ows(byte)).map_or(start, |last| last.saturating_add(1));
    text.get(start..end).unwrap_or_default()
}

/// `( lcalpha / DIGIT ) 0*255 ( keychar )`; the tenant form of Level 1 is one of these.
fn is_key(key: &[u8]) -> bool {
    let is_keychar = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    key.len() <= Tracestate::MAX_KEY
        && key.iter().all(is_keychar)
        && matches!(key.first(), Some(b'a'..=b'z' | b'0'..=b'9'))
}

/// `0*255(chr) nblk-chr`: printable ASCII without comma and equals sign, the last no blank.
fn is_value(value: &[u8]) -> bool {
    value.len() <= Tracestate::MAX_VALUE
        && value.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'='))
        && value.last().is_some_and(|last| *last != b' ')
}

/// Takes members away until the rest, joined by commas, fits. The first `kept` stay.
fn shorten(members: &mut Vec<&[u8]>, kept: usize, limit: usize) {
    const LONG: usize = 128;
    let length = |members: &[&[u8]]| members.iter().map(|text| text.len().saturating_add(1)).sum::<usize>();
    while members.len() > kept && length(members) > limit {
        let removable = members.get(kept..).unwrap_or_default();
        let long = removable.iter().rposition(|text| text.len() > LONG);
        match long {
            Some(position) => _ = members.remove(position.saturating_add(kept)),
            None => _ = members.pop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_valid(header: &str) -> bool {
        Tracestate::parse(&[header.as_bytes()]).is_some()
    }

    fn members(count: usize) -> String {
        (0..count).map(|n| format!("k{n}={n}")).collect::<Vec<_>>().join(",")
    }

    fn with(headers: &[&str], value: Option<&str>) -> Option<String> {
        let headers: Vec<_> = headers.iter().map(|header| header.as_bytes()).collect();
        let changed = Tracestate::parse(&headers).unwrap().with("ot", value.map(str::as_bytes));
        changed.map(|list| String::from_utf8(list).unwrap())
    }

    #[test]
    fn what_keeps_to_the_grammar_is_a_list() {
        let all_value_bytes: String = (' '..='~').filter(|c| !",=".contains(*c)).collect();
        for header in [
            "",
            " ,\t, ",
            "foo=1",
            "foo=1,bar=2",
            "foo=1 \t , \t bar=2, \t baz=3",
            ",foo=1,,bar=2,",
            "foo= 1",
            "0foo=1",
            "foo@=1,foo@@bar=1,t@v=2",
            "a_-*/@z9=x",
            &format!("k={all_value_bytes}"),
            &format!("{}=1", "z".repeat(256)),
            &format!("k={}", "v".repeat(256)),
            "foo=1,foo=2",
            &members(32),
        ] {
            assert!(is_valid(header), "{header}");
        }
    }

    #[test]
    fn what_breaks_it_is_none() {
        for header in [
            "foo",
            "foo=",
            "foo= ",
            "=1",
            "foo =1",
            "FOO=1",
            "foo.bar=1",
            "@foo=1,bar=2",
            "_foo=1",
            "foo=bar=baz",
            "foo=,bar=3",
            "foo=\u{7f}",
            "foo=caf\u{e9}",
            "foo=a\tb",
            &format!("{}=1", "z".repeat(257)),
            &format!("k={}", "v".repeat(257)),
            &members(33),
        ] {
            assert!(!is_valid(header), "{header}");
        }
        let (first, second) = (members(20), members(13));
        assert!(Tracestate::parse(&[first.as_bytes(), second.as_bytes()]).is_none());
    }

    #[test]
    fn members_come_in_order_over_all_headers_with_their_leading_blanks() {
        let headers = [&b" foo=1 , bar= 2\t"[..], b"", b"baz=3,foo=4"];
        let read: Vec<_> = Tracestate::parse(&headers).unwrap().members().map(|m| (m.key, m.value)).collect();
        let expected = [("foo", "1"), ("bar", " 2"), ("baz", "3"), ("foo", "4")];
        assert_eq!(read, expected.map(|(key, value)| (key.as_bytes(), value.as_bytes())));
        assert_eq!(Tracestate::parse(&[]).unwrap().members().count(), 0);
    }

    #[test]
    fn what_is_changed_moves_to_the_left_and_the_rest_stays() {
        for (headers, value, expected) in [
            (&["a=1,ot=x,b= 2"][..], Some("y"), Some("ot=y,a=1,b= 2")),
            (&["a=1,ot=x,b=2"], None, Some("a=1,b=2")),
            (&[" a=1 ,, ot=x\t", "", "b=2,ot=z"], Some("y"), Some("ot=y,a=1,b=2")),
            (&[], Some("y"), Some("ot=y")),
            (&["ot=x"], None, None),
            (&[""], None, None),
        ] {
            assert_eq!(with(headers, value).as_deref(), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_33rd_member_pushes_out_the_right_most() {
        let full = members(32);
        let expected = format!("ot=y,{}", members(31));
        assert_eq!(with(&[&full], Some("y")), Some(expected));
        assert_eq!(with(&[&full], None), Some(full));
        let with_ours = format!("{},ot=x", members(31));
        assert_eq!(with(&[&with_ours], Some("y")), Some(format!("ot=y,{}", members(31))));
    }

    #[test]
    fn a_list_that_would_grow_too_long_loses_long_members_first_and_then_from_the_right() {
        let long = |name: &str, len: usize| format!("{name}={}", "v".repeat(len));
        let mut list: Vec<_> = (0..29).map(|n| long(&format!("k{n:02}"), 256)).collect();
        list.insert(0, long("first", 256));
        list.push("last=1".to_owned());
        let came = list.join(",");
        assert!(came.len() < Tracestate::MAX_LEN);
        let changed = with(&[&came], Some(&"o".repeat(250))).unwrap();
        assert!(changed.len() <= Tracestate::MAX_LEN && changed.starts_with("ot=ooo"), "{}", changed.len());
        // The last of the long ones went.
        list.remove(29);
        assert_eq!(changed, format!("ot={},{}", "o".repeat(250), list.join(",")));

        let key = |n: usize| format!("{n:0>120}=12345");
        let short: Vec<_> = (0..31).map(key).collect();
        let mut members: Vec<_> = short.iter().map(|text| text.as_bytes()).collect();
        shorten(&mut members, 1, 300);
        assert_eq!(members, [short[0].as_bytes(), short[1].as_bytes()]);
        shorten(&mut members, 1, 0);
        assert_eq!(members, [short[0].as_bytes()]);
    }

    #[test]
    fn what_came_in_too_long_is_not_cut() {
        let came: String = (0..32).map(|n| format!("k{n:02}={}", "v".repeat(256))).collect::<Vec<_>>().join(",");
        assert!(came.len() > Tracestate::MAX_LEN);
        assert_eq!(with(&[&came], None), Some(came.clone()));
        let changed = with(&[&came], Some("y")).unwrap();
        assert_eq!(changed.split(',').count(), 32);
    }
}
