//! What holds for every request.

// A failed expectation is a failed test.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::decision::{Decision, Parent, ParentMode, Request, Verdict, decide};
use crate::ot::{Change, Ot};
use crate::randomness::{Draw, Key, Randomness, Sources};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use sluicegate_host::{Entropy, Threshold, TraceId};

const MODES: [ParentMode; 3] = [ParentMode::Respect, ParentMode::Ignore, ParentMode::AtMost];

fn hex(value: u64) -> String {
    format!("{value:014x}")
}

fn randomness() -> impl Strategy<Value = Randomness> {
    (0..Threshold::SPACE).prop_map(|value| Randomness::parse(hex(value).as_bytes()).expect("14 digits"))
}

fn threshold() -> impl Strategy<Value = Threshold> {
    // Short ones are common.
    let value = (0..Threshold::SPACE, 0..14u32).prop_map(|(value, digits)| value >> (4 * digits) << (4 * digits));
    value.prop_map(|value| Threshold::parse(hex(value).as_bytes()).expect("14 digits"))
}

fn probability() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..=1.0, (0..80i32, 0.5..=1.0).prop_map(|(halvings, factor)| 2f64.powi(-halvings) * factor)]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Always),
        Just(Verdict::Never),
        probability().prop_map(Verdict::Rate),
        probability().prop_map(Verdict::Adaptive),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let parent = (any::<bool>(), of(threshold()));
    let parent = of(parent.prop_map(|(sampled, threshold)| Parent { sampled, threshold }));
    let draw = (randomness(), of(randomness()), any::<bool>())
        .prop_map(|(here, other, shared)| Draw { here, shared: if shared { Some(here) } else { other } });
    (verdict(), parent, select(MODES.to_vec()), draw, prop::bool::weighted(0.2), any::<bool>()).prop_map(
        |(verdict, parent, mode, draw, forced, writable)| {
            let is_root = parent.is_none();
            Request { verdict, parent, is_root, mode, draw, forced, writable }
        },
    )
}

/// A member, a broken one, or something like ours.
fn member() -> impl Strategy<Value = String> {
    let sub_key = prop_oneof![
        "th:[0-9a-f]{1,14}",
        "rv:[0-9a-f]{14}",
        "[a-z][a-z0-9]{0,3}:[A-Za-z0-9._-]{0,60}",
        "th:[0-9A-F]{0,16}",
        "rv:[0-9a-f]{13,15}",
        "[ -~&&[^,=]]{0,12}",
    ];
    let ours = vec(sub_key, 1..6).prop_map(|sub_keys| format!("ot={}", sub_keys.join(";")));
    prop_oneof![
        3 => ours,
        8 => "[a-z0-9][a-z0-9_*/@-]{0,20}=[ -~&&[^,=]]{0,30}[!-~&&[^,=]]",
        1 => "[a-z]{1,250}=[!-~&&[^,=]]{200,256}",
        1 => "[ \t]{0,3}",
    ]
}

fn headers() -> impl Strategy<Value = Vec<String>> {
    let separated = |size| {
        vec((member(), "[ \t]{0,2}"), size).prop_map(|members| {
            members
                .into_iter()
                .map(|(member, blanks)| format!("{blanks}{member}{blanks}"))
                .collect::<Vec<_>>()
                .join(",")
        })
    };
    let broken = vec(any::<u8>(), 0..40).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    prop_oneof![
        6 => vec(separated(0..8), 0..4),
        2 => vec(separated(31..34), 1..2),
        1 => vec(broken, 1..3),
    ]
}

fn bytes(headers: &[String]) -> Vec<&[u8]> {
    headers.iter().map(|header| header.as_bytes()).collect()
}

