//! Compiles a plugin for `wasm32-wasip1`.

use std::env;
use std::ffi::OsString;
use std::io::BufReader;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use cargo_metadata::Message;
use cargo_metadata::camino::Utf8PathBuf;

use crate::plugin::{Plugin, Source};

/// A cargo that can compile for wasm.
pub(crate) struct WasmCargo(OsString);

impl WasmCargo {
    /// `WASM_CARGO`, else the cargo that runs this program, else the one on `PATH`.
    pub(crate) fn from_env() -> Self {
        let path = env::var_os("WASM_CARGO").or_else(|| env::var_os("CARGO"));
        Self(path.unwrap_or_else(|| "cargo".into()))
    }

    /// Compiles a plugin, or finds that nothing changed, and tells where its module lies. Cargo reports on stderr.
    pub(crate) fn compile(&self, plugin: &Plugin) -> Result<Utf8PathBuf> {
        let mut command = Command::new(&self.0);
        command.args(["rustc", "--release", "--target", "wasm32-wasip1", "--crate-type", "cdylib"]);
        // Where the modules lie is cargo's to say: the wrapper of `scripts/setup` may have a target folder of its own.
        command.args(["--message-format", "json-render-diagnostics", "--package", &plugin.package]);
        for feature in &plugin.features {
            command.args(["--features", feature]);
        }
        match plugin.source {
            Source::Library => command.arg("--lib"),
            Source::Example => command.args(["--example", &plugin.name]),
        };
        let mut cargo = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", self.0.display()))?;
        let messages = cargo.stdout.take().context("cargo has no output")?;
        let mut module = None;
        for message in Message::parse_stream(BufReader::new(messages)) {
            if let Message::CompilerArtifact(artefact) = message.context("cannot read what cargo reports")?
                && is_of(&artefact, plugin)
            {
                module = artefact.filenames.into_iter().find(|file| file.extension() == Some("wasm")).or(module);
            }
        }
        ensure!(cargo.wait()?.success(), "it does not compile; what cargo says stands above");
        module.context("cargo made no module")
    }
}

/// Whether cargo reports the plugin itself, not one of its dependencies.
fn is_of(artefact: &cargo_metadata::Artifact, plugin: &Plugin) -> bool {
    match plugin.source {
        Source::Example => artefact.target.is_example() && artefact.target.name == plugin.name,
        Source::Library => {
            artefact.target.crate_types.contains(&cargo_metadata::CrateType::CDyLib)
                && artefact.target.name == plugin.package.replace('-', "_")
        }
    }
}
