//! What can be said to sluicectl.

use crate::explain::Side;
use crate::render::Plugin;
use crate::report::Format;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Looks after Sluicegate's policies: checks them, explains and renders them, and puts them into etcd.
#[derive(Debug, Parser)]
#[command(name = "sluicectl", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 fine, done or the same; 1 a policy is wrong, two differ, or somebody else wrote in \
    between; 2 usage, or something that cannot be read or reached.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(CheckArgs),
    /// Writes the JSON Schema of policies, by which editors complete and check them
    ///
    /// It comes out of the code that reads policies. `check` knows more: what a schema cannot say, such as that one field
    /// must not be above another.
    #[command(after_help = "Example:
  sluicectl schema > policy.schema.json      # then, as the first line of policy.yaml:
  # yaml-language-server: $schema=policy.schema.json")]
    Schema,
    Explain(ExplainArgs),
    Render(RenderArgs),
    Push(PushArgs),
    Rollback(RollbackArgs),
    History(HistoryArgs),
    Diff(DiffArgs),
    Completions(CompletionsArgs),
}

/// Says what is wrong with a policy, where, and what would be right.
///
/// The verdict is that of the filters' own code. A file is a policy in YAML or JSON, or a manifest that carries one: an Istio
/// WasmPlugin, an EnvoyExtensionPolicy, or what Envoy's extension config discovery reads. A file called *.json is read to the
/// letter, as the filters would. Secrets are never shown.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sluicectl check policy.yaml
  sluicectl check --strict --format github envoy/policy.yaml envoy/istio/*.yaml
  kubectl get wasmplugin sluicegate-suite -o yaml | sluicectl check -")]
pub(crate) struct CheckArgs {
    /// Files; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<String>,
    /// In a policy of a newer minor version, make the fields that this version does not know errors instead of a warning
    #[arg(long)]
    pub(crate) strict: bool,
    /// For whom to write
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Look up the variables of { env: NAME } here; else they are the proxy's and taken to be good
    #[arg(long)]
    pub(crate) env: bool,
}

/// Says what a policy does to a request.
///
/// Runs the request through all filters, on a proxy in memory: which rules match, what the upstream gets, whether the request
/// is sampled, which breaker it meets, and its log record. No load, no failed upstream: as at the start. Trace ids, span ids,
/// request ids and times are made up, and the same every time.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sluicectl explain --policy policy.yaml --request 'GET /pay HTTP/1.1\\nhost: shop\\nx-tier: gold'
  sluicectl explain --policy policy.yaml --request @request.http --direction outbound --cluster payments
  sluicectl explain --policy policy.yaml --request 'GET /pay' --header 'host: shop' --response 503 --duration 2s")]
pub(crate) struct ExplainArgs {
    /// The policy, as `check` reads it
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: String,
    /// A request line, and headers behind it, each on a line (or after a \n); @FILE reads them from a file
    #[arg(long, value_name = "REQUEST", default_value = "GET / HTTP/1.1")]
    pub(crate) request: String,
    /// A further header of the request
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// Which side of a service the proxy is on; a gateway is on neither
    #[arg(long, value_enum, default_value_t)]
    pub(crate) direction: Side,
    /// The status of the upstream's response, and headers behind it, as of the request; of gRPC, 200 without a grpc-status is
    /// one that ended well
    #[arg(long, value_name = "RESPONSE", default_value = "200")]
    pub(crate) response: String,
    /// How long the upstream takes to answer
    #[arg(long, default_value = "20ms", value_parser = duration)]
    pub(crate) duration: Duration,
    /// The proxy's cluster that the request goes to
    #[arg(long, default_value = "upstream")]
    pub(crate) cluster: String,
    /// The name of the proxy's route
    #[arg(long, default_value = "")]
    pub(crate) route: String,
    /// Look up the variables of { env: NAME } here; else each is some secret that nobody knows
    #[arg(long)]
    pub(crate) env: bool,
}

/// Writes the manifest that carries a policy.
///
/// The policy is checked first; one that is wrong is not rendered. What must be filled in is in capitals, and no valid name.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sluicectl render --policy policy.yaml --envoy > suite.yaml      # for config_discovery: move it into place
  sluicectl render --policy policy.yaml --wasmplugin --image oci://registry.example/sluicegate/suite:1.0 \\
      --namespace shop --selector app=checkout | kubectl apply -f -
  sluicectl render --policy policy.yaml --envoy-gateway --plugin breaker --target Gateway/eg")]
pub(crate) struct RenderArgs {
    /// The policy, as `check` reads it
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: String,
    #[command(flatten)]
    pub(crate) carrier: CarrierArgs,
    /// The module
    #[arg(long, value_enum, default_value_t)]
    pub(crate) plugin: Plugin,
    /// Where the module is: an OCI image or an http:// or https:// URL, or with --envoy a file
    #[arg(long, value_name = "URL")]
    pub(crate) image: Option<String>,
    /// The manifest's name [default: sluicegate-PLUGIN; with --envoy, the plugin's]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The manifest's namespace
    #[arg(long)]
    pub(crate) namespace: Option<String>,
    /// With --wasmplugin, the label of the workloads; may be repeated [default: all of the namespace]
    #[arg(long = "selector", value_name = "LABEL=VALUE")]
    pub(crate) selectors: Vec<String>,
    /// With --envoy-gateway, what it is attached to, such as Gateway/eg or HTTPRoute/shop
    #[arg(long, value_name = "KIND/NAME")]
    pub(crate) target: Option<String>,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct CarrierArgs {
    /// For Envoy's extension config discovery
    #[arg(long)]
    pub(crate) envoy: bool,
    /// For Istio
    #[arg(long)]
    pub(crate) wasmplugin: bool,
    /// For Envoy Gateway: an EnvoyExtensionPolicy
    #[arg(long)]
    pub(crate) envoy_gateway: bool,
}

/// How to reach etcd.
#[derive(Args, Debug)]
pub(crate) struct EtcdArgs {
    /// Where etcd listens for clients, such as https://etcd.example:2379
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) etcd: String,
    /// The user; the password is in the environment variable SLUICECTL_PASSWORD
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Certificates (PEM) to trust in the place of the public ones
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
    /// The key that the proxies watch
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
}

/// Checks a policy and writes it into etcd, from where proxies take it at once.
///
/// It is written only if nobody else has written since it was last looked at, and in the same transaction the value before
/// it is kept under KEY.history/, the last 20 of them. What etcd holds already is not written again. To have proxies go by
/// their plugin configuration again, delete the key: a policy that says nothing is not written.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sluicectl push --etcd http://127.0.0.1:2379 /sluicegate/policy/checkout policy.yaml
  sluicectl push --etcd https://etcd.example:2379 --cacert ca.pem --user deploy /sluicegate/policy/checkout policy.yaml
  sluicectl push --etcd http://127.0.0.1:2379 /sluicegate/policy/checkout policy.yaml --dry-run")]
pub(crate) struct PushArgs {
    #[command(flatten)]
    pub(crate) etcd: EtcdArgs,
    /// The policy, as `check` reads it
    #[arg(value_name = "FILE")]
    pub(crate) file: String,
    /// Write only if the key stands at this revision, which an earlier command told; 0 if it is not there
    #[arg(long, value_name = "REVISION")]
    pub(crate) if_revision: Option<i64>,
    /// Say what would be done, and do not do it
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Puts the value back that was in force before.
///
/// Again, and it goes further back: what a rollback takes out of force is kept and marked, and no later rollback puts it
/// back unless --to asks for it. A value that proxies would not take does not come back; it is said which one before it
/// would.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sluicectl rollback --etcd http://127.0.0.1:2379 /sluicegate/policy/checkout
  sluicectl rollback --etcd http://127.0.0.1:2379 /sluicegate/policy/checkout --to 17")]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    pub(crate) etcd: EtcdArgs,
    /// The revision of the value, as `history` lists it [default: the newest that was not rolled back]
    #[arg(long, value_name = "REVISION")]
    pub(crate) to: Option<i64>,
    /// Say what would be done, and do not do it
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Lists the values that a key had, the newest first.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  sluicectl history --etcd http://127.0.0.1:2379 /sluicegate/policy/checkout")]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) etcd: EtcdArgs,
}

/// Shows how a policy differs from the one in etcd; exit code 1 where it does.
///
/// With FILE, what a push of it would change. Without, what a rollback would change: the earlier value that it would put back
/// against the one in force. Both are shown as JSON, so that only what they say counts. Of secrets is shown whether they
/// differ.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sluicectl diff --etcd http://127.0.0.1:2379 /sluicegate/policy/checkout policy.yaml
  sluicectl diff --etcd http://127.0.0.1:2379 /sluicegate/policy/checkout
  sluicectl diff --etcd http://127.0.0.1:2379 /sluicegate/policy/checkout --to 17")]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub(crate) etcd: EtcdArgs,
    /// The policy, as `check` reads it [default: the earlier value that a rollback would put back]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<String>,
    /// The revision of an earlier value, as `history` lists it, in the place of FILE
    #[arg(long, value_name = "REVISION", conflicts_with = "file")]
    pub(crate) to: Option<i64>,
}

/// Writes what a shell needs to complete these commands.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  source <(sluicectl completions bash)
  sluicectl completions zsh > ~/.zfunc/_sluicectl")]
pub(crate) struct CompletionsArgs {
    pub(crate) shell: clap_complete::Shell,
}

/// A duration as policies write it.
fn duration(text: &str) -> Result<Duration, String> {
    sluicegate_policy::duration::parse(text).ok_or_else(|| "a duration such as 250ms, 1.5s or 10m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_commands_are_well_defined() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_help_with_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.clone().render_long_help().to_string();
            let line = format!("  sluicectl {}", command.get_name());
            let is_shown = help.lines().any(|l| l.starts_with(&line) || l.contains(&line[1..]));
            assert!(help.contains("Example") && is_shown, "{help}");
        }
    }
}
