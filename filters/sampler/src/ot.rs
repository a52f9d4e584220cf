//! OpenTelemetry's member of `tracestate`, `ot=th:…;rv:…` (OpenTelemetry, TraceState Handling): what it says of sampling,
//! and what becomes of it.

use crate::randomness::Randomness;
use sluicegate_host::{Threshold, Tracestate};

/// What the `tracestate` of a request says of sampling.
#[derive(Clone, Debug)]
pub(crate) struct Ot<'h> {
    /// `None` where the headers break the grammar.
    list: Option<Tracestate<'h>>,
    member: Member<'h>,
    threshold: Option<Threshold>,
    randomness: Option<Randomness>,
}

/// The member itself.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Member<'h> {
    Absent,
    /// It breaks OpenTelemetry's grammar, or stands there twice: for what it says it counts as absent, but there it is.
    /// With two, the left one, which is the later, counts.
    Broken(Vec<SubKey<'h>>),
    Whole(Vec<SubKey<'h>>),
}

/// `key:value`.
type SubKey<'h> = (&'h [u8], &'h [u8]);

/// What is to become of the `tracestate` headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// They stay as they came, byte for byte.
    Unchanged,
    /// One header with this value takes their place.
    Set(Vec<u8>),
    /// They go.
    Remove,
}

/// The headers after a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edited {
    /// What is to be written.
    pub(crate) change: Change,
    /// What was to be said found no place beside the other sub-keys within 256 bytes and was left out, which OpenTelemetry
    /// would have told to somebody.
    pub(crate) left_out: bool,
}

const KEY: &str = "ot";
const THRESHOLD: &[u8] = b"th";
const RANDOMNESS: &[u8] = b"rv";

impl<'h> Ot<'h> {
    /// Reads all `tracestate` headers of a request. A list or a member that breaks its grammar says nothing, nor does a
    /// value of `th` or `rv` that breaks its own.
    pub(crate) fn read(headers: &'h [&'h [u8]]) -> Ot<'h> {
        let list = Tracestate::parse(headers);
        let member = list.map_or(Member::Absent, Member::find);
        let value = |key| member.sub_keys().iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        let threshold = value(THRESHOLD).and_then(Threshold::parse);
        let randomness = value(RANDOMNESS).and_then(Randomness::parse);
        Ot { list, member, threshold, randomness }
    }

    /// `th`: the threshold by which the caller was sampled.
    pub(crate) fn threshold(&self) -> Option<Threshold> {
        self.threshold
    }

    /// `rv`: the explicit randomness of the trace.
    pub(crate) fn randomness(&self) -> Option<Randomness> {
        self.randomness
    }

    /// The headers with `th` as given, which is erased for `None`, and with `rv` where one is given and none is there yet.
    /// Where that is what they say already, they stay as they are. A changed member moves to the left (W3C Trace Context
    /// §3.5), what is new in front and its other sub-keys behind in their order; one that is broken goes, as does a list
    /// that is.
    ///
    /// What does not fit into the 256 bytes of the member is left out, `th` before `rv`, since a threshold belongs to its
    /// randomness: without `th` the probability is unknown, which is never wrong.
    pub(crate) fn with(&self, threshold: Option<Threshold>, randomness: Option<Randomness>) -> Edited {
        let randomness = randomness.filter(|_| self.randomness.is_none());
        let wishes = [(threshold, randomness), (None, randomness), (None, None)];
        let fits = |wish: &&(Option<Threshold>, Option<Randomness>)| {
            self.says(wish.0, wish.1) || self.compose(wish.0, wish.1).len() <= Tracestate::MAX_VALUE
        };
        // The last one fits: it only takes away.
        let (granted_threshold, granted_randomness) = wishes.iter().find(fits).copied().unwrap_or_default();
        let change = if self.says(granted_threshold, granted_randomness) {
            Change::Unchanged
        } else {
            self.write(&self.compose(granted_threshold, granted_randomness))
        };
        Edited { change, left_out: (granted_threshold, granted_randomness) != (threshold, randomness) }
    }

    fn write(&self, member: &[u8]) -> Change {
        let member = Some(member).filter(|member| !member.is_empty());
        let list = self.list.or_else(|| Tracestate::parse(&[]));
        list.and_then(|list| list.with(KEY, member)).map_or(Change::Remove, Change::Set)
    }

    /// Whether the headers are in order and say this already.
    fn says(&self, threshold: Option<Threshold>, randomness: Option<Randomness>) -> bool {
        let has_threshold = self.member.sub_keys().iter().any(|(key, _)| *key == THRESHOLD);
        let is_said = threshold == self.threshold && has_threshold == threshold.is_some() && randomness.is_none();
        self.list.is_some() && !matches!(self.member, Member::Broken(_)) && is_said
    }

    fn compose(&self, threshold: Option<Threshold>, randomness: Option<Randomness>) -> Vec<u8> {
        let mut text = Vec::with_capacity(Tracestate::MAX_VALUE);
        if let Some(threshold) = threshold {
            begin(&mut text, THRESHOLD);
            threshold.write(&mut text);
        }
        if let Some(randomness) = randomness {
            begin(&mut text, RANDOMNESS);
            randomness.write(&mut text);
        }
        for (key, value) in self.member.sub_keys() {
            let is_replaced = *key == THRESHOLD || *key == RANDOMNESS && randomness.is_some();
            if !is_replaced {
                begin(&mut text, key);
                text.extend_from_slice(value);
            }
        }
        text
    }
}

