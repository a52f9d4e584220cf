//! The randomness R of a trace: 56 bits that every hop takes from the same place, so that all decide alike (OpenTelemetry,
//! TraceState: Probability Sampling).

use sluicegate_host::{Entropy, RequestId, TraceId, hex};
use sluicegate_policy::Fnv;

/// From 0 to 2^56 − 1, each as likely as the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Randomness(u64);

/// What a request is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The trace's own randomness: `rv`, else its id.
    TraceId,
    /// The request's id, for meshes where ids of traces are not W3C's: the hops that see the same request id decide
    /// alike. An `rv` goes first here as well: that is how the hop that began the trace hands its randomness on.
    RequestId,
}

/// By what a request is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draw {
    /// What decides here.
    pub(crate) here: Randomness,
    /// What every hop reads out of the trace context: `rv`, else the trace id. `None` where there is no context.
    pub(crate) shared: Option<Randomness>,
}

/// The randomness that comes with a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sources<'r> {
    /// The trace, where the request has one. OpenTelemetry has samplers presume that its id is random.
    pub(crate) trace: Option<TraceId>,
    /// Its explicit randomness.
    pub(crate) rv: Option<Randomness>,
    /// The id of the request.
    pub(crate) request: Option<&'r RequestId>,
}

impl Draw {
    /// What the policy's key asks for, or the next best: the other id, else chance, by which the share of requests is
    /// right but no other hop decides alike.
    pub(crate) fn of(key: Key, sources: Sources<'_>, entropy: &Entropy) -> Draw {
        // A tracestate without a trace means nothing (W3C Trace Context §3.3).
        let rv = sources.rv.filter(|_| sources.trace.is_some());
        let shared = rv.or_else(|| sources.trace.map(Randomness::of_trace));
        let request = || sources.request.map(Randomness::of_request);
        let here = match key {
            Key::TraceId => shared.or_else(request),
            Key::RequestId => rv.or_else(request).or(shared),
        };
        Draw { here: here.unwrap_or_else(|| Randomness::from_bytes(entropy.bytes())), shared }
    }
}

impl Randomness {
    /// The right-most 7 bytes of a trace id (W3C Trace Context, Level 2, §3.2.2.5.2).
    pub(crate) fn of_trace(id: TraceId) -> Randomness {
        let [.., a, b, c, d, e, f, g] = *id.bytes();
        Randomness::from_bytes([a, b, c, d, e, f, g])
    }

    /// A hash of a request id, the same in every release and for everybody who wants to decide alike: FNV-1a over 64 bits,
    /// then MurmurHash3's finaliser, then the upper 56 bits.
    ///
    /// FNV alone leaves ids that differ in their last characters near each other, which the finaliser, a bijection, cures
    /// (see the tests). A cryptographic hash would spread no better and buy nothing here: who chooses the id can try out
    /// ids until one is kept whatever the hash is. SHA-256 of a UUID takes ten times as long in WebAssembly (V8: 0.35 µs
    /// against 0.03 µs).
    pub(crate) fn of_request(id: &RequestId) -> Randomness {
        let mut hash = Fnv::new();
        hash.write(id.as_str().as_bytes());
        Randomness(finalise(hash.value()) >> 8)
    }

    /// Of 7 random bytes.
    pub(crate) fn from_bytes([a, b, c, d, e, f, g]: [u8; 7]) -> Randomness {
        Randomness(u64::from_be_bytes([0, a, b, c, d, e, f, g]))
    }

    /// Reads the value of `rv`: exactly 14 lower-case hex digits.
    pub(crate) fn parse(digits: &[u8]) -> Option<Randomness> {
        number(digits).map(Randomness)
    }

    /// Appends the value of `rv`.
    pub(crate) fn write(self, text: &mut Vec<u8>) {
        let [_, bytes @ ..] = self.0.to_be_bytes();
        hex::push(text, &bytes);
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }
}

/// The number in exactly 14 lower-case hex digits.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    hex::decode_lower(digits).map(|bytes| Randomness::from_bytes(bytes).value())
}

