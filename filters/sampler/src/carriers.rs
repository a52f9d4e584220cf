//! The formats beside W3C's that carry a trace context upstream. Trace-context wrote a sampled flag into them, or left the
//! caller's there, before there was a decision, so the flag is made to follow it: else upstream sees contexts that disagree.
//!
//! Only the flag changes, and only in a header that is whole and of this trace. Anything else is left alone: a repeated
//! header, of which two readers take different values, reads as one that is broken, for its values are joined by a comma.

use sluicegate_host::{SpanId, TraceId, hex};
use sluicegate_policy::{Document, RequestView, Section};

/// The formats with a sampled flag that go upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carriers(Vec<Format>);

/// Azure's and plain ids have no flag, and are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    B3,
    B3Multi,
    Jaeger,
    Xray,
    Google,
}

/// By their names in the policy.
const FORMATS: [(&str, Format); 5] = [
    ("b3", Format::B3),
    ("b3_multi", Format::B3Multi),
    ("jaeger", Format::Jaeger),
    ("xray", Format::Xray),
    ("google", Format::Google),
];

const B3: &str = "b3";
const B3_TRACE_ID: &str = "x-b3-traceid";
const B3_SAMPLED: &str = "x-b3-sampled";
const B3_FLAGS: &str = "x-b3-flags";
const JAEGER: &str = "uber-trace-id";
const XRAY: &str = "x-amzn-trace-id";
const GOOGLE: &str = "x-cloud-trace-context";

/// A header in lower case, and its new value; `None` takes it away.
pub(crate) type HeaderChange = (&'static str, Option<Vec<u8>>);

impl Carriers {
    /// What trace-context injects, and what it forwards although this hop gives the context a span. A name that means
    /// nothing here is left to trace-context to complain of.
    pub(crate) fn read(document: &Document<'_>) -> Carriers {
        let trace = document.neighbour("trace");
        let names = |field| trace.strings_where(field, |_| true, "the name of a format");
        let (injected, extracted) = (names("inject").unwrap_or_default(), names("extract"));
        let forwards = forwards(&trace) && may_overrule_callers(&document.neighbour("sampling"));
        let goes_on = |(name, format): &&(&str, Format)| {
            let is_extracted = || extracted.as_ref().is_none_or(|extracted| extracted.contains(name));
            injected.contains(name) || forwards && format.may_lack_a_span() && is_extracted()
        };
        Carriers(FORMATS.iter().filter(goes_on).map(|(_, format)| *format).collect())
    }

    /// The headers that [`Carriers::changes`] looks at, in lower case.
    pub(crate) fn header_names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|format| format.header_names()).copied()
    }

    /// What makes the headers of this trace say that it is sampled, or that it is not. Those that say so already, that
    /// leave it open by saying nothing, that are broken or of another trace stay as they are.
    pub(crate) fn changes(&self, request: &dyn RequestView, trace_id: TraceId, sampled: bool) -> Vec<HeaderChange> {
        let mut changes = Vec::new();
        for format in &self.0 {
            match format {
                Format::B3 => changes.extend(turned(request, B3, |value| turn_b3(value, trace_id, sampled))),
                Format::B3Multi => turn_b3_multi(request, trace_id, sampled, &mut changes),
                Format::Jaeger => {
                    changes.extend(turned(request, JAEGER, |value| turn_jaeger(value, trace_id, sampled)))
                }
                Format::Xray => changes.extend(turned(request, XRAY, |value| turn_xray(value, trace_id, sampled))),
                Format::Google => {
                    changes.extend(turned(request, GOOGLE, |value| turn_google(value, trace_id, sampled)))
                }
            }
        }
        changes
    }
}

/// Whether trace-context leaves a context in the headers in which it came. It takes away what it does not inject where it
/// participates, as it does without being told where it exports spans.
fn forwards(trace: &Section<'_>) -> bool {
    trace.string("mode") != Some("participate") && !trace.subsection("spans").is_given()
}

/// Whether a request may be decided otherwise than by the flag that it came with.
fn may_overrule_callers(sampling: &Section<'_>) -> bool {
    sampling.string("parent").is_some_and(|mode| mode != "respect") || sampling.subsection("force").is_given()
}

