//! The version of the document's schema, and what a build does with one that is not its own.

use std::fmt;

/// The schema version of a document: `major.minor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Changes when a document that was right may become wrong.
    pub major: u16,
    /// Changes when fields are added.
    pub minor: u16,
}

impl Version {
    /// The version that this build knows every field of.
    pub const CURRENT: Version = Version { major: 1, minor: 0 };

    /// Reads `"1.0"`: two decimal numbers without leading zeros.
    pub(crate) fn parse(text: &str) -> Option<Version> {
        let (major, minor) = text.split_once('.')?;
        Some(Version { major: number(major)?, minor: number(minor)? })
    }
}

fn number(text: &str) -> Option<u16> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_decimal { text.parse().ok() } else { None }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_version_is_two_decimal_numbers() {
        let version = |major, minor| Some(Version { major, minor });
        let table = [
            ("1.0", version(1, 0)),
            ("1.10", version(1, 10)),
            ("0.9", version(0, 9)),
            ("65535.65535", version(65535, 65535)),
        ];
        for (text, version) in table {
            assert_eq!(Version::parse(text), version, "{text:?}");
        }
        for text in
            ["", "1", "1.", ".0", "1.0.0", "v1.0", "01.0", "1.00", "1.+0", "-1.0", "1.0 ", "65536.0", "1,0", "१.0"]
        {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }
}
