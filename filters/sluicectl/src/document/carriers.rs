//! Manifests, and the policies in them: an Istio `WasmPlugin`, an `EnvoyExtensionPolicy` of Envoy Gateway, and what Envoy's
//! extension config discovery reads.

use super::Policy;
use super::json;
use super::tree::{self, Node};

const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";
const STRING: &str = "type.googleapis.com/google.protobuf.StringValue";

/// Whether this is no policy but what carries one. A policy has none of these fields.
pub(super) fn is_manifest(node: &Node) -> bool {
    (node.get("apiVersion").is_some() && node.get("kind").is_some())
        || node.get("resources").is_some()
        || node.get("typed_config").is_some()
}

/// The policies in a manifest; `text` is what its file holds.
pub(super) fn policies(node: &Node, text: &str) -> Vec<Policy> {
    let policy = |carried: &Node| {
        let bytes = json::compact(carried).into_bytes();
        Policy { bytes, tree: Some(carried.clone()), text: text.to_owned() }
    };
    match node.get("kind").and_then(Node::text) {
        Some("WasmPlugin") => node.dig(&["spec", "pluginConfig"]).map(policy).into_iter().collect(),
        Some("EnvoyExtensionPolicy") => {
            let wasm = node.dig(&["spec", "wasm"]).map(Node::items).unwrap_or_default();
            wasm.iter().filter_map(|wasm| wasm.get("config")).map(policy).collect()
        }
        // What `kubectl get` makes of several.
        Some("List") => {
            let items = node.get("items").map(Node::items).unwrap_or_default();
            items.iter().filter(|item| item.get("items").is_none()).flat_map(|item| policies(item, text)).collect()
        }
        Some(_) => Vec::new(),
        None => {
            let resources = node.get("resources").map(Node::items).unwrap_or_default();
            let filters = resources.iter().chain([node]);
            let configurations = filters.filter_map(|f| f.dig(&["typed_config", "config", "configuration"]));
            configurations.filter_map(|configuration| of_any(configuration, text)).collect()
        }
    }
}

/// What a `google.protobuf.Any` holds: YAML as a `Struct`, or JSON as a string.
fn of_any(configuration: &Node, text: &str) -> Option<Policy> {
    let value = configuration.get("value")?;
    match configuration.get("@type").and_then(Node::text)? {
        STRUCT => {
            let bytes = json::compact(value).into_bytes();
            Some(Policy { bytes, tree: Some(value.clone()), text: text.to_owned() })
        }
        // Its places are within the string.
        STRING => {
            let inner = value.text()?;
            let nodes = tree::parse(inner).ok().filter(|_| super::holds_json(inner.as_bytes()));
            let tree = nodes.and_then(|nodes| nodes.into_iter().next());
            Some(Policy { bytes: inner.as_bytes().to_vec(), tree, text: inner.to_owned() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::document::File;

    fn policies(text: &str) -> Vec<String> {
        let file = File::of("manifest.yaml", text.into()).unwrap();
        let policies = file.policies.map_err(|error| error.message).unwrap();
        policies.iter().map(|policy| String::from_utf8_lossy(&policy.bytes).into_owned()).collect()
    }

    #[test]
    fn every_carrier_gives_its_policy() {
        let table = [
            "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nspec: { pluginConfig: { version: '1.0' } }",
            "kind: WasmPlugin\napiVersion: x\nspec: { pluginConfig: { version: '1.0' } }\n---\napiVersion: v1\nkind: Pod\n",
            "apiVersion: x\nkind: EnvoyExtensionPolicy\nspec: { wasm: [{ config: { version: '1.0' } }, { name: x }] }",
            "kind: List\napiVersion: v1\nitems:\n- kind: WasmPlugin\n  spec: { pluginConfig: { version: '1.0' } }\n- kind: List\n  items: []",
            "resources: [{ typed_config: { config: { configuration: {
                '@type': type.googleapis.com/google.protobuf.Struct, value: { version: '1.0' } } } } }]",
            "typed_config: { config: { configuration: {
                '@type': type.googleapis.com/google.protobuf.StringValue, value: '{\"version\":\"1.0\"}' } } }",
        ];
        for text in table {
            assert_eq!(policies(text), [r#"{"version":"1.0"}"#], "{text}");
        }
    }

    #[test]
    fn a_manifest_without_a_policy_is_none() {
        for text in ["apiVersion: v1\nkind: Pod", "resources: []", "kind: WasmPlugin\napiVersion: x\nspec: {}"] {
            assert!(File::of("x.yaml", text.into()).is_err(), "{text}");
        }
    }
}
