//! The trace-context filter, on real traffic.

use serde_json::json;
use sluicegate_tests::client::{Protocol, Request};
use sluicegate_tests::envoy::Bootstrap;
use sluicegate_tests::upstream::Upstream;

use crate::stage::{PATIENCE, SPAN, Stage, TRACE, traceparent, with};

/// `SPAN` in decimal.
const DECIMAL: &str = "67667974448284343";

/// A context in every format: the headers, and whether it says "sampled".
fn contexts() -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let (time, random) = TRACE.split_at(8);
    vec![
        ("w3c", vec![("traceparent", format!("00-{TRACE}-{SPAN}-01"))]),
        ("b3", vec![("b3", format!("{TRACE}-{SPAN}-1"))]),
        ("b3_multi", vec![("x-b3-traceid", TRACE.into()), ("x-b3-spanid", SPAN.into()), ("x-b3-sampled", "1".into())]),
        ("jaeger", vec![("uber-trace-id", format!("{TRACE}:{SPAN}:0:1"))]),
        ("xray", vec![("x-amzn-trace-id", format!("Root=1-{time}-{random};Parent={SPAN};Sampled=1"))]),
        ("google", vec![("x-cloud-trace-context", format!("{TRACE}/{DECIMAL};o=1"))]),
        ("azure", vec![("request-id", format!("|{TRACE}.{SPAN}."))]),
        ("plain", vec![("x-trace-id", TRACE.into()), ("x-span-id", SPAN.into())]),
    ]
}

#[tokio::test]
async fn every_format_is_continued_over_every_protocol() {
    for mode in ["forward", "participate"] {
        let stage = Stage::trace(json!({"mode": mode})).await;
        for (format, headers) in contexts() {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            for (request, protocol) in [
                (Request::get("/"), Protocol::Http1),
                (Request::get("/"), Protocol::Http2),
                (Request::grpc("/shop.Orders/Get", b""), Protocol::Http2),
            ] {
                let reply = stage.send(&with(request, &headers), protocol).await;
                let seen = reply.seen().unwrap();
                let [trace, span, flags] = traceparent(&seen);
                assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "01"), "{mode} {format}");
                assert_eq!(span == SPAN, mode == "forward", "{mode} {format}");
                for (name, value) in headers.iter().filter(|(name, _)| *name != "traceparent") {
                    // Forwarded as it came; a participant's span would not agree with it, and w3c alone is injected.
                    assert_eq!(seen.header(name), (mode == "forward").then_some(*value), "{mode} {format}");
                }
            }
        }
        for (format, _) in contexts() {
            let name = "sluicegate_trace_continued_total";
            assert_eq!(stage.envoy.wait_for_stat(name, &[("format", format)], 3.0, PATIENCE).await.unwrap(), 3.0);
        }
    }
}

#[tokio::test]
async fn every_format_is_injected_over_every_protocol() {
    let inject: Vec<_> = contexts().iter().map(|(format, _)| *format).collect();
    for mode in ["forward", "participate"] {
        let stage = Stage::trace(json!({"mode": mode, "inject": inject})).await;
        for (request, protocol, grpc) in [
            (Request::get("/"), Protocol::Http1, false),
            (Request::get("/"), Protocol::Http2, false),
            (Request::grpc("/shop.Orders/Get", b""), Protocol::Http2, true),
        ] {
            let request = with(request, &[("b3", &format!("{TRACE}-{SPAN}-1"))]);
            let seen = stage.send(&request, protocol).await.seen().unwrap();
            let [trace, span, flags] = traceparent(&seen);
            assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "01"));
            let decimal = u64::from_str_radix(&span, 16).unwrap().to_string();
            for (format, headers) in contexts() {
                for (name, value) in headers {
                    let mut expected = value.replace(SPAN, &span).replace(DECIMAL, &decimal);
                    if format == "b3" && mode == "participate" {
                        expected = format!("{expected}-{SPAN}");
                    }
                    assert_eq!(seen.all(name), [expected], "{mode} {format}");
                }
            }
            assert_eq!(seen.header("x-b3-parentspanid"), (mode == "participate").then_some(SPAN));
            assert_eq!(seen.header("trace-id"), grpc.then_some(TRACE));
            assert_eq!(seen.header("span-id"), grpc.then_some(span.as_str()));
            assert_eq!(seen.header("req-id"), grpc.then(|| seen.header("x-request-id").unwrap()));
        }
    }
}

