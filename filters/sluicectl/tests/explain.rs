//! `sluicectl explain`, as a shell sees it.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic)]

mod kit;

use kit::{Files, Run, run, run_with};

const POLICY: &str = r#"version: "1.0"
service: { name: checkout, environment: prod }
trace:
  rules:
    - match: { path: { prefix: /public/ } }
      trust_incoming: false
sampling:
  rules:
    - match: { headers: [{ name: x-tier, exact: gold }] }
      always: true
    - match: { path: { exact: /quiet } }
      rate: 0.25
    - match: { path: { prefix: /healthz } }
      never: true
  force: { secret: { env: SLUICECTL_TEST_SECRET } }
breaker:
  per: { header: X-Tenant }
  rules:
    - cluster: payments
      match: { path: { prefix: /pay } }
      key: pay
    - match: { path: { prefix: /pay } }
      per: host
access_log:
  routes: [{ match: { path: { template: "/orders/{id}" } } }]
  severity: [{ status: 3xx, severity: warn }, { status: 4xx, severity: error }]
  drop: [{ match: { path: { exact: /healthz } } }]
  sinks: [otlp]
  otlp: { cluster: collector }
"#;

fn explain(args: &[&str]) -> Run {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let run = run(&[&["explain", "--policy", &file], args].concat());
    run.assert_code(0);
    run
}

/// The lines under a title.
fn part<'r>(run: &'r Run, title: &str) -> &'r str {
    let start = run.out.find(&format!("{title}\n")).unwrap_or_else(|| panic!("no {title} in\n{}", run.out));
    let rest = &run.out[start + title.len() + 1..];
    let end = rest.lines().take_while(|line| line.starts_with(' ')).map(|line| line.len() + 1).sum();
    &rest[..end]
}

#[test]
fn the_rules_that_match_are_named_with_their_line() {
    let run = explain(&["--request", "GET /pay HTTP/1.1\\nhost: Shop.Example\\nx-tier: gold", "--cluster", "payments"]);
    let rules = part(&run, "rules");
    assert!(rules.contains("trace.rules           none of 1\n"), "{rules}");
    for (list, number, line) in [("sampling.rules", 0, 9), ("breaker.rules", 0, 19)] {
        let wanted = format!("{list:<21} {list}[{number}]");
        let found = rules.lines().find(|l| l.contains(&wanted)).unwrap_or_else(|| panic!("{wanted}\n{rules}"));
        assert!(found.ends_with(&format!("policy.yaml:{line})")), "{found}");
    }
    assert_eq!(part(&run, "sampling"), "  recorded: rule, probability 1\n");
    assert_eq!(part(&run, "breaker"), "  that of key \"pay\": lets it pass\n");
}

#[test]
fn a_breaker_is_named_by_what_its_rule_or_section_says() {
    let breaker = |args: &[&str]| part(&explain(args), "breaker").to_owned();
    let host = breaker(&["--request", "GET /pay", "--header", "host: Shop.Example"]);
    assert_eq!(host, "  that of host \"shop.example\": lets it pass\n");
    let header = breaker(&["--header", "x-tenant: t-1"]);
    assert_eq!(header, "  that of header x-tenant \"t-1\": lets it pass\n");
    let inbound = breaker(&["--direction", "inbound"]);
    assert_eq!(inbound, "  breaker is not for this direction\n");
}

#[test]
fn what_the_upstream_gets_is_told_against_what_came() {
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = format!("GET /orders/7 HTTP/1.1\nhost: shop\ntraceparent: {traceparent}\nb3: rubbish");
    let run = explain(&["--request", &request]);
    let changes = part(&run, "request, as the upstream gets it");
    assert!(changes.contains("  - b3\n") && changes.contains("  + x-request-id: "), "{changes}");
    assert!(!changes.contains("traceparent"), "{changes}");
    assert!(part(&run, "trace").contains("continues the caller's"));
    assert!(part(&run, "sampling").contains("recorded: parent"));
    let untrusted = explain(&["--request", &request.replace("/orders/7", "/public/")]);
    let changes = part(&untrusted, "request, as the upstream gets it");
    assert!(changes.contains("  ~ traceparent: 00-") && changes.contains(&format!("(was {traceparent})")), "{changes}");
    assert!(part(&untrusted, "trace").contains("not trusted"));
}

