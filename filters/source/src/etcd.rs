//! Keeps up with one key of etcd.
//!
//! ```text
//! [Authenticate] → Range → Watch ──events──▶ deliveries
//!        ▲                   │
//!        └──── back-off ◀────┴── whatever goes wrong
//! ```
//!
//! There is one way to recover, and it is the way to begin: a linearizable read, which says what holds now, and a watch
//! from that revision on. So nothing that was missed in between matters, and what a read says always wins: an etcd that
//! was restored or wiped starts its revisions over, with the same cluster id. Only within one watch does a revision say
//! what is newer. One thing a read does not say: where a store began over without the key, nobody has deleted it.

pub(crate) mod messages;
#[cfg(test)]
mod testing;
mod trouble;

use self::messages::{Change, Header, Range, Watched};
use self::trouble::Trouble;
use crate::backoff::Backoff;
use crate::latest::Latest;
use crate::moment::{Moment, Nanos, nanos};
use crate::settings::Etcd;
use crate::trouble::Troubles;
use crate::{Action, Delivery, Event};
use std::time::Duration;

/// How long a call may take, and a stream until its watch is created.
const CALL: Duration = Duration::from_secs(5);

/// The proxy ends a call in time by itself. Should it not, we do, so much later.
const GRACE: Duration = Duration::from_secs(1);

/// A watch without a message for so long is asked for a sign of life: a connection that is dead, though nobody has
/// closed it, looks like a key that nobody writes.
const QUIET: Duration = Duration::from_secs(10);

/// So long it has to give one.
const PATIENCE: Duration = Duration::from_secs(5);

/// A watch that has lasted so long works: the next failure is a new one. What etcd refuses it refuses sooner.
const STABLE: Duration = Duration::from_secs(5);

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The longest token that we send back, in bytes; a JWT takes one or two thousand.
const LONGEST_TOKEN: usize = 8_192;

/// Of a message for the whole stream.
const NO_WATCH: i64 = -1;

pub(crate) struct Watch {
    settings: Etcd,
    stage: Stage,
    token: Option<String>,
    /// etcd said that it wants no name and password.
    is_unguarded: bool,
    backoff: Backoff,
    troubles: Troubles,
    latest: Latest,
    in_force: InForce,
}

/// What is known of the document in force. That the key is gone because somebody deleted it takes the policy away; that it
/// is gone with all that the store ever held does not.
#[derive(Clone, Copy)]
enum InForce {
    /// There is none, as far as is known.
    Nothing,
    /// One of a store that had come to this revision.
    Of(u64),
    /// One of a store that began over without it.
    OfStoreBefore,
}

#[derive(Clone, Copy)]
enum Stage {
    /// Waits to begin anew.
    Resting {
        until: Nanos,
    },
    Calling {
        call: Call,
        deadline: Nanos,
    },
    /// The stream is open and the watch asked for.
    Opening {
        read: Read,
        deadline: Nanos,
    },
    Watching(Watching),
    Ended,
}

#[derive(Clone, Copy)]
enum Call {
    Authenticate,
    Range,
}

/// What the read said that the watch goes on from.
#[derive(Clone, Copy)]
struct Read {
    cluster_id: u64,
    raft_term: u64,
    /// Of the store.
    revision: i64,
}

#[derive(Clone, Copy)]
struct Watching {
    read: Read,
    watch_id: i64,
    /// Of the newest version of the key that this watch, or the read before it, has told.
    newest: i64,
    since: Nanos,
    /// When the next sign of life is asked for.
    ask_at: Nanos,
    /// By when it must be there, where it was asked for.
    answer_by: Option<Nanos>,
}

impl Watch {
    pub(crate) fn new(settings: Etcd, in_force: Option<u64>) -> Watch {
        Watch {
            in_force: in_force.map_or(InForce::Nothing, InForce::Of),
            settings,
            stage: Stage::Resting { until: 0 },
            token: None,
            is_unguarded: false,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            troubles: Troubles::default(),
            latest: Latest::default(),
        }
    }

    pub(crate) fn on_tick(&mut self, moment: Moment) -> Vec<Action> {
        let now = moment.now;
        match self.stage {
            Stage::Resting { until } if now >= until => self.begin(now),
            Stage::Calling { call, deadline } if now >= deadline => {
                self.fail(Some(Action::CancelCall), &Trouble::Late(call.name()), moment)
            }
            Stage::Opening { deadline, .. } if now >= deadline => {
                self.fail(Some(Action::Close), &Trouble::Late("Watch"), moment)
            }
            Stage::Watching(watching) => self.look_after(watching, moment),
            _ => Vec::new(),
        }
    }

