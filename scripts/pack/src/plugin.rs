//! Which targets of the workspace become modules.

use std::collections::BTreeSet;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail, ensure};
use cargo_metadata::{CrateType, Metadata, Package, Target};

/// What to compile, and the name of the module that comes of it.
#[derive(Debug)]
pub(crate) struct Plugin {
    /// The module is `<target>/plugins/<name>.wasm`.
    pub(crate) name: String,
    /// The package that holds it.
    pub(crate) package: String,
    /// The features of the package that make it a module.
    pub(crate) features: Vec<String>,
    /// The target of the package.
    pub(crate) source: Source,
}

/// The target of a package that becomes a module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The package's library.
    Library,
    /// The package's example of the plugin's name.
    Example,
}

/// An example on the command line: `<package>:<example>`.
#[derive(Clone, Debug)]
pub(crate) struct ExampleName {
    package: String,
    example: String,
}

impl FromStr for ExampleName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (package, example) = text.split_once(':').context("expected <package>:<example>")?;
        Ok(Self { package: package.to_owned(), example: example.to_owned() })
    }
}

/// Every package that is a plugin by its manifest, and the examples asked for.
pub(crate) fn find(workspace: &Metadata, examples: &[ExampleName]) -> Result<Vec<Plugin>> {
    let mut plugins = Vec::new();
    for package in workspace.workspace_packages() {
        if let Some(name) = package.metadata.pointer("/sluicegate/plugin") {
            let name = name
                .as_str()
                .with_context(|| format!("{}: plugin is {name}; expected a string", package.manifest_path))?;
            plugins.push(Plugin {
                name: name.to_owned(),
                package: package.name.to_string(),
                features: vec!["plugin".to_owned()],
                source: Source::Library,
            });
        }
    }
    for wanted in examples {
        plugins.push(example(workspace, wanted)?);
    }
    let mut names = BTreeSet::new();
    for Plugin { name, package, .. } in &plugins {
        // Each is the name of a file.
        ensure!(
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'),
            "plugin name {name:?} of package {package}: expected letters, digits, '_' or '-'"
        );
        ensure!(names.insert(name), "two plugins are called {name}; the second is in package {package}");
    }
    Ok(plugins)
}

fn example(workspace: &Metadata, wanted: &ExampleName) -> Result<Plugin> {
    let ExampleName { package, example } = wanted;
    let found = workspace.workspace_packages().into_iter().find(|candidate| candidate.name.as_str() == package);
    let Some(found) = found else { bail!("the workspace has no package {package}") };
    let target = example_of(found, example)
        .with_context(|| format!("package {package} has no example {example}; it has {}", examples_of(found)))?;
    ensure!(
        target.crate_types.contains(&CrateType::CDyLib),
        "example {example} of package {package} is a program; a module needs crate-type = [\"cdylib\"] in its \
         [[example]]"
    );
    Ok(Plugin {
        name: example.clone(),
        package: package.clone(),
        features: target.required_features.clone(),
        source: Source::Example,
    })
}

fn example_of<'a>(package: &'a Package, name: &str) -> Option<&'a Target> {
    package.targets.iter().find(|target| target.is_example() && target.name == name)
}

fn examples_of(package: &Package) -> String {
    let names: Vec<&str> =
        package.targets.iter().filter(|target| target.is_example()).map(|target| target.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cargo_metadata::MetadataCommand;

    /// This workspace: it has plugins, and this package has no example.
    fn workspace() -> Metadata {
        MetadataCommand::new().no_deps().exec().unwrap()
    }

    #[test]
    fn a_package_is_a_plugin_by_its_manifest() {
        let plugins = find(&workspace(), &[]).unwrap();
        let trace = plugins.iter().find(|plugin| plugin.name == "trace_context").unwrap();
        assert_eq!(trace.package, "sluicegate-trace-context");
        assert_eq!(trace.features, ["plugin"]);
        assert_eq!(trace.source, Source::Library);
        assert!(!plugins.iter().any(|plugin| plugin.package == "sluicegate-policy"));
    }

    #[test]
    fn two_modules_of_one_name_are_refused() {
        let mut workspace = workspace();
        let mut twin =
            workspace.packages.iter().find(|p| p.metadata.pointer("/sluicegate/plugin").is_some()).unwrap().clone();
        twin.id.repr.push_str("-twin");
        workspace.workspace_members.push(twin.id.clone());
        workspace.packages.push(twin);
        let error = find(&workspace, &[]).unwrap_err().to_string();
        assert!(error.contains("two plugins are called"), "{error}");
    }

    #[test]
    fn a_name_that_would_be_another_folder_is_refused() {
        let mut workspace = workspace();
        for package in &mut workspace.packages {
            if let Some(name) = package.metadata.pointer_mut("/sluicegate/plugin") {
                *name = "../trace".into();
            }
        }
        let error = find(&workspace, &[]).unwrap_err().to_string();
        assert!(error.contains("\"../trace\""), "{error}");
    }

    #[test]
    fn an_example_that_is_not_there_is_named() {
        let cases = [
            ("nowhere:probe", "the workspace has no package nowhere"),
            ("sluicegate-pack:probe", "package sluicegate-pack has no example probe; it has none"),
        ];
        for (wanted, error) in cases {
            assert_eq!(find(&workspace(), &[wanted.parse().unwrap()]).unwrap_err().to_string(), error);
        }
        assert!("probe".parse::<ExampleName>().is_err());
    }
}
