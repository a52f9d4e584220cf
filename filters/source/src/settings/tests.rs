#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::testing::read;

fn accepted(section: &str) -> Settings {
    read(section).unwrap().0.unwrap()
}

fn http(settings: Settings) -> Http {
    let Settings::Http(http) = settings else { panic!("not http") };
    http
}

#[test]
fn a_cluster_and_a_place_in_it_are_enough() {
    let settings = accepted(r#"{"etcd": {"cluster": "etcd", "key": "/a"}}"#);
    let etcd = Etcd { cluster: "etcd".to_owned(), key: "/a".to_owned(), user: None };
    assert_eq!(settings, Settings::Etcd(etcd));
    assert_eq!((settings.name(), settings.cluster()), ("etcd", "etcd"));
    let settings = accepted(r#"{"http": {"cluster": "web", "path": "/a"}}"#);
    assert_eq!((settings.name(), settings.cluster()), ("http", "web"));
    let ten_seconds = Duration::from_secs(10);
    let (cluster, path) = ("web".to_owned(), "/a".to_owned());
    let expected = Http { cluster, path, headers: vec![], interval: ten_seconds, blocking: None };
    assert_eq!(http(settings), expected);
}

#[test]
fn every_field_may_be_given() {
    let settings =
        accepted(r#"{"etcd": {"cluster": "c", "key": "k", "user": "reader", "password": {"env": "ETCD_PASSWORD"}}}"#);
    let Settings::Etcd(Etcd { user: Some(user), .. }) = &settings else { panic!("{settings:?}") };
    assert!(user.name == "reader" && user.password.matches(b"correct horse"));
    let settings =
        accepted(r#"{"http": {"cluster": "c", "path": "/v1/kv/a?raw", "interval": "1h", "blocking": "90s"}}"#);
    let Http { path, interval, blocking, .. } = http(settings);
    assert_eq!(
        (path.as_str(), interval, blocking),
        ("/v1/kv/a?raw", Duration::from_secs(3600), Some(Duration::from_secs(90)))
    );
}

#[test]
fn without_the_section_there_is_no_source() {
    let document = Document::parse(br#"{"version": "1.0", "policy_source": null}"#, &|_| None).unwrap();
    assert_eq!(Settings::read(&document), None);
    assert_eq!(document.finish(), Ok(vec![]));
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_with_what_would_be_right() {
    let one_of = r#"one of "etcd", "http""#;
    let cluster = format!("accepted: {A_CLUSTER}");
    let grpc_cluster = format!("accepted: {A_GRPC_CLUSTER}");
    let (long_cluster, longer_cluster) = ("c".repeat(121), "c".repeat(257));
    let long_key = "k".repeat(1_025);
    let long_path = format!("/{}", "p".repeat(2_048));
    let seconds = |longest| format!("accepted: a duration from 1s to {longest}");
    let etcd = |fields: &str| format!(r#"{{"etcd": {{"cluster": "c", "key": "k", {fields}}}}}"#);
    let http = |fields: &str| format!(r#"{{"http": {{"cluster": "c", "path": "/", {fields}}}}}"#);
    let table = [
        ("{}".to_owned(), format!("policy_source: missing, accepted: {one_of}")),
        (
            r#"{"etcd": {"cluster": "c", "key": "k"}, "http": {"cluster": "c", "path": "/"}}"#.to_owned(),
            format!("policy_source: found 2 of these, accepted: only {one_of}"),
        ),
        ("true".to_owned(), "policy_source: found true, accepted: an object".to_owned()),
        (r#"{"etcd": 7}"#.to_owned(), "policy_source.etcd: found 7, accepted: an object".to_owned()),
        (r#"{"http": []}"#.to_owned(), "policy_source.http: found an empty list, accepted: an object".to_owned()),
        (r#"{"etcd": {"key": "k"}}"#.to_owned(), format!("policy_source.etcd.cluster: missing, {grpc_cluster}")),
        (
            r#"{"etcd": {"cluster": "", "key": "k"}}"#.to_owned(),
            format!("policy_source.etcd.cluster: found \"\", {grpc_cluster}"),
        ),
        (
            format!(r#"{{"etcd": {{"cluster": "{long_cluster}", "key": "k"}}}}"#),
            "policy_source.etcd.cluster: found".to_owned(),
        ),
        (r#"{"etcd": {"cluster": "a\nb", "key": "k"}}"#.to_owned(), "policy_source.etcd.cluster: found".to_owned()),
        (r#"{"etcd": {"cluster": "é", "key": "k"}}"#.to_owned(), "policy_source.etcd.cluster: found".to_owned()),
        (
            format!(r#"{{"http": {{"cluster": "{longer_cluster}", "path": "/"}}}}"#),
            "policy_source.http.cluster: found".to_owned(),
        ),
        (r#"{"etcd": {"cluster": "c"}}"#.to_owned(), format!("policy_source.etcd.key: missing, accepted: {A_KEY}")),
        (
            r#"{"etcd": {"cluster": "c", "key": ""}}"#.to_owned(),
            format!("policy_source.etcd.key: found \"\", accepted: {A_KEY}"),
        ),
        (format!(r#"{{"etcd": {{"cluster": "c", "key": "{long_key}"}}}}"#), "policy_source.etcd.key: found".to_owned()),
        (
            etcd(r#""user": "u""#),
            "policy_source.etcd.password: missing, accepted: a string of at least 1 bytes".to_owned(),
        ),
        (etcd(r#""password": "p""#), format!("policy_source.etcd.user: missing, accepted: {A_USER}")),
        (etcd(r#""user": "", "password": "p""#), format!("policy_source.etcd.user: found \"\", accepted: {A_USER}")),
        (etcd(r#""user": "u", "password": """#), "policy_source.etcd.password: not a secret".to_owned()),
        (
            etcd(r#""user": "u", "password": {"env": "NO_SUCH"}"#),
            "policy_source.etcd.password: the environment variable NO_SUCH is not set".to_owned(),
        ),
        (etcd(r#""keey": "x""#), "policy_source.etcd.keey: unknown field".to_owned()),
        (etcd(r#""path": "/""#), "policy_source.etcd.path: unknown field".to_owned()),
        (r#"{"http": {"path": "/"}}"#.to_owned(), format!("policy_source.http.cluster: missing, {cluster}")),
        (r#"{"http": {"cluster": "c"}}"#.to_owned(), format!("policy_source.http.path: missing, accepted: {A_PATH}")),
        (
            r#"{"http": {"cluster": "c", "path": "a"}}"#.to_owned(),
            format!("policy_source.http.path: found \"a\", accepted: {A_PATH}"),
        ),
        (r#"{"http": {"cluster": "c", "path": "/a b"}}"#.to_owned(), "policy_source.http.path: found".to_owned()),
        (r##"{"http": {"cluster": "c", "path": "/a#b"}}"##.to_owned(), "policy_source.http.path: found".to_owned()),
        (r#"{"http": {"cluster": "c", "path": "/ä"}}"#.to_owned(), "policy_source.http.path: found".to_owned()),
        (
            format!(r#"{{"http": {{"cluster": "c", "path": "{long_path}"}}}}"#),
            "policy_source.http.path: found".to_owned(),
        ),
        (http(r#""interval": "999ms""#), format!("policy_source.http.interval: found \"999ms\", {}", seconds("1h"))),
        (http(r#""interval": "3601s""#), "policy_source.http.interval: found".to_owned()),
        (http(r#""interval": 10"#), "policy_source.http.interval: found 10".to_owned()),
        (http(r#""blocking": "601s""#), format!("policy_source.http.blocking: found \"601s\", {}", seconds("10m"))),
        (http(r#""blocking": true"#), "policy_source.http.blocking: found true".to_owned()),
        (
            r#"{"http": {"cluster": "c", "path": "/a?raw&wait=5s", "blocking": "60s"}}"#.to_owned(),
            format!("policy_source.http.path: found \"/a\" with such a query, accepted: {AN_UNBLOCKED_PATH}"),
        ),
        (
            r#"{"http": {"cluster": "c", "path": "/a?index", "blocking": "60s"}}"#.to_owned(),
            format!("policy_source.http.path: found \"/a\" with such a query, accepted: {AN_UNBLOCKED_PATH}"),
        ),
    ];
    for (section, expected) in table {
        let errors = read(&section).expect_err(&section);
        assert!(errors.starts_with(&expected) && errors.lines().count() == 1, "{section}: {errors}");
    }
}

#[test]
fn what_is_just_right_is_accepted() {
    for section in [
        format!(r#"{{"etcd": {{"cluster": "{}", "key": "{}"}}}}"#, "c".repeat(120), "k".repeat(1_024)),
        format!(r#"{{"http": {{"cluster": "{}", "path": "/{}"}}}}"#, "c".repeat(256), "p".repeat(2_047)),
        r#"{"etcd": null, "http": {"cluster": "c", "path": "/a?waiting&indexes=1", "blocking": "1s"}}"#.to_owned(),
        r#"{"http": {"cluster": "c", "path": "/a?wait=1s", "interval": "1s"}}"#.to_owned(),
    ] {
        assert!(read(&section).is_ok_and(|(settings, _)| settings.is_some()), "{section}");
    }
}

#[test]
fn that_consul_wraps_a_value_unless_told_otherwise_is_worth_a_warning() {
    for (path, warns) in
        [("/v1/kv/a", true), ("/v1/kv/a?dc=x", true), ("/v1/kv/a?dc=x&raw", false), ("/v2/kv/a", false)]
    {
        let (_, warnings) = read(&format!(r#"{{"http": {{"cluster": "c", "path": "{path}"}}}}"#)).unwrap();
        assert_eq!(warnings.starts_with("policy_source.http.path: Consul answers"), warns, "{path}: {warnings}");
    }
}

#[test]
fn the_same_place_is_the_same_however_it_is_read() {
    let place = |section: &str| accepted(section).place();
    let etcd = place(r#"{"etcd": {"cluster": "c", "key": "/k"}}"#);
    let guarded = r#"{"etcd": {"cluster": "c", "key": "/k", "user": "u", "password": "p"}}"#;
    assert_eq!(place(guarded), etcd);
    assert_eq!(etcd, 0x63e7_f4fb_b6a2_309f, "over releases");
    let http = place(r#"{"http": {"cluster": "c", "path": "/k"}}"#);
    assert_eq!(place(r#"{"http": {"cluster": "c", "path": "/k", "interval": "1s", "blocking": "1s"}}"#), http);
    let others = [
        http,
        place(r#"{"etcd": {"cluster": "c", "key": "/l"}}"#),
        place(r#"{"etcd": {"cluster": "d", "key": "/k"}}"#),
        place(r#"{"etcd": {"cluster": "c/", "key": "k"}}"#),
    ];
    assert!(!others.contains(&etcd), "{others:x?}");
}

#[test]
fn another_way_to_read_a_place_is_another_session() {
    let identity = |section: &str| accepted(section).identity();
    let etcd = |user: &str| identity(&format!(r#"{{"etcd": {{"cluster": "c", "key": "k"{user}}}}}"#));
    let http = |fields: &str| identity(&format!(r#"{{"http": {{"cluster": "c", "path": "/k"{fields}}}}}"#));
    let sessions = [
        etcd(""),
        etcd(r#", "user": "u", "password": "pq""#),
        etcd(r#", "user": "u", "password": "p""#),
        etcd(r#", "user": "up", "password": "q""#),
        http(""),
        http(r#", "interval": "1s""#),
        http(r#", "blocking": "10s""#),
        http(r#", "headers": [{"name": "a", "value": "b"}]"#),
        http(r#", "headers": [{"name": "a", "value": "c"}]"#),
    ];
    let different: std::collections::BTreeSet<_> = sessions.iter().collect();
    assert_eq!(different.len(), sessions.len(), "{sessions:x?}");
    assert_eq!(http(r#", "interval": "10s""#), http(""), "as is the default");
}

#[test]
fn the_authority_is_the_host_in_the_name_of_the_cluster() {
    for (cluster, authority) in [
        ("consul", "consul"),
        ("outbound|8500||consul.infra.svc.cluster.local", "consul.infra.svc.cluster.local"),
        ("consul:8500", "consul:8500"),
        ("outbound|8500||", "policy-source"),
        ("my consul", "policy-source"),
        ("größe", "policy-source"),
    ] {
        let section = format!(r#"{{"http": {{"cluster": "{cluster}", "path": "/"}}}}"#);
        assert_eq!(accepted(&section).authority(), authority);
    }
}

#[test]
fn nothing_that_is_shown_holds_a_secret() {
    let etcd = accepted(r#"{"etcd": {"cluster": "c", "key": "/k", "user": "u", "password": "s3cr3t"}}"#);
    let headers = r#"[{"name": "x-token", "value": "s3cr3t"}]"#;
    let http = format!(r#"{{"http": {{"cluster": "c", "path": "/k?token=s3cr3t", "headers": {headers}}}}}"#);
    let http = accepted(&http);
    assert_eq!(etcd.to_string(), r#"etcd (cluster "c", key "/k")"#);
    assert_eq!(http.to_string(), r#"http (cluster "c", path "/k")"#);
    let shown = format!("{etcd:?} {http:?}");
    assert!(!shown.contains("s3cr3t") && shown.contains("/k"), "{shown}");
    for wrong in [r#""password": "s3cr3t""#, r#""user": "u", "password": ["s3cr3t"]"#, r#""pasword": "s3cr3t""#] {
        let errors = read(&format!(r#"{{"etcd": {{"cluster": "c", "key": "k", {wrong}}}}}"#)).unwrap_err();
        assert!(!errors.contains("s3cr3t"), "{errors}");
    }
}
