//! A breaker as bytes.
//!
//! ```text
//! epoch
//! state            1 byte: 0 closed, 1 open, 2 half-open
//! closed:
//!   failures in a row
//!   window         1 byte: 0 by time, 1 by count
//!   length         seconds or calls
//!   by time, oldest slot first, up to the end:
//!     seconds after the slot ahead of it (for the first: since the Unix epoch), calls, failures, slow calls
//!   by count:
//!     how many calls, then four to a byte, the oldest lowest: bit 0 failed, bit 1 slow
//! open:
//!   since          nanoseconds since the Unix epoch
//!   how often it has opened again
//!   jitter         the drawn number
//! half-open:
//!   how often it had opened again
//!   successes
//!   number of the next probe
//!   probes under way, up to the end:
//!     number, when its stage began (nanoseconds since the Unix epoch), 1 byte: 0 it waits for an answer, 1 its response
//!     has begun, 2 it is being sent, 3 the same without a slot, 4 it has ended and says nothing
//! ```
//!
//! What has no width is a number in base 128 (see `number.rs`).

use crate::number::{read, take, write};
use crate::probe::{Probes, Stage, Trial};
use crate::settings::{CALLS, Span};
use crate::state::{Machine, Phase};
use crate::window::{Call, Calls, Counts, Seconds, Slot, Window};

const CLOSED: u8 = 0;
const OPEN: u8 = 1;
const HALF_OPEN: u8 = 2;

const WAITING: u8 = 0;
const ANSWERED: u8 = 1;
const SENDING: u8 = 2;
const PARKED: u8 = 3;
const LEFT: u8 = 4;

const BY_TIME: u8 = 0;
const BY_COUNT: u8 = 1;

const FAILED: u8 = 1;
const SLOW: u8 = 2;
const CALLS_PER_BYTE: usize = 4;

/// The bytes of a breaker.
pub(crate) fn bytes(machine: &Machine) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(machine.epoch, &mut bytes);
    match &machine.phase {
        Phase::Closed { window, failures } => {
            bytes.push(CLOSED);
            write(*failures, &mut bytes);
            write_window(window, &mut bytes);
        }
        Phase::Open { since, reopened, draw } => {
            bytes.push(OPEN);
            write(*since, &mut bytes);
            write(*reopened, &mut bytes);
            write(*draw, &mut bytes);
        }
        Phase::HalfOpen { reopened, probes } => {
            bytes.push(HALF_OPEN);
            write(*reopened, &mut bytes);
            write(probes.successes, &mut bytes);
            write(probes.next, &mut bytes);
            for trial in &probes.trials {
                write(trial.number, &mut bytes);
                write(trial.since, &mut bytes);
                bytes.push(match trial.stage {
                    Stage::Waiting => WAITING,
                    Stage::Answered => ANSWERED,
                    Stage::Sending => SENDING,
                    Stage::Parked => PARKED,
                    Stage::Left => LEFT,
                });
            }
        }
    }
    bytes
}

/// The breaker of these bytes; `None` where nobody wrote them.
pub(crate) fn machine(mut bytes: &[u8]) -> Option<Machine> {
    let bytes = &mut bytes;
    let epoch = read(bytes)?;
    let phase = match take(bytes)? {
        CLOSED => Phase::Closed { failures: read(bytes)?, window: window(bytes)? },
        OPEN => Phase::Open { since: read(bytes)?, reopened: read(bytes)?, draw: read(bytes)? },
        HALF_OPEN => Phase::HalfOpen { reopened: read(bytes)?, probes: probes(bytes)? },
        _ => return None,
    };
    bytes.is_empty().then_some(Machine { epoch, phase })
}

fn write_window(window: &Window, bytes: &mut Vec<u8>) {
    let (kind, length) = match window.span() {
        Span::Seconds(seconds) => (BY_TIME, seconds),
        Span::Calls(calls) => (BY_COUNT, calls),
    };
    bytes.push(kind);
    write(length, bytes);
    match window.counts() {
        Counts::Seconds(seconds) => {
            let mut ahead = 0;
            for slot in seconds.iter() {
                write(slot.second.saturating_sub(ahead), bytes);
                write(slot.calls, bytes);
                write(slot.failures, bytes);
                write(slot.slow, bytes);
                ahead = slot.second;
            }
        }
        Counts::Calls(calls) => {
            write(calls.len() as u64, bytes);
            let four: Vec<Call> = calls.iter().collect();
            bytes.extend(four.chunks(CALLS_PER_BYTE).map(pack));
        }
    }
}

fn window(bytes: &mut &[u8]) -> Option<Window> {
    let kind = take(bytes)?;
    let length = read(bytes)?;
    let (span, counts) = match kind {
        BY_TIME => (Span::Seconds(length), Counts::Seconds(seconds(bytes)?)),
        BY_COUNT => (Span::Calls(length), Counts::Calls(calls(bytes)?)),
        _ => return None,
    };
    Window::of(span.bounded(), counts)
}

fn seconds(bytes: &mut &[u8]) -> Option<Seconds> {
    let mut seconds = Seconds::default();
    let mut ahead: u32 = 0;
    while !bytes.is_empty() {
        let distance: u32 = read(bytes)?;
        ahead = ahead.checked_add(distance)?;
        seconds.add(Slot { second: ahead, calls: read(bytes)?, failures: read(bytes)?, slow: read(bytes)? });
    }
    Some(seconds)
}

fn calls(bytes: &mut &[u8]) -> Option<Calls> {
    let count: u16 = read(bytes)?;
    let mut left = Some(usize::from(count)).filter(|count| *count <= usize::from(*CALLS.end()))?;
    let mut calls = Calls::default();
    while left > 0 {
        let four = take(bytes)?;
        for at in 0..left.min(CALLS_PER_BYTE) {
            calls.push(unpack(four, at));
        }
        left = left.saturating_sub(CALLS_PER_BYTE);
    }
    Some(calls)
}

fn pack(calls: &[Call]) -> u8 {
    calls.iter().rev().fold(0, |byte, call| {
        let bits = if call.failed { FAILED } else { 0 } | if call.slow { SLOW } else { 0 };
        byte << 2 | bits
    })
}

fn unpack(byte: u8, at: usize) -> Call {
    let bits = (0..at).fold(byte, |bits, _| bits >> 2);
    Call { failed: bits & FAILED != 0, slow: bits & SLOW != 0 }
}

fn probes(bytes: &mut &[u8]) -> Option<Probes> {
    let mut probes = Probes { successes: read(bytes)?, next: read(bytes)?, trials: Vec::new() };
    while !bytes.is_empty() {
        let (number, since) = (read(bytes)?, read(bytes)?);
        let stage = match take(bytes)? {
            WAITING => Stage::Waiting,
            ANSWERED => Stage::Answered,
            SENDING => Stage::Sending,
            PARKED => Stage::Parked,
            LEFT => Stage::Left,
            _ => return None,
        };
        probes.trials.push(Trial { number, since, stage });
    }
    Some(probes)
}

#[cfg(test)]
mod layout;
