//! What upstream, the log and other plugins are told of a decision.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use sluicegate_tests::client::{Protocol, Request};

use super::no_burst;
use crate::stage::{PATIENCE, SPAN, Stage, TRACE, traceparent, with};

const SECRET: &str = "correct horse battery staple";

fn policy(mode: &str, sampling: Value) -> Value {
    json!({
        "version": "1.0",
        "trace": {"mode": mode},
        "sampling": sampling,
        "access_log": {"profile": "prod", "slow_threshold": "1h", "burst": no_burst()},
    })
}

/// A trace id whose randomness begins with this byte.
fn trace(byte: u8) -> String {
    format!("{}{byte:02x}{}", &TRACE[..18], &TRACE[20..])
}

/// What comes in, what goes on, and why it is logged and with which probability.
struct Case<'c> {
    mode: &'c str,
    sampling: &'c Value,
    came: (u8, &'c str, &'c str),
    goes: (&'c str, Option<&'c str>),
    logged: Option<(&'c str, Option<f64>)>,
}

#[tokio::test]
async fn a_context_of_a_caller_is_decided_on_as_the_mode_says() {
    let [respect, ignore, at_most] = ["respect", "ignore", "at_most"].map(|parent| {
        // One of eight, by the trace id; and of those that come with a target, about as many.
        json!({"parent": parent, "max": 0.125, "rules": [{"match": {"method": "GET"}, "rate": 0.125}]})
    });
    let adaptive = json!({"parent": "ignore", "max": 0.125});
    let by_request = json!({"parent": "ignore", "key": "request_id"});
    let participate = |sampling, came, goes, logged| Case { mode: "participate", sampling, came, goes, logged };
    let forward = |sampling, came, goes, logged| Case { mode: "forward", sampling, came, goes, logged };
    let cases = [
        participate(&respect, (0x00, "01", "a=b"), ("01", Some("a=b")), Some(("parent", None))),
        participate(&respect, (0xff, "00", "a=b"), ("00", Some("a=b")), None),
        participate(&respect, (0xff, "01", "ot=th:c"), ("01", Some("ot=th:c")), Some(("parent", Some(0.25)))),
        participate(&ignore, (0xff, "00", "a=b"), ("01", Some("ot=th:e,a=b")), Some(("rule", Some(0.125)))),
        participate(&ignore, (0xff, "01", ""), ("01", Some("ot=th:e")), Some(("rule", Some(0.125)))),
        participate(&ignore, (0x00, "01", "a=b,ot=th:0;x:y"), ("00", Some("ot=x:y,a=b")), None),
        // Both headers are written, and nothing is handed over.
        participate(&adaptive, (0xff, "00", ""), ("01", Some("ot=th:e")), Some(("adaptive", Some(0.125)))),
        participate(&adaptive, (0xff, "01", ""), ("01", Some("ot=th:e")), Some(("adaptive", Some(0.125)))),
        // They are, but do not say why.
        participate(&by_request, (0xff, "00", "ot=th:8;x:y"), ("01", Some("ot=x:y")), Some(("adaptive", None))),
        participate(&at_most, (0xff, "00", ""), ("00", None), None),
        participate(&at_most, (0xff, "01", "ot=th:8"), ("01", Some("ot=th:e")), Some(("rule", Some(0.125)))),
        participate(&at_most, (0xff, "01", ""), ("01", None), Some(("rule", None))),
        participate(&at_most, (0x00, "01", "ot=th:0"), ("00", None), None),
        // What is only forwarded stays as it is, whatever is decided for the log.
        forward(&ignore, (0x00, "01", "ot=th:0"), ("01", Some("ot=th:0")), None),
        forward(&ignore, (0xff, "00", "a=b"), ("00", Some("a=b")), Some(("rule", Some(0.125)))),
    ];
    for Case { mode, sampling, came: (byte, flags, tracestate), goes, logged } in cases {
        let stage = Stage::set(|shipped| shipped.policy(&policy(mode, sampling.clone())).concurrency(1)).await;
        let value = format!("00-{}-{SPAN}-{flags}", trace(byte));
        let mut headers = vec![("traceparent", value.as_str())];
        headers.extend(Some(("tracestate", tracestate)).filter(|_| !tracestate.is_empty()));
        let seen = stage.seen(&headers).await;
        let what = format!("{mode} {sampling} {value} {tracestate}");
        let [id, span, flags] = traceparent(&seen);
        assert_eq!((id, flags.as_str()), (trace(byte), goes.0), "{what}");
        assert_eq!(span == SPAN, mode == "forward", "{what}");
        assert_eq!(seen.header("tracestate"), goes.1, "{what}");
        if let Some((reason, probability)) = logged {
            let log = stage.envoy.wait_for_access_log(1, PATIENCE).await.unwrap();
            let record: Value = serde_json::from_str(&log[0]).unwrap();
            assert_eq!(record["attributes"]["sluicegate.sampled_by"], reason, "{what}");
            let told = record["attributes"].get("sluicegate.sampling_probability").map(|p| p.as_f64().unwrap());
            assert_eq!(told, probability, "{what}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let lines = stage.envoy.access_log().unwrap().lines().count();
        assert_eq!(lines, usize::from(logged.is_some()), "{what}");
    }
}

#[tokio::test]
async fn every_format_of_a_context_says_the_same() {
    let formats = json!(["w3c", "b3", "b3_multi", "jaeger", "xray", "google"]);
    let policy = json!({
        "version": "1.0",
        "trace": {"mode": "participate", "inject": formats, "extract": formats},
        "sampling": {"rules": [{"match": {"path": {"exact": "/never"}}, "never": true}, {"always": true}]},
    });
    let stage = Stage::set(|shipped| shipped.policy(&policy)).await;
    for (path, w3c, bit) in [("/never", "02", "0"), ("/always", "03", "1")] {
        let seen = stage.send(&Request::get(path), Protocol::Http1).await.seen().unwrap();
        let header = |name: &str| seen.header(name).unwrap_or_else(|| panic!("{name}: {seen:?}")).to_owned();
        assert!(header("traceparent").ends_with(&format!("-{w3c}")), "{seen:?}");
        assert!(header("b3").ends_with(&format!("-{bit}")), "{seen:?}");
        assert_eq!(header("x-b3-sampled"), bit);
        assert!(header("uber-trace-id").ends_with(&format!(":{bit}")), "{seen:?}");
        assert!(header("x-amzn-trace-id").contains(&format!("Sampled={bit}")), "{seen:?}");
        assert!(header("x-cloud-trace-context").ends_with(&format!(";o={bit}")), "{seen:?}");
    }
}

#[tokio::test]
async fn who_has_the_secret_is_recorded_and_nobody_learns_it() {
    let section = json!({"rules": [{"never": true}], "force": {"secret": SECRET, "budget_per_second": 1}});
    let mut policy = policy("participate", section);
    policy["access_log"]["attributes"] = json!([{"name": "tier", "request_header": "x-tier"}]);
    let stage = Stage::set(|shipped| shipped.policy(&policy).concurrency(1)).await;
    let not_sampled = format!("00-{}-{SPAN}-00", trace(0));
    for (secret, context, sampled) in [("wrong", "", false), (SECRET, "", true), (SECRET, not_sampled.as_str(), false)]
    {
        let mut headers = vec![("x-sluicegate-force", secret), ("x-tier", "gold")];
        headers.extend(Some(("traceparent", context)).filter(|_| !context.is_empty()));
        let seen = stage.seen(&headers).await;
        assert_eq!(seen.header("x-sluicegate-force"), None);
        assert_eq!(traceparent(&seen)[2].ends_with(['1', '3']), sampled, "{secret} {context}");
    }
    // A second brings the next one, and whoever asks goes before the caller who says no.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let headers = [("x-sluicegate-force", SECRET), ("traceparent", &not_sampled), ("x-tier", "gold")];
    assert_eq!(traceparent(&stage.seen(&headers).await)[2], "01");
    for line in stage.envoy.wait_for_access_log(2, PATIENCE).await.unwrap() {
        assert!(line.contains(r#""sluicegate.sampled_by":"forced""#) && line.contains("gold"), "{line}");
        assert!(!line.contains(SECRET) && !line.contains("sampling_probability"), "{line}");
    }
    assert!(!stage.envoy.log().unwrap().contains(SECRET));
    for name in ["sluicegate_sampling_force_over_budget_total", "sluicegate_sampling_force_wrong_secret_total"] {
        assert_eq!(stage.envoy.wait_for_stat(name, &[], 1.0, PATIENCE).await.unwrap(), 1.0, "{name}");
    }
}

#[tokio::test]
async fn errors_that_were_not_sampled_are_logged_for_what_they_are() {
    let never = json!({"rules": [{"never": true}]});
    let stage = Stage::set(|shipped| shipped.policy(&policy("forward", never))).await;
    for status in ["200", "503"] {
        stage.send(&Request::get("/").header("x-upstream-status", status), Protocol::Http1).await;
    }
    let lines = stage.envoy.wait_for_access_log(1, PATIENCE).await.unwrap();
    let record: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(record["attributes"]["http.response.status_code"], 503);
    assert_eq!(record["attributes"]["sluicegate.sampled_by"], "error");
    assert_eq!(record["trace_flags"], "02");
}

#[tokio::test]
async fn rules_see_headers_as_they_are() {
    let header = |condition: Value| json!({"match": {"headers": [condition]}, "never": true});
    let rules = json!([
        header(json!({"name": "x-exact", "exact": "a,b"})),
        header(json!({"name": "x-empty", "exact": ""})),
        header(json!({"name": "x-present", "present": true})),
        header(json!({"name": "it's", "prefix": "caf\u{e9}"})),
        {"match": {"host": "never.example.com"}, "never": true},
        {"match": {"method": "PUT"}, "never": true},
        {"always": true},
    ]);
    let stage = Stage::set(|shipped| shipped.policy(&policy("forward", json!({"rules": rules})))).await;
    let cases: [(&[(&str, &str)], bool); 10] = [
        (&[], true),
        (&[("x-exact", "a,b")], false),
        (&[("x-exact", "a"), ("x-exact", "b")], false),
        (&[("x-exact", "a")], true),
        (&[("x-empty", "")], false),
        (&[("x-empty", "x")], true),
        (&[("x-present", "")], false),
        (&[("it's", "caf\u{e9} au lait")], false),
        (&[("it's", "cafe")], true),
        (&[("host", "never.example.com:8080")], false),
    ];
    for (headers, sampled) in cases {
        assert_eq!(traceparent(&stage.seen(headers).await)[2] == "03", sampled, "{headers:?}");
    }
    let put = stage.send(&with(Request::new(Method::PUT, "/"), &[]), Protocol::Http1).await;
    assert_eq!(traceparent(&put.seen().unwrap())[2], "02");
}
