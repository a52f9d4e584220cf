//! etcd's JSON gateway: its gRPC API with bytes in base64 and 64-bit numbers as strings.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{Connection, Protocol, Request};

const ROOT_PASSWORD: &str = "root's own";

/// What a key holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// The revision that the key was created at.
    pub create_revision: u64,
    /// The revision of this value.
    pub mod_revision: u64,
    /// How many values the key has had since it was created, this one included.
    pub version: u64,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("value", &self.value.escape_ascii().to_string())
            .field("create_revision", &self.create_revision)
            .field("mod_revision", &self.mod_revision)
            .field("version", &self.version)
            .finish()
    }
}

/// One client of the gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    to: SocketAddr,
    /// Whether root's password is asked for.
    auth: bool,
    /// The connection that the last call left behind.
    idle: Mutex<Option<Session>>,
}

#[derive(Debug)]
struct Session {
    connection: Connection,
    token: Option<String>,
}

impl Gateway {
    pub(super) fn new(to: SocketAddr) -> Self {
        Self { to, auth: false, idle: Mutex::new(None) }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.to
    }

    /// Drops the connection, and the token with it, which etcd forgets when it goes.
    pub(super) fn disconnect(&self) {
        self.leave(None);
    }

    /// For an etcd that has lost its users.
    pub(super) fn forget_auth(&mut self) {
        self.auth = false;
        self.disconnect();
    }

    pub(super) async fn put(&self, key: &str, value: &[u8]) -> Result<u64> {
        let put = json!({"key": STANDARD.encode(key), "value": STANDARD.encode(value)});
        revision(&self.call("/v3/kv/put", &put).await?)
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Entry>> {
        let found = self.call("/v3/kv/range", &json!({"key": STANDARD.encode(key)})).await?;
        found.pointer("/kvs/0").map(entry).transpose()
    }

    pub(super) async fn delete(&self, key: &str) -> Result<u64> {
        revision(&self.call("/v3/kv/deleterange", &json!({"key": STANDARD.encode(key)})).await?)
    }

    pub(super) async fn compact(&self, revision: u64) -> Result<()> {
        let compaction = json!({"revision": revision.to_string(), "physical": true});
        self.call("/v3/kv/compaction", &compaction).await.map(drop)
    }

    /// etcd turns authentication on only where there is a user root with the role root.
    pub(super) async fn enable_auth(&mut self, user: &str, password: &str, key: &str) -> Result<()> {
        let read = json!({"permType": "READ", "key": STANDARD.encode(key)});
        for (path, request) in [
            ("/v3/auth/role/add", json!({"name": "root"})),
            ("/v3/auth/user/add", json!({"name": "root", "password": ROOT_PASSWORD})),
            ("/v3/auth/user/grant", json!({"user": "root", "role": "root"})),
            ("/v3/auth/role/add", json!({"name": user})),
            ("/v3/auth/role/grant", json!({"name": user, "perm": read})),
            ("/v3/auth/user/add", json!({"name": user, "password": password})),
            ("/v3/auth/user/grant", json!({"user": user, "role": user})),
            ("/v3/auth/enable", json!({})),
        ] {
            self.call(path, &request).await?;
        }
        self.disconnect();
        self.auth = true;
        Ok(())
    }

    async fn call(&self, path: &str, body: &Value) -> Result<Value> {
        // Taken for the time of the call: where that fails or is given up, the connection goes with it.
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut session = match idle {
            Some(session) => session,
            None => self.session().await?,
        };
        let answer = session.call(path, body).await?;
        self.leave(Some(session));
        Ok(answer)
    }

    async fn session(&self) -> Result<Session> {
        let connection = Connection::open(self.to, Protocol::Http1).await?;
        let mut session = Session { connection, token: None };
        if self.auth {
            let root = json!({"name": "root", "password": ROOT_PASSWORD});
            let answer = session.call("/v3/auth/authenticate", &root).await?;
            let token = answer.get("token").and_then(Value::as_str).context("etcd gives no token")?;
            session.token = Some(token.to_owned());
        }
        Ok(session)
    }

    fn leave(&self, session: Option<Session>) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = session;
    }
}

impl Session {
    async fn call(&mut self, path: &str, body: &Value) -> Result<Value> {
        let mut request = Request::post(path, body.to_string());
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        let reply = self.connection.send(&request).await.with_context(|| format!("etcd does not answer {path}"))?;
        ensure!(reply.status == 200, "etcd answers {path} with {}: {}", reply.status, reply.text());
        reply.json()
    }
}

/// etcd's own, as of the answer.
fn revision(answer: &Value) -> Result<u64> {
    number(answer.get("header").context("an answer without a header")?, "revision")
}

fn entry(kv: &Value) -> Result<Entry> {
    // The gateway leaves out what is empty.
    let value = kv.get("value").and_then(Value::as_str).unwrap_or_default();
    Ok(Entry {
        value: STANDARD.decode(value).context("a value that is no base64")?,
        create_revision: number(kv, "create_revision")?,
        mod_revision: number(kv, "mod_revision")?,
        version: number(kv, "version")?,
    })
}

fn number(object: &Value, name: &str) -> Result<u64> {
    let text = object.get(name).and_then(Value::as_str).with_context(|| format!("an answer without {name}"))?;
    text.parse().with_context(|| format!("{name} is no number: {text}"))
}