fn begin(text: &mut Vec<u8>, key: &[u8]) {
    if !text.is_empty() {
        text.push(b';');
    }
    text.extend_from_slice(key);
    text.push(b':');
}

impl<'h> Member<'h> {
    fn find(list: Tracestate<'h>) -> Member<'h> {
        let mut ours = list.members().filter(|member| member.key == KEY.as_bytes());
        let Some(first) = ours.next() else { return Member::Absent };
        match (sub_keys(first.value), ours.next()) {
            (Some(sub_keys), None) => Member::Whole(sub_keys),
            (Some(sub_keys), Some(_)) => Member::Broken(sub_keys),
            (None, _) => Member::Broken(Vec::new()),
        }
    }

    fn sub_keys(&self) -> &[SubKey<'h>] {
        match self {
            Member::Absent => &[],
            Member::Broken(sub_keys) | Member::Whole(sub_keys) => sub_keys,
        }
    }
}

/// `list-member *( ";" list-member )`, each `key ":" value`, no key twice.
fn sub_keys(value: &[u8]) -> Option<Vec<SubKey<'_>>> {
    let mut read: Vec<SubKey<'_>> = Vec::new();
    for text in value.split(|byte| *byte == b';') {
        let (key, value) = text.split_at_checked(text.iter().position(|byte| *byte == b':')?)?;
        let value = value.get(1..)?;
        let is_new = read.iter().all(|(other, _)| *other != key);
        if !(is_new && is_key(key) && is_value(value)) {
            return None;
        }
        read.push((key, value));
    }
    Some(read)
}

