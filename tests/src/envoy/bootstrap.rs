//! The configuration that users copy, changed only where a test must: ports, paths, and what the test is about.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Envoy;
use super::access_log::AccessLog;
use super::discovery::{Discovery, Plugin, keep_only};
use crate::shipped;

const CLUSTERS: &str = "/static_resources/clusters";
const LISTENERS: &str = "/static_resources/listeners";
const CONNECTION_MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
/// Of a cluster's first endpoint.
const SOCKET: &str = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
const UPSTREAM: &str =
    "/static_resources/clusters/0/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";

/// An Envoy to start: its configuration, and the plugins with their policy that it discovers.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    config: Value,
    plugins: Vec<Plugin>,
    upstream: Option<SocketAddr>,
    policy: Option<String>,
    pub(super) concurrency: u32,
    pub(super) wasm_trace: bool,
    pub(super) arguments: Vec<String>,
}

/// The files that an Envoy is started from.
pub(super) struct Written {
    pub(super) config: PathBuf,
    pub(super) discoveries: Vec<Discovery>,
    pub(super) access_log: AccessLog,
}

impl Bootstrap {
    /// `envoy/envoy.yaml`, with the example policy.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn shipped() -> Result<Self> {
        Self::read("envoy/envoy.yaml")
    }

    /// A configuration of this repository, with the discovery files that it names.
    ///
    /// # Errors
    /// When one of them cannot be read, or it discovers no plugin.
    pub fn read(path: &str) -> Result<Self> {
        let mut config = shipped::yaml(path)?;
        let plugins = Plugin::all(&mut config)?;
        Ok(Self {
            config,
            plugins,
            upstream: None,
            policy: None,
            concurrency: 2,
            wasm_trace: false,
            arguments: Vec::new(),
        })
    }

    /// Takes all plugins out of the filter chain but this one, such as `trace_context`. What is not discovered stays, the
    /// access logger included: without `access_log` it has nothing to print.
    ///
    /// # Errors
    /// When the configuration has no such plugin.
    pub fn only(mut self, plugin: &str) -> Result<Self> {
        self.plugin(plugin)?;
        self.plugins.retain(|other| other.name == plugin);
        keep_only(&mut self.config, plugin);
        Ok(self)
    }

    /// The service behind it.
    #[must_use]
    pub fn upstream(mut self, address: SocketAddr) -> Self {
        self.upstream = Some(address);
        self
    }

    /// Another module for a plugin than the built one that its discovery file names.
    ///
    /// # Errors
    /// When the configuration has no such plugin.
    pub fn module(mut self, plugin: &str, path: &Path) -> Result<Self> {
        self.plugin(plugin)?.module = Some(path.to_owned());
        Ok(self)
    }

    /// The policy of all plugins, instead of the example.
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

    /// Another endpoint for a cluster of the configuration than the one that it names.
    ///
    /// # Errors
    /// When the configuration has no such cluster, or it names no endpoint.
    pub fn endpoint(mut self, cluster: &str, address: SocketAddr) -> Result<Self> {
        let clusters = self.config.pointer_mut(CLUSTERS).and_then(Value::as_array_mut);
        let found = clusters.into_iter().flatten().find(|found| found.get("name") == Some(&json!(cluster)));
        let socket = found.and_then(|found| found.pointer_mut(SOCKET));
        *socket.with_context(|| format!("no cluster {cluster} with an endpoint in the configuration"))? =
            json!({"address": address.ip().to_string(), "port_value": address.port()});
        Ok(self)
    }

    /// Adds a cluster with one endpoint, spoken to over HTTP/1.1.
    #[must_use]
    pub fn cluster(self, name: &str, address: SocketAddr) -> Self {
        self.add_cluster(name, address, json!({}))
    }

    /// Adds a cluster with one endpoint, spoken to over HTTP/2 without TLS, as gRPC wants it.
    #[must_use]
    pub fn grpc_cluster(self, name: &str, address: SocketAddr) -> Self {
        self.add_cluster(name, address, http2())
    }

    /// Adds a cluster with one endpoint, spoken to over HTTP/2 and TLS. Its certificate must be for the IP of `address`,
    /// and signed by what is in the PEM file `ca`.
    #[must_use]
    pub fn tls_grpc_cluster(self, name: &str, address: SocketAddr, ca: &Path) -> Self {
        let ip = json!({"san_type": "IP_ADDRESS", "matcher": {"exact": address.ip().to_string()}});
        let trusted = json!({"trusted_ca": {"filename": ca}, "match_typed_subject_alt_names": [ip]});
        let tls = json!({
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {"validation_context": trusted},
        });
        let mut options = http2();
        set(&mut options, "transport_socket", json!({"name": "envoy.transport_sockets.tls", "typed_config": tls}));
        self.add_cluster(name, address, options)
    }

    fn add_cluster(self, name: &str, address: SocketAddr, mut cluster: Value) -> Self {
        let address = json!({"address": address.ip().to_string(), "port_value": address.port()});
        let endpoint = json!({"endpoint": {"address": {"socket_address": address}}});
        let assignment = json!({"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]});
        set(&mut cluster, "name", json!(name));
        set(&mut cluster, "type", json!("STATIC"));
        set(&mut cluster, "load_assignment", assignment);
        self.edit(|config| {
            if let Some(clusters) = config.pointer_mut(CLUSTERS).and_then(Value::as_array_mut) {
                clusters.push(cluster);
            }
        })
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

    /// Any other change to a plugin: Envoy's `envoy.extensions.wasm.v3.PluginConfig`.
    ///
    /// # Errors
    /// When the configuration has no such plugin, or its discovery file does not hold one.
    pub fn edit_plugin(mut self, plugin: &str, change: impl FnOnce(&mut Value)) -> Result<Self> {
        change(self.plugin(plugin)?.config()?);
        Ok(self)
    }

    fn plugin(&mut self, name: &str) -> Result<&mut Plugin> {
        let plugin = self.plugins.iter_mut().find(|plugin| plugin.name == name);
        plugin.with_context(|| format!("no plugin {name} in the configuration"))
    }

    /// Starts it and waits until it takes requests. With a policy that a filter rejects it starts as well, and fails
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
        let mut discoveries = Vec::new();
        for plugin in &self.plugins {
            discoveries.push(plugin.write(folder, self.policy.as_deref(), &mut config)?);
        }
        let access_log = AccessLog::redirect(&mut config, folder);

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
        Ok(Written { config: file, discoveries, access_log })
    }
}

/// The fields of a cluster that is spoken to over HTTP/2, whatever the client speaks.
fn http2() -> Value {
    let options = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    });
    json!({"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}})
}

pub(super) fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}
