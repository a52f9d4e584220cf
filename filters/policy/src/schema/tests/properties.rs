//! What holds for every document: whatever its reader takes is valid by the schema, and where the schema can say it all,
//! nothing else is.

use std::cell::Cell;
use std::ops::RangeInclusive;
use std::time::Duration;

use jsonschema::Validator;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::properties::any_json;
use crate::schema::of;
use crate::{Document, Section, duration};

const LETTERS: [(&str, u8); 3] = [("a", 1), ("b", 2), ("c", 3)];
const LIMITS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);

/// Fields of which a schema can say all that a reader says.
fn read_plain(section: &Section<'_>) {
    section.renamed("old", "integer");
    section.integer("integer", 1..=10);
    section.number("number", -2.5..=4.0);
    section.boolean("boolean");
    section.choice("choice", &LETTERS);
    section.choices("choices", &LETTERS);
    section.directions("directions");
    section.header_secret("key", 8);
    if section.boolean("true") == Some(false) {
        section.reject("true", "true");
    }
    if !section.is_false("limit") && section.fraction("limit").is_some_and(|limit| limit <= 0.0) {
        section.reject("limit", "a fraction above 0");
    }
    if section.is_object("either") {
        section.subsection("either").required().boolean("flag");
    } else {
        section.choice("either", &LETTERS);
    }
    let one = section.subsection("one");
    one.boolean("this");
    one.integer("that", 0..=u64::MAX);
    one.exactly_one_of(&["this", "that"]);
    for item in section.items_up_to("items", 2) {
        item.required().choice("letter", &LETTERS);
        item.boolean("boolean");
    }
}

/// And those of which it can not.
fn read_all(document: &Document<'_>) {
    document.service();
    let section = document.section("trace");
    read_plain(&section);
    section.duration("duration", LIMITS);
    section.string("string");
    section.string_where("word", |text| (2..9).contains(&text.len()), "a word");
    section.strings_where("words", |text| text != "c", "a word but c");
    section.strings_by_name("names");
    section.secret("secret", 4);
    section.rules("rules", |rule| rule.required().fraction("rate"));
    if section.fraction("least") > section.fraction("most") {
        section.reject("least", "not above `most`");
    }
    let neighbour = document.neighbour("sampling");
    neighbour.shared("force").subsection("force").boolean("enabled");
    neighbour.exactly_one_of(&["force", "other"]);
}

fn is_taken(document: &Value, read: impl FnOnce(&Document<'_>)) -> bool {
    let text = document.to_string();
    let environment = |_: &str| Some("0123456789".to_owned());
    let document = Document::parse(text.as_bytes(), &environment).unwrap();
    read(&document);
    document.finish().is_ok()
}

fn validator(read: impl FnMut(&Document<'_>)) -> Validator {
    jsonschema::draft202012::new(&of(read)).unwrap()
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3_i64..13).prop_map(Value::from),
        (-3_i64..13).prop_map(|number| json!(number as f64)),
        (-3.0..13.0).prop_map(|number: f64| json!(number)),
        select(vec![
            json!(-2.5),
            json!(0.0),
            json!(-0.0),
            json!(1.0),
            json!(4.0),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(1e300)
        ]),
    ]
}

fn letters() -> impl Strategy<Value = Value> {
    let names = || select(vec!["a", "b", "c", "d", "inbound", "gateway"]);
    prop_oneof![names().prop_map(Value::from), vec(names(), 0..3).prop_map(Value::from)]
}

/// What may be right for one field or another.
fn value() -> impl Strategy<Value = Value> {
    let boolean = || any::<bool>().prop_map(Value::from);
    let optional = |name: &'static str, value: BoxedStrategy<Value>| {
        weighted(0.6, value).prop_map(move |value| value.map(|value| (name.to_owned(), value)))
    };
    let fields = |fields: Vec<Option<(String, Value)>>| Value::Object(fields.into_iter().flatten().collect());
    let of_one = (optional("this", boolean().boxed()), optional("that", number().boxed()));
    let of_item = || (optional("letter", letters().boxed()), optional("boolean", boolean().boxed()));
    let durations = vec!["10ms", "9.9ms", "1m", "1.00m", "61s", "0.5s", "1.5", "1h30m", ".5s", "5S"];
    let texts = vec!["", "word", "01234567", " 01234567", "0123 4567\t8", "ü", "a\n", "much too long to be a word"];
    prop_oneof![
        2 => boolean(),
        3 => number(),
        3 => letters(),
        2 => select(texts).prop_map(Value::from),
        1 => select(durations).prop_map(Value::from),
        1 => "[A-Za-z0-9_ ]{0,4}".prop_map(|name| json!({"env": name})),
        1 => boolean().prop_map(|flag| json!({"flag": flag})),
        2 => of_one.prop_map(move |(this, that)| fields(vec![this, that])),
        2 => vec(of_item().prop_map(move |(letter, boolean)| fields(vec![letter, boolean])), 0..4).prop_map(Value::from),
        1 => number().prop_map(|rate| json!([{"rate": rate, "match": {"path": {"prefix": "/"}}}])),
        1 => Just(Value::Null),
        1 => any_json(),
    ]
}

