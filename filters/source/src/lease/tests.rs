#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const START: u64 = 1_800_000_000_000_000_000;
const MILLI: u64 = 1_000_000;

/// The value after it was taken by `me` at `now`.
fn taken(value: &[u8], me: u64, now: u64) -> Vec<u8> {
    let Claim::Take { next, .. } = claim(value, me, now) else { panic!("not to be had") };
    next
}

#[test]
fn the_first_to_come_has_it_and_keeps_it_by_its_heartbeat() {
    let mut value = taken(b"", 7, START);
    assert_eq!(value.len(), 21);
    for beat in 0..10 {
        let now = START + beat * 500 * MILLI;
        for later in [0, 50, 499] {
            assert_eq!(claim(&value, 7, now + later * MILLI), Claim::Held { term: 1 });
            assert_eq!(claim(&value, 8, now + later * MILLI), Claim::Others);
        }
        let Claim::Renew { term: 1, next } = claim(&value, 7, now + 500 * MILLI) else { panic!("{beat}") };
        value = next;
    }
}

#[test]
fn it_is_lost_two_seconds_after_the_last_heartbeat() {
    let value = taken(b"", 7, START);
    assert_eq!(claim(&value, 8, START + 1_999 * MILLI), Claim::Others);
    let Claim::Take { term: 2, next } = claim(&value, 8, START + 2_000 * MILLI) else { panic!() };
    assert_eq!(claim(&next, 7, START + 2_000 * MILLI), Claim::Others);
    assert_eq!(claim(&next, 8, START + 2_000 * MILLI), Claim::Held { term: 2 });
    // Unless nobody came: it goes on in its term.
    assert!(matches!(claim(&value, 7, START + 60_000 * MILLI), Claim::Renew { term: 1, .. }));
}

#[test]
fn who_releases_it_leaves_it_to_the_next_at_once() {
    let value = taken(b"", 7, START);
    assert_eq!(release(&value, 8), None);
    assert_eq!(release(b"", 7), None);
    let released = release(&value, 7).unwrap();
    assert_eq!(release(&released, 7), None);
    for me in [7, 8, 0] {
        assert!(matches!(claim(&released, me, START), Claim::Take { term: 2, .. }), "{me}");
    }
}

#[test]
fn a_clock_that_is_set_locks_nobody_out() {
    let hour = 3_600_000 * MILLI;
    let value = taken(b"", 7, START);
    for now in [START - hour, START - 2_000 * MILLI, 0, START + hour, u64::MAX] {
        assert!(matches!(claim(&value, 8, now), Claim::Take { .. }), "{now}");
        assert!(matches!(claim(&value, 7, now), Claim::Renew { .. }), "{now}");
    }
    // Clocks of workers are not quite the same.
    assert_eq!(claim(&value, 8, START - 100 * MILLI), Claim::Others);
    assert_eq!(claim(&value, 7, START - 100 * MILLI), Claim::Held { term: 1 });
}

#[test]
fn a_value_of_another_version_is_left_alone_and_one_that_nobody_wrote_is_nobodys() {
    let whole = taken(b"", 7, START);
    for version in [0, 2, 255] {
        let value = [&[version], &whole[1..]].concat();
        assert_eq!((claim(&value, 7, START), release(&value, 7)), (Claim::Foreign, None));
    }
    for length in 1..whole.len() {
        assert!(matches!(claim(&whole[..length], 7, START), Claim::Take { .. }), "{length}");
        assert_eq!(release(&whole[..length], 7), None);
    }
    assert!(matches!(claim(&[&whole[..], &[0]].concat(), 7, START), Claim::Take { .. }));
}

/// Who changes these bytes raises [`VERSION`]: or else two releases misread each other.
#[test]
fn the_layout_is_that_of_its_version() {
    const HELD: &[u8] = b"\x01\x04\x03\x02\x81\x15\x14\x13\x12\x11\x10\x09\x88\x28\x27\x26\x25\x24\x23\x22\xa1";
    let holder = Holder { number: 0x8809_1011_1213_1415, beat: 0xa122_2324_2526_2728 };
    let held = Lease { term: 0x8102_0304, holder: Some(holder) };
    for (lease, bytes) in [(held, HELD), (Lease { holder: None, ..held }, &HELD[..5])] {
        assert_eq!(write(lease), bytes);
        assert_eq!(read(bytes), Some(lease));
    }
}

#[test]
fn terms_begin_anew_after_the_last() {
    let value = [&[VERSION], &u32::MAX.to_le_bytes()[..]].concat();
    assert!(matches!(claim(&value, 7, START), Claim::Take { term: 0, .. }));
}
