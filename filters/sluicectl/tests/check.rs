//! `sluicectl check`, as a shell sees it.

#![allow(clippy::indexing_slicing)]

mod kit;

use kit::{Files, root, run, run_unheard, run_with};
use serde_json::Value;

const BAD: &str = "version: \"1.0\"
trace:
  mode: forwrd
  enabeld: true
sampling:
  rules:
    - match: { path: { prefix: pay } }
      always: true
";

#[test]
fn what_is_wrong_is_told_with_its_place_and_a_suggestion() {
    let files = Files::new();
    let file = files.write("policy.yaml", BAD);
    let run = run(&["check", &file]);
    run.assert_code(1);
    let lines = [
        ":3:9: error: trace.mode: found \"forwrd\", accepted: one of \"participate\", \"forward\", \"observe\"\n  3 | mode: forwrd\n    |       ^^^^^^\n",
        ":7:32: error: sampling.rules[0].match.path.prefix: found \"pay\", accepted: a path that starts with \"/\"",
        ":4:3: error: trace.enabeld: unknown field, accepted: ",
        "; did you mean enabled?\n  4 | enabeld: …\n    | ^^^^^^^\n",
        "policy.yaml: 3 errors\n",
    ];
    for line in lines {
        assert!(run.out.contains(line), "{line}\n{}", run.all());
    }
    assert_eq!(run.err, "");
}

#[test]
fn what_ships_is_fine() {
    let folders = ["envoy/ecds", "envoy/istio"].map(|folder| std::fs::read_dir(root().join(folder)).unwrap());
    let paths = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    let holds_a_policy = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        text.contains("\nkind: WasmPlugin\n") || text.starts_with("resources:") || text.contains("\nresources:")
    };
    let mut files: Vec<_> = paths.filter(holds_a_policy).map(|path| path.to_str().unwrap().to_owned()).collect();
    assert!(files.len() >= 10, "{files:?}");
    files.push("envoy/policy.yaml".to_owned());
    let args: Vec<_> = ["check"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let run = run(&args);
    run.assert_code(0);
    assert_eq!(run.out.matches(": fine").count(), files.len(), "{}", run.out);
}

#[test]
fn programs_get_one_object() {
    let files = Files::new();
    let (bad, good) = (files.write("bad.yaml", BAD), files.write("good.json", r#"{"version": "1.0"}"#));
    let run = run(&["check", "--format", "json", &bad, &good]);
    run.assert_code(1);
    let told: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&told["accepted"], &told["files"][0]["file"]), (&Value::from(false), &Value::from(bad)));
    assert_eq!(told["files"][1]["accepted"], true);
    let first = &told["files"][0]["problems"][0];
    assert_eq!((&first["line"], &first["column"]), (&Value::from(3), &Value::from(9)));
    assert_eq!((&first["severity"], &first["path"]), (&Value::from("error"), &Value::from("trace.mode")));
}

#[test]
fn github_gets_annotations() {
    let files = Files::new();
    let file = files.write("policy.yaml", BAD);
    let run = run(&["check", "--format", "github", &file]);
    run.assert_code(1);
    let first = format!("::error file={file},line=3,col=9::trace.mode: found \"forwrd\", accepted: ");
    assert!(run.out.starts_with(&first), "{}", run.out);
    assert!(run.out.lines().all(|line| line.starts_with("::error ")), "{}", run.out);
}