/// MurmurHash3's `fmix64`: every bit of the input moves every bit of the output.
fn finalise(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use sluicegate_host::Threshold;

    const ID: [u8; 16] =
        [0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36];
    const OF_ID: Randomness = Randomness(0xce_929d_0e0e_4736);
    const RV: Randomness = Randomness(0x6e_6d1a_7583_2a2f);

    fn request(id: &str) -> Randomness {
        Randomness::of_request(&RequestId::parse(id.as_bytes()).unwrap())
    }

    fn draw(key: Key, trace: bool, rv: bool, id: Option<&str>) -> Draw {
        let request = id.map(|id| RequestId::parse(id.as_bytes()).unwrap());
        let sources = Sources {
            trace: TraceId::new(ID).filter(|_| trace),
            rv: Some(RV).filter(|_| rv),
            request: request.as_ref(),
        };
        Draw::of(key, sources, &Entropy::from_seed([7; 32]))
    }

    #[test]
    fn it_is_the_right_most_7_bytes_of_a_trace_id() {
        assert_eq!(Randomness::of_trace(TraceId::new(ID).unwrap()), OF_ID);
    }

    #[test]
    fn rv_has_exactly_14_lower_case_digits() {
        assert_eq!(Randomness::parse(b"6e6d1a75832a2f"), Some(RV));
        for digits in
            [&b""[..], b"6e6d1a75832a2", b"06e6d1a75832a2f", b"6E6D1A75832A2F", b"6e6d1a75832a2g", b"              "]
        {
            assert_eq!(Randomness::parse(digits), None, "{digits:?}");
        }
        let mut text = Vec::new();
        Randomness(0xab).write(&mut text);
        assert_eq!(text, b"000000000000ab");
    }

    #[test]
    fn what_the_context_says_goes_first_and_what_the_key_asks_for_next() {
        let [trace, id] = [Key::TraceId, Key::RequestId];
        for (key, has_trace, has_rv, request_id, here, shared) in [
            (trace, true, true, Some("r"), RV, Some(RV)),
            (trace, true, false, Some("r"), OF_ID, Some(OF_ID)),
            (trace, false, true, Some("r"), request("r"), None),
            (id, true, true, Some("r"), RV, Some(RV)),
            (id, true, false, Some("r"), request("r"), Some(OF_ID)),
            (id, true, false, None, OF_ID, Some(OF_ID)),
            (id, false, true, Some("r"), request("r"), None),
        ] {
            let drawn = draw(key, has_trace, has_rv, request_id);
            assert_eq!(drawn, Draw { here, shared }, "{key:?} {has_trace} {has_rv} {request_id:?}");
        }
    }

    #[test]
    fn without_any_id_chance_decides() {
        let entropy = Entropy::from_seed([7; 32]);
        let draw = |key| Draw::of(key, Sources::default(), &entropy);
        let drawn: Vec<_> = (0..64).flat_map(|_| [draw(Key::TraceId), draw(Key::RequestId)]).collect();
        assert!(drawn.iter().all(|draw| draw.shared.is_none() && draw.here.value() < Threshold::SPACE));
        assert!(drawn.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn the_hash_of_a_request_id_is_the_same_in_every_release() {
        // FNV-1a's own vector for "foobar" is 85944171f73967e8; fmix64 of it, as a second implementation has it:
        assert_eq!(request("foobar"), Randomness(0x2c22_1949_22d1_672b >> 8));
    }

    /// Chi-square over 256 buckets of the leading byte, by which most decisions fall. With 255 degrees of freedom a good
    /// hash stays below 380 but once in a million times.
    fn chi_square(ids: impl Iterator<Item = String>) -> f64 {
        let mut buckets = [0u32; 256];
        let mut count = 0;
        for id in ids {
            buckets[usize::try_from(request(&id).value() >> 48).unwrap()] += 1;
            count += 1;
        }
        let expected = f64::from(count) / 256.0;
        buckets.iter().map(|seen| (f64::from(*seen) - expected).powi(2) / expected).sum()
    }

    #[test]
    fn request_ids_that_are_alike_spread_evenly() {
        const COUNT: u64 = 100_000;
        type Kind = (&'static str, fn(u64) -> String);
        let kinds: [Kind; 6] = [
            ("numbers", |n| n.to_string()),
            ("numbers with a prefix", |n| format!("checkout-7d9f-{n}")),
            ("numbers in front", |n| format!("{n}-checkout")),
            ("single characters", |n| format!("{n:b}")),
            ("UUIDs that count", |n| format!("01890a5d-ac96-774b-bcce-{n:012x}")),
            ("UUIDs of one random part", |n| format!("{:08x}-ac96-774b-bcce-b302099a8057", n.wrapping_mul(40_503))),
        ];
        for (kind, id) in kinds {
            let chi_square = chi_square((0..COUNT).map(id));
            assert!((150.0..380.0).contains(&chi_square), "{kind}: {chi_square}");
        }
    }
}
