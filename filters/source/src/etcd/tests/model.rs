//! An etcd in memory that follows etcd's rules, and the connection to it.

use crate::etcd::messages::conformance::{
    AuthenticateRequest, RangeRequest, RequestUnion, WatchCreateRequest, WatchRequest,
};
use crate::etcd::testing::{CLUSTER, KEY, Response, header, pair, range, token};
use crate::{Action, Delivery, Event, Moment, Session};
use prost::Message;
use std::collections::VecDeque;

/// What may happen.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Put(u8),
    Delete,
    /// Another key is written.
    PutOther,
    Compact,
    /// A watch that began in the past catches up.
    Sync,
    /// The next message arrives: of the call, to etcd, from etcd.
    Move(u8),
    /// The connection is lost.
    Cut,
    /// The connection is dead, and nobody knows.
    Stall,
    /// A call is never answered.
    Lose,
    Restart,
    /// etcd begins anew, with the same cluster id, and perhaps writes some keys.
    Wipe(u8),
    Down,
    Up,
    /// Tokens are no longer good.
    Expire,
    /// etcd wants name and password from now on, or no longer.
    Guard(bool),
    /// The member that watches is so many revisions behind, from now on.
    Lag(u8),
    /// The proxy has the cluster or not.
    Cluster(bool),
    /// So many milliseconds pass, with one tick; below zero: the clock is set back.
    Pass(i64),
}

/// How etcd answers a request for progress, and a watch that is not permitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Release {
    /// Up to 3.4.24: at once.
    Old,
    /// Since 3.5.22: when the watch is not behind, and does not begin in the future.
    New,
}

/// The server.
struct Etcd {
    release: Release,
    revision: i64,
    compacted: i64,
    term: u64,
    value: Option<(i64, Vec<u8>)>,
    /// All that happened to the key, with its revisions.
    history: Vec<(i64, Option<Vec<u8>>)>,
    is_up: bool,
    is_guarded: bool,
    token: u64,
    lag: i64,
}

/// A stream, seen from the server.
#[derive(Default)]
struct Stream {
    token: Option<String>,
    to_etcd: VecDeque<Vec<u8>>,
    to_session: VecDeque<Vec<u8>>,
    /// From where the watch is, and whether it has caught up.
    watch: Option<(i64, bool)>,
    is_closed: bool,
    is_stalled: bool,
}

