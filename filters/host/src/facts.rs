//! What filters find out about an exchange and leave for each other, and for the log.

use crate::{AnswerFacts, HeaderMap, Threshold};
use std::fmt;
use std::rc::Rc;

/// What is known about an exchange so far. A fact that is absent was not found out: its filter is off, has not run, or
/// the exchange never came so far.
///
/// In one module the facts are handed over in memory. Between separate plugins the trace context travels in
/// `traceparent`, the request id in its header, and what no header says in filter state.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The trace that the exchange belongs to.
    pub trace: Option<TraceFacts>,
    /// The id of the request.
    pub request_id: Option<RequestId>,
    /// Whether the request is recorded, and why.
    pub sampling: Option<SamplingFacts>,
    /// The request's headers as they came, before any filter of this module changed them; kept by whoever needs them when
    /// the exchange is over.
    pub request: Option<Rc<HeaderMap>>,
    /// When the response's headers came, in nanoseconds since the Unix epoch.
    pub response_started: Option<u64>,
    /// The answer that a filter of ours gave in the place of the upstream.
    pub reply: Option<LocalReply>,
    /// How the circuit breaker stood.
    pub breaker: Option<BreakerFacts>,
    /// How the exchange was answered, once it is over.
    pub answer: Option<AnswerFacts>,
}

/// How the circuit breaker stood that a request met, where it was not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerFacts {
    /// Its state.
    pub state: BreakerState,
    /// Whether the request was shed.
    pub shed: bool,
}

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// All requests pass.
    Closed,
    /// None does.
    Open,
    /// Some do, to see.
    HalfOpen,
}

impl BreakerState {
    /// All of them.
    pub const ALL: [BreakerState; 3] = [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half_open",
        }
    }

    /// Of the word.
    pub fn parse(word: &[u8]) -> Option<BreakerState> {
        BreakerState::ALL.into_iter().find(|state| state.as_str().as_bytes() == word)
    }
}

/// What an answer of our own filters means: for those who judge the exchange, since the proxy tells nothing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalReply {
    /// The circuit breaker shed the request.
    BreakerOpen,
    /// A limit on the rate of requests was reached.
    RateLimited,
    /// The request was refused for what it is.
    Rejected,
    /// Anything else.
    Other,
}

impl LocalReply {
    const ALL: [LocalReply; 4] =
        [LocalReply::BreakerOpen, LocalReply::RateLimited, LocalReply::Rejected, LocalReply::Other];

    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            LocalReply::BreakerOpen => "breaker_open",
            LocalReply::RateLimited => "rate_limited",
            LocalReply::Rejected => "rejected",
            LocalReply::Other => "other",
        }
    }

    /// Of the word.
    pub fn parse(word: &[u8]) -> Option<LocalReply> {
        LocalReply::ALL.into_iter().find(|reply| reply.as_str().as_bytes() == word)
    }
}

/// The trace context in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceFacts {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that upstream sees as its parent: this hop's own, or the caller's where the context is only forwarded.
    pub span_id: SpanId,
    /// The caller's span, where this hop has one of its own and the caller named one.
    pub parent_span_id: Option<SpanId>,
    /// Whether `span_id` is this hop's own: then the context is one that was made or changed here, and not only forwarded.
    pub own_span: bool,
    /// Sampled, random.
    pub flags: TraceFlags,
    /// Whether the caller decided what `flags` says of being sampled; else it is the policy's default.
    pub decided: bool,
    /// Where the trace comes from.
    pub origin: Origin,
    /// The context of an untrusted caller, which was not continued.
    pub outside: Option<Outside>,
}

/// The decision to record a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingFacts {
    /// Whether it is recorded.
    pub sampled: bool,
    /// By which it was judged, and so how many like it a recorded one stands for; `None` where nobody may weight by it.
    pub threshold: Option<Threshold>,
    /// What decided.
    pub reason: SamplingReason,
}

/// What decided whether a request is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamplingReason {
    /// A rule of the policy: all, none, or a fixed fraction.
    Rule,
    /// A target and the load.
    Adaptive,
    /// The caller.
    Parent,
    /// A header with a secret.
    Forced,
}