#[tokio::test]
async fn a_forwarded_context_arrives_byte_for_byte() {
    let stage = Stage::trace(json!({})).await;
    let traceparent = format!("00-{TRACE}-{SPAN}-02");
    let headers = [
        ("traceparent", traceparent.as_str()),
        ("tracestate", "a=1 ,\tb=2"),
        ("tracestate", ""),
        ("tracestate", "c=3"),
    ];
    let seen = stage.seen(&headers).await;
    assert_eq!(seen.all("traceparent"), [traceparent]);
    assert_eq!(seen.all("tracestate"), ["a=1 ,\tb=2", "", "c=3"]);
}

#[tokio::test]
async fn what_breaks_the_standard_is_never_passed_on() {
    let stage = Stage::trace(json!({})).await;
    let good = format!("00-{TRACE}-{SPAN}-01");
    for broken in [
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{}-{SPAN}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{TRACE}-{SPAN}-01-more"),
        format!("cc-{TRACE}-{SPAN}-01.more"),
        format!("00-{TRACE}-{SPAN}-1"),
        String::new(),
        "\u{e9}".into(),
    ] {
        let seen = stage.seen(&[("traceparent", &broken), ("tracestate", "a=1")]).await;
        let [trace, _, flags] = traceparent(&seen);
        assert_ne!(trace, TRACE, "{broken}");
        assert_eq!(flags, "03", "{broken}");
        assert_eq!(seen.header("tracestate"), None, "{broken}");
    }
    let name = "sluicegate_trace_invalid_total";
    assert_eq!(stage.envoy.wait_for_stat(name, &[("format", "w3c")], 9.0, PATIENCE).await.unwrap(), 9.0);
    assert_eq!(stage.envoy.wait_for_stat("sluicegate_trace_started_total", &[], 9.0, PATIENCE).await.unwrap(), 9.0);
    let repeated = stage.seen(&[("traceparent", &good), ("traceparent", &good)]).await;
    assert_ne!(traceparent(&repeated)[0], TRACE);
    for (written, flags) in
        [(format!("00-{TRACE}-{SPAN}-ff"), "03"), (format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"), "01")]
    {
        let expected = [TRACE, SPAN, flags].map(str::to_owned);
        assert_eq!(traceparent(&stage.seen(&[("traceparent", &written)]).await), expected, "{written}");
    }
    let too_many: Vec<_> = (0..33).map(|n| format!("k{n}=1")).collect();
    for (tracestate, stays) in [
        (too_many[..32].join(","), true),
        (too_many.join(","), false),
        ("a=1,B=2".into(), false),
        ("a=1,b=".into(), false),
        ("t@v=1,a@@b=2".into(), true),
        (",".into(), false),
    ] {
        let seen = stage.seen(&[("traceparent", &good), ("tracestate", &tracestate)]).await;
        assert_eq!(traceparent(&seen)[0], TRACE);
        assert_eq!(seen.header("tracestate"), stays.then_some(tracestate.as_str()), "{tracestate}");
    }
}

#[tokio::test]
async fn blanks_around_a_header_do_not_reach_upstream_over_http2() {
    let stage = Stage::trace(json!({})).await;
    let value = format!("00-{TRACE}-{SPAN}-01");
    for padded in [format!(" {value} "), format!("\t{value}")] {
        let request =
            with(Request::get("/"), &[("traceparent", &padded), ("tracestate", " a=1 "), ("tracestate", "b=2")]);
        let seen = stage.send(&request, Protocol::Http2).await.seen().unwrap();
        assert_eq!(seen.all("traceparent"), [value.as_str()]);
        assert_eq!(seen.all("tracestate"), ["a=1,b=2"]);
    }
}

#[tokio::test]
async fn an_edge_begins_a_new_trace_and_lets_no_baggage_in() {
    let policy = json!({
        "trust_incoming": false,
        "rules": [{"match": {"path": {"template": "/orders/{id}"}, "headers": [{"name": "x-partner", "present": true}]},
                   "trust_incoming": true}],
        "baggage": {"from_headers": {"tenant.id": "x-tenant-id"}},
    });
    let stage = Stage::trace(policy).await;
    let value = format!("00-{TRACE}-{SPAN}-01");
    let headers = [
        ("traceparent", value.as_str()),
        ("baggage", "tenant.id=evil,a=1"),
        ("x-request-id", "theirs"),
        ("x-tenant-id", "acme"),
    ];
    let seen = stage.seen(&headers).await;
    assert_ne!(traceparent(&seen)[0], TRACE);
    assert_eq!(seen.all("baggage"), ["tenant.id=acme"]);
    assert_ne!(seen.header("x-request-id"), Some("theirs"));

    let partner = with(Request::get("/orders/7?x=1"), &headers).header("x-partner", "1");
    let seen = stage.send(&partner, Protocol::Http1).await.seen().unwrap();
    assert_eq!(traceparent(&seen)[0], TRACE);
    assert_eq!(seen.all("baggage"), ["tenant.id=acme,a=1"]);
    assert_eq!(seen.header("x-request-id"), Some("theirs"));
    stage.envoy.wait_for_stat("sluicegate_trace_untrusted_total", &[], 1.0, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn the_shipped_policy_is_in_force_as_envoy_hands_it_over() {
    let stage = Stage::set(|shipped| shipped).await;
    let value = format!("00-{TRACE}-{SPAN}-01");
    let headers = [("traceparent", value.as_str()), ("baggage", "a=1")];
    let inside = stage.seen(&headers).await;
    assert_eq!(inside.all("traceparent"), [value.as_str()]);
    assert_eq!(inside.all("baggage"), ["a=1"]);
    // However the path is spelt; Envoy redirects one that hides a slash.
    for path in ["/public/x", "//public/x", "/%70ublic/x", "/a/../public/x", "/./public//x"] {
        let public = stage.send(&with(Request::get(path), &headers), Protocol::Http1).await.seen().unwrap();
        assert_ne!(traceparent(&public)[0], TRACE, "{path}");
        assert_eq!(public.header("baggage"), None, "{path}");
    }
    let hidden = stage.send(&with(Request::get("/public%2Fx"), &headers), Protocol::Http1).await;
    assert_eq!((hidden.status.as_u16(), hidden.header("location")), (307, Some("/public/x")));
}

#[tokio::test]
async fn the_request_id_comes_back_from_upstream_and_from_envoy_alike() {
    let stage = Stage::set(|shipped| {
        let no_route = json!({"match": {"path": "/nowhere"}, "direct_response": {"status": 404}});
        shipped
            .policy(&json!({"version": "1.0"}))
            .edit_connection_manager(|manager| {
                let routes = manager.pointer_mut("/route_config/virtual_hosts/0/routes").unwrap();
                routes.as_array_mut().unwrap().insert(0, no_route);
            })
            .unwrap()
    })
    .await;
    for (path, status) in [("/", 200), ("/nowhere", 404)] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let kept = stage.send(&Request::get(path).header("x-request-id", "abc-1"), protocol).await;
            assert_eq!((kept.status.as_u16(), kept.all("x-request-id")), (status, vec![&b"abc-1"[..]]));
            let made = stage.send(&Request::get(path).header("x-request-id", "not ok"), protocol).await;
            assert_eq!(made.header("x-request-id").map(str::len), Some(36));
        }
    }
    // An upstream that answers with another id does not get its way.
    let other =
        Request::get("/").header("x-request-id", "mine").header("x-upstream-response-header", "x-request-id=theirs");
    let reply = stage.send(&other, Protocol::Http1).await;
    assert_eq!(reply.all("x-request-id"), [b"mine"]);
}

#[tokio::test]
async fn an_envoy_that_makes_request_ids_of_its_own_is_followed() {
    let stage = Stage::set(|shipped| {
        shipped
            .policy(&json!({"version": "1.0"}))
            .edit_connection_manager(|manager| {
                manager["generate_request_id"] = json!(true);
                manager["preserve_external_request_id"] = json!(false);
            })
            .unwrap()
    })
    .await;
    let reply = stage.send(&Request::get("/").header("x-request-id", "theirs"), Protocol::Http1).await;
    let seen = reply.seen().unwrap();
    assert_eq!(seen.all("x-request-id").len(), 1);
    assert_eq!(seen.header("x-request-id"), reply.header("x-request-id"));
}

#[tokio::test]
async fn a_request_crosses_two_participants_as_one_trace() {
    let upstream = Upstream::start().await.unwrap();
    let participate = json!({"version": "1.0", "trace": {"mode": "participate"}});
    let bootstrap = Bootstrap::shipped().unwrap().policy(&participate);
    let inner = bootstrap.clone().direction("INBOUND").upstream(upstream.address()).start().await.unwrap();
    let outer = bootstrap.direction("OUTBOUND").upstream(inner.address()).start().await.unwrap();
    let request = Request::get("/").header("traceparent", format!("00-{TRACE}-{SPAN}-01"));
    let reply = request.send(outer.address(), Protocol::Http1).await.unwrap();
    let seen = reply.seen().unwrap();
    assert_eq!(traceparent(&seen)[0], TRACE);
    assert_ne!(traceparent(&seen)[1], SPAN);
    // One request id all the way, once in the answer.
    assert_eq!(reply.all("x-request-id"), [seen.header("x-request-id").unwrap().as_bytes()]);
}

#[tokio::test]
async fn a_context_crosses_from_w3c_into_a_cloud_and_back() {
    let upstream = Upstream::start().await.unwrap();
    let value = format!("00-{TRACE}-{SPAN}-01");
    for cloud in ["xray", "google", "azure", "plain", "b3", "jaeger"] {
        let out = json!({"version": "1.0", "trace": {"mode": "participate", "inject": [cloud]}});
        let back = json!({"version": "1.0", "trace": {"mode": "participate", "extract": [cloud]}});
        let back = Bootstrap::shipped().unwrap().policy(&back).upstream(upstream.address()).start().await.unwrap();
        let out = Bootstrap::shipped().unwrap().policy(&out).upstream(back.address()).start().await.unwrap();
        let request = Request::get("/").header("traceparent", &value);
        let seen = request.send(out.address(), Protocol::Http1).await.unwrap().seen().unwrap();
        assert_eq!(traceparent(&seen)[0], TRACE, "{cloud}");
    }
}

#[tokio::test]
async fn a_section_works_only_in_its_directions_though_listeners_share_the_filter() {
    let stage = Stage::set(|shipped| {
        shipped.policy(&json!({"version": "1.0", "trace": {"direction": ["inbound"]}})).edit(|config| {
            let listeners = config.pointer_mut("/static_resources/listeners").unwrap().as_array_mut().unwrap();
            let mut outbound = listeners[0].clone();
            listeners[0]["traffic_direction"] = json!("INBOUND");
            outbound["traffic_direction"] = json!("OUTBOUND");
            outbound["name"] = json!("egress");
            listeners.push(outbound);
        })
    })
    .await;
    let traced = async |listener: &str| {
        let address = stage.envoy.listener(listener).unwrap();
        let reply = Request::get("/").send(address, Protocol::Http1).await.unwrap();
        reply.seen().unwrap().header("traceparent").is_some()
    };
    for _ in 0..3 {
        assert!(traced("ingress").await);
        assert!(!traced("egress").await);
    }
}

#[tokio::test]
async fn an_observer_leaves_the_headers_to_envoys_tracer() {
    let upstream = Upstream::start().await.unwrap();
    let bootstrap = Bootstrap::read("envoy/observe.yaml").unwrap().upstream(upstream.address());
    let envoy = bootstrap.start().await.unwrap();
    let seen = async |headers: &[(&str, &str)]| {
        let request = with(Request::get("/"), headers);
        request.send(envoy.address(), Protocol::Http1).await.unwrap().seen().unwrap()
    };
    let value = format!("00-{TRACE}-{SPAN}-01");
    let followed = seen(&[
        ("traceparent", &value),
        ("tracestate", "a=1"),
        ("b3", &format!("{}-{SPAN}-0", "1".repeat(32))),
        ("x-cloud-trace-context", "broken"),
        ("x-sluicegate-trace-id", "11111111111111111111111111111111-1111111111111111"),
    ])
    .await;
    let [trace, span, flags] = traceparent(&followed);
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "01"));
    assert_ne!(span, SPAN, "the tracer's own span");
    assert_eq!(followed.all("tracestate"), ["a=1"]);
    for gone in ["b3", "x-cloud-trace-context", "x-sluicegate-trace-id"] {
        assert_eq!(followed.header(gone), None, "{gone}");
    }
    // Of these Envoy's tracer makes no span, and it would let them pass as they are.
    for broken in ["00-zz", &format!("00-{}-{SPAN}-01", "0".repeat(32))] {
        let repaired = seen(&[("traceparent", broken), ("tracestate", "a=1")]).await;
        let [trace, ..] = traceparent(&repaired);
        assert!(trace != "0".repeat(32) && trace != TRACE, "{broken}");
        assert_eq!(repaired.header("tracestate"), None);
    }
}
