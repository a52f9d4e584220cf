//! What there is to say of the breakers: for gauges, counters and lines in a log.

use crate::moment::{Nanos, second};
use crate::part::Part;
use crate::place::{Gate, Place, Subject};
use crate::settings::{Cause, whole_seconds};
use crate::state::{Change, State};
use crate::window::Totals;
use std::rc::Rc;
use std::time::Duration;

/// A transition that this worker decided for all.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The identity of the breaker.
    pub identity: u64,
    /// The beginning of the name, up to 256 bytes.
    pub name: Rc<[u8]>,
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// For how long it opened; `None` where it did not.
    pub open_for: Option<Duration>,
}

/// How a breaker stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The identity of the breaker.
    pub identity: u64,
    /// The beginning of the name, up to 256 bytes.
    pub name: Rc<[u8]>,
    /// Open also where the open time is over and no request has come since.
    pub state: State,
    /// What the window holds, as far as this worker knows; nothing where the breaker is not closed.
    pub totals: Totals,
    /// How long it is open yet, rounded up to whole seconds; `None` where it is not open.
    pub retry_after: Option<u64>,
}

/// What did not count, and why. Of this worker, since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uncounted {
    /// Requests that passed without a breaker, because there was no room for their key.
    pub unwatched: u64,
    /// Outcomes of requests whose breaker has changed its state since they were admitted. That is in order.
    pub late: u64,
    /// Outcomes that found no room in shared data.
    pub refused: u64,
}

impl Transition {
    pub(crate) fn of(subject: &Subject, change: Change) -> Transition {
        let Change { from, to, cause, open_time } = change;
        let (identity, name) = (subject.breaker.identity, Rc::clone(&subject.name));
        Transition { identity, name, from, to, cause, open_for: open_time.map(Duration::from_nanos) }
    }
}

impl Standing {
    pub(crate) fn of(part: &Part, place: &Place, now: Nanos) -> Standing {
        let machine = part.shard().and_then(|shard| shard.machine(place.subject.key));
        Standing {
            identity: place.subject.breaker.identity,
            name: Rc::clone(&place.subject.name),
            state: place.state(),
            totals: place.totals(machine, second(now)),
            retry_after: match place.gate(now) {
                Gate::Open(left) => Some(whole_seconds(left)),
                _ => (place.state() == State::Open).then_some(1),
            },
        }
    }
}
