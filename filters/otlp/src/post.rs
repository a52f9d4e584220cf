//! The outboxes of a VM. They outlive the root contexts, so that a new policy loses nothing.
//!
//! Exporters with the same signal, destination and envelope share one outbox, whatever else their policies say. When a
//! policy is replaced in a running VM, the proxy configures the new root context before it deletes the old one: the new
//! exporter finds the outbox in use and joins it; requests that were under way end with the old root context and go back
//! into the queue. Where the destination or the envelope is another, the new exporter sends what is left in the old
//! outbox to where it was meant to go. When no exporter is left in the VM, nobody can send, and the rest is counted as
//! dropped.

use crate::metrics::Metrics;
use crate::outbox::{Nanos, Outbox};
use crate::settings::Destination;
use crate::{Envelope, Signal};
use sluicegate_host::{Host, HostError};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How many outboxes may be without an exporter of their own at once; of more, the one that is so for longest is given up.
const MAX_ORPHANS: usize = 4;

/// What must be the same for two exporters to share an outbox.
#[derive(PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) signal: Signal,
    pub(crate) destination: Destination,
    pub(crate) envelope: Envelope,
}

/// An outbox in its place in the VM.
pub(crate) struct Post {
    pub(crate) address: Address,
    pub(crate) outbox: RefCell<Outbox>,
    metrics: Metrics,
    exporters: Cell<usize>,
}

thread_local! {
    /// In the order in which they lost their last exporter; those that have one, anywhere.
    static POSTS: RefCell<Vec<Rc<Post>>> = const { RefCell::new(Vec::new()) };
}

impl Post {
    /// The outbox of this address, for one more exporter.
    pub(crate) fn join(address: Address, now: Nanos, host: &'static dyn Host) -> Result<Rc<Post>, HostError> {
        let known = POSTS.with_borrow(|posts| posts.iter().find(|post| post.address == address).cloned());
        let post = match known {
            Some(post) => post,
            None => {
                let metrics = Metrics::define(address.signal, host)?;
                let outbox = RefCell::new(Outbox::new(now));
                let post = Rc::new(Post { address, outbox, metrics, exporters: Cell::new(0) });
                POSTS.with_borrow_mut(|posts| posts.push(Rc::clone(&post)));
                post
            }
        };
        post.exporters.set(post.exporters.get().saturating_add(1));
        Ok(post)
    }

    /// One exporter less.
    pub(crate) fn leave(self: &Rc<Post>) {
        self.exporters.set(self.exporters.get().saturating_sub(1));
        let given_up = POSTS.with_borrow_mut(|posts| {
            if posts.iter().all(|post| post.is_orphan()) {
                return std::mem::take(posts);
            }
            if self.is_orphan() {
                posts.retain(|post| !Rc::ptr_eq(post, self));
                posts.push(Rc::clone(self));
            }
            let orphans = posts.iter().filter(|post| post.is_orphan());
            if orphans.count() <= MAX_ORPHANS {
                return Vec::new();
            }
            let oldest = posts.iter().position(|post| post.is_orphan());
            oldest.map(|position| posts.remove(position)).into_iter().collect()
        });
        for post in given_up {
            post.outbox.borrow_mut().stop();
            post.publish();
        }
        self.publish();
    }

    /// The outboxes that have no exporter of their own, less those that are empty, which are forgotten.
    pub(crate) fn orphans() -> Vec<Rc<Post>> {
        POSTS.with_borrow_mut(|posts| {
            posts.retain(|post| !post.is_orphan() || !post.outbox.borrow().is_empty());
            posts.iter().filter(|post| post.is_orphan()).cloned().collect()
        })
    }

    /// Hands what was counted to the proxy.
    pub(crate) fn publish(&self) {
        self.metrics.publish(self.outbox.borrow().counts());
    }

    fn is_orphan(&self) -> bool {
        self.exporters.get() == 0
    }
}
