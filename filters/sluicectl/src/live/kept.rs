//! A key and the values that it had.
//!
//! Beside `KEY` stand `KEY.history/<revision>`, the value that was in force from that revision on, exactly as it was, and
//! `KEY.history/<revision>.rolled-back`, an empty mark, for those that a rollback took out of force. Revisions have 20 digits,
//! so that keys are in their order. A proxy watches one key and no range, so it never sees these; and no key with
//! `.history/` in it is taken for a policy's.

use super::etcd::{Change, Entry, Etcd};
use anyhow::{Result, ensure};
use std::collections::BTreeSet;

/// So many values are kept beside the one in force.
pub(super) const KEPT: usize = 20;

const HISTORY: &str = ".history/";
const MARK: &str = ".rolled-back";
const DIGITS: usize = 20;

/// What etcd holds of a key, all of the same moment.
pub(super) struct Kept {
    pub(super) key: String,
    /// `None` where the key is not there: proxies then go by their own configuration.
    pub(super) current: Option<Entry>,
    /// The newest first.
    pub(super) earlier: Vec<Earlier>,
}

/// A value that was in force.
pub(super) struct Earlier {
    /// From when on.
    pub(super) revision: i64,
    pub(super) value: Vec<u8>,
    pub(super) is_rolled_back: bool,
}

impl Kept {
    /// # Errors
    /// Where no proxy can watch the key, or it is one of a history.
    pub(super) fn read(etcd: &Etcd, key: &str) -> Result<Kept> {
        check(key)?;
        let (from, to) = (format!("{key}{HISTORY}"), format!("{key}{}", end(HISTORY)));
        let (current, entries) = etcd.get_with_range(key, &from, &to)?;
        Ok(Kept { key: key.to_owned(), current, earlier: earlier(&from, entries) })
    }

    /// The revision of the value in force; 0 where there is none.
    pub(super) fn revision(&self) -> i64 {
        self.current.as_ref().map_or(0, |entry| entry.mod_revision)
    }

    /// Has `value` in force: what was is kept, and what is more than is kept goes.
    pub(super) fn put(&self, value: &[u8]) -> Vec<Change> {
        let mut changes = vec![Change::Put { key: self.key.clone(), value: value.to_vec() }];
        changes.extend(self.keep_current());
        changes.extend(self.forget());
        changes
    }

    /// Has an earlier value in force again: it leaves the history, and what came after it is marked as rolled back. A value
    /// that was rolled back itself comes as a new one would, and nothing is marked. There are no more values than before, so
    /// none is forgotten.
    pub(super) fn put_back(&self, target: &Earlier) -> Vec<Change> {
        let mut changes = vec![
            Change::Put { key: self.key.clone(), value: target.value.clone() },
            Change::Delete { key: self.path(target.revision) },
        ];
        changes.extend(self.keep_current());
        if target.is_rolled_back {
            changes.push(Change::Delete { key: self.mark(target.revision) });
            return changes;
        }
        let newer = self.earlier.iter().filter(|e| e.revision > target.revision && !e.is_rolled_back);
        let newer =
            newer.map(|earlier| earlier.revision).chain(self.current.as_ref().map(|current| current.mod_revision));
        changes.extend(newer.map(|revision| Change::Put { key: self.mark(revision), value: Vec::new() }));
        changes
    }

    fn keep_current(&self) -> Option<Change> {
        let current = self.current.as_ref()?;
        Some(Change::Put { key: self.path(current.mod_revision), value: current.value.clone() })
    }

    /// Deletes the oldest, so that there is room for what is in force now.
    fn forget(&self) -> Vec<Change> {
        let room = KEPT.saturating_sub(usize::from(self.current.is_some()));
        let mut changes = Vec::new();
        // One by one: etcd refuses a range in which another change of the transaction lies.
        for earlier in self.earlier.iter().skip(room).filter(|earlier| earlier.revision != self.revision()) {
            changes.push(Change::Delete { key: self.path(earlier.revision) });
            if earlier.is_rolled_back {
                changes.push(Change::Delete { key: self.mark(earlier.revision) });
            }
        }
        changes
    }

    fn path(&self, revision: i64) -> String {
        format!("{}{HISTORY}{revision:0DIGITS$}", self.key)
    }

    fn mark(&self, revision: i64) -> String {
        format!("{}{MARK}", self.path(revision))
    }
}

/// The longest key that a proxy can watch, in bytes: of `policy_source.etcd.key`.
const LONGEST_KEY: usize = 1_024;

/// What no proxy watches would be written for nobody; and what cannot be seen was not meant.
fn check(key: &str) -> Result<()> {
    ensure!(!key.is_empty(), "the key is empty");
    ensure!(!key.chars().any(char::is_control), "the key {key:?} has a control character in it");
    let length = key.len();
    ensure!(
        length <= LONGEST_KEY,
        "the key has {length} bytes, and policy_source.etcd.key takes {LONGEST_KEY} at most: no proxy could watch it"
    );
    ensure!(!key.contains(HISTORY), "{key} is kept for the history of another key");
    Ok(())
}

