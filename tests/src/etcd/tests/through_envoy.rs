//! An Envoy's clusters that reach an etcd, with and without TLS.

use prost::Message;
use serde_json::json;

use super::{Etcd, KEY, PATIENCE};
use crate::client::{Protocol, Reply, Request};
use crate::envoy::{Bootstrap, Envoy};
use crate::{client::raw, grpc};

/// `etcdserverpb.RangeRequest`, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes, tag = "1")]
    key: Vec<u8>,
}

/// `etcdserverpb.RangeResponse`, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
}

/// `mvccpb.KeyValue`, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes, tag = "5")]
    value: Vec<u8>,
}

/// Which cluster a request goes to, its header `x-cluster` says.
async fn envoy(clusters: impl FnOnce(Bootstrap) -> Bootstrap) -> Envoy {
    let bootstrap = Bootstrap::shipped().unwrap().only("trace_context").unwrap();
    let routed = clusters(bootstrap).edit_connection_manager(|manager| {
        manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"] = json!({"cluster_header": "x-cluster"});
    });
    routed.unwrap().start().await.unwrap()
}

async fn read(envoy: &Envoy, cluster: &str) -> Reply {
    let request = RangeRequest { key: KEY.as_bytes().to_vec() }.encode_to_vec();
    let call = Request::grpc("/etcdserverpb.KV/Range", &request).header("x-cluster", cluster);
    call.send(envoy.address(), Protocol::Http2).await.unwrap()
}

fn value(reply: &Reply) -> Vec<u8> {
    assert_eq!(reply.grpc_status(), Some(0), "{reply:?}");
    let response = RangeResponse::decode(grpc::payload(reply.body.clone()).unwrap()).unwrap();
    response.kvs[0].value.clone()
}

#[tokio::test]
async fn an_etcd_with_tls_takes_nobody_without() {
    let etcd = Etcd::start_tls().await.unwrap();
    etcd.put(KEY, "policy").await.unwrap();
    assert!(etcd.endpoint().starts_with("https://127.0.0.1:"), "{}", etcd.endpoint());
    let request = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let reply = raw::send(etcd.address(), request, PATIENCE).await.unwrap();
    assert_ne!(reply.status(), Some(200), "{}", reply.text());
    assert_eq!(Etcd::start().await.unwrap().ca(), None);
}

#[tokio::test]
async fn an_envoy_reads_from_etcd_with_and_without_tls_but_not_from_a_stranger() {
    let (plain, secret, stranger) =
        (Etcd::start().await.unwrap(), Etcd::start_tls().await.unwrap(), Etcd::start_tls().await.unwrap());
    for (etcd, value) in [(&plain, "plain"), (&secret, "secret"), (&stranger, "stranger")] {
        etcd.put(KEY, value).await.unwrap();
    }
    let ca = secret.ca().unwrap();
    let envoy = envoy(|bootstrap| {
        bootstrap
            .grpc_cluster("plain", plain.address())
            .tls_grpc_cluster("secret", secret.address(), ca)
            .tls_grpc_cluster("stranger", stranger.address(), ca)
            .grpc_cluster("unencrypted", secret.address())
    })
    .await;
    assert_eq!(value(&read(&envoy, "plain").await), b"plain");
    assert_eq!(value(&read(&envoy, "secret").await), b"secret");
    for refused in ["stranger", "unencrypted"] {
        assert_eq!(read(&envoy, refused).await.grpc_status(), Some(14), "{refused}");
    }
}

#[tokio::test]
async fn a_cluster_without_more_is_spoken_to_over_http1() {
    let upstream = crate::upstream::Upstream::start().await.unwrap();
    let envoy = envoy(|bootstrap| bootstrap.cluster("service", upstream.address())).await;
    let request = Request::get("/").header("x-cluster", "service");
    let reply = request.send(envoy.address(), Protocol::Http2).await.unwrap();
    assert_eq!(reply.seen().unwrap().version, "HTTP/1.1");
}
