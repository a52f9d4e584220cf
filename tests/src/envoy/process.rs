//! A running Envoy, and the ways to look into it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use super::access_log::AccessLog;
use super::bootstrap::Bootstrap;
use super::discovery::Discovery;
use super::{Stats, binary};
use crate::client::{Protocol, Reply, Request};

/// Envoy compiles the module before it is ready; a busy machine takes its time.
const READY: Duration = Duration::from_secs(60);
/// Between two looks at something that is waited for.
const POLL: Duration = Duration::from_millis(10);
/// How much of the log an error shows.
const LOG_TAIL: usize = 30;

/// A running Envoy. Dropping it kills the process and removes its files.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    folder: TempDir,
    discoveries: Vec<Discovery>,
    access_log: AccessLog,
    admin: SocketAddr,
    listeners: Vec<(String, SocketAddr)>,
}

impl Envoy {
    pub(super) async fn start(bootstrap: Bootstrap) -> Result<Self> {
        let folder = TempDir::with_prefix("sluicegate-envoy-").context("cannot make a temporary folder")?;
        let written = bootstrap.write(folder.path())?;
        let log = File::create(log_file(folder.path())).context("cannot create the log")?;
        let admin_address = folder.path().join("admin-address");

        let mut command = Command::new(binary()?);
        // No hot restart: several Envoys run side by side, and none takes over from another.
        command.arg("--disable-hot-restart").arg("-c").arg(&written.config);
        command.arg("--admin-address-path").arg(&admin_address);
        command.args(["--concurrency", &bootstrap.concurrency.to_string()]);
        // Access logs reach their file as soon as anybody looks; Envoy's default is ten seconds.
        command.args(["--file-flush-interval-msec", &POLL.as_millis().to_string()]);
        if bootstrap.wasm_trace {
            command.args(["--component-log-level", "wasm:trace"]);
        }
        command.args(&bootstrap.arguments).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("cannot start Envoy")?;

        let mut envoy = Self {
            child,
            folder,
            discoveries: written.discoveries,
            access_log: written.access_log,
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            listeners: Vec::new(),
        };
        envoy.ready(&admin_address).await?;
        Ok(envoy)
    }

