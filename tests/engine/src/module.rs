//! Finds, reads and translates modules.

use std::fmt;
use std::path::{Path, PathBuf};
use wasmi::{CompilationMode, Config, Engine};

/// A module, ready to run as often as one likes.
pub struct Module {
    pub(crate) translated: wasmi::Module,
}

/// A module that cannot be run.
#[derive(Debug)]
pub struct Unusable(String);

impl Module {
    /// A module that `scripts/build` made, such as `suite`. The environment variable `SLUICEGATE_PLUGINS` names another
    /// folder than `target/plugins`.
    ///
    /// # Errors
    /// When it has not been built, or is not WebAssembly.
    pub fn shipped(name: &str) -> Result<Module, Unusable> {
        let plugins = std::env::var_os("SLUICEGATE_PLUGINS").map(PathBuf::from);
        let ours = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
        let path = plugins.unwrap_or_else(ours).join(format!("{name}.wasm"));
        let unusable = |problem: &dyn fmt::Display| Unusable(format!("{}: {problem}", path.display()));
        let bytes = std::fs::read(&path).map_err(|error| unusable(&format_args!("{error}: run scripts/build")))?;
        Module::read(&bytes).map_err(|error| unusable(&error))
    }

    /// A module from its bytes.
    ///
    /// # Errors
    /// When it is not WebAssembly.
    pub fn read(bytes: &[u8]) -> Result<Module, Unusable> {
        let mut config = Config::default();
        // Translated whole and now: else the first call of a function would count its translation.
        config.consume_fuel(true).compilation_mode(CompilationMode::Eager);
        let engine = Engine::new(&config);
        let translated = wasmi::Module::new(&engine, bytes).map_err(|error| Unusable(error.to_string()))?;
        Ok(Module { translated })
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}
