//! Keeps up with a document at an HTTP endpoint: asks for it every so often, and for nothing but news where the
//! endpoint can tell (`ETag`, RFC 9110 §8.8.3); or waits there for news, where it is Consul's.
//!
//! After a failure the next answer is read as if it were the first: without ETag and index, for a server that was
//! restored may count either anew.

mod consul;

use self::consul::{Index, Pace};
use crate::backoff::Backoff;
use crate::latest::Latest;
use crate::moment::{Moment, Nanos, nanos};
use crate::settings::Http;
use crate::trouble::Troubles;
use crate::{Action, Event};
use sluicegate_policy::Secret;
use std::time::Duration;

/// How long an answer may take, beyond what the server was asked to wait.
const ANSWER: Duration = Duration::from_secs(5);

/// The proxy gives up in time by itself. Should it not, we do, so much later.
const GRACE: Duration = Duration::from_secs(1);

/// The longest ETag that we send back, in bytes.
const LONGEST_ETAG: usize = 1_024;

pub(crate) struct Poll {
    settings: Http,
    stage: Stage,
    etag: Option<String>,
    index: Index,
    pace: Pace,
    backoff: Backoff,
    troubles: Troubles,
    latest: Latest,
    is_failing: bool,
}

#[derive(Clone, Copy)]
enum Stage {
    Resting { until: Nanos },
    Fetching { deadline: Nanos },
    Ended,
}

enum Trouble {
    /// The proxy has no such cluster.
    NoCluster,
    /// No answer came, or none in time.
    NoAnswer,
    /// An answer that says neither what the document is nor that there is none.
    Status(u16),
    /// The document is compressed, though that was not asked for.
    Encoded,
    /// Blocking is asked for, of a server that does not know it.
    NoIndex,
}

impl Poll {
    pub(crate) fn new(settings: Http) -> Poll {
        let backoff = match settings.blocking {
            // All who wait at a server lose it in the same moment, and it may be back in the next.
            Some(_) => Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
            // Who polls finds out when it is his turn. A few tries come sooner; then it is the interval again, for a
            // server that fails is not helped by more requests than it was to have.
            None => Backoff::new(Duration::from_secs(1), settings.interval),
        };
        Poll {
            settings,
            stage: Stage::Resting { until: 0 },
            etag: None,
            index: Index::default(),
            pace: Pace::default(),
            backoff,
            troubles: Troubles::default(),
            latest: Latest::default(),
            is_failing: false,
        }
    }