impl SamplingReason {
    /// Each of them.
    pub const ALL: [SamplingReason; 4] =
        [SamplingReason::Rule, SamplingReason::Adaptive, SamplingReason::Parent, SamplingReason::Forced];

    /// The word for it in records and counters.
    pub fn as_str(self) -> &'static str {
        match self {
            SamplingReason::Rule => "rule",
            SamplingReason::Adaptive => "adaptive",
            SamplingReason::Parent => "parent",
            SamplingReason::Forced => "forced",
        }
    }

    /// Of the word.
    pub fn parse(word: &[u8]) -> Option<SamplingReason> {
        SamplingReason::ALL.into_iter().find(|reason| reason.as_str().as_bytes() == word)
    }
}

/// Where a trace comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It began here.
    Started,
    /// A context that came in goes on.
    Continued,
    /// The proxy's own tracer made it.
    Proxy,
}

/// The ids that an untrusted caller sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its span, where it said.
    pub span_id: Option<SpanId>,
}

/// A trace id: 16 bytes, not all zero (W3C Trace Context §3.2.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// A span id: 8 bytes, not all zero (W3C Trace Context §3.2.2.4, `parent-id`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// `None` for all zero, which is no id.
    pub fn new(bytes: [u8; 16]) -> Option<TraceId> {
        (bytes != [0; 16]).then_some(TraceId(bytes))
    }

    /// The bytes, most significant first.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl SpanId {
    /// `None` for all zero, which is no id.
    pub fn new(bytes: [u8; 8]) -> Option<SpanId> {
        (bytes != [0; 8]).then_some(SpanId(bytes))
    }

    /// The bytes, most significant first.
    pub fn bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

/// 32 lower-case hex digits.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// 16 lower-case hex digits.
impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The trace flags that Level 2 defines (W3C Trace Context §3.2.2.5); the others are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceFlags {
    /// Bit 0: the caller may have recorded its part.
    pub sampled: bool,
    /// Bit 1: the right-most 7 bytes of the trace id are random.
    pub random: bool,
}

impl TraceFlags {
    /// Of a byte; bits 2 to 7 are dropped.
    pub fn from_byte(byte: u8) -> TraceFlags {
        TraceFlags { sampled: byte & 1 != 0, random: byte & 2 != 0 }
    }

    /// As a byte.
    pub fn byte(self) -> u8 {
        u8::from(self.sampled) | u8::from(self.random) << 1
    }
}

/// The id of a request: 1 to 128 bytes of `A-Z a-z 0-9 . _ ~ - + / = : @`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Rc<str>);

impl RequestId {
    /// The longest that is accepted, in bytes.
    pub const MAX_LEN: usize = 128;

    /// `None` where the value is not well-formed.
    pub fn parse(value: &[u8]) -> Option<RequestId> {
        let well_formed = (1..=RequestId::MAX_LEN).contains(&value.len())
            && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._~-+/=:@".contains(byte));
        if !well_formed {
            return None;
        }
        std::str::from_utf8(value).ok().map(|text| RequestId(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_zero_is_no_id() {
        assert_eq!(TraceId::new([0; 16]), None);
        assert_eq!(SpanId::new([0; 8]), None);
    }

    #[test]
    fn ids_print_as_lower_case_hex_with_their_zeros() {
        let mut bytes = [0; 16];
        bytes[15] = 0xAB;
        assert_eq!(TraceId::new(bytes).unwrap().to_string(), "000000000000000000000000000000ab");
        assert_eq!(SpanId::new([0x0f; 8]).unwrap().to_string(), "0f0f0f0f0f0f0f0f");
    }

    #[test]
    fn unknown_flags_are_dropped() {
        assert_eq!(TraceFlags::from_byte(0xff).byte(), 0x03);
        assert_eq!(TraceFlags::from_byte(0xfc).byte(), 0x00);
    }

    #[test]
    fn a_request_id_is_short_and_of_safe_characters() {
        for good in ["a", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "a.b_c~d-e+f/g=h:i@j", &"x".repeat(128)] {
            assert!(RequestId::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [&b""[..], b"a b", b"a\"b", b"a,b", b"caf\xc3\xa9", b"\xff", b"a;b", &[b'x'; 129]] {
            assert!(RequestId::parse(bad).is_none(), "{bad:?}");
        }
    }
}
