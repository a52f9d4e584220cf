//! The kit itself: what the other tests rely on when they say that Envoy did, or did not do, something.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use sluicegate_tests::client::load::{Load, Until};
use sluicegate_tests::client::{Protocol, Request};
use sluicegate_tests::envoy::Bootstrap;
use sluicegate_tests::upstream::Upstream;
use tokio::io::{AsyncBufReadExt, BufReader};

const PATIENCE: Duration = Duration::from_secs(10);

fn rejected_policy() -> serde_json::Value {
    json!({"version": "1.0", "trace": {"mode": "INVALID"}})
}

#[tokio::test]
async fn envoy_carries_every_protocol_to_the_upstream() {
    let upstream = Upstream::start().await.unwrap();
    let envoy = Bootstrap::shipped().unwrap().upstream(upstream.address()).start().await.unwrap();
    for (protocol, version) in [(Protocol::Http1, "HTTP/1.1"), (Protocol::Http2, "HTTP/2.0")] {
        let request = Request::get("/").header("host", "checkout.shop").header("odd", b"\xff").header("odd", "b");
        let reply = request.send(envoy.address(), protocol).await.unwrap();
        let seen = reply.seen().unwrap();
        assert_eq!(seen.all("odd"), ["\u{ff}", "b"]);
        assert_eq!(seen.version, version);
    }
    let call = Request::grpc("/shop.Orders/Get", b"").header("x-upstream-grpc-status", "5");
    let reply = call.send(envoy.address(), Protocol::Http2).await.unwrap();
    assert_eq!(reply.grpc_status(), Some(5));
    assert_eq!(reply.seen().unwrap().header("te"), Some("trailers"));
    assert_eq!(upstream.requests(), 3);
}

#[tokio::test]
async fn raised_limits_let_many_and_large_headers_through_both_ways() {
    let upstream = Upstream::start().await.unwrap();
    let shipped = Bootstrap::shipped().unwrap().upstream(upstream.address());
    let many = (0..200).fold(Request::get("/"), |request, n| request.header(&format!("x-{n}"), [b'v'; 300]));
    let many = many.header("x-upstream-response-headers-count", "200");

    let narrow = shipped.clone().start().await.unwrap();
    assert_eq!(many.send(narrow.address(), Protocol::Http1).await.unwrap().status, 431);

    let wide = shipped.header_limits(128, 500).unwrap().start().await.unwrap();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let reply = many.send(wide.address(), protocol).await.unwrap();
        assert_eq!(reply.header("x-filler-199"), Some("199"), "{}", reply.text());
        assert_eq!(reply.seen().unwrap().header("x-199").map(str::len), Some(300));
    }
}

#[tokio::test]
async fn a_balanced_listener_reaches_every_worker() {
    let upstream = Upstream::start().await.unwrap();
    let bootstrap = Bootstrap::shipped().unwrap().upstream(upstream.address()).balanced().concurrency(2);
    let envoy = bootstrap.start().await.unwrap();
    let load = Load { connections: 4, protocol: Protocol::Http1, until: Until::Requests(40) };
    let report = load.run(envoy.address(), |_| Request::get("/")).await;
    assert_eq!(report.answered(200), 40, "{report}");
    for worker in ["0", "1"] {
        let stats = envoy.admin_get(&format!("/stats?filter=worker_{worker}.downstream_cx_total")).await.unwrap();
        assert!(stats.trim_end().ends_with(": 2"), "{stats}");
    }
}

