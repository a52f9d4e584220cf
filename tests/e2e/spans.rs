//! Spans of real exchanges, as a collector got them: that they join up, and say what happened.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_tests::client::load::{Load, Until};
use sluicegate_tests::client::{Protocol, Reply, Request};
use sluicegate_tests::collector::{Collector, Span, SpanKind, SpanStatusCode};
use sluicegate_tests::envoy::{Bootstrap, Envoy};
use sluicegate_tests::upstream::Upstream;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::cost::{CALLBACKS, CLOCK, HAND_OVER, LIST, PROPERTY, READ, WRITE, cost};
use crate::stage::{PATIENCE, SPAN, TRACE, traceparent, with};

const INBOUND: &str = "INBOUND";
const OUTBOUND: &str = "OUTBOUND";
const GATEWAY: &str = "UNSPECIFIED";

/// The section `trace` with spans that leave as soon as they may, and more of its fields.
fn section(more: Value) -> Value {
    let mut section = json!({"spans": {"otlp": {"cluster": "otel_collector", "batch": {"max_age": "100ms"}}}});
    section.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    section
}

/// A policy for a proxy beside this service.
fn policy(service: &str, trace: Value) -> Value {
    json!({
        "version": "1.0",
        "service": {"name": service},
        "trace": section(trace),
        "sampling": {"enabled": false},
        "access_log": {"profile": "dev", "routes": [{"match": {"path": {"template": "/users/{id}"}}}]},
    })
}

/// The shipped configuration, with a listener of this direction and a cluster for the collector.
fn proxy(direction: &str, collector: &Collector, policy: &Value) -> Bootstrap {
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": collector.port()}});
    let cluster = json!({
        "name": "otel_collector",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "otel_collector",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    });
    let shipped = Bootstrap::shipped().unwrap().direction(direction).policy(policy);
    shipped.edit(|config| config["static_resources"]["clusters"].as_array_mut().unwrap().push(cluster))
}

/// A route for this prefix, ahead of the one that there is.
fn with_route(proxy: Bootstrap, prefix: &str, more: Value) -> Bootstrap {
    let mut action = json!({"cluster": "upstream"});
    action.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let route = json!({"match": {"prefix": prefix}, "route": action});
    let routes = "/route_config/virtual_hosts/0/routes";
    proxy
        .edit_connection_manager(|manager| {
            manager.pointer_mut(routes).unwrap().as_array_mut().unwrap().insert(0, route);
        })
        .unwrap()
}

/// A service, the proxy at its inbound side, and another proxy in front of that.
struct Mesh {
    collector: Collector,
    // It runs as long as it is held.
    _upstream: Upstream,
    front: Envoy,
    inbound: Envoy,
}

impl Mesh {
    async fn start(front: &str, trace: Value) -> Mesh {
        let collector = Collector::start().await.unwrap();
        let upstream = Upstream::start().await.unwrap();
        let inbound = proxy(INBOUND, &collector, &policy("checkout", json!({}))).upstream(upstream.address());
        let inbound = inbound.start().await.unwrap();
        let front = proxy(front, &collector, &policy("front", trace)).upstream(inbound.address());
        let front = front.start().await.unwrap();
        Mesh { collector, _upstream: upstream, front, inbound }
    }

    async fn send(&self, request: &Request, protocol: Protocol) -> Reply {
        request.send(self.front.address(), protocol).await.unwrap()
    }

    /// All spans, of which there are to be so many; by trace, and in it from the front to the back.
    async fn traces(&self, spans: u64) -> BTreeMap<String, Vec<Span>> {
        let all = self.collector.wait_for_spans(spans, PATIENCE).await.unwrap();
        assert_eq!(all.len() as u64, spans, "{all:#?}");
        assert_eq!(self.collector.problems(), [""; 0]);
        let mut traces: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        for span in all {
            traces.entry(span.trace_id.clone()).or_default().push(span);
        }
        traces
            .values_mut()
            .for_each(|trace| trace.sort_by_key(|span| span.resource["service.name"] == json!("checkout")));
        traces
    }
}

/// The one span of a collector, once there is any.
async fn only_span(collector: &Collector) -> Span {
    let spans = collector.wait_for_spans(1, PATIENCE).await.unwrap();
    let [span] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!(collector.problems(), [""; 0]);
    span.clone()
}

