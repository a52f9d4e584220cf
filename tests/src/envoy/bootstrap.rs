//! The configuration that users copy, changed only where a test must: ports, paths, and what the test is about.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Envoy;
use crate::shipped;

const LISTENERS: &str = "/static_resources/listeners";
const CONNECTION_MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
const UPSTREAM: &str =
    "/static_resources/clusters/0/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
const WASM_CONFIG: &str = "/resources/0/typed_config/config";

/// An Envoy to start: its configuration, and the file with the filter and its policy that it discovers.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    config: Value,
    discovery: Value,
    upstream: Option<SocketAddr>,
    module: Option<PathBuf>,
    policy: Option<String>,
    pub(super) concurrency: u32,
    pub(super) wasm_trace: bool,
    pub(super) arguments: Vec<String>,
}

/// The files that an Envoy is started from.
pub(super) struct Written {
    pub(super) config: PathBuf,
    pub(super) discovery: Discovery,
}

impl Bootstrap {
    /// `envoy/envoy.yaml`, with the example policy.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn shipped() -> Result<Self> {
        Self::read("envoy/envoy.yaml")
    }

    /// A configuration of this repository, with the discovery file that it names.
    ///
    /// # Errors
    /// When one of the two cannot be read.
    pub fn read(path: &str) -> Result<Self> {
        let mut config = shipped::yaml(path)?;
        let source = discovery_sources(&mut config).into_iter().next();
        let source = source.context("no HTTP filter is discovered from a file")?;
        let discovery = source.get("path").and_then(Value::as_str).context("the discovery source has no path")?;
        let discovery = shipped::yaml(discovery)?;
        Ok(Self {
            config,
            discovery,
            upstream: None,
            module: None,
            policy: None,
            concurrency: 2,
            wasm_trace: false,
            arguments: Vec::new(),
        })
    }

    /// The service behind it.
    #[must_use]
    pub fn upstream(mut self, address: SocketAddr) -> Self {
        self.upstream = Some(address);
        self
    }

    /// Another module than the built one of the same name as in the discovery file.
    #[must_use]
    pub fn module(mut self, path: &Path) -> Self {
        self.module = Some(path.to_owned());
        self
    }

    /// The policy, instead of the example.
    #[must_use]
    pub fn policy(self, policy: &Value) -> Self {
        self.policy_text(&policy.to_string())
    }

    /// A policy that need not be JSON.
    #[must_use]
    pub fn policy_text(mut self, policy: &str) -> Self {
        self.policy = Some(policy.to_owned());
        self
    }

    /// How many worker threads; 2 if nothing is said.
    #[must_use]
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// Logs every call between Envoy and the module, as `[host->vm] …` and `[vm->host] …`.
    #[must_use]
    pub fn wasm_trace(mut self) -> Self {
        self.wasm_trace = true;
        self
    }

    /// One more command-line argument for Envoy.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// The `traffic_direction` of the listener: `INBOUND`, `OUTBOUND` or `UNSPECIFIED`.
    #[must_use]
    pub fn direction(self, direction: &str) -> Self {
        self.edit_listener(|listener| set(listener, "traffic_direction", json!(direction)))
    }

    /// Spreads connections evenly over the workers, so that as many connections as workers reach every one of them.
    #[must_use]
    pub fn balanced(self) -> Self {
        self.edit_listener(|listener| set(listener, "connection_balance_config", json!({"exact_balance": {}})))
    }

    /// Lets requests and responses with headers of so many KiB in total and so many of them pass the codecs, on both
    /// sides; Envoy's defaults are 60 KiB and 100.
    ///
    /// # Errors
    /// When the configuration has no connection manager or no cluster.
    pub fn header_limits(self, kib: u32, count: u32) -> Result<Self> {
        let mut bootstrap = self.edit_connection_manager(|manager| {
            set(manager, "max_request_headers_kb", json!(kib));
            set(manager, "common_http_protocol_options", json!({"max_headers_count": count}));
        })?;
        let options = bootstrap
            .config
            .pointer_mut("/static_resources/clusters/0/typed_extension_protocol_options")
            .and_then(Value::as_object_mut)
            .and_then(|options| options.values_mut().next())
            .context("the upstream cluster has no protocol options")?;
        set(
            options,
            "common_http_protocol_options",
            json!({"max_headers_count": count, "max_response_headers_kb": kib}),
        );
        Ok(bootstrap)
    }

    /// Puts another HTTP filter before the first.
    ///
    /// # Errors
    /// When the configuration has no HTTP filters.
    pub fn filter_ahead(self, filter: Value) -> Result<Self> {
        self.edit_connection_manager(|manager| {
            if let Some(filters) = manager.get_mut("http_filters").and_then(Value::as_array_mut) {
                filters.insert(0, filter);
            }
        })
    }

    /// Any other change to the configuration.
    #[must_use]
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    /// Any other change to the (first) listener.
    #[must_use]
    pub fn edit_listener(mut self, change: impl FnOnce(&mut Value)) -> Self {
        if let Some(listener) = self.config.pointer_mut(LISTENERS).and_then(|listeners| listeners.get_mut(0)) {
            change(listener);
        }
        self
    }

    /// Any other change to the HTTP connection manager of the (first) listener.
    ///
    /// # Errors
    /// When there is none.
    pub fn edit_connection_manager(mut self, change: impl FnOnce(&mut Value)) -> Result<Self> {
        change(self.config.pointer_mut(CONNECTION_MANAGER).context("no HTTP connection manager in the listener")?);
        Ok(self)
    }

    /// Any other change to the plugin: Envoy's `envoy.extensions.wasm.v3.PluginConfig`.
    ///
    /// # Errors
    /// When the discovery file holds none.
    pub fn edit_plugin(mut self, change: impl FnOnce(&mut Value)) -> Result<Self> {
        change(self.discovery.pointer_mut(WASM_CONFIG).context("no Wasm configuration in the discovery file")?);
        Ok(self)
    }

    /// Starts it and waits until it takes requests. With a policy that the filter rejects it starts as well, and fails
    /// closed: see its log.
    ///
    /// # Errors
    /// When Envoy does not come up; the error ends with the last lines of its log.
    pub async fn start(self) -> Result<Envoy> {
        Envoy::start(self).await
    }

    /// Writes the files that Envoy reads into `folder`.
    pub(super) fn write(&self, folder: &Path) -> Result<Written> {
        let mut config = self.config.clone();
        let discovery = self.discovery(folder)?;
        for source in discovery_sources(&mut config) {
            set(source, "path", json!(discovery.file));
        }

        let any_port = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
        if let Some(admin) = config.get_mut("admin") {
            set(admin, "address", any_port.clone());
        }
        for listener in config.pointer_mut(LISTENERS).and_then(Value::as_array_mut).into_iter().flatten() {
            set(listener, "address", any_port.clone());
        }
        if let Some(upstream) = self.upstream {
            let address = config.pointer_mut(UPSTREAM).context("no upstream cluster in the configuration")?;
            *address = json!({"address": upstream.ip().to_string(), "port_value": upstream.port()});
        }
        let file = folder.join("envoy.json");
        std::fs::write(&file, config.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Written { config: file, discovery })
    }

    fn discovery(&self, folder: &Path) -> Result<Discovery> {
        let mut response = self.discovery.clone();
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
        let discovery = Discovery { file: folder.join("discovery.yaml"), response };
        match &self.policy {
            Some(policy) => discovery.swap_policy(policy)?,
            None => discovery.swap(&discovery.response.to_string())?,
        }
        Ok(discovery)
    }
}

/// The file that a running Envoy discovers its filter from.
#[derive(Clone, Debug)]
pub(super) struct Discovery {
    file: PathBuf,
    response: Value,
}

impl Discovery {
    /// The same plugin with another policy.
    pub(super) fn swap_policy(&self, policy: &str) -> Result<()> {
        let mut response = self.response.clone();
        let plugin = response.pointer_mut(WASM_CONFIG).context("no Wasm configuration in the discovery file")?;
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

/// Every `path_config_source`, of whichever listener.
fn discovery_sources(config: &mut Value) -> Vec<&mut Value> {
    match config {
        Value::Object(fields) => fields
            .iter_mut()
            .flat_map(|(name, value)| match name.as_str() {
                "path_config_source" => vec![value],
                _ => discovery_sources(value),
            })
            .collect(),
        Value::Array(items) => items.iter_mut().flat_map(discovery_sources).collect(),
        _ => Vec::new(),
    }
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}
