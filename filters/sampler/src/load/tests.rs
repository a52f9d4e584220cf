#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use sluicegate_host::double::Double;

#[cfg(not(target_arch = "wasm32"))]
mod interleavings;

/// The beginning of a second.
const START: u64 = 1_800_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;

fn formula(target_qps: f64) -> Formula {
    Formula { target_qps, min: 0.000_001, max: 1.0, error_weight: 2.0 }
}

fn class(window: u16) -> Class {
    Class::new(7, window, formula(100.0))
}

fn load(proxy: &'static Double, max_keys: usize) -> Load {
    Load::new(max_keys, proxy, START).unwrap()
}

fn qps(load: &mut Load, class: &Class, now: u64) -> f64 {
    load.standing(class, now).map_or(0.0, |standing| standing.rates.qps)
}

/// Lets time pass up to `until`, with a tick every so often.
fn pass(loads: &mut [(&mut Load, &'static Double)], from: u64, until: u64) {
    for now in (from..=until).step_by(250_000_000) {
        for (load, proxy) in &mut *loads {
            load.on_tick(*proxy, now).unwrap();
        }
    }
}

#[test]
fn a_request_makes_no_hostcall_and_a_tick_two_for_a_class() {
    let proxy = Double::new();
    let mut load = load(proxy, 1024);
    let configured = proxy.calls().len();
    for _ in 0..1_000 {
        let judged = load.request(&class(60), None, START);
        load.error(judged.counted);
    }
    assert_eq!(proxy.calls().len(), configured);
    load.on_tick(proxy, START).unwrap();
    let tick = proxy.calls().split_off(configured);
    assert_eq!(tick.iter().filter(|call| **call == "proxy_set_shared_data").count(), 1);
    assert_eq!(tick.len(), 2 + READ_AGAIN);
    // Nothing new: nothing is written.
    load.on_tick(proxy, START + MILLI).unwrap();
    let quiet = proxy.calls().split_off(configured + tick.len());
    assert_eq!(quiet, ["proxy_get_shared_data"; READ_AGAIN]);
}

#[test]
fn only_the_shards_that_changed_are_written() {
    let proxy = Double::new();
    let mut load = load(proxy, 1024);
    let class = class(60);
    for name in 0..500_u32 {
        let _ = load.request(&class, Some(&name.to_le_bytes()), START);
    }
    settle(&mut load, proxy);
    let before = proxy.calls().len();
    let _ = load.request(&class, Some(&7_u32.to_le_bytes()), START + 20 * MILLI);
    load.on_tick(proxy, START + 20 * MILLI).unwrap();
    let writes = proxy.calls()[before..].iter().filter(|call| **call == "proxy_set_shared_data").count();
    assert_eq!(writes, 1);
}

/// Ticks, until all is merged.
fn settle(load: &mut Load, host: &dyn Host) {
    for _ in 0..SHARDS {
        load.on_tick(host, START).unwrap();
    }
}

#[test]
fn a_tick_merges_a_part_of_many_keys_and_the_next_ones_the_rest() {
    let proxy = Double::new();
    let mut load = load(proxy, 2048);
    let class = class(60);
    for name in 0..2_048_u32 {
        let _ = load.request(&class, Some(&name.to_le_bytes()), START);
    }
    let written = |calls: &[&str]| calls.iter().filter(|call| **call == "proxy_set_shared_data").count();
    let mut ticks = Vec::new();
    while load.keys.unmerged() > 0 {
        let before = proxy.calls().len();
        load.on_tick(proxy, START).unwrap();
        ticks.push(written(&proxy.calls()[before..]));
    }
    // Each shard once, and about as many per tick.
    assert_eq!(ticks.iter().sum::<usize>(), SHARDS);
    assert!((7..=12).contains(&ticks.len()) && ticks.iter().all(|shards| *shards <= 12), "{ticks:?}");
}

#[test]
fn the_longer_a_window_the_rarer_it_is_merged_but_a_new_place_does_not_wait() {
    for (window, in_a_minute) in [(5, 240..=240), (15, 240..=240), (60, 60..=61), (600, 6..=7)] {
        let proxy = Double::new();
        let mut load = load(proxy, 1024);
        let class = class(window);
        pass(&mut [(&mut load, proxy)], START, START + 600 * SECOND);
        let mut writes = 0;
        for tick in 0..240 {
            let now = START + 600 * SECOND + tick * 250 * MILLI;
            let _ = load.request(&class, None, now);
            load.on_tick(proxy, now).unwrap();
            writes = proxy.calls().iter().filter(|call| **call == "proxy_set_shared_data").count() - SHARDS;
            if tick == 0 {
                assert_eq!(writes, 1);
            }
        }
        assert!(in_a_minute.contains(&writes), "{window}: {writes}");
    }
}

#[test]
fn workers_decide_by_what_all_have_counted() {
    let (one, class) = (Double::new(), class(60));
    let other = one.worker_beside();
    let (mut first, mut second) = (load(one, 1024), load(other, 1024));
    for request in 0..1_000 {
        let now = START + request * 10 * MILLI;
        let _ = first.requests(3, &class, None, now);
        let _ = second.requests(1, &class, None, now);
        if request % 25 == 24 {
            first.on_tick(one, now).unwrap();
            second.on_tick(other, now).unwrap();
        }
    }
    let now = START + 10 * SECOND;
    // 400 a second; the first has not seen what the other counted in the last quarter of a second.
    for (load, missing) in [(&mut first, 25.0), (&mut second, 0.0)] {
        let standing = load.standing(&class, now).unwrap();
        assert!((standing.rates.qps - (4_000.0 - missing) / 10.0).abs() < 1e-9, "{standing:?}");
        assert!((standing.probability - 100.0 / (standing.rates.qps + 0.1)).abs() < 1e-12, "{standing:?}");
    }
}

#[test]
fn a_worker_without_requests_hears_of_a_class_in_a_second_and_of_a_name_in_four() {
    for identity in 0..16 {
        for (name, seconds) in [(None, 1), (Some(&b"/a"[..]), 4)] {
            let (one, class) = (Double::new(), Class::new(identity, 60, formula(100.0)));
            let other = one.worker_beside();
            let (mut busy, mut quiet) = (load(one, 1024), load(other, 1024));
            let _ = quiet.request(&class, name, START);
            pass(&mut [(&mut busy, one), (&mut quiet, other)], START, START + 10 * SECOND);
            let _ = busy.requests(999, &class, name, START + 10 * SECOND);
            let heard = START + (10 + seconds) * SECOND;
            pass(&mut [(&mut busy, one), (&mut quiet, other)], START + 10 * SECOND, heard);
            assert_eq!(qps(&mut quiet, &class, heard), 1_000.0 / (10 + seconds) as f64, "{identity} {name:?}");
        }
    }
}

#[test]
fn who_has_seen_no_request_of_a_class_says_nothing_of_it() {
    let (one, class) = (Double::new(), class(60));
    let (main, mut busy) = (one.worker_beside(), load(one, 1024));
    let mut idle = load(main, 1024);
    let _ = busy.requests(500, &class, None, START);
    let _ = busy.requests(500, &class, Some(b"/a"), START);
    pass(&mut [(&mut busy, one), (&mut idle, main)], START, START + 10 * SECOND);
    assert_eq!(idle.standing(&class, START + 10 * SECOND), None);
    assert_eq!(busy.standing(&class, START + 10 * SECOND).unwrap().rates, Rates { qps: 100.0, error_rate: 0.0 });
    pass(&mut [(&mut busy, one), (&mut idle, main)], START + 10 * SECOND, START + 60 * SECOND);
    assert_eq!(busy.standing(&class, START + 60 * SECOND), None);
    assert_eq!(busy.keys(), 0);
}

#[test]
fn errors_count_where_their_request_counted() {
    let (proxy, class) = (Double::new(), class(60));
    let mut load = load(proxy, 1024);
    let slow = load.requests(4, &class, None, START).counted;
    pass(&mut [(&mut load, proxy)], START, START + 30 * SECOND);
    let _ = load.requests(4, &class, None, START + 30 * SECOND);
    load.error(slow.clone());
    let standing = load.standing(&class, START + 30 * SECOND).unwrap();
    assert_eq!(standing.rates.error_rate, 1.0 / 8.0);
    assert!((standing.probability - (formula(100.0).probability(standing.rates))).abs() < 1e-12);
    // The others hear of an error too where nothing else happens.
    pass(&mut [(&mut load, proxy)], START + 30 * SECOND, START + 32 * SECOND);
    load.error(slow.clone());
    pass(&mut [(&mut load, proxy)], START + 32 * SECOND, START + 34 * SECOND);
    let mut other = Load::new(1024, proxy, START + 34 * SECOND).unwrap();
    let _ = other.requests(0, &class, None, START + 34 * SECOND);
    let moment = other.clock.at(START + 34 * SECOND);
    assert_eq!(other.keys.of_name(class.key, &moment), Some((8, 2)));
    pass(&mut [(&mut load, proxy)], START + 34 * SECOND, START + 60 * SECOND);
    // Its second has left the window.
    load.error(slow);
    assert_eq!(load.standing(&class, START + 60 * SECOND).unwrap().rates.error_rate, 0.0);
    let mut after = Load::new(1024, proxy, START + 60 * SECOND).unwrap();
    let _ = after.requests(4, &class, None, START + 60 * SECOND);
    assert_eq!(after.standing(&class, START + 60 * SECOND).unwrap().rates.error_rate, 0.0);
}

#[test]
fn the_counts_outlive_the_policy_and_a_changed_target_takes_effect_at_once() {
    let proxy = Double::new();
    let mut before = load(proxy, 1024);
    for request in 0..3_600 {
        let _ = before.requests(10, &class(60), None, START + request * 25 * MILLI);
        if request % 10 == 9 {
            before.on_tick(proxy, START + request * 25 * MILLI).unwrap();
        }
    }
    let now = START + 90 * SECOND;
    // The first request already, before any tick.
    let mut after = Load::new(1024, proxy, now).unwrap();
    let judged = after.request(&Class::new(7, 60, formula(40.0)), None, now);
    assert!((judged.probability - 0.1).abs() < 0.001, "{judged:?}");
    // A shorter window is full, and a longer one has what there is and fills up.
    let mut shorter = Load::new(1024, proxy, now).unwrap();
    assert!((shorter.request(&class(10), None, now).probability - 0.25).abs() < 0.001);
    let mut longer = Load::new(1024, proxy, now).unwrap();
    let judged = longer.request(&class(120), None, now);
    assert!((judged.probability - 100.0 / (400.0 * 59.0 / 90.0)).abs() < 0.01, "{judged:?}");
    // Another class begins with nothing.
    assert_eq!(after.request(&Class::new(8, 60, formula(40.0)), None, now).probability, 1.0);
}

#[test]
fn names_have_windows_of_their_own_up_to_the_bound_and_the_rest_shares_one() {
    let (proxy, class) = (Double::new(), class(60));
    let mut load = load(proxy, 1024);
    let name = |number: u32| number.to_le_bytes();
    // Every one of the first 1,024 finds a place, wherever its hash leads.
    for number in 0..1_024 {
        assert!(!load.request(&class, Some(&name(number)), START).shares, "{number}");
    }
    for number in 1_024..10_000 {
        assert!(load.request(&class, Some(&name(number)), START).shares, "{number}");
    }
    assert_eq!(load.keys(), 1_024);
    // 8,976 requests in the bucket, and ten at a place.
    let shared = load.request(&class, Some(&name(20_000)), START).probability;
    assert!((shared - 100.0 / 8_977.1).abs() < 1e-9, "{shared}");
    assert_eq!(load.requests(9, &class, Some(&name(3)), START).probability, 1.0);
    assert_eq!(load.requests(8, &class, Some(&name(4)), START + SECOND).probability, 1.0);
    // Merging changes nothing of that.
    load.on_tick(proxy, START + SECOND).unwrap();
    assert_eq!(load.keys(), 1_024);
    let shared = load.request(&class, Some(&name(20_000)), START + SECOND).probability;
    assert!((shared - 100.0 / 8_978.1).abs() < 1e-9, "{shared}");
}

#[test]
fn a_flood_of_names_passes_and_leaves_the_rest_as_it_was() {
    let (proxy, class) = (Double::new(), class(60));
    let mut load = load(proxy, 1024);
    let mut now = START;
    let mut greatest = 0;
    for round in 0..8_u64 {
        assert!(!load.requests(50, &class, Some(b"/orders"), now).shares, "{round}");
        for number in 0..10_000 {
            let _ = load.request(&class, Some(&(round * 10_000 + number).to_le_bytes()), now);
        }
        load.on_tick(proxy, now).unwrap();
        assert!(load.keys() <= 1_024);
        greatest = greatest.max(shared_bytes(proxy));
        now += SECOND;
        pass(&mut [(&mut load, proxy)], now, now + 11 * SECOND);
        now += 12 * SECOND;
    }
    // 64 shards with at most 80 names of one slot each, and what was counted at /orders and in the bucket.
    assert!(greatest < 64 * 80 * 20 + 2_000, "{greatest}");
    pass(&mut [(&mut load, proxy)], now, now + 60 * SECOND);
    assert_eq!(load.keys(), 0);
}

fn shared_bytes(proxy: &Double) -> usize {
    (0..SHARDS).map(|shard| shared::read(proxy, &name(shard)).unwrap().unwrap().len()).sum()
}

#[test]
fn a_name_that_made_room_comes_back_with_its_counts() {
    let (proxy, class) = (Double::new(), class(60));
    let mut load = load(proxy, 1);
    let first = load.requests(500, &class, Some(b"/a"), START).counted;
    assert!(load.request(&class, Some(b"/b"), START).shares);
    pass(&mut [(&mut load, proxy)], START, START + 9 * SECOND);
    assert_eq!(load.keys(), 1);
    assert!(load.request(&class, Some(b"/b"), START + 9 * SECOND).shares);
    load.on_tick(proxy, START + 10 * SECOND).unwrap();
    assert!(!load.request(&class, Some(b"/b"), START + 12 * SECOND).shares);
    // An error of a key without a place is forgotten.
    load.error(first.clone());
    pass(&mut [(&mut load, proxy)], START + 12 * SECOND, START + 23 * SECOND);
    assert!(load.request(&class, Some(b"/a"), START + 23 * SECOND).shares);
    load.on_tick(proxy, START + 23 * SECOND).unwrap();
    let judged = load.requests(500, &class, Some(b"/a"), START + 24 * SECOND);
    assert!(!judged.shares);
    let judged = load.requests(3_800, &class, Some(b"/a"), START + 24 * SECOND);
    // 500 at first, 500 and 3,800 now, in 24 s; and one went to the bucket.
    assert_eq!(judged.probability, 100.0 / (4_800.0 / 24.0 + 0.1));
    // One of a key that has one again is not.
    load.error(first);
    assert!(load.standing(&class, START + 24 * SECOND).unwrap().rates.error_rate > 0.0);
}

#[test]
fn names_that_find_no_room_in_shared_data_join_the_bucket() {
    let (one, class) = (Double::new(), class(60));
    let mut loads: Vec<_> = (0..4_u64).map(|_| load(one.worker_beside(), 2048)).collect();
    // Four workers with 2,048 other names each: more than there is room for.
    for (load, worker) in loads.iter_mut().zip(0_u64..) {
        for name in 0..2_048 {
            let _ = load.requests(2, &class, Some(&(worker * 10_000 + name).to_le_bytes()), START);
        }
        settle(load, one);
    }
    assert!(shared_bytes(one) <= SHARDS * 97 * 20);
    // The last to come finds all shards full.
    let last = loads.last_mut().unwrap();
    assert_eq!(last.keys(), 0);
    let moment = last.clock.at(START);
    let (requests, _) = last.keys.of_name(class.key, &moment).unwrap();
    assert!(requests >= 2 * 2_048, "{requests}");
    // It knows, and does not try again before it has looked.
    for name in 30_000..30_100_u64 {
        assert!(last.request(&class, Some(&name.to_le_bytes()), START).shares);
    }
    // A name that is known there has a place for the asking.
    assert!(!last.request(&class, Some(&0_u64.to_le_bytes()), START).shares);
    // The others are told.
    last.on_tick(one, START + SECOND).unwrap();
    let mut after = Load::new(1024, one, START + SECOND).unwrap();
    let _ = after.requests(0, &class, None, START + SECOND);
    let moment = after.clock.at(START + SECOND);
    assert_eq!(after.keys.of_name(class.key, &moment), Some((requests + 100, 0)));
}

#[test]
fn a_class_that_finds_no_room_in_shared_data_goes_on_alone() {
    let proxy = Double::new();
    let mut load = load(proxy, 1024);
    let in_one_shard = |identity: &u64| Key::of(*identity).shard() == 0;
    let classes: Vec<_> =
        (0_u64..).filter(in_one_shard).map(|identity| Class::new(identity, 60, formula(100.0))).take(100).collect();
    for tick in 0..4 {
        for class in &classes {
            let _ = load.requests(10, class, None, START + tick * SECOND);
        }
        load.on_tick(proxy, START + tick * SECOND).unwrap();
    }
    for class in &classes {
        assert_eq!(qps(&mut load, class, START + 4 * SECOND), 10.0);
    }
}

#[test]
fn a_value_of_another_release_is_left_alone_and_one_that_is_broken_is_replaced() {
    let (proxy, class) = (Double::new(), class(60));
    let mut load = load(proxy, 1024);
    let _ = load.requests(1_000, &class, None, START);
    load.on_tick(proxy, START).unwrap();
    let values: Vec<_> = (0..SHARDS).map(|shard| shared::read(proxy, &name(shard)).unwrap().unwrap()).collect();
    let shard = values.iter().position(|value| value.len() > 9).unwrap();

    let theirs = [2, 3, 4];
    proxy.set_shared_data(&name(shard), &theirs, None).unwrap();
    let _ = load.requests(1_000, &class, None, START + 20 * MILLI);
    // That workers run apart is told.
    let apart = Err(HostError { call: "proxy_get_shared_data", status: Status::ParseFailure });
    assert_eq!(load.on_tick(proxy, START + 20 * MILLI), apart);
    assert_eq!(shared::read(proxy, &name(shard)), Ok(Some(theirs.to_vec())));
    // It goes on with what it counts itself.
    assert_eq!(qps(&mut load, &class, START + 20 * MILLI), 1_000.0);
    let _ = load.requests(1_000, &class, None, START + SECOND);
    assert_eq!(load.on_tick(proxy, START + SECOND), apart);
    assert_eq!(qps(&mut load, &class, START + SECOND), 2_000.0);
    assert!(Load::new(1024, proxy, START + SECOND).is_ok());

    for (broken, later) in [&[][..], &[1], &values[shard][..20]].into_iter().zip(2..) {
        proxy.set_shared_data(&name(shard), broken, None).unwrap();
        let _ = load.request(&class, None, START + later * SECOND);
        load.on_tick(proxy, START + later * SECOND).unwrap();
        assert!(Shard::read(&shared::read(proxy, &name(shard)).unwrap().unwrap()).is_ok());
    }
    // The rest tells since when there is somebody to see what happens.
    proxy.set_shared_data(&name(SHARDS - 1), &theirs, None).unwrap();
    let mut after = Load::new(1024, proxy, START + 5 * SECOND).unwrap();
    assert_eq!(after.clock.at(START + 5 * SECOND).since(), START);
}

#[test]
fn a_clock_that_is_set_leaves_sane_probabilities() {
    let (proxy, class) = (Double::new(), class(60));
    let mut load = load(proxy, 1024);
    let mut now = START;
    for (jump, ahead) in [(0, true), (3_600, true), (7_200, false), (30, true), (30, false), (3_000_000_000, true)] {
        now = if ahead { now.saturating_add(jump * SECOND) } else { now.saturating_sub(jump * SECOND) };
        // 1,000 a second for five seconds; then they are known again, whatever was before.
        let mut last = 0.0;
        for _ in 0..500 {
            now += 10 * MILLI;
            last = load.requests(10, &class, None, now).probability;
            assert!(last > 0.0 && last <= 1.0);
            if now.is_multiple_of(250 * MILLI) {
                load.on_tick(proxy, now).unwrap();
            }
        }
        assert!((0.09..0.11).contains(&last), "{jump} {ahead}: {last}");
    }
}

#[test]
fn what_could_not_be_merged_is_merged_later() {
    let (one, class) = (Double::new(), class(60));
    let mut load = load(one, 1024);
    let _ = load.requests(1_000, &class, None, START);
    // A proxy that has lost its shared data.
    let lost = Double::new();
    assert!(load.on_tick(lost, START).is_err());
    assert_eq!(qps(&mut load, &class, START), 1_000.0);
    load.on_tick(one, START).unwrap();
    assert_eq!(qps(&mut Load::new(1024, one, START).unwrap(), &class, START), 0.0);
    let mut other = self::load(one.worker_beside(), 1024);
    assert_eq!(other.request(&class, None, START).probability, 100.0 / 1_001.1);
}

#[test]
fn what_is_yet_to_be_merged_does_not_make_room() {
    let (proxy, lost, class) = (Double::new(), Double::new(), class(60));
    let mut load = load(proxy, 1);
    let _ = load.requests(1_000, &class, Some(b"/a"), START);
    for tick in 0..80 {
        assert!(load.request(&class, Some(b"/b"), START + tick * 250 * MILLI).shares);
        assert!(load.on_tick(lost, START + tick * 250 * MILLI).is_err());
    }
    // Nor does it grow beyond the window.
    let mut alone = self::load(Double::new(), 1);
    for second in 0..600 {
        let _ = alone.request(&class, None, START + second * SECOND);
        let _ = alone.on_tick(lost, START + second * SECOND);
    }
    assert_eq!(alone.keys.unmerged(), 60);
    load.on_tick(proxy, START + 20 * SECOND).unwrap();
    let mut after = Load::new(1, proxy, START + 20 * SECOND).unwrap();
    let _ = after.request(&class, Some(b"/a"), START + 20 * SECOND);
    let moment = after.clock.at(START + 20 * SECOND);
    assert_eq!(after.keys.of_name(Key::named(7, b"/a"), &moment), Some((1_001, 0)));
}

#[test]
fn settings_out_of_range_are_as_the_nearest_that_is_in_it() {
    let proxy = Double::new();
    assert_eq!(Class::new(1, 0, formula(1.0)), Class::new(1, 5, formula(1.0)));
    assert_eq!(Class::new(1, 601, formula(1.0)), Class::new(1, 600, formula(1.0)));
    let mut load = load(proxy, 0);
    assert!(!load.request(&class(60), Some(b"a"), START).shares);
    assert!(load.request(&class(60), Some(b"b"), START).shares);
}

#[test]
fn names_that_hardly_differ_are_spread_over_all_shards() {
    let styles: [fn(u32) -> String; 4] = [
        |number| format!("/shop.v1.Orders/Method{number:04}"),
        |number| format!("{number}"),
        |number| format!("/v{}/items/{{id}}/{}", number % 32, number / 32),
        |number| String::from_utf8(vec![(number % 128) as u8, (number / 128) as u8]).unwrap() + "-route",
    ];
    for style in styles {
        let proxy = Double::new();
        let mut load = load(proxy, 1024);
        for number in 0..1_024 {
            assert!(!load.request(&class(60), Some(style(number).as_bytes()), START).shares, "{}", style(number));
        }
        let most = load.keys.of_shards().max().unwrap();
        assert!(most <= 40, "{}: {most} in one shard", style(17));
        load.on_tick(proxy, START).unwrap();
        assert_eq!(load.keys(), 1_024);
    }
}

#[test]
fn a_name_is_told_from_others_by_its_beginning_and_its_length() {
    let long = vec![b'a'; 10_000];
    let mut other = long.clone();
    other[9_000] = b'b';
    assert_eq!(Key::named(1, &long), Key::named(1, &other));
    assert_ne!(Key::named(1, &long), Key::named(1, &long[1..]));
    assert_ne!(Key::named(1, b"a"), Key::named(2, b"a"));
    assert_ne!(Key::named(1, b"").hash, Key::of(1).hash);
}
