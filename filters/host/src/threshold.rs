//! The rejection threshold T: of 2^56 possible requests, how many are not recorded (OpenTelemetry, TraceState: Probability
//! Sampling).

use crate::{Tracestate, hex};

/// How many values a threshold may have, and the randomness R beside it: 2^56.
const SPACE: u64 = Threshold::SPACE;

/// How many hex digits they take.
const DIGITS: usize = 14;

/// From 0 (all are kept) to 2^56 − 1. What is compared is what is written: a threshold made of a probability is rounded
/// already, so that whoever reads it decides by the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold(u64);

/// Digits beyond the leading `f`s: what OpenTelemetry recommends to SDKs. It keeps a probability to within 0.013 %
/// (down to 2^-44; 14 digits are all there are).
const PRECISION: usize = 4;

impl Threshold {
    /// How many values R may have, each as likely as the other: 2^56.
    pub const SPACE: u64 = 1 << 56;

    /// All are kept: `th:0`.
    pub const ALL: Threshold = Threshold(0);

    /// The largest: one in 2^56 is kept.
    pub const LARGEST: Threshold = Threshold(SPACE - 1);

    /// T = (1 − p) × 2^56, rounded as OpenTelemetry's algorithm does with a precision of 4. What is above 1 counts as 1,
    /// what is too small to be expressed gets [`Threshold::LARGEST`]. `None` for 0 and below, and for NaN: to keep nothing
    /// is no probability sampling and has no threshold.
    pub fn of_probability(probability: f64) -> Option<Threshold> {
        if probability.is_nan() || probability <= 0.0 {
            return None;
        }
        if probability >= 1.0 {
            return Some(Threshold::ALL);
        }
        // Below 2^56, and the scaling is by a power of two: exact.
        let kept = (probability * SPACE as f64).round() as u64;
        let exact = SPACE.saturating_sub(kept);
        let digits = PRECISION.saturating_add(leading_fs(probability)).min(DIGITS);
        let beyond = DIGITS.saturating_sub(digits).saturating_mul(4);
        let half = (1u64 << beyond) >> 1;
        let rounded = exact.saturating_add(half) >> beyond << beyond;
        Some(Threshold(rounded).min(Threshold::LARGEST))
    }

    /// Reads the value of `th`: 1 to 14 lower-case hex digits, zeros to the right left out or not (OpenTelemetry,
    /// TraceState Handling).
    pub fn parse(digits: &[u8]) -> Option<Threshold> {
        if digits.is_empty() {
            return None;
        }
        let mut all = [b'0'; DIGITS];
        all.get_mut(..digits.len())?.copy_from_slice(digits);
        let [a, b, c, d, e, f, g] = hex::decode_lower(&all)?;
        Some(Threshold(u64::from_be_bytes([0, a, b, c, d, e, f, g])))
    }

    /// `th` of the member `ot` in the value of a header `tracestate`; `None` where it has none, or where something there
    /// breaks its grammar.
    pub fn of_tracestate(header: &[u8]) -> Option<Threshold> {
        let headers = [header];
        let list = Tracestate::parse(&headers)?;
        let member = list.members().find(|member| member.key == b"ot")?;
        member
            .value
            .split(|byte| *byte == b';')
            .find_map(|sub_key| sub_key.strip_prefix(b"th:"))
            .and_then(Threshold::parse)
    }

    /// Appends the value of `th`: as few digits as say it, at least one.
    pub fn write(self, text: &mut Vec<u8>) {
        let [_, bytes @ ..] = self.0.to_be_bytes();
        let digits = hex::text(&bytes);
        let significant = digits.iter().rposition(|digit| *digit != b'0').unwrap_or(0).saturating_add(1);
        text.extend_from_slice(digits.get(..significant).unwrap_or(&digits));
    }

    /// The decision: R ≥ T.
    pub fn keeps(self, randomness: u64) -> bool {
        randomness >= self.0
    }

    /// The probability that this threshold stands for, above 0 and up to 1: its inverse is how many requests a recorded
    /// one counts for.
    pub fn probability(self) -> f64 {
        SPACE.saturating_sub(self.0) as f64 / SPACE as f64
    }
}

