//! Envoy's response flags.

use super::ErrorKind;
use std::fmt;

/// Envoy's attribute `response.flags`: one bit per `CoreResponseFlag` of Envoy 1.40. Flags that extensions register are
/// never in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseFlags(u64);

use ErrorKind as Kind;

/// The letters of each flag, at the place of its bit, and the error that it tells of. No kind: it says what happened
/// besides (a delay, an answer from the cache, a rate limiter that could not be asked), or, as URX, not why.
const FLAGS: [(&str, Option<ErrorKind>); 30] = [
    ("LH", Some(Kind::LocalReply)),        // failed local health check
    ("UH", Some(Kind::NoHealthyUpstream)), // no healthy upstream
    ("UT", Some(Kind::Timeout)),           // upstream request timeout
    ("LR", Some(Kind::Reset)),             // local reset
    ("UR", Some(Kind::Reset)),             // upstream remote reset
    ("UF", Some(Kind::Connect)),           // upstream connection failure
    ("UC", Some(Kind::Reset)),             // upstream connection termination
    ("UO", Some(Kind::Overflow)),          // upstream overflow
    ("NR", Some(Kind::NoRoute)),           // no route found
    ("DI", None),                          // delay injected
    ("FI", Some(Kind::FaultInjected)),     // fault injected
    ("RL", Some(Kind::RateLimited)),       // rate limited
    ("UAEX", Some(Kind::Denied)),          // unauthorized by the external service
    ("RLSE", None),                        // rate limit service error
    ("DC", Some(Kind::ClientGone)),        // downstream connection termination
    ("URX", None),                         // upstream retry limit exceeded
    ("SI", Some(Kind::Timeout)),           // stream idle timeout
    ("IH", Some(Kind::Rejected)),          // invalid Envoy request headers
    ("DPE", Some(Kind::Rejected)),         // downstream protocol error
    ("UMSDR", Some(Kind::Timeout)),        // upstream max stream duration reached
    ("RFCF", None),                        // response from cache filter
    ("NFCF", Some(Kind::LocalReply)),      // no filter config found
    ("DT", Some(Kind::Timeout)),           // duration timeout
    ("UPE", Some(Kind::Protocol)),         // upstream protocol error
    ("NC", Some(Kind::NoRoute)),           // no cluster found
    ("OM", Some(Kind::Overload)),          // overload manager
    ("DF", Some(Kind::Dns)),               // DNS resolution failed
    ("DO", Some(Kind::Overload)),          // drop overload
    ("DR", Some(Kind::ClientGone)),        // downstream remote reset
    ("UDO", Some(Kind::Overload)),         // unconditional drop overload
];

/// Which kind counts where several flags stand: the proxy's own decision before what it led to, the cause before its
/// effect. A reset is often the effect of something else, and a client often leaves because of it.
const PRECEDENCE: [ErrorKind; 14] = [
    Kind::FaultInjected,
    Kind::Overload,
    Kind::RateLimited,
    Kind::Denied,
    Kind::Rejected,
    Kind::NoRoute,
    Kind::NoHealthyUpstream,
    Kind::Dns,
    Kind::Connect,
    Kind::Timeout,
    Kind::Protocol,
    Kind::Reset,
    // Beside one of these it is the budget for retries that was used up, and not what happened.
    Kind::Overflow,
    Kind::ClientGone,
];

impl ResponseFlags {
    /// Of the attribute's value.
    pub fn from_bits(bits: u64) -> ResponseFlags {
        ResponseFlags(bits)
    }

    /// The attribute's value.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whether no flag stands.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// UC: the upstream closed its connection.
    pub(super) fn is_upstream_closed(self) -> bool {
        self.has(6)
    }

    /// DPE: the client broke the protocol.
    pub(super) fn is_protocol_error(self) -> bool {
        self.has(18)
    }

    fn has(self, number: u8) -> bool {
        self.0.checked_shr(u32::from(number)).unwrap_or(0) & 1 == 1
    }

    /// The most telling error of these flags.
    pub(super) fn kind(self) -> Option<ErrorKind> {
        if self.is_empty() {
            return None;
        }
        let any_of = |kind| self.numbers().any(|number| known(number).is_some_and(|flag| flag.1 == Some(kind)));
        PRECEDENCE.into_iter().chain([Kind::LocalReply]).find(|kind| any_of(*kind))
    }

    fn numbers(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |number| self.has(*number))
    }
}

fn known(number: u8) -> Option<&'static (&'static str, Option<ErrorKind>)> {
    FLAGS.get(usize::from(number))
}

/// Envoy's letters, in the order of the bits: `UF,URX`. A bit that Envoy 1.40 does not
/// know is written with its number: `BIT30`.
impl fmt::Display for ResponseFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for number in self.numbers() {
            f.write_str(separator)?;
            match known(number) {
                Some((letters, _)) => f.write_str(letters)?,
                None => write!(f, "BIT{number}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// What Envoy 1.40.0 prints when a `response_flag_filter` names a flag that it does not know, in the order of its enum.
    const ENVOY: &str = "LH UH UT LR UR UF UC UO NR DI FI RL UAEX RLSE DC URX SI IH DPE UMSDR RFCF NFCF DT UPE NC OM DF \
                         DO DR UDO";

    #[test]
    fn the_letters_are_envoys_in_the_order_of_its_bits() {
        let ours: Vec<_> = FLAGS.iter().map(|(letters, _)| *letters).collect();
        assert_eq!(ours.join(" "), ENVOY);
        for (number, letters) in ENVOY.split(' ').enumerate() {
            assert_eq!(ResponseFlags::from_bits(1 << number).to_string(), letters);
        }
    }

    #[test]
    fn several_flags_are_joined_and_an_unknown_one_keeps_its_number() {
        assert_eq!(ResponseFlags::from_bits(1 << 5 | 1 << 15).to_string(), "UF,URX");
        assert_eq!(ResponseFlags::from_bits(1 << 30 | 1 << 63).to_string(), "BIT30,BIT63");
        assert_eq!(ResponseFlags::default().to_string(), "");
    }

    #[test]
    fn every_kind_that_a_flag_tells_of_has_its_place_in_the_precedence() {
        for (number, (letters, kind)) in FLAGS.iter().enumerate() {
            assert_eq!(ResponseFlags::from_bits(1 << number).kind(), *kind, "{letters}");
        }
        assert_eq!(ResponseFlags::from_bits(1 << 40).kind(), None);
    }

    #[test]
    fn the_cause_counts_before_its_effect() {
        let bit = |letters: &str| 1 << FLAGS.iter().position(|flag| flag.0 == letters).unwrap();
        let table = [
            ("UF", "URX", Kind::Connect),
            ("UT", "DC", Kind::Timeout),
            ("UO", "UR", Kind::Reset),
            ("UO", "DC", Kind::Overflow),
            ("UC", "DR", Kind::Reset),
            ("DI", "FI", Kind::FaultInjected),
            ("DF", "UF", Kind::Dns),
            ("LH", "DC", Kind::ClientGone),
            ("OM", "LR", Kind::Overload),
        ];
        for (one, other, kind) in table {
            assert_eq!(ResponseFlags::from_bits(bit(one) | bit(other)).kind(), Some(kind), "{one},{other}");
        }
    }
}
