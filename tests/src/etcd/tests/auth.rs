//! Who gets in when passwords are asked for.

use serde_json::json;

use super::{Etcd, KEY, STANDARD, ask, range};
use base64::Engine;

#[tokio::test]
async fn with_auth_a_user_reads_one_key_with_the_right_password_and_nobody_else_anything() {
    let mut etcd = Etcd::start().await.unwrap();
    etcd.put(KEY, "policy").await.unwrap();
    assert_eq!(ask(&etcd, "/v3/kv/range", &range(KEY), None).await.status, 200);
    etcd.enable_auth("proxy", "its password", KEY).await.unwrap();

    let refusal = ask(&etcd, "/v3/kv/range", &range(KEY), None).await;
    assert!(refusal.status != 200 && refusal.text().contains("user name is empty"), "{}", refusal.text());
    let wrong = json!({"name": "proxy", "password": "another"});
    assert_eq!(ask(&etcd, "/v3/auth/authenticate", &wrong, None).await.status, 400);

    let right = json!({"name": "proxy", "password": "its password"});
    let answer = ask(&etcd, "/v3/auth/authenticate", &right, None).await.json().unwrap();
    let token = answer["token"].as_str();
    let found = ask(&etcd, "/v3/kv/range", &range(KEY), token).await.json().unwrap();
    assert_eq!(found["kvs"][0]["value"], json!(STANDARD.encode("policy")));
    let put = json!({"key": STANDARD.encode(KEY), "value": ""});
    let [before, after] = ["/", "/sluicegate/policy/checkout/more"].map(|key| ("/v3/kv/range", range(key)));
    for (path, body) in [before, after, ("/v3/kv/put", put)] {
        let refusal = ask(&etcd, path, &body, token).await;
        assert!(refusal.text().contains("permission denied"), "{path}: {}", refusal.text());
    }
}

#[tokio::test]
async fn the_kit_gets_in_as_root_until_the_users_are_wiped() {
    let mut etcd = Etcd::start().await.unwrap();
    etcd.enable_auth("proxy", "its password", KEY).await.unwrap();
    etcd.put(KEY, "one").await.unwrap();
    // Its token dies with the process.
    etcd.restart().await.unwrap();
    assert_eq!(etcd.get(KEY).await.unwrap().unwrap().value, b"one");
    assert_ne!(ask(&etcd, "/v3/kv/range", &range(KEY), None).await.status, 200);

    etcd.wipe().await.unwrap();
    etcd.put(KEY, "two").await.unwrap();
    assert_eq!(ask(&etcd, "/v3/kv/range", &range(KEY), None).await.status, 200);
}
