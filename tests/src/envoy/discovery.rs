//! The plugins that an Envoy discovers, each from a file of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::bootstrap::set;
use crate::shipped;

const WASM_CONFIG: &str = "/resources/0/typed_config/config";
const NO_WASM_CONFIG: &str = "no Wasm configuration in the discovery file";

/// A plugin of a configuration: an HTTP filter that is discovered from a file.
#[derive(Clone, Debug)]
pub(super) struct Plugin {
    /// The name of the HTTP filter.
    pub(super) name: String,
    /// Instead of the one that the file names.
    pub(super) module: Option<PathBuf>,
    /// What the file holds: Envoy's `DiscoveryResponse`.
    response: Value,
}

impl Plugin {
    /// Those of a configuration, each with the file that it names, in the order of the filters.
    pub(super) fn all(config: &mut Value) -> Result<Vec<Plugin>> {
        let mut plugins = Vec::new();
        for filter in discovered_filters(config) {
            let name = name(filter).context("a filter without a name")?.to_owned();
            let path =
                source(filter)?.get("path").and_then(Value::as_str).context("the discovery source has no path")?;
            plugins.push(Plugin { name, module: None, response: shipped::yaml(path)? });
        }
        ensure!(!plugins.is_empty(), "no HTTP filter is discovered from a file");
        Ok(plugins)
    }

    /// Its `envoy.extensions.wasm.v3.PluginConfig`.
    pub(super) fn config(&mut self) -> Result<&mut Value> {
        self.response.pointer_mut(WASM_CONFIG).context(NO_WASM_CONFIG)
    }

    /// Writes its file into `folder`, with this policy or the one that it has, and where it stands into `config`.
    pub(super) fn write(&self, folder: &Path, policy: Option<&str>, config: &mut Value) -> Result<Discovery> {
        let file = folder.join(&self.name).with_extension("yaml");
        for filter in discovered_filters(config) {
            if name(filter) == Some(&self.name) {
                set(source(filter)?, "path", json!(file));
            }
        }
        let mut response = self.response.clone();
        let filename = response.pointer_mut(&format!("{WASM_CONFIG}/vm_config/code/local/filename"));
        let filename = filename.context("the discovery file names no module")?;
        let module = match &self.module {
            Some(module) => module.clone(),
            None => {
                let name = filename.as_str().map(Path::new).and_then(Path::file_stem).and_then(|stem| stem.to_str());
                shipped::plugin(name.context("the discovery file names no module")?)?
            }
        };
        *filename = json!(module);
        let discovery = Discovery { plugin: self.name.clone(), file, response };
        match policy {
            Some(policy) => discovery.swap_policy(policy)?,
            None => discovery.swap(&discovery.response.to_string())?,
        }
        Ok(discovery)
    }
}

/// The file that a running Envoy discovers a plugin from.
#[derive(Clone, Debug)]
pub(super) struct Discovery {
    /// The name of the HTTP filter.
    pub(super) plugin: String,
    file: PathBuf,
    response: Value,
}

impl Discovery {
    /// The same plugin with another policy.
    pub(super) fn swap_policy(&self, policy: &str) -> Result<()> {
        let mut response = self.response.clone();
        let plugin = response.pointer_mut(WASM_CONFIG).context(NO_WASM_CONFIG)?;
        let configuration = json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": policy});
        set(plugin, "configuration", configuration);
        self.swap(&response.to_string())
    }

    /// Puts this text in the place of the file, in one step: Envoy watches for the move.
    pub(super) fn swap(&self, text: &str) -> Result<()> {
        let aside = self.file.with_extension("new");
        std::fs::write(&aside, text).with_context(|| format!("cannot write {}", aside.display()))?;
        std::fs::rename(&aside, &self.file).with_context(|| format!("cannot replace {}", self.file.display()))
    }
}

/// Takes every discovered filter but the ones of this name out of the chains.
pub(super) fn keep_only(config: &mut Value, plugin: &str) {
    match config {
        Value::Object(fields) => fields.values_mut().for_each(|value| keep_only(value, plugin)),
        Value::Array(items) => {
            items.retain(|item| !is_discovered(item) || name(item) == Some(plugin));
            items.iter_mut().for_each(|item| keep_only(item, plugin));
        }
        _ => {}
    }
}

/// Every HTTP filter that is discovered, of whichever listener.
fn discovered_filters(config: &mut Value) -> Vec<&mut Value> {
    if is_discovered(config) {
        return vec![config];
    }
    match config {
        Value::Object(fields) => fields.values_mut().flat_map(discovered_filters).collect(),
        Value::Array(items) => items.iter_mut().flat_map(discovered_filters).collect(),
        _ => Vec::new(),
    }
}

fn is_discovered(value: &Value) -> bool {
    value.get("config_discovery").is_some()
}

fn name(filter: &Value) -> Option<&str> {
    filter.get("name").and_then(Value::as_str)
}

fn source(filter: &mut Value) -> Result<&mut Value> {
    let source = filter.pointer_mut("/config_discovery/config_source/path_config_source");
    source.context("a filter is discovered from something else than a file")
}
