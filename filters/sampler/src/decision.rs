//! The decision: whether a request is recorded, why, and what the context that goes on says of it (OpenTelemetry,
//! TraceState: Probability Sampling; SDK, `CompositeSampler` and `ComposableParentThreshold`).

use crate::randomness::{Draw, Randomness};
use sluicegate_host::{SamplingReason as Reason, Threshold};

/// What this hop would do with the request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// A rule: every one is recorded.
    Always,
    /// A rule: none is.
    Never,
    /// A rule: this fraction is; 0 is none.
    Rate(f64),
    /// The load says which fraction, be it of all requests or of those of a rule with a target of its own.
    Adaptive(f64),
}

/// What the caller decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    /// The flag of its context.
    pub(crate) sampled: bool,
    /// `th` of its `tracestate`.
    pub(crate) threshold: Option<Threshold>,
}

/// What the caller's decision means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParentMode {
    /// It stands.
    Respect,
    /// It means nothing: the decision is made anew.
    Ignore,
    /// It may be sharpened but not softened.
    AtMost,
}

/// A request at its head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// By the first rule that matches, else by the load.
    pub(crate) verdict: Verdict,
    /// `None` where no caller decided.
    pub(crate) parent: Option<Parent>,
    /// Whether the trace begins here.
    pub(crate) is_root: bool,
    pub(crate) mode: ParentMode,
    pub(crate) draw: Draw,
    /// Somebody with the secret asks for it, within the budget.
    pub(crate) forced: bool,
    /// Whether the context that goes on is ours to write: one that this hop made or changes, and never one that is only
    /// forwarded or observed.
    pub(crate) writable: bool,
}

/// What was decided, and apart from it what is to be written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Decision {
    /// Whether the request is recorded.
    pub(crate) sampled: bool,
    /// The probability of being recorded that it had, 0 to 1, as its threshold says it after rounding. 1 and 0 where
    /// somebody decided without one.
    pub(crate) probability: f64,
    /// What decided.
    pub(crate) reason: Reason,
    /// By which it was judged, where the probability is known all the way from the root and was drawn from what every hop
    /// draws from: then every hop with the same threshold decides the same, and a recorded request counts for
    /// 1 / probability. Without it nobody may weight by the probability, and no `th` stands.
    pub(crate) threshold: Option<Threshold>,
    /// `None` where the context is not ours to write.
    pub(crate) writes: Option<Writes>,
}

/// What the context that goes on is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writes {
    /// The sampled flag.
    pub(crate) sampled: bool,
    /// `th`; `None` erases it.
    pub(crate) threshold: Option<Threshold>,
    /// `rv` for a trace that begins here, where none is there yet.
    pub(crate) randomness: Option<Randomness>,
}

impl Verdict {
    /// By which the request is judged; `None` for one that is not recorded whatever its randomness is.
    fn threshold(self) -> Option<Threshold> {
        match self {
            Verdict::Always => Some(Threshold::ALL),
            Verdict::Never => None,
            Verdict::Rate(probability) | Verdict::Adaptive(probability) => Threshold::of_probability(probability),
        }
    }

    fn reason(self) -> Reason {
        match self {
            Verdict::Always | Verdict::Never | Verdict::Rate(_) => Reason::Rule,
            Verdict::Adaptive(_) => Reason::Adaptive,
        }
    }
}

/// Decides. Forced goes before the caller, the caller before rules and load, unless the mode says otherwise.
pub(crate) fn decide(request: &Request) -> Decision {
    let Request { verdict, parent, is_root, mode, draw, forced, writable } = *request;
    // Whoever begins a trace by something else than its id says so, and then every hop has it.
    let randomness = Some(draw.here).filter(|here| writable && is_root && draw.shared != Some(*here));
    let shared = randomness.or(draw.shared);
    let is_shared = shared == Some(draw.here);
    let own = |known: bool| match verdict.threshold() {
        Some(threshold) => Outcome::judged(threshold, draw.here, verdict.reason(), known && is_shared),
        None => Outcome::certain(false, verdict.reason()),
    };
    let outcome = match (parent, mode) {
        _ if forced => Outcome::certain(true, Reason::Forced),
        (None, _) | (Some(_), ParentMode::Ignore) => own(true),
        (Some(parent), ParentMode::Respect) => parents(parent, shared),
        (Some(Parent { sampled: false, .. }), ParentMode::AtMost) => Outcome::certain(false, Reason::Parent),
        (Some(Parent { threshold: Some(theirs), .. }), ParentMode::AtMost) if is_shared => match verdict.threshold() {
            Some(ours) if ours < theirs => Outcome::judged(theirs, draw.here, Reason::Parent, true),
            _ => own(true),
        },
        // Of how many it stands for the caller said nothing, or nothing that can be compared with what decides here.
        (Some(_), ParentMode::AtMost) => own(false),
    };
    let Outcome { sampled, probability, reason, threshold } = outcome;
    let writes = Writes { sampled, threshold: threshold.filter(|_| sampled), randomness };
    Decision { sampled, probability, reason, threshold, writes: writable.then_some(writes) }
}

