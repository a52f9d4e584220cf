//! How much there is to record: a sliding window of requests and errors for each key, common to all workers, and the
//! probability that follows from it.
//!
//! A key is a rule, or a rule and the name of a route or handler. `formula.rs` makes a probability of what a window says;
//! `window.rs` counts by the second on a `clock.rs` that may be set at any time; `keys.rs` bounds the number of windows.
//!
//! A worker counts by itself. On the tick it adds what it counted since it last did so to values in shared data, by
//! compare-and-swap, and takes over what stands there then (`shard.rs`). So each decides with what all had counted then
//! and with its own counts since: no shared data is touched per request, and per tick only what changed is written. That
//! is done on every tick for windows of up to 15 s, and every sixtieth of longer ones. What the others count meanwhile is
//! missing: it makes the rate too low by at most 5 % with the shortest window, and by 2 % with one of a minute.

mod clock;
mod formula;
mod key;
mod keys;
mod shard;
mod slots;
mod window;

#[cfg(test)]
mod tests;

pub use formula::{Formula, Rates};

use clock::{Clock, Moment};
use key::{Key, SHARDS};
use keys::Keys;
use shard::Shard;
use slots::Second;
use sluicegate_host::shared::{self, UpdateError};
use sluicegate_host::{Host, HostError, Status};
use std::ops::RangeInclusive;
use std::time::Duration;

/// How often [`Load::on_tick`] is to be called.
pub const TICK: Duration = Duration::from_millis(250);

/// How long a window may be, in seconds.
pub const WINDOW: RangeInclusive<u16> = 5..=600;

/// How many names may have a window of their own.
pub const MAX_KEYS: RangeInclusive<usize> = 1..=2048;

/// How many shards that we did not change are read again per tick: each comes round once in four seconds.
const READ_AGAIN: usize = 4;

/// What is sampled by a target of its own: a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    key: Key,
    identity: u64,
    window: u16,
    formula: Formula,
}

/// What a request gets.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Judged {
    /// How probable it is to be that it is recorded, 0..=1.
    pub probability: f64,
    /// It has a name for which there was no room, and was counted with the others of its rule.
    pub shares: bool,
    /// To be handed to [`Load::error`] if the request fails.
    pub counted: Counted,
}

/// Where a request was counted. May be kept for as long as the request takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    key: Key,
    second: Second,
}

/// How a class stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// The rates of all its keys together.
    pub rates: Rates,
    /// How probable it is, on average over its requests, that one is recorded.
    pub probability: f64,
}

/// The windows of one worker under one policy.
pub struct Load {
    clock: Clock,
    keys: Keys,
    /// The shard whose turn it is to be read again.
    turn: usize,
}

impl Class {
    /// `identity` tells the class from others, in this policy and in the next: where it stays the same, the counts go on,
    /// whatever else has changed. `window` is in seconds; what exceeds [`WINDOW`] is as its nearest end.
    pub fn new(identity: u64, window: u16, formula: Formula) -> Class {
        let window = window.clamp(*WINDOW.start(), *WINDOW.end());
        Class { key: Key::of(identity), identity, window, formula }
    }
}

impl Load {
    /// Begins with what all workers know, also from before this policy. `max_keys` of the names get a window of their own
    /// (what exceeds [`MAX_KEYS`] is as its nearest end); every class has one in any case, which those share that find no
    /// room. To be called while a filter is configured: it creates what the ticks change. `now` is in nanoseconds since
    /// the Unix epoch.
    ///
    /// # Errors
    /// Those of shared data.
    pub fn new(max_keys: usize, host: &dyn Host, now: u64) -> Result<Load, HostError> {
        let mut values = Vec::with_capacity(SHARDS);
        let mut since = now;
        for shard in 0..SHARDS {
            let name = name(shard);
            let value = match shared::read(host, &name)? {
                Some(value) => value,
                None => {
                    let value = shard::empty(now);
                    shared::ensure(host, &name, &value)?;
                    value
                }
            };
            since = since.min(Shard::read(&value).map_or(now, |shard| shard.since));
            values.push(value);
        }
        let keys = Keys::new(values, max_keys.clamp(*MAX_KEYS.start(), *MAX_KEYS.end()));
        Ok(Load { clock: Clock::new(since, now), keys, turn: 0 })
    }

    /// Counts a request and judges it. The name, if any, is that of a route or a handler.
    pub fn request(&mut self, class: &Class, name: Option<&[u8]>, now: u64) -> Judged {
        self.requests(1, class, name, now)
    }