impl Format {
    /// Load balancers write these with a flag and without a span, and then what is injected beside them has one of this hop.
    fn may_lack_a_span(self) -> bool {
        matches!(self, Format::Xray | Format::Google)
    }

    fn header_names(self) -> &'static [&'static str] {
        match self {
            Format::B3 => &[B3],
            Format::B3Multi => &[B3_TRACE_ID, B3_SAMPLED, B3_FLAGS],
            Format::Jaeger => &[JAEGER],
            Format::Xray => &[XRAY],
            Format::Google => &[GOOGLE],
        }
    }
}

/// The header with its flag turned in place; `None` where `turn` finds nothing to turn.
fn turned(
    request: &dyn RequestView,
    name: &'static str,
    turn: impl FnOnce(&mut [u8]) -> Option<()>,
) -> Option<HeaderChange> {
    let mut value = request.header(name)?.into_owned();
    turn(&mut value)?;
    Some((name, Some(value)))
}

// === B3 ===
//
// Debug (`d`, `X-B3-Flags: 1`) is "an emphasized accept decision that implies accept". So it stays where the trace is
// sampled, and stays what it is: an accept in its place would take the emphasis away, which nobody decided. Where the trace
// is not sampled it goes, for B3 has no debug without accept, and every reader behind us would record. Only a mode by which
// callers do not have the last word comes to that; a caller who sends `d` does not have it either.

/// `{TraceId}-{SpanId}-{SamplingState}-{ParentSpanId}`, the parent optional. (Without the state it leaves the decision
/// open; that is no header of trace-context's, which always writes one.)
fn turn_b3(value: &mut [u8], trace_id: TraceId, sampled: bool) -> Option<()> {
    let mut fields = value.split_mut(|byte| *byte == b'-');
    let (trace, span, state, parent) = (fields.next()?, fields.next()?, fields.next()?, fields.next());
    let is_whole = is_span_id(span) && parent.is_none_or(|parent| is_span_id(parent)) && fields.next().is_none();
    let [state] = state else { return None };
    if !is_whole || b3_trace_id(trace)? != trace_id {
        return None;
    }
    *state = match (*state, sampled) {
        (b'0', true) => b'1',
        (b'1' | b'd', false) => b'0',
        _ => return None,
    };
    Some(())
}

/// `X-B3-Sampled` (old tracers write a word), and `X-B3-Flags` for debug, which goes before it.
fn turn_b3_multi(request: &dyn RequestView, trace_id: TraceId, sampled: bool, changes: &mut Vec<HeaderChange>) {
    if request.header(B3_TRACE_ID).and_then(|digits| b3_trace_id(&digits)) != Some(trace_id) {
        return;
    }
    let state = match request.header(B3_SAMPLED).as_deref() {
        None => None,
        Some(b"1" | b"d") => Some(true),
        Some(b"0") => Some(false),
        Some(word) if word.eq_ignore_ascii_case(b"true") => Some(true),
        Some(word) if word.eq_ignore_ascii_case(b"false") => Some(false),
        Some(_) => return,
    };
    let is_debug = match request.header(B3_FLAGS).as_deref() {
        None | Some(b"0") => false,
        Some(b"1") => true,
        Some(_) => return,
    };
    let said = if is_debug { Some(true) } else { state };
    if said.is_none_or(|said| said == sampled) {
        return;
    }
    if is_debug {
        // No value of it but 1 is defined. And debug was sent instead of the state, without which the decision is open.
        changes.push((B3_FLAGS, None));
    }
    if state != Some(sampled) {
        changes.push((B3_SAMPLED, Some(if sampled { b"1".to_vec() } else { b"0".to_vec() })));
    }
}

/// 128 bits, or 64 that are the lower half of one that has no other.
fn b3_trace_id(digits: &[u8]) -> Option<TraceId> {
    match digits.len() {
        16 | 32 => TraceId::new(hex::decode_short(digits)?),
        _ => None,
    }
}

fn is_span_id(digits: &[u8]) -> bool {
    hex::decode(digits).and_then(SpanId::new).is_some()
}

// === the others ===

