//! Consul's blocking queries (developer.hashicorp.com/consul/api-docs/features/blocking): a GET that says which index
//! of the resource it knows is held back until there is a newer one, or until it has waited long enough.
//!
//! The rules that a client has to keep, from «Implementation Details» there: the index is reset when it goes backwards;
//! it is at least 1 whenever the next query is to block; and what blocks is limited in its rate, for an answer is no
//! promise of news, and a server that does not block would be asked in a busy loop.

use crate::moment::{Nanos, nanos};
use std::time::Duration;

/// What is known of the resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index(u64);

impl Index {
    /// The header `x-consul-index`; `None` where it is absent or no number.
    pub(crate) fn read(header: Option<&[u8]>) -> Option<u64> {
        std::str::from_utf8(header?).ok()?.parse().ok()
    }

    /// Takes the index of an answer.
    pub(crate) fn advance(&mut self, answered: u64) {
        // An index of 0 would not block; to wait for what comes after 1 is always right (a bug of older Consuls).
        let next = answered.max(1);
        self.0 = if next < self.0 { 0 } else { next };
    }

    /// What to add to the query, where the next one can block; `None` where it asks what holds now.
    pub(crate) fn query(self, wait: Duration) -> Option<String> {
        let number = Some(self.0).filter(|number| *number > 0)?;
        let wait = match wait.subsec_nanos() {
            0 => format!("{}s", wait.as_secs()),
            _ => format!("{}ms", wait.as_millis()),
        };
        Some(format!("index={number}&wait={wait}"))
    }
}

/// How long an answer may take: Consul adds up to a sixteenth to the time that it waits.
pub(crate) fn longest(wait: Duration) -> Duration {
    wait.saturating_add(Duration::from_nanos(nanos(wait) / 16))
}

/// A path with something added to its query.
pub(crate) fn with_query(path: &str, query: &str) -> String {
    let separator = match path.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, given)) if given.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{path}{separator}{query}")
}

/// How often a query may follow another at once: so many times in a row, and then once for each period.
const AT_ONCE: u64 = 10;
const PERIOD: Duration = Duration::from_secs(1);

/// A leaky bucket: GCRA, which keeps one time instead of a count and a time.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When the bucket will be empty.
    empty_at: Nanos,
}

impl Pace {
    /// When the next query may be made.
    pub(crate) fn next(&mut self, now: Nanos) -> Nanos {
        let period = nanos(PERIOD);
        let room = period.saturating_mul(AT_ONCE.saturating_sub(1));
        let at = now.max(self.empty_at.saturating_sub(room));
        self.empty_at = self.empty_at.max(at).saturating_add(period);
        at
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn an_index_is_a_number_and_nothing_else() {
        for (header, index) in [
            (Some(&b"42"[..]), Some(42)),
            (Some(b"0"), Some(0)),
            (Some(b"18446744073709551615"), Some(u64::MAX)),
            (Some(b"18446744073709551616"), None),
            (Some(b"-1"), None),
            (Some(b"4 2"), None),
            (Some(b""), None),
            (Some(b"\xff"), None),
            (None, None),
        ] {
            assert_eq!(Index::read(header), index, "{header:?}");
        }
    }

    #[test]
    fn the_index_is_reset_when_it_goes_back_and_never_0_in_a_query() {
        let mut index = Index::default();
        let minute = Duration::from_secs(60);
        assert_eq!(index.query(minute), None);
        let table = [
            (7, Some("index=7&wait=60s")),
            (7, Some("index=7&wait=60s")),
            (9, Some("index=9&wait=60s")),
            (8, None),
            (8, Some("index=8&wait=60s")),
            (0, None),
            (0, Some("index=1&wait=60s")),
            (0, Some("index=1&wait=60s")),
            (u64::MAX, Some("index=18446744073709551615&wait=60s")),
        ];
        for (answered, query) in table {
            index.advance(answered);
            assert_eq!(index.query(minute).as_deref(), query, "{answered}");
        }
        assert_eq!(Index(5).query(Duration::from_millis(1_500)).unwrap(), "index=5&wait=1500ms");
        assert_eq!(longest(minute), Duration::from_millis(63_750));
    }

    #[test]
    fn a_query_is_added_to_whatever_the_path_has() {
        for (path, expected) in [
            ("/v1/kv/a", "/v1/kv/a?x=1"),
            ("/v1/kv/a?raw", "/v1/kv/a?raw&x=1"),
            ("/v1/kv/a?", "/v1/kv/a?x=1"),
            ("/v1/kv/a?raw&", "/v1/kv/a?raw&x=1"),
        ] {
            assert_eq!(with_query(path, "x=1"), expected);
        }
    }

    #[test]
    fn ten_queries_may_follow_at_once_and_then_one_a_second() {
        let mut pace = Pace::default();
        let start = 100_000_000_000;
        let second = 1_000_000_000;
        let burst: Vec<_> = (0..12).map(|_| pace.next(start) - start).collect();
        assert_eq!(burst[..10], [0; 10]);
        assert_eq!(burst[10..], [second, 2 * second]);
        // What was not used is there again after a while, and no more than that.
        let later = start + 100 * second;
        assert_eq!((0..11).filter(|_| pace.next(later) == later).count(), 10);
        // A steady query every second is never held up.
        assert!((200..300).all(|count| pace.next(start + count * second) == start + count * second));
        pace.empty_at = u64::MAX;
        pace.next(0);
    }
}
