//! Policies that somebody broke, the same in every run: for the command, and for the finished modules (tests/engine).

// Each test binary uses its own part of it.
#![allow(dead_code, clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

use serde_json::Value;

pub(crate) const POLICIES: usize = 10_000;

/// [`POLICIES`] documents made of this one, most of them JSON.
pub(crate) fn mutated(policy: &Value) -> impl Iterator<Item = Vec<u8>> {
    let mut numbers = Numbers(7);
    (0..POLICIES).map(move |number| {
        if number % 4 == 0 {
            return garble(policy.to_string().as_bytes(), &mut numbers);
        }
        let mut policy = policy.clone();
        (0..=numbers.up_to(3)).for_each(|_| mutate(&mut policy, &mut numbers));
        policy.to_string().into_bytes()
    })
}

/// Numbers that look random and are the same in every run (Knuth's MMIX).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// One of 0, 1, … `end` - 1.
    pub(crate) fn up_to(&mut self, end: usize) -> usize {
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

/// Bytes that are no longer what they were, most of the time.
pub(crate) fn garble(document: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = document.to_vec();
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