#[tokio::test]
async fn a_rejected_policy_leaves_the_old_one_in_force() {
    let upstream = Upstream::start().await.unwrap();
    let envoy = Bootstrap::shipped().unwrap().upstream(upstream.address()).start().await.unwrap();
    envoy.wait_for_swaps("trace_context", 1, 0, PATIENCE).await.unwrap();
    envoy.swap_policy(&rejected_policy()).unwrap();
    envoy.wait_for_swaps("trace_context", 1, 1, PATIENCE).await.unwrap();
    assert_eq!(Request::get("/").send(envoy.address(), Protocol::Http1).await.unwrap().status, 200);
    envoy.swap_policy(&json!({"version": "1.0"})).unwrap();
    envoy.wait_for_swaps("trace_context", 2, 1, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn every_plugin_takes_or_rejects_a_policy_on_its_own() {
    let envoy = Bootstrap::shipped().unwrap().start().await.unwrap();
    assert_eq!(envoy.plugins().collect::<Vec<_>>(), ["trace_context", "sampler", "breaker", "access_log"]);
    let policies = [
        (json!({"version": "1.0"}), [(2, 0); 4]),
        (rejected_policy(), [(2, 1), (3, 0), (3, 0), (3, 0)]),
        (json!({"version": "1.0", "access_log": {"enabled": "INVALID"}}), [(3, 1), (4, 0), (4, 0), (3, 1)]),
        (json!({"version": "1.0", "sampling": {"window": "INVALID"}}), [(4, 1), (4, 1), (5, 0), (4, 1)]),
    ];
    for plugin in envoy.plugins() {
        envoy.wait_for_swaps(plugin, 1, 0, PATIENCE).await.unwrap();
    }
    for (policy, verdicts) in policies {
        envoy.swap_policy(&policy).unwrap();
        for (plugin, (successes, rejections)) in envoy.plugins().zip(verdicts) {
            envoy.wait_for_swaps(plugin, successes, rejections, PATIENCE).await.unwrap();
            assert_eq!(envoy.swapped(plugin).await.unwrap(), (successes, rejections), "{plugin}: {policy}");
        }
    }
    assert!(envoy.swapped("nothing").await.is_err());
    assert!(envoy.swap_discovery("nothing", "").is_err());
}

#[tokio::test]
async fn a_plugin_runs_alone_when_a_test_is_about_it_only() {
    let upstream = Upstream::start().await.unwrap();
    for (plugin, traces, logs) in
        [("trace_context", true, 0), ("sampler", false, 0), ("breaker", false, 0), ("access_log", false, 1)]
    {
        let bootstrap = Bootstrap::shipped().unwrap().only(plugin).unwrap().upstream(upstream.address());
        let envoy = bootstrap.start().await.unwrap();
        assert_eq!(envoy.plugins().collect::<Vec<_>>(), [plugin]);
        let reply = Request::get("/").send(envoy.address(), Protocol::Http1).await.unwrap();
        assert_eq!(reply.seen().unwrap().header("traceparent").is_some(), traces, "{plugin}");
        let lines = envoy.wait_for_access_log(logs, PATIENCE).await.unwrap();
        assert_eq!(lines.len(), logs, "{plugin}: {lines:?}");
    }
    let shipped = || Bootstrap::shipped().unwrap();
    assert!(shipped().only("nothing").is_err());
    assert!(shipped().module("nothing", Path::new("nothing.wasm")).is_err());
    assert!(shipped().edit_plugin("nothing", |_| ()).is_err());
}

#[tokio::test]
async fn the_access_log_has_a_line_of_json_per_request_and_nothing_for_what_is_not_kept() {
    let upstream = Upstream::start().await.unwrap();
    let quiet = json!({"version": "1.0", "access_log": {"enabled": false}});
    let bootstrap = Bootstrap::shipped().unwrap().upstream(upstream.address()).policy(&quiet).concurrency(1);
    let envoy = bootstrap.start().await.unwrap();
    let send = async || Request::get("/").send(envoy.address(), Protocol::Http1).await.unwrap();
    for _ in 0..3 {
        send().await;
    }
    assert_eq!(envoy.access_log().unwrap(), "");
    envoy.swap_policy(&json!({"version": "1.0"})).unwrap();
    // The worker follows the main thread. What the first three requests left, if anything, stands before the next line.
    let mut sent = 0;
    while envoy.wait_for_access_log(1, Duration::from_millis(50)).await.is_err() {
        sent += 1;
        assert!(sent < 200, "no line");
        send().await;
    }
    let before = envoy.access_log().unwrap().lines().count();
    for _ in 0..3 {
        send().await;
    }
    let lines = envoy.wait_for_access_log(before + 3, PATIENCE).await.unwrap();
    assert_eq!(lines.len(), before + 3);
    for line in &lines {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(record.is_object(), "{line}");
    }
    let error = envoy.wait_for_access_log(before + 4, Duration::ZERO).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("{} lines of {}", before + 3, before + 4)), "{error}");
    assert!(error.ends_with(lines.last().unwrap().as_str()), "{error}");
}

