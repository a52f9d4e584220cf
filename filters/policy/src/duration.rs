//! Durations as operators write them: `"250ms"`, `"10s"`, `"1.5h"`.

use std::fmt;
use std::time::Duration;

/// The units, largest first, in nanoseconds.
const UNITS: [(&str, u64); 5] =
    [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];

/// What [`parse`] reads, but for its upper limit, as a regular expression that is the same in all dialects. Each unit has
/// as many decimals as make whole nanoseconds.
#[cfg(any(test, feature = "schema"))]
pub(crate) const PATTERN: &str = "^[0-9]+((\\.[0-9]{1,11}0*)?h|(\\.[0-9]{1,10}0*)?m|(\\.[0-9]{1,9}0*)?s|\
    (\\.[0-9]{1,6}0*)?ms|(\\.[0-9]{1,3}0*)?us)$";

/// Reads a decimal number with a unit (`us`, `ms`, `s`, `m`, `h`) and nothing else: no sign, no white space, no
/// exponent. Exact: what is not a whole number of nanoseconds is refused, as is what exceeds 2^64 of them (584 years).
pub fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.find(|character: char| character.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, decimals) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (number, ""),
    };
    if whole.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    for digit in whole.chars() {
        total = total.checked_mul(10)?.checked_add(u64::from(digit.to_digit(10)?))?;
    }
    total = total.checked_mul(*unit)?;
    let mut place = *unit;
    for digit in decimals.chars() {
        let digit = u64::from(digit.to_digit(10)?);
        // Below a whole nanosecond only zeros may follow.
        place = if place.is_multiple_of(10) { place / 10 } else { 0 };
        if place == 0 && digit != 0 {
            return None;
        }
        total = total.checked_add(digit.checked_mul(place)?)?;
    }
    Some(Duration::from_nanos(total))
}

/// A duration in the largest unit that leaves no remainder, as [`parse`] reads it; below a microsecond in `ns`.
pub(crate) struct Written(pub(crate) Duration);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        if nanos == 0 {
            return f.write_str("0s");
        }
        for (name, unit) in UNITS {
            if let (Some(number), Some(0)) = (nanos.checked_div(unit), nanos.checked_rem(unit)) {
                return write!(f, "{number}{name}");
            }
        }
        write!(f, "{nanos}ns")
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_decimal_number_with_a_unit_is_a_duration() {
        let table = [
            ("0s", 0),
            ("1us", 1_000),
            ("250ms", 250_000_000),
            ("10s", 10_000_000_000),
            ("1.5s", 1_500_000_000),
            ("1.50s", 1_500_000_000),
            ("007m", 420_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("0.001us", 1),
            ("0.000000001s", 1),
            ("0.00000000100000s", 1),
            ("0.3ms", 300_000),
            ("18446744073709551us", 18_446_744_073_709_551_000),
            ("18446744073.709551615s", u64::MAX),
        ];
        for (text, nanos) in table {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanos)), "{text:?}");
        }
    }

    #[test]
    fn everything_else_is_not() {
        let table = [
            "",
            "s",
            "10",
            "1.5",
            ".5s",
            "1.s",
            "1..5s",
            "1.5.5s",
            "-1s",
            "+1s",
            "1e3s",
            "1 s",
            " 1s",
            "1s ",
            "1S",
            "1sec",
            "1d",
            "1h30m",
            "0x1s",
            "१s",
            "1µs",
            "NaNs",
            "infs",
            "0.0001us",
            "0.0000000001s",
            "18446744073.709551616s",
            "18446744073709551616s",
            "99999999999999999999999h",
            "5124096h",
        ];
        for text in table {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_written_duration_is_read_back_as_the_same() {
        let table = [
            ("0s", 0),
            ("1us", 1_000),
            ("1500us", 1_500_000),
            ("90s", 90_000_000_000),
            ("2m", 120_000_000_000),
            ("24h", 86_400_000_000_000),
        ];
        for (text, nanos) in table {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(Written(duration).to_string(), text);
            assert_eq!(parse(text), Some(duration));
        }
        assert_eq!(Written(Duration::from_nanos(1_001)).to_string(), "1001ns");
    }
}
