//! The commands that change what is in force, against a real etcd.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]

mod kit;

use kit::live::{KEY, Live};
use kit::{Files, Run, run, run_unheard, run_with};
use sluicegate_tests::etcd::Etcd;

/// A policy that is told from others by a number.
fn policy(qps: u32) -> String {
    format!("version: \"1.0\"\nsampling: {{ target_qps: {qps} }}\n")
}

fn document(qps: u32) -> String {
    format!(r#"{{"version":"1.0","sampling":{{"target_qps":{qps}}}}}"#)
}

impl Live {
    fn push(&self, qps: u32) -> Run {
        self.run("push", &[&self.files.write("policy.yaml", policy(qps))])
    }

    async fn value(&self) -> String {
        let entry = self.etcd.get(KEY).await.unwrap();
        entry.map(|entry| String::from_utf8(entry.value).unwrap()).unwrap_or_default()
    }

    async fn revision(&self) -> u64 {
        self.etcd.get(KEY).await.unwrap().unwrap().mod_revision
    }
}

#[tokio::test]
async fn a_push_writes_what_the_filters_read_and_keeps_what_was() {
    let live = Live::start().await;
    let first = live.push(1);
    first.assert_code(0);
    assert_eq!(live.value().await, document(1));
    let revision = live.revision().await;
    assert!(first.out.ends_with(&format!("it is revision {revision}\n")), "{}", first.out);
    live.push(2).assert_code(0);
    assert_eq!(live.value().await, document(2));
    let kept = live.etcd.get(&format!("{KEY}.history/{revision:020}")).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(kept.value).unwrap(), document(1));
    // The same transaction.
    assert_eq!(kept.mod_revision, live.revision().await);
}

#[tokio::test]
async fn json_is_written_to_the_letter() {
    let live = Live::start().await;
    let text = "{ \"version\": \"1.0\" }\n";
    live.run("push", &[&live.files.write("policy.json", text)]).assert_code(0);
    assert_eq!(live.value().await, text);
}

#[tokio::test]
async fn what_is_wrong_or_there_already_is_not_written() {
    let live = Live::start().await;
    live.push(1).assert_code(0);
    let revision = live.revision().await;
    let bad = live.run("push", &[&live.files.write("bad.yaml", "version: '1.0'\ntrace: { mode: x }\n")]);
    bad.assert_code(1);
    assert!(bad.err.contains(":2:16: error: trace.mode"), "{}", bad.all());
    let same = live.push(1);
    same.assert_code(0);
    assert!(same.out.contains("holds this already"), "{}", same.out);
    let dry = live.run("push", &[&live.files.write("policy.yaml", policy(2)), "--dry-run"]);
    dry.assert_code(0);
    assert!(dry.out.contains(&format!("is at revision {revision}")), "{}", dry.out);
    assert_eq!(live.revision().await, revision);
}

#[tokio::test]
async fn a_policy_that_says_nothing_is_not_written() {
    let live = Live::start().await;
    let nothings = [
        ("empty.yaml", ""),
        ("comments.yaml", "# to be written\n"),
        ("marker.yaml", "---\n"),
        ("null.yaml", "~\n"),
        ("object.yaml", "{}\n"),
        ("empty.json", ""),
        ("blank.json", " \n"),
        ("null.json", "null\n"),
        ("object.json", "{ }"),
        ("bom.json", "\u{feff}{}"),
    ];
    for (name, text) in nothings {
        let file = live.files.write(name, text);
        let refused = live.run("push", &[&file]);
        refused.assert_code(1);
        let said = format!("{file}: it says nothing");
        for said in [said.as_str(), r#"{"version": "1.0"}"#, "delete the key"] {
            assert!(refused.err.contains(said), "{name}: {}", refused.all());
        }
        assert_eq!(live.etcd.get(KEY).await.unwrap(), None, "{name}");
    }
    live.run("push", &[&live.files.write("least.yaml", "version: '1.0'\n")]).assert_code(0);
}

#[tokio::test]
async fn what_somebody_wrote_since_is_not_written_over() {
    let live = Live::start().await;
    let file = live.files.write("policy.yaml", policy(1));
    live.run("push", &[&file, "--if-revision", "0"]).assert_code(0);
    let seen = live.revision().await.to_string();
    live.etcd.put(KEY, document(7)).await.unwrap();
    let file = live.files.write("policy.yaml", policy(2));
    for revision in [&seen, "0"] {
        let refused = live.run("push", &[&file, "--if-revision", revision]);
        refused.assert_code(1);
        assert!(refused.err.contains("nothing was changed"), "{}", refused.all());
    }
    assert_eq!(live.value().await, document(7));
    let now = live.revision().await.to_string();
    live.run("push", &[&file, "--if-revision", &now]).assert_code(0);
    assert_eq!(live.value().await, document(2));
}

