//! The bytes of the layout. Who changes them raises [`VERSION`]: or else two releases misread each other, and one lets pass
//! what the other's breakers keep back.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::breakers;

const BYTES: &[u8] = b"\x01\x08\x07\x06\x05\x04\x03\x02\x81\
    \x18\x17\x16\x15\x14\x13\x12\x91\x04\x03\x02\x81\x0d\x0c\x0b\x8a\x00\x03\x00abc\
    \x28\x27\x26\x25\x24\x23\x22\xa1\x05\x03\x02\x81\x10\x0e\x00\x00\x01\x00\x00";

fn shard() -> Shard<'static> {
    let closed = Entry {
        key: Key::from_hash(0x9112_1314_1516_1718),
        used: 0x8102_0304,
        keep: 0x8a0b_0c0d,
        is_closed: true,
        record: b"abc"[..].into(),
    };
    let open = Entry {
        key: Key::from_hash(0xa122_2324_2526_2728),
        used: 0x8102_0305,
        keep: FORGOTTEN,
        is_closed: false,
        record: b""[..].into(),
    };
    Shard { epochs: 0x8102_0304_0506_0708, entries: vec![closed, open] }
}

#[test]
fn the_layout_is_that_of_its_version() {
    assert_eq!(shard().bytes(), BYTES);
    assert_eq!(Shard::read(BYTES), Ok(shard()));
}

#[test]
fn where_a_breaker_is_kept_is_part_of_the_layout() {
    let key = Key::of(7, b"cluster_0");
    assert_eq!((key.hash(), key.shard()), (0x22a5_33c7_f924_072c, 51));
    assert_eq!(breakers::name(63), "sluicegate.breaker.1.63");
}

#[test]
fn without_its_record_an_open_breaker_is_open_since_it_was_used_and_a_closed_one_is_unknown() {
    let shard = shard();
    let [closed, open] = [0, 1].map(|at| shard.machine(shard.entries[at].key));
    let since = 0x8102_0305 * NANOS_PER_SECOND;
    let phase = Phase::Open { since, reopened: 0, draw: 0 };
    assert_eq!((closed, open), (None, Some(Machine { epoch: shard.epochs, phase })));
    let unsettled: Vec<_> = shard.unsettled().collect();
    assert_eq!(unsettled, [(shard.entries[1].key, State::Open)]);
}
