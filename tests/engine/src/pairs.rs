//! The serialisation in which the ABI hands over headers and lists: the number of pairs, the lengths of all names and
//! values, then these, each ended by NUL. Numbers are u32, little-endian.

/// Pairs of bytes, serialised.
pub(crate) fn write<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = length(pairs.len()).to_vec();
    for (name, value) in pairs {
        bytes.extend(length(name.as_ref().len()));
        bytes.extend(length(value.as_ref().len()));
    }
    for (name, value) in pairs {
        for part in [name.as_ref(), value.as_ref()] {
            bytes.extend_from_slice(part);
            bytes.push(0);
        }
    }
    bytes
}

/// The pairs in these bytes; `None` where they are something else.
pub(crate) fn read(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let (count, mut lengths) = number(bytes)?;
    let mut parts = lengths.get(count.checked_mul(8)?..)?;
    let mut pairs = Vec::new();
    for _ in 0..count {
        let (name, rest) = number(lengths)?;
        let (value, rest) = number(rest)?;
        lengths = rest;
        let (name, value) = (part(&mut parts, name)?, part(&mut parts, value)?);
        pairs.push((String::from_utf8(name.to_vec()).ok()?, value.to_vec()));
    }
    parts.is_empty().then_some(pairs)
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number) as usize, rest))
}

/// So many bytes and the NUL behind them.
fn part<'b>(bytes: &mut &'b [u8], len: usize) -> Option<&'b [u8]> {
    let (part, rest) = bytes.split_at_checked(len)?;
    *bytes = rest.strip_prefix(&[0])?;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_as_they_were_written_and_nothing_else_is() {
        let pairs = [("a".to_owned(), b"\xff\0".to_vec()), (String::new(), Vec::new())];
        let bytes = write(&pairs);
        assert_eq!(bytes[..12], [2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(read(&bytes).unwrap(), pairs);
        assert_eq!(read(&write::<&str, &str>(&[])), Some(Vec::new()));
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), None, "{end}");
        }
        assert_eq!(read(&[&bytes[..], b"x"].concat()), None);
        assert_eq!(read(&[&bytes[..bytes.len() - 1], b"x"].concat()), None);
        assert_eq!(read(&[0xff; 12]), None);
    }
}
