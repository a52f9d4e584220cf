//! Packs the filter crates into modules.
fn main() {}
