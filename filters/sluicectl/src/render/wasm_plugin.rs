//! An Istio `WasmPlugin`; as in `envoy/istio/`.

use super::{Manifest, Plugin};
use crate::document::tree::{Node, Value};
use anyhow::{Result, ensure};

pub(super) fn write(manifest: &Manifest<'_>) -> Result<(&'static str, Node)> {
    let (phase, priority) = place(manifest.args.plugin);
    let mut spec = Vec::new();
    if let Some(labels) = labels(&manifest.args.selectors)? {
        spec.push(("selector", Node::of_fields(vec![("matchLabels", labels)])));
    }
    let mode = Node::of_fields(vec![("mode", Node::of_text("CLIENT_AND_SERVER"))]);
    spec.extend([
        ("url", Node::of_text(manifest.image())),
        ("pluginName", Node::of_text(manifest.args.plugin.name())),
        ("phase", Node::of_text(phase)),
        ("priority", number(priority)),
        // Istio 1.27 and later; before, FAIL_CLOSE.
        ("failStrategy", Node::of_text("FAIL_RELOAD")),
        ("match", Node::of_items(vec![mode])),
    ]);
    let of_host = |name: &Node| Node::of_fields(vec![("name", name.clone()), ("valueFrom", Node::of_text("HOST"))]);
    if let Some(variables) = manifest.variables("env", of_host) {
        spec.push(("vmConfig", Node::of_fields(vec![variables])));
    }
    spec.push(("pluginConfig", manifest.policy.clone()));
    let document = Node::of_fields(vec![
        ("apiVersion", Node::of_text("extensions.istio.io/v1alpha1")),
        ("kind", Node::of_text("WasmPlugin")),
        ("metadata", manifest.metadata()),
        ("spec", Node::of_fields(spec)),
    ]);
    Ok(("", document))
}

/// Where in the chain of filters a plugin stands: contexts and decisions first, so that all that follows sees them; what
/// judges and records the upstream's work last.
fn place(plugin: Plugin) -> (&'static str, i64) {
    match plugin {
        Plugin::Suite | Plugin::TraceContext => ("AUTHN", 1000),
        Plugin::Sampler => ("AUTHN", 900),
        Plugin::Breaker => ("STATS", 0),
        Plugin::AccessLog => ("STATS", -1000),
    }
}

fn number(number: i64) -> Node {
    let value = u64::try_from(number).map_or(Value::Negative(number), Value::Unsigned);
    Node { value, ..Node::of_text("") }
}

fn labels(selectors: &[String]) -> Result<Option<Node>> {
    let mut labels = Vec::new();
    for selector in selectors {
        let (label, value) = selector.split_once('=').unwrap_or_default();
        ensure!(!label.is_empty(), "not a selector: {selector:?}; such as app=checkout");
        labels.push((label, Node::of_text(value)));
    }
    Ok((!labels.is_empty()).then(|| Node::of_fields(labels)))
}
