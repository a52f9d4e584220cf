//! Which names say that their value is a secret.

use super::mode::Mode;

/// Names that count as a whole and as words of a longer one: `token` is in `user_token` and in `csrfToken`.
const WORDS: [&str; 53] = [
    "access_key",
    "access_token",
    "api_key",
    "api_token",
    "assertion",
    "auth_key",
    "auth_token",
    "authorization",
    "bearer",
    "client_assertion",
    "client_secret",
    "code_verifier",
    "cookie",
    "credential",
    "csrf",
    "csrf_middleware_token",
    "current_password",
    "cvc",
    "cvv",
    "encryption_key",
    "id_token",
    "jsessionid",
    "jwt",
    "new_password",
    "oauth_verifier",
    "old_password",
    "one_time_code",
    "otp",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "password_reset",
    "phpsessid",
    "private_key",
    "proxy_authorization",
    "pwd",
    "refresh_token",
    "reset_password",
    "saml_response",
    "secret",
    "secret_key",
    "security_code",
    "session",
    "session_id",
    "session_token",
    "set_cookie",
    "signature",
    "signing_key",
    "token",
    "user_pass",
    "verify_token",
    "xsrf",
];

/// Short names that are secrets only when nothing else stands beside them: `auth=…`, but neither `auth_method=…` nor the
/// path `/auth/login`. `code` is OAuth's authorization code (RFC 6749 §4.1.2).
const WHOLE: [&str; 10] = ["auth", "code", "key", "pass", "passkey", "pin", "sessid", "sid", "sig", "ssn"];

/// The longest name that a policy may list, in letters and digits.
pub(super) const MAX_LEN: usize = 64;

/// How a name is taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The name of a parameter, a header or an attribute: words begin at every mark, and where `camelCase` says so.
    Field,
    /// A segment of a path, which names the segment after it: words end at marks alone, and begin there or at a capital,
    /// so that what it is about is the last one: `/verifyToken/…`, not `/TokenService/Verify`. With a dot it is a file or
    /// a gRPC service (`/shop.SessionService/Create`) and names nothing.
    Segment,
}

/// All names of a policy, in one tree of their letters: looking one up allocates nothing and takes time in proportion to
/// the name that is looked up. Nothing is listed by default.
#[derive(Default)]
pub(super) struct Names {
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    children: Vec<(u8, usize)>,
    listed: Option<Listed>,
    kept: bool,
}

#[derive(Clone, Copy)]
struct Listed {
    mode: Mode,
    whole: bool,
}

impl Names {
    /// The names of this module, all in `mode`.
    pub(super) fn usual(mode: Mode) -> Names {
        let mut names = Names { nodes: vec![Node::default()] };
        for name in WORDS {
            names.list(name, mode);
        }
        for name in WHOLE {
            if let Some(node) = names.node(name) {
                node.listed = Some(Listed { mode, whole: true });
            }
        }
        names
    }

    /// Adds a name, or gives a listed one another mode.
    pub(super) fn list(&mut self, name: &str, mode: Mode) {
        if let Some(node) = self.node(name) {
            node.listed = Some(Listed { mode, whole: false });
        }
    }

    /// Takes a name out: it is not listed any more, and as a whole it is not secret for a word in it either.
    pub(super) fn keep(&mut self, name: &str) {
        if let Some(node) = self.node(name) {
            node.listed = None;
            node.kept = true;
        }
    }