/// How many `f`s the threshold of a probability below 1 begins with, as OpenTelemetry counts them: one for every 2^-4
/// that it is below.
fn leading_fs(probability: f64) -> usize {
    // IEEE 754: the exponent of a number from 1/2 up to 1 is 1022, and one less for every halving.
    let exponent = probability.to_bits() >> 52 & 0x7ff;
    let halvings = 1022u64.saturating_sub(exponent);
    usize::try_from(halvings / 4).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(threshold: Threshold) -> String {
        let mut text = Vec::new();
        threshold.write(&mut text);
        String::from_utf8(text).unwrap()
    }

    fn of(probability: f64) -> Threshold {
        Threshold::of_probability(probability).unwrap()
    }

    fn parse(digits: &str) -> Option<Threshold> {
        Threshold::parse(digits.as_bytes())
    }

    /// The table "1-in-N" of TraceState: Probability Sampling, in the column of precision 4.
    #[test]
    fn thresholds_are_those_of_opentelemetrys_table() {
        for (one_in, digits, actual) in [
            (1.0, "0", 1.0),
            (2.0, "8", 0.5),
            (3.0, "aaab", 0.3333282470703125),
            (4.0, "c", 0.25),
            (5.0, "cccd", 0.1999969482421875),
            (8.0, "e", 0.125),
            (10.0, "e666", 0.100006103515625),
            (16.0, "f", 0.0625),
            (100.0, "fd70a", 0.010000228881835938),
            (1_000.0, "ffbe77", 0.0009999871253967285),
            (10_000.0, "fff9724", 0.00010000169277191162),
            (100_000.0, "ffff583a", 1.00000761449337e-05),
            (1_000_000.0, "ffffef39", 1.00000761449337e-06),
        ] {
            let threshold = of(1.0 / one_in);
            assert_eq!(written(threshold), digits, "1 in {one_in}");
            assert!(
                (threshold.probability() / actual - 1.0).abs() < 1e-12,
                "1 in {one_in}: {}",
                threshold.probability()
            );
        }
    }

    #[test]
    fn a_probability_that_cannot_be_expressed_gets_the_nearest_that_can() {
        let largest = "f".repeat(14);
        for probability in [f64::MIN_POSITIVE, f64::from_bits(1), 1e-300, 2f64.powi(-60), 2f64.powi(-56)] {
            assert_eq!(written(of(probability)), largest, "{probability}");
        }
        assert_eq!(written(of(2f64.powi(-55))), "fffffffffffffe");
        assert_eq!(written(of(2f64.powi(-52))), "fffffffffffff");
        assert_eq!(Threshold::LARGEST.probability(), 2f64.powi(-56));
        for probability in [1.0, 1.5, f64::INFINITY, 1.0 - f64::EPSILON] {
            assert_eq!(of(probability), Threshold::ALL, "{probability}");
        }
    }

    #[test]
    fn nothing_has_no_threshold() {
        for probability in [0.0, -0.0, -1.0, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(Threshold::of_probability(probability), None, "{probability}");
        }
    }

    #[test]
    fn rounding_moves_a_probability_by_next_to_nothing() {
        for step in 1..=10_000 {
            let probability = 1.15f64.powi(-(step % 200)) * (1.0 - f64::from(step) / 20_000.0);
            let error = of(probability).probability() / probability - 1.0;
            assert!(error.abs() < 1.3e-4, "{probability}: {error}");
        }
    }

    #[test]
    fn the_value_of_th_is_read_as_opentelemetry_has_it() {
        for (digits, number) in [
            ("0", 0),
            ("00000000000000", 0),
            ("c", 0xc0_0000_0000_0000),
            ("c0", 0xc0_0000_0000_0000),
            ("08", 0x08_0000_0000_0000),
            ("fd70a4", 0xfd_70a4_0000_0000),
            ("00000000000001", 1),
            ("ffffffffffffff", 0xff_ffff_ffff_ffff),
        ] {
            assert_eq!(parse(digits), Some(Threshold(number)), "{digits}");
        }
        for digits in ["", "000000000000000", "C", "fd70A4", "g", "-1", "+1", " c", "c ", "0x8"] {
            assert_eq!(parse(digits), None, "{digits:?}");
        }
    }

    #[test]
    fn the_value_of_th_has_no_zeros_to_the_right_but_one() {
        for (digits, shortest) in [("0", "0"), ("c00", "c"), ("08", "08"), ("00000000000001", "00000000000001")] {
            assert_eq!(written(parse(digits).unwrap()), shortest);
        }
    }

    #[test]
    fn a_request_is_kept_from_the_threshold_on() {
        let threshold = parse("c").unwrap();
        let randomness = |digits: &str| u64::from_str_radix(digits, 16).unwrap();
        assert!(threshold.keeps(randomness("c0000000000000")));
        assert!(!threshold.keeps(randomness("bfffffffffffff")));
        assert!(Threshold::ALL.keeps(randomness("00000000000000")));
        assert!(Threshold::LARGEST.keeps(randomness("ffffffffffffff")));
        assert!(!Threshold::LARGEST.keeps(randomness("fffffffffffffe")));
    }
}
