//! The JSON Schema (2020-12) of a policy document, from the code that reads it.
//!
//! There is no list of fields that could fall behind the readers. Documents are tried on them instead: an empty one, then
//! ones with whatever was asked for in those before, until nothing new is asked for. Every reader leaves a note of what
//! it takes, and the notes of all documents together are the schema.
//!
//! ```
//! use std::time::Duration;
//! use sluicegate_policy::schema;
//!
//! let schema = schema::of(|document| {
//!     let sampling = document.section("sampling");
//!     sampling.boolean("enabled");
//!     let force = sampling.subsection("force");
//!     if force.is_given() {
//!         force.required().duration("for", Duration::ZERO..=Duration::from_secs(60));
//!     }
//! });
//!
//! let sampling = &schema["properties"]["sampling"];
//! assert_eq!(sampling["additionalProperties"], false);
//! assert_eq!(sampling["properties"]["enabled"]["type"], serde_json::json!(["boolean", "null"]));
//! assert_eq!(sampling["properties"]["force"]["required"], serde_json::json!(["for"]));
//! ```

mod documents;
mod json;
mod notes;
mod outline;
mod shared;
#[cfg(test)]
mod tests;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};

use crate::Document;
use crate::path::Path;
use documents::Context;
pub(crate) use notes::{Notes, Shape};
use outline::Outline;
use verdicts::Verdicts;

/// The schema of the documents that `read` accepts, as far as JSON Schema can say it.
///
/// `read` reads a document as it always does. It is called about six times for every field, with documents that are not all
/// right: each value of a field alone, and amid all others with their least and with their greatest values. So a field is
/// not found if it is read only where two others have values in the midst of what they may be.
///
/// What is accepted of a document of this build's version, or an earlier minor one, is valid by the schema. The other way
/// round the schema is wider where a check is code of the reader's own: it has the description of what is accepted for such
/// a text, and says nothing of fields that must fit each other, but for [`Section::exactly_one_of`](crate::Section::exactly_one_of).
///
/// Of the environment every variable is there, with 256 bytes that can stand anywhere.
pub fn of(mut read: impl FnMut(&Document<'_>)) -> serde_json::Value {
    let mut exploration = Exploration {
        read: &mut read,
        outline: Outline::default(),
        verdicts: Verdicts::default(),
        tried: BTreeSet::new(),
    };
    exploration.run();
    json::document(&exploration.outline, &exploration.verdicts)
}

struct Exploration<'r> {
    read: &'r mut dyn FnMut(&Document<'_>),
    outline: Outline,
    verdicts: Verdicts,
    /// What has been tried alone.
    tried: BTreeSet<String>,
}

impl Exploration<'_> {
    fn run(&mut self) {
        self.attempt(&documents::empty());
        loop {
            let size = self.outline.size();
            self.try_alone();
            for context in [Context::Least, Context::Most] {
                self.attempt(&documents::full(context, &self.outline));
            }
            if self.outline.size() > size {
                continue;
            }
            self.try_amid(Context::Least);
            self.try_amid(Context::Most);
            if self.outline.size() == size {
                return;
            }
        }
    }

    /// Tries what has not been tried yet, until there is no more of it.
    fn try_alone(&mut self) {
        let mut is_done = false;
        while !is_done {
            is_done = true;
            for probe in documents::probes(&self.outline) {
                if self.tried.insert(probe.to_string()) {
                    is_done = false;
                    let notes = self.attempt(&probe.within(Context::Alone, &self.outline));
                    self.verdicts.add(Context::Alone, &probe, &notes);
                }
            }
        }
    }

    fn try_amid(&mut self, context: Context) {
        let full = documents::full(context, &self.outline);
        let of_full = self.attempt(&full);
        let probes = documents::probes(&self.outline);
        let removals: BTreeMap<_, _> = probes.iter().map(|probe| (probe.path().to_string(), probe.removal())).collect();
        for probe in probes.iter().chain(removals.values()) {
            let document = probe.within(context, &self.outline);
            if document == full {
                self.verdicts.add(context, probe, &of_full);
            } else {
                let notes = self.attempt(&document);
                self.verdicts.add(context, probe, &notes);
            }
        }
    }

    fn attempt(&mut self, fields: &documents::Fields) -> Notes {
        let environment = |_: &str| Some("0123456789abcdef".repeat(16));
        let document = Document::of_fields(documents::object(fields), &environment);
        (self.read)(&document);
        let (root, notes) = document.traces();
        self.outline.add(root, &Path::root(), true, notes);
        document.into_notes()
    }
}
