//! The files that users copy: that Envoy takes them, and that they agree with each other.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_tests::client::{Protocol, Reply, Request};
use sluicegate_tests::envoy::{Bootstrap, Envoy, validate, version};
use sluicegate_tests::shipped;
use sluicegate_tests::upstream::Upstream;

const PATIENCE: Duration = Duration::from_secs(10);
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

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

fn discovery_path(config: &Value) -> &str {
    let filters = list(connection_manager(config), "/http_filters").iter();
    let mut paths =
        filters.filter_map(|filter| filter.pointer("/config_discovery/config_source/path_config_source/path"));
    paths.next().and_then(Value::as_str).unwrap()
}

/// The policy inside an Envoy discovery file.
fn discovered_policy(path: &str) -> Value {
    let file = shipped::yaml(path).unwrap();
    at(&file, "/resources/0/typed_config/config/configuration/value").clone()
}

#[test]
fn every_yaml_file_parses() {
    let mut folders = vec![shipped::root().unwrap().join("envoy")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                let documents = shipped::yaml_documents(&path).unwrap();
                assert!(documents.iter().all(Value::is_object) && !documents.is_empty(), "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files > 5, "only {files} YAML files in envoy/");
}

#[test]
fn envoy_takes_the_configurations_as_they_are() {
    let root = shipped::root().unwrap();
    for config in ["envoy/envoy.yaml", "envoy/observe.yaml"] {
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
async fn the_filter_takes_the_discovery_files_as_they_are() {
    for config in ["envoy/envoy.yaml", "envoy/observe.yaml"] {
        let upstream = Upstream::start().await.unwrap();
        let bootstrap = Bootstrap::read(config).unwrap().upstream(upstream.address());
        // In what it discovers, Envoy ignores a misspelt field or value unless it is told not to.
        let bootstrap = bootstrap.argument("--reject-unknown-dynamic-fields").policy(&json!({"version": "1.0"}));
        let envoy = bootstrap.start().await.unwrap();

        let discovery = discovery_path(&shipped::yaml(config).unwrap()).to_owned();
        let module = shipped::plugin("trace_context").unwrap();
        let shipped = shipped::text(&discovery).unwrap();
        let local = shipped.replace("target/plugins/trace_context.wasm", module.to_str().unwrap());
        assert_ne!(shipped, local, "{discovery} does not name the module that scripts/build makes");
        envoy.swap_discovery(&local).unwrap();
        envoy.wait_for_swaps(2, 0, PATIENCE).await.unwrap();
        assert_eq!(envoy.swapped().await.unwrap(), (2, 0), "{}", envoy.log().unwrap());
        assert_eq!(Request::get("/").send(envoy.address(), Protocol::Http1).await.unwrap().status, 200);
    }
}

#[test]
fn the_example_policy_is_the_same_everywhere() {
    let policy = shipped::yaml("envoy/policy.yaml").unwrap();
    assert_eq!(discovered_policy("envoy/ecds/trace-context.yaml"), policy);
    assert_eq!(shipped::yaml("envoy/istio/trace-context.yaml").unwrap()["spec"]["pluginConfig"], policy);

    let mut observing = policy;
    observing["trace"]["mode"] = json!("observe");
    assert_eq!(discovered_policy("envoy/ecds/observe.yaml"), observing);
}

#[test]
fn the_two_discovery_files_differ_in_the_policy_alone() {
    let without_policy = |path: &str| {
        let mut file = shipped::yaml(path).unwrap();
        file["resources"][0]["typed_config"]["config"]["configuration"] = Value::Null;
        file
    };
    assert_eq!(without_policy("envoy/ecds/observe.yaml"), without_policy("envoy/ecds/trace-context.yaml"));
}

#[test]
fn the_request_id_is_left_to_the_filter_everywhere() {
    let patch = &shipped::yaml("envoy/istio/request-id.yaml").unwrap()["spec"]["configPatches"][0]["patch"];
    let [envoy, observe] = ["envoy/envoy.yaml", "envoy/observe.yaml"].map(|path| shipped::yaml(path).unwrap());
    for manager in [connection_manager(&envoy), connection_manager(&observe), at(patch, "/value/typed_config")] {
        assert_eq!(at(manager, "/generate_request_id"), false);
        assert_eq!(at(manager, "/preserve_external_request_id"), true);
    }
}

#[test]
fn the_stats_tags_are_the_same_everywhere() {
    let envoy = shipped::yaml("envoy/envoy.yaml").unwrap();
    let observe = shipped::yaml("envoy/observe.yaml").unwrap();
    let tags = at(&envoy, "/stats_config/stats_tags");
    assert_eq!(at(&observe, "/stats_config/stats_tags"), tags);
    assert_eq!(at(&istio_bootstrap(), "/stats_config/stats_tags"), tags);
}

#[test]
fn compose_runs_the_configuration_as_it_is() {
    let compose = shipped::yaml("envoy/docker-compose.yaml").unwrap();
    let config = shipped::yaml("envoy/envoy.yaml").unwrap();
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
    let discovery = discovery_path(&config);
    let resources = shipped::yaml(discovery).unwrap();
    let module = text(&resources, "/resources/0/typed_config/config/vm_config/code/local/filename");
    let command = list(&compose, "/services/envoy/command");
    assert!(command.contains(&json!("envoy/envoy.yaml")));
    for read in ["envoy/envoy.yaml", discovery, module] {
        assert!(mounted.iter().any(|folder| Path::new(read).starts_with(folder)), "{read} is not mounted: {mounted:?}");
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
    let envoy = Bootstrap::shipped().unwrap().start().await.unwrap();
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
    let plugin = shipped::yaml("envoy/istio/trace-context.yaml").unwrap();
    assert_eq!(plugin["apiVersion"], "extensions.istio.io/v1alpha1");
    assert_eq!(plugin["kind"], "WasmPlugin");
    assert_eq!(text(&plugin, "/spec/url"), "oci://REGISTRY/sluicegate/trace_context:VERSION");
    // Istio calls Envoy's root_id so.
    let resources = shipped::yaml("envoy/ecds/trace-context.yaml").unwrap();
    assert_eq!(plugin["spec"]["pluginName"], resources["resources"][0]["typed_config"]["config"]["root_id"]);
    assert!(["AUTHN", "AUTHZ", "STATS"].contains(&text(&plugin, "/spec/phase")));
    assert!(["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"].contains(&text(&plugin, "/spec/failStrategy")));
    assert!(at(&plugin, "/spec/priority").is_i64());
    assert_eq!(*at(&plugin, "/spec/match"), json!([{"mode": "CLIENT_AND_SERVER"}]));

    let filter = shipped::yaml("envoy/istio/request-id.yaml").unwrap();
    assert_eq!(filter["apiVersion"], "networking.istio.io/v1alpha3");
    assert_eq!(filter["kind"], "EnvoyFilter");
    let patch = &list(&filter, "/spec/configPatches")[0];
    assert_eq!(patch["applyTo"], "NETWORK_FILTER");
    assert_eq!(patch["patch"]["operation"], "MERGE");
    let envoy = shipped::yaml("envoy/envoy.yaml").unwrap();
    let manager = at(&envoy, "/static_resources/listeners/0/filter_chains/0/filters/0");
    assert_eq!(*at(patch, "/match/listener/filterChain/filter/name"), manager["name"]);
    assert_eq!(patch["patch"]["value"]["typed_config"]["@type"], manager["typed_config"]["@type"]);

    // All three are for the same workload.
    let stats = shipped::yaml("envoy/istio/stats.yaml").unwrap();
    for resource in [&plugin, &filter, &stats] {
        assert!(text(resource, "/metadata/name").starts_with("sluicegate-"));
        assert_eq!(resource["metadata"]["namespace"], plugin["metadata"]["namespace"]);
    }
    assert_eq!(at(&filter, "/spec/workloadSelector/labels"), at(&plugin, "/spec/selector/matchLabels"));
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