#[tokio::test]
async fn a_request_that_crosses_two_proxies_is_one_tree_that_logs_and_upstream_join() {
    for (front, kind) in [(OUTBOUND, SpanKind::Client), (GATEWAY, SpanKind::Server)] {
        let mesh = Mesh::start(front, json!({})).await;
        let caller = format!("00-{TRACE}-{SPAN}-01");
        let mut seen = Vec::new();
        for (request, protocol) in [
            (Request::get("/users/7?page=2"), Protocol::Http1),
            (Request::get("/users/8"), Protocol::Http2),
            (Request::grpc("/shop.Cart/Add", b"x"), Protocol::Http2),
            (Request::get("/users/9").header("traceparent", &caller), Protocol::Http1),
        ] {
            seen.push(mesh.send(&request, protocol).await.seen().unwrap());
        }
        let traces = mesh.traces(8).await;
        assert_eq!(traces.len(), 4);
        let logged = mesh.inbound.wait_for_access_log(4, PATIENCE).await.unwrap();
        let logged: Vec<Value> = logged.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        for seen in &seen {
            let [trace, last, _] = traceparent(seen);
            let spans = &traces[&trace];
            let [first, second] = &spans[..] else { panic!("{spans:#?}") };
            // One root, and the other is its child; the last one is whom upstream saw.
            let outside = if trace == TRACE { SPAN } else { "" };
            assert_eq!((first.parent_span_id.as_str(), &second.parent_span_id), (outside, &first.span_id));
            assert_eq!((first.kind, second.kind), (kind, SpanKind::Server));
            assert_eq!(second.span_id, last);
            assert_ne!(first.span_id, second.span_id);
            // Its caller was remote, the root has none.
            assert_eq!((first.flags >> 8, second.flags >> 8), (if outside.is_empty() { 1 } else { 3 }, 3));
            assert!(first.start_time_unix_nano <= second.start_time_unix_nano && second.start_time_unix_nano > 0);
            assert!(spans.iter().all(|span| span.end_time_unix_nano > span.start_time_unix_nano), "{spans:#?}");
            assert!(spans.iter().all(|span| span.status.code == SpanStatusCode::Unset), "{spans:#?}");
            assert_eq!(first.attributes["sluicegate.req_id"], second.attributes["sluicegate.req_id"]);
            let name = if seen.method == "POST" { "shop.Cart/Add" } else { "GET /users/{id}" };
            assert_eq!((first.name.as_str(), second.name.as_str()), (name, name));

            // The log of the same hop has the same ids, and says the same of it.
            let line = logged.iter().find(|line| line["span_id"] == json!(second.span_id)).unwrap();
            assert_eq!((&line["trace_id"], &line["parent_span_id"]), (&json!(trace), &json!(first.span_id)));
            assert_eq!(line["req_id"], second.attributes["sluicegate.req_id"]);
            for (name, value) in line["attributes"].as_object().unwrap() {
                let logs_own = ["duration_ms", "sampled_by", "policy_version"];
                let told_in_detail =
                    ["envoy.response.code_details", "envoy.upstream.attempt_count", "envoy.virtual_host.name"];
                if logs_own.iter().any(|own| *name == format!("sluicegate.{own}"))
                    || told_in_detail.contains(&name.as_str())
                {
                    continue;
                }
                if name.ends_with("_ms") {
                    assert!(second.attributes.contains_key(name), "{name}");
                } else {
                    assert_eq!(second.attributes.get(name), Some(value), "{name}");
                }
            }
        }
        let client = traces.values().flatten().find(|span| span.kind == SpanKind::Client);
        assert_eq!(client.is_some(), front == OUTBOUND);
        if client.is_some() {
            let [trace, ..] = traceparent(&seen[0]);
            let url = format!("http://{}/users/7?page=2", mesh.front.address());
            assert_eq!(traces[&trace][0].attributes["url.full"], json!(url));
        }
    }
}

#[tokio::test]
async fn what_is_not_sampled_has_no_span() {
    let collector = Collector::start().await.unwrap();
    let upstream = Upstream::start().await.unwrap();
    // One worker sends spans in the order in which exchanges end.
    let bootstrap = proxy(INBOUND, &collector, &policy("checkout", json!({}))).concurrency(1);
    let envoy = bootstrap.upstream(upstream.address()).start().await.unwrap();
    let sampled = TRACE.replace('4', "5");
    for (trace, flags) in [(TRACE, "00"), (TRACE, "00"), (&sampled, "01")] {
        let request = Request::get("/").header("traceparent", format!("00-{trace}-{SPAN}-{flags}"));
        let seen = request.send(envoy.address(), Protocol::Http1).await.unwrap().seen().unwrap();
        let [_, span, decision] = traceparent(&seen);
        assert_eq!((span == SPAN, decision.as_str()), (false, flags));
    }
    assert_eq!(only_span(&collector).await.trace_id, sampled);
}

