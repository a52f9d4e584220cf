#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::super::clock::Clock;
use super::*;

/// A second, requests, errors.
type Counted = (Second, u32, u32);

/// A key, the length of its window, and its counts.
type Known = (u64, u16, Vec<Counted>);

const SINCE: Nanos = 900_000_000_000;

fn at(second: u64) -> Moment {
    Clock::new(0, second * 1_000_000_000).at(second * 1_000_000_000)
}

fn key(hash: u64) -> Key {
    Key { hash, named: true }
}

fn counts(of: &[Counted]) -> Slots {
    let mut slots = Slots::default();
    for &(second, requests, errors) in of {
        slots.add(Slot { second, requests, errors });
    }
    slots
}

fn merge(value: &[u8], deltas: &[(Key, u16, &[Counted])], second: u64) -> Merged {
    let counted: Vec<_> = deltas.iter().map(|(key, window, of)| (*key, *window, counts(of))).collect();
    let deltas: Vec<_> =
        counted.iter().map(|(key, window, counts)| Delta { key: *key, window: *window, counts }).collect();
    Shard::read(value).unwrap().merge(&deltas, &at(second))
}

/// What stands in a value, by key, the slots oldest first.
fn content(value: &[u8]) -> Vec<Known> {
    let entry = |entry: Entry<'_>| {
        let slots = entry.slots().map(|slot| (slot.second, slot.requests, slot.errors)).collect();
        (entry.key, entry.window, slots)
    };
    let mut content: Vec<_> = Shard::read(value).unwrap().entries().map(entry).collect();
    content.sort();
    content
}

/// Who changes these bytes raises [`VERSION`]: or else two releases misread each other.
#[test]
fn the_layout_is_that_of_its_version() {
    const BYTES: &[u8] = b"\x01\x08\x07\x06\x05\x04\x03\x02\x81\
        \x18\x17\x16\x15\x14\x13\x12\x91\x58\x02\x04\x03\x02\x81\x0d\x00\xac\x02\x01\x00\xac\x02\xff\xff\xff\xff\x0f\x80\x01\
        \x19\x17\x16\x15\x14\x13\x12\x91\x05\x00\x01\x03\x02\x81\x03\x00\x00\x00\x03";
    const FIRST: Second = 0x8102_0304;
    let entries = [
        (0x9112_1314_1516_1718, 600, FIRST, vec![(FIRST - 300, 1, 0), (FIRST, u32::MAX, 128)]),
        (0x9112_1314_1516_1719, 5, FIRST - 3, vec![(FIRST - 3, 0, 3)]),
    ];
    let mut bytes = empty(0x8102_0304_0506_0708);
    for (key, window, newest, of) in &entries {
        let mut slots = Vec::new();
        write_slots(&counts(of), *newest, &mut slots);
        Entry { key: *key, window: *window, newest: *newest, slots: &slots }.write(&mut bytes);
    }
    assert_eq!(bytes, BYTES);
    let shard = Shard::read(BYTES).unwrap();
    assert_eq!(shard.since, 0x8102_0304_0506_0708);
    let slots =
        |entry: &Entry<'_>| entry.slots().map(|slot| (slot.second, slot.requests, slot.errors)).collect::<Vec<_>>();
    let read: Vec<_> = shard.entries().map(|entry| (entry.key, entry.window, entry.newest, slots(&entry))).collect();
    assert_eq!(read, entries);
}

/// So it is with these, which say under which keys that lies.
#[test]
fn where_a_count_is_kept_is_part_of_the_layout() {
    let (all, of_name) = (Key::of(7), Key::named(7, b"cluster_0"));
    let places = [all, of_name].map(|key| (key.hash, key.shard()));
    assert_eq!(places, [(0x4bd7_a317_074c_5b62, 46), (0x22a5_33c7_f924_072c, 51)]);
    assert_eq!(super::super::name(63), "sluicegate.sampling.load.1.63");
}

#[test]
fn the_format_is_what_is_documented() {
    let merged = merge(&empty(SINCE), &[(key(0x0102), 60, &[(1_000, 1, 0), (1_200, 300, 2)])], 1_200);
    assert_eq!(content(&merged.bytes), [(0x0102, 60, vec![(1_200, 300, 2)])]);
    let merged = merge(&empty(SINCE), &[(key(0x0102), 600, &[(1_000, 1, 0), (1_200, 300, 2)])], 1_200);
    let mut bytes = vec![1];
    bytes.extend(SINCE.to_le_bytes());
    bytes.extend([2, 1, 0, 0, 0, 0, 0, 0]);
    bytes.extend([600_u16.to_le_bytes()].concat());
    bytes.extend(1_200_u32.to_le_bytes());
    bytes.extend(9_u16.to_le_bytes());
    bytes.extend([0xc8, 0x01, 1, 0, 0xc8, 0x01, 0xac, 0x02, 2]);
    assert_eq!(merged.bytes, bytes);
}