#[tokio::test]
async fn a_push_of_which_nobody_reads_is_done_or_not_as_it_would_be() {
    let live = Live::start().await;
    let push =
        |text| run_unheard(&["push", "--etcd", &live.etcd.endpoint(), KEY, &live.files.write("policy.yaml", text)]);
    // Of its source it says something before it writes.
    let source = "version: '1.0'\npolicy_source: { http: { cluster: c, path: / } }\n";
    assert_eq!(push(source), Some(0));
    let written = live.value().await;
    assert!(written.contains("policy_source"), "{written}");
    assert_eq!(push("{}"), Some(1));
    assert_eq!(live.value().await, written);
}

/// Many at once, each of which reads and then writes: every one that says it is done has kept what was before it.
#[tokio::test]
async fn of_pushes_at_once_none_is_lost() {
    const PUSHES: u32 = 12;
    let live = Live::start().await;
    live.push(1_000).assert_code(0);
    let endpoint = live.etcd.endpoint();
    let pushes: Vec<_> = (1..=PUSHES)
        .map(|qps| {
            let (file, endpoint) = (live.files.write(&format!("{qps}.yaml"), policy(qps)), endpoint.clone());
            std::thread::spawn(move || (qps, run(&["push", "--etcd", &endpoint, KEY, &file])))
        })
        .collect();
    let runs: Vec<_> = pushes.into_iter().map(|push| push.join().unwrap()).collect();
    let mut done = 0;
    for (qps, run) in &runs {
        match run.code {
            0 => done += 1,
            1 => assert!(run.err.contains("somebody else wrote in between"), "{qps}: {}", run.all()),
            _ => panic!("{qps}: {}", run.all()),
        }
    }
    let history = live.run("history", &[]);
    // A line for each that was done, one for the first, and the title.
    assert_eq!(history.out.lines().count(), done + 2, "{done}\n{}", history.out);
    println!("{done} of {PUSHES} pushes at once were done, the others refused");
}

#[tokio::test]
async fn a_rollback_goes_back_and_again_further_back() {
    let live = Live::start().await;
    for qps in 1..=4 {
        live.push(qps).assert_code(0);
    }
    for qps in [3, 2] {
        live.run("rollback", &[]).assert_code(0);
        assert_eq!(live.value().await, document(qps));
    }
    // A push after that is a new beginning: what it took the place of is what comes back.
    live.push(5).assert_code(0);
    for qps in [2, 1] {
        live.run("rollback", &[]).assert_code(0);
        assert_eq!(live.value().await, document(qps));
    }
    let none = live.run("rollback", &[]);
    none.assert_code(2);
    assert!(none.err.contains("no earlier value that was not rolled back"), "{}", none.all());
    assert_eq!(live.value().await, document(1));
}

#[tokio::test]
async fn a_rollback_to_a_revision_skips_what_came_after() {
    let live = Live::start().await;
    let mut revisions = Vec::new();
    for qps in 1..=4 {
        live.push(qps).assert_code(0);
        revisions.push(live.revision().await.to_string());
    }
    live.run("rollback", &["--to", &revisions[1], "--dry-run"]).assert_code(0);
    assert_eq!(live.value().await, document(4));
    live.run("rollback", &["--to", &revisions[1]]).assert_code(0);
    assert_eq!(live.value().await, document(2));
    // Not 3, which was put out of force together with 4.
    live.run("rollback", &[]).assert_code(0);
    assert_eq!(live.value().await, document(1));
    // What was rolled back is there when it is asked for, and then comes as a new value.
    live.run("rollback", &["--to", &revisions[2]]).assert_code(0);
    assert_eq!(live.value().await, document(3));
    live.run("rollback", &[]).assert_code(0);
    assert_eq!(live.value().await, document(1));
    live.run("rollback", &["--to", "1"]).assert_code(2);
}

#[tokio::test]
async fn a_value_that_is_no_policy_does_not_come_back() {
    let live = Live::start().await;
    live.etcd.put(KEY, "s3cr3t garbage").await.unwrap();
    live.push(1).assert_code(0);
    let refused = live.run("rollback", &[]);
    refused.assert_code(1);
    assert!(refused.err.contains("there is none before it that they would take"), "{}", refused.all());
    assert!(!refused.all().contains("s3cr3t"), "{}", refused.all());
    assert_eq!(live.value().await, document(1));
    let history = live.run("history", &[]);
    live.etcd.put(KEY, "version: s3cr3t").await.unwrap();
    let differs = live.run("diff", &[&live.files.write("policy.yaml", policy(1))]);
    differs.assert_code(2);
    assert!(differs.err.contains("no valid policy") && !differs.all().contains("s3cr3t"), "{}", differs.all());
    assert!(history.out.contains("no valid policy") && !history.out.contains("s3cr3t"), "{}", history.out);
}

