//! RFC 3339 (§5.6), UTC.

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400;

/// Appends a time, given in nanoseconds since 1970-01-01T00:00:00Z: `2023-11-14T22:13:20.000000001Z`. The last that there
/// is lies in 2554.
pub(super) fn push(line: &mut String, nanoseconds: u64) {
    let seconds = nanoseconds / SECOND;
    let (year, month, day) = date(seconds / DAY);
    let time = seconds % DAY;
    let parts = [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (time / 3_600, 2, ':'),
        (time / 60 % 60, 2, ':'),
        (time % 60, 2, '.'),
        (nanoseconds % SECOND, 9, 'Z'),
    ];
    for (number, width, after) in parts {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(number);
        line.extend(std::iter::repeat_n('0', usize::saturating_sub(width, digits.len())));
        line.push_str(digits);
        line.push(after);
    }
}

/// Year, month and day of the proleptic Gregorian calendar, by Howard Hinnant's `civil_from_days`: years begin in March,
/// so that a leap day is the last, and a month's length follows a line with the slope 153/5.
fn date(days: u64) -> (u64, u64, u64) {
    const FROM_YEAR_0: u64 = 719_468;
    const ERA: u64 = 146_097;
    let days = days.saturating_add(FROM_YEAR_0);
    let (era, of_era) = (days / ERA, days % ERA);
    let corrected =
        of_era.saturating_sub(of_era / 1_460).saturating_add(of_era / 36_524).saturating_sub(of_era / 146_096);
    let year_of_era = corrected / 365;
    let before = year_of_era.saturating_mul(365).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100);
    let of_year = of_era.saturating_sub(before);
    let march_month = of_year.saturating_mul(5).saturating_add(2) / 153;
    let day = of_year.saturating_sub(march_month.saturating_mul(153).saturating_add(2) / 5).saturating_add(1);
    let month = if march_month < 10 { march_month.saturating_add(3) } else { march_month.saturating_sub(9) };
    let year = era.saturating_mul(400).saturating_add(year_of_era).saturating_add(u64::from(month <= 2));
    (year, month, day)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_time_is_a_date_with_nanoseconds() {
        let table = [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (1, "1970-01-01T00:00:00.000000001Z"),
            (951_782_399_999_999_999, "2000-02-28T23:59:59.999999999Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000000Z"),
            (951_868_800_000_000_000, "2000-03-01T00:00:00.000000000Z"),
            (1_709_164_800_000_000_000, "2024-02-29T00:00:00.000000000Z"),
            (1_735_689_599_000_000_000, "2024-12-31T23:59:59.000000000Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000000Z"),
            (4_107_456_000_000_000_000, "2100-02-28T00:00:00.000000000Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
        ];
        for (nanoseconds, expected) in table {
            let mut line = String::new();
            push(&mut line, nanoseconds);
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = (1970, 1, 1);
        for day in 1..213_503 {
            let (year, month, day) = date(day);
            let (y, m, d) = last;
            let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
            let length = match m {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let next = match (m, d) {
                (12, 31) => (y + 1, 1, 1),
                _ if d == length => (y, m + 1, 1),
                _ => (y, m, d + 1),
            };
            assert_eq!((year, month, day), next);
            last = next;
        }
    }
}
