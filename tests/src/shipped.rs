//! Where the files of this repository lie: the configuration that users copy, and the built modules.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The root of the repository, as an absolute path.
///
/// # Errors
/// When the directory this crate was built from is gone.
pub fn root() -> Result<PathBuf> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = tests.parent().context("the tests crate has no parent directory")?;
    root.canonicalize().with_context(|| format!("{} is not there", root.display()))
}

/// The text of a file, by its path from the root of the repository.
///
/// # Errors
/// When it cannot be read.
pub fn text(path: impl AsRef<Path>) -> Result<String> {
    let path = root()?.join(path);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// A YAML file with one document, by its path from the root of the repository.
///
/// # Errors
/// When it cannot be read or is not YAML.
pub fn yaml(path: impl AsRef<Path>) -> Result<Value> {
    let path = path.as_ref();
    serde_saphyr::from_str(&text(path)?).with_context(|| format!("{} is not valid YAML", path.display()))
}

/// A YAML file with any number of documents, by its path from the root of the repository.
///
/// # Errors
/// When it cannot be read or is not YAML.
pub fn yaml_documents(path: impl AsRef<Path>) -> Result<Vec<Value>> {
    let path = path.as_ref();
    serde_saphyr::from_multiple(&text(path)?).with_context(|| format!("{} is not valid YAML", path.display()))
}

/// A module that `scripts/build` made, such as `plugin("trace_context")`. `SLUICEGATE_PLUGINS` names another folder than
/// `target/plugins`.
///
/// # Errors
/// When it has not been built.
pub fn plugin(name: &str) -> Result<PathBuf> {
    let folder = match std::env::var_os("SLUICEGATE_PLUGINS") {
        Some(folder) => PathBuf::from(folder),
        None => root()?.join("target/plugins"),
    };
    let path = folder.join(format!("{name}.wasm"));
    ensure!(path.is_file(), "{} is not there: run scripts/build", path.display());
    path.canonicalize().with_context(|| format!("cannot resolve {}", path.display()))
}
