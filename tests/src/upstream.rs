//! The sample upstream: a service that answers every request with what it saw of it, as JSON ([`Seen`]), over HTTP/1.1
//! and HTTP/2 without TLS on one port. A gRPC request is answered as a gRPC service would. Request headers make it
//! misbehave:
//!
//! | header | the response |
//! |---|---|
//! | `x-upstream-status: 503` | has this status |
//! | `x-upstream-delay: 200ms` | comes that much later (a number alone is milliseconds) |
//! | `x-upstream-response-header: name=value` | has this header, whatever its bytes; may be repeated |
//! | `x-upstream-response-headers-count: 200` | has that many more headers, `x-filler-0` and so on |
//! | `x-upstream-grpc-status: 14` | ends with this `grpc-status` (gRPC only; default 0) |
//! | `x-upstream-reset` | does not come: HTTP/1.1 closes the connection, HTTP/2 resets the stream |
//! | `x-upstream-stream: 5x20ms` | comes as five times what it would be, one every 20 ms; with `x-upstream-reset` it breaks off then |

mod answer;
mod command;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::seen::{Seen, latin1};
use command::Command;

/// Headers that a request may bring: more than any test sends, so that what is missing was lost on the way.
const MAX_HEADERS: usize = 2_000;
/// Bytes that the headers of a request may take.
const MAX_HEADER_BYTES: u32 = 1 << 20;
/// What open connections get to finish in when the upstream goes.
const DRAIN: Duration = Duration::from_secs(5);

/// What came in.
#[derive(Debug, Default)]
struct Ledger {
    requests: AtomicU64,
    /// Where each is kept: the request and its body.
    kept: Option<Mutex<Vec<(Seen, Bytes)>>>,
}

/// A running upstream. Dropping it closes the port and lets requests under way finish.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    ledger: Arc<Ledger>,
    // Whoever holds the other end stops when this one goes.
    stop: watch::Sender<()>,
    serving: JoinHandle<()>,
}

impl Upstream {
    /// Starts one on a free port of the loopback interface, inside the current tokio runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self> {
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts one on this address, inside the current tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn listen(address: SocketAddr) -> Result<Self> {
        Self::listen_with(address, Ledger::default()).await
    }

    /// Starts one like [`Upstream::start`] that keeps what it sees for [`Upstream::take`], what it never answers as well.
    /// Its answers leave the headers out, so that how long they are does not depend on what it saw.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn recording() -> Result<Self> {
        let ledger = Ledger { kept: Some(Mutex::default()), ..Ledger::default() };
        Self::listen_with(SocketAddr::from(([127, 0, 0, 1], 0)), ledger).await
    }

    async fn listen_with(address: SocketAddr, ledger: Ledger) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr().context("the listener has no address")?;
        let ledger = Arc::new(ledger);
        let (stop, stopped) = watch::channel(());
        let serving = tokio::spawn(accept(listener, Arc::clone(&ledger), stopped));
        Ok(Self { address, ledger, stop, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many requests have come in so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.ledger.requests.load(Ordering::Relaxed)
    }

    /// What a [recording](Upstream::recording) one saw since the last call, in the order of arrival, each with its body.
    #[must_use]
    pub fn take(&self) -> Vec<(Seen, Bytes)> {
        let kept = self.ledger.kept.as_ref();
        kept.map(|kept| std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner))).unwrap_or_default()
    }

    /// Closes the port and waits until requests under way are answered, for 5 s at most.
    pub async fn stop(self) {
        drop(self.stop);
        // It fails only if the runtime is going as well.
        let _ = self.serving.await;
    }
}

async fn accept(listener: TcpListener, ledger: Arc<Ledger>, mut stopped: watch::Receiver<()>) {
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        match accepted {
            Ok((stream, _)) => serve(stream, &graceful, Arc::clone(&ledger)),
            Err(error) => {
                eprintln!("upstream: cannot accept a connection: {error}");
                // Out of file descriptors, most likely, which a busy loop would not cure.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

fn serve(stream: TcpStream, graceful: &GracefulShutdown, ledger: Arc<Ledger>) {
    let _ = stream.set_nodelay(true);
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES as usize);
    server.http2().max_header_list_size(MAX_HEADER_BYTES);
    let service = service_fn(move |request| {
        ledger.requests.fetch_add(1, Ordering::Relaxed);
        respond(request, Arc::clone(&ledger))
    });
    let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service).into_owned());
    tokio::spawn(async move {
        if let Err(error) = connection.await
            && !error.is::<answer::Reset>()
        {
            eprintln!("upstream: a connection ended: {error}");
        }
    });
}

