#[cfg(not(target_arch = "wasm32"))]
mod model;
#[cfg(not(target_arch = "wasm32"))]
mod properties;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::testing::{CLUSTER, KEY, Response, TERM, header, pair, range, read, token};
use super::*;
use crate::testing::{Bench, delivery, removal, trouble};
use crate::{DOCUMENT_LIMIT, Delivery};

const OPEN: &str = r#"{"etcd": {"cluster": "etcd", "key": "/sluicegate/policy"}}"#;
const GUARDED: &str = r#"{"etcd": {"cluster": "etcd", "key": "/sluicegate/policy", "user": "reader",
    "password": {"env": "ETCD_PASSWORD"}}}"#;

fn call(service: &'static str, method: &'static str, token: Option<&str>, message: Vec<u8>) -> Action {
    let metadata = token.map(|token| ("token", token.to_owned())).into_iter().collect();
    Action::Call { service, method, metadata, message, timeout: Duration::from_secs(5) }
}

fn reading() -> Action {
    call("etcdserverpb.KV", "Range", None, [b"\x0a\x12", KEY.as_bytes()].concat())
}

/// A stream is opened, and a watch from this revision on is asked for.
fn opening(from: u8) -> [Action; 2] {
    let open = Action::Open { service: "etcdserverpb.Watch", method: "Watch", metadata: Vec::new() };
    [open, Action::Send([b"\x0a\x16\x0a\x12", KEY.as_bytes(), b"\x18", &[from]].concat())]
}

fn progress() -> Vec<Action> {
    vec![Action::Send(b"\x1a\x00".to_vec())]
}

/// A watch that has just been created, after a read at revision 7 of a key that was written at revision 5.
fn watching(section: &str) -> Bench {
    let mut bench = Bench::new(section);
    bench.tick(0);
    bench.answer(&read(7, Some((5, b"five"))));
    assert_eq!(bench.message(&Response::at(7).created().bytes()), []);
    bench
}

#[test]
fn a_key_is_read_and_then_watched_from_there_on() {
    let mut bench = Bench::new(OPEN);
    assert_eq!(bench.tick(0), [reading()]);
    assert_eq!(bench.tick(50), []);
    let [open, create] = opening(7);
    assert_eq!(bench.answer(&read(7, Some((5, b"five")))), [delivery(5, b"five"), open, create]);
    assert_eq!(bench.message(&Response::at(7).created().bytes()), []);
    assert_eq!(bench.message(&Response::at(8).put(8, b"eight").bytes()), [delivery(8, b"eight")]);
    assert_eq!(bench.message(&Response::at(9).deleted(9).bytes()), [removal(9)]);
    assert_eq!(bench.message(&Response::at(12).put(12, b"").bytes()), [delivery(12, b"")]);
}

#[test]
fn a_watch_never_tells_what_is_older_than_the_read() {
    let mut bench = Bench::new(OPEN);
    bench.tick(0);
    // No etcd says so; if one did, the key is what counts.
    let [open, create] = opening(5);
    assert_eq!(bench.answer(&read(3, Some((5, b"five")))), [delivery(5, b"five"), open, create]);
    assert_eq!(bench.message(&Response::at(5).created().bytes()), []);
    assert_eq!(bench.message(&Response::at(5).put(4, b"four").bytes()), []);
    assert_eq!(bench.message(&Response::at(6).put(6, b"six").bytes()), [delivery(6, b"six")]);
}

#[test]
fn that_there_is_no_such_key_is_news_once() {
    let mut bench = Bench::new(OPEN);
    bench.tick(0);
    let [open, create] = opening(1);
    assert_eq!(bench.answer(&read(1, None)), [removal(1), open, create]);
    bench.event(Event::StreamClosed { status: 14, message: "" });
    assert_eq!(bench.wait(100), [reading()]);
    assert_eq!(bench.answer(&read(4, None)), opening(4));
}

