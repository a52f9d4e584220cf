//! What a session delivered last.

use crate::Delivery;

/// The longest document that is accepted, in bytes; `sluicegate_policy` rejects a longer one.
pub const DOCUMENT_LIMIT: usize = 65_536;

/// As much of a document as it takes to see whether it is too long.
pub(crate) fn bounded(document: &[u8]) -> &[u8] {
    document.get(..=DOCUMENT_LIMIT).unwrap_or(document)
}

/// What was delivered last, so that nothing is delivered twice.
#[derive(Default)]
pub(crate) struct Latest(Option<Delivery>);

impl Latest {
    /// A delivery of this document, unless it is the one delivered last.
    pub(crate) fn news(&mut self, revision: u64, document: Option<&[u8]>) -> Option<Delivery> {
        let document = document.map(bounded);
        let is_known = self.0.as_ref().is_some_and(|last| last.document.as_deref() == document);
        if is_known { None } else { Some(self.deliver(revision, document)) }
    }

    /// The same where the revision is the document's own: one that was written again is a new version.
    pub(crate) fn news_of_version(&mut self, revision: u64, document: Option<&[u8]>) -> Option<Delivery> {
        let is_rewritten = document.is_some() && self.0.as_ref().is_some_and(|last| last.revision != revision);
        if is_rewritten { Some(self.deliver(revision, document.map(bounded))) } else { self.news(revision, document) }
    }

    fn deliver(&mut self, revision: u64, document: Option<&[u8]>) -> Delivery {
        let delivery = Delivery { revision, document: document.map(<[u8]>::to_vec) };
        self.0 = Some(delivery.clone());
        delivery
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use sluicegate_policy::Document;

    #[test]
    fn what_was_delivered_last_is_not_delivered_again() {
        let mut latest = Latest::default();
        for (revision, document, is_news) in [
            (1, None, true),
            (2, None, false),
            (3, Some(&b"a"[..]), true),
            (4, Some(b"a"), false),
            (4, Some(b""), true),
            (4, None, true),
            (5, Some(b"a"), true),
        ] {
            let delivery = latest.news(revision, document);
            let expected = is_news.then(|| Delivery { revision, document: document.map(<[u8]>::to_vec) });
            assert_eq!(delivery, expected, "{revision}");
        }
        assert_eq!(latest.news_of_version(5, Some(b"a")), None);
        assert!(latest.news_of_version(4, Some(b"a")).is_some(), "a store that began anew");
        assert!(latest.news_of_version(4, None).is_some());
        assert_eq!(latest.news_of_version(9, None), None, "nothing is of no version");
    }

    #[test]
    fn of_a_document_that_is_too_long_only_the_beginning_is_kept() {
        let verdict = |document: &[u8]| Document::parse(document, &|_| None).map(|_| ()).map_err(|e| e.to_string());
        let mut latest = Latest::default();
        let fits = [b"{}".to_vec(), vec![b' '; DOCUMENT_LIMIT - 2]].concat();
        assert_eq!(verdict(&latest.news(1, Some(&fits)).unwrap().document.unwrap()), Ok(()));
        let too_long = [b"{}".to_vec(), vec![b' '; 5 * DOCUMENT_LIMIT]].concat();
        let kept = latest.news(1, Some(&too_long)).unwrap().document.unwrap();
        assert_eq!(kept.len(), DOCUMENT_LIMIT + 1);
        assert!(verdict(&kept).unwrap_err().contains("at most 65536 bytes"));
        assert_eq!(latest.news(1, Some(&too_long)), None);
    }
}