/// The caller's decision as it stands. Its threshold goes on unless it contradicts its flag: somebody on the way recorded
/// the trace for another reason and did not say so.
fn parents(parent: Parent, shared: Option<Randomness>) -> Outcome {
    let agrees = |threshold: &Threshold| shared.is_some_and(|randomness| threshold.keeps(randomness.value()));
    match parent.threshold.filter(agrees) {
        Some(threshold) if parent.sampled => Outcome {
            sampled: true,
            probability: threshold.probability(),
            reason: Reason::Parent,
            threshold: Some(threshold),
        },
        _ => Outcome::certain(parent.sampled, Reason::Parent),
    }
}

struct Outcome {
    sampled: bool,
    probability: f64,
    reason: Reason,
    /// Where the probability may be told: a recorded request carries it on.
    threshold: Option<Threshold>,
}

impl Outcome {
    fn judged(threshold: Threshold, randomness: Randomness, reason: Reason, consistent: bool) -> Outcome {
        Outcome {
            sampled: threshold.keeps(randomness.value()),
            probability: threshold.probability(),
            reason,
            threshold: Some(threshold).filter(|_| consistent),
        }
    }

    /// Without a threshold, as OpenTelemetry's composable samplers have it: all or none, and no count to rely on.
    fn certain(sampled: bool, reason: Reason) -> Outcome {
        Outcome { sampled, probability: f64::from(u8::from(sampled)), reason, threshold: None }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use ParentMode::{AtMost, Ignore, Respect};
    use Verdict::{Adaptive, Always, Never, Rate};

    /// Kept from 1/2 on: between 1/2 (`th:8`) and 1/4 (`th:c`).
    const R: u64 = 0xa0_0000_0000_0000;

    fn randomness(value: u64) -> Randomness {
        Randomness::parse(format!("{value:014x}").as_bytes()).unwrap()
    }

    fn th(digits: &str) -> Option<Threshold> {
        Threshold::parse(digits.as_bytes())
    }

    /// A request whose randomness is the trace's, R, in a context that is ours to write.
    fn request(verdict: Verdict, parent: Option<(bool, &str)>, mode: ParentMode) -> Request {
        let parent = parent.map(|(sampled, digits)| Parent { sampled, threshold: th(digits) });
        let draw = Draw { here: randomness(R), shared: Some(randomness(R)) };
        Request { verdict, parent, is_root: parent.is_none(), mode, draw, forced: false, writable: true }
    }

    /// `sampled th reason p`, with `-` for no threshold.
    fn told(request: &Request) -> String {
        let decision = decide(request);
        let writes = decision.writes.unwrap();
        assert_eq!(writes.sampled, decision.sampled);
        assert_eq!(writes.threshold.is_some(), decision.sampled && decision.threshold.is_some(), "{request:?}");
        let threshold = writes.threshold.map_or("-".to_owned(), |threshold| {
            let mut text = Vec::new();
            threshold.write(&mut text);
            String::from_utf8(text).unwrap()
        });
        format!("{} {threshold} {} {}", decision.sampled, decision.reason.as_str(), decision.probability)
    }

    #[test]
    fn every_reason_has_its_word() {
        assert_eq!(Reason::ALL.map(Reason::as_str), ["rule", "adaptive", "parent", "forced"]);
    }

    #[test]
    fn what_becomes_of_every_request() {
        let (sampled, unsampled) = (true, false);
        for (verdict, parent, mode, expected) in [
            // A root: T is written where it is kept, and only there.
            (Always, None, Respect, "true 0 rule 1"),
            (Never, None, Respect, "false - rule 0"),
            (Rate(0.5), None, Respect, "true 8 rule 0.5"),
            (Rate(0.25), None, Respect, "false - rule 0.25"),
            (Rate(1.0), None, Respect, "true 0 rule 1"),
            (Rate(0.0), None, Respect, "false - rule 0"),
            (Adaptive(0.5), None, Respect, "true 8 adaptive 0.5"),
            (Adaptive(0.25), None, AtMost, "false - adaptive 0.25"),
            (Adaptive(f64::NAN), None, Ignore, "false - adaptive 0"),
            // Ignore: decided anew, and T is our own.
            (Rate(0.5), Some((unsampled, "")), Ignore, "true 8 rule 0.5"),
            (Rate(0.5), Some((sampled, "")), Ignore, "true 8 rule 0.5"),
            (Rate(0.5), Some((sampled, "c")), Ignore, "true 8 rule 0.5"),
            (Adaptive(0.25), Some((sampled, "8")), Ignore, "false - adaptive 0.25"),
            (Never, Some((sampled, "0")), Ignore, "false - rule 0"),
            (Always, Some((unsampled, "")), Ignore, "true 0 rule 1"),
            // Respect: the caller's decision, whatever we would do.
            (Never, Some((sampled, "8")), Respect, "true 8 parent 0.5"),
            (Rate(0.25), Some((sampled, "4")), Respect, "true 4 parent 0.75"),
            (Always, Some((unsampled, "")), Respect, "false - parent 0"),
            // Its threshold: none was there, it contradicts the flag, the trace is not sampled.
            (Rate(0.5), Some((sampled, "")), Respect, "true - parent 1"),
            (Rate(0.5), Some((sampled, "c")), Respect, "true - parent 1"),
            (Rate(0.5), Some((unsampled, "8")), Respect, "false - parent 0"),
            (Rate(0.5), Some((unsampled, "c")), Respect, "false - parent 0"),
            // At most: the larger threshold, whoever has it.
            (Rate(0.5), Some((sampled, "4")), AtMost, "true 8 rule 0.5"),
            (Adaptive(0.75), Some((sampled, "8")), AtMost, "true 8 parent 0.5"),
            (Adaptive(0.5), Some((sampled, "8")), AtMost, "true 8 adaptive 0.5"),
            (Always, Some((sampled, "8")), AtMost, "true 8 parent 0.5"),
            (Adaptive(0.25), Some((sampled, "4")), AtMost, "false - adaptive 0.25"),
            (Rate(0.5), Some((sampled, "c")), AtMost, "false - parent 0.25"),
            (Never, Some((sampled, "0")), AtMost, "false - rule 0"),
            // A flag without a threshold is judged by ours, which is not written.
            (Rate(0.5), Some((sampled, "")), AtMost, "true - rule 0.5"),
            (Adaptive(0.25), Some((sampled, "")), AtMost, "false - adaptive 0.25"),
            (Always, Some((sampled, "")), AtMost, "true - rule 1"),
            (Never, Some((sampled, "")), AtMost, "false - rule 0"),
            (Always, Some((unsampled, "0")), AtMost, "false - parent 0"),
            (Always, Some((unsampled, "")), AtMost, "false - parent 0"),
        ] {
            assert_eq!(told(&request(verdict, parent, mode)), expected, "{verdict:?} {parent:?} {mode:?}");
        }
    }

    #[test]
    fn forced_is_sampled_without_a_threshold_whatever_else_holds() {
        for verdict in [Always, Never, Rate(0.5), Adaptive(0.25)] {
            for parent in [None, Some((true, "8")), Some((true, "")), Some((false, ""))] {
                for mode in [Respect, Ignore, AtMost] {
                    let forced = Request { forced: true, ..request(verdict, parent, mode) };
                    assert_eq!(told(&forced), "true - forced 1");
                }
            }
        }
    }

    #[test]
    fn what_begins_a_trace_by_another_id_writes_rv_and_no_other_does() {
        let other = randomness(0x0f_0000_0000_0000);
        let by_request = |parent, verdict| {
            let draw = Draw { here: randomness(R), shared: Some(other) };
            Request { draw, ..request(verdict, parent, Ignore) }
        };
        let rv = |request: &Request| decide(request).writes.and_then(|writes| writes.randomness);
        for verdict in [Always, Never, Rate(0.5), Rate(0.25)] {
            assert_eq!(rv(&by_request(None, verdict)), Some(randomness(R)), "{verdict:?}");
        }
        assert_eq!(rv(&Request { forced: true, ..by_request(None, Never) }), Some(randomness(R)));
        assert_eq!(rv(&request(Always, None, Ignore)), None);
        // There it is judged by the request id, and others cannot know: no th, and no rv.
        let child = by_request(Some((true, "4")), Rate(0.5));
        assert_eq!(rv(&child), None);
        for mode in [Ignore, AtMost] {
            assert_eq!(told(&Request { mode, ..child }), "true - rule 0.5");
            // Nor can their threshold be compared with ours.
            let rarer = by_request(Some((true, "08")), Rate(0.984375));
            assert_eq!(told(&Request { mode, ..rarer }), "true - rule 0.984375");
        }
        assert_eq!(told(&by_request(None, Rate(0.5))), "true 8 rule 0.5");
        // The caller's threshold is about the trace's own randomness, and is judged by that.
        assert_eq!(told(&Request { mode: Respect, ..by_request(Some((true, "08")), Never) }), "true 08 parent 0.96875");
        assert_eq!(told(&Request { mode: Respect, ..by_request(Some((true, "4")), Never) }), "true - parent 1");
    }

    #[test]
    fn what_is_decided_does_not_depend_on_whether_it_may_be_written() {
        for verdict in [Always, Never, Rate(0.5), Adaptive(0.25)] {
            for parent in [None, Some((true, "8")), Some((true, "c")), Some((true, "")), Some((false, ""))] {
                for mode in [Respect, Ignore, AtMost] {
                    let writable = request(verdict, parent, mode);
                    let decided = decide(&Request { writable: false, ..writable });
                    assert_eq!(decided.writes, None);
                    assert_eq!(Decision { writes: None, ..decide(&writable) }, decided);
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_told_to_others_is_not_consistent() {
        let unshared = [Some(randomness(1)), None].map(|shared| Draw { here: randomness(R), shared });
        for draw in unshared {
            let decision = decide(&Request { draw, writable: false, ..request(Rate(0.5), None, Respect) });
            assert!(decision.sampled && decision.threshold.is_none());
        }
    }
}
