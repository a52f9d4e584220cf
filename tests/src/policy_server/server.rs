//! The connections of a policy server, and the way of a request over one of them.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::{Answer, Desk, Kind, consul, etag};
use crate::seen::{Seen, latin1};
use crate::serving::Stopped;

pub(super) type Body = Full<Bytes>;

/// Serves a connection until it ends, or all is to.
pub(super) async fn serve(stream: TcpStream, desk: Arc<Desk>, mut stopped: Stopped) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| respond(Arc::clone(&desk), request));
    let mut server = http1::Builder::new();
    tokio::select! {
        _ = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service) => {}
        _ = stopped.changed() => {}
    }
}

async fn respond(desk: Arc<Desk>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let _unanswered = Unanswered::enter(&desk, &request);
    let orders = *desk.orders.borrow();
    match orders.answer {
        Answer::Document => {}
        Answer::Status(status) => return Ok(text(status, "as ordered")),
        Answer::Bytes(count) => return Ok(Response::new(Full::new(vec![b'x'; count].into()))),
        Answer::Never => return pending().await,
    }
    if request.uri().path() != desk.kind.path() {
        return Ok(text(StatusCode::NOT_FOUND, "no such path"));
    }
    if request.method() != Method::GET {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return Ok(refusal);
    }
    Ok(match desk.kind {
        Kind::Etag => {
            let document = desk.shelf.borrow().document.clone();
            etag::answer(document, orders.etags, request.headers())
        }
        Kind::Consul => consul::answer(desk.shelf.subscribe(), request.uri().query().unwrap_or_default()).await,
    })
}

/// A response that says what the matter is.
pub(super) fn text(status: StatusCode, line: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::from(line));
    *response.status_mut() = status;
    response
}

/// A request under way. It is dropped with the request, also where the client has gone.
struct Unanswered<'a>(&'a Desk);

impl<'a> Unanswered<'a> {
    fn enter(desk: &'a Desk, request: &Request<Incoming>) -> Self {
        let seen = Seen {
            method: request.method().to_string(),
            path: request.uri().to_string(),
            version: format!("{:?}", request.version()),
            headers: request
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), latin1(value.as_bytes())))
                .collect(),
        };
        desk.ledger.send_modify(|ledger| {
            ledger.requests = ledger.requests.saturating_add(1);
            ledger.unanswered = ledger.unanswered.saturating_add(1);
            ledger.last = Some(seen);
        });
        Self(desk)
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.ledger.send_modify(|ledger| ledger.unanswered = ledger.unanswered.saturating_sub(1));
    }
}
