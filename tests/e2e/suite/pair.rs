//! Both deployments beside each other, with the same policy and the same traffic.

use serde_json::{Value, json};
use sluicegate_tests::client::{Protocol, Request};
use sluicegate_tests::envoy::Bootstrap;
use tokio::time::Instant;

use super::deployment::{Deployment, Sent};
use super::differences::of_a_shed_request;
use super::likeness::{Field, Likeness};
use crate::stage::PATIENCE;

/// The configuration with all plugins.
pub(super) const SHIPPED: &str = "envoy/envoy.yaml";

/// So many differences are shown.
const SHOWN: usize = 8;

pub(super) struct Pair {
    pub(super) plugins: Deployment,
    pub(super) suite: Deployment,
    likeness: Likeness,
    /// All that have been in force, the last one too. Each gives the service its own place here for a version.
    policies: Vec<Value>,
    complaints: Vec<String>,
    /// Where not all plugins are there, the suite has counters beside theirs: of nothing.
    all_are_there: bool,
}

impl Pair {
    /// On the shipped configuration.
    pub(super) async fn set(policy: &Value) -> Pair {
        Self::set_on(SHIPPED, policy, |shipped| shipped).await
    }

    /// On another one of this repository, or with a change.
    pub(super) async fn set_on(config: &str, policy: &Value, change: fn(Bootstrap) -> Bootstrap) -> Pair {
        let policy = numbered(policy, 0);
        let plugins = Deployment::plugins(config, &policy, change);
        let (plugins, suite) = tokio::join!(plugins, Deployment::suite(config, &policy, change));
        let (likeness, complaints) = Default::default();
        Pair { plugins, suite, likeness, policies: vec![policy], complaints, all_are_there: config == SHIPPED }
    }

    pub(super) async fn put_in_force(&mut self, policy: &Value) {
        let policy = numbered(policy, self.policies.len());
        self.policies.push(policy.clone());
        let count = self.policies.len() as u64;
        tokio::join!(self.plugins.put_in_force(&policy, count), self.suite.put_in_force(&policy, count));
    }

    /// Sends it through both, and notes where they differ in what the client and the upstreams saw.
    pub(super) async fn send(&mut self, sent: &Sent) {
        let sent_text = format!("{sent:?}");
        self.likeness.send(&sent_text);
        let (plugins, suite) = self.see(sent).await;
        let differences = self.likeness.differences(&plugins, &suite);
        let policy = self.policies.last().unwrap().to_string();
        self.complain(&policy, &sent_text, differences);
    }

    /// Sends it through both: what each showed.
    pub(super) async fn see(&mut self, sent: &Sent) -> (Vec<Field>, Vec<Field>) {
        tokio::join!(self.plugins.send(sent), self.suite.send(sent))
    }

    pub(super) async fn send_all(&mut self, traffic: &[Sent]) {
        for sent in traffic {
            self.send(sent).await;
        }
    }

    /// Waits until both show this sum.
    pub(super) async fn wait_for_stat(&self, name: &str, labels: &[(&str, &str)], least: f64) {
        for deployment in [&self.plugins, &self.suite] {
            deployment.envoy.wait_for_stat(name, labels, least, PATIENCE).await.unwrap();
        }
    }

    /// Compares all that was logged and counted, and fails if anything differed.
    pub(super) async fn finish(mut self) {
        let (plugins, suite) = self.records().await;
        for (number, policy) in self.policies.clone().iter().enumerate() {
            let of = |records: &[Vec<Field>]| {
                let of_this = records.iter().filter(|record| policy_of(record) == number);
                of_this.cloned().collect::<Vec<_>>()
            };
            self.compare_records(policy, of(&plugins), of(&suite));
        }
        // A policy that goes hands over what it has counted.
        self.put_in_force(&off()).await;
        let differences = self.differences_of_counters(plugins.len()).await;
        self.complain("the counters", "", differences);
        let count = self.complaints.len();
        let shown = &self.complaints[..count.min(SHOWN)];
        assert!(count == 0, "{count} differences, such as\n{}", shown.join("\n"));
    }

