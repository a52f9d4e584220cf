//! A policy that a source outside of the plugin configuration has to say, and that changes while it is in force.
//!
//! One root context of the proxy talks to the source: who holds a lease in shared data. It posts what came on a board in
//! shared data, and every root context takes it from there: itself at once, the others on their tick. Which filter reads
//! the document, and what becomes of the one before, is the root context's own affair.

mod holder;
mod report;

pub(crate) use report::{PLUGIN, Report};

use crate::shared::{self, UpdateError};
use crate::{CalloutResponse, CalloutToken, Entropy, GrpcToken, Host, HostError, Level};
use holder::{Holder, Said};
use sluicegate_source::board::{self, Post, Posting};
use sluicegate_source::lease::{self, Claim};
use sluicegate_source::{Delivery, Moment, Settings};
use std::rc::Rc;
use std::time::Duration;

/// What the source of a policy has to say to a root context.
pub(crate) struct Live {
    plugin: &'static str,
    host: &'static dyn Host,
    settings: Rc<Settings>,
    place: String,
    keys: Keys,
    entropy: Entropy,
    /// This root context, among all that share the source.
    me: u64,
    /// When to look at the lease again, in nanoseconds since the Unix epoch.
    look: u64,
    held: Option<Held>,
    /// The number of the posting that was looked at last; none is 0.
    seen: u32,
    /// And of the one that was taken last.
    taken: u32,
    /// What came and is for this root context alone.
    own: Option<Delivery>,
    /// Where nobody kept up what is in shared data when this root context began.
    stale: Option<Stale>,
}

/// What others left behind, long ago perhaps: the source may say something else by now.
struct Stale {
    /// The term of the posting; what is said in another is news.
    term: Option<u32>,
    /// When this root context began, in nanoseconds since the Unix epoch.
    since: u64,
}

/// What nobody has kept up for so long, in nanoseconds, is stale: 30 s.
const FRESH: u64 = 30_000_000_000;

/// Keys of shared data.
struct Keys {
    /// For each session its own.
    lease: String,
    number: String,
    sheet: String,
    /// The number of the last posting of which this plugin has said what it thinks of it.
    told: String,
    /// The last posting of the place that this plugin took, by whichever session: who reads it in another way from now on has
    /// that until he has read it.
    kept: String,
    /// Which board it is, among those of the place.
    board: u32,
    /// When one of the place was last kept up, as a number of 8 bytes, little-endian, in nanoseconds since the Unix epoch.
    beat: String,
}

/// While this root context talks to the source.
struct Held {
    holder: Holder,
    /// The term of the lease; `None` where what lies in shared data is of another release: then each talks for itself.
    term: Option<u32>,
    /// What could not be posted yet.
    unposted: Option<Delivery>,
}

/// A version that is to be taken.
pub(crate) struct News {
    /// The posting; 0 where it is for this root context alone.
    number: u32,
    pub(crate) revision: u64,
    /// When it came, in nanoseconds since the Unix epoch.
    pub(crate) at: u64,
    /// `None`: what the plugin configuration says is to hold again.
    pub(crate) document: Option<Vec<u8>>,
}

impl Live {
    /// How often [`Live::tick`] is to be called.
    pub(crate) const TICK: Duration = Duration::from_millis(50);

    /// Begins with what is on the board. To be called while the root context is configured.
    pub(crate) fn begin(plugin: &'static str, settings: Settings, host: &'static dyn Host) -> Result<Live, HostError> {
        let keys = Keys::of(plugin, &settings);
        for key in [&keys.lease, &keys.number, &keys.sheet, &keys.told, &keys.kept, &keys.beat] {
            shared::ensure(host, key, &[])?;
        }
        let entropy = Entropy::from_host(host)?;
        let me = u64::from_le_bytes(entropy.bytes());
        let (place, settings) = (settings.to_string(), Rc::new(settings));
        let stale = Stale::find(&keys, host)?;
        Ok(Live {
            plugin,
            host,
            settings,
            place,
            keys,
            entropy,
            me,
            look: 0,
            held: None,
            seen: 0,
            taken: 0,
            own: None,
            stale,
        })
    }

