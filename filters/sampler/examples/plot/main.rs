//! Draws how the sampler follows a load that changes: `scripts/plot` puts it into `filters/sampler/load.svg`.

#![allow(clippy::arithmetic_side_effects, clippy::expect_used)]

mod figure;
mod simulation;

fn main() {
    print!("{}", figure::draw());
}
