//! What holds for every input.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::tests::{KEY, redactor};
use super::*;

const NO_LIMIT: usize = usize::MAX;

const LISTED: [&str; 16] = [
    "authorization",
    "cookie",
    "set-cookie",
    "token",
    "access_token",
    "accessToken",
    "user_password",
    "passwd",
    "secret",
    "client_secret",
    "api_key",
    "X-API-Key",
    "session",
    "JSESSIONID",
    "jwt",
    "X-Amz-Signature",
];

/// How often `text` is percent-encoded, and whether all of it or only what must be.
fn encoded(text: &str, times: usize, all: bool) -> String {
    let mut text = text.to_owned();
    for round in 0..times {
        let must = |byte: u8| !byte.is_ascii_alphanumeric() && !b"-._~".contains(&byte);
        let each = |byte: u8| match must(byte) || all && round == 0 {
            true => format!("%{byte:02X}"),
            false => char::from(byte).to_string(),
        };
        text = text.bytes().map(each).collect();
    }
    text
}

/// Text of a URL, with all that could lead the redaction astray.
fn odds() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => select(vec![
            "&", ";", "=", ":", "/", "?", "#", "%", "%25", "%3D", "%26", "%2F", "%253D", "+", " ", "\"", "'", "{", "}", "[",
            "]", ",", ".", "-", "_", "@", "a", "b1", "x=1", "a=b&", "name", "ü", "%C3%BC", "%FF", "4111 1111 1111 1111",
            "jane@example.com", "+49 30 1234567", "eyJhbGciOiJub25lIn0.eyJz.", "Bearer abcdefg1", "DE89370400440532013000",
            "://u:p@h/", "12345678Z", "\\", "\r", "\n", "[redacted]", "123-45-6789", "0",
        ]).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9]{1,12}",
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// Bytes and text of every kind.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let listed = select(LISTED.to_vec()).prop_map(|name| format!("{name}="));
    prop_oneof![
        vec(any::<u8>(), 0..120),
        vec(prop_oneof![odds(), listed], 0..10).prop_map(|parts| parts.concat().into_bytes()),
        "[0-9 +().-]{0,60}".prop_map(String::into_bytes),
    ]
}

/// A canary with bytes that delimit elsewhere, and what of it no reader may see.
fn canary() -> impl Strategy<Value = (String, String)> {
    ("[a-z]{8}", select(vec!["", "%", "=", "/", ";", ",", "é", "&", "\"", " "]), "[0-9a-zA-Z]{8}").prop_map(
        |(a, mark, b)| {
            let canary = format!("CANARY{a}{mark}CANARY{b}");
            (canary, "CANARY".to_owned())
        },
    )
}

