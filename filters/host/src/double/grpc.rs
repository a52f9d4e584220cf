//! gRPC services behind the proxy in memory: what a filter asks of them is kept, what they say a test says.

use super::{Double, Running};
use crate::{Filter, GrpcMethod, GrpcToken};

/// What a filter asked of a gRPC service; its place among all of them is its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentGrpc {
    /// The cluster.
    pub cluster: String,
    /// The method with its service: `etcdserverpb.KV/Range`.
    pub method: String,
    /// Metadata to begin with.
    pub metadata: Vec<(String, String)>,
    /// The messages so far: of a call one.
    pub messages: Vec<Vec<u8>>,
    /// It has been let go of.
    pub is_cancelled: bool,
}

/// The services.
#[derive(Default)]
pub(super) struct Services {
    sent: Vec<SentGrpc>,
    message: Vec<u8>,
    status_message: String,
}

impl Services {
    pub(super) fn begin(&mut self, method: &GrpcMethod<'_>, messages: Vec<Vec<u8>>) -> u32 {
        self.sent.push(SentGrpc {
            cluster: method.cluster.to_owned(),
            method: format!("{}/{}", method.service, method.method),
            metadata: method.metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            messages,
            is_cancelled: false,
        });
        u32::try_from(self.sent.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    pub(super) fn sent(&mut self, token: u32) -> Option<&mut SentGrpc> {
        self.sent.get_mut(token as usize).filter(|sent| !sent.is_cancelled)
    }

    pub(super) fn message(&self, limit: usize) -> Vec<u8> {
        self.message.iter().copied().take(limit).collect()
    }

    pub(super) fn status_message(&self) -> String {
        self.status_message.clone()
    }
}

impl Double {
    /// The gRPC calls and streams that a filter began.
    pub fn grpc(&self) -> Vec<SentGrpc> {
        self.state.borrow().services.sent.clone()
    }
}

impl<F: Filter> Running<F> {
    /// A message comes: the answer to a call, or one of a stream.
    pub fn grpc_message(&mut self, token: u32, message: &[u8]) {
        self.proxy().state.borrow_mut().services.message = message.to_vec();
        self.root.grpc_message(GrpcToken(token));
    }

    /// A call has failed, or a stream ended.
    pub fn grpc_closed(&mut self, token: u32, status: u32, message: &str) {
        self.proxy().state.borrow_mut().services.status_message = message.to_owned();
        self.root.grpc_closed(GrpcToken(token), status);
    }
}
