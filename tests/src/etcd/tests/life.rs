//! What is put, and what becomes of it when an etcd goes and comes.

use std::time::Instant;

use rustix::io::Errno;
use rustix::process::test_kill_process;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::super::*;
use super::{KEY, PATIENCE, STANDARD, ask, range};
use crate::client::raw;
use base64::Engine;

#[tokio::test]
async fn it_keeps_what_is_put_under_a_revision() {
    let etcd = Etcd::start().await.unwrap();
    assert_eq!(etcd.get(KEY).await.unwrap(), None);
    assert_eq!(etcd.put(KEY, "one").await.unwrap(), 2);
    assert_eq!(etcd.put("/other", b"\xff").await.unwrap(), 3);
    assert_eq!(etcd.put(KEY, "two").await.unwrap(), 4);
    let two = Entry { value: b"two".to_vec(), create_revision: 2, mod_revision: 4, version: 2 };
    assert_eq!(etcd.get(KEY).await.unwrap(), Some(two));
    assert_eq!(etcd.get("/other").await.unwrap().unwrap().value, b"\xff");

    assert_eq!(etcd.delete(KEY).await.unwrap(), 5);
    assert_eq!(etcd.get(KEY).await.unwrap(), None);
    assert_eq!(etcd.put(KEY, "").await.unwrap(), 6);
    let empty = Entry { value: Vec::new(), create_revision: 6, mod_revision: 6, version: 1 };
    assert_eq!(etcd.get(KEY).await.unwrap(), Some(empty));
}

#[tokio::test]
async fn a_killed_etcd_is_gone_and_comes_back_with_its_data() {
    let mut etcd = Etcd::start().await.unwrap();
    let (address, pid) = (etcd.address(), etcd.pid());
    etcd.put(KEY, "kept").await.unwrap();
    etcd.kill();
    assert_eq!(etcd.pid(), None);
    TcpStream::connect(address).await.unwrap_err();
    etcd.put(KEY, "lost").await.unwrap_err();

    etcd.restart().await.unwrap();
    assert_eq!(etcd.address(), address);
    assert_eq!(etcd.get(KEY).await.unwrap().unwrap().value, b"kept");
    assert_eq!(etcd.put(KEY, "more").await.unwrap(), 3);
    // And of one that still runs there is only one afterwards.
    etcd.restart().await.unwrap();
    assert_ne!(etcd.pid(), pid);
    assert_eq!(etcd.put(KEY, "most").await.unwrap(), 4);
}

#[tokio::test]
async fn a_wiped_etcd_begins_its_revisions_over_in_the_same_cluster() {
    let mut etcd = Etcd::start().await.unwrap();
    let cluster = async |etcd: &Etcd| {
        let answer = ask(etcd, "/v3/kv/range", &range(KEY), None).await.json().unwrap();
        answer["header"]["cluster_id"].as_str().unwrap().to_owned()
    };
    let (address, id) = (etcd.address(), cluster(&etcd).await);
    for _ in 0..3 {
        etcd.put(KEY, "before").await.unwrap();
    }
    etcd.wipe().await.unwrap();
    assert_eq!((etcd.address(), cluster(&etcd).await), (address, id));
    assert_eq!(etcd.get(KEY).await.unwrap(), None);
    assert_eq!(etcd.put(KEY, "after").await.unwrap(), 2);
}

#[tokio::test]
async fn what_was_before_a_compaction_is_forgotten() {
    let etcd = Etcd::start().await.unwrap();
    etcd.put(KEY, "old").await.unwrap();
    let now = etcd.put(KEY, "new").await.unwrap();
    let mut before = range(KEY);
    before["revision"] = json!("2");
    assert_eq!(ask(&etcd, "/v3/kv/range", &before, None).await.status, 200);
    etcd.compact(now).await.unwrap();
    let refusal = ask(&etcd, "/v3/kv/range", &before, None).await;
    assert!(refusal.text().contains("compacted"), "{}", refusal.text());
    assert_eq!(etcd.get(KEY).await.unwrap().unwrap().value, b"new");

    let error = etcd.compact(now + 1).await.unwrap_err().to_string();
    assert!(error.contains("/v3/kv/compaction") && error.contains("future revision"), "{error}");
}

#[tokio::test]
async fn a_paused_etcd_takes_connections_and_says_nothing_until_it_is_resumed() {
    let mut etcd = Etcd::start().await.unwrap();
    etcd.put(KEY, "before").await.unwrap();
    etcd.pause().unwrap();
    TcpStream::connect(etcd.address()).await.unwrap();
    timeout(Duration::from_millis(300), etcd.get(KEY)).await.unwrap_err();
    etcd.resume().unwrap();
    assert_eq!(etcd.get(KEY).await.unwrap().unwrap().value, b"before");

    // Also a frozen one can be killed.
    etcd.pause().unwrap();
    etcd.kill();
    assert!(etcd.pause().is_err() && etcd.resume().is_err());
    etcd.restart().await.unwrap();
    assert_eq!(etcd.put(KEY, "after").await.unwrap(), 3);
}

#[tokio::test]
async fn it_counts_who_watches() {
    let etcd = Etcd::start().await.unwrap();
    assert_eq!(etcd.watchers().await.unwrap(), 0.0);
    let create = json!({"create_request": {"key": STANDARD.encode(KEY)}}).to_string();
    let head = format!("POST /v3/watch HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", create.len());
    let address = etcd.address();
    let watch = tokio::spawn(async move { raw::send(address, (head + &create).as_bytes(), PATIENCE).await });
    wait_for_watchers(&etcd, 1.0).await;
    // Gone with whoever watched.
    watch.abort();
    wait_for_watchers(&etcd, 0.0).await;
}

async fn wait_for_watchers(etcd: &Etcd, count: f64) {
    let started = Instant::now();
    while etcd.watchers().await.unwrap() != count {
        assert!(started.elapsed() < PATIENCE, "{:?} watchers", etcd.watchers().await);
        sleep(POLL).await;
    }
}

#[tokio::test]
async fn a_dropped_etcd_leaves_neither_a_process_nor_data() {
    let etcd = Etcd::start().await.unwrap();
    let pid = Pid::from_child(etcd.process.as_ref().unwrap());
    let (address, folder) = (etcd.address(), etcd.folder.path().to_owned());
    assert!(folder.join("data/member").is_dir());
    drop(etcd);
    assert_eq!(test_kill_process(pid), Err(Errno::SRCH));
    assert!(!folder.exists());
    TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn an_etcd_that_does_not_start_says_why() {
    let mut etcd = Etcd::start().await.unwrap();
    etcd.kill();
    remove_dir_all(etcd.data()).unwrap();
    std::fs::write(etcd.data(), "no folder").unwrap();
    let error = etcd.restart().await.unwrap_err().to_string();
    assert!(error.contains("etcd exited with") && error.contains("not a directory"), "{error}");
}
