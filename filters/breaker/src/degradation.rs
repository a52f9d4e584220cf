//! What the caller of a shed request gets.

use crate::policy::{Degradation, FixedResponse, Guard, Hints};
use sluicegate_host::{BreakerState, Exchange, Flow, GrpcStatus, LocalReply, Problem, Response, TraceAhead};
use std::borrow::Cow;

/// Tells callers that load was shed, as Envoy itself does where its own limits shed it. Envoy's retries and outlier
/// detection do not heed it; callers' libraries may.
const OVERLOADED: &str = "x-envoy-overloaded";

/// Keeps an Envoy that calls from trying again at once (Envoy, router filter: unless its policy names `envoy-ratelimited`).
const RATE_LIMITED: &str = "x-envoy-ratelimited";

/// When a gRPC client may try again, in milliseconds (gRFC A6).
const PUSHBACK: &str = "grpc-retry-pushback-ms";

const RETRY_AFTER: &str = "retry-after";

const MILLIS_PER_SECOND: u64 = 1_000;

/// Answers in the place of the upstream.
pub(crate) fn reply(
    exchange: &mut Exchange,
    guard: &Guard,
    ahead: &TraceAhead,
    state: BreakerState,
    retry_after: u64,
) -> Flow {
    match &guard.degradation {
        // A gRPC client could make nothing of an HTTP response.
        Degradation::Response(response) if !exchange.is_grpc() => {
            fixed(exchange, response, &guard.hints, state, retry_after)
        }
        _ => {
            ahead.find_ids(exchange);
            problem(exchange, &guard.hints, state, retry_after)
        }
    }
}

/// Has the proxy pick another route by a header.
pub(crate) fn divert(exchange: &mut Exchange, header: &str, value: &str) {
    let headers = exchange.request_headers_mut();
    headers.set(header.to_owned(), value);
    // Where it does not work the request goes to the upstream that fails, which is no worse than without a breaker.
    _ = headers.write_now();
    _ = exchange.clear_route_cache();
}

/// Takes away what a caller sent in the header, by which the route was picked.
pub(crate) fn undo(exchange: &mut Exchange, header: &str) {
    let headers = exchange.request_headers_mut();
    headers.remove(header.to_owned());
    _ = headers.write_now();
    _ = exchange.clear_route_cache();
}

fn problem(exchange: &mut Exchange, hints: &Hints, state: BreakerState, retry_after: u64) -> Flow {
    let text = |text: &str| Cow::<'static, str>::Owned(text.to_owned());
    let mut headers = vec![(RETRY_AFTER, Cow::Owned(retry_after.to_string()))];
    if hints.envoy_overloaded {
        headers.extend([(OVERLOADED, "true".into()), (RATE_LIMITED, "true".into())]);
    }
    if hints.grpc_pushback && exchange.is_grpc() {
        let millis = retry_after.saturating_mul(MILLIS_PER_SECOND);
        headers.push((PUSHBACK, Cow::Owned(millis.to_string())));
    }
    let mut named: Vec<(Cow<'static, str>, Cow<'static, str>)> =
        headers.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
    named.extend(hints.header.as_deref().map(|name| (text(name), Cow::Borrowed(state.as_str()))));
    exchange.reply(&Problem {
        status: 503,
        grpc_status: GrpcStatus::Unavailable,
        code: "BREAKER_OPEN",
        reply: LocalReply::BreakerOpen,
        title: "The circuit breaker is open",
        detail: format!("The service behind this proxy fails; try again in {retry_after} s").into(),
        details: [("retry_after".to_owned(), retry_after.into())].into_iter().collect(),
        headers: named,
    })
}

fn fixed(
    exchange: &mut Exchange,
    response: &FixedResponse,
    hints: &Hints,
    state: BreakerState,
    retry_after: u64,
) -> Flow {
    let retry_after = retry_after.to_string();
    let mut headers: Vec<(&str, &[u8])> =
        response.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    headers.extend(hints.header.as_deref().map(|name| (name, state.as_str().as_bytes())));
    // An answer that is as good as any needs no second try.
    if response.status >= 400 {
        let says_when = response.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(RETRY_AFTER));
        headers.extend((!says_when).then_some((RETRY_AFTER, retry_after.as_bytes())));
        if hints.envoy_overloaded {
            headers.extend([(OVERLOADED, &b"true"[..]), (RATE_LIMITED, b"true")]);
        }
    }
    exchange.respond(&Response {
        status: response.status,
        headers: &headers,
        body: response.body.as_bytes(),
        reply: LocalReply::BreakerOpen,
    })
}