    pub(crate) fn on_event(&mut self, event: Event<'_>, moment: Moment) -> Vec<Action> {
        match (event, self.stage) {
            (Event::CallAnswered(message), Stage::Calling { call: Call::Authenticate, .. }) => {
                self.on_token(message, moment)
            }
            (Event::CallAnswered(message), Stage::Calling { call: Call::Range, .. }) => self.on_read(message, moment),
            (Event::CallFailed { message, .. }, Stage::Calling { call: Call::Authenticate, .. })
                if message.contains("authentication is not enabled") =>
            {
                // Name and password are there for when it is. etcd's own client goes on as well.
                self.is_unguarded = true;
                self.read(moment.now)
            }
            (Event::CallFailed { status, message }, Stage::Calling { call, .. }) => {
                self.fail(None, &Trouble::Status { what: call.name(), status, message }, moment)
            }
            (Event::StreamMessage(message), Stage::Opening { .. } | Stage::Watching(_)) => {
                self.on_message(message, moment)
            }
            (Event::StreamClosed { status, message }, Stage::Opening { .. } | Stage::Watching(_)) => {
                self.fail(None, &Trouble::Status { what: "Watch", status, message }, moment)
            }
            (Event::Refused, Stage::Calling { .. } | Stage::Opening { .. } | Stage::Watching(_)) => {
                self.fail(None, &Trouble::NoCluster, moment)
            }
            _ => Vec::new(),
        }
    }

    /// Whether it waits to begin anew.
    pub(crate) fn is_failing(&self) -> bool {
        matches!(self.stage, Stage::Resting { until } if until > 0)
    }