#[tokio::test]
async fn a_rollback_to_what_proxies_would_not_take_names_one_that_they_would() {
    for wrong in ["null", r#"{"version": "9.0"}"#] {
        let live = Live::start().await;
        live.push(1).assert_code(0);
        let right = live.revision().await;
        for qps in [2, 3] {
            live.push(qps).assert_code(0);
        }
        live.run("rollback", &[]).assert_code(0);
        // Past this command.
        live.etcd.put(KEY, wrong).await.unwrap();
        let rejected = live.revision().await;
        for (qps, to) in [(4, &[][..]), (5, &["--to", &rejected.to_string()])] {
            live.push(qps).assert_code(0);
            let refused = live.run("rollback", to);
            refused.assert_code(1);
            let (chosen, instead) = (format!("revision {rejected} is "), format!("--to {right}\n"));
            assert!(refused.err.contains(&chosen) && refused.err.ends_with(&instead), "{}", refused.all());
            assert_eq!(live.value().await, document(qps));
        }
        let history = live.run("history", &[]);
        assert_eq!(history.out.matches("no valid policy").count(), 1, "{}", history.out);
        live.run("rollback", &["--to", &right.to_string()]).assert_code(0);
        assert_eq!(live.value().await, document(1));
    }
}

#[tokio::test]
async fn a_key_that_was_deleted_can_be_pushed_or_brought_back() {
    let live = Live::start().await;
    live.push(1).assert_code(0);
    let first = live.revision().await.to_string();
    live.push(2).assert_code(0);
    live.etcd.delete(KEY).await.unwrap();
    live.run("rollback", &[]).assert_code(2);
    let differs = live.run("diff", &[&live.files.write("policy.yaml", policy(3))]);
    differs.assert_code(1);
    assert!(differs.out.contains("(is not there)"), "{}", differs.out);
    live.run("rollback", &["--to", &first]).assert_code(0);
    assert_eq!(live.value().await, document(1));
}

#[tokio::test]
async fn the_last_twenty_values_are_kept() {
    let live = Live::start().await;
    let mut revisions = Vec::new();
    for qps in 1..=24 {
        live.push(qps).assert_code(0);
        revisions.push(live.revision().await);
    }
    let history = live.run("history", &[]);
    let listed: Vec<u64> =
        history.out.lines().skip(1).map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect();
    revisions.reverse();
    assert_eq!(listed, revisions[..21], "{}", history.out);
    let gone = format!("{KEY}.history/{:020}", revisions[21]);
    assert_eq!(live.etcd.get(&gone).await.unwrap(), None);
}

#[tokio::test]
async fn a_diff_shows_what_differs_and_of_secrets_only_that() {
    let live = Live::start().await;
    let text = |qps, secret: &str| {
        format!("version: '1.0'\nsampling: {{ target_qps: {qps}, force: {{ secret: {secret}-0123456789 }} }}\n")
    };
    live.run("push", &[&live.files.write("policy.yaml", text(1, "s3cr3t"))]).assert_code(0);
    let diff = |text: String| live.run("diff", &[&live.files.write("policy.yaml", text)]);
    let same = diff("{ sampling: { force: { secret: s3cr3t-0123456789 }, target_qps: 1 }, version: '1.0' }".to_owned());
    same.assert_code(0);
    assert_eq!(same.out, "");
    let differs = diff(text(2, "s3cr3t"));
    differs.assert_code(1);
    assert!(differs.out.contains("\n-    \"target_qps\": 1,\n+    \"target_qps\": 2,\n"), "{}", differs.out);
    let other = diff(text(1, "s3cr3t-too"));
    other.assert_code(1);
    assert!(
        other.out.contains("-      \"secret\": \"(a secret)\"\n+      \"secret\": \"(another secret)\""),
        "{}",
        other.out
    );
    let bad = diff("version: '1.0'\nsampling: { force: { secrte: s3cr3t-0123456789 } }".to_owned());
    bad.assert_code(1);
    let source = |value| {
        let headers = format!("headers: [{{ name: authorization, value: {value} }}]");
        format!("version: '1.0'\npolicy_source: {{ http: {{ cluster: c, path: /, {headers} }} }}\n")
    };
    live.run("push", &[&live.files.write("policy.yaml", source("s3cr3t"))]).assert_code(0);
    let header = diff(source("s3cr3t-too"));
    header.assert_code(1);
    assert!(header.out.contains("+          \"value\": \"(another secret)\""), "{}", header.out);
    assert!(![differs, other, bad, header].iter().any(|run| run.all().contains("s3cr3t")));
}

