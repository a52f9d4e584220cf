//! `sluicectl render`: what it writes is what ships, with another policy in it.

#![allow(clippy::indexing_slicing, clippy::panic)]

mod kit;

use kit::{Files, run};
use serde_json::{Value, json};
use sluicegate_tests::shipped;

fn render(args: &[&str]) -> Value {
    let run = run(&[&["render"], args].concat());
    run.assert_code(0);
    serde_saphyr::from_str(&run.out).unwrap_or_else(|error| panic!("{error}\n{}", run.out))
}

const PLUGINS: [&str; 5] = ["suite", "trace_context", "sampler", "breaker", "access_log"];

#[test]
fn for_envoy_it_is_as_shipped() {
    for plugin in PLUGINS {
        let rendered = render(&["--policy", "envoy/policy.yaml", "--envoy", "--plugin", plugin]);
        let file = format!("envoy/ecds/{}.yaml", plugin.replace('_', "-"));
        assert_eq!(rendered, shipped::yaml(&file).unwrap(), "{file}");
    }
}

#[test]
fn for_istio_it_is_as_shipped() {
    let options =
        ["--policy", "envoy/policy.yaml", "--wasmplugin", "--namespace", "shop", "--selector", "app=checkout"];
    for plugin in PLUGINS {
        let rendered = render(&[&options[..], &["--plugin", plugin]].concat());
        let file = format!("envoy/istio/{}.yaml", plugin.replace('_', "-"));
        let documents = shipped::yaml_documents(&file).unwrap();
        let shipped = documents.into_iter().find(|document| document["kind"] == "WasmPlugin").unwrap();
        assert_eq!(rendered, shipped, "{file}");
    }
}

#[test]
fn for_envoy_gateway_it_is_an_extension_policy() {
    let policy: Value = shipped::yaml("envoy/policy.yaml").unwrap();
    let rendered = render(&[
        "--policy",
        "envoy/policy.yaml",
        "--envoy-gateway",
        "--namespace",
        "shop",
        "--target",
        "HTTPRoute/shop",
        "--image",
        "oci://registry.example/suite:1.0",
    ]);
    let wanted = json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyExtensionPolicy",
        "metadata": { "name": "sluicegate-suite", "namespace": "shop" },
        "spec": {
            "targetRefs": [{ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "shop" }],
            "wasm": [{
                "name": "suite",
                "rootID": "suite",
                "code": { "type": "Image", "image": { "url": "registry.example/suite:1.0" } },
                "config": policy,
            }],
        },
    });
    assert_eq!(rendered, wanted);
    let by_http = ["--policy", "envoy/policy.yaml", "--envoy-gateway", "--image", "https://files.example/suite.wasm"];
    let code = &render(&by_http)["spec"]["wasm"][0]["code"];
    assert_eq!(code, &json!({ "type": "HTTP", "http": { "url": "https://files.example/suite.wasm" } }));
}

#[test]
fn the_variables_of_secrets_reach_the_vm() {
    let files = Files::new();
    let file = files.write("policy.yaml", "version: '1.0'\nsampling: { force: { secret: { env: FORCE } } }\n");
    let with = |carrier| render(&["--policy", &file, carrier]);
    let envoy = with("--envoy");
    let vm = &envoy["resources"][0]["typed_config"]["config"]["vm_config"];
    assert_eq!(vm["environment_variables"], json!({ "host_env_keys": ["FORCE"] }));
    let istio = with("--wasmplugin");
    assert_eq!(istio["spec"]["vmConfig"], json!({ "env": [{ "name": "FORCE", "valueFrom": "HOST" }] }));
    assert_eq!(with("--envoy-gateway")["spec"]["wasm"][0]["env"], json!({ "hostKeys": ["FORCE"] }));
}

#[test]
fn what_is_rendered_is_checked_before_and_passes_after() {
    let files = Files::new();
    let bad = run(&["render", "--policy", &files.write("bad.yaml", "version: '2.0'\n"), "--wasmplugin"]);
    bad.assert_code(1);
    assert!(bad.out.is_empty() && bad.err.contains("version: found \"2.0\""), "{}", bad.all());
    // What YAML's readers take for something else stays what it was.
    let odd = r#"{"version": "1.0", "service": {"name": "no", "version": "1e3", "namespace": "0x10", "environment": "12:30"}}"#;
    let odd = files.write("odd.json", odd);
    for carrier in ["--envoy", "--wasmplugin", "--envoy-gateway"] {
        let manifest = run(&["render", "--policy", &odd, carrier]);
        for text in ["\"no\"", "\"1e3\"", "\"0x10\"", "\"12:30\""] {
            assert!(manifest.out.contains(text), "{}", manifest.out);
        }
        run(&["check", &files.write("manifest.yaml", &manifest.out)]).assert_code(0);
    }
}

#[test]
fn options_that_mean_nothing_are_refused() {
    let table: [&[&str]; 11] = [
        &[],
        &["--envoy", "--wasmplugin"],
        &["--envoy", "--namespace", "shop"],
        &["--envoy", "--image", "oci://registry.example/suite:1.0"],
        &["--wasmplugin", "--target", "Gateway/eg"],
        &["--envoy-gateway", "--target", "Service/shop"],
        &["--envoy-gateway", "--image", "file:///x.wasm"],
        &["--envoy-gateway", "--image", "s3://bucket/x.wasm"],
        &["--envoy-gateway", "--image", "/x.wasm"],
        &["--envoy-gateway", "--image", "oci://file:x.wasm"],
        &["--wasmplugin", "--selector", "app"],
    ];
    for args in table {
        run(&[&["render", "--policy", "envoy/policy.yaml"], args].concat()).assert_code(2);
    }
    // It says what Envoy Gateway takes.
    let file = run(&["render", "--policy", "envoy/policy.yaml", "--envoy-gateway", "--image", "file:///x.wasm"]);
    for said in ["oci://", "http://", "https://", "\"file:///x.wasm\""] {
        assert!(file.err.contains(said), "{}", file.all());
    }
}
