//! Text as matching sees it: percent-decoded, with the way back to the bytes that were written.

use std::borrow::Cow;
use std::ops::Range;

/// A text and its percent-decoded form (RFC 3986 §2.1), decoded again until nothing is left to decode: whoever reads the
/// log may decode as often as he likes and finds nothing that matching did not see.
///
/// What is no valid `%XX` stays as it is. A `+` stays too: the patterns know that it may be a space.
pub(super) struct View<'a> {
    raw: &'a [u8],
    decoded: Cow<'a, [u8]>,
    /// Where in `raw` each decoded byte begins. Empty where both are the same.
    starts: Vec<usize>,
    is_cut: bool,
}

impl<'a> View<'a> {
    pub(super) fn new(raw: &'a [u8]) -> View<'a> {
        if !raw.contains(&b'%') {
            return View { raw, decoded: Cow::Borrowed(raw), starts: Vec::new(), is_cut: false };
        }
        let mut decoded = Vec::with_capacity(raw.len());
        let mut starts = Vec::with_capacity(raw.len());
        for (position, byte) in raw.iter().enumerate() {
            decoded.push(*byte);
            starts.push(position);
            // A decoded byte can complete an escape in its turn. Each turn takes two bytes away, so all of them together
            // take no longer than the text.
            while let Some((rest, byte)) = escape_at_end(&decoded) {
                decoded.truncate(rest);
                starts.truncate(rest.saturating_add(1));
                decoded.push(byte);
            }
        }
        View { raw, decoded: Cow::Owned(decoded), starts, is_cut: false }
    }

    /// The first `most` bytes of `raw` as if they were all, but for [`View::is_cut`].
    pub(super) fn beginning(raw: &'a [u8], most: usize) -> View<'a> {
        let beginning = raw.get(..most).unwrap_or(raw);
        View { is_cut: beginning.len() < raw.len(), ..View::new(beginning) }
    }

    /// Whether there is more that is not looked at.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.decoded
    }

    /// The decoded bytes of a range with their positions.
    pub(super) fn each(&self, within: Range<usize>) -> impl DoubleEndedIterator<Item = (usize, u8)> + Clone {
        let bytes = self.slice(within.start, within.end).iter();
        (within.start..within.end).zip(bytes.copied())
    }

    /// The first byte in a range that stands in the text itself and passes `check`, else the end of the range.
    pub(super) fn find_literal(&self, within: Range<usize>, check: impl Fn(u8) -> bool) -> usize {
        let found = self.each(within.clone()).find(|(at, byte)| check(*byte) && self.is_literal(*at));
        found.map_or(within.end, |(at, _)| at)
    }

    /// The decoded bytes of a range, which may be out of bounds.
    pub(super) fn slice(&self, start: usize, end: usize) -> &[u8] {
        self.decoded.get(start..end.min(self.decoded.len())).unwrap_or_default()
    }

    /// Where in the raw text the decoded byte at `position` begins.
    pub(super) fn raw_position(&self, position: usize) -> usize {
        if self.starts.is_empty() {
            return position.min(self.raw.len());
        }
        self.starts.get(position).copied().unwrap_or(self.raw.len())
    }

    pub(super) fn raw(&self, start: usize, end: usize) -> &'a [u8] {
        self.raw.get(self.raw_position(start)..self.raw_position(end)).unwrap_or_default()
    }

    /// Whether the byte at `position` stands in the text itself, not as an escape: only such a byte delimits.
    pub(super) fn is_literal(&self, position: usize) -> bool {
        self.raw_position(position.saturating_add(1)).saturating_sub(self.raw_position(position)) == 1
    }
}

/// The length without the escape that `bytes` end in, and the byte that it stands for.
fn escape_at_end(bytes: &[u8]) -> Option<(usize, u8)> {
    let (rest, [b'%', high, low]) = bytes.split_last_chunk()? else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((rest.len(), (digit(*high)? << 4) | digit(*low)?))
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn escapes_are_decoded_to_the_ground() {
        let table: [(&str, &[u8]); 9] = [
            ("plain", b"plain"),
            ("a%20b", b"a b"),
            ("%41%4a%4A", b"AJJ"),
            ("%2541", b"A"),
            ("%25252541", b"A"),
            ("%%34%31", b"A"),
            ("100%", b"100%"),
            ("%4", b"%4"),
            ("%zz%FF", b"%zz\xff"),
        ];
        for (raw, decoded) in table {
            assert_eq!(View::new(raw.as_bytes()).bytes(), decoded, "{raw}");
        }
    }

    #[test]
    fn every_decoded_byte_knows_where_it_was_written() {
        let view = View::new(b"x%2541&%26z");
        assert_eq!(view.bytes(), b"xA&&z");
        assert_eq!((0..6).map(|at| view.raw_position(at)).collect::<Vec<_>>(), [0, 1, 6, 7, 10, 11]);
        assert_eq!((0..5).map(|at| view.is_literal(at)).collect::<Vec<_>>(), [true, false, true, false, true]);
        assert_eq!(view.raw(1, 3), b"%2541&");
        assert_eq!(view.raw(4, 99), b"z");
    }
}