    /// The mode for the value of `name`, which is percent-decoded: that of the longest listed name in it. `None`: it may be
    /// shown.
    pub(super) fn find(&self, name: &[u8], place: Place) -> Option<Mode> {
        if place == Place::Segment && name.contains(&b'.') {
            return None;
        }
        let first = name.iter().position(u8::is_ascii_alphanumeric)?;
        let last = name.iter().rposition(u8::is_ascii_alphanumeric)?;
        let mut found: Option<(usize, Mode)> = None;
        for start in first..=last {
            if !begins_word(name, start, place) {
                continue;
            }
            let mut node = self.nodes.first()?;
            for (end, byte) in name.iter().enumerate().skip(start) {
                if !byte.is_ascii_alphanumeric() {
                    continue;
                }
                let Some(next) = self.child(node, *byte) else { break };
                node = next;
                let whole = start == first && end == last;
                if whole && node.kept {
                    return None;
                }
                let length = end.saturating_sub(start);
                let is_longer = found.is_none_or(|(longest, _)| length > longest);
                if let Some(listed) = node.listed.filter(|_| is_longer && ends_word(name, end, place))
                    && (!listed.whole || whole && place == Place::Field)
                {
                    found = Some((length, listed.mode));
                }
            }
        }
        found.map(|(_, mode)| mode)
    }

    fn child(&self, node: &Node, byte: u8) -> Option<&Node> {
        let byte = byte.to_ascii_lowercase();
        let (_, next) = node.children.iter().find(|(letter, _)| *letter == byte)?;
        self.nodes.get(*next)
    }

    fn node(&mut self, name: &str) -> Option<&mut Node> {
        let mut at = 0;
        for byte in name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase()) {
            let new = self.nodes.len();
            let children = &mut self.nodes.get_mut(at)?.children;
            at = match children.iter().find(|(letter, _)| *letter == byte) {
                Some((_, next)) => *next,
                None => {
                    children.push((byte, new));
                    self.nodes.push(Node::default());
                    new
                }
            };
        }
        self.nodes.get_mut(at)
    }
}

/// A name that a policy may list: it has letters or digits, and not too many.
pub(super) fn is_name(text: &str) -> bool {
    let letters = text.bytes().filter(u8::is_ascii_alphanumeric).count();
    text.is_ascii() && (1..=MAX_LEN).contains(&letters) && text.len() <= 2 * MAX_LEN
}

fn begins_word(name: &[u8], at: usize, place: Place) -> bool {
    let byte = |at: usize| name.get(at).copied().filter(u8::is_ascii_alphanumeric);
    let Some(this) = byte(at) else { return false };
    let Some(before) = at.checked_sub(1).and_then(byte) else { return true };
    let acronym_ends = || byte(at.saturating_add(1)).is_some_and(|next| next.is_ascii_lowercase());
    place == Place::Field && before.is_ascii_digit() != this.is_ascii_digit()
        || this.is_ascii_uppercase() && (before.is_ascii_lowercase() || acronym_ends())
}

