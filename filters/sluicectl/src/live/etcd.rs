//! A client of etcd's JSON gateway (`/v3/…`): reads, and transactions.
//!
//! Keys and values are base64 in it, and 64-bit numbers are strings.

use crate::cli::EtcdArgs;
use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// The environment variable with the password: the command line is for everybody on the machine to see.
const PASSWORD: &str = "SLUICECTL_PASSWORD";
const TIMEOUT: Duration = Duration::from_secs(10);

/// A key and its value.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Vec<u8>,
    /// The store's revision at which it was written.
    pub(super) mod_revision: i64,
}

/// A change of a transaction.
pub(super) enum Change {
    Put { key: String, value: Vec<u8> },
    Delete { key: String },
}

/// What came of a transaction.
pub(super) enum Outcome {
    /// It was done, at this revision.
    Done(i64),
    /// The key stands at another revision than it was to: 0 where it is not there. Nothing was done.
    Refused(i64),
}

pub(super) struct Etcd {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
}

impl Etcd {
    /// Connects, and logs in where there is a user.
    pub(super) fn connect(args: &EtcdArgs) -> Result<Etcd> {
        // Before anything that shows them.
        ensure!(
            !args.etcd.contains('@'),
            "an endpoint has no user and no password in it, where everybody on the machine sees them: --user names the \
             user, and the password is to be in the environment variable {PASSWORD}"
        );
        ensure!(
            !args.user.as_ref().is_some_and(|user| user.contains(':')),
            "--user takes no password, which everybody on the machine would see, and a user's name has no colon: the \
             password is to be in the environment variable {PASSWORD}"
        );
        let endpoint = args.etcd.trim_end_matches('/').to_owned();
        let is_url = endpoint.starts_with("http://") || endpoint.starts_with("https://");
        ensure!(is_url, "not an endpoint: {endpoint:?}; such as http://127.0.0.1:2379");
        let mut tls = TlsConfig::builder();
        if let Some(file) = &args.cacert {
            let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            tls = tls.root_certs(RootCerts::from(certificates(&pem, file)?));
        }
        let agent = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            // What follows a redirect would be a GET.
            .max_redirects(0)
            .tls_config(tls.build())
            .build()
            .new_agent();
        let mut etcd = Etcd { agent, endpoint, token: None };
        if let Some(user) = &args.user {
            let password = std::env::var(PASSWORD)
                .map_err(|_| anyhow!("the password of {user} is to be in the environment variable {PASSWORD}"))?;
            let answer = etcd.post("auth/authenticate", &json!({ "name": user, "password": password }))?;
            let token = answer.get("token").and_then(Value::as_str).context("etcd gave no token")?;
            etcd.token = Some(token.to_owned());
        }
        Ok(etcd)
    }

    /// A key, and all from another one on and before a third: all of the same moment, as a majority of etcd's members has it.
    pub(super) fn get_with_range(&self, key: &str, from: &str, to: &str) -> Result<(Option<Entry>, Vec<Entry>)> {
        let range = |body: Value| json!({ "request_range": body });
        let both =
            [range(json!({ "key": encode(key) })), range(json!({ "key": encode(from), "range_end": encode(to) }))];
        let answer = self.post("kv/txn", &json!({ "success": both }))?;
        let responses = answer.get("responses").and_then(Value::as_array).context("etcd answered something else")?;
        let mut ranges = responses.iter().filter_map(|response| response.get("response_range"));
        let (Some(one), Some(range)) = (ranges.next(), ranges.next()) else { bail!("etcd answered something else") };
        Ok((entries(one)?.into_iter().next(), entries(range)?))
    }

    /// Makes these changes in one step, if the key stands at this revision; 0 means that it is not there.
    pub(super) fn compare_and_swap(&self, key: &str, revision: i64, changes: &[Change]) -> Result<Outcome> {
        let compare = json!({
            "key": encode(key), "target": "MOD", "result": "EQUAL", "mod_revision": revision.to_string(),
        });
        let changes: Vec<_> = changes.iter().map(Change::request).collect();
        let look = json!({ "request_range": { "key": encode(key) } });
        let answer = self.post("kv/txn", &json!({ "compare": [compare], "success": changes, "failure": [look] }))?;
        if answer.get("succeeded").and_then(Value::as_bool) == Some(true) {
            let header = answer.get("header").context("etcd answered something else")?;
            return Ok(Outcome::Done(number(header, "revision")?));
        }
        let found = answer.pointer("/responses/0/response_range").map(entries).transpose()?.unwrap_or_default();
        Ok(Outcome::Refused(found.first().map_or(0, |entry| entry.mod_revision)))
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let mut request = self.agent.post(format!("{}/v3/{path}", self.endpoint));
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        let endpoint = &self.endpoint;
        let body = body.to_string();
        let answer = request.header("content-type", "application/json").send(&body);
        let mut answer = answer.with_context(|| format!("cannot reach etcd at {endpoint}"))?;
        let status = answer.status();
        let text = answer.body_mut().read_to_string().with_context(|| format!("no answer of etcd at {endpoint}"))?;
        let json: Option<Value> = serde_json::from_str(&text).ok();
        if status.is_success() {
            return json.with_context(|| format!("what answers at {endpoint} is no etcd"));
        }
        let said = json.as_ref().and_then(|json| json.get("message").or_else(|| json.get("error")));
        match said.and_then(Value::as_str) {
            Some(said) => bail!("etcd at {endpoint} refuses: {said}"),
            None => bail!("what answers at {endpoint} is no etcd: status {status}"),
        }
    }
}

impl Change {
    fn request(&self) -> Value {
        match self {
            Change::Put { key, value } => json!({ "request_put": { "key": encode(key), "value": encode(value) } }),
            Change::Delete { key } => json!({ "request_delete_range": { "key": encode(key) } }),
        }
    }
}

fn certificates(pem: &[u8], file: &std::path::Path) -> Result<Vec<Certificate<'static>>> {
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.with_context(|| format!("{} is not PEM", file.display()))? {
            certificates.push(certificate);
        }
    }
    ensure!(!certificates.is_empty(), "{} holds no certificate", file.display());
    Ok(certificates)
}

/// The keys of a range, in their order. (What is zero or empty is left out of etcd's JSON.)
fn entries(answer: &Value) -> Result<Vec<Entry>> {
    let found = answer.get("kvs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    found.iter().map(entry).collect()
}

fn entry(kv: &Value) -> Result<Entry> {
    let key = String::from_utf8(decode(kv, "key")?).context("a key in etcd is not text")?;
    Ok(Entry { key, value: decode(kv, "value")?, mod_revision: number(kv, "mod_revision")? })
}

fn number(of: &Value, name: &str) -> Result<i64> {
    let text = of.get(name).and_then(Value::as_str).unwrap_or("0");
    text.parse().with_context(|| format!("etcd says {name:?}: {text:?}"))
}

fn decode(of: &Value, name: &str) -> Result<Vec<u8>> {
    let text = of.get(name).and_then(Value::as_str).unwrap_or_default();
    BASE64_STANDARD.decode(text).with_context(|| format!("etcd's {name:?} is not base64"))
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}
