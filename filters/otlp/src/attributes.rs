use crate::protobuf::Writer;

/// The value of an attribute, or the body of a log record (OTLP's `AnyValue`, of which lists and maps are left out).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text.
    String(&'a str),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Double(f64),
}

impl Value<'_> {
    pub(crate) fn write(self, field: u32, writer: &mut Writer<'_>) {
        // A member of a `oneof` is written also where it has its default value: that is how it is told from none.
        writer.message(field, |any| match self {
            Value::String(text) => any.bytes(1, text.as_bytes()),
            Value::Bool(value) => any.varint(2, u64::from(value)),
            Value::Int(value) => any.varint(3, value.cast_unsigned()),
            Value::Double(value) => any.fixed64(4, value.to_bits()),
        });
    }
}

/// Where the attributes of a record, a span, a link or a resource go, one after the other.
///
/// Keys must be unique; that is the caller's to see to, as OTLP demands it of the sender.
pub struct Attributes<'w, 'b> {
    writer: &'w mut Writer<'b>,
    field: u32,
}

impl<'w, 'b> Attributes<'w, 'b> {
    /// Attributes that go into the field of this number.
    pub(crate) fn new(writer: &'w mut Writer<'b>, field: u32) -> Attributes<'w, 'b> {
        Attributes { writer, field }
    }

    /// Adds an attribute.
    // A record adds some thirty; a copy of this at each of them would be kilobytes of module.
    #[inline(never)]
    pub fn add(&mut self, key: &str, value: Value<'_>) {
        self.writer.message(self.field, |pair| {
            pair.bytes_unless_empty(1, key.as_bytes());
            value.write(2, pair);
        });
    }
}