/// Documents of a section with some of these fields, and now and then one that there is not.
fn documents(names: &[&'static str]) -> impl Strategy<Value = Value> + use<> {
    let names: Vec<_> = names.iter().copied().chain(["bolean"]).collect();
    (subsequence(names, 0..=3), vec(value(), 3), weighted(0.1, value()), weighted(0.1, value())).prop_map(
        |(names, values, trace, sampling)| {
            let fields: serde_json::Map<_, _> = names.into_iter().map(str::to_owned).zip(values).collect();
            let mut document = json!({"version": "1.0", "trace": trace.unwrap_or(Value::Object(fields))});
            if let Some(sampling) = sampling {
                document["sampling"] = match sampling {
                    Value::Bool(_) => sampling,
                    force => json!({"force": force, "more": 1}),
                };
            }
            document
        },
    )
}

const PLAIN: [&str; 14] = [
    "old",
    "integer",
    "number",
    "boolean",
    "choice",
    "choices",
    "directions",
    "key",
    "true",
    "limit",
    "either",
    "one",
    "items",
    "boolean",
];
const OTHERS: [&str; 9] = ["duration", "string", "word", "words", "names", "secret", "rules", "least", "most"];

/// Has many documents read and validated, and asks whether both verdicts may be. Enough of both kinds must have come by.
fn for_many(
    documents: impl Strategy<Value = Value>,
    read: impl Fn(&Document<'_>),
    may_be: impl Fn(bool, bool) -> bool,
) {
    let schema = validator(&read);
    let (taken, refused) = (Cell::new(0_u32), Cell::new(0_u32));
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_500) };
    let result = TestRunner::new(config).run(&documents, |document| {
        let is_taken = is_taken(&document, &read);
        let count = if is_taken { &taken } else { &refused };
        count.set(count.get() + 1);
        let errors: Vec<_> = schema.iter_errors(&document).map(|error| error.to_string()).collect();
        prop_assert!(may_be(is_taken, errors.is_empty()), "taken: {is_taken}, {document}, {errors:?}");
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(taken.get() > 250 && refused.get() > 250, "{} taken, {} refused", taken.get(), refused.get());
}

#[test]
fn whatever_the_reader_takes_is_valid() {
    let names: Vec<_> = PLAIN.into_iter().chain(OTHERS).collect();
    for_many(documents(&names), read_all, |is_taken, is_valid| !is_taken || is_valid);
}

#[test]
fn whatever_is_valid_is_taken_where_a_schema_can_say_it_all() {
    let read = |document: &Document<'_>| read_plain(&document.section("trace"));
    for_many(documents(&PLAIN), read, |is_taken, is_valid| is_taken == is_valid);
}

#[test]
fn documents_without_a_version_are_valid_if_they_are_empty() {
    let schema = validator(read_all);
    for document in [json!(null), json!({}), json!({"trace": {}}), json!({"trace": null}), json!([]), json!("")] {
        assert_eq!(schema.is_valid(&document), is_taken_or_unread(&document), "{document}");
    }
}

/// As [`is_taken`], where a document may be none at all.
fn is_taken_or_unread(document: &Value) -> bool {
    let text = document.to_string();
    Document::parse(text.as_bytes(), &|_| None).is_ok() && is_taken(document, read_all)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(5_000) })]

    #[test]
    fn the_pattern_of_durations_is_what_is_read(text in "[0-9]{0,2}(\\.[0-9]{0,3}(0{0,2}|[0-9]{6,10}))?(h|m|s|ms|us|ns|d|)( |\n|1)?") {
        thread_local! {
            static PATTERN: Validator =
                jsonschema::draft202012::new(&json!({"type": "string", "pattern": duration::PATTERN})).unwrap();
        }
        let is_valid = PATTERN.with(|pattern| pattern.is_valid(&json!(text)));
        prop_assert_eq!(is_valid, duration::parse(&text).is_some(), "{:?}", text);
    }
}
