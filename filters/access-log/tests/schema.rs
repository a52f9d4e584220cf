//! The schema and the record hold each other to their word.

// It is a published file, and the tests read what a user reads. There are no files in wasm32.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod schema {
    mod compatibility;
    mod drift;
    mod lines;
    mod published;
    mod samples;
}
