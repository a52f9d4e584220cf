//! Fields that hold a secret. What goes wrong here is told without what was found.

use std::fmt;

use super::Section;
use crate::secret::Secret;
use crate::value::Value;

impl Section<'_> {
    /// A secret of at least `at_least` bytes (one in any case): a string, or `{ env: NAME }` for the value of an
    /// environment variable. No error shows anything of it but that variable's name.
    pub fn secret(&self, name: &'static str, at_least: usize) -> Option<Secret> {
        self.secret_as(name, at_least, Form::Any)
    }

    /// A secret that is sent as the whole value of a header, and so must be able to stand in one: visible ASCII, with
    /// blanks inside at most (RFC 9110 §5.5). Else as [`Section::secret`].
    pub fn header_secret(&self, name: &'static str, at_least: usize) -> Option<Secret> {
        self.secret_as(name, at_least, Form::HeaderValue)
    }

    fn secret_as(&self, name: &'static str, at_least: usize, form: Form) -> Option<Secret> {
        if let Some(object) = self.object {
            object.accept_secret(name);
        }
        let at_least = at_least.max(1);
        let accepted = format_args!(
            "a string of at least {at_least} bytes{}, or {{\"env\": NAME}} with such a variable",
            form.accepted()
        );
        note!(self, name, Secret { at_least, in_header: form.is_for_header(), accepted: accepted.to_string() });
        let field = self.field(name);
        let Some(value) = field.value else {
            return self.read(name, &accepted, |_| None);
        };
        let path = self.path.field(field.name);
        let refuse = |problem: &dyn fmt::Display| {
            self.origin.report.error(&path, format_args!("{problem}, accepted: {accepted}"));
            None
        };
        const UNUSABLE: &str = "not a secret that can be used";
        if let Value::String(text) = value {
            return match text.len() >= at_least && form.fits(text) {
                true => Some(Secret::new(text)),
                false => refuse(&UNUSABLE),
            };
        }
        let Some(variable) = environment_variable(value) else {
            return refuse(&UNUSABLE);
        };
        match (self.origin.environment)(variable) {
            None => refuse(&format_args!("the environment variable {variable} is not set")),
            Some(text) if text.len() < at_least => {
                refuse(&format_args!("the environment variable {variable} is too short"))
            }
            Some(text) if !form.fits(&text) => {
                refuse(&format_args!("the environment variable {variable} holds what cannot stand in a header"))
            }
            Some(text) => Some(Secret::new(&text)),
        }
    }
}

/// What a secret may be made of.
#[derive(Clone, Copy)]
enum Form {
    Any,
    HeaderValue,
}

impl Form {
    fn fits(self, text: &str) -> bool {
        let is_blank = |byte: u8| matches!(byte, b' ' | b'\t');
        match self {
            Form::Any => true,
            // Bytes beyond ASCII may stand there too (obs-text), but not every client and proxy lets them pass.
            Form::HeaderValue => {
                text.bytes().all(|byte| byte.is_ascii_graphic() || is_blank(byte))
                    && !text.bytes().next().is_some_and(is_blank)
                    && !text.bytes().next_back().is_some_and(is_blank)
            }
        }
    }

    #[cfg(any(test, feature = "schema"))]
    fn is_for_header(self) -> bool {
        matches!(self, Form::HeaderValue)
    }

    /// The same for people, behind the length.
    fn accepted(self) -> &'static str {
        match self {
            Form::Any => "",
            Form::HeaderValue => {
                " that can stand in a header (visible ASCII, and blanks but not at the ends; RFC 9110 §5.5)"
            }
        }
    }
}

/// The name in `{ env: NAME }`. What could not be a variable's name is not taken for one: it may be the secret itself,
/// in the wrong place, and the name is shown in errors.
fn environment_variable(value: &Value) -> Option<&str> {
    let Value::Object(object) = value else {
        return None;
    };
    let [(key, Value::String(name))] = object.fields.as_slice() else {
        return None;
    };
    let is_name = (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit());
    (&**key == "env" && is_name).then_some(name)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use crate::{Document, Secret};

    const ACCEPTED: &str = "accepted: a string of at least 8 bytes that can stand in a header (visible ASCII, and blanks \
        but not at the ends; RFC 9110 §5.5), or {\"env\": NAME} with such a variable";

    /// What is read of this JSON where a header's value is asked for, and what is wrong with it.
    fn reading(key: &str, variable: Option<&str>) -> (Option<Secret>, String) {
        let environment = |_: &str| variable.map(str::to_owned);
        let text = format!(r#"{{"version": "1.0", "trace": {{"key": {key}}}}}"#);
        let document = Document::parse(text.as_bytes(), &environment).unwrap();
        let secret = document.section("trace").required().header_secret("key", 8);
        (secret, document.finish().map_or_else(|errors| errors.to_string(), |warnings| warnings.join("\n")))
    }

    /// The text as a string of JSON.
    fn quoted(text: &str) -> String {
        let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        format!("\"{escaped}\"")
    }

    #[test]
    fn a_secret_for_a_header_is_what_can_stand_in_one() {
        for text in ["01234567", "correct horse\tbattery", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"] {
            let expected = (Some(Secret::new(text)), String::new());
            assert_eq!(reading(&quoted(text), None), expected, "{text}");
            assert_eq!(reading(r#"{"env": "KEY"}"#, Some(text)), expected, "{text}");
        }
        for text in [
            " 01234567",
            "01234567 ",
            "\t01234567",
            "01234567\t",
            "        ",
            "01234567\n",
            "0123\r\n4567",
            "0123\u{0}4567",
            "0123\u{7f}4567",
            "0123\u{e9}4567",
        ] {
            let (secret, error) = reading(&quoted(text), None);
            assert_eq!((secret, error), (None, format!("trace.key: not a secret that can be used, {ACCEPTED}")));
            let (secret, error) = reading(r#"{"env": "KEY"}"#, Some(text));
            let problem = "the environment variable KEY holds what cannot stand in a header";
            assert_eq!((secret, error), (None, format!("trace.key: {problem}, {ACCEPTED}")), "{text:?}");
        }
    }

    #[test]
    fn a_secret_for_a_header_is_refused_as_any_other() {
        let problem = |key, variable| reading(key, variable).1;
        for (key, variable, expected) in [
            ("null", None, "missing"),
            (r#""s3cr3t""#, None, "not a secret that can be used"),
            ("12345678", None, "not a secret that can be used"),
            (r#"{"env": "KEY"}"#, None, "the environment variable KEY is not set"),
            (r#"{"env": "KEY"}"#, Some("s3cr3t"), "the environment variable KEY is too short"),
        ] {
            assert_eq!(problem(key, variable), format!("trace.key: {expected}, {ACCEPTED}"));
        }
    }
}
