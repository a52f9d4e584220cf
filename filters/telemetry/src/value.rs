use crate::Text;
use crate::outcome::ResponseFlags;

/// The value of an attribute.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A string.
    Text(Text<'a>),
    /// An integer.
    Integer(i64),
    /// A time in nanoseconds, to be written as milliseconds.
    Milliseconds(u64),
    /// A number; finite in a record that conforms.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// Envoy's flags, a string of their letters.
    Flags(ResponseFlags),
    /// A number that is written as a string: a status in `error.type`.
    Digits(u16),
}
