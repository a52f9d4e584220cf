//! `sluicectl schema` and `sluicectl completions`, as a shell sees them.

#![allow(clippy::indexing_slicing)]

mod kit;

use kit::run;
use serde_json::Value;
use sluicegate_tests::shipped;

#[test]
fn the_schema_takes_what_ships_and_not_what_is_misspelt() {
    let told = run(&["schema"]);
    told.assert_code(0);
    let schema: Value = serde_json::from_str(&told.out).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let policy: Value = shipped::yaml("envoy/policy.yaml").unwrap();
    assert!(
        validator.is_valid(&policy),
        "{:?}",
        validator.iter_errors(&policy).map(|e| e.to_string()).collect::<Vec<_>>()
    );
    for (section, field) in
        [("trace", "mdoe"), ("sampling", "taget_qps"), ("breaker", "prboes"), ("access_log", "sinsk")]
    {
        let mut policy = policy.clone();
        policy[section][field] = Value::from(1);
        assert!(!validator.is_valid(&policy), "{section}.{field}");
    }
    let mut source = policy.clone();
    source["policy_source"] =
        serde_json::json!({ "etcd": { "cluster": "etcd", "key": "/sluicegate/policy/checkout" } });
    assert!(validator.is_valid(&source));
    source["policy_source"]["etcd"]["kye"] = Value::from(1);
    assert!(!validator.is_valid(&source));
}

#[test]
fn every_shell_gets_completions_of_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let told = run(&["completions", shell]);
        told.assert_code(0);
        for command in ["check", "schema", "explain", "render", "push", "rollback", "history", "diff", "wasmplugin"] {
            assert!(told.out.contains(command), "{shell}: {command}");
        }
    }
    run(&["completions", "tcsh"]).assert_code(2);
}