#[test]
fn a_key_that_is_gone_with_its_whole_store_was_not_deleted() {
    let lost = || Event::StreamClosed { status: 14, message: "" };
    // The watch has told that the store came to revision 20; after a wipe it is at 19, and then goes on.
    let mut bench = watching(OPEN);
    assert_eq!(bench.message(&Response::at(20).bytes()), []);
    for revision in [19, 20, 99] {
        bench.event(lost());
        bench.wait(12_000);
        let actions = bench.answer(&read(revision, None));
        let [told @ .., _, _] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!(told.len(), usize::from(revision == 19), "told once: {actions:?}");
        assert!(told.is_empty() || trouble(&actions).contains("restored or wiped"), "{actions:?}");
        assert_eq!(bench.message(&Response::at(u8::try_from(revision).unwrap().into()).created().bytes()), []);
    }
    // It is there again, and then it is deleted.
    assert_eq!(bench.message(&Response::at(100).put(100, b"new").bytes()), [delivery(100, b"new")]);
    assert_eq!(bench.message(&Response::at(101).deleted(101).bytes()), [removal(101)]);
    // The same for who only knows of which revision the document in force is.
    for (revision, is_deletion) in [(4, false), (5, true), (9, true)] {
        let mut bench = Bench::after(OPEN, Some(5));
        bench.tick(0);
        let actions = bench.answer(&read(revision, None));
        assert_eq!(actions.contains(&removal(revision.unsigned_abs())), is_deletion, "{actions:?}");
    }
}

#[test]
fn within_a_watch_only_what_is_newer_counts() {
    let events = |response: Response| response.bytes();
    let table = [
        (events(Response::at(7).put(5, b"old").put(7, b"old")), vec![]),
        (events(Response::at(9).put(8, b"8").put(9, b"9")), vec![delivery(9, b"9")]),
        (events(Response::at(9).put(9, b"again")), vec![]),
        (events(Response::at(12).put(10, b"10").deleted(11)), vec![removal(11)]),
        (events(Response::at(12).deleted(12)), vec![]),
        (events(Response::at(13).put(13, b"13").put(9, b"9")), vec![delivery(13, b"13")]),
        // Another key, another watch, no key, an old event of a kind that is not known.
        (events(Response::at(14).event(0, &pair("/sluicegate/policy2", 14, b"x"))), vec![]),
        (events(Response::new(&header(CLUSTER, 14, TERM), 1).put(14, b"x")), vec![]),
        (events(Response::at(14).event(0, b"")), vec![]),
        (events(Response::at(14).event(7, &pair(KEY, 13, b"x"))), vec![]),
        // One of several fragments; a field that is not known.
        (events(Response::at(15).number(7, 1).put(15, b"15")), vec![delivery(15, b"15")]),
        (events(Response::at(16).number(99, 1).put(16, b"16")), vec![delivery(16, b"16")]),
        // For all watches of the stream. Its revision says nothing of what was sent.
        (events(Response::new(&header(CLUSTER, 99, TERM), -1)), vec![]),
        (events(Response::at(17).put(17, b"17")), vec![delivery(17, b"17")]),
        // Not all that speaks for etcd fills in the header.
        (events(Response::new(b"", 0).put(18, b"18")), vec![delivery(18, b"18")]),
        // A new leader, whom the watch outlives.
        (events(Response::new(&header(CLUSTER, 19, TERM + 1), 0).put(19, b"19")), vec![delivery(19, b"19")]),
    ];
    let mut bench = watching(OPEN);
    for (message, expected) in table {
        assert_eq!(bench.message(&message), expected, "{message:x?}");
    }
}

#[test]
fn a_version_that_was_written_again_is_a_new_version() {
    let mut bench = watching(OPEN);
    assert_eq!(bench.message(&Response::at(8).put(8, b"five").bytes()), [delivery(8, b"five")]);
    bench.event(Event::StreamClosed { status: 14, message: "" });
    bench.wait(100);
    assert_eq!(bench.answer(&read(20, Some((8, b"five")))), opening(20));
}

#[test]
fn of_a_value_that_is_too_long_only_the_beginning_is_delivered() {
    let mut bench = watching(OPEN);
    let long = vec![b'x'; 3 * DOCUMENT_LIMIT];
    assert_eq!(bench.message(&Response::at(8).put(8, &long).bytes()), [delivery(8, &long[..=DOCUMENT_LIMIT])]);
}

