//! What a session is told, and what it says.

use crate::moment::Stopwatch;
use crate::{Moment, Settings, etcd, http};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// What the proxy is to do, in this order. Where one is refused, those after it in the same list are void, and the
/// session is told [`Event::Refused`].
#[derive(Clone, PartialEq, Eq)]
pub enum Action {
    /// Begin a unary gRPC call through the cluster. None other is under way.
    Call {
        /// The full name of the service.
        service: &'static str,
        /// The method.
        method: &'static str,
        /// Metadata: a secret.
        metadata: Vec<(&'static str, String)>,
        /// The request, which may hold a secret.
        message: Vec<u8>,
        /// After this the proxy gives up.
        timeout: Duration,
    },
    /// Give up the call that is under way: nothing that still comes of it is an event.
    CancelCall,
    /// Open a gRPC stream through the cluster. None other is open.
    Open {
        /// The full name of the service.
        service: &'static str,
        /// The method.
        method: &'static str,
        /// Metadata: a secret.
        metadata: Vec<(&'static str, String)>,
    },
    /// Send this message on the stream. (Where that fails, the stream counts as closed: [`Event::StreamClosed`].)
    Send(Vec<u8>),
    /// Reset the stream: nothing that still comes of it is an event.
    Close,
    /// Begin an HTTP GET through the cluster. It replaces one before it that was never answered.
    Fetch {
        /// The path with its query, which may hold a secret.
        path: String,
        /// Headers beside those of every request: a secret.
        headers: Vec<(String, String)>,
        /// After this the proxy gives up.
        timeout: Duration,
    },
    /// Here is a new version of the document.
    Deliver(Delivery),
    /// For the proxy's log: which source fails, how, and what is done about it. One line, no secrets; told once for
    /// each kind of trouble until all is well again.
    Trouble(String),
}

/// What came of it.
#[derive(Clone, Copy)]
pub enum Event<'a> {
    /// The call was answered with this message.
    CallAnswered(&'a [u8]),
    /// The call failed.
    CallFailed {
        /// The gRPC status code.
        status: u32,
        /// Its message.
        message: &'a str,
    },
    /// A message came on the stream.
    StreamMessage(&'a [u8]),
    /// The stream is gone, whoever closed it.
    StreamClosed {
        /// The gRPC status code; 0 too.
        status: u32,
        /// Its message.
        message: &'a str,
    },
    /// The GET was answered, or failed.
    Fetched {
        /// The HTTP status; `None` where no answer came.
        status: Option<u16>,
        /// The header `etag`.
        etag: Option<&'a [u8]>,
        /// The header `x-consul-index`.
        index: Option<&'a [u8]>,
        /// Whether the body is not the document itself but compressed (the header `content-encoding`).
        is_encoded: bool,
        /// The body, at least [`DOCUMENT_LIMIT`](crate::DOCUMENT_LIMIT) + 1 bytes of it.
        body: &'a [u8],
    },
    /// The proxy would not even begin what was asked for: it has no such cluster.
    Refused,
}

/// A version of the document.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// etcd: the revision at which the key was last written; where it does not exist, that of the read or of its
    /// deletion. HTTP: Consul's index, or 0. It goes back where a store was restored or wiped.
    pub revision: u64,
    /// The document, at most [`DOCUMENT_LIMIT`](crate::DOCUMENT_LIMIT) + 1 bytes; `None`: there is none at the source.
    pub document: Option<Vec<u8>>,
}

/// What keeps a document up to date, in one of the proxy's VMs: at most one call, one stream and one fetch at a time.
///
/// Events are about what the session asked for last. One that it does not wait for changes nothing.
pub struct Session {
    kind: Kind,
    stopwatch: Stopwatch,
}

enum Kind {
    Etcd(etcd::Watch),
    Http(http::Poll),
}

impl Session {
    /// A session that has not begun: the first [`Session::on_tick`] begins it. `in_force` is the revision of the document
    /// that a session before it delivered, if there is one.
    pub fn new(settings: Rc<Settings>, in_force: Option<u64>) -> Session {
        let kind = match &*settings {
            Settings::Etcd(etcd) => Kind::Etcd(etcd::Watch::new(etcd.clone(), in_force)),
            Settings::Http(http) => Kind::Http(http::Poll::new(http.clone())),
        };
        Session { kind, stopwatch: Stopwatch::default() }
    }

    /// Whether the last thing that came of what was asked for was trouble; `false` before anything came.
    pub fn is_failing(&self) -> bool {
        match &self.kind {
            Kind::Etcd(watch) => watch.is_failing(),
            Kind::Http(poll) => poll.is_failing(),
        }
    }

    /// Begins what is due and gives up what takes too long. To be called every 50 ms or so: nothing is ever repeated
    /// faster than that.
    pub fn on_tick(&mut self, moment: Moment) -> Vec<Action> {
        let moment = self.steady(moment);
        match &mut self.kind {
            Kind::Etcd(watch) => watch.on_tick(moment),
            Kind::Http(poll) => poll.on_tick(moment),
        }
    }

    /// Takes what came.
    pub fn on_event(&mut self, event: Event<'_>, moment: Moment) -> Vec<Action> {
        let moment = self.steady(moment);
        match &mut self.kind {
            Kind::Etcd(watch) => watch.on_event(event, moment),
            Kind::Http(poll) => poll.on_event(event, moment),
        }
    }

    /// Lets go of call and stream. From here on the session does nothing.
    pub fn end(&mut self) -> Vec<Action> {
        match &mut self.kind {
            Kind::Etcd(watch) => watch.end(),
            Kind::Http(poll) => poll.end(),
        }
    }

    fn steady(&mut self, moment: Moment) -> Moment {
        Moment { now: self.stopwatch.at(moment.now), ..moment }
    }
}

/// Without what may be secret.
impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Call { service, method, .. } => write!(f, "Call({service}/{method})"),
            Action::CancelCall => f.write_str("CancelCall"),
            Action::Open { service, method, .. } => write!(f, "Open({service}/{method})"),
            Action::Send(message) => write!(f, "Send({} bytes)", message.len()),
            Action::Close => f.write_str("Close"),
            Action::Fetch { timeout, .. } => write!(f, "Fetch(within {timeout:?})"),
            Action::Deliver(delivery) => delivery.fmt(f),
            Action::Trouble(text) => write!(f, "Trouble({text})"),
        }
    }
}

/// Without the document, which may hold secrets.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.document {
            Some(document) => write!(f, "Delivery({} bytes at {})", document.len(), self.revision),
            None => write!(f, "Delivery(none at {})", self.revision),
        }
    }
}