/// `lcalpha *(lcalpha / DIGIT )`.
fn is_key(key: &[u8]) -> bool {
    key.first().is_some_and(u8::is_ascii_lowercase)
        && key.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// `*(ucalpha / lcalpha / DIGIT / "." / "_" / "-")`: it may be empty.
fn is_value(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const RV: &str = "6e6d1a75832a2f";

    fn threshold(digits: &str) -> Option<Threshold> {
        Threshold::parse(digits.as_bytes())
    }

    fn randomness(digits: &str) -> Option<Randomness> {
        Randomness::parse(digits.as_bytes())
    }

    fn bytes<'h>(headers: &[&'h str]) -> Vec<&'h [u8]> {
        headers.iter().map(|header| header.as_bytes()).collect()
    }

    fn read(headers: &[&str]) -> (Option<Threshold>, Option<Randomness>) {
        let headers = bytes(headers);
        let ot = Ot::read(&headers);
        (ot.threshold(), ot.randomness())
    }

    fn edited(headers: &[&str], th: &str, rv: &str) -> Edited {
        Ot::read(&bytes(headers)).with(threshold(th), randomness(rv))
    }

    /// The header after the change: `=` where it stays, nothing where it goes.
    fn with(headers: &[&str], th: &str, rv: &str) -> String {
        let edited = edited(headers, th, rv);
        assert!(!edited.left_out, "{headers:?}");
        match edited.change {
            Change::Unchanged => "=".to_owned(),
            Change::Set(value) => String::from_utf8(value).unwrap(),
            Change::Remove => String::new(),
        }
    }

    #[test]
    fn both_values_are_read_from_wherever_the_member_stands() {
        let (th, rv) = (threshold("c"), randomness(RV));
        for (headers, expected) in [
            (&["ot=th:c;rv:6e6d1a75832a2f"][..], (th, rv)),
            (&["a=1,ot=rv:6e6d1a75832a2f;x:y;th:c,b=2"], (th, rv)),
            (&["a=1", "b=2,ot=th:c0"], (th, None)),
            (&["ot=rv:6e6d1a75832a2f"], (None, rv)),
            (&["ot=th:0"], (Some(Threshold::ALL), None)),
            (&["ot=th:c,ot=th:8"], (th, None)),
        ] {
            assert_eq!(read(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn what_is_broken_says_nothing() {
        for header in [
            "",
            "a=th:c",
            "ot@t=th:c",
            "ot=th:",
            "ot=th:C",
            "ot=th:000000000000000",
            "ot=th:0x8",
            "ot=rv:6E6D1A75832A2F",
            "ot=rv:6e6d1a75832a2",
            // The member.
            "ot= th:c",
            "ot=th:c;",
            "ot=;th:c",
            "ot=th:c;th:c",
            "ot=th:c;x",
            "ot=th:c;X:1",
            "ot=th:c;1x:1",
            "ot=th:c;:1",
            "ot=th:c;x:1 2",
            "ot=th:c;x:1:2",
            "ot=x,ot=th:c",
            // The list.
            "ot=th:c,b",
            "ot=th:c,B=1",
        ] {
            assert_eq!(read(&[header]), (None, None), "{header}");
        }
        // One value says nothing, the other does.
        assert_eq!(read(&["ot=th:X;rv:6e6d1a75832a2f"]), (None, randomness(RV)));
        assert_eq!(read(&["ot=th:c;rv:0"]), (threshold("c"), None));
    }

    #[test]
    fn a_threshold_is_set_in_front_and_everything_else_stays() {
        for (headers, expected) in [
            (&[][..], "ot=th:8"),
            (&[""], "ot=th:8"),
            (&["a=1"], "ot=th:8,a=1"),
            (&["ot=th:c"], "ot=th:8"),
            (&["a=1,ot=th:c,b= 2"], "ot=th:8,a=1,b= 2"),
            (&["a=1,ot=p:8;rv:6e6d1a75832a2f;th:c;k1:13,b=2"], "ot=th:8;p:8;rv:6e6d1a75832a2f;k1:13,a=1,b=2"),
            (&["ot=x:"], "ot=th:8;x:"),
            (&["a=1 , b=2", "c=3"], "ot=th:8,a=1,b=2,c=3"),
            (&["ot=th:C;x:1"], "ot=th:8;x:1"),
            (&["ot=th:8;x:1,ot=th:c"], "ot=th:8;x:1"),
            (&["a=1,ot=nonsense,b=2"], "ot=th:8,a=1,b=2"),
            (&["a=1,ot=th:c,b"], "ot=th:8"),
        ] {
            assert_eq!(with(headers, "8", ""), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_threshold_is_erased_and_what_is_left_empty_goes() {
        for (headers, expected) in [
            (&["ot=th:c"][..], ""),
            (&["a=1,ot=th:c,b=2"], "a=1,b=2"),
            (&["a=1,ot=x:y;th:c;z:"], "ot=x:y;z:,a=1"),
            (&["ot=th:C"], ""),
            (&["ot=rv:6e6d1a75832a2f;th:c"], "ot=rv:6e6d1a75832a2f"),
            (&["a=1,ot=nonsense"], "a=1"),
            (&["ot=x:1,a=1,ot=th:c"], "ot=x:1,a=1"),
            (&["ot=th:c,b"], ""),
        ] {
            assert_eq!(with(headers, "", ""), expected, "{headers:?}");
        }
    }

    #[test]
    fn what_says_it_already_stays_byte_for_byte() {
        for (headers, th) in [
            (&["a=1, ot=x:1;th:c"][..], "c"),
            (&["ot=th:c000"], "c"),
            (&["a=1,, b=2", "c=3 "], ""),
            (&["ot=x:1"], ""),
            (&[], ""),
            (&[""], ""),
            (&["ot=rv:6e6d1a75832a2f"], ""),
        ] {
            assert_eq!(with(headers, th, ""), "=", "{headers:?}");
        }
    }

    #[test]
    fn explicit_randomness_is_written_where_there_is_none_and_never_overwritten() {
        let other = "00000000000001";
        for (headers, th, expected) in [
            (&[][..], "8", "ot=th:8;rv:6e6d1a75832a2f"),
            (&[], "", "ot=rv:6e6d1a75832a2f"),
            (&["a=1,ot=x:1;th:c"], "", "ot=rv:6e6d1a75832a2f;x:1,a=1"),
            (&["ot=rv:broken"], "8", "ot=th:8;rv:6e6d1a75832a2f"),
        ] {
            assert_eq!(with(headers, th, RV), expected, "{headers:?}");
        }
        let there = format!("ot=x:1;rv:{other}");
        assert_eq!(with(&[&there], "", RV), "=");
        assert_eq!(with(&[&there], "8", RV), format!("ot=th:8;x:1;rv:{other}"));
    }

    #[test]
    fn what_does_not_fit_into_256_bytes_is_left_out() {
        // So many bytes of another concern, in all.
        let other = |len: usize| format!("x:{}", "v".repeat(len - 2));
        for (len, came, th, rv, expected, left_out) in [
            (251, "", "8", "", Some("ot=th:8;"), false),
            (252, "", "8", "", None, true),
            (233, "", "8", RV, Some("ot=th:8;rv:6e6d1a75832a2f;"), false),
            (234, "", "8", RV, Some("ot=rv:6e6d1a75832a2f;"), true),
            (238, "", "", RV, Some("ot=rv:6e6d1a75832a2f;"), false),
            (239, "", "8", RV, None, true),
            // The threshold that came would be wrong.
            (251, "th:c;", "88", "", Some("ot="), true),
            (251, "th:c;", "c", "", None, false),
        ] {
            let other = other(len);
            let Edited { change, left_out: told } = edited(&[&format!("a=1,ot={came}{other}")], th, rv);
            let expected =
                expected.map_or(Change::Unchanged, |start| Change::Set(format!("{start}{other},a=1").into_bytes()));
            assert_eq!((change, told), (expected, left_out), "{len} {came} {th} {rv}");
        }
    }
}