/// The grammar of W3C Trace Context §3.3.1, written down once more and without the code under test: what may be sent.
fn assert_valid(value: &str) {
    let members: Vec<_> = value.split(',').collect();
    assert!((1..=32).contains(&members.len()), "{value}");
    for member in &members {
        let (key, value) = member.split_once('=').unwrap_or_else(|| panic!("{member}"));
        let is_keychar = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-*/@".contains(c);
        assert!((1..=256).contains(&key.len()) && key.chars().all(is_keychar), "{member}");
        assert!(key.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()), "{member}");
        assert!((1..=256).contains(&value.len()) && !value.ends_with(' '), "{member}");
        assert!(value.chars().all(|c| (' '..='~').contains(&c) && c != '=' && c != ','), "{member}");
    }
    let ours: Vec<_> = members.iter().filter_map(|member| member.strip_prefix("ot=")).collect();
    assert!(ours.len() <= 1, "{value}");
    for ours in ours {
        let mut keys = Vec::new();
        for sub_key in ours.split(';') {
            let (key, value) = sub_key.split_once(':').unwrap_or_else(|| panic!("{ours}"));
            assert!(key.starts_with(|c: char| c.is_ascii_lowercase()), "{ours}");
            assert!(key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{ours}");
            assert!(value.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{ours}");
            assert!(!keys.contains(&key), "{ours}");
            keys.push(key);
        }
    }
}

/// The other vendors' members.
fn others(list: &str) -> Vec<String> {
    let members = list.split(',').map(|member| member.trim_matches([' ', '\t']));
    members.filter(|member| !member.is_empty() && !member.starts_with("ot=")).map(str::to_owned).collect()
}

/// The other concerns' sub-keys.
fn other_sub_keys(list: &str) -> Vec<String> {
    let ours = list.split(',').find_map(|member| member.trim_matches([' ', '\t']).strip_prefix("ot="));
    let sub_keys = ours.into_iter().flat_map(|ours| ours.split(';'));
    sub_keys.filter(|sub_key| !sub_key.starts_with("th:") && !sub_key.starts_with("rv:")).map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn a_threshold_that_is_written_reads_the_same(threshold in threshold()) {
        let mut text = Vec::new();
        threshold.write(&mut text);
        prop_assert_eq!(Threshold::parse(&text), Some(threshold));
        prop_assert!(text == b"0" || text.last() != Some(&b'0'));
    }

    #[test]
    fn randomness_that_is_written_reads_the_same(randomness in randomness()) {
        let mut text = Vec::new();
        randomness.write(&mut text);
        prop_assert_eq!(Randomness::parse(&text), Some(randomness));
    }

    #[test]
    fn digits_are_read_or_refused(digits in vec(any::<u8>(), 0..20)) {
        let is_hex = digits.iter().all(|digit| b"0123456789abcdef".contains(digit));
        prop_assert_eq!(Threshold::parse(&digits).is_some(), is_hex && (1..=14).contains(&digits.len()));
        prop_assert_eq!(Randomness::parse(&digits).is_some(), is_hex && digits.len() == 14);
    }

    #[test]
    fn a_threshold_stands_for_the_probability_that_it_was_made_of(probability in probability()) {
        // Below, the last digit is more of it than rounding.
        prop_assume!(probability > 2f64.powi(-44));
        let threshold = Threshold::of_probability(probability).expect("above 0");
        let error = threshold.probability() / probability - 1.0;
        prop_assert!(error.abs() < 1.3e-4, "{} of {}", error, probability);
    }

    #[test]
    fn what_is_kept_is_kept_at_every_greater_probability(
        (one, other) in (probability(), probability()), randomness in randomness()
    ) {
        let (less, more) = (one.min(other), one.max(other));
        let keeps = |probability| Threshold::of_probability(probability).is_some_and(|t| t.keeps(randomness.value()));
        prop_assert!(!keeps(less) || keeps(more));
    }

    #[test]
    fn a_threshold_stands_only_where_it_says_the_truth(request in request()) {
        let decision = decide(&request);
        prop_assert!((0.0..=1.0).contains(&decision.probability));
        prop_assert!(!decision.sampled || decision.probability > 0.0);
        prop_assert_eq!(decision.writes.is_some(), request.writable);
        let Some(writes) = decision.writes else { return Ok(()) };
        prop_assert_eq!(writes.sampled, decision.sampled);
        // What the next hop reads agrees with the flag.
        if let Some(threshold) = writes.threshold {
            let next = writes.randomness.or(request.draw.shared).expect("to judge by");
            prop_assert!(writes.sampled && threshold.keeps(next.value()) && !request.forced);
            prop_assert_eq!(threshold.probability(), decision.probability);
            let unknown = request.parent.is_some_and(|parent| parent.sampled && parent.threshold.is_none());
            prop_assert!(!unknown || request.mode == ParentMode::Ignore);
        }
        prop_assert!(writes.randomness.is_none() || request.parent.is_none());
    }

    #[test]
    fn at_most_keeps_nothing_that_the_caller_or_we_would_not(request in request()) {
        let Request { parent: Some(parent), draw, .. } = request else { return Ok(()) };
        let request = Request { mode: ParentMode::AtMost, forced: false, ..request };
        let alone = decide(&Request { parent: None, ..request });
        let decision = decide(&request);
        prop_assert!(!decision.sampled || parent.sampled && alone.sampled);
        if let Some(theirs) = parent.threshold.filter(|_| draw.shared == Some(draw.here)) {
            prop_assert_eq!(decision.sampled, parent.sampled && alone.sampled && theirs.keeps(draw.here.value()));
        }
    }

    #[test]
    fn respect_agrees_with_the_caller(request in request()) {
        let Request { parent: Some(parent), .. } = request else { return Ok(()) };
        let decision = decide(&Request { mode: ParentMode::Respect, forced: false, ..request });
        prop_assert_eq!(decision.sampled, parent.sampled);
        if let Some(threshold) = decision.writes.and_then(|writes| writes.threshold) {
            prop_assert_eq!(parent.threshold, Some(threshold));
        }
    }

    #[test]
    fn what_is_written_keeps_to_w3cs_grammar_and_loses_nothing_of_others(
        headers in headers(), threshold in of(threshold()), randomness in of(randomness())
    ) {
        let came = bytes(&headers);
        let ot = Ot::read(&came);
        let edited = ot.with(threshold, randomness);
        let list = headers.join(",");
        let after = match &edited.change {
            Change::Unchanged => None,
            Change::Remove => Some(String::new()),
            Change::Set(value) => {
                let value = String::from_utf8(value.clone()).expect("ASCII");
                assert_valid(&value);
                Some(value)
            }
        };
        let is_valid = sluicegate_host::Tracestate::parse(&came).is_some();
        if let Some(after) = &after && is_valid {
            let (before, after) = (others(&list), others(after));
            let lost = before.len() - after.len();
            prop_assert!(before.starts_with(&after) && lost <= 1, "{:?} {:?}", before, after);
            prop_assert!(lost == 0 || before.len() == 32);
        }
        // Whoever reads it next finds what was written, and to write it again changes nothing.
        let written: Vec<&[u8]> = match (&edited.change, &after) {
            (Change::Unchanged, _) => came.clone(),
            (Change::Set(value), _) => vec![value],
            _ => Vec::new(),
        };
        let next = Ot::read(&written);
        prop_assert!(next.threshold() == threshold || edited.left_out && next.threshold().is_none());
        if let Some(there) = ot.randomness() {
            prop_assert_eq!(next.randomness(), Some(there));
        } else {
            prop_assert!(next.randomness() == randomness || edited.left_out && next.randomness().is_none());
        }
        prop_assert_eq!(next.with(next.threshold(), None).change, Change::Unchanged);
        // The sub-keys of other concerns, where they could be read.
        if let Some(after) = &after && is_valid && ot_is_whole(&list) {
            prop_assert_eq!(other_sub_keys(&list), other_sub_keys(after));
        }
    }

    #[test]
    fn nothing_to_say_where_nothing_of_ours_is_changes_no_byte(headers in headers()) {
        let headers: Vec<_> = headers.iter().map(|header| header.replace("ot=", "to=")).collect();
        let came = bytes(&headers);
        if sluicegate_host::Tracestate::parse(&came).is_some() {
            prop_assert_eq!(Ot::read(&came).with(None, None).change, Change::Unchanged);
        }
    }
}

fn ot_is_whole(list: &str) -> bool {
    let ours: Vec<_> = list.split(',').filter_map(|m| m.trim_matches([' ', '\t']).strip_prefix("ot=")).collect();
    let [ours] = ours[..] else { return false };
    let mut keys: Vec<_> = ours.split(';').map(|sub_key| sub_key.split(':').next()).collect();
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    keys.len() == count
        && ours.len() <= 256
        && ours.split(';').all(|sub_key| {
            sub_key.split_once(':').is_some_and(|(key, value)| {
                key.starts_with(|c: char| c.is_ascii_lowercase())
                    && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
                    && value.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
            })
        })
}

const TRACES: u32 = 1_000_000;

/// So many random traces, the same in every run.
fn draws() -> Vec<Draw> {
    let entropy = Entropy::from_seed([42; 32]);
    let trace = || TraceId::new(entropy.bytes()).expect("not all zero");
    let draw = |_| Draw::of(Key::TraceId, Sources { trace: Some(trace()), ..Sources::default() }, &entropy);
    (0..TRACES).map(draw).collect()
}

fn decided(draw: Draw, verdict: Verdict, parent: Option<Parent>, mode: ParentMode) -> Decision {
    decide(&Request { verdict, parent, is_root: parent.is_none(), mode, draw, forced: false, writable: true })
}

/// The context that a decision hands to the next hop.
fn parent(decision: &Decision) -> Parent {
    let writes = decision.writes.expect("writable");
    Parent { sampled: writes.sampled, threshold: writes.threshold }
}

/// Five standard deviations: a good sampler fails once in two million runs, and this one always runs the same.
fn assert_is_share(count: usize, probability: f64, what: &str) {
    let expected = f64::from(TRACES) * probability;
    let deviation = (expected * (1.0 - probability)).sqrt();
    let count = u32::try_from(count).expect("a million at most");
    assert!((f64::from(count) - expected).abs() <= 5.0 * deviation, "{what}: {count} for {expected}");
}

#[test]
fn over_a_million_traces_the_share_is_the_probability_and_every_hop_agrees() {
    let draws = draws();
    for probability in [1.0, 0.5, 1.0 / 3.0, 0.1, 0.01, 0.001, 0.0] {
        let verdict = Verdict::Adaptive(probability);
        let mut kept = 0usize;
        let mut weight = 0.0;
        for draw in &draws {
            let first = decided(*draw, verdict, None, ParentMode::Respect);
            // With the same probability the next hop decides the same, whatever it makes of its parent.
            for mode in MODES {
                let second = decided(*draw, verdict, Some(parent(&first)), mode);
                assert_eq!((first.sampled, first.writes), (second.sampled, second.writes), "{probability} {mode:?}");
            }
            if first.sampled {
                kept += 1;
                weight += 1.0 / first.probability;
            }
        }
        assert_is_share(kept, probability, "kept");
        if probability > 0.0 {
            // Weighted by what is written, the sample counts the traffic.
            let error = weight / f64::from(TRACES) - 1.0;
            let deviation = ((1.0 - probability) / probability / f64::from(TRACES)).sqrt();
            assert!(error.abs() <= 5.0 * deviation + 1e-12, "{probability}: {error}");
        }
    }
}

#[test]
fn over_a_million_traces_what_a_rarer_hop_keeps_the_others_keep() {
    let draws = draws();
    let rates = [0.0005, 0.01, 0.03, 0.2, 0.21, 0.5, 0.9, 1.0];
    for draw in draws {
        let kept = rates.map(|rate| decided(draw, Verdict::Rate(rate), None, ParentMode::Respect).sampled);
        assert!(kept.windows(2).all(|pair| pair[0] <= pair[1]), "{draw:?}");
    }
}

#[test]
fn over_a_million_traces_at_most_is_the_rarer_of_the_two() {
    let draws = draws();
    for (theirs, ours) in [(0.5, 0.1), (0.1, 0.5), (0.2, 0.2), (1.0, 0.05)] {
        let mut kept = 0;
        for draw in &draws {
            let caller = decided(*draw, Verdict::Rate(theirs), None, ParentMode::Respect);
            let here = decided(*draw, Verdict::Rate(ours), Some(parent(&caller)), ParentMode::AtMost);
            kept += usize::from(here.sampled);
            assert!(!here.sampled || here.threshold.is_some() && here.probability <= caller.probability);
        }
        assert_is_share(kept, f64::min(theirs, ours), "at most");
    }
    // A client that sets the flag on everything.
    let flood = Parent { sampled: true, threshold: None };
    let kept = draws.iter().map(|draw| decided(*draw, Verdict::Rate(0.01), Some(flood), ParentMode::AtMost));
    let kept = kept.filter(|decision| decision.sampled).inspect(|decision| assert_eq!(parent(decision), flood));
    assert_is_share(kept.count(), 0.01, "flood");
}
