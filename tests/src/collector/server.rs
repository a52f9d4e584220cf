//! The connections of a collector, and the way of a request over one of them.

use std::fmt;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::service::service_fn;
use hyper::{Response, StatusCode, http};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;

use super::Desk;
use super::answer::{Answer, Body};
use super::batch::{Batch, Refusal};
use super::ledger::{Entry, Request};
use crate::seen::{Seen, latin1};
use crate::serving::Stopped;

/// Bytes of a request's body: four times the largest batch that a policy allows.
const MAX_BODY: usize = 16 << 20;
/// Headers that a request may bring, and bytes that they may take.
const MAX_HEADERS: usize = 2_000;
const MAX_HEADER_BYTES: u32 = 1 << 20;

/// A connection, as the requests on it know it.
#[derive(Debug)]
struct Line {
    /// Whether an answer still reaches the client. Written and read under the ledger's lock.
    open: AtomicBool,
    /// Asks for a reset.
    reset: Notify,
}

/// Instead of a response, where nobody is left to read one.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is gone")
    }
}

impl std::error::Error for Cut {}

/// Serves a connection until it ends, or all is to: then it is reset.
pub(super) async fn serve(stream: TcpStream, desk: Arc<Desk>, mut stopped: Stopped) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // hyper keeps its own handle to itself; this one decides how the connection ends.
    let stream = stream.into_std()?;
    let end = TcpSocket::from_std_stream(stream.try_clone()?);
    let stream = TokioIo::new(TcpStream::from_std(stream)?);

    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES as usize);
    server.http2().max_header_list_size(MAX_HEADER_BYTES);
    let line = Arc::new(Line { open: AtomicBool::new(true), reset: Notify::new() });
    let service = service_fn(|request| respond(Arc::clone(&desk), Arc::clone(&line), request));
    let reset = tokio::select! {
        ended = server.serve_connection(stream, service) => {
            let error = ended.err().and_then(|error| error.downcast::<hyper::Error>().ok());
            if let Some(error) = error.filter(|error| error.is_parse()) {
                desk.ledger.send_modify(|ledger| ledger.problem(format!("no HTTP: {error}")));
            }
            false
        }
        () = line.reset.notified() => true,
        _ = stopped.changed() => true,
    };
    // The requests of an HTTP/2 connection may outlive it, and find out too late that nobody reads their answers.
    desk.ledger.send_if_modified(|_| {
        line.open.store(false, Ordering::Relaxed);
        false
    });
    if reset { end.set_zero_linger() } else { Ok(()) }
}

async fn respond(desk: Arc<Desk>, line: Arc<Line>, request: http::Request<Incoming>) -> Result<Response<Body>, Cut> {
    let orders = desk.orders.borrow().clone();
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("more than {MAX_BODY} bytes")))
        }
        Err(_) => return Err(Cut),
    };
    let bytes = body.as_ref().map_or(0, Bytes::len);
    let content = body.and_then(|body| Batch::read(&head, body));
    let records = content.as_ref().map_or(0, |batch| batch.records);
    let request =
        Request { at: Instant::now(), authority: authority(&head), seen: seen(&head), bytes, records, status: None };
    let mut entry = None;
    desk.ledger.send_modify(|ledger| entry = ledger.enter(request, &content));
    let Some(entry) = entry else {
        return Ok(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the collector is full").response());
    };

    tokio::time::sleep(orders.hold).await;
    let (response, acknowledged) = match content {
        Err(refusal) => (refusal.response(), None),
        Ok(batch) => match orders.answer.response(batch.signal, batch.records) {
            Some(response) => (response, orders.answer.accepts(batch.records).map(|accepted| (batch, accepted))),
            None => {
                if orders.answer == Answer::Reset {
                    line.reset.notify_one();
                }
                return pending().await;
            }
        },
    };
    settle(&desk, &line, entry, response.status(), acknowledged)?;
    Ok(response)
}

/// Notes the answer, unless nobody is left to read it.
fn settle(
    desk: &Desk,
    line: &Line,
    entry: Entry,
    status: StatusCode,
    acknowledged: Option<(Batch, usize)>,
) -> Result<(), Cut> {
    let settled = desk.ledger.send_if_modified(|ledger| {
        let open = line.open.load(Ordering::Relaxed);
        if open {
            ledger.answered(entry, status.as_u16());
            if let Some((batch, accepted)) = acknowledged {
                ledger.acknowledge(batch, accepted);
            }
        }
        open
    });
    if settled { Ok(()) } else { Err(Cut) }
}

fn seen(head: &http::request::Parts) -> Seen {
    Seen {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string),
        version: format!("{:?}", head.version),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), latin1(value.as_bytes()))).collect(),
    }
}

fn authority(head: &http::request::Parts) -> String {
    let host = || head.headers.get(HOST).map(|value| latin1(value.as_bytes())).unwrap_or_default();
    head.uri.authority().map_or_else(host, ToString::to_string)
}
