//! The command, about one key of one etcd.

use super::{Files, Run, run};
use sluicegate_tests::etcd::Etcd;

pub(crate) const KEY: &str = "/sluicegate/policy/checkout";

pub(crate) struct Live {
    pub(crate) etcd: Etcd,
    pub(crate) files: Files,
}

impl Live {
    pub(crate) async fn start() -> Live {
        Live { etcd: Etcd::start().await.expect("an etcd"), files: Files::new() }
    }

    pub(crate) fn run(&self, command: &str, more: &[&str]) -> Run {
        run(&[&[command, "--etcd", &self.etcd.endpoint(), KEY], more].concat())
    }
}
