//! What the readers said of the values that were tried: for what they check in code of their own.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::documents::{Context, Probe};
use super::notes::Notes;
use crate::path::Path;

/// Values of fields, and whether they were taken.
#[derive(Default)]
pub(super) struct Verdicts(BTreeMap<String, Vec<Verdict>>);

struct Verdict {
    context: Context,
    value: Json,
    is_taken: bool,
}

impl Verdicts {
    pub(super) fn add(&mut self, context: Context, probe: &Probe, notes: &Notes) {
        let Some(value) = probe.value.clone() else { return };
        let path = probe.path();
        let is_taken = !notes.is_wrong(&path);
        self.0.entry(path.to_string()).or_default().push(Verdict { context, value, is_taken });
    }

    /// Whether `value` was refused for its own sake: wherever `other` was taken at the same place, it was not.
    ///
    /// A limit that depends on another field does not count: the other field has been its least, its most, and absent.
    pub(super) fn refuses(&self, path: &Path, value: &Json, other: &Json) -> bool {
        let verdicts = self.0.get(&path.to_string()).map(Vec::as_slice).unwrap_or_default();
        let is_taken = |context: Context, value: &Json| {
            verdicts.iter().any(|verdict| verdict.context == context && verdict.value == *value && verdict.is_taken)
        };
        let mut comparable =
            [Context::Alone, Context::Least, Context::Most].into_iter().filter(|context| is_taken(*context, other));
        let mut is_compared = false;
        let is_refused = comparable.all(|context| {
            is_compared = true;
            !is_taken(context, value)
        });
        is_compared && is_refused
    }
}
