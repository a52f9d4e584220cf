//! A `google.protobuf.Struct` in the wire format, put together by hand, and so in ways that no library would.

/// A field that a length stands before: a string or a message.
pub(crate) fn delimited(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut length = content.len();
    let mut bytes = vec![tag];
    while length > 0x7f {
        bytes.push(0x80 | (length & 0x7f) as u8);
        length >>= 7;
    }
    bytes.push(length as u8);
    [&bytes, content].concat()
}

/// The value of a string.
pub(crate) fn text(text: &str) -> Vec<u8> {
    delimited(0x1a, text.as_bytes())
}

/// The value of a number.
pub(crate) fn number(number: f64) -> Vec<u8> {
    [&[0x11][..], &number.to_le_bytes()].concat()
}

/// The value of a list.
pub(crate) fn list(items: &[Vec<u8>]) -> Vec<u8> {
    delimited(0x32, &items.iter().flat_map(|item| delimited(0x0a, item)).collect::<Vec<_>>())
}

/// The value of an object.
pub(crate) fn nested(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    delimited(0x2a, &object(fields))
}

/// A `Struct`.
pub(crate) fn object(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entry = |(name, value): &(&str, Vec<u8>)| {
        delimited(0x0a, &[delimited(0x0a, name.as_bytes()), delimited(0x12, value)].concat())
    };
    fields.iter().flat_map(entry).collect()
}
