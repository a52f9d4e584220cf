//! `sluicectl render`: the manifest that carries a policy.

mod envoy;
mod envoy_gateway;
mod wasm_plugin;
mod yaml;

use crate::cli::RenderArgs;
use crate::console::{Answer, Console};
use crate::document::File;
use crate::document::tree::Node;
use crate::report::{self, Format};
use crate::verdict::{self, Judging};
use anyhow::{Result, ensure};
use clap::ValueEnum;

/// The modules that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Plugin {
    /// All filters in one
    #[default]
    Suite,
    TraceContext,
    Sampler,
    Breaker,
    AccessLog,
}

impl Plugin {
    /// As its file is called: `trace_context`.
    fn name(self) -> &'static str {
        match self {
            Plugin::Suite => "suite",
            Plugin::TraceContext => "trace_context",
            Plugin::Sampler => "sampler",
            Plugin::Breaker => "breaker",
            Plugin::AccessLog => "access_log",
        }
    }
}

/// What a manifest is made of.
struct Manifest<'m> {
    policy: Node,
    /// The environment variables of the proxy that the policy names: the VM is given no others.
    variables: Vec<Node>,
    args: &'m RenderArgs,
}

pub(crate) fn run(args: &RenderArgs, console: &mut Console) -> Result<Answer> {
    check(args)?;
    let file = File::read(&args.policy)?;
    let judged = verdict::of_file(&file, Judging::default());
    if !judged.is_accepted() {
        report::write(Format::Text, &[(file.name, judged)], &mut console.err)?;
        return Ok(Answer::No);
    }
    let Ok(policy) = file.only()? else { return Ok(Answer::No) };
    let variables = judged.variables.iter().map(Node::of_text).collect();
    let manifest = Manifest { policy: policy.root(), variables, args };
    let (head, document) = match &args.carrier {
        carrier if carrier.envoy => envoy::write(&manifest),
        carrier if carrier.wasmplugin => wasm_plugin::write(&manifest)?,
        _ => envoy_gateway::write(&manifest)?,
    };
    let mut text = String::new();
    yaml::write(&document, 0, &mut text);
    write!(console.out, "{head}{text}")?;
    Ok(Answer::Yes)
}

/// Options that mean nothing for this carrier.
fn check(args: &RenderArgs) -> Result<()> {
    let carrier = &args.carrier;
    ensure!(carrier.wasmplugin || args.selectors.is_empty(), "--selector is for --wasmplugin");
    ensure!(carrier.envoy_gateway || args.target.is_none(), "--target is for --envoy-gateway");
    ensure!(!carrier.envoy || args.namespace.is_none(), "--namespace is for the carriers of Kubernetes");
    if carrier.envoy {
        let is_file = args.image.as_ref().is_none_or(|image| !image.contains("://"));
        ensure!(is_file, "--image with --envoy is a file that Envoy can read: it fetches no OCI images");
    }
    Ok(())
}

impl Manifest<'_> {
    /// `sluicegate-trace-context`.
    fn name(&self) -> String {
        let plugin = self.args.plugin.name().replace('_', "-");
        self.args.name.clone().unwrap_or_else(|| format!("sluicegate-{plugin}"))
    }

    /// No valid name for an image, unless one was given: whoever applies it is told.
    fn image(&self) -> String {
        let image = self.args.image.clone();
        image.unwrap_or_else(|| format!("oci://REGISTRY/sluicegate/{}:VERSION", self.args.plugin.name()))
    }

    fn metadata(&self) -> Node {
        let namespace = self.args.namespace.as_ref().map(|namespace| ("namespace", Node::of_text(namespace)));
        Node::of_fields([("name", Node::of_text(self.name()))].into_iter().chain(namespace).collect())
    }

    /// A field with the names of the policy's variables, where it names any.
    fn variables<'f>(&self, field: &'f str, each: impl Fn(&Node) -> Node) -> Option<(&'f str, Node)> {
        let names: Vec<_> = self.variables.iter().map(each).collect();
        (!names.is_empty()).then(|| (field, Node::of_items(names)))
    }
}
