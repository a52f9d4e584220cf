//! Credentials by their form: JSON Web Tokens, the credentials of an HTTP authentication scheme, and those in a URL.

use std::ops::Range;

/// Finds JSON Web Tokens (RFC 7519), signed, encrypted or not, also when they are glued to something: `eyJ` (which is
/// `{"` in base64url) and at least 8 more characters, a dot, at least 4 more, and up to three further parts.
pub(super) fn find_jwt(text: &[u8], mut found: impl FnMut(Range<usize>)) {
    let length_of_part = |start: usize| text.iter().skip(start).take_while(|byte| is_base64url(**byte)).count();
    let mut start = 0;
    while let Some(part) = text.get(start..) {
        let length = length_of_part(start);
        let header_end = start.saturating_add(length);
        let header = part.get(..length).unwrap_or_default().windows(3).position(|three| three == b"eyJ");
        let claims = header_end.saturating_add(1);
        // No part of 11 characters or more can begin a token where the one after it does not fit, so each is read twice
        // at most.
        let token = header.filter(|header| length.saturating_sub(*header) >= 11 && text.get(header_end) == Some(&b'.'));
        start = claims;
        if let Some(header) = token {
            let claims_length = length_of_part(claims);
            // An encrypted token has no second part where its key is agreed upon (RFC 7516 §4.1.1, `dir`).
            let is_encrypted = claims_length == 0 && text.get(claims) == Some(&b'.');
            if claims_length >= 4 || is_encrypted {
                let mut end = claims.saturating_add(claims_length);
                for _ in 0..3 {
                    if text.get(end) != Some(&b'.') {
                        break;
                    }
                    let next = end.saturating_add(1);
                    end = next.saturating_add(length_of_part(next));
                }
                found(header_end.saturating_sub(length).saturating_add(header)..end);
                start = end;
            }
        }
        if start >= text.len() {
            break;
        }
    }
}

/// Where the JSON Web Token begins whose header or claims the end of `text` cuts off, else the end.
pub(super) fn open_jwt(text: &[u8]) -> usize {
    let length = text.iter().rev().take_while(|byte| is_base64url(**byte) || **byte == b'.').count();
    let start = text.len().saturating_sub(length);
    let begin = text.get(start..).unwrap_or_default().windows(3).position(|three| three == b"eyJ");
    begin.map_or(text.len(), |begin| start.saturating_add(begin))
}

/// Where the authority of a URL begins that the end of `text` cuts off, else the end.
pub(super) fn open_userinfo(text: &[u8]) -> usize {
    let length = text.iter().rev().take_while(|byte| !ends_authority(**byte)).count();
    let start = text.len().saturating_sub(length);
    match text.get(..start).unwrap_or_default().ends_with(b"://") {
        true => start,
        false => text.len(),
    }
}

fn ends_authority(byte: u8) -> bool {
    b"/?# \t\r\n\"'<>".contains(&byte)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// The credentials after `Bearer`, `Basic`, `Token` or `Negotiate` (RFC 9110 §11.4: `token68`), at least 8 characters
/// with a digit, or a letter in upper case that is not the first, among them: "bearer of news" has none.
pub(super) fn read_bearer(text: &[u8]) -> Option<Range<usize>> {
    let scheme = ["bearer", "basic", "token", "negotiate"]
        .iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|word| word.eq_ignore_ascii_case(scheme.as_bytes())))?;
    let rest = text.get(scheme.len()..)?;
    let blank = rest.iter().take_while(|byte| b" \t+".contains(byte)).count();
    let is_token68 = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if blank == 0 {
        return None;
    }
    let token = rest.get(blank..)?;
    // The rest of a long one is read only when it is one, and then it is not read again.
    let first = token.iter().take(LOOKED_AT).take_while(|byte| is_token68(byte)).count();
    let beginning = token.get(..first)?;
    let is_random = beginning.iter().any(u8::is_ascii_digit) || beginning.iter().skip(1).any(u8::is_ascii_uppercase);
    if first < 8 || !is_random {
        return None;
    }
    let start = scheme.len().saturating_add(blank);
    let length = token.iter().take_while(|byte| is_token68(byte)).count();
    Some(start..start.saturating_add(length))
}

/// How many characters of a token tell whether it is one.
const LOOKED_AT: usize = 64;

/// Finds the user and password of a URL (RFC 3986 §3.2.1): what stands between `://` and `@`.
pub(super) fn find_userinfo(text: &[u8], mut found: impl FnMut(Range<usize>)) {
    for (at, _) in text.windows(3).enumerate().filter(|(_, three)| *three == b"://") {
        let start = at.saturating_add(3);
        let authority = text.iter().skip(start).take_while(|byte| !ends_authority(**byte));
        let length = authority.enumerate().filter(|(_, byte)| **byte == b'@').last().map_or(0, |(length, _)| length);
        if length > 0 {
            found(start..start.saturating_add(length));
        }
    }
}
