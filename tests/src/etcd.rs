//! A real etcd: one process with data of its own, spoken to over its JSON gateway. It can be killed and restarted, lose
//! its data, hang, ask for a password, and speak TLS.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use sluicegate_tests::envoy::Bootstrap;
//! use sluicegate_tests::etcd::Etcd;
//!
//! let mut etcd = Etcd::start().await?;
//! let envoy = Bootstrap::shipped()?.grpc_cluster("etcd", etcd.address()).start().await?;
//! let revision = etcd.put("/sluicegate/policy", r#"{"version": "1.0"}"#).await?;
//! etcd.compact(revision).await?;
//! etcd.kill();
//! // … is gone …
//! etcd.restart().await?;
//! // … is back, with all that was put …
//! etcd.wipe().await?;
//! // … counts its revisions from the beginning …
//! etcd.pause()?;
//! // … takes connections and says nothing …
//! etcd.resume()?;
//! # Ok(())
//! # }
//! ```

mod binary;
mod certificates;
mod gateway;
#[cfg(test)]
mod tests;

use std::fs::{File, remove_dir_all};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::client::{Protocol, Request};
use crate::envoy::Stats;
use crate::port::Port;
use certificates::Certificates;
use gateway::Gateway;

pub use binary::binary;
pub use gateway::Entry;

/// It takes half a second, and more on a busy machine.
const READY: Duration = Duration::from_secs(30);
/// Between two looks at something that is waited for.
const POLL: Duration = Duration::from_millis(10);
/// How much of the log an error shows.
const LOG_TAIL: usize = 30;

/// An etcd, running or killed. Dropping it kills the process and removes its data.
#[derive(Debug)]
pub struct Etcd {
    process: Option<Child>,
    folder: TempDir,
    client: Port,
    peer: Port,
    tls: Option<Tls>,
    gateway: Gateway,
}

/// What an etcd with TLS has besides.
#[derive(Debug)]
struct Tls {
    certificates: Certificates,
    /// Without TLS, for the kit itself.
    gate: Port,
}

impl Etcd {
    /// Starts one on free ports of the loopback interface, and waits until it is healthy.
    ///
    /// # Errors
    /// When `ETCD_BIN` names none, or it does not come up; the error ends with the last lines of its log.
    pub async fn start() -> Result<Self> {
        Self::begin(new_folder()?, None).await
    }

    /// Starts one that takes no connection without TLS at [`Self::address`]. What this type itself puts and gets goes
    /// another way.
    ///
    /// # Errors
    /// When `ETCD_BIN` names none, or it does not come up; the error ends with the last lines of its log.
    pub async fn start_tls() -> Result<Self> {
        let folder = new_folder()?;
        let certificates = Certificates::make(folder.path())?;
        Self::begin(folder, Some(Tls { certificates, gate: Port::reserve()? })).await
    }

    async fn begin(folder: TempDir, tls: Option<Tls>) -> Result<Self> {
        let (client, peer) = (Port::reserve()?, Port::reserve()?);
        let gateway = Gateway::new(tls.as_ref().map_or(client.address(), |tls| tls.gate.address()));
        let mut etcd = Self { process: None, folder, client, peer, tls, gateway };
        etcd.restart().await?;
        Ok(etcd)
    }