#[test]
fn standard_input_is_a_file_too() {
    run_with(&["check", "-"], &[], r#"{"version": "1.0"}"#).assert_code(0);
    let run = run_with(&["check", "-"], &[], BAD);
    run.assert_code(1);
    assert!(run.out.contains("<stdin>:3:9: error: trace.mode"), "{}", run.out);
}

#[test]
fn strictly_a_newer_version_may_have_no_fields_of_its_own() {
    let files = Files::new();
    let file = files.write("policy.yaml", "version: \"1.9\"\ntrace: { enabeld: true }\n");
    let lenient = run(&["check", &file]);
    lenient.assert_code(0);
    assert!(lenient.out.contains(":1:1: warning: version: is 1.9"), "{}", lenient.out);
    let strict = run(&["check", "--strict", &file]);
    strict.assert_code(1);
    assert!(strict.out.contains(":2:10: error: trace.enabeld: unknown field"), "{}", strict.out);
}

#[test]
fn what_cannot_be_read_is_another_exit_code_than_what_is_wrong() {
    let files = Files::new();
    let (bad, pod) = (files.write("bad.yaml", BAD), files.write("pod.yaml", "apiVersion: v1\nkind: Pod\n"));
    let run_all = run(&["check", "no/such/file", &bad]);
    run_all.assert_code(2);
    assert!(run_all.out.contains("bad.yaml: 3 errors") && run_all.err.contains("no/such/file"), "{}", run_all.all());
    run(&["check", &pod]).assert_code(2);
    run(&["check"]).assert_code(2);
    run(&["check", "--format", "xml", &bad]).assert_code(2);
}

#[test]
fn a_variable_is_the_proxys_unless_it_is_looked_up_here() {
    let files = Files::new();
    let policy = "version: '1.0'\nsampling: { force: { secret: { env: SLUICECTL_TEST_SECRET } } }\n";
    let file = files.write("policy.yaml", policy);
    let told = run(&["check", &file]);
    told.assert_code(0);
    assert!(told.out.contains("SLUICECTL_TEST_SECRET"), "{}", told.out);
    run(&["check", "--env", &file]).assert_code(1);
    let with = |value| run_with(&["check", "--env", &file], &[("SLUICECTL_TEST_SECRET", value)], "");
    with("0123456789abcdef").assert_code(0);
    let short = with("s3cr3t");
    short.assert_code(1);
    assert!(!short.all().contains("s3cr3t"), "{}", short.all());
}

#[test]
fn no_secret_is_ever_shown() {
    let policies = [
        "version: '1.0'\nsampling: { force: { secret: s3cr3t } }",
        "version: '1.0'\nsampling: { force: { secrte: s3cr3t-s3cr3t-s3cr3t } }",
        "version: '1.0'\nsampling: { force: { budgt: 3, secret: s3cr3t-s3cr3t-s3cr3t } } # s3cr3t",
        "version: '1.0'\nsampling: { force: s3cr3t-s3cr3t-s3cr3t }",
        "version: '1.0'\nsampling: s3cr3t-s3cr3t-s3cr3t",
        "version: '1.0'\nsampling: { force: { secret: { env: 's3cr3t s3cr3t' } } }",
        "version: '1.0'\naccess_log: { redact: { mode: hash, hash_key: s3cr3t } }",
        "version: '1.0'\naccess_log: { sinks: [otlp], otlp: { cluster: c, headers: [{ name: a, valeu: s3cr3t }] } }",
        "version: '1.0'\naccess_log: { sinks: [otlp], otlp: { cluster: c, headers: [{ name: a, value: \"s3cr3t\\n\" }] } }",
        "version: '1.0'\npolicy_source: { http: { cluster: c, path: /, headers: [{ name: a, value: \"s3cr3t\\n\" }] } }",
        "version: '1.0'\npolicy_source: { http: { cluster: c, path: /, headers: [{ name: a, value: [s3cr3t] }] } }",
        "version: '1.0'\nsampling: { force: { secret: \"s3cr3t\n",
        "version: '1.0'\nsampling: { force: { secret: s3cr3t: s3cr3t } }",
        "version: '1.0'\nsampling: { force: { secret: s3cr3t, secret: s3cr3t } }",
        "version: '1.0'\nsampling: { force: { secret: *s3cr3t } }",
        "s3cr3t",
        "- s3cr3t",
    ];
    let files = Files::new();
    for (number, policy) in policies.iter().enumerate() {
        let yaml = files.write(&format!("{number}.yaml"), policy);
        let json = files.write(&format!("{number}.json"), policy.replace("'1.0'\n", "\"1.0\","));
        for file in [&yaml, &json] {
            for format in ["text", "json", "github"] {
                let run = run(&["check", "--format", format, file]);
                run.assert_code(1);
                assert!(!run.all().contains("s3cr3t"), "{policy}\n{}", run.all());
            }
            for command in [&["explain"][..], &["render", "--envoy"]] {
                let run = run(&[command, &["--policy", file]].concat());
                run.assert_code(1);
                assert!(!run.all().contains("s3cr3t"), "{policy}\n{}", run.all());
            }
        }
    }
}

/// As with `sluicectl completions bash | head -1`.
#[test]
fn a_command_that_nobody_reads_answers_as_it_would() {
    let files = Files::new();
    let bad = files.write("bad.yaml", BAD);
    let table: [(&[&str], i32); 8] = [
        (&["completions", "bash"], 0),
        (&["--help"], 0),
        (&["explain", "--policy", "envoy/policy.yaml"], 0),
        (&["render", "--policy", "envoy/policy.yaml", "--envoy"], 0),
        (&["check", "envoy/policy.yaml"], 0),
        (&["check", &bad], 1),
        (&["explain", "--policy", &bad], 1),
        (&["check", "no/such/file"], 2),
    ];
    for (args, code) in table {
        assert_eq!(run_unheard(args), Some(code), "{args:?}");
    }
}

#[test]
fn colour_is_for_terminals_or_where_it_is_wanted() {
    let files = Files::new();
    let file = files.write("policy.yaml", BAD);
    assert!(!run(&["check", &file]).out.contains('\u{1b}'));
    let coloured = run_with(&["check", &file], &[("CLICOLOR_FORCE", "1")], "");
    assert!(coloured.out.contains('\u{1b}'));
    let refused = run_with(&["check", &file], &[("NO_COLOR", "1")], "");
    assert!(!refused.out.contains('\u{1b}'));
}
