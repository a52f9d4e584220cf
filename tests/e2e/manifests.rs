//! The files that users copy: that Envoy takes them, and that they agree with each other.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluicegate_tests::client::{Protocol, Reply, Request};
use sluicegate_tests::envoy::{Bootstrap, Envoy, validate, version};
use sluicegate_tests::etcd::Etcd;
use sluicegate_tests::shipped;
use sluicegate_tests::upstream::Upstream;

const PATIENCE: Duration = Duration::from_secs(10);
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

/// What Envoy is started with.
const CONFIGURATIONS: [&str; 4] = ["envoy/suite.yaml", "envoy/live.yaml", "envoy/envoy.yaml", "envoy/observe.yaml"];

/// What a pointer (RFC 6901) finds in a shipped file.
fn at<'a>(document: &'a Value, pointer: &str) -> &'a Value {
    document.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {document:#}"))
}

fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    at(document, pointer).as_str().unwrap_or_else(|| panic!("{pointer} is no string in {document:#}"))
}

fn list<'a>(document: &'a Value, pointer: &str) -> &'a Vec<Value> {
    at(document, pointer).as_array().unwrap_or_else(|| panic!("{pointer} is no list in {document:#}"))
}

fn connection_manager(config: &Value) -> &Value {
    at(config, "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
}

/// The plugins of a configuration, in the order of its filters: their names and the files they are discovered from.
fn plugins(config: &Value) -> Vec<(&str, &str)> {
    let filters = list(connection_manager(config), "/http_filters").iter();
    let discovered = filters.filter(|filter| filter.get("config_discovery").is_some());
    discovered
        .map(|filter| (text(filter, "/name"), text(filter, "/config_discovery/config_source/path_config_source/path")))
        .collect()
}

/// Every YAML file of `envoy/`, by its path from the root of the repository, with its documents.
fn yaml_files() -> Vec<(String, Vec<Value>)> {
    let root = shipped::root().unwrap();
    let mut folders = vec![root.join("envoy")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                let documents = shipped::yaml_documents(&path).unwrap();
                files.push((path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), documents));
            }
        }
    }
    files
}

/// The resource of this kind in a file for Istio.
fn resource(path: &str, kind: &str) -> Value {
    let documents = shipped::yaml_documents(path).unwrap();
    let mut matching = documents.into_iter().filter(|document| document["kind"] == kind);
    matching.next().unwrap_or_else(|| panic!("no {kind} in {path}"))
}

#[test]
fn every_yaml_file_parses() {
    let files = yaml_files();
    for (path, documents) in &files {
        assert!(documents.iter().all(Value::is_object) && !documents.is_empty(), "{path}");
    }
    assert!(files.len() > 5, "only {} YAML files in envoy/", files.len());
}

#[test]
fn envoy_takes_the_configurations_as_they_are() {
    let root = shipped::root().unwrap();
    for config in CONFIGURATIONS {
        validate(Path::new(config), &root).unwrap();
    }
}

#[test]
fn envoy_rejects_a_configuration_that_is_wrong() {
    let mut config = shipped::yaml("envoy/envoy.yaml").unwrap();
    config["admin"]["adress"] = json!({});
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    std::fs::write(file.path(), config.to_string()).unwrap();
    let error = validate(file.path(), &shipped::root().unwrap()).unwrap_err().to_string();
    assert!(error.contains("adress"), "{error}");
}

#[tokio::test]
async fn the_filters_take_the_discovery_files_as_they_are() {
    for config in ["envoy/suite.yaml", "envoy/envoy.yaml", "envoy/observe.yaml"] {
        let upstream = Upstream::start().await.unwrap();
        let envoy = discovering(config, |bootstrap| bootstrap.upstream(upstream.address())).await;
        assert_eq!(Request::get("/").send(envoy.address(), Protocol::Http1).await.unwrap().status, 200);
    }
}

