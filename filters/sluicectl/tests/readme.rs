//! What the README shows is what the command says.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod kit;

use kit::{Files, root, run_in};
use sluicegate_tests::etcd::Etcd;

/// The endpoint that the README names.
const ENDPOINT: &str = "http://127.0.0.1:2379";

/// The contents of the fenced blocks of a language.
fn blocks<'r>(readme: &'r str, language: &str) -> Vec<&'r str> {
    let fence = format!("```{language}\n");
    let block = |rest: &'r str| rest.split_once("```").map(|(block, _)| block);
    readme.split(&fence).skip(1).filter_map(block).collect()
}

/// The words of a command line; single quotes keep blanks.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split('\'').enumerate();
    let words = quoted.flat_map(|(number, part)| match number % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

/// Whether these are the lines shown; a line `…` stands for any number of lines.
fn is_shown(shown: &[&str], lines: &[&str]) -> bool {
    match (shown, lines) {
        ([], []) => true,
        (["…", rest @ ..], _) => (0..=lines.len()).any(|skipped| is_shown(rest, &lines[skipped..])),
        ([first, shown @ ..], [line, lines @ ..]) if first == line => is_shown(shown, lines),
        _ => false,
    }
}

#[tokio::test]
async fn every_command_says_what_the_readme_shows() {
    let readme = std::fs::read_to_string(root().join("filters/sluicectl/README.md")).unwrap();
    let (files, etcd) = (Files::new(), Etcd::start().await.unwrap());
    let [policy, wrong] = blocks(&readme, "yaml")[..] else { panic!("two files are shown") };
    files.write("policy.yaml", policy);
    files.write("new.yaml", policy.replace("target_qps: 100", "target_qps: 50"));
    files.write("wrong.yaml", wrong);
    let mut number = 0;
    for block in blocks(&readme, "console") {
        for command in block.split("$ sluicectl ").skip(1) {
            let (line, shown) = command.split_once('\n').unwrap();
            let words = words(&line.replace(ENDPOINT, &etcd.endpoint()));
            let run = run_in(files.path(), &words.iter().map(String::as_str).collect::<Vec<_>>(), &[], "");
            let (shown, lines): (Vec<_>, Vec<_>) = (shown.lines().collect(), run.out.lines().collect());
            assert!(is_shown(&shown, &lines), "{line}\n{}", run.all());
            number += 1;
        }
    }
    assert_eq!(number, 11);
}
