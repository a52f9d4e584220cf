//! How much is recorded while the load changes: several workers in simulated time, without a proxy.

#![allow(clippy::arithmetic_side_effects, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../examples/plot/figure.rs"]
mod figure;
#[path = "../examples/plot/simulation.rs"]
mod simulation;

use simulation::{Arrivals, Phase, Second, Simulation};
use sluicegate_sampler::load::{Class, Formula};

const TARGET: f64 = 100.0;

/// Connections are never spread evenly.
const WORKERS: [&[f64]; 2] = [&[1.0], &[0.4, 0.3, 0.2, 0.1]];

/// Follows the target up to 1,000,000 requests a second.
const WIDE: Formula = Formula { target_qps: TARGET, min: 0.0001, max: 1.0, error_weight: 2.0 };

/// The seconds of each phase that come a window or more after its beginning.
fn settled<'a>(seconds: &'a [Second], phases: &[Phase], window: u16) -> Vec<&'a [Second]> {
    let mut rest = seconds;
    let mut settled = Vec::new();
    for phase in phases {
        let (of_phase, after) = rest.split_at(phase.seconds as usize);
        settled.push(&of_phase[usize::from(window)..]);
        rest = after;
    }
    settled
}

fn mean(seconds: &[Second], of: impl Fn(&Second) -> f64) -> f64 {
    seconds.iter().map(of).sum::<f64>() / seconds.len() as f64
}

fn within(value: f64, wanted: f64, tolerance: f64) -> bool {
    (value / wanted - 1.0).abs() <= tolerance
}

/// Runs the phases with one worker and with several, with even and with random arrivals, and checks what is recorded once
/// a window has passed in each of them.
fn settles_at(formula: Formula, window: u16, phases: &[Phase], wanted: &[f64]) {
    for workers in WORKERS {
        for arrivals in [Arrivals::Even, Arrivals::Random] {
            let class = Class::new(1, window, formula);
            let seconds = Simulation { class, workers, arrivals, phases }.run();
            for ((settled, phase), wanted) in settled(&seconds, phases, window).iter().zip(phases).zip(wanted) {
                let case = format!("{} workers, {arrivals:?}, {phase:?}", workers.len());
                let sampled = mean(settled, |second| second.sampled.into());
                assert!(within(sampled, *wanted, 0.1), "{case}: {sampled}/s recorded, not {wanted}/s");
                for (after, second) in settled.iter().enumerate() {
                    let expected = second.expected / f64::from(second.offered) * phase.to;
                    assert!(within(expected, *wanted, 0.1), "{case}: p × load = {expected}/s {after} s later");
                }
            }
        }
    }
}

#[test]
fn a_window_after_a_step_the_target_is_met_again() {
    let steps = [1_000.0, 100_000.0, 200.0, 10_000.0, 1_000.0].map(|qps| Phase::steady(90, qps));
    settles_at(WIDE, 60, &steps, &[TARGET; 5]);
}

#[test]
fn a_window_after_a_ramp_the_target_is_met_again() {
    // The end of each ramp is held; what is measured is the hold.
    let ramps = [
        Phase::ramp(60, 200.0, 100_000.0),
        Phase::steady(60, 100_000.0),
        Phase::ramp(60, 100_000.0, 200.0),
        Phase::steady(60, 200.0),
    ];
    for workers in WORKERS {
        let class = Class::new(1, 30, WIDE);
        let seconds = Simulation { class, workers, arrivals: Arrivals::Random, phases: &ramps }.run();
        let settled = settled(&seconds, &ramps, 30);
        for held in [1, 3] {
            let sampled = mean(settled[held], |second| second.sampled.into());
            assert!(within(sampled, TARGET, 0.1), "{sampled}/s after {:?}", ramps[held]);
        }
    }
}

#[test]
fn the_shortest_window_keeps_to_it_too() {
    let steps = [2_000.0, 20_000.0, 500.0].map(|qps| Phase::steady(30, qps));
    settles_at(WIDE, 5, &steps, &[TARGET; 3]);
}

