//! Binaryen's `wasm-opt`, which makes smaller and faster what rustc and LLVM left.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, ensure};

/// What rustc uses beyond the first WebAssembly since LLVM 20; all of it is in every V8 that Envoy ships. Said here and
/// not read from the module's `target_features`, because older releases of binaryen stop at features they do not know.
const ARGUMENTS: [&str; 7] = [
    "-O3",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// `wasm-opt`, and a folder that remembers what it made of what, as it takes seconds.
pub(crate) struct WasmOpt {
    program: OsString,
    version: Vec<u8>,
    memory: PathBuf,
}

impl WasmOpt {
    /// The program that `WASM_OPT` names, if it is set.
    pub(crate) fn from_env(memory: &Path) -> Result<Option<Self>> {
        match env::var_os("WASM_OPT") {
            Some(program) if !program.is_empty() => Self::new(&program, memory).map(Some),
            _ => Ok(None),
        }
    }

    fn new(program: &OsStr, memory: &Path) -> Result<Self> {
        let output = Command::new(program)
            .arg("--version")
            .output()
            .with_context(|| format!("cannot run {}, which WASM_OPT names", program.display()))?;
        Ok(Self { program: program.to_owned(), version: output.stdout, memory: memory.to_owned() })
    }

    /// The optimised form of a module. `name` tells modules apart in the folder.
    pub(crate) fn optimise(&self, name: &str, module: &[u8]) -> Result<Vec<u8>> {
        let file = |kind: &str| self.memory.join(format!("{name}.{kind}"));
        let (input, output, recipe) = (file("wasm"), file("optimised"), file("recipe"));
        let wanted = [&self.version, ARGUMENTS.join(" ").as_bytes(), b"\n", module].concat();
        if fs::read(&recipe).is_ok_and(|made_from| made_from == wanted)
            && let Ok(optimised) = fs::read(&output)
        {
            return Ok(optimised);
        }
        crate::replace(&input, module)?;
        let status = Command::new(&self.program)
            .args(ARGUMENTS)
            .arg(&input)
            .arg("--output")
            .arg(&output)
            .status()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        ensure!(status.success(), "wasm-opt failed on {} ({status}); what it says stands above", input.display());
        let optimised = fs::read(&output).with_context(|| format!("cannot read {}", output.display()))?;
        crate::replace(&recipe, &wanted)?;
        Ok(optimised)
    }
}
