//! What most tests need: an upstream, an Envoy in front of it, and ids to look for.

use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_tests::client::{Protocol, Reply, Request};
use sluicegate_tests::envoy::{Bootstrap, Envoy};
use sluicegate_tests::seen::Seen;
use sluicegate_tests::upstream::Upstream;

pub(crate) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(crate) const SPAN: &str = "00f067aa0ba902b7";

/// Long enough for anything that happens at all, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The upstream with the shipped filters in front of it.
pub(crate) struct Stage {
    pub(crate) upstream: Upstream,
    pub(crate) envoy: Envoy,
}

impl Stage {
    /// With this section `trace`, and no sampler.
    pub(crate) async fn trace(section: Value) -> Stage {
        let policy = json!({"version": "1.0", "trace": section, "sampling": {"enabled": false}});
        Stage::set(|shipped| shipped.policy(&policy)).await
    }

    /// With the shipped configuration, changed as a test needs it.
    pub(crate) async fn set(change: impl FnOnce(Bootstrap) -> Bootstrap) -> Stage {
        let upstream = Upstream::start().await.unwrap();
        let bootstrap = Bootstrap::shipped().unwrap().upstream(upstream.address());
        let envoy = change(bootstrap).start().await.unwrap();
        Stage { upstream, envoy }
    }

    pub(crate) async fn send(&self, request: &Request, protocol: Protocol) -> Reply {
        request.send(self.envoy.address(), protocol).await.unwrap()
    }

    /// What upstream saw of a request with these headers, over HTTP/1.1.
    pub(crate) async fn seen(&self, headers: &[(&str, &str)]) -> Seen {
        self.send(&with(Request::get("/"), headers), Protocol::Http1).await.seen().unwrap()
    }
}

pub(crate) fn with(request: Request, headers: &[(&str, &str)]) -> Request {
    headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}

/// The fields of the one traceparent that upstream saw: trace id, span id, flags.
pub(crate) fn traceparent(seen: &Seen) -> [String; 3] {
    let [value] = seen.all("traceparent")[..] else { panic!("{:?}", seen.all("traceparent")) };
    let [version, trace, span, flags] = value.split('-').collect::<Vec<_>>()[..] else { panic!("{value}") };
    assert_eq!((version, trace.len(), span.len(), flags.len()), ("00", 32, 16, 2), "{value}");
    [trace, span, flags].map(str::to_owned)
}
