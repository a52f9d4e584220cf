//! The session with the source of the policy, in the one root context of the proxy that holds it: what it asks for is done
//! through the proxy, what comes back is handed to it.

use crate::{Callout, CalloutResponse, CalloutToken, GrpcMethod, GrpcToken, Host, HostError};
use sluicegate_source::{Action, DOCUMENT_LIMIT, Delivery, Event, Moment, Session, Settings};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// As much of a message of gRPC is read: the document, twice in a change of it, and what goes around it.
const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

/// As many actions are done for one event. A session asks for a few; more would be a circle.
const MAX_ACTIONS: usize = 32;

/// gRPC's RESOURCE_EXHAUSTED.
const RESOURCE_EXHAUSTED: u32 = 8;

/// gRPC's UNAVAILABLE.
const UNAVAILABLE: u32 = 14;

pub(crate) struct Holder {
    host: &'static dyn Host,
    settings: Rc<Settings>,
    session: Session,
    call: Option<GrpcToken>,
    stream: Option<GrpcToken>,
    fetch: Option<CalloutToken>,
}

/// What a session has to say to this side.
#[derive(Default)]
pub(crate) struct Said {
    /// The last document that came.
    pub(crate) delivery: Option<Delivery>,
    /// Lines for the proxy's log.
    pub(crate) troubles: Vec<String>,
    /// The source answered, and as it should.
    pub(crate) is_answer: bool,
}

impl Holder {
    /// `in_force` is the revision of the document that the holder before it posted.
    pub(crate) fn new(settings: Rc<Settings>, in_force: Option<u64>, host: &'static dyn Host) -> Holder {
        let session = Session::new(Rc::clone(&settings), in_force);
        Holder { host, settings, session, call: None, stream: None, fetch: None }
    }

    pub(crate) fn on_tick(&mut self, moment: Moment) -> Said {
        let actions = self.session.on_tick(moment);
        self.perform(actions, moment)
    }

    /// A message came; `None` where it is none of ours.
    pub(crate) fn message(&mut self, token: GrpcToken, moment: Moment) -> Option<Said> {
        let is_answer = self.call == Some(token);
        if !is_answer && self.stream != Some(token) {
            return None;
        }
        let message = self.host.grpc_message(MESSAGE_LIMIT).unwrap_or_default();
        if message.len() >= MESSAGE_LIMIT {
            // What is left out of it comes with the next reading.
            self.let_go(token);
            let (status, message) = (RESOURCE_EXHAUSTED, "a message of 4 MiB or more");
            let event = match is_answer {
                true => Event::CallFailed { status, message },
                false => Event::StreamClosed { status, message },
            };
            return Some(self.tell(event, moment));
        }
        let event = if is_answer { Event::CallAnswered(&message) } else { Event::StreamMessage(&message) };
        if is_answer {
            self.call = None;
        }
        Some(self.tell(event, moment))
    }

    fn let_go(&mut self, token: GrpcToken) {
        for known in [&mut self.call, &mut self.stream] {
            if known.take_if(|known| *known == token).is_some() {
                _ = self.host.grpc_cancel(token.0);
            }
        }
    }

    /// A call failed or the stream ended; `None` where it is none of ours.
    pub(crate) fn closed(&mut self, token: GrpcToken, status: u32, moment: Moment) -> Option<Said> {
        let message = &*self.host.grpc_status_message();
        if self.call == Some(token) {
            self.call = None;
            Some(self.tell(Event::CallFailed { status, message }, moment))
        } else if self.stream == Some(token) {
            self.stream = None;
            Some(self.tell(Event::StreamClosed { status, message }, moment))
        } else {
            None
        }
    }

    /// A callout was answered; `None` where it is none of ours.
    pub(crate) fn fetched(
        &mut self,
        token: CalloutToken,
        response: &CalloutResponse<'_>,
        moment: Moment,
    ) -> Option<Said> {
        self.fetch.take_if(|fetch| *fetch == token)?;
        let body = response.body(DOCUMENT_LIMIT.saturating_add(1)).unwrap_or_default();
        let header = |name| response.headers().get(name);
        let (etag, index) = (header("etag"), header("x-consul-index"));
        let is_encoded = header("content-encoding").is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity"));
        Some(self.tell(Event::Fetched { status: response.status(), etag, index, is_encoded, body: &body }, moment))
    }

    fn tell(&mut self, event: Event<'_>, moment: Moment) -> Said {
        let actions = self.session.on_event(event, moment);
        let is_answer = !self.session.is_failing();
        Said { is_answer, ..self.perform(actions, moment) }
    }

    fn perform(&mut self, actions: Vec<Action>, moment: Moment) -> Said {
        let mut said = Said::default();
        let mut actions = VecDeque::from(actions);
        for _ in 0..MAX_ACTIONS {
            let Some(action) = actions.pop_front() else { break };
            let is_message = matches!(action, Action::Send(_));
            if self.begin(action, &mut said).is_err() {
                let event = match is_message {
                    true => Event::StreamClosed { status: UNAVAILABLE, message: "the stream is gone" },
                    false => Event::Refused,
                };
                actions = self.session.on_event(event, moment).into();
            }
        }
        said
    }

    fn begin(&mut self, action: Action, said: &mut Said) -> Result<(), HostError> {
        let cluster = self.settings.cluster();
        match action {
            Action::Call { service, method, metadata, message, timeout } => {
                let metadata = borrowed(&metadata);
                let method = GrpcMethod { cluster, service, method, metadata: &metadata };
                self.call = Some(GrpcToken(self.host.grpc_call(&method, &message, timeout)?));
            }
            Action::Open { service, method, metadata } => {
                let metadata = borrowed(&metadata);
                let method = GrpcMethod { cluster, service, method, metadata: &metadata };
                self.stream = Some(GrpcToken(self.host.grpc_open(&method)?));
            }
            Action::Send(message) => {
                if let Some(GrpcToken(stream)) = self.stream {
                    self.host.grpc_send(stream, &message)?;
                }
            }
            // What the proxy cannot let go of has ended by itself.
            Action::CancelCall => self.call.take().map_or((), |GrpcToken(call)| _ = self.host.grpc_cancel(call)),
            Action::Close => self.stream.take().map_or((), |GrpcToken(stream)| _ = self.host.grpc_cancel(stream)),
            Action::Fetch { path, headers, timeout } => self.fetch = Some(self.get(&path, &headers, timeout)?),
            Action::Deliver(delivery) => said.delivery = Some(delivery),
            Action::Trouble(trouble) => said.troubles.push(trouble),
        }
        Ok(())
    }

    fn get(&self, path: &str, headers: &[(String, String)], timeout: Duration) -> Result<CalloutToken, HostError> {
        let (cluster, authority) = (self.settings.cluster(), self.settings.authority());
        let headers = borrowed(headers);
        Callout { cluster, method: "GET", path, authority, headers: &headers, body: &[], timeout }.send(self.host)
    }
}

/// Lets go of what is under way.
impl Drop for Holder {
    fn drop(&mut self) {
        for action in self.session.end() {
            _ = self.begin(action, &mut Said::default());
        }
    }
}

fn borrowed<N: AsRef<str>>(pairs: &[(N, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_ref(), value.as_str())).collect()
}