#[test]
fn whatever_is_wrong_with_a_watch_leads_to_a_fresh_read_and_the_read_wins() {
    let other_cluster = header(CLUSTER + 1, 9, TERM);
    let closed = Event::StreamClosed { status: 14, message: "no healthy upstream" };
    let ended_well = Event::StreamClosed { status: 0, message: "" };
    let messages = [
        (
            Response::at(9).canceled("etcdserver: permission denied").bytes(),
            "cancelled (etcdserver: permission denied)",
        ),
        (Response::new(&header(CLUSTER, 9, TERM), -1).canceled("").bytes(), "cancelled (no message)"),
        (Response::at(9).compacted(8).canceled("").bytes(), "compacted"),
        (Response::at(9).compacted(8).bytes(), "compacted"),
        (Response::new(&other_cluster, 0).put(9, b"x").bytes(), "another etcd"),
        (Response::at(6).bytes(), "not of the store as it was read"),
        (Response::at(6).put(9, b"x").bytes(), "not of the store as it was read"),
        (Response::at(9).created().bytes(), "not one of etcd's"),
        (Response::at(9).event(7, &pair(KEY, 9, b"x")).bytes(), "not one of etcd's"),
        (b"\x0a".to_vec(), "not one of etcd's"),
        (b"\x5a\x02\x12\x05".to_vec(), "not one of etcd's"),
    ];
    let mut events =
        vec![(closed, "status 14 (no healthy upstream)"), (ended_well, "status 0"), (Event::Refused, "no such")];
    events.extend(messages.iter().map(|(message, text)| (Event::StreamMessage(message.as_slice()), *text)));
    for (event, text) in events {
        let mut bench = watching(OPEN);
        let actions = bench.event(event);
        assert!(trouble(&actions).contains(text), "{actions:?}");
        let lets_go = matches!(event, Event::StreamMessage(_));
        assert_eq!(actions.contains(&Action::Close), lets_go, "{actions:?}");
        assert_eq!(actions.len(), 1 + usize::from(lets_go));
        // What comes late changes nothing.
        assert_eq!(bench.message(&Response::at(9).put(9, b"late").bytes()), []);
        assert_eq!(bench.tick(50), []);
        assert_eq!(bench.wait(100), [reading()], "{text}");
        let [open, create] = opening(3);
        assert_eq!(bench.answer(&read(3, Some((2, b"two")))), [delivery(2, b"two"), open, create]);
        assert_eq!(bench.message(&Response::at(3).created().bytes()), []);
        assert_eq!(bench.message(&Response::at(4).put(4, b"four").bytes()), [delivery(4, b"four")]);
    }
}

#[test]
fn a_watch_that_does_not_begin_where_the_read_ended_is_not_used() {
    let table = [
        (Response::at(6).created(), "not of the store as it was read"),
        (Response::new(&header(CLUSTER, 7, TERM + 1), 0).created(), "not of the store as it was read"),
        (Response::new(&header(CLUSTER + 1, 7, TERM), 0).created(), "another etcd"),
        (
            Response::new(&header(CLUSTER, 7, TERM), -1).created().canceled("etcdserver: permission denied"),
            "permission denied",
        ),
        (Response::at(8).put(8, b"x"), "not one of etcd's"),
    ];
    for (response, text) in table {
        let mut bench = Bench::new(OPEN);
        bench.tick(0);
        bench.answer(&read(7, None));
        let actions = bench.message(&response.bytes());
        assert!(trouble(&actions).contains(text) && actions[0] == Action::Close, "{actions:?}");
        assert_eq!(bench.wait(150), [reading()]);
    }
}

#[test]
fn an_answer_that_is_none_changes_nothing() {
    let of_another_key = range(&header(CLUSTER, 7, TERM), Some(&pair("other", 5, b"x")));
    let table: [&[u8]; 6] = [&of_another_key, &read(0, None), &read(-1, None), b"", b"\x12\x05", b"\xff"];
    for message in table {
        let mut bench = Bench::new(OPEN);
        bench.tick(0);
        let actions = bench.answer(message);
        assert_eq!(actions.len(), 1);
        assert!(trouble(&actions).contains("the answer to Range is not one of etcd's"), "{actions:?}");
        assert_eq!(bench.wait(150), [reading()]);
    }
}

