//! Requests by chance, the same ones in every run.

use hyper::Method;
use serde_json::{Value, json};
use sluicegate_tests::client::{Protocol, Request};

use super::deployment::Sent;
use super::pair::Pair;
use super::policies::policy;
use super::traffic::{SECRET, contexts, with};

/// Another one makes other requests.
const SEED: u64 = 6;
const REQUESTS_EACH: usize = 500;

/// Steele, Lea and Flood's splitmix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// Once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Bytes that a header can carry.
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.of(b"ab01-,;=:|/% \xff\x80\xc3\xa9")).collect()
    }

    /// The same value, or something that has become of it.
    fn spoilt(&mut self, value: &[u8]) -> Vec<u8> {
        let mut value = value.to_vec();
        match self.below(8) {
            0 => value.truncate(self.below(value.len() + 1)),
            1 if !value.is_empty() => {
                let at = self.below(value.len());
                value[at] = self.bytes(1)[0];
            }
            2 => value.extend(self.bytes(3)),
            3 => value.make_ascii_uppercase(),
            4 => value = self.bytes(8000),
            5 => value.clear(),
            _ => {}
        }
        value
    }

    /// With `whole`, one whose outcome is the same for all who see it though a part only is recorded.
    fn request(&mut self, whole: bool) -> Sent {
        let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
        let mut put = |name: &str, value: &[u8]| headers.push((name.to_owned(), value.to_vec()));
        for _ in 0..self.of(&[0, 1, 1, 2]) {
            for (name, value) in self.of(&contexts()) {
                let value = if whole { value.into_bytes() } else { self.spoilt(value.as_bytes()) };
                put(name, &value);
                if !whole && self.once_in(12) {
                    put(name, &value);
                }
            }
        }
        match self.below(4) {
            _ if whole => put("x-request-id", format!("request-{}", self.below(1000)).as_bytes()),
            0 => put("x-request-id", b"f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
            1 => put("x-request-id", &self.spoilt(b"request-1")),
            _ => {}
        }
        for (name, value) in [
            ("baggage", &b"a=b;p=1,tenant.id=theirs"[..]),
            ("tracestate", b"ot=th:8,vendor=x"),
            ("x-tenant", b"gold & silver"),
            ("x-tier", b"gold"),
            ("user-agent", b"curl/8.5.0"),
            ("authorization", b"Bearer abc.def.ghi"),
            ("x-odd", b"4111 1111 1111 1111"),
            ("x-count", b"7"),
        ] {
            if self.once_in(5) && !(whole && name == "tracestate") {
                put(name, &self.spoilt(value));
            }
        }
        if self.once_in(12) {
            put("x-sluicegate-force", self.of(&[SECRET.as_bytes(), b"wrong", b""]));
        }
        if self.once_in(60) {
            (0..300).for_each(|n| put(&format!("x-many-{n}"), b"v"));
        }
        for (times, name, values) in [
            (4, "x-upstream-status", &["201", "204", "302", "404", "429", "500", "503"][..]),
            (40, "x-upstream-reset", &[""]),
            (30, "x-upstream-stream", &["2x1ms"]),
            (6, "x-upstream-response-header", &["content-type=text/html", "set-cookie=a=b", "x-request-id=theirs"]),
            (60, "x-upstream-response-headers-count", &["200"]),
            (40, "x-refuse", &["1"]),
            (30, "x-fallback", &["stale", "fresh"]),
            (30, "host", &["other.test:8080", "unknown.test"]),
        ] {
            if self.once_in(times) {
                put(name, self.of(values).as_bytes());
            }
        }
        let path = self.of(&[
            "/",
            "/cart/7",
            "/orders/17?token=s3cr3t",
            "/public/a?b=c",
            "/healthz",
            "/never/1",
            "/retried",
            "/redirected",
            "/second",
            "/direct",
            "/moved",
            "/users/a@b.example?mail=c@d.example",
        ]);
        let protocol = self.of(&[Protocol::Http1, Protocol::Http2]);
        let method = self.of(&["GET", "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "BREW"]);
        let (protocol, request) = match self.below(8) {
            0 => {
                put("x-upstream-grpc-status", self.of(&["0", "0", "5", "13", "14", "99"]).as_bytes());
                (Protocol::Http2, Request::grpc("/shop.Cart/Add", b"payload"))
            }
            1 => (protocol, Request::post(path, self.bytes(200))),
            _ => (protocol, Request::new(Method::from_bytes(method.as_bytes()).unwrap(), path)),
        };
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        Sent::Http(protocol, with(request, &headers))
    }
}

fn policies() -> [(Value, bool); 5] {
    let all = json!(["w3c", "b3", "b3_multi", "jaeger", "xray", "azure", "plain"]);
    let force = json!({"secret": SECRET, "budget_per_second": 10_000});
    let dropping =
        json!({"force": force, "rules": [{"match": {"path": {"prefix": "/never"}}, "never": true}, {"always": true}]});
    let log = |profile: &str| {
        json!({
            "profile": profile,
            "slow_threshold": "1h",
            "burst": {"enabled": false},
            "routes": [{"match": {"path": {"template": "/cart/{id}"}}}],
            "drop": [{"match": {"path": {"exact": "/healthz"}}}],
            "attributes": [{"name": "odd", "request_header": "x-odd"}, {"name": "count", "request_header": "x-count", "type": "integer"}],
        })
    };
    let baggage = json!({"from_headers": {"tenant.id": "x-tenant"}});
    let fixed = json!({"status": 200, "headers": {"content-type": "text/plain"}, "body": "later"});
    let shedding = json!({"mode": "forced_open", "rules": [
        {"match": {"path": {"prefix": "/cart"}}, "response": fixed, "key": "cart"},
        {"match": {"path": {"prefix": "/users"}}, "fallback": {"header": "x-fallback", "value": "stale"}, "key": "users"},
        {"mode": "shadow", "min_requests": 1_000_000},
    ]});
    let part = json!({"parent": "ignore", "key": "request_id", "rules": [{"rate": 0.5}]});
    [
        (json!({"access_log": log("dev"), "sampling": dropping}), false),
        (json!({"trace": {"mode": "participate", "inject": all, "baggage": baggage}, "access_log": log("prod")}), false),
        (json!({"trace": {"trust_incoming": false, "baggage": baggage}, "sampling": dropping, "access_log": log("prod")}), false),
        (json!({"trace": {"inject": all}, "breaker": shedding, "access_log": log("test")}), false),
        (json!({"trace": {"mode": "participate"}, "sampling": part, "access_log": log("prod")}), true),
    ]
    .map(|(sections, whole)| (policy(sections), whole))
}

#[tokio::test]
async fn requests_by_chance() {
    println!("seed {SEED}");
    let mut chance = Chance(SEED);
    let mut pair = Pair::set(&policies()[0].0).await;
    for (policy, whole) in policies() {
        pair.put_in_force(&policy).await;
        for _ in 0..REQUESTS_EACH {
            pair.send(&chance.request(whole)).await;
        }
    }
    pair.finish().await;
}
