//! What a request is asked, and what it gets.

use crate::place::Subject;
use crate::settings::Settings;
use crate::state::{Epoch, State};
use std::rc::Rc;

/// A breaker of the policy: one state machine for each name that requests come with.
#[derive(Clone, Debug, PartialEq)]
pub struct Breaker {
    pub(crate) identity: u64,
    pub(crate) settings: Rc<Settings>,
    /// Whether its names are few: then they find room however many others there are.
    pub(crate) is_reserved: bool,
}

/// What a request gets.
#[derive(Debug, PartialEq)]
#[must_use]
pub struct Admission {
    /// How the breaker stands, as far as this worker knows. Closed where it is disabled, open where it is forced.
    pub state: State,
    /// What to do.
    pub verdict: Verdict,
}

/// What to do with a request.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// It passes, and its outcome is awaited.
    Pass(Ticket),
    /// It passes, and nobody wants to know its outcome: the breaker is disabled, or there is no room for its key.
    PassUnwatched,
    /// It passes because the breaker is in shadow; else it would have been shed. Nobody wants to know its outcome.
    WouldShed {
        /// How long the breaker is open yet: whole seconds, rounded up, at least 1.
        retry_after: u64,
    },
    /// It is shed.
    Shed {
        /// How long the breaker is open yet: whole seconds, rounded up, at least 1.
        retry_after: u64,
    },
}

/// Of a request that passed. May be kept for as long as the request takes, and is good only where it came from.
#[derive(Debug, PartialEq)]
#[must_use = "what came of the request is to be told"]
pub struct Ticket {
    pub(crate) subject: Rc<Subject>,
    /// When it passed.
    pub(crate) epoch: Epoch,
    /// The number of the trial, if it is one.
    pub(crate) probe: Option<u32>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream did its work.
    Success,
    /// The upstream failed.
    Failure,
    /// It says nothing of the upstream: the caller went away, or the answer was made here.
    Ignored,
}

impl Breaker {
    /// `identity` tells the breaker from others, in this policy and in the next: where it stays the same, state and counts go
    /// on, whatever else has changed. What of the settings is out of range is as the nearest that is in it.
    pub fn new(identity: u64, settings: Settings) -> Breaker {
        Breaker { identity, settings: Rc::new(settings.bounded()), is_reserved: false }
    }

    /// The same, for names that come from a configuration and not from requests: of these there is room for
    /// [`crate::RESERVED`] beyond what others may take.
    #[must_use]
    pub fn reserved(self) -> Breaker {
        Breaker { is_reserved: true, ..self }
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Ticket {
    /// Whether the request is a trial of a half-open breaker.
    pub fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}
