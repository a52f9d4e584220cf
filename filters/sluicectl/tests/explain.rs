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

fn forced_open(args: &[&str]) -> Run {
    let files = Files::new();
    let policy = "version: '1.0'\nbreaker: { mode: forced_open, response: { status: 429, body: later } }\n\
        access_log: { severity: [{ match: { path: { exact: /a } }, status: 2xx, severity: warn }, { status: '429', severity: error }] }\n";
    let run = run(&[&["explain", "--policy", &files.write("policy.yaml", policy)], args].concat());
    run.assert_code(0);
    run
}

#[test]
fn the_record_of_what_a_filter_answers_is_that_of_its_answer() {
    let run = forced_open(&["--request", "GET /a", "--duration", "3s"]);
    let record = part(&run, "log record");
    for said in ["\"GET /a answered 429 in 0.0 ms: breaker_open\"", "\"http.response.status_code\": 429,"] {
        assert!(record.contains(said), "{said}\n{record}");
    }
    assert!(record.contains("\"sluicegate.error.kind\": \"breaker_open\""), "{record}");
    // The rule of the filter's status, and not of what the upstream would have answered.
    assert!(part(&run, "rules").contains("access_log.severity[1]") && record.contains("\"ERROR\""), "{}", run.out);
}

#[test]
fn a_grpc_caller_gets_a_status_of_grpc_of_what_a_filter_answers() {
    let run = forced_open(&["--request", "POST /shop.Cart/Add", "--header", "content-type: application/grpc"]);
    let nothing = "the upstream gets nothing: a filter answers 200, grpc-status 14\n";
    assert!(part(&run, "request, as the upstream gets it").contains(nothing), "{}", run.out);
    let response = part(&run, "response, as the caller gets it");
    for said in ["  :status: 200\n", "  grpc-status: 14\n", "  grpc-message: BREAKER_OPEN: "] {
        assert!(response.contains(said), "{said}\n{response}");
    }
    assert_eq!(response.matches("BREAKER_OPEN").count(), 1, "{response}");
    let record = part(&run, "log record");
    for said in ["answered 200 UNAVAILABLE in 0.0 ms: breaker_open\"", "\"ERROR\"", "\"UNAVAILABLE\""] {
        assert!(record.contains(said), "{said}\n{record}");
    }
}

#[test]
fn a_grpc_response_is_taken_to_be_well_where_it_is_not_said_how_it_ended() {
    let grpc = |response| {
        let request = ["--request", "POST /shop.Cart/Add", "--header", "content-type: application/grpc+proto"];
        explain(&[&request[..], &["--header", "x-tier: gold", "--response", response]].concat())
    };
    let well = grpc("200");
    let response = part(&well, "response, as the caller gets it");
    assert!(response.contains("its grpc-status is taken to be 0"), "{response}");
    assert!(part(&well, "log record").contains("answered 200 OK in"), "{}", well.out);
    for (response, said) in
        [("200\\ngrpc-status: 5", "200 NOT_FOUND"), ("503", "503 UNAVAILABLE"), ("500", "500 UNKNOWN")]
    {
        let told = grpc(response);
        assert!(!told.out.contains("taken to be"), "{}", told.out);
        assert!(part(&told, "log record").contains(&format!("answered {said} in")), "{}", told.out);
    }
    assert!(!explain(&[]).out.contains("grpc"), "{}", explain(&[]).out);
}

#[test]
fn a_header_is_changed_where_the_list_of_its_values_is() {
    let traceparents = ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"; 2];
    let request = format!(
        "GET /public/\nx-dup: 1\nx-dup: 2\nb3: 0\nb3: 0\ntraceparent: {}",
        traceparents.join("\ntraceparent: ")
    );
    let run = explain(&["--request", &request, "--response", "200\\nset-cookie: a=1\\nset-cookie: b=2"]);
    let changes = part(&run, "request, as the upstream gets it");
    assert!(!changes.contains("x-dup") && changes.matches("  - b3\n").count() == 1, "{changes}");
    let was = format!("  (was {})\n", traceparents.join(", "));
    let changed: Vec<_> = changes.lines().filter(|line| line.contains(" traceparent: ")).collect();
    assert!(changed.len() == 1 && changed[0].starts_with("  ~ ") && changes.contains(&was), "{changes}");
    assert!(!part(&run, "response, as the caller gets it").contains("set-cookie"), "{}", run.out);
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