#[test]
fn a_quiet_watch_is_asked_for_a_sign_of_life_and_given_up_without_one() {
    let mut bench = watching(OPEN);
    assert_eq!(bench.wait(9_950), []);
    assert_eq!(bench.tick(50), progress());
    assert_eq!(bench.wait(4_950), []);
    // The answer is for the whole stream.
    assert_eq!(bench.message(&Response::new(&header(CLUSTER, 7, TERM), -1).bytes()), []);
    assert_eq!(bench.wait(9_950), []);
    assert_eq!(bench.tick(50), progress());
    // Any message will do.
    assert_eq!(bench.message(&Response::at(8).put(8, b"8").bytes()), [delivery(8, b"8")]);
    assert_eq!(bench.wait(9_950), []);
    assert_eq!(bench.tick(50), progress());
    assert_eq!(bench.wait(4_950), []);
    let actions = bench.tick(50);
    assert!(actions[0] == Action::Close && trouble(&actions).contains("no sign of life"), "{actions:?}");
    assert_eq!(bench.wait(150), [reading()]);
}

#[test]
fn what_takes_too_long_is_given_up() {
    for (section, what) in [(OPEN, "Range"), (GUARDED, "Authenticate")] {
        let mut bench = Bench::new(section);
        bench.tick(0);
        assert_eq!(bench.wait(5_950), []);
        let actions = bench.tick(50);
        assert_eq!(actions[0], Action::CancelCall);
        assert!(trouble(&actions).contains(&format!("{what} was not answered in time")), "{actions:?}");
        assert_eq!(bench.answer(&read(7, None)), []);
        assert_eq!(bench.wait(150).len(), 1);
    }
    let mut bench = Bench::new(OPEN);
    bench.tick(0);
    bench.answer(&read(7, None));
    assert_eq!(bench.wait(4_950), []);
    let actions = bench.tick(50);
    assert!(actions[0] == Action::Close && trouble(&actions).contains("Watch was not answered"), "{actions:?}");
}

/// How long until the next call, in milliseconds, with the longest waits that chance can draw.
fn until_next_call(bench: &mut Bench) -> u64 {
    let before = bench.now;
    assert_eq!(bench.wait(60_000), [reading()]);
    (bench.now - before) / 1_000_000
}

#[test]
fn waits_grow_to_10_s_until_a_watch_has_lasted() {
    let down = Event::CallFailed { status: 14, message: "connection refused" };
    let mut bench = Bench::new(OPEN);
    bench.tick(0);
    let mut waits = Vec::new();
    for _ in 0..9 {
        bench.event(down);
        waits.push(until_next_call(&mut bench));
    }
    assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    // A watch that does not last does not count.
    let watch = |bench: &mut Bench, millis| {
        bench.answer(&read(7, None));
        bench.message(&Response::at(7).created().bytes());
        assert_eq!(bench.wait(millis), []);
        bench.event(Event::StreamClosed { status: 14, message: "" })
    };
    assert_eq!(watch(&mut bench, 4_950), []);
    assert_eq!(until_next_call(&mut bench), 10_000);
    let actions = watch(&mut bench, 5_000);
    assert!(trouble(&actions).contains("Watch ended with gRPC status 14"), "told again, for all was well: {actions:?}");
    assert_eq!(until_next_call(&mut bench), 100);
}

#[test]
fn each_kind_of_trouble_is_told_once() {
    let mut bench = Bench::new(OPEN);
    bench.tick(0);
    let mut told = Vec::new();
    for status in [14, 14, 7, 14, 99, 2, 7, 14] {
        told.extend(bench.event(Event::CallFailed { status, message: "x\ny" }));
        bench.wait(20_000);
    }
    let line = |status| {
        Action::Trouble(format!(
            "Range ended with gRPC status {status} (x y); the policy in force \
             stays, and the key is read anew after a while, 10 s at most"
        ))
    };
    assert_eq!(told, [line(14), line(7), line(99)]);
}

