//! The Envoy that is under test.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The program, from `ENVOY_BIN`. Not simply the first on the PATH: what is tested must be what was meant.
///
/// # Errors
/// When the variable is not set or names no file.
pub fn binary() -> Result<PathBuf> {
    let Some(binary) = std::env::var_os("ENVOY_BIN") else {
        bail!("ENVOY_BIN is not set: it must name the Envoy to test with (scripts/test and scripts/demo see to that)");
    };
    let binary = PathBuf::from(binary);
    ensure!(binary.is_file(), "ENVOY_BIN names {}, which is no file", binary.display());
    Ok(binary)
}

/// Its release, such as `1.40.0`.
///
/// # Errors
/// When it cannot be run or says something else than Envoy does.
pub fn version() -> Result<String> {
    let output = Command::new(binary()?).arg("--version").output().context("cannot run Envoy")?;
    // envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL
    let text = String::from_utf8_lossy(&output.stdout);
    text.split('/')
        .find(|part| part.starts_with(|c: char| c.is_ascii_digit()) && part.contains('.'))
        .map(str::to_owned)
        .with_context(|| format!("no version in `{}`", text.trim()))
}

/// Lets Envoy check a configuration file, from `directory`, which its relative paths begin at.
///
/// # Errors
/// When Envoy rejects it; the error is what Envoy says.
pub fn validate(config: &Path, directory: &Path) -> Result<()> {
    let output = Command::new(binary()?)
        .args(["--mode", "validate", "--disable-hot-restart", "--log-level", "warning", "-c"])
        .arg(config)
        .current_dir(directory)
        .output()
        .context("cannot run Envoy")?;
    ensure!(
        output.status.success(),
        "Envoy rejects {}:\n{}{}",
        config.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
