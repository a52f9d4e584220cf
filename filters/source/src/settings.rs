//! The section `policy_source` of the plugin configuration.

use sluicegate_policy::{Document, Fnv, Secret, Section, authority_of};
use std::fmt;
use std::time::Duration;

/// Where the policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// `policy_source.etcd`
    Etcd(Etcd),
    /// `policy_source.http`
    Http(Http),
}

/// A key of etcd, 3.4 or newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etcd {
    pub(crate) cluster: String,
    pub(crate) key: String,
    pub(crate) user: Option<User>,
}

/// Who reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: Secret,
}

/// A document at an HTTP endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Http {
    pub(crate) cluster: String,
    pub(crate) path: String,
    /// Sent with each GET; names in lower case.
    pub(crate) headers: Vec<(String, Secret)>,
    /// From one GET to the next, give or take a tenth.
    pub(crate) interval: Duration,
    /// How long Consul is asked to hold a GET back until there is something new.
    pub(crate) blocking: Option<Duration>,
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

const LONGEST_PATH: usize = 2_048;

const A_CLUSTER: &str = "the name of a cluster of the proxy, 1 to 256 bytes without control characters";
const A_GRPC_CLUSTER: &str = "the name of a cluster of the proxy, 1 to 120 bytes of ASCII without control characters";
const A_KEY: &str = "a key of etcd, 1 to 1024 bytes";
const A_USER: &str = "the name of a user of etcd, 1 to 256 bytes without control characters";
const A_PATH: &str = "a path that begins with /, at most 2048 visible ASCII characters, without #";
const AN_UNBLOCKED_PATH: &str = "a path without index and wait in its query, which blocking adds";

impl Settings {
    /// Reads the section; `None` where it is absent or wrong. What is wrong is recorded in the document.
    pub fn read(document: &Document<'_>) -> Option<Settings> {
        let section = document.section("policy_source");
        section.exactly_one_of(&["etcd", "http"]);
        let (etcd, http) = (section.subsection("etcd"), section.subsection("http"));
        match (Etcd::read(&etcd), Http::read(&http)) {
            (Some(etcd), None) => Some(Settings::Etcd(etcd)),
            (None, Some(http)) => Some(Settings::Http(http)),
            _ => None,
        }
    }

    /// The cluster of the proxy behind which the source is.
    pub fn cluster(&self) -> &str {
        match self {
            Settings::Etcd(etcd) => &etcd.cluster,
            Settings::Http(http) => &http.cluster,
        }
    }

    /// The `:authority` of requests to it: what the cluster's name says.
    pub fn authority(&self) -> &str {
        authority_of(self.cluster()).unwrap_or("policy-source")
    }

    /// `etcd` or `http`: for the label of a metric.
    pub fn name(&self) -> &'static str {
        match self {
            Settings::Etcd(_) => "etcd",
            Settings::Http(_) => "http",
        }
    }

    /// The same number for the same place, over reloads and releases: of its kind, its cluster, and its key or path. How
    /// it is read, and by whom, does not matter.
    pub fn place(&self) -> u64 {
        let place = match self {
            Settings::Etcd(etcd) => &etcd.key,
            Settings::Http(http) => &http.path,
        };
        hash_of(&[self.name().as_bytes(), self.cluster().as_bytes(), place.as_bytes()])
    }

    /// The same number for the same session: of the place, and of how and by whom it is read. Who cannot get in with a
    /// name and password that are no longer right is not in the way of who has the right ones.
    pub fn identity(&self) -> u64 {
        let place = self.place().to_le_bytes();
        let mut parts = vec![place.as_slice()];
        let (interval, blocking);
        match self {
            Settings::Etcd(Etcd { user, .. }) => {
                parts.extend(user.iter().flat_map(|user| [user.name.as_bytes(), user.password.bytes()]));
            }
            Settings::Http(http) => {
                (interval, blocking) = (millis(http.interval), millis(http.blocking.unwrap_or_default()));
                parts.extend([interval.as_slice(), &blocking]);
                parts.extend(http.headers.iter().flat_map(|(name, value)| [name.as_bytes(), value.bytes()]));
            }
        }
        hash_of(&parts)
    }
}

