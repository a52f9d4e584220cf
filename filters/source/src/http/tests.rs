#[cfg(not(target_arch = "wasm32"))]
mod properties;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::DOCUMENT_LIMIT;
use crate::Settings;
use crate::testing::{Bench, delivery, read, removal, trouble};

const POLLED: &str = r#"{"http": {"cluster": "web", "path": "/policy?x", "interval": "10s"}}"#;
const BLOCKED: &str =
    r#"{"http": {"cluster": "consul", "path": "/v1/kv/p?raw", "interval": "20s", "blocking": "60s"}}"#;

fn fetch(path: &str, etag: Option<&str>, seconds: f64) -> Vec<Action> {
    let headers = etag.map(|etag| ("if-none-match".to_owned(), etag.to_owned())).into_iter().collect();
    vec![Action::Fetch { path: path.to_owned(), headers, timeout: Duration::from_secs_f64(seconds) }]
}

/// The GET of a poll.
fn poll(etag: Option<&str>) -> Vec<Action> {
    fetch("/policy?x", etag, 5.0)
}

/// The GET that asks Consul what holds now.
fn plain() -> Vec<Action> {
    fetch("/v1/kv/p?raw", None, 5.0)
}

/// The GET that waits for what comes after this index. A sixteenth more than 60 s is what Consul may take.
fn blocked(index: u64) -> Vec<Action> {
    fetch(&format!("/v1/kv/p?raw&index={index}&wait=60s"), None, 68.75)
}

fn fetched(bench: &mut Bench, status: u16, etag: Option<&str>, index: Option<&str>, body: &[u8]) -> Vec<Action> {
    let (etag, index) = (etag.map(str::as_bytes), index.map(str::as_bytes));
    bench.event(Event::Fetched { status: Some(status), etag, index, is_encoded: false, body })
}

const NO_ANSWER: Event<'_> = Event::Fetched { status: None, etag: None, index: None, is_encoded: false, body: b"" };

/// How long until the next GET, in milliseconds.
fn until_next(bench: &mut Bench) -> u64 {
    let before = bench.now;
    assert!(matches!(bench.wait(4_000_000)[..], [Action::Fetch { .. }]));
    (bench.now - before) / 1_000_000
}

#[test]
fn a_document_is_asked_for_at_once_and_then_again_and_again() {
    let mut bench = Bench::new(POLLED);
    assert_eq!(bench.tick(0), poll(None));
    assert_eq!(bench.tick(50), []);
    assert_eq!(fetched(&mut bench, 200, None, None, b"one"), [delivery(0, b"one")]);
    // The longest that ten seconds become by chance.
    assert_eq!(bench.wait(10_950), []);
    assert_eq!(bench.tick(50), poll(None));
    assert_eq!(fetched(&mut bench, 200, None, None, b"one"), []);
    bench.wait(11_000);
    assert_eq!(fetched(&mut bench, 200, None, Some("77"), b"two"), [delivery(77, b"two")]);
    bench.wait(11_000);
    assert_eq!(fetched(&mut bench, 404, None, None, b"no such page"), [removal(0)]);
    bench.wait(11_000);
    assert_eq!(fetched(&mut bench, 404, None, None, b""), []);
    bench.wait(11_000);
    assert_eq!(fetched(&mut bench, 200, None, None, b"two"), [delivery(0, b"two")]);
}

#[test]
fn polls_are_a_tenth_of_the_interval_apart_at_most() {
    let Ok((Some(Settings::Http(settings)), _)) = read(POLLED) else { panic!() };
    let mut poll = Poll::new(settings);
    let waits = (0..1_000).map(|entropy| {
        poll.rest(Moment { now: 0, entropy });
        let Stage::Resting { until } = poll.stage else { panic!() };
        until / 100_000_000
    });
    let waits: Vec<_> = waits.collect();
    assert_eq!((waits.iter().min(), waits.iter().max()), (Some(&90), Some(&109)));
}

#[test]
fn what_is_known_by_its_etag_is_not_sent_again() {
    let mut bench = Bench::new(POLLED);
    bench.tick(0);
    assert_eq!(fetched(&mut bench, 200, Some("\"v1\""), None, b"one"), [delivery(0, b"one")]);
    assert_eq!(bench.wait(11_000), poll(Some("\"v1\"")));
    assert_eq!(fetched(&mut bench, 304, Some("\"v1\""), None, b""), []);
    assert_eq!(bench.wait(11_000), poll(Some("\"v1\"")));
    assert_eq!(fetched(&mut bench, 200, Some("W/\"v2\""), None, b"two"), [delivery(0, b"two")]);
    assert_eq!(bench.wait(11_000), poll(Some("W/\"v2\"")));
    assert_eq!(fetched(&mut bench, 404, None, None, b""), [removal(0)]);
    assert_eq!(bench.wait(11_000), poll(None));
    // That nothing has changed makes no sense then.
    assert!(trouble(&fetched(&mut bench, 304, None, None, b"")).contains("status 304"));
}

