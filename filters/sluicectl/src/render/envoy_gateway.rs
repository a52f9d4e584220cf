//! An `EnvoyExtensionPolicy` of Envoy Gateway (`gateway.envoyproxy.io/v1alpha1`).
//!
//! Envoy Gateway gives each extension a VM and a vm_id of its own, so plugins that are configured one by one share no data; and
//! it knows no reload of a VM that trapped.

use super::Manifest;
use crate::document::tree::Node;
use anyhow::{Result, ensure};

const KINDS: [&str; 3] = ["Gateway", "HTTPRoute", "GRPCRoute"];

/// No valid name for a gateway: whoever applies it is told.
const TARGET: &str = "Gateway/GATEWAY";

pub(super) fn write(manifest: &Manifest<'_>) -> Result<(&'static str, Node)> {
    let target = manifest.args.target.as_deref().unwrap_or(TARGET);
    let (kind, name) = target.split_once('/').unwrap_or_default();
    ensure!(
        KINDS.contains(&kind) && !name.is_empty(),
        "not a target: {target:?}; such as Gateway/eg; the kinds are {}",
        KINDS.join(", ")
    );
    let target = Node::of_fields(vec![
        ("group", Node::of_text("gateway.networking.k8s.io")),
        ("kind", Node::of_text(kind)),
        ("name", Node::of_text(name)),
    ]);
    let mut wasm = vec![
        ("name", Node::of_text(manifest.args.plugin.name())),
        ("rootID", Node::of_text(manifest.args.plugin.name())),
        ("code", code(&manifest.image())?),
        ("config", manifest.policy.clone()),
    ];
    if let Some(variables) = manifest.variables("hostKeys", Node::clone) {
        wasm.push(("env", Node::of_fields(vec![variables])));
    }
    let spec = Node::of_fields(vec![
        ("targetRefs", Node::of_items(vec![target])),
        ("wasm", Node::of_items(vec![Node::of_fields(wasm)])),
    ]);
    let document = Node::of_fields(vec![
        ("apiVersion", Node::of_text("gateway.envoyproxy.io/v1alpha1")),
        ("kind", Node::of_text("EnvoyExtensionPolicy")),
        ("metadata", manifest.metadata()),
        ("spec", spec),
    ]);
    Ok(("", document))
}

/// Images are named without a scheme here; a module may also come over HTTP. There is no third source.
fn code(image: &str) -> Result<Node> {
    let source = |url: &str| Node::of_fields(vec![("url", Node::of_text(url))]);
    if image.starts_with("http://") || image.starts_with("https://") {
        return Ok(Node::of_fields(vec![("type", Node::of_text("HTTP")), ("http", source(image))]));
    }
    let url = image.strip_prefix("oci://").unwrap_or(image);
    ensure!(
        url.starts_with(|first: char| first.is_ascii_alphanumeric())
            && !url.contains("://")
            && !url.starts_with("file:"),
        "--image with --envoy-gateway is an OCI image, such as oci://registry.example/sluicegate/suite:1.0, or an http:// or \
         https:// URL: Envoy Gateway fetches modules from nowhere else, and not from {image:?}"
    );
    Ok(Node::of_fields(vec![("type", Node::of_text("Image")), ("image", source(url))]))
}
