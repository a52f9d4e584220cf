//! Which shards have something in them that all workers ought to know at once: one value in shared data.
//!
//! ```text
//! version      1 byte      1
//! numbers      4 bytes each, one for each shard, little-endian: another one than before says that there is news
//! ```
//!
//! Who opens a breaker writes its shard first and this then; who reads another number here than the last time reads the
//! shard. So it takes one read per tick to know of everything.

use crate::key::SHARDS;
use sluicegate_host::shared;

const VERSION: u8 = 1;

/// The name of the key that holds the value.
pub(crate) fn name() -> String {
    shared::key("breaker.news", VERSION, "all")
}

/// The number of each shard.
pub(crate) type Numbers = [u32; SHARDS];

/// The value of which nothing is known yet. Whatever somebody saw before, `any` ought not to be it.
pub(crate) fn empty(any: u32) -> Vec<u8> {
    bytes(&[any; SHARDS])
}

/// The numbers; `None` where another release wrote them, or nobody.
pub(crate) fn read(value: &[u8]) -> Option<Numbers> {
    let (version, rest) = value.split_first()?;
    let (chunks, []) = rest.as_chunks::<4>() else { return None };
    let numbers: Vec<u32> = chunks.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect();
    numbers.try_into().ok().filter(|_| *version == VERSION)
}

/// The value with news of these shards; `None` to leave it alone.
pub(crate) fn tell(value: &[u8], shards: &[usize], any: u32) -> Option<Vec<u8>> {
    let is_foreign = value.first().is_some_and(|version| *version != VERSION);
    if is_foreign {
        return None;
    }
    let mut numbers = read(value).unwrap_or([any; SHARDS]);
    for shard in shards {
        if let Some(number) = numbers.get_mut(*shard) {
            *number = number.wrapping_add(1);
        }
    }
    Some(bytes(&numbers))
}

fn bytes(numbers: &Numbers) -> Vec<u8> {
    std::iter::once(VERSION).chain(numbers.iter().flat_map(|number| number.to_le_bytes())).collect()
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// Who changes these bytes raises [`VERSION`]: or else two releases misread each other.
    #[test]
    fn the_layout_is_that_of_its_version() {
        let mut numbers = [0x8102_0304; SHARDS];
        (numbers[0], numbers[63]) = (1, u32::MAX);
        let others = [4, 3, 2, 0x81].repeat(62);
        let expected = [&[1, 1, 0, 0, 0][..], &others, &[0xff; 4]].concat();
        assert_eq!(bytes(&numbers), expected);
        assert_eq!(read(&expected), Some(numbers));
        assert_eq!(name(), "sluicegate.breaker.news.1.all");
    }

    #[test]
    fn news_changes_the_numbers_of_the_shards_that_have_some() {
        let before = empty(u32::MAX);
        let after = tell(&before, &[3, 63, 64], 9).unwrap();
        let (before, after) = (read(&before).unwrap(), read(&after).unwrap());
        let changed: Vec<_> = (0..SHARDS).filter(|shard| before[*shard] != after[*shard]).collect();
        assert_eq!(changed, [3, 63]);
    }

    #[test]
    fn what_another_release_wrote_is_left_alone_and_what_nobody_wrote_is_begun_anew() {
        let mut theirs = empty(7);
        theirs[0] = 2;
        assert_eq!((tell(&theirs, &[1], 9), read(&theirs)), (None, None));
        for broken in [&[][..], &[1, 2, 3], &[VERSION; 258], &[VERSION; 256], &[VERSION; 261]] {
            assert_eq!(read(broken), None);
            let after = read(&tell(broken, &[1], 9).unwrap()).unwrap();
            assert_eq!((after[0], after[1]), (9, 10));
        }
    }
}