#[tokio::test]
async fn a_password_comes_from_the_environment_alone() {
    let mut live = Live::start().await;
    live.push(1).assert_code(0);
    live.etcd.enable_auth("reader", "r3ad3r", KEY).await.unwrap();
    let endpoint = live.etcd.endpoint();
    let file = live.files.write("policy.yaml", policy(2));
    let push = |user: &[&str], password: Option<&str>| {
        let variables: Vec<_> = password.map(|password| ("SLUICECTL_PASSWORD", password)).into_iter().collect();
        run_with(&[&["push", "--etcd", &endpoint][..], user, &[KEY, &file]].concat(), &variables, "")
    };
    for (user, password) in [
        (&[][..], None),
        (&["--user", "root"], None),
        (&["--user", "root"], Some("wr0ng")),
        // It may read the key, and neither its history nor write.
        (&["--user", "reader"], Some("r3ad3r")),
    ] {
        let refused = push(user, password);
        refused.assert_code(2);
        assert!(!password.is_some_and(|password| refused.all().contains(password)), "{}", refused.all());
    }
    assert_eq!(live.value().await, document(1));
    push(&["--user", "root"], Some("root's own")).assert_code(0);
    assert_eq!(live.value().await, document(2));
}

#[test]
fn no_password_is_taken_from_the_command_line_nor_shown() {
    let files = Files::new();
    let file = files.write("policy.yaml", policy(1));
    let endpoints = [
        "http://root:s3cr3t@127.0.0.1:1",
        "https://s3cr3t@127.0.0.1:1/",
        "root:s3cr3t@127.0.0.1:1",
        "http://root:s3/cr3t@127.0.0.1:1",
        "http://127.0.0.1:1,http://root:s3cr3t@127.0.0.1:2",
    ];
    let endpoints = endpoints.map(|endpoint| ["--etcd", endpoint, "--user", "root"]);
    let users = ["root:s3cr3t", ":s3cr3t", "root:s3cr3t:"].map(|user| ["--etcd", "http://127.0.0.1:1", "--user", user]);
    for access in endpoints.iter().chain(&users) {
        for command in [&["push", KEY, &file][..], &["diff", KEY, &file], &["rollback", KEY], &["history", KEY]] {
            let refused = run(&[command, access].concat());
            refused.assert_code(2);
            assert!(!refused.all().contains("s3") && !refused.all().contains("cr3t"), "{}", refused.all());
            assert!(refused.err.contains("--user") && refused.err.contains("SLUICECTL_PASSWORD"), "{}", refused.all());
        }
    }
}

#[tokio::test]
async fn tls_is_spoken_with_an_authority_of_ones_own() {
    let etcd = Etcd::start_tls().await.unwrap();
    let files = Files::new();
    let file = files.write("policy.yaml", policy(1));
    let endpoint = etcd.endpoint();
    assert!(endpoint.starts_with("https://"), "{endpoint}");
    let push = |more: &[&str]| run(&[&["push", "--etcd", &endpoint, KEY, &file], more].concat());
    push(&[]).assert_code(2);
    let ca = etcd.ca().unwrap().to_str().unwrap();
    push(&["--cacert", &file]).assert_code(2);
    push(&["--cacert", ca]).assert_code(0);
    assert_eq!(etcd.get(KEY).await.unwrap().unwrap().value, document(1).as_bytes());
}

#[tokio::test]
async fn what_is_not_there_or_no_etcd_is_told() {
    let mut live = Live::start().await;
    let file = live.files.write("policy.yaml", policy(1));
    for endpoint in ["127.0.0.1:2379", "ftp://127.0.0.1", "http://127.0.0.1:1"] {
        let failed = run(&["push", "--etcd", endpoint, KEY, &file]);
        failed.assert_code(2);
        assert!(failed.err.contains(endpoint), "{}", failed.all());
    }
    // A key of a history, by which a policy could be mistaken for what is kept of another.
    let key = format!("{KEY}.history/00000000000000000001");
    run(&["push", "--etcd", &live.etcd.endpoint(), &key, &file]).assert_code(2);
    live.etcd.kill();
    live.push(1).assert_code(2);
}
