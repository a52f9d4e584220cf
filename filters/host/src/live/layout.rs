//! What of the layouts of shared data is a live policy's own; lease and board have theirs tested where they are. Who changes
//! anything here raises [`board::VERSION`]: or else two releases misread each other.

use super::*;
use crate::double::Double;
use sluicegate_policy::Document;

const DOCUMENT: &str = r#"{
    "version": "1.0",
    "policy_source": {"http": {"cluster": "c", "path": "/policy", "interval": "1s"}}}"#;

/// What is left of the time in the beat, 0x18fae27693b40102 ns.
const BEAT: &[u8] = b"\x02\x01\xb4\x93\x76\xe2\xfa\x18";

fn settings() -> Settings {
    Settings::read(&Document::parse(DOCUMENT.as_bytes(), &|_| None).unwrap()).unwrap()
}

/// A proxy at the time of the beat.
fn proxy() -> &'static Double {
    let proxy = Double::new();
    let start = proxy.now().unwrap();
    proxy.advance(Duration::from_nanos(0x18fa_e276_93b4_0102 - start));
    proxy
}

#[test]
fn a_beat_is_the_time() {
    let (one, other) = (proxy(), proxy());
    let keys = Keys::of("named", &settings());
    Live::begin("named", settings(), one).unwrap().tick(&Report::new("named", one));
    assert_eq!(shared::read(one, &keys.beat), Ok(Some(BEAT.to_vec())));
    shared::ensure(other, &keys.beat, BEAT).unwrap();
    other.advance(Duration::from_secs(29));
    assert!(Stale::find(&keys, other).unwrap().is_none());
    other.advance(Duration::from_secs(1));
    assert!(Stale::find(&keys, other).unwrap().is_some());
}

#[test]
fn every_key_says_of_which_layout_it_is() {
    let settings = settings();
    let Keys { lease, number, sheet, told, kept, board: _, beat } = Keys::of("named", &settings);
    let (session, place) = (settings.identity(), settings.place());
    let of_session = [("lease", lease), ("number", number), ("sheet", sheet), ("told.named", told)];
    let of_place = [("kept.named", kept), ("beat", beat)];
    let all = of_session.map(|(what, key)| (what, key, session)).into_iter();
    for (what, key, of) in all.chain(of_place.map(|(what, key)| (what, key, place))) {
        assert_eq!(key, format!("sluicegate.policy.{what}.1.{of:016x}"));
    }
}
