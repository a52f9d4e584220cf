//! What Envoy's access loggers print, in a file instead of on standard output.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::bootstrap::set;

const STDOUT: &str = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
const FILE: &str = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";

/// The file of a running Envoy.
#[derive(Clone, Debug)]
pub(super) struct AccessLog(PathBuf);

impl AccessLog {
    /// Has every logger of the configuration that prints to standard output print into a file in `folder`, in the same
    /// format and through the same filter.
    pub(super) fn redirect(config: &mut Value, folder: &Path) -> AccessLog {
        let file = folder.join("access.log");
        for logger in loggers(config) {
            set(logger, "name", json!("envoy.access_loggers.file"));
            if let Some(config) = logger.get_mut("typed_config") {
                set(config, "@type", json!(FILE));
                set(config, "path", json!(file));
            }
        }
        AccessLog(file)
    }

    /// The complete lines so far. Envoy writes in blocks, whose last line may go on in the next.
    pub(super) fn read(&self) -> Result<String> {
        let mut log = std::fs::read(&self.0).context("cannot read the access log: has this Envoy an access logger?")?;
        let complete = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last.saturating_add(1));
        log.truncate(complete);
        String::from_utf8(log).context("the access log is not UTF-8")
    }
}

/// Every logger that prints to standard output.
fn loggers(config: &mut Value) -> Vec<&mut Value> {
    if config.pointer("/typed_config/@type").is_some_and(|kind| kind == STDOUT) {
        return vec![config];
    }
    match config {
        Value::Object(fields) => fields.values_mut().flat_map(loggers).collect(),
        Value::Array(items) => items.iter_mut().flat_map(loggers).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(log: &[u8]) -> Result<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), log).unwrap();
        AccessLog(file.path().to_owned()).read()
    }

    #[test]
    fn a_line_is_read_when_it_is_complete() {
        assert_eq!(read(b"").unwrap(), "");
        assert_eq!(read(b"{}").unwrap(), "");
        assert_eq!(read(b"{}\n\n{").unwrap(), "{}\n\n");
        // A block may end within a character.
        assert_eq!(read("é\né".as_bytes().split_last().unwrap().1).unwrap(), "é\n");
    }

    #[test]
    fn a_log_that_is_not_utf8_is_an_error() {
        assert!(read(b"\xff\n").is_err());
    }

    #[test]
    fn the_format_and_the_filter_of_a_logger_stay() {
        let logger = json!({
            "name": "envoy.access_loggers.stdout",
            "filter": {"duration_filter": {}},
            "typed_config": {"@type": STDOUT, "log_format": {"omit_empty_values": true}},
        });
        let other = json!({"name": "other", "typed_config": {"@type": "type.googleapis.com/other"}});
        let mut config = json!({"listeners": [{"access_log": [logger, other.clone()]}]});
        let log = AccessLog::redirect(&mut config, Path::new("/folder"));
        assert_eq!(log.0, Path::new("/folder/access.log"));
        let redirected = json!({
            "name": "envoy.access_loggers.file",
            "filter": {"duration_filter": {}},
            "typed_config": {"@type": FILE, "path": "/folder/access.log", "log_format": {"omit_empty_values": true}},
        });
        assert_eq!(config, json!({"listeners": [{"access_log": [redirected, other]}]}));
    }
}
