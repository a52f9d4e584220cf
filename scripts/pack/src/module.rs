//! Takes out of a compiled module what its filter does not use.

use anyhow::{Context, Result};
use walrus::{ModuleConfig, passes};

use crate::callbacks::Callbacks;

/// The custom section in which `plugin!` of `filters/host` leaves the names of the callbacks that the filter implements.
const SECTION: &str = "sluicegate.callbacks";

/// A module without what its filter does not use.
pub(crate) struct Trimmed {
    /// The module.
    pub(crate) bytes: Vec<u8>,
    /// The callback exports that it still has.
    pub(crate) kept: Callbacks,
}

/// Removes the callback exports that the filter does not implement, all code that only they reached, and every section
/// that nobody reads at run time.
pub(crate) fn trim(compiled: &[u8]) -> Result<Trimmed> {
    let mut config = ModuleConfig::new();
    config.generate_name_section(false).generate_producers_section(false);
    let mut module = config.parse(compiled).context("not a WebAssembly module")?;

    let section = module.customs.remove_raw(SECTION).with_context(|| {
        format!(
            "the module has no section {SECTION}, so nobody knows which callbacks its filter implements; does it use \
             plugin! of sluicegate-host?"
        )
    })?;
    let implemented = Callbacks::parse(&section.data)?;
    let exported = Callbacks::among(module.exports.iter().map(|export| export.name.as_str()));
    let kept = exported.kept_for(&implemented)?;

    let unused: Vec<_> =
        module.exports.iter().filter(|export| kept.lack(&export.name)).map(|export| export.id()).collect();
    for export in unused {
        module.exports.delete(export);
    }
    let notes: Vec<_> = module.customs.iter().map(|(id, _)| id).collect();
    for note in notes {
        module.customs.delete(note);
    }
    passes::gc::run(&mut module);
    Ok(Trimmed { bytes: module.emit_wasm(), kept })
}

#[cfg(test)]
mod tests {
    use super::*;
    use walrus::Module;

    /// A module in which each callback has a function of its own, as one of the SDK has.
    fn compiled(sections: &str) -> Vec<u8> {
        let text = format!(
            r#"(module
                (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
                (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
                (memory (export "memory") 1)
                (func (export "_initialize"))
                (func (export "proxy_abi_version_0_2_1"))
                (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 0)
                (func (export "proxy_on_context_create") (param i32 i32))
                (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
                (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1)
                (func (export "proxy_on_delete") (param i32))
                (func (export "proxy_on_done") (param i32) (result i32) i32.const 1)
                (func (export "proxy_on_log") (param i32)
                    (drop (call $log (i32.const 0) (i32.const 0) (i32.const 0))))
                (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) i32.const 0)
                (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
                    (call $tick (i32.const 7)))
                (@custom "target_features" "\01+\0bsign-ext123")
                {sections})"#
        );
        wat::parse_str(text).unwrap()
    }

    fn listing(names: &str) -> Vec<u8> {
        compiled(&format!(r#"(@custom "sluicegate.callbacks" "{names}")"#))
    }

    fn error(compiled: &[u8]) -> String {
        format!("{:#}", trim(compiled).err().unwrap())
    }

    #[test]
    fn only_what_the_filter_implements_and_the_host_needs_stays_exported() {
        let trimmed = trim(&listing(r"proxy_on_request_headers\0aproxy_on_log\00\00")).unwrap();
        let module = Module::from_buffer(&trimmed.bytes).expect("the trimmed module validates");
        let mut exports: Vec<&str> = module.exports.iter().map(|export| export.name.as_str()).collect();
        exports.sort_unstable();
        assert_eq!(
            exports,
            [
                "_initialize",
                "memory",
                "proxy_abi_version_0_2_1",
                "proxy_on_configure",
                "proxy_on_context_create",
                "proxy_on_delete",
                "proxy_on_log",
                "proxy_on_memory_allocate",
                "proxy_on_request_headers",
                "proxy_on_vm_start",
            ]
        );
        assert_eq!(
            trimmed.kept.short_names(),
            "configure, context_create, delete, log, memory_allocate, request_headers, vm_start"
        );
    }

    #[test]
    fn an_allocator_by_the_name_of_malloc_stays() {
        let text = r#"(module
            (func (export "malloc") (param i32) (result i32) i32.const 0)
            (func (export "proxy_on_done") (param i32) (result i32) i32.const 1)
            (@custom "sluicegate.callbacks" "\00"))"#;
        let trimmed = trim(&wat::parse_str(text).unwrap()).unwrap();
        let module = Module::from_buffer(&trimmed.bytes).unwrap();
        let exports: Vec<&str> = module.exports.iter().map(|export| export.name.as_str()).collect();
        assert_eq!(exports, ["malloc"]);
    }

    #[test]
    fn code_that_only_a_removed_callback_reached_is_gone() {
        let trimmed = trim(&listing("proxy_on_log")).unwrap();
        let module = Module::from_buffer(&trimmed.bytes).unwrap();
        let imports: Vec<&str> = module.imports.iter().map(|import| import.name.as_str()).collect();
        assert_eq!(imports, ["proxy_log"], "the tick hostcall was used in response_body alone");
    }

    #[test]
    fn no_custom_section_is_left() {
        let trimmed = trim(&listing("proxy_on_log")).unwrap();
        let module = Module::from_buffer(&trimmed.bytes).unwrap();
        let left: Vec<&str> = module.customs.iter().map(|(_, section)| section.name()).collect();
        assert!(left.is_empty(), "{left:?}");
        // The walrus above takes in the name section, so it is looked for in the bytes: its length, then its name.
        let text = trimmed.bytes.escape_ascii().to_string();
        assert!(!text.contains(r"\x04name"), "{text}");
    }

    #[test]
    fn a_module_that_does_not_tell_its_callbacks_is_refused() {
        assert!(error(&compiled("")).contains("no section sluicegate.callbacks"));
        assert!(error(b"\x7fELF").contains("not a WebAssembly module"));
    }

    #[test]
    fn a_callback_that_is_listed_but_not_exported_is_named() {
        let error = error(&listing(r"proxy_on_log\0aproxy_on_tick"));
        assert!(error.contains("implements proxy_on_tick,"), "{error}");
    }

    #[test]
    fn a_name_that_is_no_callback_is_named() {
        let error = error(&listing("memory"));
        assert!(error.contains("\"memory\""), "{error}");
    }
}
