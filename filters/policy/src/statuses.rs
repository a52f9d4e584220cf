//! HTTP statuses as a policy writes them.

/// `404`, or all of `4xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses {
    least: u16,
    most: u16,
}

impl Statuses {
    /// What one of them is, for people.
    pub const ACCEPTED: &'static str = "an HTTP status such as \"404\", or a class of them such as \"4xx\"";

    /// Every status of a class, 1 to 9.
    pub const fn class(class: u16) -> Statuses {
        let least = class.saturating_mul(100);
        Statuses { least, most: least.saturating_add(99) }
    }

    /// Reads `"404"` or `"4xx"`: `"100"` to `"999"`, `"1xx"` to `"9xx"`.
    pub fn parse(text: &str) -> Option<Statuses> {
        let (class @ 1..=9, beyond) = (text.bytes().next()?.checked_sub(b'0')?, text.get(1..)?) else { return None };
        if beyond == "xx" {
            return Some(Statuses::class(class.into()));
        }
        let is_number = beyond.len() == 2 && beyond.bytes().all(|byte| byte.is_ascii_digit());
        let status = text.parse().ok().filter(|_| is_number)?;
        Some(Statuses { least: status, most: status })
    }

    /// Whether this is one of them.
    pub fn contains(self, status: u16) -> bool {
        (self.least..=self.most).contains(&status)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn one_status_or_a_class_of_them() {
        for (text, status, contains) in [
            ("404", 404, true),
            ("404", 403, false),
            ("404", 405, false),
            ("4xx", 400, true),
            ("4xx", 499, true),
            ("4xx", 399, false),
            ("4xx", 500, false),
            ("9xx", 999, true),
        ] {
            assert_eq!(Statuses::parse(text).unwrap().contains(status), contains, "{text} {status}");
        }
        for bad in
            ["", "4", "40", "4x", "x", "xx", "0xx", "04xx", "40xx", "4XX", "4xxx", "099", "4040", "+40", "4 4", "é04"]
        {
            assert_eq!(Statuses::parse(bad), None, "{bad}");
        }
    }
}