    /// Counts so many requests that come at one moment, and judges them alike.
    ///
    /// They count before they are judged: for arrivals at random, the mean of `target / count` is the target over the
    /// rate if the count includes the request itself, and more if it does not.
    pub fn requests(&mut self, count: u32, class: &Class, name: Option<&[u8]>, now: u64) -> Judged {
        let moment = self.clock.at(now);
        let own = name.map(|name| Key::named(class.identity, name));
        let of_own = own.and_then(|key| Some((key, self.keys.count(count, key, class.key, class.window, &moment)?)));
        let (key, rates) = of_own.unwrap_or_else(|| {
            let rates = self.keys.count(count, class.key, class.key, class.window, &moment);
            (class.key, rates.unwrap_or_default())
        });
        Judged {
            probability: class.formula.probability(rates),
            shares: own.is_some_and(|own| own != key),
            counted: Counted { key, second: moment.second() },
        }
    }

    /// A request failed. It counts in the second in which the request came, so that the error rate is a fraction of the
    /// requests in the window; it is forgotten where that second has left the window or its key has made room.
    pub fn error(&mut self, counted: Counted) {
        self.keys.fail(counted.key, counted.second);
    }

    /// Merges with the other workers: writes what changed here and is due, reads what others may have changed, and makes
    /// room. Two hostcalls for every shard that is written, more where workers meet; one for every class that had requests
    /// lately, but none here since; and four.
    ///
    /// # Errors
    /// The first of shared data; what could not be merged is kept for the next tick.
    pub fn on_tick(&mut self, host: &dyn Host, now: u64) -> Result<(), HostError> {
        let moment = self.clock.at(now);
        let mut result = Ok(());
        for shard in self.keys.to_merge(&moment) {
            result = result.and(self.merge(shard, host, &moment));
        }
        for shard in self.keys.to_read(&moment) {
            result = result.and(self.read(shard, host, &moment));
        }
        for _ in 0..READ_AGAIN {
            let shard = self.turn;
            self.turn = shard.wrapping_add(1) % SHARDS;
            if !self.keys.is_dirty(shard) {
                result = result.and(self.read(shard, host, &moment));
            }
        }
        self.keys.make_room(&moment);
        result
    }

    /// How a class stands now: for gauges. `None` where this worker has seen no request of it lately, nor any VM on the
    /// main thread ever: a gauge is common to all, so who knows nothing of it leaves it alone. Takes time in proportion to
    /// the number of keys.
    pub fn standing(&mut self, class: &Class, now: u64) -> Option<Standing> {
        let moment = self.clock.at(now);
        let (mut qps, mut failed, mut sampled) = (0.0, 0.0, 0.0);
        for place in self.keys.of_rule(class.key) {
            let rates = place.rates(&moment);
            qps += rates.qps;
            failed += rates.qps * rates.error_rate;
            sampled += rates.qps * class.formula.probability(rates);
        }
        (qps > 0.0).then(|| Standing { rates: Rates { qps, error_rate: failed / qps }, probability: sampled / qps })
    }

    /// How many names have a window of their own.
    pub fn keys(&self) -> usize {
        self.keys.named()
    }

    fn merge(&mut self, shard: usize, host: &dyn Host, moment: &Moment) -> Result<(), HostError> {
        let mut merged = None;
        let mut current = Vec::new();
        let updated = shared::update(host, &name(shard), |value| {
            merged = self.keys.merge(shard, value, moment);
            if merged.is_none() {
                current = value.to_vec();
            }
            merged.as_ref().map(|merged| merged.bytes.clone())
        });
        match (updated, merged) {
            (Ok(()), Some(merged)) => self.keys.merged(shard, merged, moment),
            // Another release wrote it: our counts stay ours.
            (Ok(()), None) => {
                self.keys.read(shard, current, moment);
                return Err(HostError { call: "proxy_get_shared_data", status: Status::ParseFailure });
            }
            // Others were faster every time: it is tried again.
            (Err(UpdateError::Contended), _) => {
                return Err(HostError { call: "proxy_set_shared_data", status: Status::CasMismatch });
            }
            (Err(UpdateError::Host(error)), _) => return Err(error),
            (Err(UpdateError::Absent), _) => {
                return Err(HostError { call: "proxy_get_shared_data", status: Status::NotFound });
            }
        }
        Ok(())
    }

    fn read(&mut self, shard: usize, host: &dyn Host, moment: &Moment) -> Result<(), HostError> {
        if let Some(value) = shared::read(host, &name(shard))? {
            self.keys.read(shard, value, moment);
        }
        Ok(())
    }
}

fn name(shard: usize) -> String {
    shared::key("sampling.load", shard::VERSION, shard)
}