/// For the proxy's log: `etcd (cluster "etcd", key "/a")`. Without the query of a path, which may hold a token.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Settings::Etcd(Etcd { cluster, key, .. }) => write!(f, "etcd (cluster {cluster:?}, key {key:?})"),
            Settings::Http(http) => write!(f, "http (cluster {:?}, path {:?})", http.cluster, http.path_alone()),
        }
    }
}

fn hash_of(parts: &[&[u8]]) -> u64 {
    let mut hash = Fnv::new();
    for part in parts {
        hash.write(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.write(part);
    }
    hash.value()
}

fn millis(duration: Duration) -> [u8; 16] {
    duration.as_millis().to_le_bytes()
}

impl Etcd {
    fn read(section: &Section<'_>) -> Option<Etcd> {
        if !section.is_given() {
            return None;
        }
        let given = section.required();
        let cluster = given.string_where("cluster", is_grpc_cluster, A_GRPC_CLUSTER).map(str::to_owned);
        let key = given.string_where("key", |text| (1..=1_024).contains(&text.len()), A_KEY);
        let user = read_user(section);
        Some(Etcd { cluster: cluster?, key: key?.to_owned(), user })
    }
}

/// Name and password: both, or neither.
fn read_user(section: &Section<'_>) -> Option<User> {
    let name = |section: &Section<'_>| section.string_where("user", is_name, A_USER).map(str::to_owned);
    let password = |section: &Section<'_>| section.secret("password", 1);
    match (name(section), password(section)) {
        (Some(name), Some(password)) => Some(User { name, password }),
        // What is there asks for the other. (What is there and wrong is wrong once.)
        (Some(_), None) => password(&section.required()).and(None),
        (None, Some(_)) => name(&section.required()).and(None),
        (None, None) => None,
    }
}

impl Http {
    /// Without its query.
    fn path_alone(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    fn read(section: &Section<'_>) -> Option<Http> {
        if !section.is_given() {
            return None;
        }
        let given = section.required();
        let cluster = read_cluster(&given);
        let path = given.request_path("path", LONGEST_PATH, A_PATH);
        let headers = section.callout_headers("headers");
        let interval = section.duration("interval", Duration::from_secs(1)..=Duration::from_secs(3600));
        let blocking = section.duration("blocking", Duration::from_secs(1)..=Duration::from_secs(600));
        if let Some(path) = path {
            if blocking.is_some() && (has_parameter(path, "index") || has_parameter(path, "wait")) {
                let (path, _) = path.split_once('?').unwrap_or((path, ""));
                section.reject_as("path", format_args!("{path:?} with such a query"), AN_UNBLOCKED_PATH);
            }
            if path.starts_with("/v1/kv/") && !has_parameter(path, "raw") {
                section
                    .warn("path", "Consul answers with the value alone only where the query has raw: /v1/kv/KEY?raw");
            }
        }
        Some(Http {
            cluster: cluster?,
            path: path?.to_owned(),
            headers,
            interval: interval.unwrap_or(DEFAULT_INTERVAL),
            blocking,
        })
    }
}

fn read_cluster(section: &Section<'_>) -> Option<String> {
    section.string_where("cluster", is_name, A_CLUSTER).map(str::to_owned)
}

fn is_name(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// What the proxy can be told of where gRPC goes.
fn is_grpc_cluster(text: &str) -> bool {
    is_name(text) && text.is_ascii() && text.len() <= 120
}

/// Whether the query of this path has a parameter of that name.
fn has_parameter(path: &str, name: &str) -> bool {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|parameter| parameter.split('=').next() == Some(name))
}

/// Without the query, which may hold a token.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("cluster", &self.cluster)
            .field("path", &self.path_alone())
            .field("interval", &self.interval)
            .field("blocking", &self.blocking)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