    /// Where the (first) listener takes requests.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listeners.first().map_or(self.admin, |(_, address)| *address)
    }

    /// Where the listener of this name takes requests.
    #[must_use]
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        self.listeners.iter().find(|(listener, _)| listener == name).map(|(_, address)| *address)
    }

    /// The (first) listener as a URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The admin interface.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The process id, for those who measure it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A page of the admin interface, such as `/config_dump`.
    ///
    /// # Errors
    /// When it does not answer with 200.
    pub async fn admin_get(&self, path: &str) -> Result<String> {
        let reply = self.admin_reply(path).await?;
        ensure!(reply.status == 200, "the admin interface answers {path} with {}: {}", reply.status, reply.text());
        Ok(reply.text())
    }

    async fn admin_reply(&self, path: &str) -> Result<Reply> {
        Request::get(path).send(self.admin, Protocol::Http1).await
    }

    /// All counters, gauges and histograms, as Prometheus would scrape them.
    ///
    /// # Errors
    /// When the admin interface does not answer, or not in Prometheus' format.
    pub async fn stats(&self) -> Result<Stats> {
        self.admin_get("/stats/prometheus").await?.parse()
    }

    /// Waits until the sum over all series of this name with these labels is at least `least`, and returns it.
    ///
    /// # Errors
    /// When it is not so within `patience`; the error says what the sum was last.
    pub async fn wait_for_stat(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        least: f64,
        patience: Duration,
    ) -> Result<f64> {
        let started = Instant::now();
        loop {
            let sum = self.stats().await?.sum(name, labels);
            if let Some(sum) = sum.filter(|sum| *sum >= least) {
                return Ok(sum);
            }
            ensure!(started.elapsed() < patience, "{name}{labels:?} is {sum:?}, not {least}, after {patience:?}");
            sleep(POLL).await;
        }
    }

    /// The log so far. What is not UTF-8 in it shows as U+FFFD.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn log(&self) -> Result<String> {
        let log = std::fs::read(log_file(self.folder.path())).context("cannot read Envoy's log")?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    /// Waits for a line with this text in the log and returns the first such line.
    ///
    /// # Errors
    /// When there is none within `patience`; the error ends with the last lines of the log.
    pub async fn wait_for_log(&self, text: &str, patience: Duration) -> Result<String> {
        let started = Instant::now();
        loop {
            let log = self.log()?;
            if let Some(line) = log.lines().find(|line| line.contains(text)) {
                return Ok(line.to_owned());
            }
            ensure!(started.elapsed() < patience, "no `{text}` in the log after {patience:?}:\n{}", tail(&log));
            sleep(POLL).await;
        }
    }

    /// What the access logger printed so far: its complete lines.
    ///
    /// # Errors
    /// When this Envoy has no access logger that prints, or what it printed is not UTF-8.
    pub fn access_log(&self) -> Result<String> {
        self.access_log.read()
    }

    /// Waits until the access logger has printed at least so many complete lines, and returns all that it printed.
    ///
    /// # Errors
    /// When it has not within `patience`; the error ends with the last lines that there are.
    pub async fn wait_for_access_log(&self, lines: usize, patience: Duration) -> Result<Vec<String>> {
        let started = Instant::now();
        loop {
            let log = self.access_log()?;
            let printed: Vec<_> = log.lines().map(str::to_owned).collect();
            if printed.len() >= lines {
                return Ok(printed);
            }
            let count = printed.len();
            ensure!(started.elapsed() < patience, "{count} lines of {lines} after {patience:?}:\n{}", tail(&log));
            sleep(POLL).await;
        }
    }

    /// The names of the plugins, in the order of the filter chain.
    pub fn plugins(&self) -> impl Iterator<Item = &str> {
        self.discoveries.iter().map(|discovery| discovery.plugin.as_str())
    }

    /// Puts another policy in force for all plugins, or tries to: each takes it or rejects it on its own, and
    /// [`Envoy::swapped`] tells what became of it.
    ///
    /// # Errors
    /// When a discovery file cannot be written.
    pub fn swap_policy(&self, policy: &Value) -> Result<()> {
        self.swap_policy_text(&policy.to_string())
    }

    /// The same with a policy that need not be JSON.
    ///
    /// # Errors
    /// When a discovery file cannot be written.
    pub fn swap_policy_text(&self, policy: &str) -> Result<()> {
        self.discoveries.iter().try_for_each(|discovery| discovery.swap_policy(policy))
    }

    /// Replaces the whole discovery file of a plugin, such as with one that is broken.
    ///
    /// # Errors
    /// When there is no such plugin, or the file cannot be written.
    pub fn swap_discovery(&self, plugin: &str, text: &str) -> Result<()> {
        let discovery = self.discoveries.iter().find(|discovery| discovery.plugin == plugin);
        discovery.with_context(|| format!("no plugin {plugin} in this Envoy"))?.swap(text)
    }

    /// How many discovered configurations of a plugin came into force so far, the first included, and how many were
    /// rejected.
    ///
    /// # Errors
    /// When there is no such plugin, or the admin interface does not answer.
    pub async fn swapped(&self, plugin: &str) -> Result<(u64, u64)> {
        let prefix = format!("extension_config_discovery.http_filter.{plugin}.");
        let stats = self.admin_get(&format!("/stats?filter={prefix}")).await?;
        let count = |name: &str| {
            let line = stats.lines().find(|line| line.contains(&prefix) && line.contains(name));
            line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
                .with_context(|| format!("no stat {prefix}…{name}"))
        };
        Ok((count(".update_success")?, count(".update_rejected")?))
    }

    /// Waits until [`Envoy::swapped`] counts at least so many successes and rejections.
    ///
    /// # Errors
    /// When it does not within `patience`; the error ends with the last lines of the log.
    pub async fn wait_for_swaps(
        &self,
        plugin: &str,
        successes: u64,
        rejections: u64,
        patience: Duration,
    ) -> Result<()> {
        let started = Instant::now();
        loop {
            let (succeeded, rejected) = self.swapped(plugin).await?;
            if succeeded >= successes && rejected >= rejections {
                return Ok(());
            }
            if started.elapsed() > patience {
                bail!(
                    "{plugin}: {succeeded} policies in force and {rejected} rejected after {patience:?}:\n{}",
                    tail(&self.log()?)
                );
            }
            sleep(POLL).await;
        }
    }

    async fn ready(&mut self, admin_address: &Path) -> Result<()> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("cannot ask after Envoy")? {
                bail!("Envoy exited with {status}:\n{}", tail(&self.log()?));
            }
            if let Ok(address) = std::fs::read_to_string(admin_address)
                && let Ok(address) = address.parse()
            {
                self.admin = address;
                if self.admin_reply("/ready").await.is_ok_and(|reply| reply.status == 200) {
                    break;
                }
            }
            ensure!(started.elapsed() < READY, "Envoy is not ready after {READY:?}:\n{}", tail(&self.log()?));
            sleep(POLL).await;
        }
        self.listeners = listeners(&self.admin_get("/listeners?format=json").await?)?;
        ensure!(!self.listeners.is_empty(), "Envoy has no listener:\n{}", tail(&self.log()?));
        Ok(())
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // Both fail only if it has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("envoy.log")
}

/// Names and addresses from the admin interface's `/listeners?format=json`.
fn listeners(json: &str) -> Result<Vec<(String, SocketAddr)>> {
    let json: Value = serde_json::from_str(json).context("the list of listeners is no JSON")?;
    let statuses = json.get("listener_statuses").and_then(Value::as_array);
    statuses
        .into_iter()
        .flatten()
        .map(|listener| {
            let name = listener.get("name").and_then(Value::as_str).context("a listener without a name")?;
            let address = listener.pointer("/local_address/socket_address").context("a listener without an address")?;
            let host = address.get("address").and_then(Value::as_str).context("a listener without a host")?;
            let port = address.get("port_value").and_then(Value::as_u64).context("a listener without a port")?;
            Ok((name.to_owned(), SocketAddr::new(host.parse()?, u16::try_from(port)?)))
        })
        .collect()
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines.get(lines.len().saturating_sub(LOG_TAIL)..).unwrap_or_default().join("\n")
}
