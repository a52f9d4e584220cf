//! The suite against the four plugins: under the same policy, the same traffic must look the same to the upstream, the
//! client and the log. What is meant to differ is in the suite's README, and in `differences`, by name.

mod costs;
mod deployment;
mod differences;
mod generated;
mod likeness;
mod pair;
mod policies;
mod traffic;
