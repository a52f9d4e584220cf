//! E-mail addresses.

use std::ops::Range;

/// Finds `local@domain` where the domain has at least two labels and the last of them is of letters, at least two:
/// `lodash@4.17.21` is a version. The local part is what RFC 5322 calls a dot-atom, but for the marks that delimit in a
/// URL; letters beyond ASCII count in both parts (RFC 6531).
pub(super) fn find(text: &[u8], mut found: impl FnMut(Range<usize>)) {
    let mut done = 0;
    for (at, _) in text.iter().enumerate().filter(|(_, byte)| **byte == b'@') {
        let Some(before) = text.get(done..at) else { continue };
        let local = before.iter().rev().take_while(|byte| is_local(**byte)).count();
        let after = at.saturating_add(1);
        let domain = domain(text.get(after..).unwrap_or_default());
        // No later address begins in what has been looked through, so nothing is looked through twice.
        done = after;
        if local > 0 && domain > 0 {
            done = after.saturating_add(domain);
            found(at.saturating_sub(local)..done);
        }
    }
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b".!#$%'*+-^_`|~".contains(&byte)
}

/// The length of the domain that `text` begins with; 0 where it is none.
fn domain(text: &[u8]) -> usize {
    let is_domain = |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b".-".contains(&byte);
    let length = text.iter().take_while(|byte| is_domain(**byte)).count();
    let mut end = 0;
    let mut start = 0;
    for (number, label) in text.get(..length).unwrap_or_default().split(|byte| *byte == b'.').enumerate() {
        if label.is_empty() {
            break;
        }
        let is_top = label.len() >= 2 && label.iter().all(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii())
            || label.to_ascii_lowercase().starts_with(b"xn--");
        let after = label.len().saturating_add(start);
        if number > 0 && is_top {
            end = after;
        }
        start = after.saturating_add(1);
    }
    end
}
