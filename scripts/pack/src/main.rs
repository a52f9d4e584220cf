//! Turns the filter crates into finished modules: `<target>/plugins/<plugin>.wasm`.
//!
//! A package is a plugin when its manifest says so:
//!
//! ```toml
//! [package.metadata.sluicegate]
//! plugin = "trace_context"
//! ```
//!
//! Each is compiled with its feature `plugin` on, loses the callback exports that its filter does not implement (Envoy
//! enters a module for every callback it exports, on every request), and goes through `wasm-opt` where that is at hand.
//!
//! Two environment variables, both set by `scripts/setup`: `WASM_CARGO` is the cargo that can compile for wasm (default:
//! the one that runs this), `WASM_OPT` is binaryen's `wasm-opt` (default: none, the modules stay larger).

mod callbacks;
mod compile;
mod module;
mod optimise;
mod plugin;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;
use clap::Parser;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::callbacks::Callbacks;
use crate::compile::WasmCargo;
use crate::optimise::WasmOpt;
use crate::plugin::{ExampleName, Plugin};

/// Packs every plugin of the workspace into `<target>/plugins`.
#[derive(Parser)]
struct Options {
    /// Packs an example of a package too, as `<target>/plugins/<example>.wasm`; may be repeated.
    #[arg(long = "example", value_name = "PACKAGE:EXAMPLE")]
    examples: Vec<ExampleName>,
}

/// One row of the table at the end.
struct Packed {
    name: String,
    /// Bytes of the module as cargo left it.
    before: usize,
    /// Bytes of the finished module.
    after: usize,
    kept: Callbacks,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let workspace = MetadataCommand::new()
        .no_deps()
        .exec()
        .context("cannot read the workspace; run scripts/build, or this inside the workspace")?;
    let plugins = plugin::find(&workspace, &options.examples)?;
    let cargo = WasmCargo::from_env();
    let wasm_opt = WasmOpt::from_env(workspace.target_directory.join("pack").as_std_path())?;
    let finished = workspace.target_directory.join("plugins");

    let mut packed = Vec::new();
    for plugin in &plugins {
        let row = pack(plugin, &cargo, wasm_opt.as_ref(), finished.as_std_path())
            .with_context(|| format!("{} of package {}", plugin.name, plugin.package))?;
        packed.push(row);
    }
    println!("\n{}\n{}", finished, table(&packed));
    Ok(())
}

fn pack(plugin: &Plugin, cargo: &WasmCargo, wasm_opt: Option<&WasmOpt>, finished: &Path) -> Result<Packed> {
    let path = cargo.compile(plugin)?;
    let compiled = fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    let trimmed = module::trim(&compiled)?;
    let bytes = match wasm_opt {
        Some(wasm_opt) => wasm_opt.optimise(&plugin.name, &trimmed.bytes)?,
        None => trimmed.bytes,
    };
    replace(&finished.join(format!("{}.wasm", plugin.name)), &bytes)?;
    Ok(Packed { name: plugin.name.clone(), before: compiled.len(), after: bytes.len(), kept: trimmed.kept })
}

/// Writes a file so that whoever reads it, a running Envoy for one, sees the old bytes or the new ones, never a part.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, bytes).with_context(failed)?;
    fs::rename(&unfinished, path).with_context(failed)
}

fn table(packed: &[Packed]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_NO_BORDERS).set_content_arrangement(ContentArrangement::Dynamic).set_header([
        "module",
        "bytes before",
        "bytes after",
        "callbacks kept",
    ]);
    if !table.is_tty() {
        table.set_width(100);
    }
    for row in packed {
        table.add_row([row.name.clone(), row.before.to_string(), row.after.to_string(), row.kept.short_names()]);
    }
    for sizes in [1, 2] {
        if let Some(column) = table.column_mut(sizes) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
