//! Which responses count as errors for the load.

use sluicegate_host::GrpcStatus;
use sluicegate_policy::Statuses;

/// HTTP statuses and gRPC codes. A response counts by either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Errors {
    statuses: Vec<Statuses>,
    grpc: Vec<GrpcStatus>,
}

impl Errors {
    /// What one of them is, for people.
    pub(crate) const ACCEPTED: &'static str =
        "an HTTP status such as \"429\", a class of them such as \"5xx\", or a gRPC code such as \"UNAVAILABLE\"";

    /// Whether this is one of those.
    pub(crate) fn is_one(text: &str) -> bool {
        Statuses::parse(text).is_some() || grpc(text).is_some()
    }

    /// These, written as in a policy. None at all is possible: then nothing counts.
    pub(crate) fn of(texts: &[&str]) -> Errors {
        Errors {
            statuses: texts.iter().filter_map(|text| Statuses::parse(text)).collect(),
            grpc: texts.iter().filter_map(|text| grpc(text)).collect(),
        }
    }

    /// Whether a response with this HTTP status, and this gRPC status where it has one, is an error. Without any status
    /// there was no response: most often the caller left, which says nothing about the service.
    pub(crate) fn contain(&self, status: Option<u16>, grpc: Option<GrpcStatus>) -> bool {
        status.is_some_and(|status| self.statuses.iter().any(|statuses| statuses.contains(status)))
            || grpc.is_some_and(|grpc| self.grpc.contains(&grpc))
    }
}

/// 5xx, and the gRPC codes by which the service failed and not its caller.
impl Default for Errors {
    fn default() -> Errors {
        Errors {
            statuses: vec![Statuses::class(5)],
            grpc: GrpcStatus::ALL.into_iter().filter(|status| status.fails()).collect(),
        }
    }
}

/// A code's name. OK is no error.
fn grpc(text: &str) -> Option<GrpcStatus> {
    GrpcStatus::ALL.into_iter().find(|status| *status != GrpcStatus::Ok && status.as_str() == text)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use GrpcStatus::{Cancelled, NotFound, Ok, Unavailable, Unknown};

    #[test]
    fn by_default_it_is_what_the_service_failed_at() {
        for (status, grpc, counts) in [
            (Some(200), None, false),
            (Some(499), None, false),
            (Some(500), None, true),
            (Some(599), None, true),
            (Some(600), None, false),
            (None, None, false),
            (Some(200), Some(Ok), false),
            (Some(200), Some(Unavailable), true),
            (Some(200), Some(Unknown), true),
            (Some(200), Some(NotFound), false),
            (Some(503), Some(Cancelled), true),
            (None, Some(Unavailable), true),
        ] {
            assert_eq!(Errors::default().contain(status, grpc), counts, "{status:?} {grpc:?}");
        }
    }

    #[test]
    fn what_is_named_takes_the_place_of_the_default() {
        let errors = Errors::of(&["429", "3xx", "NOT_FOUND"]);
        for (status, grpc, counts) in [
            (429, None, true),
            (428, None, false),
            (300, None, true),
            (399, None, true),
            (500, None, false),
            (200, Some(NotFound), true),
            (200, Some(Unavailable), false),
        ] {
            assert_eq!(errors.contain(Some(status), grpc), counts, "{status} {grpc:?}");
        }
        assert!(!Errors::of(&[]).contain(Some(500), Some(Unavailable)));
    }

    #[test]
    fn what_is_neither_a_status_nor_a_code_is_none() {
        for good in ["5xx", "1xx", "9xx", "100", "503", "UNAVAILABLE", "CANCELLED"] {
            assert!(Errors::is_one(good), "{good}");
        }
        for bad in [
            "",
            "5",
            "5x",
            "0xx",
            "xx",
            "5XX",
            "5xxx",
            "50x",
            "099",
            "1000",
            "+50",
            "5+1",
            "OK",
            "unavailable",
            "14",
            "ä00",
        ] {
            assert!(!Errors::is_one(bad), "{bad}");
        }
    }
}
