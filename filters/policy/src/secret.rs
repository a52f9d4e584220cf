//! Values that are never shown.

use std::fmt;

use subtle::ConstantTimeEq;

/// A key or a shared secret from the policy. It has no `Display`, its `Debug` is `Secret(…)`, and no error of this crate
/// quotes it.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    pub(crate) fn new(text: &str) -> Secret {
        Secret(text.as_bytes().into())
    }

    /// Whether `candidate` is this secret. The time this takes tells nothing about the bytes of the secret; it may tell
    /// its length.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.ct_eq(candidate).into()
    }

    /// The bytes, to key a MAC with. Whoever calls this must not log them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// In constant time, as [`Secret::matches`].
impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{accepted, rejected};

    #[test]
    fn a_secret_matches_itself_alone() {
        let secret = Secret::new("correct horse");
        assert!(secret.matches(b"correct horse"));
        for other in [&b""[..], b"correct hors", b"correct horse ", b"Correct horse", b"\xff\x00"] {
            assert!(!secret.matches(other), "{other:?}");
        }
        assert_eq!(secret.bytes(), b"correct horse");
        assert_ne!(secret, Secret::new("battery staple"));
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some(Secret(…))");
    }

    #[test]
    fn a_secret_is_a_literal_or_the_value_of_a_variable() {
        let read = |fields| accepted(fields, |section| section.secret("key", 16));
        assert_eq!(read(r#""key": "0123456789abcdef""#), Some(Secret::new("0123456789abcdef")));
        assert_eq!(read(r#""key": {"env": "LONG_SECRET"}"#), Some(Secret::new("0123456789abcdef-from-env")));
        assert_eq!(read(r#""key": null"#), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn an_error_about_a_secret_shows_nothing_of_it() {
        let unusable = r#"trace.key: not a secret that can be used, accepted: a string of at least 16 bytes, or {"env": NAME} with such a variable"#;
        let table = [
            r#""key": "s3cr3t""#,
            r#""key": """#,
            r#""key": 7331"#,
            r#""key": ["s3cr3t"]"#,
            r#""key": {}"#,
            r#""key": {"s3cr3t": "LONG_SECRET"}"#,
            r#""key": {"env": 7331}"#,
            r#""key": {"env": "s3cr3t with a space"}"#,
            r#""key": {"env": "7s3cr3t"}"#,
            r#""key": {"env": ""}"#,
            r#""key": {"env": "LONG_SECRET", "s3cr3t": "s3cr3t"}"#,
            r#""key": {"env": {"env": "s3cr3t"}}"#,
        ];
        for fields in table {
            assert_eq!(rejected(fields, |section| section.secret("key", 16)), unusable, "{fields}");
        }
    }

    #[test]
    fn an_error_about_a_variable_names_it() {
        let read = |fields| rejected(fields, |section| section.secret("key", 16));
        let accepted = r#"accepted: a string of at least 16 bytes, or {"env": NAME} with such a variable"#;
        assert_eq!(
            read(r#""key": {"env": "NO_SUCH"}"#),
            format!("trace.key: the environment variable NO_SUCH is not set, {accepted}")
        );
        assert_eq!(
            read(r#""key": {"env": "SHORT_SECRET"}"#),
            format!("trace.key: the environment variable SHORT_SECRET is too short, {accepted}")
        );
    }

    #[test]
    fn an_empty_secret_is_none_even_where_no_length_is_asked() {
        assert!(rejected(r#""key": """#, |section| section.secret("key", 0)).contains("at least 1 byte"));
    }

    #[test]
    fn a_filter_that_rejects_a_secret_does_not_show_it_either() {
        let error = rejected(r#""key": "s3cr3t-not-hex""#, |section| {
            section.secret("key", 1);
            section.reject("key", "64 hexadecimal digits");
        });
        assert_eq!(error, "trace.key: not a secret that can be used, accepted: 64 hexadecimal digits");
    }

    #[test]
    fn a_required_secret_that_is_absent_is_missing() {
        let error = rejected("", |section| section.required().secret("key", 1));
        assert!(error.starts_with("trace.key: missing, accepted: a string"), "{error}");
    }

    #[test]
    fn a_secret_under_a_misspelled_name_or_in_the_wrong_place_is_not_shown() {
        let error = rejected(r#""kye": "s3cr3t", "sub": "{\"key\":\"s3cr3t\"}", "list": ["s3cr3t"]"#, |section| {
            section.secret("key", 1);
            let _ = section.subsection("sub");
            section.items("list");
        });
        assert!(!error.contains("s3cr3t"), "{error}");
        assert!(error.contains("trace.kye: unknown field, accepted: key, sub, list; did you mean key?"), "{error}");
    }
}
