//! Each test starts an etcd of its own, which `ETCD_BIN` names.

mod auth;
mod life;
mod through_envoy;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Etcd;
use crate::client::{Protocol, Reply, Request};

const PATIENCE: Duration = Duration::from_secs(20);
const KEY: &str = "/sluicegate/policy/checkout";

/// What the gateway answers to anybody, perhaps with a token.
async fn ask(etcd: &Etcd, path: &str, body: &Value, token: Option<&str>) -> Reply {
    let request = Request::post(path, body.to_string());
    let request = token.into_iter().fold(request, |request, token| request.header("authorization", token));
    request.send(etcd.gateway.address(), Protocol::Http1).await.unwrap()
}

fn range(key: &str) -> Value {
    json!({"key": STANDARD.encode(key)})
}