#[test]
fn counts_are_added_by_the_second_and_other_keys_stay() {
    let first = merge(&empty(SINCE), &[(key(1), 10, &[(995, 1, 1), (999, 2, 0)]), (key(2), 10, &[(999, 7, 7)])], 999);
    let second = merge(&first.bytes, &[(key(1), 10, &[(999, 4, 1), (1_000, 8, 0)])], 1_000);
    assert_eq!(
        content(&second.bytes),
        [(1, 10, vec![(995, 1, 1), (999, 6, 1), (1_000, 8, 0)]), (2, 10, vec![(999, 7, 7)])]
    );
    assert_eq!(Shard::read(&second.bytes).unwrap().since, SINCE);
}

#[test]
fn what_is_too_old_or_in_the_future_goes() {
    let value = merge(&empty(SINCE), &[(key(1), 10, &[(990, 1, 0), (999, 2, 0)]), (key(2), 5, &[(999, 7, 7)])], 999);
    let all =
        |second| content(&merge(&value.bytes, &[], second).bytes).iter().map(|(key, ..)| *key).collect::<Vec<_>>();
    assert_eq!(all(1_003), [1, 2]);
    assert_eq!(all(1_004), [1]);
    assert_eq!(all(1_009), [0; 0]);
    // Another thread may be a moment ahead, but not more.
    assert_eq!(all(998), [1, 2]);
    assert_eq!(all(997), [0; 0]);
    let touched = merge(&value.bytes, &[(key(1), 10, &[(1_000, 4, 0)])], 1_000);
    assert_eq!(content(&touched.bytes)[0], (1, 10, vec![(999, 2, 0), (1_000, 4, 0)]));
    let back = merge(&value.bytes, &[(key(1), 10, &[(995, 4, 0)])], 995);
    assert_eq!(content(&back.bytes)[0], (1, 10, vec![(990, 1, 0), (995, 4, 0)]));
}

#[test]
fn the_length_of_a_window_is_that_of_the_last_policy_with_requests() {
    let value = merge(&empty(SINCE), &[(key(1), 30, &[(980, 1, 0), (999, 2, 0)])], 999).bytes;
    let longer = merge(&value, &[(key(1), 600, &[(1_000, 1, 0)])], 1_000).bytes;
    assert_eq!(content(&longer), [(1, 600, vec![(980, 1, 0), (999, 2, 0), (1_000, 1, 0)])]);
    // The policy before, when its last requests fail, takes nothing away.
    let failed = merge(&longer, &[(key(1), 5, &[(999, 0, 1)])], 1_001).bytes;
    assert_eq!(content(&failed), [(1, 600, vec![(980, 1, 0), (999, 2, 1), (1_000, 1, 0)])]);
    let shorter = merge(&longer, &[(key(1), 5, &[(1_001, 1, 0)])], 1_001).bytes;
    assert_eq!(content(&shorter), [(1, 5, vec![(999, 2, 0), (1_000, 1, 0), (1_001, 1, 0)])]);
}

#[test]
fn entries_are_bounded_and_names_leave_some_for_what_has_none() {
    let one: &[Counted] = &[(1_000, 1, 0)];
    let names: Vec<_> = (0..200).map(|hash| (key(hash), 10, one)).collect();
    let full = merge(&empty(SINCE), &names, 1_000);
    assert_eq!(content(&full.bytes).len(), ENTRIES.named);
    assert_eq!(full.refused, (ENTRIES.named as u64..200).map(key).collect::<Vec<_>>());
    // Who has room keeps it, and is counted on.
    let again = merge(&full.bytes, &[(key(199), 10, one), (key(0), 10, one)], 1_001);
    assert_eq!(again.refused, [key(199)]);
    assert_eq!(content(&again.bytes)[0], (0, 10, vec![(1_000, 2, 0)]));
    let unnamed: Vec<_> = (1_000..1_200).map(|hash| (Key { hash, named: false }, 10, one)).collect();
    let fuller = merge(&full.bytes, &unnamed, 1_001);
    assert_eq!(content(&fuller.bytes).len(), ENTRIES.all);
    // When they are gone there is room again.
    assert_eq!(merge(&fuller.bytes, &[(key(199), 10, &[(1_010, 1, 0)])], 1_010).refused, []);
}

