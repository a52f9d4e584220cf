//! Fields that hold a secret. What goes wrong here is told without what was found.

use super::Section;
use crate::secret::Secret;
use crate::value::Value;

impl Section<'_> {
    /// A secret of at least `at_least` bytes (one in any case): a string, or `{ env: NAME }` for the value of an
    /// environment variable. No error shows anything of it but that variable's name.
    pub fn secret(&self, name: &'static str, at_least: usize) -> Option<Secret> {
        if let Some(object) = self.object {
            object.accept_secret(name);
        }
        let at_least = at_least.max(1);
        let accepted = format_args!("a string of at least {at_least} bytes, or {{\"env\": NAME}} with such a variable");
        let field = self.field(name);
        let Some(value) = field.value else {
            return self.read(name, &accepted, |_| None);
        };
        let path = self.path.field(field.name);
        let refuse =
            || self.origin.report.error(&path, format_args!("not a secret that can be used, accepted: {accepted}"));
        let is_long_enough = |text: &str| text.len() >= at_least;
        if let Value::String(text) = value {
            if is_long_enough(text) {
                return Some(Secret::new(text));
            }
            refuse();
            return None;
        }
        let Some(variable) = environment_variable(value) else {
            refuse();
            return None;
        };
        match (self.origin.environment)(variable) {
            Some(text) if is_long_enough(&text) => return Some(Secret::new(&text)),
            Some(_) => {
                let problem = format_args!("the environment variable {variable} is too short, accepted: {accepted}");
                self.origin.report.error(&path, problem);
            }
            None => {
                let problem = format_args!("the environment variable {variable} is not set, accepted: {accepted}");
                self.origin.report.error(&path, problem);
            }
        }
        None
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
