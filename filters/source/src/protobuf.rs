//! Protobuf's encoding (protobuf.dev/programming-guides/encoding), as much of it as a few messages of etcd need. A
//! generated library would weigh more than all the rest of this crate.

/// The wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// These bytes are not the message that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Appends a number unless it is 0, which is what an absent one means.
pub(crate) fn put_number(field: u64, value: u64, message: &mut Vec<u8>) {
    if value != 0 {
        put_varint(field << 3 | VARINT, message);
        put_varint(value, message);
    }
}

/// Appends bytes, a string, or a message that is encoded already; also an empty one.
pub(crate) fn put_bytes(field: u64, value: &[u8], message: &mut Vec<u8>) {
    put_varint(field << 3 | LENGTH, message);
    put_varint(u64::try_from(value.len()).unwrap_or(u64::MAX), message);
    message.extend_from_slice(value);
}

fn put_varint(mut value: u64, message: &mut Vec<u8>) {
    while value >= 0x80 {
        message.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'m> {
    Varint(u64),
    Bytes(&'m [u8]),
    /// Of a type that no field has which we read.
    Fixed,
}

impl<'m> Value<'m> {
    pub(crate) fn number(self) -> Result<u64, Malformed> {
        match self {
            Value::Varint(number) => Ok(number),
            _ => Err(Malformed),
        }
    }

    /// A number with a sign, in two's complement.
    pub(crate) fn signed(self) -> Result<i64, Malformed> {
        self.number().map(u64::cast_signed)
    }

    pub(crate) fn boolean(self) -> Result<bool, Malformed> {
        self.number().map(|number| number != 0)
    }

    /// Bytes, a string, or a message.
    pub(crate) fn bytes(self) -> Result<&'m [u8], Malformed> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn text(self) -> Result<&'m str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }
}

/// What is left to read of a message. Whoever reads it skips the fields that it does not know: a newer etcd may have
/// more.
pub(crate) struct Fields<'m>(pub(crate) &'m [u8]);

impl<'m> Fields<'m> {
    /// The next field, in the order of the bytes: its number, and what it holds. `None` at the end.
    pub(crate) fn read(&mut self) -> Result<Option<(u64, Value<'m>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = tag >> 3;
        // No field has the number 0, and none a greater one than fits in 29 bits.
        if field == 0 || tag > u64::from(u32::MAX) {
            return Err(Malformed);
        }
        let value = match tag & 7 {
            VARINT => Value::Varint(self.varint()?),
            LENGTH => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.take(length)?)
            }
            FIXED64 => self.take(8).map(|_| Value::Fixed)?,
            FIXED32 => self.take(4).map(|_| Value::Fixed)?,
            // Groups: proto3 has none.
            _ => return Err(Malformed),
        };
        Ok(Some((field, value)))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number: u64 = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits);
            number |= shifted.ok_or(Malformed)?;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'m [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn fields(message: &[u8]) -> Result<Vec<(u64, Value<'_>)>, Malformed> {
        let mut fields = Fields(message);
        let mut all = Vec::new();
        while let Some(field) = fields.read()? {
            all.push(field);
        }
        Ok(all)
    }

    #[test]
    fn what_was_written_is_read() {
        let mut message = Vec::new();
        put_number(1, 150, &mut message);
        put_number(2, 0, &mut message);
        put_number(3, u64::MAX, &mut message);
        put_bytes(11, b"testing", &mut message);
        put_bytes(16, b"", &mut message);
        // The first and the fourth as protobuf's documentation has them.
        assert_eq!(&message[..3], [0x08, 0x96, 0x01]);
        assert_eq!(&message[14..], b"\x5a\x07testing\x82\x01\x00");
        let read = [(1, Value::Varint(150)), (3, Value::Varint(u64::MAX))];
        let bytes = [(11, Value::Bytes(b"testing")), (16, Value::Bytes(b""))];
        assert_eq!(fields(&message), Ok([read, bytes].concat()));
        assert_eq!(Value::Varint(u64::MAX).signed(), Ok(-1));
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        let table: [(&[u8], usize); 6] = [
            (b"", 0),
            (b"\x09\x01\x02\x03\x04\x05\x06\x07\x08\x0d\x01\x02\x03\x04", 2),
            (b"\x08\x00", 1),
            (b"\x88\x00\x00", 1),
            (b"\xf8\xff\xff\xff\x0f\x00", 1),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 1),
        ];
        for (message, count) in table {
            assert_eq!(fields(message).map(|fields| fields.len()), Ok(count), "{message:x?}");
        }
        let malformed: [&[u8]; 11] = [
            b"\x08",
            b"\x08\x80",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0a",
            b"\x0a\x02x",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x09\x01\x02\x03\x04\x05\x06\x07",
            b"\x00\x00",
            b"\x0b\x0c",
            b"\xf8\xff\xff\xff\x1f\x00",
        ];
        for message in malformed {
            assert_eq!(fields(message), Err(Malformed), "{message:x?}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_malformed() {
        assert_eq!(Value::Bytes(b"1").number(), Err(Malformed));
        assert_eq!(Value::Varint(1).bytes(), Err(Malformed));
        assert_eq!(Value::Fixed.bytes(), Err(Malformed));
        assert_eq!(Value::Bytes(b"\xff").text(), Err(Malformed));
        assert_eq!(Value::Varint(2).boolean(), Ok(true));
    }
}
