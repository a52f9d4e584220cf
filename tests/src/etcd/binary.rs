//! The etcd that the tests start.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

/// The program, from `ETCD_BIN`.
///
/// # Errors
/// When the variable is not set or names no file.
pub fn binary() -> Result<PathBuf> {
    let Some(binary) = std::env::var_os("ETCD_BIN") else {
        bail!("ETCD_BIN is not set: it must name the etcd to test with (scripts/test sees to that)");
    };
    let binary = PathBuf::from(binary);
    ensure!(binary.is_file(), "ETCD_BIN names {}, which is no file", binary.display());
    Ok(binary)
}
