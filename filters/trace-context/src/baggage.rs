//! `baggage`: what travels with a request for the services themselves (W3C Baggage).

use sluicegate_host::hex;
use sluicegate_policy::is_token;
use std::borrow::Cow;

/// The most members that the header may have (W3C Baggage §3.3.2).
pub(crate) const MAX_MEMBERS: usize = 64;

/// The most bytes that the header may have (W3C Baggage §3.3.2).
const MAX_BYTES: usize = 8192;

/// A header's value, and how many members were left out: for want of room, or because their keys were no tokens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    pub(crate) value: Vec<u8>,
    pub(crate) dropped: u32,
}

/// Puts the members `ours` (key and raw value) into what came in. One of ours takes the place of every member of the same
/// key, so that nobody may choose it by sending the header. Ours come before others when there is no room for all.
pub(crate) fn merge(incoming: &[&[u8]], ours: &[(&str, &[u8])]) -> Merged {
    let mut list = List::default();
    for (key, raw) in ours {
        let mut member = key.as_bytes().to_vec();
        member.push(b'=');
        encode(raw, &mut member);
        list.push(&member);
    }
    let others = incoming.iter().flat_map(|header| header.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    for member in others.filter(|member| !member.is_empty()) {
        if list.is_full() {
            // Nothing fits any more, so there is nothing left to look at.
            list.dropped = list.dropped.saturating_add(1);
            continue;
        }
        match read_key(key_of(member)) {
            Some(key) if ours.iter().any(|(our_key, _)| our_key.as_bytes() == key.as_ref()) => {}
            Some(_) => list.push(member),
            None => list.dropped = list.dropped.saturating_add(1),
        }
    }
    Merged { value: list.value, dropped: list.dropped }
}

/// The header in the making.
#[derive(Default)]
struct List {
    value: Vec<u8>,
    members: usize,
    dropped: u32,
}

impl List {
    fn push(&mut self, member: &[u8]) {
        let comma = usize::from(!self.value.is_empty());
        let len = self.value.len().saturating_add(comma).saturating_add(member.len());
        if self.is_full() || len > MAX_BYTES {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        if comma == 1 {
            self.value.push(b',');
        }
        self.value.extend_from_slice(member);
        self.members = self.members.saturating_add(1);
    }

    fn is_full(&self) -> bool {
        self.members >= MAX_MEMBERS
    }
}

fn key_of(member: &[u8]) -> &[u8] {
    let end = member.iter().position(|byte| matches!(byte, b'=' | b';'));
    member.get(..end.unwrap_or(member.len())).unwrap_or_default().trim_ascii_end()
}

/// A key as the most liberal reader takes it. The grammar has no escapes in keys, but libraries undo them there as well,
/// percent signs and plus signs, and take off the blanks that come to light: whoever may not choose a member may not choose
/// it in that way either. `None` for what is no token: readers do not agree on what to make of it.
fn read_key(key: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !is_token(key) {
        return None;
    }
    if !key.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(key));
    }
    let (mut read, mut rest) = (Vec::with_capacity(key.len()), key);
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.split_at_checked(2).filter(|_| *byte == b'%').and_then(|(digits, after)| {
            let [byte] = hex::decode(digits)?;
            Some((byte, after))
        });
        let (byte, after) = escaped.unwrap_or((if *byte == b'+' { b' ' } else { *byte }, after));
        read.push(byte);
        rest = after;
    }
    Some(Cow::Owned(read.trim_ascii().to_vec()))
}

/// Percent-encodes every byte that is not a `baggage-octet` (§3.2.1.3), and the percent sign.
fn encode(raw: &[u8], into: &mut Vec<u8>) {
    for byte in raw {
        match byte {
            b'!' | b'#'..=b'$' | b'&'..=b'+' | b'-'..=b':' | b'<'..=b'[' | b']'..=b'~' => into.push(*byte),
            other => {
                let upper = |nibble: u8| match nibble {
                    0..=9 => b'0'.wrapping_add(nibble),
                    _ => (b'A' - 10).wrapping_add(nibble),
                };
                into.extend_from_slice(&[b'%', upper(other >> 4), upper(other & 0xf)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn merged(incoming: &[&str], ours: &[(&str, &[u8])]) -> String {
        let incoming: Vec<_> = incoming.iter().map(|header| header.as_bytes()).collect();
        String::from_utf8(merge(&incoming, ours).value).unwrap()
    }

    #[test]
    fn ours_replace_every_member_of_the_same_key_however_it_is_written() {
        let incoming = ["tenant.id=evil, a=1;p=2 ,tenant.id =evil2;x", "tenant.id;y,b=2,tenant.id2=keep"];
        assert_eq!(merged(&incoming, &[("tenant.id", b"acme")]), "tenant.id=acme,a=1;p=2,b=2,tenant.id2=keep");
    }

    #[test]
    fn nor_may_anybody_choose_one_of_ours_by_an_escape_that_some_library_undoes() {
        for spoof in
            ["tenant%2Eid=evil", "tenant%2eid=evil", "tenant.id+=evil", "+tenant.id=evil", "%20tenant.id%09=evil"]
        {
            assert_eq!(merged(&[spoof, "a%2Eb=1"], &[("tenant.id", b"acme")]), "tenant.id=acme,a%2Eb=1", "{spoof}");
        }
        for no_token in ["\u{a0}tenant.id=evil", "tenant id=1", "=1", "(a)=1"] {
            let result = merge(&[no_token.as_bytes()], &[("tenant.id", b"acme")]);
            assert_eq!(result, Merged { value: b"tenant.id=acme".to_vec(), dropped: 1 }, "{no_token}");
        }
    }

    #[test]
    fn values_are_percent_encoded_where_the_grammar_wants_it() {
        let raw = b"a \"b\",c;d\\%\xff\xc3\xa9~!#[]";
        assert_eq!(merged(&[], &[("k", raw)]), "k=a%20%22b%22%2Cc%3Bd%5C%25%FF%C3%A9~!#[]");
    }

    #[test]
    fn what_does_not_fit_is_dropped_from_the_right_and_counted_ours_last() {
        let many: Vec<_> = (0..64).map(|n| format!("k{n}=v")).collect();
        let result = merge(&[many.join(",").as_bytes()], &[("tenant", b"acme")]);
        let text = String::from_utf8(result.value).unwrap();
        assert_eq!(result.dropped, 1);
        assert_eq!(text.split(',').count(), 64);
        assert!(text.starts_with("tenant=acme,k0=v,") && text.ends_with(",k62=v"));

        let long = "x".repeat(8000);
        let big = format!("a={long},b={long},c=1");
        let result = merge(&[big.as_bytes()], &[("tenant", b"acme")]);
        assert_eq!(result.dropped, 1);
        assert!(result.value.len() <= MAX_BYTES);
        assert!(result.value.ends_with(b",c=1"));
    }

    #[test]
    fn one_of_ours_that_alone_is_too_long_is_dropped() {
        let result = merge(&[b"a=1"], &[("tenant", &[b'x'; 8200])]);
        assert_eq!(result, Merged { value: b"a=1".to_vec(), dropped: 1 });
    }
}
