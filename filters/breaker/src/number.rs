//! Whole numbers of few bytes where they are small: base 128, least significant first (LEB128).

/// Appends a number.
pub(crate) fn write(number: impl Into<u64>, bytes: &mut Vec<u8>) {
    let mut number = number.into();
    while number >= 0x80 {
        bytes.push(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number off; `None` where there is none that fits.
pub(crate) fn read<T: TryFrom<u64>>(bytes: &mut &[u8]) -> Option<T> {
    let mut number: u64 = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes)?;
        let bits = u64::from(byte & 0x7f);
        number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte & 0x80 == 0 {
            return T::try_from(number).ok();
        }
    }
    None
}

/// Takes a byte off.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u8> {
    let (byte, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*byte)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn numbers_are_read_as_they_were_written_and_nothing_else_is_one() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            write(number, &mut bytes);
            let mut rest = &bytes[..];
            assert_eq!((read(&mut rest), rest), (Some(number), &[][..]));
            assert_eq!(read::<u64>(&mut &bytes[..bytes.len() - 1]), None, "{number}");
            assert_eq!(read::<u32>(&mut &bytes[..]), u32::try_from(number).ok());
        }
        assert_eq!(read::<u64>(&mut &[0xff; 20][..]), None);
        let too_great = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
        assert_eq!(read::<u64>(&mut &too_great[..]), None);
    }
}