    /// For the proxy's log.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// `etcd` or `http`.
    pub(crate) fn source(&self) -> &'static str {
        self.settings.name()
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, report: &Report) {
        let Ok(moment) = self.moment() else { return };
        self.look_at_lease(moment.now);
        let said = self.held.as_mut().map(|held| held.holder.on_tick(moment));
        self.heed(said, moment.now, report);
    }

    /// A callout was answered; whether it was one of ours.
    pub(crate) fn fetched(&mut self, token: CalloutToken, response: &CalloutResponse<'_>, report: &Report) -> bool {
        let Ok(moment) = self.moment() else { return false };
        let said = self.held.as_mut().and_then(|held| held.holder.fetched(token, response, moment));
        self.heed(said, moment.now, report)
    }

    /// A gRPC message came.
    pub(crate) fn grpc_message(&mut self, token: GrpcToken, report: &Report) {
        let Ok(moment) = self.moment() else { return };
        let said = self.held.as_mut().and_then(|held| held.holder.message(token, moment));
        self.heed(said, moment.now, report);
    }

    /// A gRPC call failed, or a stream ended.
    pub(crate) fn grpc_closed(&mut self, token: GrpcToken, status: u32, report: &Report) {
        let Ok(moment) = self.moment() else { return };
        let said = self.held.as_mut().and_then(|held| held.holder.closed(token, status, moment));
        self.heed(said, moment.now, report);
    }

    /// What is to be taken, once for each version. One hostcall, and one more where there is something.
    pub(crate) fn news(&mut self) -> Option<News> {
        if let Some(Delivery { revision, document }) = self.own.take() {
            return Some(News { number: 0, revision, at: self.host.now().unwrap_or_default(), document });
        }
        let number = board::number(&shared::read(self.host, &self.keys.number).ok()??)?;
        if number == self.seen {
            return None;
        }
        let sheet = shared::read(self.host, &self.keys.sheet).ok()??;
        let Posting { number, revision, at, document } = board::posting(&sheet)?;
        let is_stale =
            self.stale.as_ref().is_some_and(|stale| stale.term.is_some() && stale.term == board::term(&sheet));
        if number == self.seen || is_stale {
            return None;
        }
        self.seen = number;
        Some(News { number, revision, at, document })
    }

    /// What this plugin took last, where that is later than what this root context did: it may not have seen it before
    /// something was posted that is wrong, or its board may have nothing yet.
    pub(crate) fn kept(&self) -> Option<News> {
        let (board, Posting { number, revision, at, document }) =
            board::kept(&shared::read(self.host, &self.keys.kept).ok()??)?;
        if self.stale.as_ref().is_some_and(|stale| at < stale.since) {
            return None;
        }
        match board == self.keys.board {
            true => (number != self.taken).then_some(News { number, revision, at, document }),
            false => (self.taken == 0).then_some(News { number: 0, revision, at, document }),
        }
    }

    /// This root context has taken it.
    pub(crate) fn has_taken(&mut self, news: &News) {
        let News { number, revision, at, document } = news;
        if *number != 0 {
            self.taken = *number;
            let posting = Posting { number: *number, revision: *revision, at: *at, document: document.clone() };
            // Else one that comes later has to do without.
            _ = shared::update(self.host, &self.keys.kept, |sheet| board::keep(sheet, self.keys.board, &posting));
        }
    }

    /// Whether this root context is the one of its plugin that says what it thinks of this version.
    pub(crate) fn is_first_to_tell(&self, news: &News) -> bool {
        let mut is_first = news.number == 0;
        if !is_first {
            let tell = |value: &[u8]| {
                let next = board::announce(value, news.number);
                is_first = next.is_some();
                next
            };
            // Told twice is better than never.
            is_first |= shared::update(self.host, &self.keys.told, tell).is_err();
        }
        is_first
    }

    fn moment(&self) -> Result<Moment, HostError> {
        Ok(Moment { now: self.host.now()?, entropy: u64::from_le_bytes(self.entropy.bytes()) })
    }

    /// Takes the lease if it is to be had, keeps it up, or finds that it is lost.
    fn look_at_lease(&mut self, now: u64) {
        // The clock may have been set back.
        let is_early = now < self.look && self.look.abs_diff(now) <= lease::HEARTBEAT;
        if is_early {
            return;
        }
        self.look = now.saturating_add(lease::HEARTBEAT / 2);
        let mut claim = Claim::Others;
        let updated = shared::update(self.host, &self.keys.lease, |value| {
            claim = lease::claim(value, self.me, now);
            match &claim {
                Claim::Renew { next, .. } | Claim::Take { next, .. } => Some(next.clone()),
                Claim::Held { .. } | Claim::Others | Claim::Foreign => None,
            }
        });
        let is_beat = matches!(claim, Claim::Renew { .. } | Claim::Take { .. });
        let term = match (updated, claim) {
            (Ok(()), Claim::Held { term } | Claim::Renew { term, .. } | Claim::Take { term, .. }) => Some(term),
            (Ok(()), Claim::Foreign) => None,
            (Ok(()), Claim::Others) => {
                self.held = None;
                return;
            }
            // Of what is in shared data nothing is known now.
            (Err(_), _) => return,
        };
        if is_beat {
            // Else who begins takes what there is for stale.
            _ = shared::update(self.host, &self.keys.beat, |_| Some(now.to_le_bytes().to_vec()));
        }
        match &mut self.held {
            Some(held) if held.term == term => {}
            _ => {
                let holder = Holder::new(Rc::clone(&self.settings), self.posted(), self.host);
                self.held = Some(Held { holder, term, unposted: None });
            }
        }
    }

    /// The revision of the document that is posted, or kept from another session; `None` where there is none.
    fn posted(&self) -> Option<u64> {
        let read = |key: &str| shared::read(self.host, key).ok().flatten();
        let posting = read(&self.keys.sheet).and_then(|sheet| board::posting(&sheet));
        let kept = || read(&self.keys.kept).and_then(|sheet| Some(board::kept(&sheet)?.1));
        posting.or_else(kept).filter(|posting| posting.document.is_some()).map(|posting| posting.revision)
    }

    /// Does as the session says; whether it said anything.
    fn heed(&mut self, said: Option<Said>, now: u64, report: &Report) -> bool {
        let is_ours = said.is_some();
        let Said { delivery, troubles, is_answer } = said.unwrap_or_default();
        if is_answer {
            report.answered(now);
        }
        for trouble in troubles {
            report.troubled();
            self.host.log(Level::Warn, &format!("{}: policy source {}: {trouble}", self.plugin, self.place));
        }
        let Some(held) = &mut self.held else { return is_ours };
        if delivery.is_some() {
            held.unposted = delivery;
        }
        let Some(delivery) = held.unposted.take() else { return is_ours };
        match held.term.map(|term| self.post(term, &delivery, now)) {
            Some(Ok(Posted::Done)) => {}
            // Another holds the lease, and knows better.
            Some(Ok(Posted::Outdated)) => self.held = None,
            None | Some(Ok(Posted::Foreign)) => self.own = Some(delivery),
            Some(Err(_)) => {
                if let Some(held) = &mut self.held {
                    held.unposted = Some(delivery);
                }
            }
        }
        is_ours
    }

    fn post(&self, term: u32, delivery: &Delivery, now: u64) -> Result<Posted, UpdateError> {
        let mut post = Post::Foreign;
        shared::update(self.host, &self.keys.sheet, |sheet| {
            post = board::post(sheet, term, delivery, now);
            match &post {
                Post::Write { sheet, .. } => Some(sheet.clone()),
                Post::Same(_) | Post::Outdated | Post::Foreign => None,
            }
        })?;
        match post {
            Post::Write { number, .. } | Post::Same(number) => {
                shared::update(self.host, &self.keys.number, |value| board::announce(value, number))?;
                Ok(Posted::Done)
            }
            Post::Outdated => Ok(Posted::Outdated),
            Post::Foreign => Ok(Posted::Foreign),
        }
    }
}