#[tokio::test]
async fn every_listener_prints_into_the_same_access_log() {
    let upstream = Upstream::start().await.unwrap();
    let bootstrap = Bootstrap::shipped().unwrap().upstream(upstream.address()).edit(|config| {
        let listeners = config.pointer_mut("/static_resources/listeners").unwrap().as_array_mut().unwrap();
        let mut other = listeners[0].clone();
        other["name"] = json!("other");
        listeners.push(other);
    });
    let envoy = bootstrap.start().await.unwrap();
    for listener in ["ingress", "other"] {
        Request::get("/").send(envoy.listener(listener).unwrap(), Protocol::Http1).await.unwrap();
    }
    // Long before Envoy would print by default.
    assert_eq!(envoy.wait_for_access_log(2, Duration::from_secs(5)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_policy_that_is_rejected_at_the_start_fails_closed() {
    let upstream = Upstream::start().await.unwrap();
    let bootstrap = Bootstrap::shipped().unwrap().upstream(upstream.address()).policy(&rejected_policy());
    let envoy = bootstrap.start().await.unwrap();
    envoy.wait_for_log("Plugin trace_context failed to load", PATIENCE).await.unwrap();
    assert_eq!(Request::get("/").send(envoy.address(), Protocol::Http1).await.unwrap().status, 500);
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn an_envoy_that_does_not_start_says_why() {
    let bootstrap = Bootstrap::shipped().unwrap().edit(|config| config["no_such_field"] = json!(1));
    let error = bootstrap.start().await.unwrap_err().to_string();
    assert!(error.contains("exited") && error.contains("no_such_field"), "{error}");
}

#[tokio::test]
async fn the_trace_log_shows_calls_into_the_module() {
    let upstream = Upstream::start().await.unwrap();
    let bootstrap = Bootstrap::shipped().unwrap().upstream(upstream.address()).wasm_trace();
    let envoy = bootstrap.start().await.unwrap();
    Request::get("/").send(envoy.address(), Protocol::Http1).await.unwrap();
    envoy.wait_for_log("[host->vm] proxy_on_request_headers", PATIENCE).await.unwrap();
}

#[tokio::test]
async fn the_upstream_runs_as_a_program() {
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_upstream"))
        .args(["--listen", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    let address = first.rsplit(' ').next().unwrap().parse().unwrap();
    let reply = Request::get("/hello").send(address, Protocol::Http1).await.unwrap();
    assert_eq!(reply.seen().unwrap().path, "/hello");
}

#[tokio::test]
async fn a_filter_ahead_of_ours_can_answer_in_its_place() {
    let upstream = Upstream::start().await.unwrap();
    let abort = json!({
        "name": "envoy.filters.http.fault",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "abort": {"http_status": 418, "percentage": {"numerator": 100}},
        },
    });
    let bootstrap = Bootstrap::shipped().unwrap().upstream(upstream.address()).filter_ahead(abort).unwrap();
    let envoy = bootstrap.start().await.unwrap();
    assert_eq!(Request::get("/").send(envoy.address(), Protocol::Http1).await.unwrap().status, 418);
    assert_eq!(upstream.requests(), 0);
}
