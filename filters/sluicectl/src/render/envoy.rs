//! What Envoy's extension config discovery reads from a file; as in `envoy/ecds/`.

use super::Manifest;
use crate::document::tree::Node;

const HEAD: &str = "\
# For `config_discovery` of an HTTP filter. Write it under another name and move it into place: Envoy watches for the move.
";

pub(super) fn write(manifest: &Manifest<'_>) -> (&'static str, Node) {
    let plugin = manifest.args.plugin.name();
    let name = manifest.args.name.clone().unwrap_or_else(|| plugin.to_owned());
    let file = manifest.args.image.clone().unwrap_or_else(|| format!("target/plugins/{plugin}.wasm"));
    let code = Node::of_fields(vec![("local", Node::of_fields(vec![("filename", Node::of_text(file))]))]);
    let environment = manifest
        .variables("host_env_keys", Node::clone)
        .map(|keys| ("environment_variables", Node::of_fields(vec![keys])));
    let vm = [
        // Plugins of one vm_id share their shared data, and it outlives a change of policy.
        ("vm_id", Node::of_text("sluicegate")),
        ("runtime", Node::of_text("envoy.wasm.runtime.v8")),
        ("code", code),
    ];
    let backoff = Node::of_fields(vec![("base_interval", Node::of_text("1s"))]);
    let configuration = Node::of_fields(vec![
        ("@type", Node::of_text("type.googleapis.com/google.protobuf.Struct")),
        ("value", manifest.policy.clone()),
    ]);
    let config = Node::of_fields(vec![
        ("configuration", configuration),
        ("name", Node::of_text(plugin)),
        ("root_id", Node::of_text(plugin)),
        ("failure_policy", Node::of_text("FAIL_RELOAD")),
        ("reload_config", Node::of_fields(vec![("backoff", backoff)])),
        ("vm_config", Node::of_fields(vm.into_iter().chain(environment).collect())),
    ]);
    let filter = Node::of_fields(vec![
        ("@type", Node::of_text("type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm")),
        ("config", config),
    ]);
    let resource = Node::of_fields(vec![
        ("@type", Node::of_text("type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig")),
        ("name", Node::of_text(name)),
        ("typed_config", filter),
    ]);
    (HEAD, Node::of_fields(vec![("resources", Node::of_items(vec![resource]))]))
}