#[tokio::test]
async fn what_a_sampler_records_has_a_span_whatever_its_caller_said() {
    let collector = Collector::start().await.unwrap();
    let upstream = Upstream::start().await.unwrap();
    let mut policy = policy("checkout", json!({}));
    policy["sampling"] =
        json!({"parent": "ignore", "rules": [{"match": {"path": {"exact": "/never"}}, "never": true}]});
    let envoy = proxy(INBOUND, &collector, &policy).concurrency(1).upstream(upstream.address()).start().await.unwrap();
    for (path, flags, decision) in [("/never", "01", "00"), ("/", "00", "01")] {
        let request = Request::get(path).header("traceparent", format!("00-{TRACE}-{SPAN}-{flags}"));
        let seen = request.send(envoy.address(), Protocol::Http1).await.unwrap().seen().unwrap();
        assert_eq!(traceparent(&seen)[2], decision);
    }
    let span = only_span(&collector).await;
    assert_eq!((span.trace_id.as_str(), span.trace_state.as_str()), (TRACE, "ot=th:0"));
}

#[tokio::test]
async fn an_untrusted_caller_is_linked_to_a_trace_of_our_own() {
    let mesh = Mesh::start(GATEWAY, json!({"trust_incoming": false})).await;
    let request = Request::get("/").header("traceparent", format!("00-{TRACE}-{SPAN}-01"));
    let [trace, ..] = traceparent(&mesh.send(&request, Protocol::Http1).await.seen().unwrap());
    assert_ne!(trace, TRACE);
    let traces = mesh.traces(2).await;
    let [root, inbound] = &traces[&trace][..] else { panic!("{traces:#?}") };
    assert_eq!((root.parent_span_id.as_str(), root.links.len(), inbound.links.len()), ("", 1, 0));
    assert_eq!((root.links[0].trace_id.as_str(), root.links[0].span_id.as_str()), (TRACE, SPAN));
}

#[tokio::test]
async fn a_span_fails_where_the_conventions_say_so() {
    let sends = [
        ("/503", vec![("x-upstream-status", "503")]),
        ("/404", vec![("x-upstream-status", "404")]),
        ("/reset", vec![("x-upstream-reset", "")]),
        ("/timeout", vec![("x-upstream-delay", "2000ms")]),
        ("/200", vec![]),
    ];
    for (direction, client) in [(INBOUND, false), (OUTBOUND, true)] {
        let collector = Collector::start().await.unwrap();
        let upstream = Upstream::start().await.unwrap();
        let bootstrap = proxy(direction, &collector, &policy("checkout", json!({}))).upstream(upstream.address());
        let envoy = with_route(bootstrap, "/timeout", json!({"timeout": "0.1s"})).start().await.unwrap();
        for (path, headers) in &sends {
            with(Request::get(path), headers).send(envoy.address(), Protocol::Http1).await.unwrap();
        }
        let mut leaver = TcpStream::connect(envoy.address()).await.unwrap();
        let request = "GET /left HTTP/1.1\r\nhost: shop\r\nx-upstream-delay: 2000ms\r\n\r\n";
        leaver.write_all(request.as_bytes()).await.unwrap();
        while upstream.requests() < 6 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(leaver);

        let spans = collector.wait_for_spans(6, PATIENCE).await.unwrap();
        let told = |path: &str| {
            let is_it = |span: &&Span| match client {
                true => span.attributes["url.full"].as_str().unwrap().ends_with(path),
                false => span.attributes["url.path"] == json!(path),
            };
            let span = spans.iter().find(is_it).unwrap();
            let error = span.attributes.get("error.type").map(|kind| kind.as_str().unwrap().to_owned());
            assert_eq!(span.status.code == SpanStatusCode::Error, error.is_some(), "{span:#?}");
            assert_eq!(span.attributes.contains_key("sluicegate.error.signature"), path != "/200", "{span:#?}");
            (error.unwrap_or_default(), span.status.message.clone())
        };
        let of = |error: &str, message: &str| (error.to_owned(), message.to_owned());
        assert_eq!(told("/503"), of("503", ""), "{direction}");
        assert_eq!(told("/404"), if client { of("404", "") } else { of("", "") }, "{direction}");
        assert_eq!(told("/reset"), of("reset", "reset"), "{direction}");
        assert_eq!(told("/timeout"), of("timeout", "timeout"), "{direction}");
        assert_eq!(told("/left"), of("client_gone", "client_gone"), "{direction}");
        assert_eq!(told("/200"), of("", ""), "{direction}");
    }
}

#[tokio::test]
async fn a_call_over_grpc_is_judged_by_its_own_status() {
    for (status, server, client) in [("5", false, true), ("14", true, true), ("0", false, false)] {
        let mesh = Mesh::start(OUTBOUND, json!({})).await;
        let call = Request::grpc("/shop.Cart/Add", b"x").header("x-upstream-grpc-status", status);
        mesh.send(&call, Protocol::Http2).await;
        let traces = mesh.traces(2).await;
        let [first, second] = &traces.values().next().unwrap()[..] else { panic!("{traces:#?}") };
        let failed = |span: &Span| span.status.code == SpanStatusCode::Error;
        assert_eq!((failed(first), failed(second)), (client, server), "{status}: {traces:#?}");
        for span in [first, second] {
            assert_eq!(
                (span.name.as_str(), &span.attributes["rpc.method"]),
                ("shop.Cart/Add", &json!("shop.Cart/Add"))
            );
        }
    }
}

