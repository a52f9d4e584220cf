//! One way to deploy the filters, and all that can be seen of an exchange from around it.

use std::time::Duration;

use hyper::HeaderMap;
use serde_json::{Value, json};
use sluicegate_tests::client::{Connection, Protocol, Reply, Request, raw};
use sluicegate_tests::envoy::{Bootstrap, Envoy};
use sluicegate_tests::seen::latin1;
use sluicegate_tests::shipped;
use sluicegate_tests::upstream::Upstream;

use super::likeness::Field;
use crate::stage::PATIENCE;

/// A gauge of the sampler.
pub(super) const KEYS: &str = "sluicegate_sampling_keys";

/// What a client sends.
#[derive(Clone, Debug)]
pub(super) enum Sent {
    Http(Protocol, Request),
    /// Over HTTP/1.1, as no library would.
    Raw(String),
}

/// An Envoy with the filters in it, and two upstreams of its own.
pub(super) struct Deployment {
    pub(super) envoy: Envoy,
    upstreams: [Upstream; 2],
    http1: Option<Connection>,
    http2: Option<Connection>,
}

impl Deployment {
    /// The four plugins, as a configuration of this repository has them.
    pub(super) async fn plugins(config: &str, policy: &Value, change: impl FnOnce(Bootstrap) -> Bootstrap) -> Self {
        Self::start(Bootstrap::read(config).unwrap(), policy, change).await
    }

    /// The suite in the place of the first of them, and the others gone.
    pub(super) async fn suite(config: &str, policy: &Value, change: impl FnOnce(Bootstrap) -> Bootstrap) -> Self {
        let alone = Bootstrap::read(config).unwrap().only("trace_context").unwrap();
        let suite = alone.module("trace_context", &shipped::plugin("suite").unwrap()).unwrap();
        Self::start(suite, policy, change).await
    }

    async fn start(bootstrap: Bootstrap, policy: &Value, change: impl FnOnce(Bootstrap) -> Bootstrap) -> Self {
        let upstreams = [Upstream::recording().await.unwrap(), Upstream::recording().await.unwrap()];
        let bootstrap = bootstrap.upstream(upstreams[0].address()).cluster("second", upstreams[1].address());
        // One worker: which of several knows what when is not what this is about.
        let bootstrap = routed(bootstrap).policy(policy).concurrency(1);
        let envoy = change(bootstrap).start().await.unwrap();
        let deployment = Self { envoy, upstreams, http1: None, http2: None };
        deployment.wait_for_policies(1).await;
        deployment
    }

    /// Has another policy in force: as many as this have then been put in force in all.
    pub(super) async fn put_in_force(&self, policy: &Value, count: u64) {
        self.envoy.swap_policy(policy).unwrap();
        self.wait_for_policies(count).await;
    }

    /// The worker has it too: what the main thread tells it comes before any request that is sent later.
    async fn wait_for_policies(&self, count: u64) {
        for plugin in self.envoy.plugins() {
            self.envoy.wait_for_swaps(plugin, count, 0, PATIENCE).await.unwrap();
        }
    }

    /// What the client and the upstreams saw of it.
    pub(super) async fn send(&mut self, sent: &Sent) -> Vec<Field> {
        let mut fields = match sent {
            Sent::Http(protocol, request) => match self.exchange(*protocol, request).await {
                Ok(reply) => replied(&reply),
                Err(error) => vec![field("client error", format!("{error:#}"))],
            },
            Sent::Raw(bytes) => replied_raw(&self.raw(bytes).await),
        };
        for (upstream, name) in self.upstreams.iter().zip(["upstream", "second"]) {
            for (seen, body) in upstream.take() {
                fields.push(field(name, format!("{} {} {}", seen.method, seen.path, seen.version)));
                fields
                    .extend(seen.headers.into_iter().map(|(header, value)| field(&format!("{name} {header}"), value)));
                fields.push(field(&format!("{name} body"), latin1(&body)));
            }
        }
        self.without_ports(fields)
    }

    async fn exchange(&mut self, protocol: Protocol, request: &Request) -> anyhow::Result<Reply> {
        let kept = match protocol {
            Protocol::Http1 => &mut self.http1,
            Protocol::Http2 => &mut self.http2,
        };
        let mut connection = match kept.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => Connection::open(self.envoy.address(), protocol).await?,
        };
        let reply = connection.send(request).await?;
        *kept = Some(connection);
        Ok(reply)
    }

    async fn raw(&self, text: &str) -> String {
        raw::send(self.envoy.address(), text.as_bytes(), Duration::from_secs(5)).await.unwrap().text()
    }

    /// The lines that there are so far, each with all of its fields.
    pub(super) fn records(&self) -> Vec<Vec<Field>> {
        let log = self.envoy.access_log().unwrap();
        let records = log.lines().map(|line| {
            let mut fields = Vec::new();
            flatten("record", &serde_json::from_str(line).unwrap(), &mut fields);
            if was_answered_early(&fields) {
                fields.retain(|(name, _)| name != "record attributes sluicegate.request_size_bytes");
            }
            self.without_ports(fields)
        });
        records.collect()
    }

    /// All of our series, without the label `plugin`: what that names must differ; and without [`KEYS`], for of a policy
    /// that came and went between two ticks, chance decides whether it is told.
    pub(super) async fn series(&self) -> Vec<Field> {
        let series = self.envoy.stats().await.unwrap().0.into_iter();
        let ours = series.filter(|series| series.name.starts_with("sluicegate_") && series.name != KEYS);
        let mut fields: Vec<_> = ours
            .map(|series| {
                let labels = series.labels.iter().filter(|(name, _)| name != "plugin");
                let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value}")).collect();
                field(&format!("{}{{{}}}", series.name, labels.join(",")), series.value.to_string())
            })
            .collect();
        fields.sort();
        // What every plugin has for itself, such as which policy is in force.
        fields.dedup();
        fields
    }

    /// Each deployment has upstreams at ports of its own.
    fn without_ports(&self, mut fields: Vec<Field>) -> Vec<Field> {
        for (_, value) in &mut fields {
            for (upstream, name) in self.upstreams.iter().zip(["upstream:80", "second:80"]) {
                *value = value.replace(&upstream.address().to_string(), name);
            }
        }
        fields
    }
}