#[test]
fn the_log_record_is_shown_or_why_there_is_none() {
    let kept = explain(&["--request", "GET /orders/7?token=s3cr3t", "--header", "x-tier: gold", "--response", "503"]);
    let record = part(&kept, "log record");
    assert!(record.contains("\"http.route\": \"/orders/{id}\"") && record.contains("\"ERROR\""), "{record}");
    assert!(!kept.out.contains("token=s3cr3t"), "{}", kept.out);
    let inbound = explain(&["--direction", "inbound", "--header", "x-tier: gold", "--duration", "3s"]);
    let record = part(&inbound, "log record");
    for said in ["\"sluicegate.direction\": \"inbound\"", "\"sluicegate.time_to_response_headers_ms\": 3000.0"] {
        assert!(record.contains(said), "{said}\n{record}");
    }
    let why = |args: &[&str]| part(&explain(args), "log record").to_owned();
    assert_eq!(why(&["--request", "GET /healthz"]), "  none: access_log.drop calls it noise\n");
    assert_eq!(why(&["--direction", "outbound"]), "  access_log is not for this direction\n");
    let unsampled = why(&["--request", "GET /healthz/deep"]);
    assert_eq!(unsampled, "  none: it is not sampled, and neither an error nor slow\n");
    let rules = explain(&["--response", "404"]);
    assert!(part(&rules, "rules").contains("access_log.severity[1]"), "{}", rules.out);
    assert!(part(&rules, "log record").contains("\"ERROR\""), "{}", rules.out);
}

#[test]
fn what_is_off_says_so() {
    let files = Files::new();
    let sections = ["trace", "sampling", "breaker", "access_log"];
    let off: String = sections.map(|section| format!("{section}: {{ enabled: false }}\n")).concat();
    let policy = format!("version: '1.0'\n{off}").replace("breaker: {", "breaker: { rules: [{}],");
    let run = run(&["explain", "--policy", &files.write("policy.yaml", policy)]);
    run.assert_code(0);
    for (title, section) in
        [("trace", "trace"), ("sampling", "sampling"), ("breaker", "breaker"), ("log record", "access_log")]
    {
        assert_eq!(part(&run, title), format!("  {section} is off\n"), "{}", run.out);
    }
    assert!(part(&run, "rules").contains("breaker is off"), "{}", run.out);
    assert_eq!(part(&run, "request, as the upstream gets it"), "  as it came\n");
}

#[test]
fn it_says_the_same_every_time() {
    let args = ["--request", "POST /quiet HTTP/1.1\\nhost: shop", "--duration", "3s"];
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let told = || run(&[&["explain", "--policy", &file][..], &args].concat()).out;
    let first = told();
    assert!(first.contains("probability 0.25"), "{first}");
    assert_eq!(first, told());
}

#[test]
fn a_secret_of_this_environment_forces_only_where_it_is_asked_for() {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let secret = "0123456789abcdef";
    let header = format!("x-sluicegate-force: {secret}");
    let request = ["explain", "--policy", &file, "--request", "GET /healthz/deep", "--header", &header];
    let variables = [("SLUICECTL_TEST_SECRET", secret)];
    let with = run_with(&[&request[..], &["--env"]].concat(), &variables, "");
    assert!(part(&with, "sampling").contains("recorded: forced"), "{}", with.out);
    assert!(part(&with, "request, as the upstream gets it").contains("  - x-sluicegate-force\n"), "{}", with.out);
    assert!(!with.out.contains(secret), "{}", with.out);
    let without = run_with(&request, &variables, "");
    assert!(part(&without, "sampling").contains("not recorded: rule"), "{}", without.out);
}

#[test]
fn what_a_filter_answers_itself_is_shown() {
    let files = Files::new();
    let policy = "version: '1.0'\nbreaker: { mode: forced_open, response: { status: 429, body: later } }\n";
    let run = run(&["explain", "--policy", &files.write("policy.yaml", policy)]);
    run.assert_code(0);
    assert!(run.out.contains("the upstream gets nothing: a filter answers 429\n"), "{}", run.out);
    assert!(part(&run, "response, as the caller gets it").contains(":status: 429"), "{}", run.out);
    assert!(part(&run, "breaker").contains("that of cluster \"upstream\": sheds it"), "{}", run.out);
}

#[test]
fn a_policy_that_is_wrong_is_not_explained() {
    let files = Files::new();
    let file = files.write("policy.yaml", "version: '1.0'\ntrace: { mode: x }\n");
    let bad = run(&["explain", "--policy", &file]);
    bad.assert_code(1);
    assert!(bad.out.is_empty() && bad.err.contains(":2:16: error: trace.mode"), "{}", bad.all());
    for args in [["--request", "GET"], ["--response", "ok"], ["--header", "x"], ["--duration", "long"]] {
        run(&[&["explain", "--policy", "envoy/policy.yaml"][..], &args].concat()).assert_code(2);
    }
}
