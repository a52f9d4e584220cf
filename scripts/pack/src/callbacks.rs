//! Which callback exports a finished module keeps.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};

/// What every callback export of the proxy-wasm ABI is called.
const PREFIX: &str = "proxy_on_";

/// What the host needs of every module, whatever its filter implements. All but `delete` come with starting it;
/// without `delete` the contexts of finished requests would stay for ever. The host allocates memory in the module with
/// the first of these or with `malloc`, which has no prefix and so is never removed.
const ALWAYS: [&str; 5] = [
    "proxy_on_memory_allocate",
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_delete",
];

/// Names of callback exports, such as `proxy_on_request_headers`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Callbacks(BTreeSet<String>);

impl Callbacks {
    /// Reads the list that a filter leaves in its module: names separated by `\n`, padded with NUL at the end.
    pub(crate) fn parse(section: &[u8]) -> Result<Self> {
        let end = section.iter().position(|byte| *byte == 0).unwrap_or(section.len());
        let (names, padding) = section.split_at(end);
        // The linker joins sections of one name, so a second list would begin behind the padding of the first.
        ensure!(
            padding.iter().all(|byte| *byte == 0),
            "more than one list of callbacks: a module may use plugin! only once (is the feature `plugin` of a \
             dependency on?)"
        );
        let Ok(names) = std::str::from_utf8(names) else {
            bail!("its list of callbacks is not UTF-8: {}", names.escape_ascii());
        };
        let mut callbacks = BTreeSet::new();
        for name in names.lines() {
            ensure!(
                name.strip_prefix(PREFIX).is_some_and(|rest| !rest.is_empty()),
                "its list of callbacks has {name:?}, which is no {PREFIX}…"
            );
            callbacks.insert(name.to_owned());
        }
        Ok(Self(callbacks))
    }

    /// Those of a module's exports that are callbacks.
    pub(crate) fn among<'a>(exports: impl Iterator<Item = &'a str>) -> Self {
        Self(exports.filter(|name| name.starts_with(PREFIX)).map(str::to_owned).collect())
    }

    /// Of these exported callbacks, the ones that stay for a filter that implements `implemented`.
    ///
    /// Fails when the filter claims a callback that is not exported: its host would never call it.
    pub(crate) fn kept_for(&self, implemented: &Self) -> Result<Self> {
        let missing = Self(implemented.0.difference(&self.0).cloned().collect());
        ensure!(
            missing.0.is_empty(),
            "the filter implements {missing}, but the module exports no such function; its callbacks are {self}"
        );
        let stays = |name: &&String| implemented.0.contains(*name) || ALWAYS.contains(&name.as_str());
        Ok(Self(self.0.iter().filter(stays).cloned().collect()))
    }

    /// Whether an export of this name goes: a callback that is not among these.
    pub(crate) fn lack(&self, export: &str) -> bool {
        export.starts_with(PREFIX) && !self.0.contains(export)
    }

    /// For people: without the prefix that all share.
    pub(crate) fn short_names(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|name| name.strip_prefix(PREFIX).unwrap_or(name)).collect();
        names.join(", ")
    }
}

impl std::fmt::Display for Callbacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_padding_is_no_name() {
        let parsed = Callbacks::parse(b"proxy_on_log\nproxy_on_tick\n\0\0\0").unwrap();
        assert_eq!(parsed.to_string(), "proxy_on_log, proxy_on_tick");
        assert_eq!(Callbacks::parse(b"\0\0").unwrap(), Callbacks::default());
        assert_eq!(Callbacks::parse(b"proxy_on_log").unwrap().to_string(), "proxy_on_log", "a full section");
    }

    #[test]
    fn what_is_no_list_of_callbacks_is_named() {
        let cases: [(&[u8], &str); 5] = [
            (b"proxy_on_log\nmalloc\0", "\"malloc\""),
            (b"proxy_on_\0", "\"proxy_on_\""),
            (b"proxy_on_log\n\nproxy_on_tick\0", "\"\""),
            (b"proxy_on_\xff\0", "proxy_on_\\xff"),
            (b"proxy_on_log\0\0proxy_on_tick\0", "only once"),
        ];
        for (section, named) in cases {
            let error = Callbacks::parse(section).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