    pub(crate) fn end(&mut self) -> Vec<Action> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Calling { .. } => vec![Action::CancelCall],
            Stage::Opening { .. } | Stage::Watching(_) => vec![Action::Close],
            Stage::Resting { .. } | Stage::Ended => Vec::new(),
        }
    }

    fn begin(&mut self, now: Nanos) -> Vec<Action> {
        let Some(user) = self.settings.user.as_ref().filter(|_| self.token.is_none() && !self.is_unguarded) else {
            return self.read(now);
        };
        let message = messages::authenticate(&user.name, user.password.bytes());
        vec![self.call("etcdserverpb.Auth", Call::Authenticate, message, now)]
    }

    fn read(&mut self, now: Nanos) -> Vec<Action> {
        let message = messages::range(&self.settings.key);
        vec![self.call("etcdserverpb.KV", Call::Range, message, now)]
    }

    fn call(&mut self, service: &'static str, call: Call, message: Vec<u8>, now: Nanos) -> Action {
        self.stage = Stage::Calling { call, deadline: now.saturating_add(nanos(CALL.saturating_add(GRACE))) };
        Action::Call { service, method: call.name(), metadata: self.metadata(), message, timeout: CALL }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        self.token.iter().map(|token| ("token", token.clone())).collect()
    }

    fn on_token(&mut self, message: &[u8], moment: Moment) -> Vec<Action> {
        let is_usable = |token: &&str| {
            (1..=LONGEST_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let Some(token) = messages::token(message).ok().filter(is_usable) else {
            return self.fail(None, &Trouble::Malformed("Authenticate"), moment);
        };
        self.token = Some(token.to_owned());
        self.read(moment.now)
    }

    fn on_read(&mut self, message: &[u8], moment: Moment) -> Vec<Action> {
        // A store has revision 1 before anything is written. A watch from 0 on would be one from whenever it begins.
        let read = Range::read(message, &self.settings.key).ok().filter(|range| range.header.revision > 0);
        let Some(Range { header, pair }) = read else {
            return self.fail(None, &Trouble::Malformed("Range"), moment);
        };
        let revision = pair.map_or(header.revision, |pair| pair.mod_revision);
        if pair.is_none() && self.is_of_store_before(header.revision.unsigned_abs()) {
            self.in_force = InForce::OfStoreBefore;
        }
        let (delivery, told) = match self.in_force {
            InForce::OfStoreBefore if pair.is_none() => {
                let gone = Trouble::Gone;
                (None, self.troubles.tell(gone.kind(), || gone.line(&[])))
            }
            _ => (self.version(revision, pair.map(|pair| pair.value)), None),
        };
        // From the revision of the read on, not from the one after it: what the watch tells again we know by its
        // revision, and since 3.5.22 etcd gives no sign of life to a watch that begins in its future.
        let from = header.revision.max(revision);
        let create = messages::create_watch(&self.settings.key, from.unsigned_abs());
        let read = Read { cluster_id: header.cluster_id, raft_term: header.raft_term, revision: from };
        self.stage = Stage::Opening { read, deadline: moment.now.saturating_add(nanos(CALL)) };
        let open = Action::Open { service: "etcdserverpb.Watch", method: "Watch", metadata: self.metadata() };
        delivery.map(Action::Deliver).into_iter().chain(told).chain([open, Action::Send(create)]).collect()
    }

    /// Whether the document in force is not of the store that has come to this revision: a linearizable read is never
    /// behind what was read before.
    fn is_of_store_before(&self, revision: u64) -> bool {
        match self.in_force {
            InForce::Nothing => false,
            InForce::Of(known) => revision < known,
            InForce::OfStoreBefore => true,
        }
    }

    /// The delivery of this version of the key, if it is news.
    fn version(&mut self, revision: i64, document: Option<&[u8]>) -> Option<Delivery> {
        let revision = revision.unsigned_abs();
        self.in_force = if document.is_some() { InForce::Of(revision) } else { InForce::Nothing };
        self.latest.news_of_version(revision, document)
    }

    fn on_message(&mut self, message: &[u8], moment: Moment) -> Vec<Action> {
        let answer = match Watched::read(message, &self.settings.key) {
            Ok(watched) => self.take(&watched, moment.now),
            Err(_) => Err(Trouble::Malformed("Watch")),
        };
        match answer {
            Ok(delivery) => delivery.into_iter().collect(),
            Err(trouble) => self.fail(Some(Action::Close), &trouble, moment),
        }
    }

    /// What a message of the watch brings.
    fn take<'m>(&mut self, watched: &Watched<'m>, now: Nanos) -> Result<Option<Action>, Trouble<'m>> {
        let (read, known) = match self.stage {
            Stage::Opening { read, .. } => (read, None),
            Stage::Watching(watching) => (watching.read, Some(watching)),
            _ => return Ok(None),
        };
        let Header { cluster_id, revision, raft_term } = watched.header;
        // 0 is none: not all that speaks for etcd tells.
        let differ = |one: u64, other: u64| one != 0 && other != 0 && one != other;
        if differ(cluster_id, read.cluster_id) {
            return Err(Trouble::OtherCluster);
        }
        // Either this member is slow, or the store began anew after the read, and then the watch begins in its future:
        // what is written until then it would not tell. The future may have come already; but whoever began anew has
        // elected a leader since.
        let is_elsewhere = known.is_none() && differ(raft_term, read.raft_term);
        if is_elsewhere || (revision != 0 && revision < read.revision) {
            return Err(Trouble::NotAsRead);
        }
        let is_ours = known.is_none_or(|known| [known.watch_id, NO_WATCH].contains(&watched.watch_id));
        if is_ours && watched.compact_revision != 0 {
            return Err(Trouble::Compacted);
        }
        if is_ours && watched.canceled {
            return Err(Trouble::Canceled(watched.cancel_reason));
        }
        let mut watching = match known {
            // etcd sends nothing of a watch before it has created it.
            None if !watched.created => return Err(Trouble::Malformed("Watch")),
            None => Watching {
                read,
                watch_id: watched.watch_id,
                newest: read.revision,
                since: now,
                ask_at: now,
                answer_by: None,
            },
            Some(_) if watched.created => return Err(Trouble::Malformed("Watch")),
            Some(known) => known,
        };
        if let InForce::Of(known) = &mut self.in_force {
            *known = (*known).max(revision.unsigned_abs());
        }
        watching.answer_by = None;
        watching.ask_at = now.saturating_add(nanos(QUIET));
        let mut delivery = None;
        // A progress message may overtake events (etcd before 3.4.25), so only events say what the newest version is.
        if let Some((revision, change)) = watched.newest.filter(|(revision, _)| is_ours && *revision > watching.newest)
        {
            watching.newest = revision;
            let document = match change {
                Change::Put(value) => Some(value),
                Change::Delete => None,
                Change::Unknown => return Err(Trouble::Malformed("Watch")),
            };
            delivery = self.version(revision, document);
        }
        self.stage = Stage::Watching(watching);
        Ok(delivery.map(Action::Deliver))
    }

    /// Sees to it that a watch without news is a key without news.
    fn look_after(&mut self, watching: Watching, moment: Moment) -> Vec<Action> {
        let now = moment.now;
        if now.saturating_sub(watching.since) >= nanos(STABLE) {
            self.backoff.reset();
            self.troubles.settle_but(&[]);
        }
        match watching.answer_by {
            Some(by) if now >= by => self.fail(Some(Action::Close), &Trouble::Silent, moment),
            None if now >= watching.ask_at => {
                let answer_by = Some(now.saturating_add(nanos(PATIENCE)));
                self.stage = Stage::Watching(Watching { answer_by, ..watching });
                vec![Action::Send(messages::request_progress())]
            }
            _ => Vec::new(),
        }
    }

    /// Lets go of what is under way, and begins anew after a while.
    fn fail(&mut self, let_go: Option<Action>, trouble: &Trouble<'_>, moment: Moment) -> Vec<Action> {
        self.stage = Stage::Resting { until: moment.now.saturating_add(self.backoff.wait(moment)) };
        let secrets =
            [self.settings.user.as_ref().map(|user| user.password.bytes()), self.token.as_deref().map(str::as_bytes)];
        let secrets: Vec<&[u8]> = secrets.into_iter().flatten().collect();
        let told = self.troubles.tell(trouble.kind(), || trouble.line(&secrets));
        if trouble.wants_a_new_token() {
            self.token = None;
            self.is_unguarded = false;
        }
        let_go.into_iter().chain(told).collect()
    }
}

impl Call {
    fn name(self) -> &'static str {
        match self {
            Call::Authenticate => "Authenticate",
            Call::Range => "Range",
        }
    }
}

#[cfg(test)]
mod tests;
