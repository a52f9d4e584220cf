//! Sets of defaults for the stages of a service's life.

use crate::burst::Limit;
use sluicegate_telemetry::outcome::Severity;
use std::time::Duration;

/// Where the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Everything, in detail.
    Dev,
    /// What a test run needs to be read afterwards.
    Test,
    /// What went wrong, and a sample of the rest.
    Prod,
}

/// The settings of a profile; the README shows them side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Defaults {
    pub(crate) min_severity: Severity,
    pub(crate) always_from: Severity,
    pub(crate) slow_threshold: Duration,
    pub(crate) detailed: bool,
    pub(crate) burst: Option<Limit>,
}

/// As a policy names them.
pub(crate) const PROFILES: [(&str, Profile); 3] =
    [("dev", Profile::Dev), ("test", Profile::Test), ("prod", Profile::Prod)];

/// Names of environments; every other one is production, where least is given away.
const DEV: [&str; 4] = ["dev", "development", "local", "sandbox"];
const TEST: [&str; 7] = ["test", "testing", "qa", "ci", "stage", "staging", "integration"];

impl Profile {
    /// The profile for `service.environment`.
    pub(crate) fn of(environment: Option<&str>) -> Profile {
        let environment = environment.unwrap_or_default().to_ascii_lowercase();
        let is_in = |names: &[&str]| names.contains(&environment.as_str());
        if is_in(&DEV) {
            Profile::Dev
        } else if is_in(&TEST) {
            Profile::Test
        } else {
            Profile::Prod
        }
    }

    /// What holds where the policy says nothing.
    pub(crate) fn defaults(self) -> Defaults {
        match self {
            Profile::Dev => Defaults {
                min_severity: Severity::Debug,
                always_from: Severity::Debug,
                slow_threshold: Duration::from_millis(250),
                detailed: true,
                burst: None,
            },
            Profile::Test => Defaults {
                min_severity: Severity::Info,
                always_from: Severity::Info,
                slow_threshold: Duration::from_secs(1),
                detailed: false,
                burst: None,
            },
            Profile::Prod => Defaults {
                min_severity: Severity::Info,
                always_from: Severity::Warn,
                slow_threshold: Duration::from_secs(1),
                detailed: false,
                burst: Some(Limit { first: 100, every: 100 }),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn an_unknown_environment_is_production() {
        for (environment, profile) in [
            (None, Profile::Prod),
            (Some(""), Profile::Prod),
            (Some("prod"), Profile::Prod),
            (Some("eu-west-live"), Profile::Prod),
            (Some("Development"), Profile::Dev),
            (Some("dev"), Profile::Dev),
            (Some("staging"), Profile::Test),
        ] {
            assert_eq!(Profile::of(environment), profile, "{environment:?}");
        }
    }
}
