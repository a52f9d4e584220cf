//! What comes out of whole paths, queries, attributes and texts.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use sluicegate_policy::Document;

pub(super) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The redactor of a section with these fields, or what is wrong with it.
pub(super) fn configured(fields: &str) -> Result<Redactor, String> {
    let policy = format!(r#"{{"version": "1.0", "access_log": {{"redact": {{{fields}}}}}}}"#);
    let document = Document::parse(policy.as_bytes(), &|_| None).unwrap();
    let redactor = Redactor::from_policy(&document.section("access_log").subsection("redact"));
    document.finish().map(|_| redactor).map_err(|errors| errors.to_string())
}

pub(super) fn redactor(fields: &str) -> Redactor {
    configured(fields).unwrap()
}

const NO_LIMIT: usize = usize::MAX;

#[test]
fn paths() {
    let redactor = redactor("");
    let table = [
        ("/", "/"),
        ("", ""),
        ("/orders/17/items", "/orders/17/items"),
        ("/reset-password/abc", "/reset-password/[redacted]"),
        ("/token/abc/next", "/token/[redacted]/next"),
        ("/to%6Ben//a%2Fb/next", "/to%6Ben//[redacted]/next"),
        ("/a%2Ftoken%2Fabc%2Fdef/next", "/a%2Ftoken%2F[redacted]/next"),
        ("/token/password/abc", "/token/[redacted]/[redacted]"),
        ("/token/", "/token/"),
        ("/cart;jsessionid=abc;x=1/next", "/cart;jsessionid=[redacted]/next"),
        ("/sessions;v=1/abc", "/sessions;v=1/[redacted]"),
        ("/auth/login", "/auth/login"),
        ("/shop.SessionService/Create", "/shop.SessionService/Create"),
        ("/users/jane%40example.com", "/users/[redacted]"),
        ("/users/jane%2540example.com/x%20y", "/users/[redacted]/x%20y"),
        ("/030/1234567", "/030/1234567"),
        ("/a?token=x&b=1#access_token=y", "/a?token=[redacted]&b=1#access_token=[redacted]"),
        ("/a#access_token=y&state=1", "/a#access_token=[redacted]&state=1"),
        ("/a%3Ftoken=x", "/a%3Ftoken=[redacted]"),
        ("/%zz%", "/%zz%"),
        ("/token/./abc", "/token/./[redacted]"),
        ("/token/../abc", "/token/../[redacted]"),
        ("/token/%2e/abc", "/token/%2e/[redacted]"),
        ("/token/%20/abc", "/token/%20/[redacted]"),
        ("/token/-/abc", "/token/[redacted]/[redacted]"),
        ("/token/;abc/def", "/token/[redacted]/[redacted]"),
        ("/token/abc/def", "/token/[redacted]/def"),
        ("/token:abc", "/token:abc"),
        ("/token/\u{fc}/def", "/token/[redacted]/def"),
        ("/resetPassword/abc", "/resetPassword/[redacted]"),
        ("/verifyToken/abc", "/verifyToken/[redacted]"),
        ("/passwordReset/abc", "/passwordReset/[redacted]"),
        ("/tokenization/abc", "/tokenization/abc"),
        ("/TokenService/Verify", "/TokenService/Verify"),
        ("/a#/reset-password/abc", "/a#/reset-password/[redacted]"),
        ("/a?next=/token/abc?b=1", "/a?next=/token/[redacted]?b=1"),
        ("/token/a b&c\"d/e", "/token/[redacted]/e"),
    ];
    for (path, expected) in table {
        assert_eq!(redactor.path(path.as_bytes(), NO_LIMIT), expected, "{path}");
    }
    assert_eq!(redactor.path(b"/a\xff/b\xc3\xbc", NO_LIMIT), "/a%FF/b\u{fc}");
}

#[test]
fn queries() {
    let redactor = redactor("");
    let table = [
        ("", ""),
        ("page=2&sort=name", "page=2&sort=name"),
        ("token=abc", "token=[redacted]"),
        ("a=1&Access-Token=abc&b=2", "a=1&Access-Token=[redacted]&b=2"),
        ("to%6Ben=a%26b%3Dc&d=e", "to%6Ben=[redacted]&d=e"),
        ("%2574oken=abc", "%2574oken=[redacted]"),
        ("token=a&token=b&token=", "token=[redacted]&token=[redacted]&token="),
        ("a=1;token=abc;b=2&c=3", "a=1;token=[redacted]&c=3"),
        ("api+key=abc", "api+key=[redacted]"),
        ("api%20key=abc", "api%20key=[redacted]"),
        ("user[password]=abc", "user[password]=[redacted]"),
        ("token=a=b=c", "token=[redacted]"),
        ("token%3Dabc&x=1", "token%3D[redacted]&x=1"),
        ("u=https%3A%2F%2Fh%2F%3Ftoken%3Dabc%26x%3D1&lang=de", "u=https%3A%2F%2Fh%2F%3Ftoken%3D[redacted]&lang=de"),
        ("f={\"token\":\"a,b\",\"x\":1}&y=2", "f={\"token\":\"[redacted]&y=2"),
        ("f=%7B%22token%22%3A%22abc%22%7D&y=2", "f=%7B%22token%22%3A%22[redacted]&y=2"),
        ("q=jane%40example.com&tel=%2B4930123456", "q=[redacted]&tel=[redacted]"),
        ("card=4111+1111+1111+1111", "card=[redacted]"),
        ("token", "token"),
        ("author=jane", "author=jane"),
        ("&&=&==", "&&=&=="),
        ("filter(token)=abc", "filter(token)=[redacted]"),
        ("filter{token}=abc", "filter{token}=[redacted]"),
        ("a<token>=abc&b=1", "a<token>=[redacted]&b=1"),
        ("token,=abc", "token,=[redacted]"),
        ("token|=abc", "token|=[redacted]"),
        ("token;=abc", "token;=[redacted]"),
        ("token) ;=abc", "token) ;=[redacted]"),
        ("token%00=abc", "token%00=[redacted]"),
        ("token%0a=abc", "token%0a=[redacted]"),
        ("token%09=abc", "token%09=[redacted]"),
        ("token,page=2&tokens;q=1", "token,page=2&tokens;q=1"),
        ("next=/token/abc&b=1", "next=/token/[redacted]&b=1"),
        ("next=%2Freset-password%2Fabc%2Fdef&b=1", "next=%2Freset-password%2F[redacted]&b=1"),
        ("next=/token/abc/def?b=1#c", "next=/token/[redacted]/def?b=1#c"),
        ("a=token/abc&b=/token&c=/x", "a=token/abc&b=/token&c=/x"),
        ("a=/token?/b", "a=/token?/b"),
        ("a=/token%3F/b", "a=/token%3F/[redacted]"),
        ("next=/token%2Fabc%2Ftoken%2Fdef", "next=/token%2F[redacted]"),
    ];
    for (query, expected) in table {
        assert_eq!(redactor.query(query.as_bytes(), NO_LIMIT), expected, "{query}");
    }
    assert_eq!(redactor.query(b"a=\xff&token=\xff", NO_LIMIT), "a=%FF&token=[redacted]");
}

#[test]
fn attributes() {
    let redactor = redactor("");
    let table = [
        ("authorization", "anything", "[redacted]"),
        ("http.request.header.cookie", "a=b", "[redacted]"),
        ("x%2Dapi%2Dkey", "k", "[redacted]"),
        ("cookie", "", ""),
        ("x-customer", "17", "17"),
        ("referer", "https://h/cb?code=abc&x=1", "https://h/cb?code=[redacted]&x=1"),
        ("referer", "https://h/?a=1;token=b;c&d=1", "https://h/?a=1;token=[redacted]&d=1"),
        ("x-state", "a=1; session=abc; b=2", "a=1; session=[redacted]; b=2"),
        ("x-json", r#"{"password": "a\"b c", "n": 1}"#, r#"{"password": "[redacted]", "n": 1}"#),
        ("x-note", "password: a b, c", "password: [redacted]"),
        ("x-note", "Authorization=Bearer abc", "Authorization=[redacted]"),
        ("x-from", "Jane <jane@example.com>", "Jane <[redacted]>"),
        ("referer", "https://h/reset-password/abc", "https://h/reset-password/[redacted]"),
        ("referer", "https://h/token/./abc/x?y#z", "https://h/token/./[redacted]/x?y#z"),
        ("location", "/reset-password/abc?x=1", "/reset-password/[redacted]?x=1"),
        ("location", "app://reset-password/abc", "app://reset-password/[redacted]"),
        ("link", "</token/abc>; rel=next, </b>", "</token/[redacted]>; rel=next, </b>"),
        ("x-line", "GET /token/abc HTTP/1.1", "GET /token/[redacted] HTTP/1.1"),
        ("x-line", "a token/abc /token /abc", "a token/abc /token /abc"),
        ("x-note", "the token\nb: c", "the token\nb: c"),
        ("x-note", "token=\"a session='b c\" d' e", "token=\"[redacted]' e"),
        ("x-json", r#"{"token":"a\\","b":"c"}"#, r#"{"token":"[redacted]","b":"c"}"#),
        ("x-line", "/token/abc\t/x", "/token/[redacted]\t/x"),
        ("x-json", r#"{"to": "/token/abc", "n": 1}"#, r#"{"to": "/token/[redacted]", "n": 1}"#),
        ("x-json", "{\"token\":\r\n\"abc\", \"n\": 1}", "{\"token\":\r\n\"[redacted]\", \"n\": 1}"),
        ("x-json", r#"{"a": "token=b", "token": "c\"d", "n": 1}"#, r#"{"a": "token=[redacted]"#),
        ("x-note", "token\t: abc", "token\t: [redacted]"),
        ("x-note", "the token (new) : abc", "the token (new) : abc"),
        ("x-note", "token='it' token='is' b", "token='[redacted]' token='[redacted]' b"),
    ];
    for (name, value, expected) in table {
        assert_eq!(redactor.attribute(name, value.as_bytes(), NO_LIMIT).as_deref(), Some(expected), "{name}: {value}");
    }
    assert_eq!(redactor.attribute("x", b"a\xff\xfeb", NO_LIMIT).as_deref(), Some("a\u{fffd}\u{fffd}b"));
    assert_eq!(redactor.mode_of("Set-Cookie"), Some(Mode::Mask));
    assert_eq!(redactor.mode_of("accept"), None);
}

#[test]
fn free_text_is_redacted_by_patterns_alone() {
    let redactor = redactor("");
    assert_eq!(redactor.text(b"token=abc for jane@example.com", NO_LIMIT), "token=abc for [redacted]");
    assert_eq!(redactor.text(b"\xff jane@example.com", NO_LIMIT), "\u{fffd} [redacted]");
}

#[test]
fn what_is_not_secret_is_borrowed() {
    let redactor = redactor("");
    for text in ["/orders/1%20x", "/", "/a-b_c.d/123"] {
        assert!(matches!(redactor.path(text.as_bytes(), NO_LIMIT), Cow::Borrowed(_)));
        assert!(matches!(redactor.query(text.as_bytes(), 4), Cow::Borrowed(_)));
        assert!(matches!(redactor.attribute("x", text.as_bytes(), NO_LIMIT), Some(Cow::Borrowed(_))));
    }
}

#[test]
fn a_mode_says_what_stands_in_the_place() {
    let key = format!(r#""hash_key": "{KEY}""#);
    let redactor = redactor(&format!(
        r#"{key}, "rules": [
            {{"names": ["user_id"], "mode": "hash"}}, {{"names": ["token"], "mode": "partial"}},
            {{"names": ["password"], "mode": "drop"}}
        ], "patterns": {{"email": "hash", "card": "partial", "phone": "drop", "iban": "off"}}"#
    ));
    let table = [
        ("token=abcdefghijklmnop&a=1", "token=[redacted]mnop&a=1"),
        ("token=abcdefgh", "token=[redacted]gh"),
        ("token=abc", "token=[redacted]"),
        ("token=abcdefghijklmno%C3%BC", "token=[redacted]mno%C3%BC"),
        ("c=4111-1111-1111-1234", "c=4111-1111-1111-1234"),
        ("c=4111-1111-1111-1111", "c=[redacted]1111"),
        ("a=1&password=x&b=2", "a=1&b=2"),
        ("password=x&b=2", "b=2"),
        ("a=1&password=x", "a=1"),
        ("a=1&password=x&password=y", "a=1"),
        ("password=x", ""),
        ("a=1&tel=%2B4930123456&b=2", "a=1&b=2"),
        ("a=1&u=%3Fpassword%3Dx&b=2", "a=1&b=2"),
        ("x=DE89370400440532013000", "x=DE89370400440532013000"),
    ];
    for (query, expected) in table {
        assert_eq!(redactor.query(query.as_bytes(), NO_LIMIT), expected, "{query}");
    }
    assert_eq!(redactor.path(b"/a/password/x/b", NO_LIMIT), "/a/b");
    assert_eq!(redactor.path(b"/password/x", NO_LIMIT), "/");
    assert_eq!(redactor.path(b"/call/+4930123456/now", NO_LIMIT), "/call/now");
    assert_eq!(redactor.attribute("password", b"x", NO_LIMIT), None);
    assert_eq!(redactor.text(b"call +4930123456 now", NO_LIMIT), "call  now");
}

#[test]
fn what_is_dropped_leaves_no_mark() {
    let redactor = redactor(r#""mode": "drop""#);
    let table = [
        ("/password/x", "/"),
        ("/password/x/token/y", "/"),
        ("/password/x?b=1", "/?b=1"),
        ("/password/x/b", "/b"),
        ("/a/password/x/token/y/b", "/a/b"),
        ("/a;token=x/b", "/a;/b"),
        ("/a?password=x&b=1", "/a?b=1"),
        ("/a?b=1&password=x", "/a?b=1"),
        ("/a?b=1&password=x;c=jane@example.com&token=y&d=2", "/a?b=1&d=2"),
        ("/a?b=1&next=/token/x/y&d=2", "/a?b=1&d=2"),
        ("/a?x", "/a?x"),
    ];
    for (path, expected) in table {
        assert_eq!(redactor.path(path.as_bytes(), NO_LIMIT), expected, "{path}");
    }
    assert_eq!(redactor.query(b"a=1&password=x&", NO_LIMIT), "a=1");
    assert_eq!(redactor.query(b"a=1&b=2&", NO_LIMIT), "a=1&b=2&");
    assert_eq!(redactor.query(b"a=1%26password=x&b=2", NO_LIMIT), "b=2");
    assert_eq!(redactor.attribute("x", b"a=1; token=x; b=2", NO_LIMIT).as_deref(), Some("a=1;; b=2"));
    assert_eq!(redactor.attribute("x", b"/a/token/x/b", NO_LIMIT).as_deref(), Some("/a/b"));
}

#[test]
fn a_stricter_secret_within_another_prevails() {
    let redactor = redactor(&format!(
        r#""hash_key": "{KEY}", "rules": [
            {{"names": ["user_id"], "mode": "partial"}}, {{"names": ["account"], "mode": "hash"}},
            {{"names": ["nonce"], "mode": "drop"}}
        ]"#
    ));
    let table = [
        ("user_id=12345678", "user_id=[redacted]78"),
        ("user_id=1;token=s3cr3tabcdabcd", "user_id=[redacted]"),
        ("token=1;user_id=s3cr3tabcdabcd", "token=[redacted]"),
        ("user_id={\"token\":\"s3cr3tabcdabcd\"}&b=1", "user_id=[redacted]&b=1"),
        ("user_id=jane@example.com", "user_id=[redacted]"),
        ("account=jane@example.com", "account=[hash:e54ecd8285defd5c]"),
        ("account=1;token=2", "account=[redacted]"),
        ("a=1&account=1;nonce=2&b=3", "a=1&b=3"),
    ];
    for (query, expected) in table {
        assert_eq!(redactor.query(query.as_bytes(), NO_LIMIT), expected, "{query}");
    }
    assert_eq!(redactor.path(b"/user_id/1;token=s3cr3tabcdabcd/x", NO_LIMIT), "/user_id/[redacted]/x");
    let attributes = [
        ("user_id", "1; token=s3cr3tabcdabcd", Some("[redacted]")),
        ("user_id", "4111111111111111", Some("[redacted]")),
        ("user_id", "12345678", Some("[redacted]78")),
        ("user_id", "1;nonce=2", None),
        ("account", "jane@example.com", Some("[hash:e54ecd8285defd5c]")),
        ("x", "user_id=1;token=s3cr3tabcdabcd", Some("user_id=[redacted]")),
        ("x", r#"{"user_id": "1 token=s3cr3tabcdabcd"}"#, Some(r#"{"user_id": "[redacted]"#)),
    ];
    for (name, value, expected) in attributes {
        assert_eq!(redactor.attribute(name, value.as_bytes(), NO_LIMIT).as_deref(), expected, "{name}: {value}");
    }
    // What is hashed is the value, not the address that it happens to be.
    assert_ne!(redactor.query(b"account=Jane@example.com", NO_LIMIT), "account=[hash:e54ecd8285defd5c]");
    // Of patterns as well: the address has the number in it.
    let patterns = configured(r#""patterns": {"userinfo": "partial"}"#).unwrap();
    assert_eq!(patterns.text(b"http://4111111111111111:abcdefgh@h", NO_LIMIT), "http://[redacted]efgh@h");
    let patterns = configured(r#""patterns": {"userinfo": "partial"}"#).unwrap();
    assert_eq!(patterns.text(b"http://a:b@mail.example@h", NO_LIMIT), "http://[redacted]@h");
}

#[test]
fn the_end_of_what_is_looked_at_shows_no_half_of_a_secret() {
    let redactor = redactor(r#""rules": [{"names": ["user_id"], "mode": "partial"}]"#);
    // The value before it makes room for what stands at the end of what is looked at with a limit of 100 bytes.
    let secrets = [
        "4111 1111 1111 1111",
        "jane.doe.with.a.long.name@example.com",
        "DE89370400440532013000",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozj",
        "https://someone:s3cr3t&s3cr3t@example.com",
        "Bearer abcdefghijklmnopqrstuvwxyz1",
        "user_id=abcdefghijklmnopqrstuvwxyz",
        "token=abcdefghijklmnopqrstuvwxyz",
    ];
    for secret in secrets {
        for place in 940..1_330 {
            let text = format!("token={}&b=1&c= {secret} ", "x".repeat(place));
            let out = redactor.query(text.as_bytes(), 100);
            let shown = out.trim_end_matches('…').trim_end();
            let allowed = ["token=[redacted]", "token=[redacted]&b=1&c="];
            let whole = redactor.query(text.as_bytes(), NO_LIMIT);
            assert!(allowed.contains(&shown) || out == whole || whole.starts_with(shown), "{place}: {out}");
        }
    }
    let long = |unit: &str| unit.repeat(20_000);
    assert_eq!(redactor.query(long("a").as_bytes(), 9), "aaaaaaaaa");
    assert!(matches!(redactor.path(long("/a").as_bytes(), 9), Cow::Borrowed("/a/a/a/a/")));
    assert_eq!(redactor.query(long("eyJ").as_bytes(), 9), "…");
    assert_eq!(redactor.query(format!("a=://{}", long("a")).as_bytes(), 9), "a=://…");
    assert_eq!(redactor.query(format!("a=://u:pw;token={}", long("a")).as_bytes(), 99), "a=://…");
    assert_eq!(redactor.attribute("user_id", long("a").as_bytes(), 99).as_deref(), Some("[redacted]"));
    assert_eq!(redactor.query(format!("user_id={}", long("a")).as_bytes(), 99), "user_id=[redacted]…");
}

#[test]
fn a_hash_is_of_the_whole_value_however_long() {
    let redactor = redactor(&format!(r#""mode": "hash", "hash_key": "{KEY}""#));
    let value = "a".repeat(5_000);
    let hash = redactor.attribute("token", value.as_bytes(), 25);
    assert_eq!(hash, redactor.attribute("token", value.as_bytes(), NO_LIMIT));
    assert_ne!(hash, redactor.attribute("token", format!("{value}a").as_bytes(), 25));
}

#[test]
fn the_same_person_has_the_same_hash() {
    let hashing = |key: &str| redactor(&format!(r#""hash_key": "{key}", "mode": "hash""#));
    let redactor = hashing(KEY);
    let jane = redactor.text(b"jane@example.com", NO_LIMIT);
    assert_eq!(jane, "[hash:e54ecd8285defd5c]");
    assert_eq!(redactor.query(b"m=Jane%40Example.com", NO_LIMIT), format!("m={jane}"));
    assert_ne!(redactor.text(b"jane@example.org", NO_LIMIT), jane);
    assert_ne!(hashing("another key of 16 bytes").text(b"jane@example.com", NO_LIMIT), jane);
    let number = redactor.text(b"+49 30 1234567", NO_LIMIT);
    assert_eq!(redactor.text(b"+49-30-1234567", NO_LIMIT), number);
    let token = redactor.query(b"token=a%2Db", NO_LIMIT);
    assert_eq!(redactor.query(b"token=a-b", NO_LIMIT), token);
    assert_ne!(redactor.query(b"token=A-b", NO_LIMIT), token);
}

#[test]
fn the_limit_cuts_what_is_redacted_already() {
    let redactor = redactor("");
    assert_eq!(redactor.query(b"token=abcdefghijk", 10), "token=[red");
    assert_eq!(redactor.text(b"4111 1111 1111 1111", 12), "[redacted]");
    assert_eq!(redactor.text(b"4111 1111 1111 1111", 4), "[red");
    assert_eq!(redactor.text("üüü".as_bytes(), 3), "ü");
    assert_eq!(redactor.path(b"/a%20b", 3), "/a");
    assert_eq!(redactor.path(b"/a%20b", 4), "/a");
    assert_eq!(redactor.path(b"/a%20b", 5), "/a%20");
    assert_eq!(redactor.path(b"/\xff\xff", 5), "/%FF");
    for limit in 0..40 {
        assert!(redactor.query(b"a=1&token=abc&b=\xff\xff", limit).len() <= limit);
    }
}

#[test]
fn redaction_can_be_switched_off() {
    let redactor = redactor(r#""enabled": false, "client_address": "truncate""#);
    assert_eq!(redactor.query(b"token=abc&m=a@b.co&x=\xff", 22), "token=abc&m=a@b.co&x=");
    assert_eq!(redactor.attribute("cookie", b"a=b", NO_LIMIT).as_deref(), Some("a=b"));
    assert_eq!(redactor.text(b"a@b.co", NO_LIMIT), "a@b.co");
    assert_eq!(redactor.mode_of("cookie"), None);
    // An address is truncated because the policy says so, not because it looks like a secret.
    assert_eq!(redactor.client_address("203.0.113.7"), "203.0.113.0");
}

#[test]
fn names_are_added_and_taken_out() {
    let redactor = redactor(r#""names": ["Customer-No"], "keep": ["session", "page_token"]"#);
    let query = "customerNo=1&my_customer_no=2&session=3&session_id=4&page_token=5&token=6";
    let expected =
        "customerNo=[redacted]&my_customer_no=[redacted]&session=3&session_id=[redacted]&page_token=5&token=[redacted]";
    assert_eq!(redactor.query(query.as_bytes(), NO_LIMIT), expected);
}

#[test]
fn client_addresses_can_be_truncated() {
    assert_eq!(redactor("").client_address("203.0.113.7:80"), "203.0.113.7:80");
    let redactor = redactor(r#""client_address": "truncate""#);
    assert_eq!(redactor.client_address("203.0.113.7:80"), "203.0.113.0");
    assert_eq!(redactor.client_address("2001:db8:1:2::3"), "2001:db8:1::");
    assert_eq!(redactor.client_address("@internal"), "[redacted]");
}

#[test]
fn a_wrong_section_is_rejected_with_its_place() {
    let table = [
        (r#""mode": "hide""#, r#"redact.mode: found "hide", accepted: one of "mask", "partial", "hash", "drop""#),
        (
            r#""mode": "hash""#,
            "redact.hash_key: missing, accepted: a key of at least 16 bytes, since the mode \"hash\" is used",
        ),
        (
            r#""patterns": {"email": "hash"}"#,
            "redact.hash_key: missing, accepted: a key of at least 16 bytes, since the mode \"hash\" is used",
        ),
        (
            r#""patterns": {"emial": "off"}"#,
            "redact.patterns.emial: unknown field, accepted: email, card, jwt, bearer, phone, national_id, iban, userinfo; did you mean email?",
        ),
        (
            r#""names": ["-"]"#,
            r#"redact.names[0]: found "-", accepted: a name in ASCII with 1 to 64 letters and digits"#,
        ),
        (
            r#""rules": [{"names": ["a"]}]"#,
            r#"redact.rules[0].mode: missing, accepted: one of "mask", "partial", "hash", "drop""#,
        ),
    ];
    for (fields, expected) in table {
        assert_eq!(configured(fields).err(), Some(format!("access_log.{expected}")));
    }
    let error = configured(r#""mode": "hash", "hash_key": "sh0rt""#).err().unwrap();
    assert!(!error.contains("sh0rt"), "{error}");
}
