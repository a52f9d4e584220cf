//! Ten thousand broken policies: the command and the module's own loader say the same of each, and neither falls over.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod kit;

use kit::{Files, run};
use serde_json::Value;
use sluicegate_host::double::check;
use sluicegate_suite::Suite;
use sluicegate_tests::shipped;

const POLICIES: usize = 10_000;
/// More in one go would be more than a command line holds.
const AT_ONCE: usize = 1_000;

/// Numbers that look random and are the same in every run (Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    fn up_to(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

/// Another value in the place of one of a document's, another name in the place of one, or one field less.
fn mutate(value: &mut Value, numbers: &mut Numbers) {
    let here = numbers.up_to(4) == 0;
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let name = fields.keys().nth(numbers.up_to(fields.len())).unwrap().clone();
            match numbers.up_to(8) {
                0 => _ = fields.remove(&name),
                1 => {
                    let value = fields.remove(&name).unwrap();
                    let cut = name.char_indices().nth(numbers.up_to(name.len())).map_or(0, |(at, _)| at);
                    fields.insert(format!("{}{}", &name[..cut], name.get(cut + 1..).unwrap_or_default()), value);
                }
                _ => mutate(&mut fields[&name], numbers),
            }
        }
        Value::Array(items) if !items.is_empty() && !here => {
            let place = numbers.up_to(items.len());
            mutate(&mut items[place], numbers);
        }
        value => {
            let others = [
                Value::Null,
                Value::from(true),
                Value::from(0),
                Value::from(-1),
                Value::from(0.5),
                Value::from(1e300),
                Value::from(""),
                Value::from("10s"),
                Value::from("1.1"),
                Value::from("x".repeat(5_000)),
                Value::from("\u{202e}\u{0}\u{1f600}\n\""),
                Value::Array(vec![Value::from("inbound")]),
                Value::Object(serde_json::Map::new()),
            ];
            *value = others[numbers.up_to(others.len())].clone();
        }
    }
}

/// Bytes that are no longer JSON, most of the time.
fn garble(text: &str, numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=numbers.up_to(3) {
        let place = numbers.up_to(bytes.len());
        match numbers.up_to(4) {
            0 => bytes[place] = numbers.up_to(256) as u8,
            1 => _ = bytes.remove(place),
            2 => bytes.insert(place, b"{}[]\":,\\0-.e \n\xff"[numbers.up_to(15)]),
            _ => bytes.truncate(place.max(1)),
        }
    }
    bytes
}

#[test]
fn the_command_and_the_module_say_the_same_of_any_policy() {
    let policy: Value = shipped::yaml("envoy/policy.yaml").unwrap();
    let (mut numbers, files) = (Numbers(7), Files::new());
    let mut accepted = 0;
    for start in (0..POLICIES).step_by(AT_ONCE) {
        let mut wanted = Vec::new();
        for number in start..start + AT_ONCE {
            let bytes = if number % 4 == 0 {
                garble(&policy.to_string(), &mut numbers)
            } else {
                let mut policy = policy.clone();
                (0..=numbers.up_to(3)).for_each(|_| mutate(&mut policy, &mut numbers));
                policy.to_string().into_bytes()
            };
            let said = check::<Suite>(&bytes, &|_| None);
            wanted.push((files.write(&format!("{number}.json"), &bytes), said));
        }
        let names = wanted.iter().map(|(name, _)| name.as_str());
        let run = run(&["check", "--env", "--format", "json"].into_iter().chain(names).collect::<Vec<_>>());
        let told: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{}", run.all()));
        for (told, (name, said)) in told["files"].as_array().unwrap().iter().zip(&wanted) {
            assert_eq!(told["file"].as_str(), Some(name.as_str()));
            assert_eq!(told["accepted"].as_bool(), Some(said.is_ok()), "{name}: {said:?}");
            let messages: Vec<_> =
                told["problems"].as_array().unwrap().iter().map(|p| p["message"].as_str().unwrap()).collect();
            let wanted = match said {
                Ok(warnings) => warnings.join("\n"),
                Err(errors) => errors.to_string(),
            };
            assert_eq!(messages.join("\n"), wanted, "{name}");
            accepted += usize::from(said.is_ok());
        }
    }
    // Neither all nor none of them are broken.
    assert!((POLICIES / 20..POLICIES / 2).contains(&accepted), "{accepted}");
    println!("{accepted} of {POLICIES} mutated policies are accepted");
}