    pub(crate) fn on_tick(&mut self, moment: Moment) -> Vec<Action> {
        match self.stage {
            Stage::Resting { until } if moment.now >= until => vec![self.fetch(moment.now)],
            Stage::Fetching { deadline } if moment.now >= deadline => {
                self.fail(&Trouble::NoAnswer, moment).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn on_event(&mut self, event: Event<'_>, moment: Moment) -> Vec<Action> {
        if !matches!(self.stage, Stage::Fetching { .. }) {
            return Vec::new();
        }
        match event {
            Event::Fetched { status: Some(200), is_encoded: true, .. } => {
                self.fail(&Trouble::Encoded, moment).into_iter().collect()
            }
            Event::Fetched { status, etag, index, body, .. } => self.on_answer(status, etag, index, body, moment),
            Event::Refused => self.fail(&Trouble::NoCluster, moment).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing
    }

    pub(crate) fn end(&mut self) -> Vec<Action> {
        self.stage = Stage::Ended;
        Vec::new()
    }

    fn fetch(&mut self, now: Nanos) -> Action {
        let blocking = self.settings.blocking.and_then(|wait| Some((wait, self.index.query(wait)?)));
        let (path, timeout) = match blocking {
            Some((wait, query)) => {
                (consul::with_query(&self.settings.path, &query), consul::longest(wait).saturating_add(ANSWER))
            }
            None => (self.settings.path.clone(), ANSWER),
        };
        self.stage = Stage::Fetching { deadline: now.saturating_add(nanos(timeout.saturating_add(GRACE))) };
        let text = |value: &Secret| String::from_utf8_lossy(value.bytes()).into_owned();
        let own = self.settings.headers.iter().map(|(name, value)| (name.clone(), text(value)));
        let headers = own.chain(self.etag.iter().map(|etag| ("if-none-match".to_owned(), etag.clone()))).collect();
        Action::Fetch { path, headers, timeout }
    }

    fn on_answer(
        &mut self,
        status: Option<u16>,
        etag: Option<&[u8]>,
        index: Option<&[u8]>,
        body: &[u8],
        moment: Moment,
    ) -> Vec<Action> {
        let index = Index::read(index);
        let revision = index.unwrap_or_default();
        let delivery = match status {
            Some(200) => {
                self.etag = etag.and_then(usable);
                self.latest.news(revision, Some(body))
            }
            // Only who sent an ETag can be told so.
            Some(304) if self.etag.is_some() => None,
            Some(404) => {
                self.etag = None;
                self.latest.news(revision, None)
            }
            Some(status) => return self.fail(&Trouble::Status(status), moment).into_iter().collect(),
            None => return self.fail(&Trouble::NoAnswer, moment).into_iter().collect(),
        };
        self.is_failing = false;
        self.backoff.reset();
        self.troubles.settle_but(&[Trouble::NoIndex.kind()]);
        let trouble = match (self.settings.blocking, index) {
            (Some(_), Some(index)) => {
                self.index.advance(index);
                self.stage = Stage::Resting { until: self.pace.next(moment.now) };
                self.troubles.settle_but(&[]);
                None
            }
            (Some(_), None) => {
                self.index = Index::default();
                self.rest(moment);
                self.tell(&Trouble::NoIndex)
            }
            (None, _) => {
                self.rest(moment);
                None
            }
        };
        delivery.map(Action::Deliver).into_iter().chain(trouble).collect()
    }

    /// Until the next poll: the interval, give or take a tenth, so that proxies that began together drift apart.
    fn rest(&mut self, moment: Moment) {
        let tenth = nanos(self.settings.interval) / 10;
        let least = nanos(self.settings.interval).saturating_sub(tenth);
        let wait = least.saturating_add(moment.up_to(Duration::from_nanos(tenth.saturating_mul(2))));
        self.stage = Stage::Resting { until: moment.now.saturating_add(wait) };
    }

    fn fail(&mut self, trouble: &Trouble, moment: Moment) -> Option<Action> {
        self.is_failing = true;
        if self.settings.blocking.is_none() && self.backoff.is_at_its_longest() {
            self.rest(moment);
        } else {
            self.stage = Stage::Resting { until: moment.now.saturating_add(self.backoff.wait(moment)) };
        }
        self.etag = None;
        self.index = Index::default();
        self.tell(trouble)
    }

    fn tell(&mut self, trouble: &Trouble) -> Option<Action> {
        let Http { interval, blocking, .. } = &self.settings;
        let longest = if blocking.is_some() { Duration::from_secs(10) } else { *interval };
        self.troubles.tell(trouble.kind(), || trouble.line(longest, *interval))
    }
}

/// An ETag that can stand in a header of ours.
fn usable(etag: &[u8]) -> Option<String> {
    let fits = (1..=LONGEST_ETAG).contains(&etag.len()) && etag.iter().all(u8::is_ascii_graphic);
    fits.then(|| String::from_utf8_lossy(etag).into_owned())
}

impl Trouble {
    /// A number below 64, the same for what an operator would look at in the same way.
    fn kind(&self) -> u32 {
        match self {
            Trouble::NoCluster => 0,
            Trouble::NoAnswer => 1,
            Trouble::NoIndex => 2,
            Trouble::Encoded => 3,
            // 1xx to 5xx, and what is none of these.
            Trouble::Status(status) => u32::from((status / 100).min(6)).saturating_add(4),
        }
    }

    /// For the proxy's log. The path is not in it: its query may hold a token.
    fn line(&self, longest: Duration, interval: Duration) -> String {
        let problem = match self {
            Trouble::NoCluster => "the proxy has no such cluster".to_owned(),
            Trouble::NoAnswer => "no answer came".to_owned(),
            Trouble::Encoded => "the answer has a content-encoding, which was not asked for".to_owned(),
            Trouble::Status(status) => format!("the answer has status {status}; 200, 304 or 404 is what can be used"),
            Trouble::NoIndex => {
                return format!(
                    "blocking is set, and the answer has no X-Consul-Index; \
                     the document is asked for every {interval:?} instead"
                );
            }
        };
        format!(
            "{problem}; the policy in force stays, and the document is asked \
             for again after a while, {longest:?} at most"
        )
    }
}

#[cfg(test)]
mod tests;