    /// Those of one policy.
    fn compare_records(&mut self, policy: &Value, plugins: Vec<Vec<Field>>, suite: Vec<Vec<Field>>) {
        let text = policy.to_string();
        if plugins.len() != suite.len() {
            let lines = |these: &[Vec<Field>]| these.iter().map(|record| what(record)).collect::<Vec<_>>();
            let (plugins, suite) = (lines(&plugins), lines(&suite));
            self.complain(&text, "", vec![format!("in the log:\n  plugins {plugins:?}\n  suite   {suite:?}")]);
        }
        let injected = policy["trace"]["inject"].as_array();
        let in_decimal = injected.is_some_and(|formats| formats.contains(&json!("google")));
        for (mut plugins, mut suite) in plugins.into_iter().zip(suite) {
            if in_decimal {
                without_decimals(&mut plugins);
                without_decimals(&mut suite);
            }
            let mut differences = of_a_shed_request(&plugins, &mut suite);
            differences.extend(self.likeness.differences(&plugins, &suite));
            self.complain(&text, &what(&plugins), differences);
        }
    }

    /// Once all that was counted has been handed over, by as many records at least.
    async fn differences_of_counters(&mut self, records: usize) -> Vec<String> {
        let began = Instant::now();
        loop {
            let (plugins, mut suite) = tokio::join!(self.plugins.series(), self.suite.series());
            suite.retain(|series| self.all_are_there || plugins.contains(series) || series.1 != "0");
            let made: f64 = plugins.iter().filter(|(name, _)| name.contains("records_total")).map(value).sum();
            let differences = self.likeness.differences(&plugins, &suite);
            if differences.is_empty() && made >= records as f64 || began.elapsed() > PATIENCE / 4 {
                return differences;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// All records, once those are there that were to come.
    async fn records(&mut self) -> (Vec<Vec<Field>>, Vec<Vec<Field>>) {
        let mut all = off();
        all["access_log"] = json!({"profile": "dev"});
        self.put_in_force(&all).await;
        let last = Sent::Http(Protocol::Http1, Request::get("/the-last").header("host", "shop.test"));
        self.send(&last).await;
        for deployment in [&self.plugins, &self.suite] {
            let is_last = |record: &Vec<Field>| record.iter().any(|(_, value)| value == "/the-last");
            let began = Instant::now();
            while !deployment.records().iter().any(is_last) {
                assert!(began.elapsed() < PATIENCE, "no last line");
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        (self.plugins.records(), self.suite.records())
    }

    fn complain(&mut self, policy: &str, about: &str, differences: Vec<String>) {
        // Some requests are long.
        let about: String = about.chars().take(600).collect();
        self.complaints.extend(differences.into_iter().map(|found| format!("{policy}\n{about}\n{found}\n")));
    }
}

/// The policy that does nothing.
pub(super) fn off() -> Value {
    let off = json!({"enabled": false});
    json!({"version": "1.0", "trace": off, "sampling": off, "breaker": off, "access_log": off})
}

/// As it is, and its number for the log.
fn numbered(policy: &Value, number: usize) -> Value {
    let mut policy = policy.clone();
    policy["service"]["version"] = json!(number.to_string());
    policy
}

/// The number of the policy that a record was made by.
fn policy_of(record: &[Field]) -> usize {
    let (_, number) = record.iter().find(|(name, _)| name == "record resource service.version").unwrap();
    number.parse().unwrap()
}

/// Takes from the size of a request how long its span id is in decimal, as Google has it, which is a matter of chance.
fn without_decimals(record: &mut [Field]) {
    let Some((_, span)) = record.iter().find(|(name, _)| name == "record span_id") else { return };
    let digits = u64::from_str_radix(span, 16).unwrap().to_string().len();
    for (_, size) in record.iter_mut().filter(|(name, _)| name == "record attributes sluicegate.request_size_bytes") {
        *size = (size.parse::<usize>().unwrap() - digits).to_string();
    }
}

fn value((_, value): &Field) -> f64 {
    value.parse().unwrap()
}

/// Which request a record is of.
fn what(record: &[Field]) -> String {
    let parts = ["record attributes http.request.method", "record attributes url.path", "record attributes url.query"];
    let of = |part: &&str| record.iter().find(|(name, _)| name == part).map(|(_, value)| value.as_str());
    parts.iter().filter_map(of).collect::<Vec<_>>().join(" ")
}
