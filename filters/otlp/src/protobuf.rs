//! Protobuf's encoding (protobuf.dev/programming-guides/encoding), as much of it as OTLP needs.
//!
//! A generated library would bring a type for every message and build a tree of them for every record. Here each field
//! goes straight into the buffer that is sent.

/// The wire types that OTLP uses.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// The longest varint.
const MAX_VARINT: usize = 10;

/// Appends fields to a buffer. Fields with the default value of proto3 are the caller's to leave out; the methods that
/// are called `…_unless_…` do so.
pub(crate) struct Writer<'b>(pub(crate) &'b mut Vec<u8>);

impl Writer<'_> {
    pub(crate) fn varint(&mut self, field: u32, value: u64) {
        self.key(field, VARINT);
        put_varint(self.0, value);
    }

    pub(crate) fn varint_unless_zero(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.varint(field, value);
        }
    }

    pub(crate) fn fixed64(&mut self, field: u32, value: u64) {
        self.key(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn fixed64_unless_zero(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.fixed64(field, value);
        }
    }

    pub(crate) fn fixed32_unless_zero(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.key(field, FIXED32);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// Bytes, a string, or a message that is encoded already.
    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.length(field, value.len());
        self.0.extend_from_slice(value);
    }

    pub(crate) fn bytes_unless_empty(&mut self, field: u32, value: &[u8]) {
        if !value.is_empty() {
            self.bytes(field, value);
        }
    }

    /// The key and the length of a field whose bytes the caller appends.
    pub(crate) fn length(&mut self, field: u32, length: usize) {
        self.key(field, LENGTH);
        put_varint(self.0, as_u64(length));
    }

    /// A message of which `content` writes the fields. Its length is put in when it is known; one byte is kept free for
    /// it, which is enough for most messages inside a record, so that hardly any is moved.
    pub(crate) fn message(&mut self, field: u32, content: impl FnOnce(&mut Writer<'_>)) {
        self.key(field, LENGTH);
        let at = self.0.len();
        self.0.push(0);
        let start = self.0.len();
        content(&mut Writer(self.0));
        let length = as_u64(self.0.len().saturating_sub(start));
        match u8::try_from(length) {
            Ok(short @ 0..=0x7f) => {
                if let Some(byte) = self.0.get_mut(at) {
                    *byte = short;
                }
            }
            _ => {
                let mut varint = Vec::with_capacity(MAX_VARINT);
                put_varint(&mut varint, length);
                self.0.splice(at..start, varint);
            }
        }
    }

    fn key(&mut self, field: u32, wire_type: u64) {
        put_varint(self.0, u64::from(field) << 3 | wire_type);
    }
}

fn put_varint(buffer: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buffer.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

/// How many bytes a field takes whose key is one byte, with `length` bytes in it.
pub(crate) fn framed(length: usize) -> usize {
    let mut varint = 1_usize;
    let mut rest = length >> 7;
    while rest > 0 {
        varint = varint.saturating_add(1);
        rest >>= 7;
    }
    length.saturating_add(varint).saturating_add(1)
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A field that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read<'m> {
    Varint(u64),
    Bytes(&'m [u8]),
    /// Of a type that no field which we want has.
    Other,
}

/// The fields of a message in their order, with their numbers. Ends at what is no protobuf.
pub(crate) struct Fields<'m>(pub(crate) &'m [u8]);

impl<'m> Iterator for Fields<'m> {
    type Item = (u64, Read<'m>);

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.read();
        if field.is_none() {
            self.0 = &[];
        }
        field
    }
}

impl<'m> Fields<'m> {
    fn read(&mut self) -> Option<(u64, Read<'m>)> {
        let key = self.take_varint()?;
        let read = match key & 7 {
            VARINT => Read::Varint(self.take_varint()?),
            FIXED64 => self.take(8).map(|_| Read::Other)?,
            LENGTH => {
                let length = usize::try_from(self.take_varint()?).ok()?;
                Read::Bytes(self.take(length)?)
            }
            FIXED32 => self.take(4).map(|_| Read::Other)?,
            _ => return None,
        };
        Some((key >> 3, read))
    }

    fn take(&mut self, length: usize) -> Option<&'m [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn take_varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut buffer = Vec::new();
        write(&mut Writer(&mut buffer));
        buffer
    }

    #[test]
    fn fields_are_written_as_the_examples_of_the_specification() {
        assert_eq!(written(|w| w.varint(1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(written(|w| w.bytes(2, b"testing")), b"\x12\x07testing");
        assert_eq!(written(|w| w.message(3, |w| w.varint(1, 150))), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(written(|w| w.fixed64(1, 1)), [0x09, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(written(|w| w.fixed32_unless_zero(16, 1)), [0x85, 0x01, 1, 0, 0, 0]);
        assert_eq!(written(|w| w.varint(1, u64::MAX)).len(), 11);
    }

    #[test]
    fn a_default_that_may_be_left_out_is() {
        let nothing = written(|w| {
            w.varint_unless_zero(1, 0);
            w.fixed64_unless_zero(1, 0);
            w.fixed32_unless_zero(1, 0);
            w.bytes_unless_empty(1, b"");
        });
        assert_eq!(nothing, b"");
    }

    #[test]
    fn a_message_of_any_length_is_read_back() {
        for length in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 70_000] {
            let content = vec![7; length];
            let outer = written(|w| {
                w.message(1, |w| w.0.extend_from_slice(&content));
                w.varint(2, 5);
            });
            let fields: Vec<_> = Fields(&outer).collect();
            assert_eq!(fields, [(1, Read::Bytes(&content)), (2, Read::Varint(5))], "{length}");
            assert_eq!(framed(length), written(|w| w.bytes(1, &content)).len(), "{length}");
        }
    }

    #[test]
    fn reading_ends_at_nonsense() {
        for (nonsense, fields) in [
            (&b""[..], 0),
            (b"\x08\x01\x0b", 1),
            (b"\x08", 0),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0),
            (b"\x0a\xff\xff\xff\xff\x0f", 0),
            (b"\x0a\x02a", 0),
            (b"\x09\x01", 0),
            (b"\x0d\x01\x02\x03\x04\x08\x80", 1),
            (b"<html>", 0),
        ] {
            assert_eq!(Fields(nonsense).count(), fields, "{nonsense:?}");
        }
    }
}
