#[cfg(not(target_arch = "wasm32"))]
mod properties;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn delivery(revision: u64, document: Option<&[u8]>) -> Delivery {
    Delivery { revision, document: document.map(<[u8]>::to_vec) }
}

/// The number and the sheet of what is to be written.
fn written(post: Post) -> (u32, Vec<u8>) {
    let Post::Write { number, sheet } = post else { panic!("nothing to be written") };
    (number, sheet)
}

fn shown(sheet: &[u8]) -> Option<(u32, u64, u64, Option<Vec<u8>>)> {
    posting(sheet).map(|posting| (posting.number, posting.revision, posting.at, posting.document))
}

#[test]
fn on_a_board_with_nothing_on_it_there_is_nothing() {
    assert_eq!((number(b""), shown(b"")), (None, None));
}

#[test]
fn what_is_posted_is_read_under_a_number_of_its_own() {
    let (mut sheet, mut announced) = (Vec::new(), Vec::new());
    let long = vec![b'x'; DOCUMENT_LIMIT + 1];
    let documents = [None, Some(&b"{}"[..]), Some(b""), Some(b"\0\xff"), None, Some(&long)];
    for (before, document) in documents.into_iter().enumerate() {
        let before = before as u32;
        let (posted, next) = written(post(&sheet, 1, &delivery(40, document), 99));
        assert_eq!(posted, before + 1);
        assert_eq!(shown(&next), Some((posted, 40, 99, document.map(<[u8]>::to_vec))));
        assert_eq!(number(&announced), Some(before).filter(|before| *before > 0));
        sheet = next;
        announced = announce(&announced, posted).unwrap();
        assert_eq!((number(&announced), announced.len()), (Some(posted), 5));
        assert_eq!(announce(&announced, posted), None);
    }
}

#[test]
fn the_same_is_not_posted_twice_and_a_later_term_only_marks_it() {
    let first = delivery(7, Some(b"one"));
    let (number, sheet) = written(post(b"", 5, &first, 10));
    assert!(post(&sheet, 5, &first, 20) == Post::Same(number));
    let (again, marked) = written(post(&sheet, 6, &first, 20));
    assert_eq!((again, shown(&marked)), (number, shown(&sheet)));
    assert!(post(&marked, 6, &first, 20) == Post::Same(number));
    assert!(post(&marked, 5, &first, 20) == Post::Outdated);
    assert!(post(&marked, 5, &delivery(8, None), 20) == Post::Outdated);
    for other in [delivery(8, Some(b"one")), delivery(7, Some(b"two")), delivery(7, None)] {
        assert_eq!(written(post(&marked, 6, &other, 30)).0, number + 1);
    }
    let (number, nothing) = written(post(b"", 5, &delivery(7, None), 10));
    assert!(post(&nothing, 5, &delivery(8, None), 10) == Post::Same(number), "nothing is of no version");
    assert_eq!(written(post(&nothing, 5, &delivery(7, Some(b"")), 10)).0, 2, "nothing is not an empty document");
}

#[test]
fn of_a_document_that_is_too_long_only_the_beginning_is_posted() {
    let long = vec![b'x'; 3 * DOCUMENT_LIMIT];
    let (number, sheet) = written(post(b"", 1, &delivery(1, Some(&long)), 1));
    assert_eq!(shown(&sheet), Some((1, 1, 1, Some(long[..=DOCUMENT_LIMIT].to_vec()))));
    assert!(post(&sheet, 1, &delivery(1, Some(&long)), 1) == Post::Same(number));
}

#[test]
fn what_is_shown_of_a_posting_holds_no_document() {
    let post = post(b"", 1, &delivery(7, Some(b"s3cret")), 99);
    assert_eq!(format!("{post:?}"), "Write(1: 32 bytes)");
    assert_eq!(format!("{:?}", posting(&written(post).1).unwrap()), "Posting(1: 6 bytes at 7, posted at 99)");
}

#[test]
fn numbers_and_terms_begin_anew_after_the_last() {
    let last = Sheet { number: u32::MAX, term: u32::MAX, revision: 0, at: 0, document: None };
    let sheet = write(last);
    let (posted, next) = written(post(&sheet, 0, &delivery(1, Some(b"x")), 1));
    assert_eq!(posted, 1);
    assert!(post(&next, u32::MAX, &delivery(2, None), 1) == Post::Outdated);
    let announced = announce(b"", u32::MAX).unwrap();
    assert_eq!(announce(&announced, 1).and_then(|value| number(&value)), Some(1));
    assert_eq!(announce(&announce(b"", 1).unwrap(), u32::MAX), None);
}