/// Whether a word ends with the byte at `last`, or but for the `s` of a plural.
fn ends_word(name: &[u8], last: usize, place: Place) -> bool {
    let ends = |last: usize| {
        let next = last.saturating_add(1);
        !name.get(next).is_some_and(u8::is_ascii_alphanumeric)
            || place == Place::Field && begins_word(name, next, place)
    };
    let next = last.saturating_add(1);
    ends(last) || name.get(next).is_some_and(|byte| byte.eq_ignore_ascii_case(&b's')) && ends(next)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn is_listed(names: &Names, name: &str, place: Place) -> bool {
        names.find(name.as_bytes(), place).is_some()
    }

    #[test]
    fn a_listed_name_matches_as_a_whole_and_as_words_of_a_longer_one() {
        let names = Names::usual(Mode::Mask);
        for name in [
            "authorization",
            "Proxy-Authorization",
            "COOKIE",
            "set-cookie",
            "token",
            "access_token",
            "accessToken",
            "ACCESSTOKEN",
            "access.token",
            "access token",
            "refresh-token",
            "id_token",
            "password",
            "passwd",
            "pwd",
            "user_password",
            "userPassword",
            "user[password]",
            "password2",
            "new_passwords",
            "secret",
            "client_secret",
            "clientSecret",
            "api_key",
            "apikey",
            "apiKey",
            "APIKey",
            "X-API-Key",
            "session",
            "sessionId",
            "sessionID",
            "sid",
            "JSESSIONID",
            "PHPSESSID",
            "jwt",
            "JWTToken",
            "signature",
            "X-Amz-Signature",
            "sig",
            "private_key",
            "privateKey",
            "credential",
            "credentials",
            "X-Amz-Credential",
            "http.request.header.authorization",
            "code",
            "auth",
            "key",
            "_token_",
            "pass-word",
            "csrfmiddlewaretoken",
            "user_pass",
            "auth_key",
            "sessiontoken",
            "newpassword",
            "oauth_verifier",
        ] {
            assert!(is_listed(&names, name, Place::Field), "{name}");
        }
    }

    #[test]
    fn other_names_are_not_secret() {
        let names = Names::usual(Mode::Mask);
        for name in [
            "",
            "-",
            "author",
            "authority",
            "authored_by",
            "tokenize",
            "tokenizer",
            "secretary",
            "cookieless",
            "sessions_",
            "passage",
            "compass",
            "keyboard",
            "key_id",
            "monkey",
            "side",
            "sign",
            "signal",
            "design",
            "pinned",
            "encode",
            "country_code",
            "status_code",
            "postcode",
            "auth_method",
            "user",
            "page",
            "q",
            "jwtx",
            "api_version",
            "pa",
        ] {
            let expected = name == "sessions_";
            assert_eq!(is_listed(&names, name, Place::Field), expected, "{name}");
        }
    }

    #[test]
    fn a_segment_names_the_next_one() {
        let names = Names::usual(Mode::Mask);
        for segment in [
            "token",
            "sessions",
            "reset-password",
            "API_KEY",
            "Session",
            "api-keys",
            "password-reset",
            "resetPassword",
            "verifyTokens",
            "myAPIKey",
            "passwordReset",
            "a_userToken-b",
        ] {
            assert!(is_listed(&names, segment, Place::Segment), "{segment}");
        }
        for segment in [
            "auth",
            "code",
            "key",
            "shop.SessionService",
            "SessionService",
            "session.html",
            "authors",
            "sidebar",
            "tokenization",
            "tokenInfo",
            "TokenService",
            "deToken7",
            "a8otp",
        ] {
            assert!(!is_listed(&names, segment, Place::Segment), "{segment}");
        }
    }

    #[test]
    fn of_several_listed_names_the_longest_has_the_mode() {
        let mut names = Names::usual(Mode::Mask);
        names.list("session_id", Mode::Hash);
        names.list("secret_key", Mode::Drop);
        let mode = |name: &str| names.find(name.as_bytes(), Place::Field);
        assert_eq!(mode("session_id"), Some(Mode::Hash));
        assert_eq!(mode("user-session-id"), Some(Mode::Hash));
        assert_eq!(mode("secretKey"), Some(Mode::Drop));
        assert_eq!(mode("session"), Some(Mode::Mask));
        assert_eq!(mode("session_key"), Some(Mode::Mask));
    }

    #[test]
    fn a_policy_adds_names_and_takes_them_out() {
        let mut names = Names::usual(Mode::Mask);
        names.list("X-Customer.Id", Mode::Hash);
        names.keep("page_token");
        names.keep("session");
        assert_eq!(names.find(b"customerid", Place::Field), None);
        assert_eq!(names.find(b"xCustomerId", Place::Field), Some(Mode::Hash));
        assert_eq!(names.find(b"old_x_customer_id", Place::Field), Some(Mode::Hash));
        for name in ["pageToken", "PAGE_TOKEN", "session", "my_session"] {
            assert!(!is_listed(&names, name, Place::Field), "{name}");
        }
        for name in ["next_page_token", "token", "session_id"] {
            assert!(is_listed(&names, name, Place::Field), "{name}");
        }
        assert!(!is_listed(&names, "page_token", Place::Segment));
    }
}