/// The values of a history. What else somebody may have put beside them is left alone.
fn earlier(prefix: &str, entries: Vec<Entry>) -> Vec<Earlier> {
    let name = |entry: &Entry| entry.key.strip_prefix(prefix).map(str::to_owned);
    let marked: BTreeSet<i64> = entries.iter().filter_map(|entry| revision(name(entry)?.strip_suffix(MARK)?)).collect();
    let value = |entry: Entry| {
        let revision = revision(&name(&entry)?)?;
        Some(Earlier { revision, is_rolled_back: marked.contains(&revision), value: entry.value })
    };
    let mut earlier: Vec<_> = entries.into_iter().filter_map(value).collect();
    earlier.reverse();
    earlier
}

fn revision(name: &str) -> Option<i64> {
    let is_one = name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| is_one)
}

/// The first key that no longer begins with a prefix.
fn end(prefix: &str) -> String {
    let mut end = prefix.trim_end_matches('/').to_owned();
    // The character after `/`.
    end.push('0');
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::File;
    use crate::verdict::{self, Judging};

    fn entry(key: &str, mod_revision: i64) -> Entry {
        Entry { key: key.to_owned(), value: mod_revision.to_string().into_bytes(), mod_revision }
    }

    fn kept(revisions: std::ops::Range<i64>) -> Kept {
        let earlier = revisions.clone().rev().map(|revision| Earlier {
            revision,
            value: Vec::new(),
            is_rolled_back: revision % 2 == 0,
        });
        Kept { key: "k".to_owned(), current: Some(entry("k", revisions.end)), earlier: earlier.collect() }
    }

    fn told(changes: &[Change]) -> Vec<String> {
        let tell = |change: &Change| match change {
            Change::Put { key, .. } => format!("put {key}"),
            Change::Delete { key } => format!("delete {key}"),
        };
        changes.iter().map(tell).collect()
    }

    #[test]
    fn a_put_keeps_what_was_in_force_and_forgets_the_oldest_with_its_mark() {
        assert_eq!(told(&kept(1..4).put(b"x")), ["put k", "put k.history/00000000000000000004"]);
        // 20 values are kept, 2 to 21, and 22 is in force: 2 must go.
        let changes = told(&kept(2..22).put(b"x"));
        let want = [
            "put k",
            "put k.history/00000000000000000022",
            "delete k.history/00000000000000000002",
            "delete k.history/00000000000000000002.rolled-back",
        ];
        assert_eq!(changes, want);
    }

    #[test]
    fn a_put_back_marks_all_that_came_after() {
        let kept = kept(1..5);
        let changes = told(&kept.put_back(&kept.earlier[3]));
        let want = [
            "put k",
            "delete k.history/00000000000000000001",
            "put k.history/00000000000000000005",
            "put k.history/00000000000000000003.rolled-back",
            "put k.history/00000000000000000005.rolled-back",
        ];
        assert_eq!(changes, want);
    }

    #[test]
    fn what_was_rolled_back_comes_as_a_new_value_would() {
        let kept = kept(1..5);
        let changes = told(&kept.put_back(&kept.earlier[2]));
        let want = [
            "put k",
            "delete k.history/00000000000000000002",
            "put k.history/00000000000000000005",
            "delete k.history/00000000000000000002.rolled-back",
        ];
        assert_eq!(changes, want);
    }

    #[test]
    fn only_what_looks_like_a_value_of_the_history_is_one() {
        let names =
            ["00000000000000000007", "00000000000000000007.rolled-back", "00000000000000000009", "9", "note", ""];
        let entries = names.iter().map(|name| entry(&format!("k.history/{name}"), 1)).collect();
        let found: Vec<_> =
            earlier("k.history/", entries).iter().map(|earlier| (earlier.revision, earlier.is_rolled_back)).collect();
        assert_eq!(found, [(9, false), (7, true)]);
        assert_eq!(end(HISTORY), ".history0");
    }

    /// The verdict of the code that reads `policy_source.etcd.key`.
    fn is_watched(key: &str) -> bool {
        let source =
            serde_json::json!({ "version": "1.0", "policy_source": { "etcd": { "cluster": "etcd", "key": key } } });
        let file = File::of("policy.json", source.to_string().into_bytes()).unwrap();
        verdict::of_file(&file, Judging::default()).is_accepted()
    }

    #[test]
    fn a_key_is_one_that_proxies_can_watch() {
        for key in ["/k".to_owned(), "größe".to_owned(), "k".repeat(1_024)] {
            assert!(check(&key).is_ok() && is_watched(&key), "{key}");
        }
        for key in ["".to_owned(), "k".repeat(1_025), "ü".repeat(513)] {
            assert!(check(&key).is_err() && !is_watched(&key), "{key}");
        }
        for key in ["/k\n", "/k\u{7f}", "/\u{85}k", "/k.history/1"] {
            assert!(check(key).is_err(), "{key:?}");
        }
    }
}
