//! Where `sluicectl check` says that something is wrong, and what it shows of it.

mod kit;

use kit::{Files, run};

#[test]
fn what_is_no_json_is_placed_where_the_reader_stopped() {
    let files = Files::new();
    // As YAML, all of it is right.
    let table = [
        ("{\"version\":\"1.0\",\n \"trace\":{\"mode\":\"forward\",}}", ":2:28: error: trace", "(line 2, column 28)"),
        (
            "\u{feff}{\"version\":\"1.0\",\n \"trace\":{'mode':\"forward\"}}",
            ":2:11: error: trace",
            "(line 2, column 11)",
        ),
    ];
    for (text, place, said) in table {
        let run = run(&["check", &files.write("policy.json", text)]);
        run.assert_code(1);
        assert!(run.out.contains(place) && run.out.contains(said) && !run.out.contains('^'), "{}", run.all());
    }
    // Of JSON that is right, with a byte order mark or without, the place is that of the field.
    for mark in ["", "\u{feff}"] {
        let text = format!("{mark}{{\"version\":\"1.0\",\n \"trace\":{{\"mode\":\"forwrd\"}}}}");
        let run = run(&["check", &files.write("policy.json", text)]);
        run.assert_code(1);
        let shown = ":2:18: error: trace.mode: found \"forwrd\"";
        assert!(run.out.contains(shown) && run.out.contains("  2 | \"mode\": \"forwrd\"\n"), "{}", run.all());
    }
}

#[test]
fn json_within_a_manifest_is_placed_where_its_reader_stopped() {
    let inner = r#"{"version":"1.0", "trace":{"mode":"forward",}}"#;
    let text = format!(
        "typed_config: {{ config: {{ configuration: {{ '@type': type.googleapis.com/google.protobuf.StringValue, \
         value: '{inner}' }} }} }}"
    );
    let run = run(&["check", &Files::new().write("manifest.yaml", text)]);
    run.assert_code(1);
    assert!(run.out.contains(":1:45: error: trace") && run.out.contains("(line 1, column 45)"), "{}", run.all());
}

#[test]
fn what_an_alias_refers_to_is_shown_as_it_is_written() {
    let files = Files::new();
    let head = "version: \"1.0\"\nbreaker:\n";
    let table = [
        // Within the value: the line of the anchor.
        (
            "version: \"1.0\"\nx: &a {mode: forwrd}\ntrace: *a\n".to_owned(),
            ":2:14: error: trace.mode: found \"forwrd\"",
            "  2 | mode: forwrd\n    |       ^^^^^^\n",
        ),
        // The value itself: the line of the alias.
        (
            "version: \"1.0\"\nx: &a forwrd\ntrace:\n  mode: *a\n".to_owned(),
            ":4:9: error: trace.mode: found \"forwrd\"",
            "  4 | mode: *a\n    |       ^^\n",
        ),
        (
            format!("{head}  x: &a {{enabld: true}}\ntrace: {{<<: *a}}\n"),
            ":3:10: error: trace.enabld: unknown field",
            "  3 | enabld: …\n    | ^^^^^^\n",
        ),
    ];
    for (text, place, shown) in table {
        let run = run(&["check", &files.write("policy.yaml", text)]);
        run.assert_code(1);
        assert!(run.out.contains(place) && run.out.contains(shown), "{}", run.all());
    }
}

#[test]
fn the_query_of_a_path_is_never_shown() {
    let files = Files::new();
    let table = [
        r#"cluster: c, path: "/v1/kv/x?raw&index=1&token=s3cr3t", blocking: 10s"#,
        r#"cluster: c, path: "v1/kv/x?token=s3cr3t""#,
        r#"cluster: c, path: "v1/kv/x\x3ftoken=s3cr3t""#,
        r#"cluster: c, path: ["/x?token=s3cr3t"]"#,
    ];
    for http in table {
        let file = files.write("policy.yaml", format!("version: \"1.0\"\npolicy_source: {{http: {{{http}}}}}\n"));
        for command in [&["check", &file][..], &["check", "--format", "json", &file], &["explain", "--policy", &file]] {
            let run = run(command);
            run.assert_code(1);
            assert!(run.all().contains("policy_source.http.path") && !run.all().contains("s3cr3t"), "{}", run.all());
        }
    }
}
