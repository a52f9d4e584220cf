#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const NOW: Second = 1_800_000_000;

const FAILED: Call = Call { failed: true, slow: false };
const SLOW: Call = Call { failed: false, slow: true };
const GOOD: Call = Call { failed: false, slow: false };

fn slots(window: &Window) -> Vec<(Second, u32)> {
    match window.counts() {
        Counts::Seconds(seconds) => seconds.iter().map(|slot| (slot.second - NOW, slot.calls)).collect(),
        Counts::Calls(_) => unreachable!("by time"),
    }
}

fn slotted(second: Second, calls: u32) -> Slot {
    Slot { second, calls, failures: calls, slow: 0 }
}

#[test]
fn calls_count_in_the_slot_in_which_they_ended_whenever_they_are_told() {
    let mut window = Window::new(Span::Seconds(10));
    for (call, second) in [(GOOD, 5), (FAILED, 4), (SLOW, 5), (GOOD, 4), (FAILED, 5)] {
        window.record(call, NOW + second);
    }
    assert_eq!(slots(&window), [(4, 2), (5, 3)]);
    assert_eq!(window.totals(), Totals { calls: 5, failures: 2, slow: 1 });
    window.slide(NOW + 14);
    assert_eq!(slots(&window), [(5, 3)]);
    window.slide(NOW + 3);
    assert!(window.is_empty(), "they lie in the future");
}

#[test]
fn a_long_window_has_no_more_than_sixty_one_slots() {
    for (length, width) in [(60, 1), (61, 2), (120, 2), (600, 10)] {
        let mut window = Window::new(Span::Seconds(length));
        for second in 0..2_000 {
            window.record(GOOD, NOW + second);
        }
        assert!(slots(&window).len() <= 61 && slots(&window).len() >= 30, "{length}");
        assert!(slots(&window).iter().all(|(second, _)| (NOW + second).is_multiple_of(width)), "{length}");
        let least = u64::from(length) - u64::from(width);
        assert!((least..=u64::from(length)).contains(&window.totals().calls), "{length}");
    }
}

#[test]
fn another_length_keeps_what_is_there_and_another_kind_does_not() {
    let mut window = Window::new(Span::Seconds(10));
    (0..10).for_each(|second| window.record(FAILED, NOW + second));
    window.resize(Span::Seconds(600));
    window.slide(NOW + 300);
    assert_eq!(window.totals().calls, 10);
    window.resize(Span::Seconds(3));
    window.slide(NOW + 9);
    assert_eq!(window.totals().calls, 3);
    window.resize(Span::Calls(5));
    assert!(window.is_empty());
    (0..9).for_each(|_| window.record(FAILED, NOW));
    window.record(GOOD, NOW);
    assert_eq!(window.totals(), Totals { calls: 5, failures: 4, slow: 0 });
}

#[test]
fn counts_of_the_other_kind_are_left_out() {
    for (one, other) in [(Span::Seconds(10), Span::Calls(10)), (Span::Calls(10), Span::Seconds(10))] {
        let (mut window, mut more) = (Window::new(one), Window::new(other));
        window.record(FAILED, NOW);
        more.record(GOOD, NOW);
        window.add_all(&more, NOW);
        assert_eq!(window.totals(), Totals { calls: 1, failures: 1, slow: 0 });
        assert_eq!(Window::of(one, more.counts().clone()), None);
    }
}

#[test]
fn what_a_slot_cannot_hold_changes_no_rate() {
    let mut seconds = Seconds::default();
    seconds.add(Slot { second: NOW, calls: u32::MAX, failures: 7, slow: 0 });
    seconds.add(slotted(NOW, 1));
    assert_eq!(seconds.totals(), Totals { calls: u64::from(u32::MAX), failures: 7, slow: 0 });
}

#[test]
fn there_are_never_more_slots_nor_calls_than_have_a_place() {
    let mut seconds = Seconds::default();
    let mut calls = Calls::default();
    for second in 0..5_000 {
        seconds.add(slotted(NOW + second, 1));
        calls.push(GOOD);
    }
    assert_eq!((seconds.iter().count(), seconds.iter().next().unwrap().second), (128, NOW + 4_872));
    assert_eq!(calls.len(), 1_000);
}