#[test]
fn outside_of_its_bounds_the_probability_is_what_they_say() {
    let formula = Formula { min: 0.01, max: 0.5, ..WIDE };
    let steps = [10.0, 100_000.0, 100.0, 1_000.0].map(|qps| Phase::steady(80, qps));
    // 10 a second are too few to count what was recorded: what was to be expected is asked.
    for workers in WORKERS {
        for arrivals in [Arrivals::Even, Arrivals::Random] {
            let class = Class::new(1, 60, formula);
            let seconds = Simulation { class, workers, arrivals, phases: &steps }.run();
            let settled = settled(&seconds, &steps, 60);
            for (phase, probability) in [(0, 0.5), (1, 0.01), (2, 0.5), (3, 0.1)] {
                for second in settled[phase].iter().filter(|second| second.offered > 0) {
                    let mean = second.expected / f64::from(second.offered);
                    assert!(within(mean, probability, 0.05), "{:?}: {mean}", steps[phase]);
                }
            }
            assert!(within(mean(settled[1], |second| second.sampled.into()), 1_000.0, 0.1));
        }
    }
}

#[test]
fn in_a_burst_of_errors_less_is_recorded_or_more_as_the_weight_says() {
    let phases = [Phase::steady(70, 2_000.0), Phase::failing(70, 2_000.0, 0.25), Phase::steady(70, 2_000.0)];
    for (error_weight, during) in [(2.0, TARGET * 0.5), (-4.0, TARGET * 2.0)] {
        settles_at(Formula { error_weight, ..WIDE }, 60, &phases, &[TARGET, during, TARGET]);
    }
    let all = [Phase::steady(70, 2_000.0), Phase::failing(140, 2_000.0, 1.0), Phase::steady(70, 2_000.0)];
    settles_at(Formula { min: 0.01, ..WIDE }, 60, &all, &[TARGET, 20.0, TARGET]);
}

#[test]
fn a_step_is_followed_as_the_mean_of_a_window_follows_it_and_a_second_later_at_most() {
    // Up it overshoots, for the window still holds the load before; down it is the other way round. Either way the mean
    // of the window goes straight from the old load to the new one.
    for (before, after) in [(1_000.0, 10_000.0), (10_000.0, 1_000.0)] {
        let steps = [Phase::steady(90, before), Phase::steady(90, after)];
        let class = Class::new(1, 60, WIDE);
        let seconds = Simulation { class, workers: WORKERS[1], arrivals: Arrivals::Even, phases: &steps }.run();
        let expected = |passed: f64| TARGET * after / (before + (after - before) * (passed / 59.5).clamp(0.0, 1.0));
        for (second, passed) in seconds[90..].iter().zip(0_u8..) {
            let prompt = expected(f64::from(passed) + 1.0);
            let late = expected(f64::from(passed) - 1.0);
            let bounds = prompt.min(late) * 0.98..=prompt.max(late) * 1.02;
            assert!(bounds.contains(&second.expected), "{passed} s after: {} is not in {bounds:?}", second.expected);
        }
    }
}

#[test]
fn at_the_start_the_target_is_met_after_seconds_not_after_a_window() {
    let steps = [Phase::steady(60, 10_000.0)];
    let class = Class::new(1, 60, WIDE);
    let seconds = Simulation { class, workers: WORKERS[1], arrivals: Arrivals::Random, phases: &steps }.run();
    let sampled = mean(&seconds[5..15], |second| second.expected);
    assert!(within(sampled, TARGET, 0.1), "{sampled}");
}

#[test]
fn the_simulation_offers_what_it_says() {
    for arrivals in [Arrivals::Even, Arrivals::Random] {
        let phases = [Phase::steady(50, 2_000.0), Phase::ramp(50, 2_000.0, 4_000.0)];
        let class = Class::new(1, 60, WIDE);
        let seconds = Simulation { class, workers: WORKERS[1], arrivals, phases: &phases }.run();
        assert!(within(mean(&seconds[..50], |second| second.offered.into()), 2_000.0, 0.02), "{arrivals:?}");
        assert!(within(seconds[99].offered.into(), 4_000.0, 0.05), "{arrivals:?}");
        assert!(within(seconds[74].offered.into(), 3_000.0, 0.05), "{arrivals:?}");
        // Whole numbers at the same distance hardly vary, random ones do.
        let deviation = mean(&seconds[..50], |second| (f64::from(second.offered) - 2_000.0).powi(2)).sqrt();
        match arrivals {
            Arrivals::Even => assert!(deviation < 3.0, "{deviation}"),
            Arrivals::Random => assert!((30.0..60.0).contains(&deviation), "{deviation}"),
        }
    }
}

#[test]
fn the_figure_in_the_repository_is_what_the_script_draws() {
    let drawn = figure::draw();
    let committed = include_str!("../load.svg");
    assert!(committed == drawn, "run scripts/plot and look at filters/sampler/load.svg");
}