#[test]
fn each_get_bears_the_headers_of_the_policy() {
    let token = r#"{"name": "X-Consul-Token", "value": {"env": "ETCD_PASSWORD"}}"#;
    let mut bench = Bench::new(&format!(r#"{{"http": {{"cluster": "c", "path": "/", "headers": [{token}]}}}}"#));
    let sent = |actions: Vec<Action>| {
        let [Action::Fetch { headers, .. }] = &actions[..] else { panic!("{actions:?}") };
        headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
    };
    assert_eq!(sent(bench.tick(0)), ["x-consul-token: correct horse"]);
    fetched(&mut bench, 200, Some("\"v1\""), None, b"one");
    assert_eq!(sent(bench.wait(11_000)), ["x-consul-token: correct horse", "if-none-match: \"v1\""]);
}

#[test]
fn what_is_compressed_is_not_taken_for_the_document() {
    let mut bench = Bench::new(POLLED);
    bench.tick(0);
    let gzip = Event::Fetched { status: Some(200), etag: None, index: None, is_encoded: true, body: b"\x1f\x8b" };
    assert!(trouble(&bench.event(gzip)).contains("content-encoding"));
    bench.wait(11_000);
    assert_eq!(fetched(&mut bench, 200, None, None, b"one"), [delivery(0, b"one")]);
}

#[test]
fn a_server_that_fails_is_soon_asked_no_more_often_than_told() {
    let mut bench = Bench::new(POLLED);
    bench.tick(0);
    // The longest that each wait may be; the shortest of the first four is none.
    for longest in [1_000, 2_000, 4_000, 8_000, 11_000, 11_000] {
        fetched(&mut bench, 503, None, None, b"");
        let waited = until_next(&mut bench);
        assert!((longest - 100..=longest).contains(&waited), "{waited} of {longest}");
    }
    let mut poll = Poll::new(match read(POLLED) {
        Ok((Some(Settings::Http(http)), _)) => http,
        _ => panic!(),
    });
    (0..4).for_each(|_| _ = poll.fail(&Trouble::NoAnswer, Moment { now: 0, entropy: 0 }));
    for entropy in 0..1_000 {
        _ = poll.fail(&Trouble::NoAnswer, Moment { now: 0, entropy });
        let Stage::Resting { until } = poll.stage else { panic!() };
        assert!((9_000_000_000..=11_000_000_000).contains(&until), "{until}");
    }
}

#[test]
fn an_etag_that_cannot_stand_in_a_header_is_none() {
    let long = "x".repeat(LONGEST_ETAG + 1);
    for etag in ["", "a b", "a\r\nx: y", "ä", &long] {
        let mut bench = Bench::new(POLLED);
        bench.tick(0);
        fetched(&mut bench, 200, Some(etag), None, b"one");
        assert_eq!(bench.wait(11_000), poll(None), "{etag:?}");
    }
}

#[test]
fn after_a_failure_nothing_is_assumed_and_waits_grow_up_to_the_interval() {
    let mut bench = Bench::new(POLLED);
    bench.tick(0);
    fetched(&mut bench, 200, Some("\"v1\""), None, b"one");
    let mut waits = Vec::new();
    let mut told = Vec::new();
    bench.wait(11_000);
    for status in [500, 503, 302, 401, 200 + 1, 100, 999, 500] {
        told.extend(fetched(&mut bench, status, Some("\"v9\""), Some("9"), b"error page"));
        let before = bench.now;
        assert_eq!(bench.wait(60_000), poll(None), "without the ETag");
        waits.push((bench.now - before) / 1_000_000_000);
    }
    assert_eq!(waits, [1, 2, 4, 8, 11, 11, 11, 11], "the interval and a tenth is the longest");
    let lines: Vec<_> = told.iter().map(|action| trouble(std::slice::from_ref(action))).collect();
    assert_eq!(lines.len(), 6, "once for each class: {lines:?}");
    assert_eq!(
        lines[0],
        "the answer has status 500; 200, 304 or 404 is what can be used; the policy \
         in force stays, and the document is asked for again after a while, 10s at most"
    );
    // All is well, and nothing is new.
    assert_eq!(fetched(&mut bench, 200, None, None, b"one"), []);
    bench.wait(11_000);
    assert!(trouble(&bench.event(NO_ANSWER)).contains("no answer came"));
    assert_eq!(until_next(&mut bench), 1_000);
    assert!(trouble(&bench.event(Event::Refused)).contains("no such cluster"));
}

#[test]
fn an_answer_that_never_comes_is_given_up() {
    for (section, seconds) in [(POLLED, 6.0), (BLOCKED, 6.0)] {
        let mut bench = Bench::new(section);
        bench.tick(0);
        let millis = (seconds * 1_000.0) as u64;
        assert_eq!(bench.wait(millis - 50), []);
        assert!(trouble(&bench.tick(50)).contains("no answer came"));
        assert_eq!(fetched(&mut bench, 200, None, None, b"late"), []);
    }
    let mut bench = Bench::new(BLOCKED);
    bench.tick(0);
    fetched(&mut bench, 200, None, Some("7"), b"one");
    assert_eq!(bench.tick(50), blocked(7));
    assert_eq!(bench.wait(69_700), []);
    assert!(trouble(&bench.tick(50)).contains("no answer came"));
}

#[test]
fn consul_is_asked_what_holds_and_then_for_what_comes_after_it() {
    let mut bench = Bench::new(BLOCKED);
    assert_eq!(bench.tick(0), plain());
    assert_eq!(fetched(&mut bench, 404, None, Some("5"), b""), [removal(5)]);
    assert_eq!(bench.tick(50), blocked(5));
    // It comes back without news when it has waited long enough.
    assert_eq!(bench.wait(60_000), []);
    assert_eq!(fetched(&mut bench, 404, None, Some("5"), b""), []);
    assert_eq!(bench.tick(50), blocked(5));
    assert_eq!(fetched(&mut bench, 200, None, Some("9"), b"nine"), [delivery(9, b"nine")]);
    assert_eq!(bench.tick(50), blocked(9));
    // Written again as it was: no news.
    assert_eq!(fetched(&mut bench, 200, None, Some("10"), b"nine"), []);
    assert_eq!(bench.tick(50), blocked(10));
    // A Consul that was restored: what holds now, at once.
    assert_eq!(fetched(&mut bench, 200, None, Some("3"), b"three"), [delivery(3, b"three")]);
    assert_eq!(bench.tick(50), plain());
    assert_eq!(fetched(&mut bench, 200, None, Some("3"), b"three"), []);
    assert_eq!(bench.tick(50), blocked(3));
    // After a failure too.
    bench.event(NO_ANSWER);
    assert_eq!(bench.wait(150), plain());
    // An index of 0 would not block.
    assert_eq!(fetched(&mut bench, 200, None, Some("0"), b"zero"), [delivery(0, b"zero")]);
    assert_eq!(bench.tick(50), blocked(1));
}

#[test]
fn a_server_that_never_blocks_is_asked_once_a_second() {
    let mut bench = Bench::new(BLOCKED);
    bench.tick(0);
    let mut gets = 0;
    for _ in 0..60 * 20 {
        fetched(&mut bench, 200, None, Some("7"), b"one");
        gets += bench.tick(50).len();
    }
    assert!((60..=70).contains(&gets), "{gets}");
}

#[test]
fn a_server_that_knows_no_blocking_is_polled() {
    let mut bench = Bench::new(BLOCKED);
    bench.tick(0);
    let actions = fetched(&mut bench, 200, Some("\"v1\""), None, b"one");
    assert_eq!(actions[0], delivery(0, b"one"));
    assert_eq!(
        trouble(&actions),
        "blocking is set, and the answer has no X-Consul-Index; the document is \
         asked for every 20s instead"
    );
    assert_eq!(bench.wait(21_950), []);
    assert_eq!(bench.tick(50), fetch("/v1/kv/p?raw", Some("\"v1\""), 5.0));
    assert_eq!(fetched(&mut bench, 304, None, Some("x"), b""), [], "told once");
    // When it learns it, it is asked to block, with its ETag if it has one.
    bench.wait(22_000);
    assert_eq!(fetched(&mut bench, 200, Some("\"v1\""), Some("4"), b"one"), []);
    assert_eq!(bench.tick(50), fetch("/v1/kv/p?raw&index=4&wait=60s", Some("\"v1\""), 68.75));
    assert_eq!(fetched(&mut bench, 304, None, Some("6"), b""), []);
    assert_eq!(bench.tick(50), fetch("/v1/kv/p?raw&index=6&wait=60s", Some("\"v1\""), 68.75));
    assert_eq!(fetched(&mut bench, 200, None, None, b"two").len(), 2, "told again, for all was well");
    assert_eq!(bench.wait(22_000), plain(), "what it said before is forgotten");
}

#[test]
fn a_blocking_client_comes_back_soon_and_then_less_and_less() {
    let mut bench = Bench::new(BLOCKED);
    bench.tick(0);
    let mut waits = Vec::new();
    for _ in 0..9 {
        bench.event(NO_ANSWER);
        waits.push(until_next(&mut bench));
    }
    assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
}

#[test]
fn of_a_body_that_is_too_long_only_the_beginning_is_delivered() {
    let mut bench = Bench::new(POLLED);
    bench.tick(0);
    let long = vec![b'x'; 3 * DOCUMENT_LIMIT];
    assert_eq!(fetched(&mut bench, 200, None, None, &long), [delivery(0, &long[..=DOCUMENT_LIMIT])]);
}

#[test]
fn what_was_not_asked_for_changes_nothing_and_the_end_is_the_end() {
    let mut bench = Bench::new(POLLED);
    assert_eq!(fetched(&mut bench, 200, None, None, b"one"), []);
    assert_eq!(bench.event(Event::Refused), []);
    bench.tick(0);
    for event in [
        Event::CallAnswered(b"x"),
        Event::CallFailed { status: 14, message: "" },
        Event::StreamMessage(b"x"),
        Event::StreamClosed { status: 14, message: "" },
    ] {
        assert_eq!(bench.event(event), []);
    }
    assert_eq!(bench.session.end(), []);
    assert_eq!(fetched(&mut bench, 200, None, None, b"one"), []);
    assert_eq!(bench.wait(60_000), []);
}