    /// Where it takes clients, when it runs.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.client.address()
    }

    /// [`Self::address`] as etcd's own tools want it: `http://127.0.0.1:2379`, or `https:` with TLS.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// The certificate, in PEM, that whoever connects over TLS has to trust; none without TLS.
    #[must_use]
    pub fn ca(&self) -> Option<&Path> {
        Some(&self.tls.as_ref()?.certificates.ca)
    }

    /// The process id, for those who measure it; none when it was killed.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Puts a value and returns its revision.
    ///
    /// # Errors
    /// When etcd does not answer, or refuses.
    pub async fn put(&self, key: &str, value: impl AsRef<[u8]>) -> Result<u64> {
        self.gateway.put(key, value.as_ref()).await
    }

    /// What a key holds now; none when there is no such key.
    ///
    /// # Errors
    /// When etcd does not answer, or refuses.
    pub async fn get(&self, key: &str) -> Result<Option<Entry>> {
        self.gateway.get(key).await
    }

    /// Deletes a key, if there is such a key, and returns etcd's revision then.
    ///
    /// # Errors
    /// When etcd does not answer, or refuses.
    pub async fn delete(&self, key: &str) -> Result<u64> {
        self.gateway.delete(key).await
    }

    /// Forgets what was before a revision: whoever watches from there on is told so and cancelled.
    ///
    /// # Errors
    /// When etcd does not answer, or has not come to this revision, or has forgotten it already.
    pub async fn compact(&self, revision: u64) -> Result<()> {
        self.gateway.compact(revision).await
    }

    /// From now on nobody gets in without a password. This user may read this key and nothing else; what this type
    /// itself puts and gets is root's doing.
    ///
    /// # Errors
    /// When etcd does not answer, or refuses.
    pub async fn enable_auth(&mut self, user: &str, password: &str, key: &str) -> Result<()> {
        self.gateway.enable_auth(user, password, key).await
    }

    /// etcd's own metrics.
    ///
    /// # Errors
    /// When it does not answer, or not in Prometheus' format.
    pub async fn stats(&self) -> Result<Stats> {
        let reply = Request::get("/metrics").send(self.gateway.address(), Protocol::Http1).await?;
        ensure!(reply.status == 200, "etcd answers /metrics with {}", reply.status);
        reply.text().parse()
    }

    /// How many watches it holds at the moment.
    ///
    /// # Errors
    /// When it does not tell.
    pub async fn watchers(&self) -> Result<f64> {
        let count = self.stats().await?.sum("etcd_debugging_mvcc_watcher_total", &[]);
        count.context("etcd does not count its watchers")
    }

    /// Kills the process. Its data stays.
    pub fn kill(&mut self) {
        self.gateway.disconnect();
        if let Some(mut process) = self.process.take() {
            // Both fail only if it has already exited.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again on the same port with its data, and waits until it is healthy. Where it still runs, it is killed
    /// first.
    ///
    /// # Errors
    /// When it does not come up; the error ends with the last lines of its log.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        self.process = Some(self.command()?.spawn().context("cannot start etcd")?);
        self.ready().await
    }

    /// Kills it, removes its data, and starts it again on the same port: a cluster of the same id, whose revisions begin
    /// over, and where nobody needs a password.
    ///
    /// # Errors
    /// When the data cannot be removed, or it does not come up.
    pub async fn wipe(&mut self) -> Result<()> {
        self.kill();
        self.gateway.forget_auth();
        remove_dir_all(self.data()).context("cannot remove etcd's data")?;
        self.restart().await
    }

    /// Freezes the process: it still has its port and its connections, and nobody gets a word out of it.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<()> {
        let pid = self.signal(Signal::STOP)?;
        // Not before all of its threads have stopped.
        waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED).context("etcd did not stop")?;
        Ok(())
    }

    /// Lets a frozen process go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT).map(drop)
    }

    /// The log so far, of all its lives: warnings and errors.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn log(&self) -> Result<String> {
        let log = std::fs::read(self.log_file()).context("cannot read etcd's log")?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    fn signal(&self, signal: Signal) -> Result<Pid> {
        let pid = Pid::from_child(self.process.as_ref().context("etcd does not run")?);
        kill_process(pid, signal).context("cannot signal etcd")?;
        Ok(pid)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("etcd.log")
    }

    fn command(&self) -> Result<Command> {
        let log = File::options().create(true).append(true).open(self.log_file()).context("cannot create the log")?;
        let client = self.endpoint();
        let peer = format!("http://{}", self.peer.address());
        let mut command = Command::new(binary()?);
        // It takes every variable that begins with ETCD_ for a flag.
        command.env_clear();
        if cfg!(target_arch = "aarch64") {
            // Else 3.4 does not run there.
            command.env("ETCD_UNSUPPORTED_ARCH", "arm64");
        }
        command.args(["--name", "sluicegate", "--logger", "zap", "--log-level", "warn", "--data-dir"]).arg(self.data());
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("sluicegate={peer}"), "--advertise-client-urls", &client]);
        match &self.tls {
            None => {
                command.args(["--listen-client-urls", &client]);
            }
            Some(Tls { certificates, gate }) => {
                command.args(["--listen-client-urls", &format!("{client},http://{}", gate.address())]);
                command.arg("--cert-file").arg(&certificates.server);
                command.arg("--key-file").arg(&certificates.server_key);
            }
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    async fn ready(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            let process = self.process.as_mut().context("etcd does not run")?;
            if let Some(status) = process.try_wait().context("cannot ask after etcd")? {
                bail!("etcd exited with {status}:\n{}", tail(&self.log()?));
            }
            if self.healthy().await.is_some_and(|healthy| healthy) {
                return Ok(());
            }
            ensure!(started.elapsed() < READY, "etcd is not ready after {READY:?}:\n{}", tail(&self.log()?));
            sleep(POLL).await;
        }
    }

    /// What it says of itself, if it says anything.
    async fn healthy(&self) -> Option<bool> {
        let reply = Request::get("/health").send(self.gateway.address(), Protocol::Http1).await.ok()?;
        Some(reply.json().ok()?.get("health")? == &json!("true"))
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn new_folder() -> Result<TempDir> {
    TempDir::with_prefix("sluicegate-etcd-").context("cannot make a temporary folder")
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines.get(lines.len().saturating_sub(LOG_TAIL)..).unwrap_or_default().join("\n")
}
