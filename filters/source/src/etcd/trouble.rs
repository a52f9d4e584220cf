//! Why a session with etcd begins anew.

use crate::trouble::quoted;

pub(crate) enum Trouble<'m> {
    /// A call or the stream failed with a gRPC status.
    Status { what: &'static str, status: u32, message: &'m str },
    /// The proxy has no such cluster.
    NoCluster,
    /// No answer in time.
    Late(&'static str),
    /// An answer that is none.
    Malformed(&'static str),
    /// etcd gave up the watch, and said why.
    Canceled(&'m str),
    /// What the watch was to begin with is no longer there.
    Compacted,
    /// Another etcd answered than the one that was read.
    OtherCluster,
    /// The watch gave no sign of life.
    Silent,
    /// The store of the watch is not as it was when it was read.
    NotAsRead,
    /// The store began over, and the key is not there.
    Gone,
}

/// gRPC's codes end here.
const LAST_STATUS: u32 = 16;
const UNAUTHENTICATED: u32 = 16;
const UNKNOWN: u32 = 2;

impl Trouble<'_> {
    /// A number below 64, the same for what an operator would look at in the same way.
    pub(crate) fn kind(&self) -> u32 {
        match self {
            Trouble::Status { status: status @ 0..=LAST_STATUS, .. } => *status,
            Trouble::Status { .. } => UNKNOWN,
            Trouble::NoCluster => 17,
            Trouble::Late(_) => 18,
            Trouble::Malformed(_) => 19,
            Trouble::Canceled(_) => 20,
            Trouble::Compacted => 21,
            Trouble::OtherCluster => 22,
            Trouble::Silent => 23,
            Trouble::NotAsRead => 24,
            Trouble::Gone => 25,
        }
    }

    /// Whether the token is what is wrong: it has expired, the users have changed since it was made, or there was none
    /// because etcd had wanted none. What etcd's own client takes for that.
    pub(crate) fn wants_a_new_token(&self) -> bool {
        let (status, message) = match self {
            Trouble::Status { status, message, .. } => (*status, *message),
            // Before 3.5 a watch is told «permission denied» then; the read that follows is told the truth.
            Trouble::Canceled(reason) => (UNKNOWN, *reason),
            _ => return false,
        };
        let says = |text| message.contains(text);
        status == UNAUTHENTICATED
            || says("invalid auth token")
            || says("revision of auth store is old")
            || says("user name is empty")
    }

    /// For the proxy's log.
    pub(crate) fn line(&self, secrets: &[&[u8]]) -> String {
        let problem = match self {
            Trouble::Status { what, status, message } => {
                format!("{what} ended with gRPC status {status} ({})", quoted(message, secrets))
            }
            Trouble::NoCluster => "the proxy has no such cluster, or it takes no gRPC".to_owned(),
            Trouble::Late(what) => format!("{what} was not answered in time"),
            Trouble::Malformed(what) => format!("the answer to {what} is not one of etcd's"),
            Trouble::Canceled(reason) => format!("the watch was cancelled ({})", quoted(reason, secrets)),
            Trouble::Compacted => "the revisions to watch were compacted".to_owned(),
            Trouble::OtherCluster => "another etcd answered than the one that was read".to_owned(),
            Trouble::Silent => "the watch gives no sign of life".to_owned(),
            Trouble::NotAsRead => {
                "the watch is not of the store as it was read: etcd has a new leader, a slow member, or began anew"
                    .to_owned()
            }
            Trouble::Gone => {
                return "the key is gone, and so are all revisions since it was written: etcd was restored or wiped; the \
                        policy in force stays until the key is written again"
                    .to_owned();
            }
        };
        format!("{problem}; the policy in force stays, and the key is read anew after a while, 10 s at most")
    }
}