/// Whether it is chance how much of a body had come by the time of the answer.
fn was_answered_early(record: &[Field]) -> bool {
    let is = |name: &str, what: &str| record.iter().any(|(field, value)| field == name && value == what);
    let details = record.iter().find(|(name, _)| name == "record attributes envoy.response.code_details");
    is("record attributes http.request.method", "POST")
        && (details.is_some_and(|(_, details)| details != "via_upstream")
            || is("record attributes sluicegate.shed", "true"))
}

fn field(name: &str, value: impl Into<String>) -> Field {
    (name.to_owned(), value.into())
}

fn replied(reply: &Reply) -> Vec<Field> {
    let headers = |place: &str, headers: &HeaderMap| {
        let headers = headers.iter().map(|(name, value)| field(&format!("{place} {name}"), latin1(value.as_bytes())));
        headers.collect::<Vec<_>>()
    };
    let mut fields = vec![field("client", format!("{:?} {}", reply.version, reply.status))];
    fields.extend(headers("client", &reply.headers));
    fields.push(field("client body", latin1(&reply.body)));
    fields.extend(headers("client trailer", &reply.trailers));
    fields
}

fn replied_raw(reply: &str) -> Vec<Field> {
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((reply, ""));
    let headers = head.lines().map(|line| match line.split_once(": ") {
        Some((name, value)) => field(&format!("client {name}"), value),
        None => field("client", line),
    });
    headers.chain([field("client body", body)]).collect()
}

/// The fields of a JSON object, each by the way to it.
fn flatten(name: &str, value: &Value, fields: &mut Vec<Field>) {
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| flatten(&format!("{name} {key}"), value, fields));
        }
        Value::String(text) => fields.push(field(name, text)),
        other => fields.push(field(name, other.to_string())),
    }
}

/// Routes of every kind for the host `shop.test`, an upstream that is not there, and a filter ahead that refuses.
fn routed(bootstrap: Bootstrap) -> Bootstrap {
    let refuse = json!({
        "name": "refuse",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "abort": {"http_status": 403, "percentage": {"numerator": 100}},
            "headers": [{"name": "x-refuse", "present_match": true}],
        },
    });
    let nobody = "127.0.0.1:1".parse().unwrap();
    let bootstrap = bootstrap.cluster("dead", nobody).header_limits(256, 600).unwrap().filter_ahead(refuse).unwrap();
    let edited = bootstrap.edit_connection_manager(|manager| {
        // Else Envoy keeps a connection for a second that it refused to read.
        manager["delayed_close_timeout"] = json!("0.01s");
        manager["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
        let host = manager.pointer_mut("/route_config/virtual_hosts/0").unwrap();
        host["domains"] = json!(["shop.test", "shop.test:*", "other.test"]);
        // How long that is, and so the size of a response, is a matter of time.
        host["response_headers_to_remove"] = json!(["x-envoy-upstream-service-time"]);
        host["routes"].as_array_mut().unwrap().splice(0..0, routes());
    });
    edited.unwrap()
}

fn routes() -> Vec<Value> {
    let to = |matched: Value, cluster: &str, more: Value| {
        let mut route = json!({"cluster": cluster});
        route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"match": matched, "route": route})
    };
    let retries = json!({"retry_policy": {
        "retry_on": "5xx,reset,connect-failure",
        "num_retries": 2,
        "retry_back_off": {"base_interval": "0.001s"},
    }});
    let fallback = json!({"name": "x-fallback", "string_match": {"exact": "stale"}});
    let mut cart = to(json!({"prefix": "/cart"}), "upstream", json!({}));
    cart["name"] = json!("cart");
    vec![
        to(json!({"prefix": "/", "headers": [fallback]}), "second", json!({})),
        to(json!({"prefix": "/second"}), "second", json!({})),
        to(json!({"prefix": "/dead"}), "dead", json!({})),
        to(json!({"prefix": "/retried"}), "upstream", retries),
        to(json!({"prefix": "/hurried"}), "upstream", json!({"timeout": "0.2s"})),
        to(json!({"prefix": "/redirected"}), "upstream", json!({"internal_redirect_policy": {}})),
        json!({"match": {"prefix": "/moved"}, "redirect": {"path_redirect": "/cart"}}),
        json!({"match": {"prefix": "/direct"}, "direct_response": {"status": 418, "body": {"inline_string": "tea"}}}),
        cart,
    ]
}