#[tokio::test]
async fn a_retried_request_is_one_span_that_counts_its_attempts() {
    let collector = Collector::start().await.unwrap();
    let upstream = Upstream::start().await.unwrap();
    let bootstrap = proxy(OUTBOUND, &collector, &policy("front", json!({}))).upstream(upstream.address());
    let retries = json!({"retry_policy": {"retry_on": "5xx", "num_retries": 2}});
    let envoy = with_route(bootstrap, "/", retries).start().await.unwrap();
    let request = Request::get("/").header("x-upstream-status", "503");
    request.send(envoy.address(), Protocol::Http1).await.unwrap();
    assert_eq!(upstream.requests(), 3);
    let span = only_span(&collector).await;
    assert_eq!(span.attributes["http.request.resend_count"], json!(2));
    assert_eq!(span.attributes["server.port"], json!(envoy.address().port()));
}

#[tokio::test]
async fn what_never_came_here_has_no_span() {
    let collector = Collector::start().await.unwrap();
    let upstream = Upstream::start().await.unwrap();
    let answer = json!({
        "name": "lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string":
                "function envoy_on_request(handle)
                   if handle:headers():get('x-early') then handle:respond({[':status'] = '403'}, 'no') end
                 end"},
        },
    });
    let bootstrap =
        proxy(INBOUND, &collector, &policy("checkout", json!({}))).concurrency(1).filter_ahead(answer).unwrap();
    let envoy = bootstrap.upstream(upstream.address()).start().await.unwrap();
    let early = Request::get("/early").header("x-early", "").send(envoy.address(), Protocol::Http1).await.unwrap();
    assert_eq!(early.status, 403);
    Request::get("/late").send(envoy.address(), Protocol::Http1).await.unwrap();
    assert_eq!(only_span(&collector).await.attributes["url.path"], json!("/late"));
}

#[tokio::test]
async fn a_collector_that_is_down_harms_no_request_and_gets_its_spans_later() {
    let mut mesh = Mesh::start(OUTBOUND, json!({})).await;
    mesh.collector.stop().await;
    let load = Load { connections: 4, protocol: Protocol::Http1, until: Until::Requests(200) };
    let report = load.run(mesh.front.address(), |_| Request::get("/users/7")).await;
    assert_eq!(report.answered(200), 200, "{report}");
    let traces = [("signal", "traces")];
    for envoy in [&mesh.front, &mesh.inbound] {
        envoy.wait_for_stat("sluicegate_otlp_made_total", &traces, 200.0, PATIENCE).await.unwrap();
        let failures = [("envoy_cluster_name", "otel_collector")];
        envoy.wait_for_stat("envoy_cluster_upstream_cx_connect_fail", &failures, 1.0, PATIENCE).await.unwrap();
    }
    mesh.collector.restart().await.unwrap();
    let spans = mesh.traces(400).await;
    assert_eq!(spans.len(), 200);
    for [first, second] in spans.values().map(|spans| <&[Span; 2]>::try_from(&spans[..]).unwrap()) {
        assert_eq!((first.parent_span_id.as_str(), &second.parent_span_id), ("", &first.span_id));
    }
    for envoy in [&mesh.front, &mesh.inbound] {
        envoy.wait_for_stat("sluicegate_otlp_sent_total", &traces, 200.0, PATIENCE).await.unwrap();
        assert_eq!(envoy.stats().await.unwrap().sum("sluicegate_otlp_dropped_total", &traces), Some(0.0));
    }
}

#[tokio::test]
async fn a_span_takes_four_hostcalls_and_an_exchange_without_one_none() {
    let context = |flags: &str| format!("00-{TRACE}-{SPAN}-{flags}");
    let (sampled, not_sampled) = (context("01"), context("00"));
    let of = async |traceparent: &str| {
        cost(section(json!({})), &[("traceparent", traceparent), ("x-request-id", "abc-1")]).await
    };
    let without = of(&not_sampled).await;
    assert_eq!(without.callbacks, CALLBACKS);
    // As a participant without spans: the request's headers, this hop's span, the caller's for other plugins, the echo.
    assert_eq!(without.hostcalls, [READ, HAND_OVER, WRITE, WRITE]);
    let with = of(&sampled).await;
    assert_eq!(with.callbacks, CALLBACKS);
    // When the response began; how it ended, which way the exchange went, and all the rest.
    assert_eq!(with.hostcalls, [READ, HAND_OVER, WRITE, CLOCK, WRITE, LIST, PROPERTY, LIST]);
}
