//! Which series of a plugin's policies there are, and which plugin configuration came last: a value in shared data.
//!
//! ```text
//! version      1 byte: 1
//! fingerprint  8 bytes, little-endian, of the plugin configuration
//! series       source, blank, version of the schema, line feed; for each
//! ```

use super::{Of, PLUGIN};

pub(super) const VERSION: u8 = 1;

/// As many are remembered: sources times versions of the schema, with room for more of these.
const MOST: usize = 16;

#[derive(Default)]
pub(super) struct Shown {
    pub(super) fingerprint: u64,
    pub(super) series: Vec<Of>,
}

impl Shown {
    /// `None` for a value of another version, which is left alone.
    pub(super) fn read(value: &[u8]) -> Option<Shown> {
        let rest = match value.split_first() {
            None => return Some(Shown::default()),
            Some((&VERSION, rest)) => rest,
            Some(_) => return None,
        };
        let (fingerprint, lines) = rest.split_first_chunk()?;
        let series = std::str::from_utf8(lines).ok()?.lines().filter_map(of).take(MOST).collect();
        Some(Shown { fingerprint: u64::from_le_bytes(*fingerprint), series })
    }

    /// With one series more; `None` where it is there, or no more fit.
    pub(super) fn with(mut self, of: &Of) -> Option<Shown> {
        let is_due = !self.series.contains(of) && self.series.len() < MOST;
        is_due.then(|| {
            self.series.push(of.clone());
            self
        })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut value = vec![VERSION];
        value.extend(self.fingerprint.to_le_bytes());
        value.extend(self.series.iter().flat_map(|(source, version)| format!("{source} {version}\n").into_bytes()));
        value
    }
}

fn of(line: &str) -> Option<Of> {
    let (source, version) = line.split_once(' ')?;
    let source = [PLUGIN, "etcd", "http"].into_iter().find(|known| *known == source)?;
    let is_version = version == "newer" || version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (is_version && version.len() <= 8).then(|| (source, version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_shown_is_known_again_and_each_once() {
        let series = [(PLUGIN, "1.0".to_owned()), ("etcd", "newer".to_owned())];
        let mut shown = Shown { fingerprint: 7, series: Vec::new() };
        for of in &series {
            shown = shown.with(of).unwrap();
        }
        let again = Shown::read(&shown.write()).unwrap();
        assert_eq!((again.fingerprint, again.series.as_slice()), (7, &series[..]));
        assert!(again.with(&series[1]).is_none());
        assert!(Shown::read(&[]).unwrap().series.is_empty());
    }

    /// Who changes these bytes raises [`VERSION`]: or else two releases misread each other.
    #[test]
    fn the_layout_is_that_of_its_version() {
        let series = [(PLUGIN, "1.0"), ("etcd", "newer"), ("http", "1.12")];
        let series = series.map(|(source, version)| (source, version.to_owned())).to_vec();
        let bytes = b"\x01\x08\x07\x06\x05\x04\x03\x02\x81plugin 1.0\netcd newer\nhttp 1.12\n";
        let shown = Shown { fingerprint: 0x8102_0304_0506_0708, series: series.clone() };
        assert_eq!(shown.write(), bytes);
        let read = Shown::read(bytes).unwrap();
        assert_eq!((read.fingerprint, read.series), (0x8102_0304_0506_0708, series));
    }

    #[test]
    fn what_nobody_wrote_names_no_series() {
        for value in [&[2][..], &[1, 0], b"\x01\0\0\0\0\0\0\0\0\xff"] {
            assert!(Shown::read(value).is_none(), "{value:?}");
        }
        let lines = "etcd 1.0=x\nhell 1.0\nhttp\nhttp 1.0000000\nhttp 1.1\n".repeat(20);
        let value = [&[1; 9][..], lines.as_bytes()].concat();
        let shown = Shown::read(&value).unwrap();
        assert_eq!(shown.series.len(), MOST);
        assert!(shown.series.iter().all(|of| *of == ("http", "1.1".to_owned())));
        assert!(shown.with(&("etcd", "1.0".to_owned())).is_none(), "no more than those");
    }
}