impl Stale {
    fn find(keys: &Keys, host: &dyn Host) -> Result<Option<Stale>, HostError> {
        let since = host.now()?;
        let beat = shared::read(host, &keys.beat)?.and_then(|beat| Some(u64::from_le_bytes(beat.try_into().ok()?)));
        if beat.is_some_and(|beat| beat.abs_diff(since) < FRESH) {
            return Ok(None);
        }
        let term = shared::read(host, &keys.sheet)?.and_then(|sheet| board::term(&sheet));
        Ok(Some(Stale { term, since }))
    }
}

/// What became of what was to be posted.
enum Posted {
    Done,
    Outdated,
    Foreign,
}

/// Lets others have the lease at once.
impl Drop for Live {
    fn drop(&mut self) {
        if self.held.take().is_some_and(|held| held.term.is_some()) {
            // Else it ends by itself.
            _ = shared::update(self.host, &self.keys.lease, |value| lease::release(value, self.me));
        }
    }
}

impl Keys {
    fn of(plugin: &str, settings: &Settings) -> Keys {
        let (session, place) = (settings.identity(), settings.place());
        let key =
            |what: &str, of: u64| shared::key(&format!("policy.{what}"), board::VERSION, format_args!("{of:016x}"));
        let [a, b, c, d, ..] = session.to_le_bytes();
        Keys {
            lease: key("lease", session),
            number: key("number", session),
            sheet: key("sheet", session),
            told: key(&format!("told.{plugin}"), session),
            kept: key(&format!("kept.{plugin}"), place),
            board: u32::from_le_bytes([a, b, c, d]),
            beat: key("beat", place),
        }
    }
}

#[cfg(test)]
mod layout;
#[cfg(test)]
mod tests;