/// `{trace-id}:{span-id}:{parent-span-id}:{flags}`, all hex without leading zeros if one likes. Bit 0 of the flags is
/// sampled; bit 1 is debug, which implies it and is treated like B3's. All other bits stay.
fn turn_jaeger(value: &mut [u8], trace_id: TraceId, sampled: bool) -> Option<()> {
    let mut fields = value.split_mut(|byte| *byte == b':');
    let (trace, span, parent, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let has_parent = parent.is_empty() || hex::decode_short::<8>(parent).is_some();
    let is_whole = has_parent && fields.next().is_none() && hex::decode_short::<1>(flags).is_some();
    if !is_whole || TraceId::new(hex::decode_short(trace)?)? != trace_id {
        return None;
    }
    SpanId::new(hex::decode_short(span)?)?;
    let digit = flags.last_mut()?;
    *digit = match (*digit, sampled) {
        (b'0' | b'4' | b'8' | b'c' | b'C', true) => digit.wrapping_add(1),
        (b'1'..=b'3', false) => b'0',
        (b'5'..=b'7', false) => b'4',
        (b'9' | b'a' | b'b' | b'A' | b'B', false) => b'8',
        (b'd'..=b'f', false) => b'c',
        (b'D'..=b'F', false) => b'C',
        _ => return None,
    };
    Some(())
}

/// `Root=1-{8 hex}-{24 hex};Parent={16 hex};Sampled={0|1|?}`, fields in any order and others among them. Names count in any
/// case, as some readers take them.
///
/// A comma in a field of somebody else's is no sign of a repeated header: who could put one there would decide that the flag
/// stays.
fn turn_xray(value: &mut [u8], trace_id: TraceId, sampled: bool) -> Option<()> {
    let (mut root, mut flag) = (None, None);
    for field in value.split_mut(|byte| *byte == b';') {
        let Some(equals) = field.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = field.split_at_mut_checked(equals)?;
        let is = |known: &str| name.trim_ascii().eq_ignore_ascii_case(known.as_bytes());
        let is_repeated = if is("Root") {
            root.replace(value).is_some()
        } else if is("Sampled") {
            flag.replace(value).is_some()
        } else {
            false
        };
        if is_repeated {
            return None;
        }
    }
    if xray_trace_id(root?)? != trace_id {
        return None;
    }
    let [b'=', flag] = flag? else { return None };
    *flag = match (*flag, sampled) {
        (b'0' | b'?', true) => b'1',
        (b'1' | b'?', false) => b'0',
        _ => return None,
    };
    Some(())
}

/// The time of its begin and 96 random bits, together what others call the trace id.
fn xray_trace_id(root: &[u8]) -> Option<TraceId> {
    let (time, random) = root.strip_prefix(b"=1-")?.split_at_checked(8)?;
    TraceId::new(hex::decode(&[time, random.strip_prefix(b"-")?].concat())?)
}

/// `{trace-id}/{span-id};o={options}`, the span id and the options in decimal, the span id optional. Bit 0 of the options is
/// sampled.
fn turn_google(value: &mut [u8], trace_id: TraceId, sampled: bool) -> Option<()> {
    let (trace, rest) = value.split_at_mut_checked(32)?;
    let semicolon = rest.iter().position(|byte| *byte == b';')?;
    let (span, options) = rest.split_at_mut_checked(semicolon)?;
    let has_span = match span {
        [] => true,
        [b'/', digits @ ..] => is_decimal(digits),
        _ => false,
    };
    let [b';', b'o', b'=', options @ ..] = options else { return None };
    if !has_span || !is_decimal(options) || TraceId::new(hex::decode(trace)?)? != trace_id {
        return None;
    }
    let digit = options.last_mut()?;
    // The digits of ASCII are as odd as what they stand for.
    let is_sampled = *digit & 1 != 0;
    if is_sampled == sampled {
        return None;
    }
    *digit ^= 1;
    Some(())
}

fn is_decimal(digits: &[u8]) -> bool {
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use sluicegate_host::HeaderMap;

    pub(super) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    pub(super) const SPAN: &str = "00f067aa0ba902b7";
    const OTHER: &str = "4bf92f3577b34da6a3ce929d0e0e4737";
    const ROOT: &str = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736";

    pub(super) fn trace_id(digits: &str) -> TraceId {
        TraceId::new(hex::decode(digits.as_bytes()).unwrap()).unwrap()
    }

    pub(super) fn all() -> Carriers {
        Carriers(FORMATS.map(|(_, format)| format).to_vec())
    }

    /// Each change as `name: value`, a header taken away as `name`.
    fn changes<V: AsRef<[u8]>>(headers: &[(&str, V)], sampled: bool) -> Vec<String> {
        let line = |(name, value): HeaderChange| match value {
            Some(value) => format!("{name}: {}", String::from_utf8(value).unwrap()),
            None => name.to_owned(),
        };
        all().changes(&HeaderMap::from_pairs(headers), trace_id(TRACE), sampled).into_iter().map(line).collect()
    }

    /// What a header becomes in a trace that is sampled, and in one that is not.
    fn assert_turns(name: &str, value: &str, if_sampled: Option<&str>, if_not: Option<&str>) {
        for (sampled, expected) in [(true, if_sampled), (false, if_not)] {
            let expected: Vec<_> = expected.into_iter().map(|value| format!("{name}: {value}")).collect();
            assert_eq!(changes(&[(name, value)], sampled), expected, "{name}: {value}, sampled: {sampled}");
        }
    }

    /// A header that stays whatever is decided.
    fn assert_stays(name: &str, value: impl AsRef<[u8]>) {
        for sampled in [true, false] {
            let value = value.as_ref();
            assert!(changes(&[(name, value)], sampled).is_empty(), "{name}: {}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn b3_follows_in_its_third_field_and_debug_means_sampled() {
        let parent = "05e3ac9a4f6e3b90";
        for ids in [format!("{TRACE}-{SPAN}"), format!("{}-{}", TRACE.to_uppercase(), SPAN.to_uppercase())] {
            let b3 = |state: &str| format!("{ids}-{state}");
            assert_turns("b3", &b3("0"), Some(&b3("1")), None);
            assert_turns("b3", &b3("1"), None, Some(&b3("0")));
            assert_turns("b3", &b3("d"), None, Some(&b3("0")));
            let with_parent = |state: &str| format!("{ids}-{state}-{parent}");
            assert_turns("b3", &with_parent("0"), Some(&with_parent("1")), None);
            assert_turns("b3", &with_parent("d"), None, Some(&with_parent("0")));
        }
    }

    #[test]
    fn a_b3_that_is_short_of_half_an_id_is_of_a_trace_that_has_no_other() {
        let lower = "a3ce929d0e0e4736";
        let headers = HeaderMap::from_pairs(&[("b3", format!("{lower}-{SPAN}-1")), ("x-b3-traceid", lower.into())]);
        let changes = |trace: &str| all().changes(&headers, trace_id(trace), false).len();
        assert_eq!((changes(&format!("{}{lower}", "0".repeat(16))), changes(TRACE)), (1, 0));
        // No other number of digits is dropped.
        let cut = HeaderMap::from_pairs(&[("b3", format!("{}-{SPAN}-1", &lower[1..]))]);
        assert!(all().changes(&cut, trace_id(&format!("{}{}", "0".repeat(17), &lower[1..])), false).is_empty());
    }

    #[test]
    fn a_b3_that_says_nothing_or_cannot_be_read_stays() {
        for value in [
            String::new(),
            "0".into(),
            "1".into(),
            "d".into(),
            format!("{TRACE}-{SPAN}"),
            format!("{TRACE}-{SPAN}-"),
            format!("{TRACE}-{SPAN}-2"),
            format!("{TRACE}-{SPAN}-D"),
            format!("{TRACE}-{SPAN}-10"),
            format!("{TRACE}-{SPAN}-1-"),
            format!("{TRACE}-{SPAN}-1-x"),
            format!("{TRACE}-{SPAN}-1-{SPAN}-1"),
            format!("{TRACE}-{SPAN}-0,{TRACE}-{SPAN}-1"),
            format!("{TRACE}-{SPAN}-1,{TRACE}-{SPAN}-1"),
            format!("{TRACE}-{SPAN}-1-{SPAN},0"),
            format!(" {TRACE}-{SPAN}-1"),
            format!("{TRACE}-{SPAN}-1 "),
            format!("{TRACE}-{}-1", "0".repeat(16)),
            format!("{}-{SPAN}-1", &TRACE[1..]),
            format!("{OTHER}-{SPAN}-0"),
            format!("{OTHER}-{SPAN}-1"),
        ] {
            assert_stays("b3", value);
        }
        assert_stays("b3", [b"\xff\xfe-".as_slice(), SPAN.as_bytes(), b"-1"].concat());
    }

    #[test]
    fn b3_of_several_headers_follows_in_two() {
        for (headers, if_sampled, if_not) in [
            (vec![("x-b3-sampled", "1")], vec![], vec!["x-b3-sampled: 0"]),
            (vec![("x-b3-sampled", "0")], vec!["x-b3-sampled: 1"], vec![]),
            (vec![("x-b3-sampled", "True")], vec![], vec!["x-b3-sampled: 0"]),
            (vec![("x-b3-sampled", "false")], vec!["x-b3-sampled: 1"], vec![]),
            (vec![("x-b3-sampled", "d")], vec![], vec!["x-b3-sampled: 0"]),
            (vec![("x-b3-sampled", "0"), ("x-b3-flags", "0")], vec!["x-b3-sampled: 1"], vec![]),
            // Debug alone: without it nothing would be said, so the other header says it.
            (vec![("x-b3-flags", "1")], vec![], vec!["x-b3-flags", "x-b3-sampled: 0"]),
            (vec![("x-b3-flags", "1"), ("x-b3-sampled", "1")], vec![], vec!["x-b3-flags", "x-b3-sampled: 0"]),
            (vec![("x-b3-flags", "1"), ("x-b3-sampled", "0")], vec![], vec!["x-b3-flags"]),
            // Left open.
            (vec![], vec![], vec![]),
            (vec![("x-b3-flags", "0")], vec![], vec![]),
            // Hostile.
            (vec![("x-b3-sampled", "")], vec![], vec![]),
            (vec![("x-b3-sampled", "\u{e9}")], vec![], vec![]),
            (vec![("x-b3-sampled", "1"), ("x-b3-sampled", "0")], vec![], vec![]),
            (vec![("x-b3-sampled", "1"), ("x-b3-sampled", "1")], vec![], vec![]),
            (vec![("x-b3-sampled", "1"), ("x-b3-flags", "1"), ("x-b3-flags", "1")], vec![], vec![]),
            (vec![("x-b3-sampled", "0"), ("x-b3-flags", "2")], vec![], vec![]),
            (vec![("x-b3-sampled", "2"), ("x-b3-flags", "1")], vec![], vec![]),
        ] {
            for (sampled, expected) in [(true, if_sampled), (false, if_not)] {
                let ids = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)];
                assert_eq!(changes(&[&ids[..], &headers].concat(), sampled), expected, "{headers:?} {sampled}");
                for ids in [
                    &[][..],
                    &[("x-b3-traceid", OTHER)],
                    &[("x-b3-traceid", "")],
                    &[("x-b3-traceid", TRACE), ("x-b3-traceid", TRACE)],
                ] {
                    assert!(changes(&[ids, &headers].concat(), sampled).is_empty(), "{ids:?} {headers:?}");
                }
            }
        }
    }

    #[test]
    fn jaeger_follows_in_bit_0_and_keeps_all_but_debug() {
        let jaeger = |flags: &str| format!("{TRACE}:{SPAN}:0:{flags}");
        for (flags, if_sampled, if_not) in [
            ("0", Some("1"), None),
            ("1", None, Some("0")),
            ("2", None, Some("0")),
            ("3", None, Some("0")),
            ("00", Some("01"), None),
            ("01", None, Some("00")),
            ("8", Some("9"), None),
            ("9", None, Some("8")),
            ("a", None, Some("8")),
            ("B", None, Some("8")),
            ("4", Some("5"), None),
            ("7", None, Some("4")),
            ("fc", Some("fd"), None),
            ("FC", Some("FD"), None),
            ("ff", None, Some("fc")),
            ("FE", None, Some("FC")),
        ] {
            let turned = |flags: Option<&str>| flags.map(jaeger);
            assert_turns(JAEGER, &jaeger(flags), turned(if_sampled).as_deref(), turned(if_not).as_deref());
        }
        let no_parent = |flags: &str| format!("{TRACE}:f067aa0ba902b7::{flags}");
        assert_turns(JAEGER, &no_parent("0"), Some(&no_parent("1")), None);
        let short = HeaderMap::from_pairs(&[(JAEGER, "1f:a:0:1")]);
        let expected = vec![(JAEGER, Some(b"1f:a:0:0".to_vec()))];
        assert_eq!(all().changes(&short, trace_id(&format!("{}1f", "0".repeat(30))), false), expected);
    }

    #[test]
    fn a_jaeger_that_cannot_be_read_stays() {
        for value in [
            String::new(),
            TRACE.into(),
            format!("{TRACE}:{SPAN}:0"),
            format!("{TRACE}:{SPAN}:0:"),
            format!("{TRACE}:{SPAN}:0:x"),
            format!("{TRACE}:{SPAN}:0:100"),
            format!("{TRACE}:{SPAN}:x:1"),
            format!("{TRACE}:{SPAN}:0:1:1"),
            format!("{TRACE}:{SPAN}:0:1 "),
            format!("{TRACE}:{SPAN}:0:1,{TRACE}:{SPAN}:0:1"),
            format!("{TRACE}:{SPAN}:0:1,0"),
            format!("{TRACE}:0:0:1"),
            format!("{TRACE}::0:1"),
            format!(":{SPAN}:0:1"),
            format!("{OTHER}:{SPAN}:0:0"),
            format!("{OTHER}:{SPAN}:0:1"),
        ] {
            assert_stays(JAEGER, value);
        }
        assert_stays(JAEGER, [TRACE.as_bytes(), b":\xff:0:1"].concat());
    }

    #[test]
    fn xray_follows_wherever_its_field_stands() {
        for template in [
            format!("{ROOT};Parent={SPAN};Sampled=*"),
            format!("Sampled=*;Parent={SPAN};{ROOT}"),
            format!("{ROOT};Sampled=*"),
            format!("{ROOT}; sampled=*;Parent={SPAN};"),
            format!("Self=1-67891234-12456789abcdef012345678a;{ROOT};Sampled=*;Lineage=25:a87bd80c:1;;odd"),
            // Not to be kept from it by what somebody put beside it.
            format!("{ROOT};Parent={SPAN};Sampled=*;app=a,Sampled=0;other=Root,1"),
        ] {
            let xray = |flag: &str| template.replace('*', flag);
            assert_turns(XRAY, &xray("1"), None, Some(&xray("0")));
            assert_turns(XRAY, &xray("0"), Some(&xray("1")), None);
            assert_turns(XRAY, &xray("?"), Some(&xray("1")), Some(&xray("0")));
        }
    }

    #[test]
    fn an_xray_that_says_nothing_or_cannot_be_read_stays() {
        for value in [
            String::new(),
            ROOT.into(),
            "Sampled=1".into(),
            format!("{ROOT};Sampled"),
            format!("{ROOT};Sampled="),
            format!("{ROOT};Sampled=2"),
            format!("{ROOT};Sampled=10"),
            format!("{ROOT};Sampled=1,{ROOT};Sampled=1"),
            format!("{ROOT};Sampled=1;Sampled=1"),
            format!("{ROOT};Sampled=1;sampled=0"),
            format!("{ROOT};{ROOT};Sampled=1"),
            format!("{ROOT};root=1-11111111-111111111111111111111111;Sampled=1"),
            "Root=1-4bf92f35-77b34da6a3ce929d0e0e473;Sampled=1".into(),
            "Root=1-4bf92f3577b34da6a3ce929d0e0e4736;Sampled=1".into(),
            "Root=1-4bf92f357-7b34da6a3ce929d0e0e4736;Sampled=1".into(),
            "Root=2-4bf92f35-77b34da6a3ce929d0e0e4736;Sampled=1".into(),
            "Root=1-4bf92f35-77b34da6a3ce929d0e0e4737;Sampled=1".into(),
        ] {
            assert_stays(XRAY, value);
        }
        assert_stays(XRAY, [ROOT.as_bytes(), b";Sampled=\xff"].concat());
    }

    #[test]
    fn google_follows_in_bit_0_of_its_options() {
        for ids in [format!("{TRACE}/67667974448284343"), format!("{TRACE}/0"), TRACE.into(), TRACE.to_uppercase()] {
            let google = |options: &str| format!("{ids};o={options}");
            assert_turns(GOOGLE, &google("0"), Some(&google("1")), None);
            assert_turns(GOOGLE, &google("1"), None, Some(&google("0")));
            assert_turns(GOOGLE, &google("2"), Some(&google("3")), None);
            assert_turns(GOOGLE, &google("19"), None, Some(&google("18")));
        }
    }

    #[test]
    fn a_google_that_says_nothing_or_cannot_be_read_stays() {
        for value in [
            String::new(),
            TRACE.into(),
            format!("{TRACE}/1"),
            format!("{TRACE}/;o=1"),
            format!("{TRACE}/a;o=1"),
            format!("{TRACE}-1;o=1"),
            format!("{TRACE}/1;o="),
            format!("{TRACE}/1;o=x"),
            format!("{TRACE}/1;o=-1"),
            format!("{TRACE}/1;o=1,{TRACE}/1;o=0"),
            format!("{TRACE}/1;o=1;o=0"),
            format!("{TRACE}/1;x=1"),
            format!("{}/1;o=1", &TRACE[1..]),
            format!("{OTHER}/1;o=0"),
            format!("{OTHER}/1;o=1"),
        ] {
            assert_stays(GOOGLE, value);
        }
        assert_stays(GOOGLE, [TRACE.as_bytes(), b"/\xff;o=1"].concat());
    }

    /// The headers of interest under a policy of these two sections, and the verdict on it.
    fn header_names(trace: &str, sampling: &str) -> (String, Result<Vec<String>, String>) {
        let text = format!(r#"{{"version": "1.0", "trace": {trace}, "sampling": {sampling}}}"#);
        let document = Document::parse(text.as_bytes(), &|_| None).unwrap();
        let names = Carriers::read(&document).header_names().collect::<Vec<_>>().join(" ");
        (names, document.finish().map_err(|errors| errors.to_string()))
    }

    #[test]
    fn what_trace_context_does_not_inject_is_not_looked_at() {
        for (trace, names) in [
            ("null", ""),
            ("{}", ""),
            ("5", ""),
            (r#"{"extract": ["b3", "xray"]}"#, ""),
            (r#"{"inject": ["w3c", "azure", "plain", "one of next year"]}"#, ""),
            (r#"{"inject": "b3"}"#, "b3"),
            (r#"{"inject": ["google", "w3c", "jaeger"]}"#, "uber-trace-id x-cloud-trace-context"),
            (r#"{"inject": ["b3_multi", "xray"]}"#, "x-b3-traceid x-b3-sampled x-b3-flags x-amzn-trace-id"),
        ] {
            assert_eq!(header_names(trace, r#"{"parent": "respect"}"#), (names.to_owned(), Ok(vec![])), "{trace}");
        }
        assert_eq!(header_names(r#"{"inject": 5}"#, "null").0, "");
        let b3 = HeaderMap::from_pairs(&[("b3", format!("{TRACE}-{SPAN}-1"))]);
        assert!(Carriers(vec![Format::Jaeger]).changes(&b3, trace_id(TRACE), false).is_empty());
    }

    #[test]
    fn what_trace_context_forwards_is_looked_at_where_callers_may_be_overruled() {
        let (at_most, both) = (r#"{"parent": "at_most"}"#, "x-amzn-trace-id x-cloud-trace-context");
        for (trace, sampling, names) in [
            ("{}", "{}", ""),
            ("{}", r#"{"parent": "respect"}"#, ""),
            ("{}", at_most, both),
            ("{}", r#"{"parent": "ignore"}"#, both),
            ("{}", r#"{"force": {}}"#, both),
            (r#"{"mode": "observe"}"#, at_most, both),
            (r#"{"mode": "participate"}"#, at_most, ""),
            (r#"{"spans": {}}"#, at_most, ""),
            (r#"{"extract": ["w3c", "google", "b3"]}"#, at_most, "x-cloud-trace-context"),
            (r#"{"extract": []}"#, at_most, ""),
            (r#"{"extract": "w3c", "inject": ["w3c", "b3", "xray"]}"#, at_most, "b3 x-amzn-trace-id"),
        ] {
            assert_eq!(header_names(trace, sampling), (names.to_owned(), Ok(vec![])), "{trace} {sampling}");
        }
    }

    #[test]
    fn every_format_is_turned_beside_the_others() {
        let headers = [
            ("b3", format!("{TRACE}-{SPAN}-1")),
            ("x-b3-traceid", TRACE.into()),
            ("x-b3-sampled", "1".into()),
            (JAEGER, format!("{TRACE}:{SPAN}:0:1")),
            (XRAY, format!("{ROOT};Parent={SPAN};Sampled=1")),
            (GOOGLE, format!("{TRACE}/1;o=1")),
        ];
        let changed: Vec<_> = all()
            .changes(&HeaderMap::from_pairs(&headers), trace_id(TRACE), false)
            .iter()
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(changed, ["b3", "x-b3-sampled", JAEGER, XRAY, GOOGLE]);
        assert!(changes(&headers, true).is_empty());
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod properties {
    use super::tests::{SPAN, TRACE, all, trace_id};
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use sluicegate_host::HeaderMap;

    const ROOT: &str = "1-4bf92f35-77b34da6a3ce929d0e0e4736";

    /// Headers of every format, most of them whole and of this trace, the others cut, repeated, or bytes of any kind.
    fn header() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
        let whole = prop_oneof![
            "[01d]".prop_map(|state| ("b3", format!("{TRACE}-{SPAN}-{state}"))),
            "[01d]".prop_map(|state| ("b3", format!("{TRACE}-{SPAN}-{state}-{SPAN}"))),
            Just(("x-b3-traceid", TRACE.to_owned())),
            "[01d]|true|False".prop_map(|state| ("x-b3-sampled", state)),
            "[012]".prop_map(|flags| ("x-b3-flags", flags)),
            "[0-9a-fA-F]{1,2}".prop_map(|flags| (JAEGER, format!("{TRACE}:{SPAN}:0:{flags}"))),
            ("[01?]", "(;[a-zA-Z]{1,8}=[!-~&&[^;]]{0,12}){0,3}")
                .prop_map(|(flag, more)| (XRAY, format!("Root={ROOT};Parent={SPAN};Sampled={flag}{more}"))),
            "[0-9]{1,3}".prop_map(|options| (GOOGLE, format!("{TRACE}/1;o={options}"))),
        ];
        let whole = whole.prop_map(|(name, value)| (name, value.into_bytes())).boxed();
        let names = select(vec!["b3", "x-b3-traceid", "x-b3-sampled", "x-b3-flags", JAEGER, XRAY, GOOGLE]);
        let cut = (whole.clone(), any::<prop::sample::Index>(), vec(any::<u8>(), 0..4)).prop_map(
            |((name, mut value), at, tail)| {
                value.truncate(at.index(value.len()));
                value.extend(tail);
                (name, value)
            },
        );
        prop_oneof![6 => whole, 2 => cut, 1 => (names, vec(any::<u8>(), 0..40))]
    }

    /// The headers after the changes.
    fn apply(headers: &[(&'static str, Vec<u8>)], changes: &[HeaderChange]) -> Vec<(&'static str, Vec<u8>)> {
        let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
        let mut after: Vec<_> = headers.iter().filter(|(name, _)| !is_changed(name)).cloned().collect();
        after.extend(changes.iter().filter_map(|(name, value)| Some((*name, value.clone()?))));
        after
    }

    proptest! {
        #[test]
        fn what_was_changed_is_as_decided_and_can_be_turned_back(
            headers in vec(header(), 1..8),
            sampled: bool,
        ) {
            let changes = |headers: &[_], sampled| {
                all().changes(&HeaderMap::from_pairs(headers), trace_id(TRACE), sampled)
            };
            let changed = changes(&headers, sampled);
            let after = apply(&headers, &changed);
            prop_assert_eq!(changes(&after, sampled), vec![]);
            // What could be changed could be read, and is read again when somebody decides otherwise.
            let turned_back: Vec<_> = changes(&after, !sampled).into_iter().map(|(name, _)| name).collect();
            for (name, _) in changed.iter().filter(|(_, value)| value.is_some()) {
                prop_assert!(turned_back.contains(name), "{}", name);
            }
        }

        #[test]
        fn a_change_is_of_one_byte(headers in vec(header(), 1..8), sampled: bool) {
            let map = HeaderMap::from_pairs(&headers);
            for (name, value) in all().changes(&map, trace_id(TRACE), sampled) {
                if [B3_SAMPLED, B3_FLAGS].contains(&name) {
                    continue;
                }
                let (before, after) = (map.header(name).unwrap(), value.unwrap());
                prop_assert_eq!(before.len(), after.len());
                let differing = before.iter().zip(&after).filter(|(before, after)| before != after).count();
                prop_assert_eq!(differing, 1, "{}: {:?}", name, after);
            }
        }
    }
}