#[test]
fn bytes_are_bounded_whatever_is_counted() {
    let busy: Vec<_> = (400..=1_000).map(|second| (second, u32::MAX, u32::MAX)).collect();
    let names: Vec<_> = (0..80).map(|hash| (key(hash), 600, &busy[..])).collect();
    let full = merge(&empty(SINCE), &names, 1_000);
    assert!(full.bytes.len() <= BYTES.named, "{}", full.bytes.len());
    assert_eq!(content(&full.bytes).len() + full.refused.len(), 80);
    assert!(!full.refused.is_empty());
    let unnamed: Vec<_> = (1_000..1_016).map(|hash| (Key { hash, named: false }, 600, &busy[..])).collect();
    let fuller = merge(&full.bytes, &unnamed, 1_000);
    assert!(fuller.bytes.len() > BYTES.named && fuller.bytes.len() <= BYTES.all, "{}", fuller.bytes.len());
}

#[test]
fn more_than_the_bounds_that_somebody_else_wrote_is_cut() {
    for length in [3, 1_500] {
        let mut bytes = empty(SINCE);
        for key in 0..200 {
            Entry { key, window: 10, newest: 1_000, slots: &[0; 1_500][..length] }.write(&mut bytes);
        }
        let cut = merge(&bytes, &[(Key { hash: 7, named: false }, 10, &[(1_000, 1, 0)])], 1_000);
        let entries = content(&cut.bytes).len();
        assert!(cut.bytes.len() <= BYTES.all && entries <= ENTRIES.all, "{length}: {entries}");
    }
}

#[test]
fn a_number_is_one_of_32_bits() {
    let read = |mut bytes: &[u8]| read_number(&mut bytes);
    assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Some(u32::MAX));
    assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None);
    assert_eq!(read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), None);
    assert_eq!(read(&[0x80]), None);
}

#[test]
fn what_cannot_be_read_is_told_apart() {
    let value = merge(&empty(SINCE), &[(key(1), 60, &[(1_000, 300, 2)])], 1_000).bytes;
    assert_eq!(Shard::read(&[]), Err(Unreadable::Malformed));
    for version in [0, 2, 255] {
        assert_eq!(Shard::read(&[version]), Err(Unreadable::Version));
    }
    let header = empty(SINCE).len();
    for length in (1..value.len()).filter(|length| *length != header) {
        assert_eq!(Shard::read(&value[..length]), Err(Unreadable::Malformed), "{length}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_is_read_back_as_the_same(number: u32, shift in 0..32_u32) {
            let number = number >> shift;
            let mut bytes = Vec::new();
            write_number(number, &mut bytes);
            let mut rest = &bytes[..];
            prop_assert_eq!(read_number(&mut rest), Some(number));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_can_be_read_or_not_and_merged_into(
            mut bytes in vec(any::<u8>(), 0..300),
            known: bool,
            second in any::<u32>(),
        ) {
            if let (true, Some(version)) = (known, bytes.first_mut()) {
                *version = VERSION;
            }
            check(&bytes, second);
        }

        #[test]
        fn a_value_with_wrong_bytes_in_it_can_be_read_or_not_and_merged_into(
            keys in vec((0..5_u64, vec((0..2_000_u32, any::<u32>(), any::<u32>()), 1..40)), 1..8),
            wrong in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        ) {
            let mut value = empty(SINCE);
            for (hash, slots) in keys {
                value = merge(&value, &[(key(hash), 600, &slots)], 2_000).bytes;
            }
            for (index, byte) in wrong {
                let length = value.len();
                value[index.index(length)] = byte;
            }
            check(&value, 2_000);
        }
    }

    /// Reads all there is, and merges into it what comes out as written.
    fn check(bytes: &[u8], second: Second) {
        let Ok(shard) = Shard::read(bytes) else { return };
        let _: Vec<_> = shard.entries().flat_map(|entry| entry.slots()).collect();
        let delta = counts(&[(second, 1, 0)]);
        let deltas = [Delta { key: Key { hash: u64::MAX, named: false }, window: 60, counts: &delta }];
        let merged = shard.merge(&deltas, &at(second.into()));
        assert!(merged.bytes.len() <= BYTES.all);
        let read = Shard::read(&merged.bytes).unwrap();
        assert!(read.entry(deltas[0].key).is_some());
        assert_eq!(read.since, shard.since);
    }
}