enum Call {
    Asked { method: &'static str, token: Option<String>, message: Vec<u8> },
    Answered(Result<Vec<u8>, (u32, &'static str)>),
    Lost,
}

/// Both sides.
pub(crate) struct World {
    session: Session,
    etcd: Etcd,
    call: Option<Call>,
    stream: Option<Stream>,
    has_cluster: bool,
    now: u64,
    entropy: u64,
    pub(crate) last: Option<Delivery>,
    /// etcd began anew after the last delivery of a document.
    pub(crate) is_of_store_before: bool,
    /// The revision delivered last within this watch, or read before it.
    newest: u64,
    pub(crate) troubles: usize,
    pub(crate) calls: usize,
}

impl Etcd {
    fn write(&mut self, value: Option<Vec<u8>>, stream: Option<&mut Stream>) {
        if value.is_none() && self.value.is_none() {
            return;
        }
        self.revision += 1;
        self.value = value.clone().map(|value| (self.revision, value));
        self.history.push((self.revision, value.clone()));
        let watching = stream.and_then(|stream| stream.watch.map(|watch| (watch, stream)));
        if let Some(((from, true), stream)) = watching
            && from <= self.revision
        {
            let response = event(Response::new(&self.header(0), 0), self.revision, value.as_deref());
            stream.to_session.push_back(response.bytes());
        }
    }

    fn header(&self, lag: i64) -> Vec<u8> {
        header(CLUSTER, (self.revision - lag).max(1), self.term)
    }

    fn answer(&mut self, method: &str, given: Option<&str>, message: &[u8]) -> Result<Vec<u8>, (u32, &'static str)> {
        if !self.is_up {
            return Err((14, "upstream connect error"));
        }
        if method == "Authenticate" {
            let user = AuthenticateRequest::decode(message).unwrap();
            assert_eq!((user.name.as_str(), user.password.as_str()), ("reader", "correct horse"));
            return match self.is_guarded {
                true => Ok(token(self.token.to_string().as_bytes())),
                false => Err((9, "etcdserver: authentication is not enabled")),
            };
        }
        let wanted = self.token.to_string();
        match given {
            _ if !self.is_guarded => {}
            None => return Err((3, "etcdserver: user name is empty")),
            Some(given) if given != wanted => return Err((16, "etcdserver: invalid auth token")),
            Some(_) => {}
        }
        let request = RangeRequest::decode(message).unwrap();
        assert!(request.key == KEY.as_bytes() && !request.serializable);
        let pair = self.value.as_ref().map(|(revision, value)| pair(KEY, *revision, value));
        Ok(range(&self.header(0), pair.as_deref()))
    }

    fn take(&self, message: &[u8], stream: &mut Stream) {
        let response = match WatchRequest::decode(message).unwrap().request_union.unwrap() {
            RequestUnion::Create(create) => self.create(&create, stream),
            RequestUnion::Progress(_) => {
                let can_tell = stream.watch.is_some_and(|(from, is_synced)| is_synced && from <= self.revision);
                if self.release == Release::New && !can_tell {
                    return;
                }
                Response::new(&self.header(0), -1)
            }
            RequestUnion::Cancel(_) => panic!("streams are reset, not cancelled"),
        };
        stream.to_session.push_back(response.bytes());
    }

    fn create(&self, create: &WatchCreateRequest, stream: &mut Stream) -> Response {
        assert_eq!(create.key, KEY.as_bytes());
        assert!(create.start_revision > 0, "a watch from now on would miss what is written until then");
        if self.is_guarded && stream.token != Some(self.token.to_string()) {
            let reason = match self.release {
                Release::Old => "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
                Release::New => "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
            };
            return Response::new(&self.header(0), -1).created().canceled(reason);
        }
        stream.watch = Some((create.start_revision, create.start_revision > self.revision));
        Response::new(&self.header(self.lag), 0).created()
    }

    fn sync(&self, stream: &mut Stream) {
        let Some((from, false)) = stream.watch else { return };
        let header = self.header(0);
        if from < self.compacted {
            stream.watch = None;
            let response = Response::new(&header, 0).compacted(self.compacted).canceled("");
            stream.to_session.push_back(response.bytes());
            return;
        }
        stream.watch = Some((from, true));
        let missed = self.history.iter().filter(|(revision, _)| *revision >= from);
        let mut missed = missed.peekable();
        if missed.peek().is_some() {
            let add =
                |response, (revision, value): &(i64, Option<Vec<u8>>)| event(response, *revision, value.as_deref());
            stream.to_session.push_back(missed.fold(Response::new(&header, 0), add).bytes());
        }
    }
}

fn event(response: Response, revision: i64, value: Option<&[u8]>) -> Response {
    match value {
        Some(value) => response.put(revision, value),
        None => response.deleted(revision),
    }
}

impl World {
    pub(crate) fn new(session: Session, release: Release, is_guarded: bool, entropy: u64) -> World {
        let etcd = Etcd {
            release,
            revision: 1,
            compacted: 0,
            term: 2,
            value: None,
            history: Vec::new(),
            is_up: true,
            is_guarded,
            token: 1,
            lag: 0,
        };
        World {
            session,
            etcd,
            call: None,
            stream: None,
            has_cluster: true,
            now: 1_800_000_000_000_000_000,
            entropy,
            last: None,
            is_of_store_before: false,
            newest: 0,
            troubles: 0,
            calls: 0,
        }
    }

    pub(crate) fn value(&self) -> Option<(u64, Vec<u8>)> {
        self.etcd.value.clone().map(|(revision, value)| (revision as u64, value))
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Put(value) => self.etcd.write(Some(vec![*value]), self.stream.as_mut()),
            Step::Delete => self.etcd.write(None, self.stream.as_mut()),
            Step::PutOther => self.etcd.revision += 1,
            Step::Compact => self.etcd.compacted = self.etcd.revision,
            Step::Sync => {
                if let Some(stream) = &mut self.stream {
                    self.etcd.sync(stream);
                }
            }
            Step::Move(which) => self.deliver(*which),
            Step::Cut => self.cut(),
            Step::Stall => {
                if let Some(stream) = &mut self.stream {
                    stream.is_stalled = true;
                }
            }
            Step::Lose => {
                if let Some(call) = &mut self.call {
                    *call = Call::Lost;
                }
            }
            Step::Restart => {
                self.etcd.term += 1;
                self.cut();
            }
            Step::Wipe(writes) => {
                let etcd = &mut self.etcd;
                (etcd.revision, etcd.compacted, etcd.term, etcd.value) = (1, 0, 2, None);
                etcd.history.clear();
                self.is_of_store_before = self.last.as_ref().is_some_and(|last| last.document.is_some());
                etcd.revision += i64::from(writes % 3);
                self.cut();
            }
            Step::Down => {
                self.etcd.is_up = false;
                self.cut();
            }
            Step::Up => self.etcd.is_up = true,
            Step::Expire => self.etcd.token += 1,
            Step::Guard(is_guarded) => self.etcd.is_guarded = *is_guarded,
            Step::Lag(revisions) => self.etcd.lag = i64::from(*revisions),
            Step::Cluster(has_cluster) => self.has_cluster = *has_cluster,
            Step::Pass(millis) => {
                self.now = self.now.saturating_add_signed(millis * 1_000_000);
                let moment = self.moment();
                let actions = self.session.on_tick(moment);
                self.carry_out(actions);
            }
        }
    }

    /// All that can be well is well, and a minute passes.
    pub(crate) fn calm_down(&mut self) {
        for step in [Step::Up, Step::Cluster(true), Step::Lag(0)] {
            self.step(&step);
        }
        for _ in 0..60 * 5 {
            self.step(&Step::Pass(200));
            for _ in 0..3 {
                (0..3).for_each(|which| self.deliver(which));
                self.step(&Step::Sync);
            }
        }
    }

    fn moment(&mut self) -> Moment {
        self.entropy = self.entropy.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Moment { now: self.now, entropy: self.entropy }
    }

    /// What was on its way is lost with the connection.
    fn cut(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.to_etcd.clear();
            stream.to_session.clear();
            (stream.watch, stream.is_closed) = (None, true);
        }
        if self.call.is_some() {
            self.call = Some(Call::Answered(Err((14, "connection reset"))));
        }
    }

    fn deliver(&mut self, which: u8) {
        match (which % 3, &mut self.call, &mut self.stream) {
            (0, Some(Call::Asked { method, token, message }), _) => {
                let answer = self.etcd.answer(method, token.as_deref(), message);
                self.call = Some(Call::Answered(answer));
            }
            (0, call @ Some(Call::Answered(_)), _) => {
                let Some(Call::Answered(answer)) = call.take() else { unreachable!() };
                match &answer {
                    Ok(message) => self.event(Event::CallAnswered(message)),
                    Err((status, message)) => self.event(Event::CallFailed { status: *status, message }),
                }
            }
            (1, _, Some(stream)) if !stream.is_stalled => match stream.to_etcd.pop_front() {
                _ if stream.is_closed => {}
                Some(_) if !self.etcd.is_up => self.cut(),
                Some(message) => self.etcd.take(&message, stream),
                None => {}
            },
            (2, _, Some(stream)) if !stream.is_stalled => match stream.to_session.pop_front() {
                Some(message) => self.event(Event::StreamMessage(&message)),
                None if stream.is_closed => {
                    self.stream = None;
                    self.event(Event::StreamClosed { status: 14, message: "connection reset" });
                }
                None => {}
            },
            _ => {}
        }
    }

    fn event(&mut self, event: Event<'_>) {
        let is_watched = matches!(event, Event::StreamMessage(_));
        if matches!(event, Event::CallAnswered(_)) {
            self.newest = 0;
        }
        let moment = self.moment();
        let actions = self.session.on_event(event, moment);
        for action in &actions {
            if let Action::Deliver(delivery) = action {
                assert!(!is_watched || delivery.revision > self.newest, "within a watch order is kept");
                self.newest = delivery.revision;
            }
        }
        self.carry_out(actions);
    }

    /// As a proxy does: what it cannot begin, it refuses.
    fn carry_out(&mut self, actions: Vec<Action>) {
        assert!(actions.len() <= 4, "{actions:?}");
        for action in actions {
            match action {
                Action::Call { .. } | Action::Open { .. } if !self.has_cluster => return self.event(Event::Refused),
                Action::Call { method, metadata, message, .. } => {
                    assert!(self.call.is_none(), "one call at a time");
                    self.calls += 1;
                    self.call = Some(Call::Asked { method, token: token_in(&metadata), message });
                }
                Action::CancelCall => assert!(self.call.take().is_some(), "there was no call"),
                Action::Open { metadata, .. } => {
                    assert!(self.stream.is_none(), "one stream at a time");
                    self.stream = Some(Stream { token: token_in(&metadata), ..Stream::default() });
                }
                Action::Send(message) => self.stream.as_mut().expect("a stream").to_etcd.push_back(message),
                Action::Close => assert!(self.stream.take().is_some(), "there was no stream"),
                Action::Fetch { .. } => panic!("etcd speaks gRPC"),
                Action::Deliver(delivery) => {
                    assert_ne!(Some(&delivery), self.last.as_ref(), "nothing is delivered twice");
                    self.last = Some(delivery);
                    self.is_of_store_before = false;
                }
                Action::Trouble(_) => self.troubles += 1,
            }
        }
    }
}

fn token_in(metadata: &[(&'static str, String)]) -> Option<String> {
    metadata.iter().find(|(name, _)| *name == "token").map(|(_, token)| token.clone())
}
