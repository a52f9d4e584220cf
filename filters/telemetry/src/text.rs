use std::borrow::Cow;

/// Text from outside: bytes that should be UTF-8, and may be cut.
///
/// Each sequence of bytes that is not UTF-8 comes out as U+FFFD. A text that is cut ends in `…`, which counts.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    bytes: &'a [u8],
    most: usize,
}

const CUT: &str = "…";

impl<'a> Text<'a> {
    /// The same, at most `most` bytes of UTF-8, and so at most as many characters. No less than 3.
    #[must_use]
    pub fn at_most(self, most: usize) -> Text<'a> {
        Text { most: self.most.min(most), ..self }
    }

    /// Whether it is exactly this.
    pub(crate) fn is(self, other: &str) -> bool {
        self.bytes == other.as_bytes()
    }

    /// The text in one piece; borrowed where nothing is to be cut or replaced.
    pub fn whole(self) -> Cow<'a, str> {
        match std::str::from_utf8(self.bytes) {
            Ok(whole) if whole.len() <= self.most => Cow::Borrowed(whole),
            _ => {
                let mut text = String::new();
                self.each_piece(&mut |piece| text.push_str(piece));
                Cow::Owned(text)
            }
        }
    }

    /// Gives the text in pieces.
    pub fn each_piece(self, give: &mut dyn FnMut(&str)) {
        match std::str::from_utf8(self.bytes) {
            Ok(whole) if whole.len() <= self.most => return give(whole),
            _ => {}
        }
        let whole = self.fits();
        let mut left = if whole { usize::MAX } else { self.most.saturating_sub(CUT.len()) };
        for chunk in self.bytes.utf8_chunks() {
            for piece in [chunk.valid(), replacement(chunk.invalid())] {
                match left.checked_sub(piece.len()) {
                    Some(rest) => {
                        left = rest;
                        give(piece);
                    }
                    None => {
                        give(piece.get(..piece.floor_char_boundary(left)).unwrap_or_default());
                        return give(CUT);
                    }
                }
            }
        }
        if !whole {
            give(CUT);
        }
    }

    /// Whether nothing is to be cut. An invalid sequence is 1 to 3 bytes and its replacement 3, so the text never shrinks.
    fn fits(self) -> bool {
        let length =
            |chunk: std::str::Utf8Chunk<'_>| chunk.valid().len().saturating_add(replacement(chunk.invalid()).len());
        self.bytes.len() <= self.most
            && self.bytes.utf8_chunks().map(length).fold(0, usize::saturating_add) <= self.most
    }
}

fn replacement(invalid: &[u8]) -> &'static str {
    if invalid.is_empty() { "" } else { "\u{fffd}" }
}

impl<'a> From<&'a [u8]> for Text<'a> {
    fn from(bytes: &'a [u8]) -> Text<'a> {
        Text { bytes, most: usize::MAX }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Text<'a> {
        Text::from(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn pieces(bytes: &[u8], most: usize) -> String {
        let mut text = String::new();
        Text::from(bytes).at_most(most).each_piece(&mut |piece| text.push_str(piece));
        text
    }

    #[test]
    fn what_fits_stays_and_what_does_not_is_cut_between_characters() {
        let table: [(&[u8], usize, &str); 14] = [
            (b"", 8, ""),
            (b"abcdefgh", 8, "abcdefgh"),
            (b"abcdefghi", 8, "abcde…"),
            ("abcdé".as_bytes(), 6, "abcdé"),
            ("abcdéx".as_bytes(), 6, "abc…"),
            ("éééé".as_bytes(), 6, "é…"),
            ("😀😀".as_bytes(), 6, "…"),
            (b"a\xffb", 8, "a\u{fffd}b"),
            (b"a\xffb", 5, "a\u{fffd}b"),
            (b"a\xffb", 4, "a…"),
            (b"\xff\xff\xff", 8, "\u{fffd}…"),
            (b"\xe2\x82", 3, "\u{fffd}"),
            (b"ab\xed\xa0\x80c", 100, "ab\u{fffd}\u{fffd}\u{fffd}c"),
            (b"\xff\xff\xff\xff", 3, "…"),
        ];
        for (bytes, most, expected) in table {
            let text = pieces(bytes, most);
            assert_eq!(text, expected, "{bytes:?} {most}");
            assert!(text.len() <= most);
        }
    }

    #[test]
    fn the_strictest_limit_counts() {
        let mut text = String::new();
        Text::from("abcdefgh").at_most(4).at_most(100).each_piece(&mut |piece| text.push_str(piece));
        assert_eq!(text, "a…");
    }
}