#[test]
fn what_is_of_another_version_or_of_nobody_is_left_alone() {
    let (_, sheet) = written(post(b"", 1, &delivery(7, Some(b"one")), 1));
    let (_, without) = written(post(b"", 1, &delivery(7, None), 1));
    let announced = announce(b"", 1).unwrap();
    let mut bad = vec![[&[2], &sheet[1..]].concat(), [&[0], &sheet[1..]].concat(), [&without[..], b"x"].concat()];
    bad.extend((1..26).map(|length| sheet[..length].to_vec()));
    bad.push([&sheet[..25], &[2], &sheet[26..]].concat());
    bad.push([&sheet[..1], &[0; 4], &sheet[5..]].concat());
    bad.push([&sheet[..], &vec![b'x'; DOCUMENT_LIMIT]].concat());
    for value in bad {
        assert_eq!(shown(&value), None, "{value:x?}");
        assert!(post(&value, 1, &delivery(9, None), 1) == Post::Foreign);
    }
    for value in [[&[2], &announced[1..]].concat(), announced[..4].to_vec(), [&announced[..], &[0]].concat()] {
        assert_eq!((number(&value), announce(&value, 9)), (None, None));
    }
}

/// Who changes these bytes raises [`VERSION`]: or else two releases misread each other.
#[test]
fn the_layouts_are_those_of_their_version() {
    const NUMBER: &[u8] = b"\x01\x04\x03\x02\x81";
    assert_eq!(announce(b"", 0x8102_0304).as_deref(), Some(NUMBER));
    assert_eq!(number(NUMBER), Some(0x8102_0304));

    const HEADER: &[u8] =
        b"\x01\x04\x03\x02\x81\x0d\x0c\x0b\x8a\x18\x17\x16\x15\x14\x13\x12\x91\x28\x27\x26\x25\x24\x23\x22\xa1";
    let of = 0x8a0b_0c0d;
    let with = |document: Option<&[u8]>| Posting {
        number: 0x8102_0304,
        revision: 0x9112_1314_1516_1718,
        at: 0xa122_2324_2526_2728,
        document: document.map(<[u8]>::to_vec),
    };
    for (document, rest) in [(None, &b"\0"[..]), (Some(&b""[..]), b"\x01"), (Some(b"{\0\xff}"), b"\x01{\0\xff}")] {
        let (bytes, with) = ([HEADER, rest].concat(), with(document));
        let Posting { number, revision, at, .. } = with;
        // On the board, and kept beside it: with the term of the lease, or which board it is of, in the same place.
        let sheet = Sheet { number, term: of, revision, at, document };
        assert_eq!(write(sheet), bytes);
        assert!(posting(&bytes).as_ref() == Some(&with) && term(&bytes) == Some(of));
        assert_eq!(keep(b"", of, &with), Some(bytes.clone()));
        assert!(kept(&bytes) == Some((of, with)));
    }
}

#[test]
fn what_is_said_again_in_a_later_term_is_of_that_term() {
    let posted = |sheet: &[u8], term| match post(sheet, term, &delivery(5, Some(b"a")), 1) {
        Post::Write { sheet, number: 1 } => sheet,
        other => panic!("{other:?}"),
    };
    let first = posted(&[], 3);
    assert_eq!((term(&first), term(&posted(&first, 4)), term(&[])), (Some(3), Some(4), None));
}

#[test]
fn what_is_kept_beside_the_board_is_the_latest() {
    let posting = |number, document: &[u8]| Posting { number, revision: 7, at: 9, document: Some(document.to_vec()) };
    let mut sheet = Vec::new();
    for (number, is_kept) in [(u32::MAX, true), (u32::MAX, false), (u32::MAX - 1, false), (3, true), (1, false)] {
        let next = keep(&sheet, 7, &posting(number, b"d"));
        assert_eq!(next.is_some(), is_kept, "{number}");
        sheet = next.unwrap_or(sheet);
    }
    assert!(kept(&sheet).is_some_and(|kept| kept == (7, posting(3, b"d"))));
    assert!(keep(&[99, 0], 7, &posting(4, b"d")).is_none(), "what another release wrote is left alone");
    // Of another board the later time counts, whatever its number.
    let of_other = |at| keep(&sheet, 8, &Posting { at, ..posting(2, b"e") });
    assert!(of_other(8).is_none());
    assert!(of_other(9).is_some_and(|sheet| kept(&sheet) == Some((8, posting(2, b"e")))));
}