/// An Envoy of this configuration that has taken its discovery files, byte by byte but for the folder of the modules.
async fn discovering(config: &str, change: impl FnOnce(Bootstrap) -> Bootstrap) -> Envoy {
    // In what it discovers, Envoy ignores a misspelt field or value unless it is told not to.
    let bootstrap = Bootstrap::read(config).unwrap().argument("--reject-unknown-dynamic-fields");
    let envoy = change(bootstrap.policy(&json!({"version": "1.0"}))).start().await.unwrap();
    for (plugin, discovery) in plugins(&shipped::yaml(config).unwrap()) {
        let module = shipped::plugin(plugin).unwrap();
        let shipped = shipped::text(discovery).unwrap();
        let local = shipped.replace(&format!("target/plugins/{plugin}.wasm"), module.to_str().unwrap());
        assert_ne!(shipped, local, "{discovery} does not name the module that scripts/build makes");
        envoy.swap_discovery(plugin, &local).unwrap();
        envoy.wait_for_swaps(plugin, 2, 0, PATIENCE).await.unwrap();
        assert_eq!(envoy.swapped(plugin).await.unwrap(), (2, 0), "{}", envoy.log().unwrap());
    }
    envoy
}

#[tokio::test]
async fn the_suite_takes_a_policy_from_etcd_as_the_live_configuration_says() {
    let etcd = Etcd::start().await.unwrap();
    let envoy = discovering("envoy/live.yaml", |bootstrap| bootstrap.endpoint("etcd", etcd.address()).unwrap()).await;
    let policy = &shipped::yaml("envoy/ecds/live.yaml").unwrap()["resources"][0]["typed_config"]["config"];
    follows(&envoy, &etcd, text(policy, "/configuration/value/policy_source/etcd/key")).await;
}

#[tokio::test]
async fn the_suite_takes_a_policy_from_etcd_as_the_example_for_a_mesh_says() {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&uncommented("envoy/istio/suite.yaml")).unwrap();
    let policy = at(&documents[0], "/spec/pluginConfig");
    let cluster = text(policy, "/policy_source/etcd/cluster");
    // Istio's name for a service's port: direction, port, subset, host.
    let [direction, port, subset, host] = cluster.split('|').collect::<Vec<_>>()[..] else { panic!("{cluster}") };
    assert_eq!((direction, port, subset), ("outbound", "2379", ""));
    assert!(host.ends_with(".svc.cluster.local"), "{host}");

    let etcd = Etcd::start().await.unwrap();
    let bootstrap = Bootstrap::read("envoy/suite.yaml").unwrap().policy(policy);
    let envoy = bootstrap.grpc_cluster(cluster, etcd.address()).start().await.unwrap();
    follows(&envoy, &etcd, text(policy, "/policy_source/etcd/key")).await;
}

/// A shipped file with its example of a `policy_source` no longer commented out.
fn uncommented(path: &str) -> String {
    let shipped = shipped::text(path).unwrap();
    let mut lines = Vec::new();
    let mut in_example = false;
    for line in shipped.lines() {
        let comment = line.trim_start().starts_with('#');
        in_example = comment && (in_example || line.trim_start() == "# policy_source:");
        lines.push(if in_example { line.replacen("# ", "", 1) } else { line.to_owned() });
    }
    lines.join("\n")
}