async fn respond(
    request: Request<Incoming>,
    ledger: Arc<Ledger>,
) -> Result<hyper::Response<answer::Body>, answer::Reset> {
    let (head, mut body) = request.into_parts();
    let mut pieces = Vec::new();
    // Read to the end: a response before that makes some clients give the connection up.
    while let Some(Ok(frame)) = body.frame().await {
        if ledger.kept.is_some()
            && let Ok(piece) = frame.into_data()
        {
            pieces.extend_from_slice(&piece);
        }
    }
    let mut seen = Seen {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string),
        version: format!("{:?}", head.version),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), latin1(value.as_bytes()))).collect(),
    };
    if let Some(kept) = &ledger.kept {
        kept.lock().unwrap_or_else(PoisonError::into_inner).push((seen.clone(), pieces.into()));
        seen.headers.clear();
    }

    let command = Command::read(&head.headers);
    if let Some(delay) = command.delay {
        tokio::time::sleep(delay).await;
    }
    if command.reset && command.stream.is_none() {
        return Err(answer::Reset);
    }
    let grpc = head
        .headers
        .get(hyper::header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    Ok(if grpc { answer::grpc(&seen, &command) } else { answer::http(&seen, &command) })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::client::load::{Load, Until};
    use crate::client::{Connection, Protocol, Request, raw};

    const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

    #[tokio::test]
    async fn it_shows_the_request_as_it_was_sent() {
        let upstream = Upstream::start().await.unwrap();
        for (protocol, version) in [(Protocol::Http1, "HTTP/1.1"), (Protocol::Http2, "HTTP/2.0")] {
            let request =
                Request::post("/orders?id=1", "body").header("a", "1").header("a", b"\xff\x80").header("b", "");
            let reply = request.send(upstream.address(), protocol).await.unwrap();
            let seen = reply.seen().unwrap();
            assert_eq!(reply.status, 200);
            assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/orders?id=1"));
            assert_eq!(seen.version, version);
            assert_eq!(seen.all("a"), ["1", "\u{ff}\u{80}"]);
            assert_eq!(seen.header("b"), Some(""));
            assert_eq!(seen.header("c"), None);
        }
        assert_eq!(upstream.requests(), 2);
    }

    #[tokio::test]
    async fn it_misbehaves_on_command() {
        let upstream = Upstream::start().await.unwrap();
        for protocol in PROTOCOLS {
            let request = Request::get("/")
                .header("x-upstream-status", "503")
                .header("x-upstream-delay", "60ms")
                .header("x-upstream-response-header", b"odd=a=\xff")
                .header("x-upstream-response-header", "odd=b")
                .header("x-upstream-response-headers-count", "200");
            let started = Instant::now();
            let reply = request.send(upstream.address(), protocol).await.unwrap();
            assert!(started.elapsed() >= Duration::from_millis(60));
            assert_eq!(reply.status, 503);
            assert_eq!(reply.all("odd"), [b"a=\xff".as_slice(), b"b"]);
            assert_eq!(reply.header("x-filler-199"), Some("199"));
            assert_eq!(reply.header("x-filler-200"), None);

            let mut connection = Connection::open(upstream.address(), protocol).await.unwrap();
            connection.send(&Request::get("/").header("x-upstream-reset", "")).await.unwrap_err();
            assert_eq!(connection.is_open(), protocol == Protocol::Http2, "only HTTP/2 can reset one stream alone");
        }
    }

    #[tokio::test]
    async fn it_answers_grpc_with_a_message_and_a_status_in_the_trailers() {
        let upstream = Upstream::start().await.unwrap();
        let call = Request::grpc("/shop.Orders/Get", b"payload");
        let reply = call.send(upstream.address(), Protocol::Http2).await.unwrap();
        assert_eq!(reply.header("content-type"), Some("application/grpc"));
        assert_eq!(reply.trailers.get("grpc-status").unwrap(), "0");
        assert_eq!(reply.seen().unwrap().path, "/shop.Orders/Get");

        let call = call.header("x-upstream-grpc-status", "14");
        let reply = call.send(upstream.address(), Protocol::Http2).await.unwrap();
        assert_eq!(reply.grpc_status(), Some(14));
    }

    #[tokio::test]
    async fn it_sends_its_answer_in_pieces_and_may_break_off() {
        let upstream = Upstream::start().await.unwrap();
        for protocol in PROTOCOLS {
            let request = Request::get("/piece").header("x-upstream-stream", "3x20ms");
            let started = Instant::now();
            let reply = request.send(upstream.address(), protocol).await.unwrap();
            assert!(started.elapsed() >= Duration::from_millis(60));
            assert_eq!(reply.text().matches("/piece").count(), 3);
            let broken = request.header("x-upstream-reset", "");
            broken.send(upstream.address(), protocol).await.unwrap_err();
        }
        let call = Request::grpc("/shop.Orders/Watch", b"").header("x-upstream-stream", "2x1ms");
        assert_eq!(call.send(upstream.address(), Protocol::Http2).await.unwrap().grpc_status(), Some(0));
    }

    #[tokio::test]
    async fn it_takes_more_headers_than_hyper_does_by_default() {
        let upstream = Upstream::start().await.unwrap();
        for protocol in PROTOCOLS {
            let many = (0..500).fold(Request::get("/"), |request, n| request.header(&format!("x-{n}"), [b'v'; 200]));
            let seen = many.send(upstream.address(), protocol).await.unwrap().seen().unwrap();
            assert_eq!(seen.header("x-499").map(str::len), Some(200));
        }
    }

    #[tokio::test]
    async fn load_reaches_it_request_by_request() {
        let upstream = Upstream::start().await.unwrap();
        for protocol in PROTOCOLS {
            let load = Load { connections: 4, protocol, until: Until::Requests(500) };
            let report = load
                .run(upstream.address(), |n| {
                    let request = Request::get("/");
                    if n < 3 { request.header("x-upstream-reset", "") } else { request }
                })
                .await;
            assert_eq!((report.total(), report.answered(200), report.errors), (500, 497, 3), "{report}");
        }
        assert_eq!(upstream.requests(), 1000);
    }

    #[tokio::test]
    async fn raw_bytes_reach_it_as_they_are() {
        let upstream = Upstream::start().await.unwrap();
        let patience = Duration::from_secs(5);
        let request = b"GET / HTTP/1.1\r\nHOST: x\r\nConnection: close\r\nODD:  a\tb \r\n\r\n";
        let reply = raw::send(upstream.address(), request, patience).await.unwrap();
        assert_eq!(reply.status(), Some(200));
        assert!(reply.text().contains(r#"["odd","a\tb"]"#), "{}", reply.text());
        let reply = raw::send(upstream.address(), b"GET / HTTP/1.1\r\nbad\x01: x\r\n\r\n", patience).await.unwrap();
        assert_eq!(reply.status(), Some(400));
    }

    #[tokio::test]
    async fn a_recording_one_keeps_what_it_saw_even_if_it_did_not_answer() {
        let upstream = Upstream::recording().await.unwrap();
        for protocol in PROTOCOLS {
            let request = Request::post("/kept", "body").header("odd", b"\xff");
            let reply = request.send(upstream.address(), protocol).await.unwrap();
            assert!(reply.seen().unwrap().headers.is_empty());
            request.header("x-upstream-reset", "").send(upstream.address(), protocol).await.unwrap_err();
            let kept = upstream.take();
            assert_eq!(kept.len(), 2);
            for (seen, body) in kept {
                assert_eq!(
                    (seen.path.as_str(), seen.header("odd"), &body[..]),
                    ("/kept", Some("\u{ff}"), &b"body"[..])
                );
            }
        }
        assert!(upstream.take().is_empty());
        let other = Upstream::start().await.unwrap();
        Request::get("/").send(other.address(), Protocol::Http1).await.unwrap();
        assert!(other.take().is_empty());
    }

    /// A request under way, and a connection without one.
    async fn busy(upstream: &Upstream) -> (JoinHandle<Result<crate::client::Reply>>, Connection) {
        let address = upstream.address();
        let mut idle = Connection::open(address, Protocol::Http1).await.unwrap();
        idle.send(&Request::get("/")).await.unwrap();
        let slow = Request::get("/").header("x-upstream-delay", "200");
        let slow = tokio::spawn(async move { slow.send(address, Protocol::Http1).await });
        while upstream.requests() < 2 {
            tokio::task::yield_now().await;
        }
        (slow, idle)
    }

    #[tokio::test]
    async fn dropping_it_closes_the_port_and_lets_requests_finish() {
        let upstream = Upstream::start().await.unwrap();
        let address = upstream.address();
        let (slow, idle) = busy(&upstream).await;
        drop(upstream);
        assert_eq!(slow.await.unwrap().unwrap().status, 200);
        assert!(!idle.is_open());
        Request::get("/").send(address, Protocol::Http1).await.unwrap_err();
    }

    #[tokio::test]
    async fn stopping_it_waits_for_requests_under_way() {
        let upstream = Upstream::start().await.unwrap();
        let (slow, _idle) = busy(&upstream).await;
        let started = Instant::now();
        upstream.stop().await;
        let waited = started.elapsed();
        assert!(waited > Duration::from_millis(100) && waited < DRAIN, "{waited:?}");
        assert_eq!(slow.await.unwrap().unwrap().status, 200);
    }
}
