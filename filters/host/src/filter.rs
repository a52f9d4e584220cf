use crate::{Callbacks, CalloutResponse, CalloutToken, Exchange, HostError, Vm};
use sluicegate_policy::Document;
use std::fmt;
use std::time::Duration;

/// One concern on every exchange.
///
/// One value serves all exchanges of a root context, one after the other, so what changes in it sits in cells. It is made
/// anew for every policy; exchanges under way finish with the one they began with.
pub trait Filter: Sized + 'static {
    /// How the filter is called in the proxy's log.
    const NAME: &'static str;

    /// The callbacks that the filter implements; the others are not even entered.
    const CALLBACKS: Callbacks;

    /// How often the filter gets its tick, in whole milliseconds; also how often counters and gauges are handed to the proxy.
    const TICK: Duration = Duration::from_secs(1);

    /// Reads the filter's part of the policy. Problems of the policy are recorded in the document as they are found; the
    /// filter comes into force only if there are none at the end.
    fn configure(document: &Document<'_>, vm: &Vm) -> Result<Self, Rejected>;

    /// The request's headers have come.
    fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
        let _ = exchange;
        Flow::Continue
    }

    /// All of the request has come: its headers, its body, its trailers. Not for one that a filter answered, nor one that
    /// never ends. Headers cannot be changed any more.
    fn on_request_end(&self, exchange: &mut Exchange) {
        let _ = exchange;
    }

    /// The response's headers have come, of the upstream's or of a local reply.
    fn on_response_headers(&self, exchange: &mut Exchange) {
        let _ = exchange;
    }

    /// The exchange is over.
    fn on_log(&self, exchange: &mut Exchange) {
        let _ = exchange;
    }

    /// Another [`Filter::TICK`] or so has passed.
    fn on_tick(&self, vm: &Vm) {
        let _ = vm;
    }

    /// The policy is not in force any more, and the last exchange has ended that began with it: what is to be kept must be
    /// written to shared data now. No callout is answered any more.
    fn on_end(&self, vm: &Vm) {
        let _ = vm;
    }

    /// A callout was answered, or given up.
    fn on_callout_response(&self, token: CalloutToken, response: &CalloutResponse<'_>, vm: &Vm) {
        let _ = (token, response, vm);
    }
}

/// What becomes of the request after a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It was answered with [`Exchange::reply`].
    Replied,
}

/// Why a filter cannot come into force although the document is well-formed: the proxy failed.
#[derive(Debug)]
pub struct Rejected(pub HostError);

impl From<HostError> for Rejected {
    fn from(error: HostError) -> Rejected {
        Rejected(error)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