/// Until what etcd holds under this key is what the suite goes by.
async fn follows(envoy: &Envoy, etcd: &Etcd, key: &str) {
    let mut policy = shipped::yaml("envoy/policy.yaml").unwrap();
    policy["breaker"]["mode"] = json!("forced_open");
    policy["breaker"]["response"] = json!({"status": 200, "body": "from etcd"});
    let revision = etcd.put(key, policy.to_string()).await.unwrap();
    let labels = [("plugin", "suite"), ("source", "etcd"), ("version", "1.0")];
    envoy.wait_for_stat("sluicegate_policy_revision", &labels, revision as f64, PATIENCE).await.unwrap();
    let began = Instant::now();
    loop {
        let reply = Request::get("/").send(envoy.address(), Protocol::Http1).await.unwrap();
        if reply.text() == "from etcd" {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{}\n{}", reply.status, envoy.log().unwrap());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn the_example_policy_is_the_same_everywhere() {
    let policy = shipped::yaml("envoy/policy.yaml").unwrap();
    let mut observing = policy.clone();
    observing["trace"]["mode"] = json!("observe");
    let observe = shipped::yaml("envoy/observe.yaml").unwrap();
    let observers: Vec<_> = plugins(&observe).into_iter().map(|(_, path)| path).collect();

    let mut carriers = Vec::new();
    for (path, documents) in yaml_files() {
        for document in documents {
            let carried = match document["kind"] == "WasmPlugin" {
                true => Some(at(&document, "/spec/pluginConfig")),
                false => document.pointer("/resources/0/typed_config/config/configuration/value"),
            };
            if let Some(carried) = carried {
                let mut carried = carried.clone();
                let source = carried.as_object_mut().unwrap().remove("policy_source");
                assert_eq!(source.is_some(), path == "envoy/ecds/live.yaml", "{path}");
                let expected = if observers.contains(&path.as_str()) { &observing } else { &policy };
                assert_eq!(carried, *expected, "{path}");
                carriers.push(path.clone());
            }
        }
    }
    carriers.sort();
    let all = [
        "envoy/ecds/access-log.yaml",
        "envoy/ecds/breaker.yaml",
        "envoy/ecds/live.yaml",
        "envoy/ecds/observe-access-log.yaml",
        "envoy/ecds/observe.yaml",
        "envoy/ecds/sampler.yaml",
        "envoy/ecds/suite.yaml",
        "envoy/ecds/trace-context.yaml",
        "envoy/istio/access-log.yaml",
        "envoy/istio/breaker.yaml",
        "envoy/istio/sampler.yaml",
        "envoy/istio/suite.yaml",
        "envoy/istio/trace-context.yaml",
    ];
    assert_eq!(carriers, all);
}

/// A discovery file but for the policy in it.
fn without_policy(path: &str) -> Value {
    let mut file = shipped::yaml(path).unwrap();
    file["resources"][0]["typed_config"]["config"]["configuration"] = Value::Null;
    file
}

/// A configuration but for its plugins.
fn without_plugins(path: &str) -> Value {
    let mut config = shipped::yaml(path).unwrap();
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
    let filters = config.pointer_mut(manager).unwrap().as_array_mut().unwrap();
    filters.retain(|filter| filter.get("config_discovery").is_none());
    config
}

#[test]
fn the_suite_stands_in_the_place_of_the_four_and_all_else_is_the_same() {
    let suite = shipped::yaml("envoy/suite.yaml").unwrap();
    assert_eq!(plugins(&suite), [("suite", "envoy/ecds/suite.yaml")]);
    assert_eq!(without_plugins("envoy/suite.yaml"), without_plugins("envoy/envoy.yaml"));
    let place = |config: &Value, plugin: &str| {
        list(connection_manager(config), "/http_filters").iter().position(|filter| filter["name"] == plugin).unwrap()
    };
    assert_eq!(place(&suite, "suite"), place(&shipped::yaml("envoy/envoy.yaml").unwrap(), "trace_context"));
}

#[test]
fn the_live_configuration_has_etcd_besides_and_all_else_is_the_same() {
    let mut live = shipped::yaml("envoy/live.yaml").unwrap();
    assert_eq!(plugins(&live), [("suite", "envoy/ecds/live.yaml")]);
    assert_eq!(without_policy("envoy/ecds/live.yaml"), without_policy("envoy/ecds/suite.yaml"));
    let path = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0\
                /config_discovery/config_source/path_config_source/path";
    *live.pointer_mut(path).unwrap() = json!("envoy/ecds/suite.yaml");
    let clusters = live.pointer_mut("/static_resources/clusters").unwrap().as_array_mut().unwrap();
    let etcd = clusters.remove(clusters.iter().position(|cluster| cluster["name"] == "etcd").unwrap());
    assert_eq!(live, shipped::yaml("envoy/suite.yaml").unwrap());

    // The commands in the comments go to this etcd and this key.
    let discovery = shipped::yaml("envoy/ecds/live.yaml").unwrap();
    let key = text(&discovery, "/resources/0/typed_config/config/configuration/value/policy_source/etcd/key");
    let socket = at(&etcd, "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address");
    let endpoint = format!("http://{}:{}", text(socket, "/address"), at(socket, "/port_value"));
    for file in ["envoy/live.yaml", "envoy/ecds/live.yaml"] {
        let comments = shipped::text(file).unwrap();
        assert!(comments.contains(&format!("sluicectl push --etcd {endpoint} {key} envoy/policy.yaml\n")), "{file}");
    }
}

#[test]
fn both_configurations_have_the_same_plugins_but_for_the_policy() {
    let [envoy, observe] = ["envoy/envoy.yaml", "envoy/observe.yaml"].map(|path| shipped::yaml(path).unwrap());
    let [envoy, observe] = [plugins(&envoy), plugins(&observe)];
    assert_eq!(
        envoy.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["trace_context", "sampler", "breaker", "access_log"]
    );
    // Where the proxy's tracer makes the spans, it samples as well; the breaker has nothing to do with it.
    let both: Vec<_> = envoy.into_iter().filter(|(name, _)| !["sampler", "breaker"].contains(name)).collect();
    assert_eq!(both.len(), observe.len());
    for ((name, path), (observing_name, observing_path)) in both.into_iter().zip(observe) {
        assert_eq!(name, observing_name);
        assert_eq!(without_policy(path), without_policy(observing_path), "{path}, {observing_path}");
    }
}

#[test]
fn a_plugin_goes_by_one_name_everywhere() {
    for config in CONFIGURATIONS {
        for (plugin, path) in plugins(&shipped::yaml(config).unwrap()) {
            let discovery = shipped::yaml(path).unwrap();
            let resource = at(&discovery, "/resources/0");
            let module = text(resource, "/typed_config/config/vm_config/code/local/filename");
            assert_eq!(module, format!("target/plugins/{plugin}.wasm"), "{path}");
            for name in ["/name", "/typed_config/config/name", "/typed_config/config/root_id"] {
                assert_eq!(text(resource, name), plugin, "{path} {name}");
            }
            // What says how to change the policy speaks of this file and this plugin.
            let comments = shipped::text(path).unwrap();
            let file = Path::new(path).file_name().unwrap().to_str().unwrap();
            assert!(comments.contains(&format!("mv new.yaml {file}\n")), "{path}");
            assert!(comments.contains(&format!("http_filter.{plugin}.update_rejected")), "{path}");
        }
    }
}

#[test]
fn the_access_logger_is_the_same_everywhere() {
    let istio = resource("envoy/istio/access-log.yaml", "EnvoyFilter");
    assert_eq!(resource("envoy/istio/suite.yaml", "EnvoyFilter"), istio);
    let patch = &istio["spec"]["configPatches"][0]["patch"];
    for config in CONFIGURATIONS.map(|path| shipped::yaml(path).unwrap()) {
        let loggers = list(connection_manager(&config), "/access_log");
        assert_eq!(loggers.len(), 1);
        assert_eq!(list(patch, "/value/typed_config/access_log"), loggers);
    }
}

#[test]
fn the_request_id_is_left_to_the_filter_everywhere() {
    let patch = &shipped::yaml("envoy/istio/request-id.yaml").unwrap()["spec"]["configPatches"][0]["patch"];
    let configs = CONFIGURATIONS.map(|path| shipped::yaml(path).unwrap());
    for manager in configs.iter().map(connection_manager).chain([at(patch, "/value/typed_config")]) {
        assert_eq!(at(manager, "/generate_request_id"), false);
        assert_eq!(at(manager, "/preserve_external_request_id"), true);
    }
}

#[test]
fn the_stats_tags_are_the_same_everywhere() {
    let istio = istio_bootstrap();
    for config in CONFIGURATIONS.map(|path| shipped::yaml(path).unwrap()) {
        assert_eq!(at(&config, "/stats_config/stats_tags"), at(&istio, "/stats_config/stats_tags"));
    }
}

#[test]
fn every_stats_tag_takes_the_label_of_its_name() {
    let config = shipped::yaml("envoy/envoy.yaml").unwrap();
    let tags = list(&config, "/stats_config/stats_tags");
    for label in ["format", "signal", "reason", "severity", "code"] {
        let of_label: Vec<_> = tags.iter().filter(|tag| tag["tag_name"] == label).collect();
        let regex = format!(r"^wasmcustom\.sluicegate_.*?(\.{label}=(.+?))(?:\.\w+=|$)");
        assert_eq!(of_label, [&json!({"tag_name": label, "regex": regex})]);
    }
}

#[tokio::test]
async fn every_label_of_a_metric_shows_as_a_label() {
    let envoy = Bootstrap::shipped().unwrap().start().await.unwrap();
    for plugin in envoy.plugins() {
        envoy.wait_for_swaps(plugin, 1, 0, PATIENCE).await.unwrap();
    }
    let text = envoy.admin_get("/stats?filter=wasmcustom.sluicegate_").await.unwrap();
    assert!(text.contains('='), "no metric has a label:\n{text}");
    // wasmcustom.sluicegate_<what>.<label>=<value>…: a label that no tag takes out would be left in the name.
    let metrics: BTreeSet<_> = text.lines().map(|line| line.split(['.', ':']).nth(1).unwrap()).collect();
    let stats = envoy.stats().await.unwrap();
    let shown: BTreeSet<_> = stats.0.iter().map(|series| series.name.as_str()).collect();
    let shown: BTreeSet<_> = shown.into_iter().filter(|name| name.starts_with("sluicegate_")).collect();
    assert_eq!(shown, metrics);
}

#[test]
fn compose_runs_the_configuration_as_it_is() {
    let compose = shipped::yaml("envoy/docker-compose.yaml").unwrap();
    let config = shipped::yaml("envoy/suite.yaml").unwrap();
    let root = shipped::root().unwrap();
    let workdir = text(&compose, "/services/envoy/working_dir");

    assert_eq!(text(&compose, "/services/envoy/image"), format!("envoyproxy/envoy:v{}", version().unwrap()));

    // What is mounted exists, or is what scripts/build makes; and what Envoy reads is mounted.
    let mut mounted = Vec::new();
    for volume in list(&compose, "/services/envoy/volumes") {
        let parts: Vec<_> = volume.as_str().unwrap().split(':').collect();
        let [source, target, "ro"] = parts[..] else { panic!("{volume} is not source:target:ro") };
        if source != "../target/plugins" {
            assert!(root.join("envoy").join(source).exists(), "{source} is not there");
        }
        mounted.push(target.strip_prefix(workdir).unwrap().trim_start_matches('/').to_owned());
    }
    let command = list(&compose, "/services/envoy/command");
    assert!(command.contains(&json!("envoy/suite.yaml")));
    let mut read = vec!["envoy/suite.yaml".to_owned()];
    for (_, discovery) in plugins(&config) {
        let resources = shipped::yaml(discovery).unwrap();
        let module = text(&resources, "/resources/0/typed_config/config/vm_config/code/local/filename");
        read.extend([discovery.to_owned(), module.to_owned()]);
    }
    for read in read {
        assert!(
            mounted.iter().any(|folder| Path::new(&read).starts_with(folder)),
            "{read} is not mounted: {mounted:?}"
        );
    }

    // The two containers share the network of the upstream, which therefore publishes the ports of both.
    assert_eq!(text(&compose, "/services/envoy/network_mode"), "service:upstream");
    let listener = at(&config, "/static_resources/listeners/0/address/socket_address/port_value");
    let admin = at(&config, "/admin/address/socket_address/port_value");
    assert_eq!(
        *at(&compose, "/services/upstream/ports"),
        json!([format!("{listener}:{listener}"), format!("127.0.0.1:{admin}:{admin}")])
    );
    let service = at(
        &config,
        "/static_resources/clusters/0/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address",
    );
    let listen = format!("{}:{}", text(service, "/address"), at(service, "/port_value"));
    assert_eq!(*at(&compose, "/services/upstream/command"), json!(["--listen", listen]));
    let probe = list(&compose, "/services/envoy/healthcheck/test").last().unwrap().as_str().unwrap();
    assert!(probe.contains(&format!("127.0.0.1/{admin} ")), "{probe}");
}

#[tokio::test]
async fn the_health_check_of_compose_sees_a_ready_envoy() {
    let compose = shipped::yaml("envoy/docker-compose.yaml").unwrap();
    let envoy = Bootstrap::read("envoy/suite.yaml").unwrap().start().await.unwrap();
    let probe = list(&compose, "/services/envoy/healthcheck/test").iter().skip(1).map(|word| word.as_str().unwrap());
    let admin = envoy.admin_address().port().to_string();
    let words: Vec<_> = probe.map(|word| word.replace("9901", &admin)).collect();
    assert!(Command::new(&words[0]).args(&words[1..]).status().unwrap().success());
    drop(envoy);
    let after = Command::new(&words[0]).args(&words[1..]).output().unwrap();
    assert!(!after.status.success());
}

/// Only where `docker-compose` is there: it is not part of what the tests require.
#[test]
fn docker_compose_takes_its_file() {
    let check = Command::new("docker-compose")
        .args(["-f", "envoy/docker-compose.yaml", "config"])
        .current_dir(shipped::root().unwrap())
        .output();
    match check {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => eprintln!("not checked, no docker-compose: {error}"),
    }
}

#[test]
fn the_upstream_image_is_built_from_what_is_there() {
    let compose = shipped::yaml("envoy/docker-compose.yaml").unwrap();
    let root = shipped::root().unwrap();
    assert_eq!(
        root.join("envoy").join(text(&compose, "/services/upstream/build/context")).canonicalize().unwrap(),
        root
    );
    let dockerfile = text(&compose, "/services/upstream/build/dockerfile");
    let build = shipped::text(dockerfile).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_upstream")).file_name().unwrap().to_str().unwrap();
    assert!(build.contains(&format!("--package {} --bin {binary}\n", env!("CARGO_PKG_NAME"))), "{build}");
    assert!(build.contains(&format!("/target/release/{binary} ")), "{build}");

    // The build context holds every member of the workspace, else cargo does not even begin.
    let ignored = shipped::text(format!("{dockerfile}.dockerignore")).unwrap();
    let kept: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let workspace = shipped::text("Cargo.toml").unwrap();
    let members = workspace.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    let members: Vec<String> = serde_json::from_str(members).unwrap();
    for needed in members.iter().map(String::as_str).chain(["Cargo.toml", "Cargo.lock"]) {
        assert!(kept.iter().any(|path| Path::new(needed).starts_with(path)), "{needed} is not in {kept:?}");
    }
}

#[test]
fn the_istio_resources_have_what_the_api_requires() {
    let trace_context = resource("envoy/istio/trace-context.yaml", "WasmPlugin");
    let sampler = resource("envoy/istio/sampler.yaml", "WasmPlugin");
    let breaker = resource("envoy/istio/breaker.yaml", "WasmPlugin");
    let access_log = resource("envoy/istio/access-log.yaml", "WasmPlugin");
    let suite = resource("envoy/istio/suite.yaml", "WasmPlugin");
    let [config, alone] = ["envoy/envoy.yaml", "envoy/suite.yaml"].map(|path| shipped::yaml(path).unwrap());
    let resources = [&trace_context, &sampler, &breaker, &access_log, &suite];
    let discovered: Vec<_> = plugins(&config).into_iter().chain(plugins(&alone)).collect();
    assert_eq!(resources.len(), discovered.len());
    for (plugin, (name, discovery)) in resources.into_iter().zip(discovered) {
        assert_eq!(plugin["apiVersion"], "extensions.istio.io/v1alpha1");
        assert_eq!(text(plugin, "/spec/url"), format!("oci://REGISTRY/sluicegate/{name}:VERSION"));
        // Istio calls Envoy's root_id so.
        let resources = shipped::yaml(discovery).unwrap();
        assert_eq!(plugin["spec"]["pluginName"], resources["resources"][0]["typed_config"]["config"]["root_id"]);
        assert!(["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"].contains(&text(plugin, "/spec/failStrategy")));
        assert!(at(plugin, "/spec/priority").is_i64());
        assert_eq!(*at(plugin, "/spec/match"), json!([{"mode": "CLIENT_AND_SERVER"}]));
    }

    let request_id = resource("envoy/istio/request-id.yaml", "EnvoyFilter");
    let access_logger = resource("envoy/istio/access-log.yaml", "EnvoyFilter");
    let manager = at(&config, "/static_resources/listeners/0/filter_chains/0/filters/0");
    for filter in [&request_id, &access_logger] {
        assert_eq!(filter["apiVersion"], "networking.istio.io/v1alpha3");
        let [patch] = &list(filter, "/spec/configPatches")[..] else { panic!("{filter:#}") };
        assert_eq!(patch["applyTo"], "NETWORK_FILTER");
        assert_eq!(patch["match"]["context"], "ANY");
        assert_eq!(patch["patch"]["operation"], "MERGE");
        assert_eq!(*at(patch, "/match/listener/filterChain/filter/name"), manager["name"]);
        assert_eq!(patch["patch"]["value"]["typed_config"]["@type"], manager["typed_config"]["@type"]);
        assert_eq!(at(filter, "/spec/workloadSelector/labels"), at(&trace_context, "/spec/selector/matchLabels"));
    }

    // All of them are for the same workload.
    for plugin in [&sampler, &breaker, &access_log, &suite] {
        assert_eq!(at(plugin, "/spec/selector"), at(&trace_context, "/spec/selector"));
    }
    let stats = shipped::yaml("envoy/istio/stats.yaml").unwrap();
    for resource in [&suite, &trace_context, &sampler, &breaker, &access_log, &request_id, &access_logger, &stats] {
        assert!(text(resource, "/metadata/name").starts_with("sluicegate-"));
        assert_eq!(resource["metadata"]["namespace"], trace_context["metadata"]["namespace"]);
    }
}

#[test]
fn istio_runs_the_plugins_in_the_order_of_the_filter_chain() {
    // Istio's order: by phase, and within one by priority, the highest first.
    let place = |path: &str| {
        let plugin = resource(path, "WasmPlugin");
        let phase = text(&plugin, "/spec/phase");
        let phase = ["AUTHN", "AUTHZ", "STATS"].iter().position(|known| *known == phase).unwrap();
        (phase, -at(&plugin, "/spec/priority").as_i64().unwrap())
    };
    let places =
        ["trace-context", "sampler", "breaker", "access-log"].map(|name| place(&format!("envoy/istio/{name}.yaml")));
    assert!(places.is_sorted_by(|one, next| one < next), "{places:?}");
}

#[test]
fn the_suite_has_the_place_of_the_first_plugin_in_a_mesh() {
    let [suite, first] =
        ["suite", "trace-context"].map(|name| resource(&format!("envoy/istio/{name}.yaml"), "WasmPlugin"));
    for field in ["/spec/phase", "/spec/priority", "/spec/failStrategy"] {
        assert_eq!(at(&suite, field), at(&first, field));
    }
}

/// What Istio hands to Envoy as `--config-yaml`, in addition to its own bootstrap.
fn istio_bootstrap() -> Value {
    let stats = shipped::yaml("envoy/istio/stats.yaml").unwrap();
    assert_eq!((&stats["apiVersion"], &stats["kind"]), (&json!("v1"), &json!("ConfigMap")));
    serde_json::from_str(text(&stats, "/data/custom_bootstrap.json")).unwrap()
}

#[tokio::test]
async fn our_counters_show_with_labels_beside_the_few_stats_that_istio_keeps() {
    let upstream = Upstream::start().await.unwrap();
    // As Istio's own bootstrap: almost nothing is kept, and only tags of its own are known.
    let istio = json!({
        "use_all_default_tags": false,
        "stats_tags": [{"tag_name": "cache", "regex": r"(cache\.(.+?)\.)"}, {"tag_name": "tag", "regex": r"(tag\.(.+?);\.)"}],
        "stats_matcher": {"inclusion_list": {"patterns": [{"prefix": "reporter="}, {"prefix": "istio"}]}},
    });
    let bootstrap =
        Bootstrap::shipped().unwrap().upstream(upstream.address()).edit(|config| config["stats_config"] = istio);
    let envoy = bootstrap.argument("--config-yaml").argument(&istio_bootstrap().to_string()).start().await.unwrap();
    let traceparent = format!("00-{TRACE_ID}-b7ad6b7169203331-01");
    Request::get("/").header("traceparent", traceparent).send(envoy.address(), Protocol::Http1).await.unwrap();

    // Filters may add their counts up and hand them over on the tick.
    envoy.wait_for_stat("sluicegate_trace_continued_total", &[("format", "w3c")], 1.0, PATIENCE).await.unwrap();
    let stats = envoy.stats().await.unwrap();
    assert!(stats.0.iter().all(|series| series.name.starts_with("sluicegate_")), "{stats:#?}");
}

/// Envoy with `observe.yaml`, and a copy of the handed-over ids in `x-copy`, as the service does not see the original.
async fn observing(upstream: &Upstream) -> Envoy {
    let copy = json!({
        "name": "copy",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {"request_mutations": [{"append": {
                "header": {"key": "x-copy", "value": "%REQ(x-sluicegate-trace-id)%"},
            }}]},
        },
    });
    Bootstrap::read("envoy/observe.yaml")
        .unwrap()
        .upstream(upstream.address())
        .edit_connection_manager(|manager| manager["http_filters"].as_array_mut().unwrap().insert(1, copy))
        .unwrap()
        .start()
        .await
        .unwrap()
}

async fn observed(envoy: &Envoy, traceparent: Option<&str>) -> Reply {
    let spoof = Request::get("/").header("x-sluicegate-trace-id", "spoof").header("x-sluicegate-trace-id", "spoof");
    let request = traceparent.into_iter().fold(spoof, |request, value| request.header("traceparent", value));
    request.send(envoy.address(), Protocol::Http1).await.unwrap()
}

#[tokio::test]
async fn observe_hands_over_the_ids_that_envoy_writes_and_nothing_that_a_client_wrote() {
    let upstream = Upstream::start().await.unwrap();
    let envoy = observing(&upstream).await;
    let parent = |flags: &str| format!("00-{TRACE_ID}-b7ad6b7169203331-{flags}");
    for (incoming, sampled) in [(None, "01"), (Some(parent("01")), "01"), (Some(parent("00")), "00")] {
        let seen = observed(&envoy, incoming.as_deref()).await.seen().unwrap();
        let [ids] = seen.all("x-copy")[..] else { panic!("{seen:?}") };
        assert_eq!(seen.all("traceparent"), [format!("00-{ids}-{sampled}")]);
        assert_eq!(ids.starts_with(TRACE_ID), incoming.is_some(), "{ids}");
        assert_eq!(seen.header("x-sluicegate-trace-id"), None);
    }
    // Envoy makes no span for a request whose traceparent it cannot read.
    let seen = observed(&envoy, Some("00-zz")).await.seen().unwrap();
    assert_eq!(seen.all("x-copy"), ["-"]);
}

#[tokio::test]
async fn a_log_line_joins_the_trace_that_envoys_tracer_makes() {
    let upstream = Upstream::start().await.unwrap();
    let envoy = observing(&upstream).await;
    let mut sent = Vec::new();
    for incoming in [None, Some(format!("00-{TRACE_ID}-b7ad6b7169203331-01"))] {
        let seen = observed(&envoy, incoming.as_deref()).await.seen().unwrap();
        let [traceparent] = seen.all("traceparent")[..] else { panic!("{seen:?}") };
        sent.push(traceparent.to_owned());
    }
    let mut logged = Vec::new();
    for line in envoy.wait_for_access_log(2, PATIENCE).await.unwrap() {
        let line: Value = serde_json::from_str(&line).unwrap();
        let [trace, span, flags] = ["/trace_id", "/span_id", "/trace_flags"].map(|field| text(&line, field).to_owned());
        logged.push(format!("00-{trace}-{span}-{flags}"));
    }
    sent.sort();
    logged.sort();
    assert_eq!(logged, sent);
}