fn authenticating() -> Action {
    call("etcdserverpb.Auth", "Authenticate", None, b"\x0a\x06reader\x12\x0dcorrect horse".to_vec())
}

#[test]
fn a_user_authenticates_first_and_shows_the_token_from_then_on() {
    let mut bench = Bench::new(GUARDED);
    assert_eq!(bench.tick(0), [authenticating()]);
    let range = call("etcdserverpb.KV", "Range", Some("t0ken.1"), messages::range(KEY));
    assert_eq!(bench.answer(&token(b"t0ken.1")), std::slice::from_ref(&range));
    let actions = bench.answer(&read(7, None));
    let metadata = vec![("token", "t0ken.1".to_owned())];
    assert_eq!(actions[1], Action::Open { service: "etcdserverpb.Watch", method: "Watch", metadata });
    bench.message(&Response::at(7).created().bytes());
    // A connection that is lost costs no new token.
    bench.event(Event::StreamClosed { status: 14, message: "" });
    assert_eq!(bench.wait(150), [range]);
}

#[test]
fn a_token_that_is_no_longer_good_is_replaced() {
    let status = |status, message| (status, message, true);
    for (status, message, is_token) in [
        status(16, ""),
        status(16, "etcdserver: invalid auth token"),
        status(2, "rpc error: etcdserver: invalid auth token"),
        status(3, "etcdserver: revision of auth store is old"),
        status(3, "etcdserver: user name is empty"),
        (7, "etcdserver: permission denied", false),
        (14, "", false),
    ] {
        let mut bench = Bench::new(GUARDED);
        bench.tick(0);
        bench.answer(&token(b"t0ken.1"));
        bench.event(Event::CallFailed { status, message });
        let [Action::Call { method, .. }] = &bench.wait(150)[..] else { panic!() };
        assert_eq!(*method == "Authenticate", is_token, "{status} {message}");

        let mut bench = Bench::new(GUARDED);
        bench.tick(0);
        bench.answer(&token(b"t0ken.1"));
        bench.answer(&read(7, None));
        bench.message(&Response::new(&header(CLUSTER, 7, TERM), -1).created().canceled(message).bytes());
        let [Action::Call { method, .. }] = &bench.wait(150)[..] else { panic!() };
        assert_eq!(*method == "Authenticate", is_token && !message.is_empty(), "{message}");
    }
}

#[test]
fn an_etcd_that_wants_no_name_is_read_without_until_it_wants_one() {
    let mut bench = Bench::new(GUARDED);
    bench.tick(0);
    let off = Event::CallFailed { status: 9, message: "etcdserver: authentication is not enabled" };
    assert_eq!(bench.event(off), [reading()]);
    bench.event(Event::CallFailed { status: 14, message: "" });
    assert_eq!(bench.wait(150), [reading()]);
    bench.event(Event::CallFailed { status: 3, message: "etcdserver: user name is empty" });
    assert_eq!(bench.wait(250), [authenticating()]);
}

#[test]
fn a_token_that_cannot_be_sent_is_none() {
    let long = vec![b'x'; LONGEST_TOKEN + 1];
    for bad in [&b""[..], b"a b", b"a\nb", b"\xff", "ä".as_bytes(), &long] {
        let mut bench = Bench::new(GUARDED);
        bench.tick(0);
        assert!(trouble(&bench.answer(&token(bad))).contains("Authenticate is not one of etcd's"), "{bad:?}");
        assert_eq!(bench.wait(150), [authenticating()]);
    }
}

