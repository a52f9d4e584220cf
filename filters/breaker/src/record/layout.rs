//! The bytes of the layout. Who changes them raises `VERSION` in `shard.rs`, which holds the records: or else two releases
//! misread each other, and one lets pass what the other's breakers keep back.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn check(machine: Machine, expected: &[u8]) {
    assert_eq!(bytes(&machine), expected, "{machine:?}");
    assert_eq!(super::machine(expected).as_ref(), Some(&machine));
}

#[test]
fn closed_with_a_window_by_time() {
    let slots = [
        Slot { second: 1_800_000_000, calls: 300, failures: 2, slow: 1 },
        Slot { second: 1_800_000_200, calls: 127, failures: 0, slow: u32::MAX },
    ];
    let mut seconds = Seconds::default();
    slots.into_iter().for_each(|slot| seconds.add(slot));
    let window = Window::of(Span::Seconds(600), Counts::Seconds(seconds)).unwrap();
    check(
        Machine { epoch: 0, phase: Phase::Closed { window, failures: 129 } },
        b"\x00\x00\x81\x01\x00\xd8\x04\
            \x80\xa4\xa7\xda\x06\xac\x02\x02\x01\
            \xc8\x01\x7f\x00\xff\xff\xff\xff\x0f",
    );
}

#[test]
fn closed_with_a_window_by_count() {
    let mut calls = Calls::default();
    for (failed, slow) in [(false, false), (true, false), (false, true), (true, true), (true, false)] {
        calls.push(Call { failed, slow });
    }
    let window = Window::of(Span::Calls(300), Counts::Calls(calls)).unwrap();
    check(
        Machine { epoch: 128, phase: Phase::Closed { window, failures: 2 } },
        b"\x80\x01\x00\x02\x01\xac\x02\x05\xe4\x01",
    );
}

#[test]
fn open() {
    check(
        Machine {
            epoch: u64::MAX,
            phase: Phase::Open { since: 1_800_000_000_000_000_000, reopened: 3, draw: u32::MAX },
        },
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\
            \x80\x80\xd0\x9d\xe9\xce\xb8\xfd\x18\x03\xff\xff\xff\xff\x0f",
    );
}

#[test]
fn half_open_with_a_trial_of_each_stage() {
    let stages = [Stage::Waiting, Stage::Answered, Stage::Sending, Stage::Parked, Stage::Left];
    let trials = (126..).zip(stages).map(|(number, stage)| Trial { number, since: 300, stage }).collect();
    let probes = Probes { next: 131, successes: 4, trials };
    check(
        Machine { epoch: 5, phase: Phase::HalfOpen { reopened: 200, probes } },
        b"\x05\x02\xc8\x01\x04\x83\x01\
            \x7e\xac\x02\x00\
            \x7f\xac\x02\x01\
            \x80\x01\xac\x02\x02\
            \x81\x01\xac\x02\x03\
            \x82\x01\xac\x02\x04",
    );
}
