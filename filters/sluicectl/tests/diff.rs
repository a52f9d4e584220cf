//! What a change would change, against a real etcd.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::live::{KEY, Live};
use kit::{Run, run};

fn document(qps: u32, secret: &str) -> String {
    format!(r#"{{"version":"1.0","sampling":{{"target_qps":{qps},"force":{{"secret":"{secret}-0123456789"}}}}}}"#)
}

impl Live {
    /// The revision at which it is in force.
    async fn push(&self, document: &str) -> u64 {
        self.run("push", &[&self.files.write("policy.json", document)]).assert_code(0);
        self.etcd.get(KEY).await.unwrap().unwrap().mod_revision
    }

    async fn value(&self) -> Vec<u8> {
        self.etcd.get(KEY).await.unwrap().unwrap().value
    }
}

/// The lines with what goes and what comes.
fn changes(run: &Run) -> Vec<&str> {
    run.out.lines().skip(2).filter(|line| line.starts_with(['-', '+'])).map(str::trim_end).collect()
}

#[tokio::test]
async fn without_a_file_it_shows_what_a_rollback_would_change() {
    let live = Live::start().await;
    let first = live.push(&document(1, "s3cr3t")).await;
    let none = live.run("diff", &[]);
    none.assert_code(2);
    assert!(none.err.contains("no earlier value"), "{}", none.all());
    let second = live.push(&document(2, "s3cr3t")).await;
    let third = live.push(&document(3, "s3cr3t-too")).await;
    let before = live.value().await;
    let newest = live.run("diff", &[]);
    newest.assert_code(1);
    let head = format!("--- {KEY} (is at revision {third})\n+++ {KEY} at revision {second}\n");
    assert!(newest.out.starts_with(&head), "{}", newest.out);
    let wanted = [
        r#"-    "target_qps": 3,"#,
        r#"+    "target_qps": 2,"#,
        r#"-      "secret": "(a secret)""#,
        r#"+      "secret": "(another secret)""#,
    ];
    assert!(wanted.iter().all(|line| changes(&newest).contains(line)), "{}", newest.out);
    assert_eq!(changes(&newest).len(), 4, "{}", newest.out);
    let to = live.run("diff", &["--to", &first.to_string()]);
    to.assert_code(1);
    assert!(to.out.contains(&format!("+++ {KEY} at revision {first}\n")), "{}", to.out);
    assert!(changes(&to).contains(&r#"+    "target_qps": 1,"#), "{}", to.out);
    assert!(![&newest, &to].iter().any(|run| run.all().contains("s3cr3t")));
    // It shows, and does nothing.
    assert_eq!(live.value().await, before);
    // What it shows is what comes.
    live.run("rollback", &[]).assert_code(0);
    assert_eq!(live.value().await, document(2, "s3cr3t").as_bytes());
    // Not the one that was rolled back, which is the newest now.
    assert!(live.run("diff", &[]).out.contains(&format!("+++ {KEY} at revision {first}\n")));
    live.run("diff", &["--to", &third.to_string()]).assert_code(1);
}

#[tokio::test]
async fn without_a_file_it_shows_nothing_that_cannot_come_back() {
    let live = Live::start().await;
    let first = live.push(&document(1, "s3cr3t")).await.to_string();
    live.push(&format!("{} ", document(1, "s3cr3t"))).await;
    let unchanged = live.run("diff", &[]);
    unchanged.assert_code(0);
    assert_eq!(unchanged.out, "");
    // Past this command.
    live.etcd.put(KEY, r#"{"s3cr3t": "#).await.unwrap();
    live.push(&document(2, "s3cr3t")).await;
    let wrong = live.run("diff", &[]);
    wrong.assert_code(2);
    assert!(
        wrong.err.contains("nothing that proxies would take") && !wrong.all().contains("s3cr3t"),
        "{}",
        wrong.all()
    );
    live.run("diff", &["--to", &first]).assert_code(1);
    live.run("diff", &["--to", "999999"]).assert_code(2);
    let file = live.files.write("policy.json", document(3, "s3cr3t"));
    live.run("diff", &[&file, "--to", &first]).assert_code(2);
    live.etcd.delete(KEY).await.unwrap();
    live.run("diff", &[]).assert_code(2);
    let from_nothing = live.run("diff", &["--to", &first]);
    from_nothing.assert_code(1);
    assert!(from_nothing.out.starts_with(&format!("--- {KEY} (is not there)\n")), "{}", from_nothing.out);
}

#[tokio::test]
async fn of_a_query_it_shows_whether_it_differs() {
    let live = Live::start().await;
    let source = |token: &str| {
        let path = format!("/v1/kv/x?raw&token={token}");
        format!(r#"{{"version":"1.0","policy_source":{{"http":{{"cluster":"c","path":"{path}"}}}}}}"#)
    };
    live.push(&source("s3cr3t-1")).await;
    live.push(&source("s3cr3t-2")).await;
    let file = live.files.write("new.json", source("s3cr3t-3"));
    for more in [&[][..], &[file.as_str()]] {
        let differs = live.run("diff", more);
        differs.assert_code(1);
        let shown =
            differs.out.contains("?raw&token=(a secret)\"") && differs.out.contains("?raw&token=(another secret)\"");
        assert!(shown && !differs.all().contains("s3cr3t"), "{}", differs.all());
    }
}

#[tokio::test]
async fn a_key_that_no_proxy_can_watch_is_refused_by_all() {
    let live = Live::start().await;
    let file = live.files.write("policy.json", document(1, "s3cr3t"));
    let commands = [&["push", &file][..], &["diff", &file], &["diff"], &["rollback"], &["history"]];
    for key in ["k".repeat(1_025), "/k/\n".to_owned()] {
        for command in commands {
            let (command, more) = command.split_first().unwrap();
            let refused = run(&[&[command, "--etcd", &live.etcd.endpoint(), &key], more].concat());
            refused.assert_code(2);
            let is_told =
                refused.err.contains("1024 at most") || refused.err.contains(r#""/k/\n" has a control character"#);
            assert!(is_told, "{}", refused.all());
        }
        assert_eq!(live.etcd.get(&key).await.unwrap(), None);
    }
    run(&["push", "--etcd", &live.etcd.endpoint(), &"k".repeat(1_024), &file]).assert_code(0);
}
