//! What holds for every document, not only for those that somebody thought of.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::testing::{Request, accepted, environment};
use crate::{Document, Errors, duration};

/// Reads everything that can be read, as the wrong type and as the right one.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<String>, Errors> {
    let document = Document::parse(bytes, &environment)?;
    document.service();
    for name in ["trace", "sampling", "breaker"] {
        let section = document.section(name);
        section.renamed("old", "b");
        section.boolean("enabled");
        section.required().integer("a", 1..=10);
        section.fraction("b");
        section.duration("c", Duration::ZERO..=Duration::MAX);
        section.choices("d", &[("a", 1), ("b", 2)]);
        section.strings_by_name("e");
        section.directions("direction");
        section.secret("key", 8);
        let rules = section.rules("rules", |rule| rule.required().fraction("rate"));
        rules.first(&Request::to("a.example.com", "/orders/1"));
        section.subsection("sub").items("list");
    }
    document.finish()
}

/// Text that is nearly JSON, and nearly a policy.
fn nearly_a_policy() -> impl Strategy<Value = Vec<u8>> {
    let tokens = select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "null",
        "true",
        "1",
        "-0.5",
        "1e999",
        "1e-999",
        "NaN",
        "\"",
        "\\u",
        "\\ud800",
        "\"a\"",
        "\"b\"",
        "\"c\":\"1.5s\"",
        "\"version\":\"1.0\"",
        "\"version\":\"1.9\"",
        "\"trace\":{",
        "\"sub\":{",
        "\"list\":[",
        "\"rules\":[{",
        "\"match\":{",
        "\"path\":{\"template\":\"/{id}\"}",
        "\"headers\":[{\"name\":\"x\"",
        "\"key\":",
        "\"env\":\"LONG_SECRET\"",
        "\"old\":1",
        "\"enabled\":",
        "\"direction\":[\"inbound\"]",
        "\u{feff}",
        "\u{202e}",
    ]);
    let piece = prop_oneof![
        20 => tokens.prop_map(|token| token.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
    ];
    (any::<bool>(), vec(piece, 0..60)).prop_map(|(with_start, pieces)| {
        let start: &[u8] = if with_start { b"{\"version\":\"1.0\",\"trace\":{" } else { b"" };
        [start, &pieces.concat()].concat()
    })
}

