//! JSON (RFC 8259), straight into one buffer.

use sluicegate_telemetry::Value;
use std::fmt::Write;

/// An object that is being written: keys, each followed by its value.
pub(super) struct Object<'l> {
    line: &'l mut String,
    empty: bool,
}

impl<'l> Object<'l> {
    pub(super) fn open(line: &'l mut String) -> Object<'l> {
        line.push('{');
        Object { line, empty: true }
    }

    pub(super) fn close(self) {
        self.line.push('}');
    }

    /// A key; its value must come next.
    pub(super) fn key(&mut self, key: &str) {
        if !self.empty {
            self.line.push(',');
        }
        self.empty = false;
        self.line.push('"');
        escape(self.line, key);
        self.line.push_str("\":");
    }

    /// A string; `write` escapes what it must.
    pub(super) fn quoted(&mut self, write: impl FnOnce(&mut String)) {
        self.line.push('"');
        write(self.line);
        self.line.push('"');
    }

    pub(super) fn nested(&mut self, write: impl FnOnce(&mut Object<'_>)) {
        let mut object = Object::open(self.line);
        write(&mut object);
        object.close();
    }

    /// A value that is JSON already.
    pub(super) fn rendered(&mut self, json: &str) {
        self.line.push_str(json);
    }

    /// A key with bytes as a string of lower-case hex.
    pub(super) fn hex(&mut self, key: &str, bytes: &[u8]) {
        self.key(key);
        self.quoted(|line| bytes.iter().for_each(|byte| push_hex(line, u32::from(*byte), 2)));
    }

    /// A key and its value. A number that JSON cannot write is `null`; a record with one is refused before.
    pub(super) fn value(&mut self, key: &str, value: Value<'_>) {
        self.key(key);
        match value {
            Value::Text(text) => self.quoted(|line| text.each_piece(&mut |piece| escape(line, piece))),
            Value::Integer(integer) => self.line.push_str(itoa::Buffer::new().format(integer)),
            Value::Milliseconds(nanoseconds) => milliseconds(nanoseconds, &mut |piece| self.line.push_str(piece)),
            // Debug, unlike Display, writes large and small ones with an exponent. A String takes all that is written.
            Value::Float(float) if float.is_finite() => _ = write!(self.line, "{float:?}"),
            Value::Float(_) => self.line.push_str("null"),
            Value::Bool(bool) => self.line.push_str(if bool { "true" } else { "false" }),
            Value::Flags(flags) => self.quoted(|line| _ = write!(line, "{flags}")),
            Value::Digits(number) => self.quoted(|line| line.push_str(itoa::Buffer::new().format(number))),
        }
    }
}

/// Gives a time as decimal milliseconds, exact to the microsecond and never rounded up: `12.0`, `12.3`, `0.045`. Always
/// with a fraction: a reader that takes the type from the first value it sees would cut the others.
pub(super) fn milliseconds(nanoseconds: u64, give: &mut dyn FnMut(&str)) {
    let microseconds = nanoseconds / 1_000;
    give(itoa::Buffer::new().format(microseconds / 1_000));
    give(".");
    let mut rest = microseconds % 1_000;
    for place in [100, 10, 1] {
        give(itoa::Buffer::new().format(rest.checked_div(place).unwrap_or(0)));
        rest = rest.checked_rem(place).unwrap_or(0);
        if rest == 0 {
            return;
        }
    }
}

/// Appends text as it stands within a JSON string. Escaped is what must be (RFC 8259 §7), and whatever some reader takes
/// for the end of a line or a command to its terminal: C1 control characters, U+2028, U+2029.
pub(super) fn escape(line: &mut String, text: &str) {
    // Bytes are quicker to look at than characters, and nearly all texts are plain.
    if !text.bytes().any(|byte| matches!(byte, 0..0x20 | b'"' | b'\\' | 0x7f | 0xc2 | 0xe2)) {
        return line.push_str(text);
    }
    for character in text.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            '\0'..' ' | '\u{7f}'..'\u{a0}' | '\u{2028}' | '\u{2029}' => {
                line.push_str("\\u");
                push_hex(line, u32::from(character), 4);
            }
            _ => line.push(character),
        }
    }
}

fn push_hex(line: &mut String, number: u32, digits: u32) {
    for place in (0..digits).rev() {
        let nibble = number.checked_shr(place.saturating_mul(4)).unwrap_or(0) & 0xf;
        line.extend(char::from_digit(nibble, 16));
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use sluicegate_telemetry::outcome::ResponseFlags;

    fn written(value: Value<'_>) -> String {
        let mut line = String::new();
        let mut object = Object::open(&mut line);
        object.value("k", value);
        object.close();
        line
    }

    #[test]
    fn values_are_json() {
        let table = [
            (Value::Text("a".into()), r#"{"k":"a"}"#),
            (Value::Text("".into()), r#"{"k":""}"#),
            (Value::Integer(i64::MIN), r#"{"k":-9223372036854775808}"#),
            (Value::Float(0.1), r#"{"k":0.1}"#),
            (Value::Float(-0.0), r#"{"k":-0.0}"#),
            (Value::Float(1e300), r#"{"k":1e300}"#),
            (Value::Float(5e-324), r#"{"k":5e-324}"#),
            (Value::Float(f64::NAN), r#"{"k":null}"#),
            (Value::Bool(true), r#"{"k":true}"#),
            (Value::Bool(false), r#"{"k":false}"#),
            (Value::Digits(503), r#"{"k":"503"}"#),
            (Value::Flags(ResponseFlags::from_bits(1 << 5 | 1 << 15)), r#"{"k":"UF,URX"}"#),
        ];
        for (value, expected) in table {
            assert_eq!(written(value), expected);
        }
    }

    #[test]
    fn milliseconds_are_decimal_to_the_microsecond() {
        let table = [
            (0, "0.0"),
            (999, "0.0"),
            (1_000, "0.001"),
            (45_000, "0.045"),
            (12_000_000, "12.0"),
            (12_300_000, "12.3"),
            (12_340_999, "12.34"),
            (12_305_000, "12.305"),
            (999_999_999, "999.999"),
            (u64::MAX, "18446744073709.551"),
        ];
        for (nanoseconds, expected) in table {
            let mut text = String::new();
            milliseconds(nanoseconds, &mut |piece| text.push_str(piece));
            assert_eq!(text, expected, "{nanoseconds}");
        }
    }

    #[test]
    fn what_could_break_a_line_or_a_string_is_escaped() {
        let table = [
            ("plain", "plain"),
            ("a\"b\\c", "a\\\"b\\\\c"),
            ("\n\r\t", "\\n\\r\\t"),
            ("\0\u{1b}\u{1f}", "\\u0000\\u001b\\u001f"),
            ("\u{7f}\u{80}\u{85}\u{9b}\u{9f}\u{a0}", "\\u007f\\u0080\\u0085\\u009b\\u009f\u{a0}"),
            ("\u{2028}\u{2029}\u{2030}", "\\u2028\\u2029\u{2030}"),
            ("é日😀", "é日😀"),
        ];
        for (text, expected) in table {
            let mut line = String::new();
            escape(&mut line, text);
            assert_eq!(line, expected, "{text:?}");
        }
    }

    #[test]
    fn hex_has_its_zeros() {
        let mut line = String::new();
        let mut object = Object::open(&mut line);
        object.hex("a", &[0, 0x0f, 0xab]);
        object.hex("b", &[]);
        object.close();
        assert_eq!(line, r#"{"a":"000fab","b":""}"#);
    }
}