#[test]
fn nothing_that_is_logged_holds_a_secret() {
    let mut bench = Bench::new(GUARDED);
    let mut shown = format!("{:?}", bench.tick(0));
    for message in ["no user reader with correct horse", "Bearer t0ken.1"] {
        bench.answer(&token(b"t0ken.1"));
        let actions = bench.event(Event::CallFailed { status: message.len() as u32 % 16, message });
        shown += trouble(&actions);
        shown += &format!("{actions:?} {:?}", bench.wait(500));
        bench.event(Event::CallFailed { status: 16, message: "" });
        shown += &format!("{:?}", bench.wait(20_000));
    }
    bench.answer(&token(b"t0ken.1"));
    shown += &format!("{:?}", bench.answer(&read(7, Some((5, b"s3cret in a policy")))));
    for secret in ["correct horse", "t0ken", "s3cret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("a message with a secret in it"), "{shown}");
}

#[test]
fn at_its_end_a_session_lets_go_and_does_nothing_more() {
    let mut resting = Bench::new(OPEN);
    assert_eq!(resting.session.end(), []);
    let mut calling = Bench::new(OPEN);
    calling.tick(0);
    assert_eq!(calling.session.end(), [Action::CancelCall]);
    let mut opening = Bench::new(OPEN);
    opening.tick(0);
    opening.answer(&read(7, None));
    assert_eq!(opening.session.end(), [Action::Close]);
    let mut watching = watching(OPEN);
    assert_eq!(watching.session.end(), [Action::Close]);
    for mut bench in [resting, calling, opening, watching] {
        assert_eq!(bench.session.end(), []);
        assert_eq!(bench.wait(60_000), []);
        assert_eq!(bench.answer(&read(7, None)), []);
        assert_eq!(bench.message(&Response::at(8).put(8, b"8").bytes()), []);
        assert_eq!(bench.event(Event::Refused), []);
    }
}

#[test]
fn a_clock_that_is_set_back_or_forth_costs_no_watch() {
    let mut bench = watching(OPEN);
    bench.tick(5_000);
    bench.now -= 3_600_000_000_000;
    assert_eq!(bench.wait(4_950), []);
    assert_eq!(bench.tick(50), []);
    assert_eq!(bench.tick(50), progress());
    bench.message(&Response::at(7).bytes());
    // A leap looks like a long silence: the watch is asked, and has its time to answer.
    assert_eq!(bench.tick(86_400_000), progress());
    assert_eq!(bench.wait(4_950), []);
    assert_eq!(bench.message(&Response::at(7).bytes()), []);
    // What waits when the clock is set back waits no longer for it.
    bench.event(Event::StreamClosed { status: 14, message: "" });
    bench.now -= 3_600_000_000_000;
    bench.tick(0);
    assert_eq!(bench.wait(150), [reading()]);
}

#[test]
fn what_was_not_asked_for_changes_nothing() {
    let created = Response::at(7).created().bytes();
    let answer = read(99, Some((99, b"x")));
    let call_events = [Event::CallAnswered(&answer), Event::CallFailed { status: 14, message: "" }];
    let stream_events = [Event::StreamMessage(&created), Event::StreamClosed { status: 14, message: "" }];
    let fetched = Event::Fetched { status: Some(200), etag: None, index: None, is_encoded: false, body: b"x" };
    let mut bench = Bench::new(OPEN);
    for event in [call_events, stream_events, [fetched, Event::Refused]].concat() {
        assert_eq!(bench.event(event), []);
    }
    assert_eq!(bench.tick(0), [reading()]);
    for event in [stream_events, [fetched, fetched]].concat() {
        assert_eq!(bench.event(event), []);
    }
    assert_eq!(bench.answer(&read(7, None)).len(), 3);
    for event in [call_events, [fetched, fetched]].concat() {
        assert_eq!(bench.event(event), []);
    }
    assert_eq!(bench.message(&created), []);
    for event in [call_events, [fetched, fetched]].concat() {
        assert_eq!(bench.event(event), []);
    }
    assert_eq!(bench.message(&Response::at(8).put(8, b"8").bytes()), [delivery(8, b"8")]);
}

#[test]
fn a_delivery_shows_no_document() {
    let shown =
        |document: Option<&[u8]>| format!("{:?}", Delivery { revision: 7, document: document.map(<[u8]>::to_vec) });
    assert_eq!(shown(Some(b"s3cret")), "Delivery(6 bytes at 7)");
    assert_eq!(shown(None), "Delivery(none at 7)");
}