/// Any JSON value, at most six levels deep.
pub(crate) fn any_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let name =
        || prop_oneof![select(vec!["a", "b", "key", "rules", "match", "sub", "env"]).prop_map(str::to_owned), ".{0,5}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,80}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        let fields = vec((name(), inner.clone()), 0..8);
        prop_oneof![
            vec(inner, 0..8).prop_map(Value::from),
            fields.prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn whatever_is_wrong_is_told_in_lines_of_printable_text(bytes in nearly_a_policy()) {
        if let Err(errors) = read(&bytes) {
            let lines = errors.iter().map(ToString::to_string).collect::<Vec<_>>();
            prop_assert!((1..=20).contains(&lines.len()));
            for line in lines {
                prop_assert!(!line.chars().any(|character| character.is_control() || character == '\u{202e}'), "{line:?}");
            }
        }
    }

    #[test]
    fn what_is_json_is_read_and_what_is_not_is_refused(value in any_json(), cut in 0_usize..100) {
        let text = format!(r#"{{"version":"1.0","breaker":{value}}}"#);
        prop_assert!(Document::parse(text.as_bytes(), &environment).is_ok());
        prop_assert!(Document::parse(&text.as_bytes()[..text.len() - 1 - cut.min(text.len() - 2)], &environment).is_err());
        let _ = read(format!(r#"{{"version":"1.0","trace":{value}}}"#).as_bytes());
    }

    #[test]
    fn a_field_given_twice_is_found_wherever_it_is(value in any_json(), name in "[^\"\\\\\\x00-\\x1f]{0,8}") {
        let text = format!(r#"{{"version":"1.0","trace":[{value},{{"{name}":{value},"other":1,"{name}":{value}}}]}}"#);
        let errors = Document::parse(text.as_bytes(), &environment).map(|_| ()).unwrap_err().to_string();
        prop_assert!(name == "other" || errors.starts_with("trace[1]"), "{errors}");
        prop_assert!(errors.contains("given twice"), "{errors}");
    }

    #[test]
    fn no_text_makes_a_duration_panic(text in "[0-9.eEhmsu+ -]{0,30}|.{0,10}") {
        let _ = duration::parse(&text);
    }

    #[test]
    fn a_duration_is_exact(whole in 0_u64..10_000_000_000, micros in 0_u32..1_000_000) {
        let wanted = Duration::new(whole, micros * 1_000);
        prop_assert_eq!(duration::parse(&format!("{whole}.{micros:06}s")), Some(wanted));
        prop_assert_eq!(duration::parse(&duration::Written(wanted).to_string()), Some(wanted));
    }

    #[test]
    fn a_template_matches_its_own_paths_and_no_longer_or_shorter_ones(
        segments in vec((any::<bool>(), "[a-z]{1,4}"), 1..6),
        values in vec("[^/?#]{1,6}", 6),
        query in "(\\?.{0,5})?",
    ) {
        let pieces = segments.iter().zip(&values).enumerate();
        let (template, path): (String, String) = pieces
            .map(|(number, ((is_parameter, literal), value))| {
                if *is_parameter { (format!("/{{p{number}}}"), format!("/{value}")) } else { (format!("/{literal}"), format!("/{literal}")) }
            })
            .unzip();
        let fields = format!(r#""match": {{"path": {{"template": "{template}"}}}}"#);
        let matcher = accepted(&fields, |section| section.matcher("match"));
        let with_query = Request::to("a", &format!("{path}{query}"));
        prop_assert!(matcher.matches(&with_query));
        prop_assert_eq!(matcher.template(), Some(&*template));
        let last = path.rfind('/').unwrap_or(0);
        for other in [format!("{path}/x"), format!("{path}/"), format!("/x{path}"), path[..last].to_owned(), path[..=last].to_owned()] {
            prop_assert!(!matcher.matches(&Request::to("a", &other)), "{template} {other}");
        }
    }

    #[test]
    fn no_request_makes_a_rule_panic(authority in vec(any::<u8>(), 0..20), path in vec(any::<u8>(), 0..20), colons in "[\\[\\]:.a*0-9]{0,12}") {
        let rules = r#""rules": [
            {"match": {"host": "a.example.com:80"}}, {"match": {"host": "*.example.com"}}, {"match": {"host": "[::1]:80"}},
            {"match": {"path": {"template": "/{a}/b"}, "method": "PUT", "headers": [{"name": "x", "prefix": "y"}]}}
        ]"#;
        let rules = accepted(rules, |section| section.rules("rules", |_| ()));
        for authority in [authority, colons.into_bytes()] {
            rules.first(&Request { authority: Some(authority), path: Some(path.clone()), ..Request::default() });
        }
    }
}

const WITH_A_SECRET: &str = r#"{"version":"1.0","service":{"name":"a"},"trace":{"enabled":true,"a":5,"d":["a","b"],"key":"s3cr3t-hunter2",
  "rules":[{"rate":0.5,"match":{"host":"a"}}],"sub":{"list":[{},{}]}},"sampling":{"a":1,"key":{"env":"LONG_SECRET"}},"breaker":{"a":1}}"#;

#[test]
fn no_single_damage_to_a_document_brings_its_secret_to_light() {
    let bytes = WITH_A_SECRET.as_bytes();
    let is_safe = |bytes: &[u8], damage: &str| {
        let shown = match read(bytes) {
            Ok(warnings) => warnings.join("\n"),
            Err(errors) => errors.to_string(),
        };
        assert!(!["hunter2", "s3cr", "abcdef"].iter().any(|secret| shown.contains(secret)), "{damage}: {shown}");
    };
    for at in 0..bytes.len() {
        is_safe(&bytes[..at], &format!("cut at {at}"));
        let mut without = bytes.to_vec();
        without.remove(at);
        is_safe(&without, &format!("without the byte at {at}"));
        for other in b"\"{}[]:,\\0 \xff\x01zn" {
            let mut changed = bytes.to_vec();
            changed[at] = *other;
            is_safe(&changed, &format!("{:?} at {at}", char::from(*other)));
            changed = bytes.to_vec();
            changed.insert(at, *other);
            is_safe(&changed, &format!("{:?} put in at {at}", char::from(*other)));
        }
    }
}

#[test]
fn ten_times_the_document_takes_about_ten_times_as_long() {
    let fields = |count: usize| {
        let fields: Vec<_> = (0..count).map(|number| format!("\"{number:04x}\":0")).collect();
        format!(r#"{{"version":"1.0","trace":{{{}}}}}"#, fields.join(","))
    };
    let strings = |count: usize| format!(r#"{{"version":"1.0","trace":{{"d":[{}0]}}}}"#, "0,".repeat(count));
    let rules = |count: usize| format!(r#"{{"version":"1.0","trace":{{"rules":[{}0]}}}}"#, "{\"x\":[]},".repeat(count));
    let shapes: [(&dyn Fn(usize) -> String, usize); 3] = [(&fields, 650), (&strings, 3_200), (&rules, 99)];
    for (shape, count) in shapes {
        check_time(shape(count).as_bytes(), shape(count * 10).as_bytes());
    }
}

/// Reads a document that is wrong, and one ten times as long.
pub(crate) fn check_time(small: &[u8], large: &[u8]) {
    let least = |bytes: &[u8]| {
        let timed = || {
            let start = Instant::now();
            assert!(read(bytes).is_err());
            start.elapsed()
        };
        (0..10).map(|_| timed()).min()
    };
    let (small, large) = (least(small).unwrap_or_default(), least(large).unwrap_or_default());
    // Work that grows with the square would take a hundred times as long.
    assert!(large < small * 40, "{small:?}, and {large:?} for ten times as much");
}
