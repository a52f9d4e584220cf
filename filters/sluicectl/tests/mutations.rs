//! Ten thousand broken policies: the command and the module's own loader say the same of each, and neither falls over.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod kit;

use kit::mutated::{POLICIES, mutated};
use kit::{Files, run};
use serde_json::Value;
use sluicegate_host::double::check;
use sluicegate_suite::Suite;
use sluicegate_tests::shipped;

/// More in one go would be more than a command line holds.
const AT_ONCE: usize = 1_000;

#[test]
fn the_command_and_the_module_say_the_same_of_any_policy() {
    let policy: Value = shipped::yaml("envoy/policy.yaml").unwrap();
    let (mut policies, files) = (mutated(&policy).enumerate(), Files::new());
    let mut accepted = 0;
    for _ in (0..POLICIES).step_by(AT_ONCE) {
        let mut wanted = Vec::new();
        for (number, bytes) in policies.by_ref().take(AT_ONCE) {
            let said = check::<Suite>(&bytes, &|_| None);
            wanted.push((files.write(&format!("{number}.json"), &bytes), said));
        }
        let names = wanted.iter().map(|(name, _)| name.as_str());
        let run = run(&["check", "--env", "--format", "json"].into_iter().chain(names).collect::<Vec<_>>());
        let told: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{}", run.all()));
        for (told, (name, said)) in told["files"].as_array().unwrap().iter().zip(&wanted) {
            assert_eq!(told["file"].as_str(), Some(name.as_str()));
            assert_eq!(told["accepted"].as_bool(), Some(said.is_ok()), "{name}: {said:?}");
            let messages = told["problems"].as_array().unwrap().iter().map(|p| p["message"].as_str().unwrap());
            let wanted = match said {
                Ok(warnings) => warnings.join("\n"),
                Err(errors) => errors.to_string(),
            };
            // The command tells them in the order of their places.
            assert_eq!(sorted(messages.flat_map(str::lines)), sorted(wanted.lines()), "{name}");
            accepted += usize::from(said.is_ok());
        }
    }
    // Neither all nor none of them are broken.
    assert!((POLICIES / 20..POLICIES / 2).contains(&accepted), "{accepted}");
    println!("{accepted} of {POLICIES} mutated policies are accepted");
}

fn sorted<'l>(lines: impl Iterator<Item = &'l str>) -> Vec<&'l str> {
    let mut lines: Vec<_> = lines.collect();
    lines.sort_unstable();
    lines
}