fn shows(text: &str, canary: &str) -> bool {
    text.contains(canary) || String::from_utf8_lossy(View::new(text.as_bytes()).bytes()).contains(canary)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn a_canary_under_a_listed_name_is_nowhere(
        (canary, trace) in canary(),
        name in select(LISTED.to_vec()),
        encodings in (0..3_usize, any::<bool>(), 1..4_usize, any::<bool>()),
        before in odds(),
        after in odds(),
        mode in select(vec!["mask", "hash", "drop"]),
        mark in "[)}\\]>,|;/?#%\\x00-\\x20]{0,3}",
    ) {
        let redactor = redactor(&format!(r#""mode": "{mode}", "hash_key": "{KEY}""#));
        let (times_name, all_name, times, all) = encodings;
        let pair = format!("{}={}", encoded(name, times_name, all_name), encoded(&canary, times, all));

        let query = format!("{before}&{pair}&{after}");
        let out = redactor.query(query.as_bytes(), NO_LIMIT);
        prop_assert!(!shows(&out, &trace), "{query} -> {out}");

        let path = format!("/{}/{}?{query}", encoded(&before, 1, false), encoded(&after, 1, false));
        let out = redactor.path(path.as_bytes(), NO_LIMIT);
        prop_assert!(!shows(&out, &trace), "{path} -> {out}");

        let segments = format!("/{}/{}", encoded(name, times_name, all_name), encoded(&canary, times, all));
        let path = format!("/a{segments}/b;{pair}/c?next={segments}?d#{segments}");
        let out = redactor.path(path.as_bytes(), NO_LIMIT);
        prop_assert!(!shows(&out, &trace), "{path} -> {out}");

        let query = format!("{before}&next={segments}&u={}", encoded(&format!("https://h{segments}/x?{pair}"), 1, all));
        let out = redactor.query(query.as_bytes(), NO_LIMIT);
        prop_assert!(!shows(&out, &trace), "{query} -> {out}");

        for value in [format!("https://h{segments}?x=1"), format!("{segments}#x"), format!("{{\"to\": \"{segments}\"}}")] {
            let out = redactor.attribute("location", value.as_bytes(), NO_LIMIT).unwrap();
            prop_assert!(!shows(&out, &trace), "{value} -> {out}");
        }

        let pair = format!("{}{mark}={}", encoded(name, times_name, all_name), encoded(&canary, times, all));
        let out = redactor.query(pair.as_bytes(), NO_LIMIT);
        prop_assert!(!shows(&out, &trace), "{pair} -> {out}");

        let url = format!("https://h/p?a=1&{pair}&b=2");
        let out = redactor.attribute("referer", url.as_bytes(), NO_LIMIT).unwrap();
        prop_assert!(!shows(&out, &trace), "{url} -> {out}");

        let nested = format!("u={}&z=1", encoded(&url, 1, all));
        let out = redactor.query(nested.as_bytes(), NO_LIMIT);
        prop_assert!(!shows(&out, &trace), "{nested} -> {out}");

        let out = redactor.attribute(name, canary.as_bytes(), NO_LIMIT).unwrap_or_default();
        prop_assert!(!shows(&out, &trace), "{name}: {canary} -> {out}");
    }

    #[test]
    fn every_output_is_within_its_limit_and_nothing_panics(input in anything(), limit in prop_oneof![0..80_usize, Just(NO_LIMIT)]) {
        for fields in ["", r#""mode": "partial""#, r#""mode": "drop""#] {
            let redactor = redactor(fields);
            prop_assert!(redactor.path(&input, limit).len() <= limit);
            prop_assert!(redactor.query(&input, limit).len() <= limit);
            prop_assert!(redactor.text(&input, limit).len() <= limit);
            for name in ["referer", "token"] {
                prop_assert!(redactor.attribute(name, &input, limit).is_none_or(|text| text.len() <= limit));
            }
        }
    }

    #[test]
    fn a_cut_output_is_the_beginning_of_the_whole(input in anything(), limit in 0..80_usize) {
        let redactor = redactor("");
        // `…` stands for what was not even looked at.
        let begins = |whole: &str, cut: &str| whole.starts_with(cut.strip_suffix('…').unwrap_or(cut));
        prop_assert!(begins(&redactor.query(&input, NO_LIMIT), &redactor.query(&input, limit)));
        prop_assert!(begins(&redactor.path(&input, NO_LIMIT), &redactor.path(&input, limit)));
        prop_assert!(begins(&redactor.text(&input, NO_LIMIT), &redactor.text(&input, limit)));
    }

    #[test]
    fn a_masked_query_is_masked_already(name in select(LISTED.to_vec()), words in vec("[a-z0-9%@.+-]{0,20}", 0..5)) {
        let redactor = redactor("");
        let query = format!("a={}&{name}=x&b=jane@example.com", words.join("&c="));
        let once = redactor.query(query.as_bytes(), NO_LIMIT);
        let twice = redactor.query(once.as_bytes(), NO_LIMIT);
        prop_assert_eq!(&*once, &*twice);
    }

    #[test]
    fn what_is_not_secret_keeps_its_bytes(words in vec("[a-h]{1,5}", 1..8), mark in select(vec!["/", "&", "%20", "=", ";", "%2F"])) {
        let redactor = redactor(r#""keep": ["key"]"#);
        let text = words.join(mark);
        prop_assert_eq!(redactor.path(text.as_bytes(), NO_LIMIT), text.as_str());
        prop_assert_eq!(redactor.query(text.as_bytes(), NO_LIMIT), text.as_str());
    }
}

/// The quickest of several runs: what else the machine does only makes a run longer.
fn time(redactor: &Redactor, input: &[u8]) -> Duration {
    let run = || {
        let start = Instant::now();
        std::hint::black_box(redactor.path(input, NO_LIMIT));
        std::hint::black_box(redactor.query(input, NO_LIMIT));
        std::hint::black_box(redactor.attribute("referer", input, NO_LIMIT));
        std::hint::black_box(redactor.text(input, NO_LIMIT));
        start.elapsed()
    };
    (0..3).map(|_| run()).min().unwrap_or_default()
}

#[test]
fn no_text_takes_more_than_linear_time() {
    let redactors = [redactor(""), redactor(r#""mode": "drop""#)];
    let pieces = [
        "%25",
        "%",
        "%2525",
        "a",
        "eyJ",
        "eyJ.",
        "eyJhbGciOiJub25lIn0.",
        "@",
        "a@",
        "a.@b.",
        "a@b.c.",
        "1",
        "1 ",
        "12-",
        "+1 ",
        "(0",
        "0 ",
        "4111 ",
        "://",
        "://a@",
        "a_",
        "token_",
        "token+",
        "t-",
        "pass",
        "token=",
        "token=&",
        "token:",
        "=",
        ":",
        "&",
        ";",
        "/",
        "/token",
        "/token/a",
        "; ",
        "\"",
        "\\\"",
        "bearer ",
        "Bearer a",
        "DE89 ",
        "AB12",
        "x=\"",
        "%3D",
        "%2F",
        "\u{fc}",
        "%26token%3D",
        "jane@example.com ",
        "?a=b@c.de&",
        "A1b",
        "aA",
        "jane@example.com&",
        "(1)",
        "1+",
        "01/",
        "12 345 ",
        "://:@",
        "token=;",
        "token=\"",
        "%2Ftoken",
        "/.",
        "token)",
    ];
    for redactor in &redactors {
        for piece in pieces {
            let small = piece.repeat(2_000 / piece.len());
            let large = piece.repeat(20_000 / piece.len());
            // Something else may have kept the machine busy meanwhile; what is not linear is so every time.
            let is_linear = || {
                let (short, long) = (time(redactor, small.as_bytes()), time(redactor, large.as_bytes()));
                long < short * 40 + Duration::from_millis(2)
            };
            assert!((0..5).any(|_| is_linear()), "{piece:?}");
        }
    }
}

#[test]
fn no_text_takes_many_times_as_long_as_prose() {
    let redactor = redactor("");
    let repeated = |piece: &str| piece.repeat(20_000 / piece.len());
    let prose =
        time(&redactor, repeated("the quick brown fox jumps over the lazy dog/and goes home-again ").as_bytes());
    for piece in
        ["(1)", "1+", "0 ", "1 ", "12 ", "123 123 ", "1.2-3 ", "+1 ", "a@", "eyJ.", "://:@", "%25%25", "token="]
    {
        let is_quick = || time(&redactor, repeated(piece).as_bytes()) < prose * 9;
        assert!((0..5).any(|_| is_quick()), "{piece:?} takes over nine times as long as prose, which takes {prose:?}");
    }
}

#[test]
fn what_is_far_beyond_the_limit_costs_nothing() {
    let redactor = redactor("");
    let taken = |length: usize| {
        let input = "a@ ".repeat(length / 3);
        let run = || {
            let start = Instant::now();
            std::hint::black_box(redactor.query(input.as_bytes(), 1_000));
            start.elapsed()
        };
        (0..5).map(|_| run()).min().unwrap_or_default()
    };
    assert!(taken(200_000) < taken(4_000) * 3);
}
