//! Whatever the order in which workers read and write, all counts arrive, and each once.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use sluicegate_host::SharedValue;
use std::collections::HashMap;

const WORKERS: usize = 3;
const NAMES: u8 = 6;

#[derive(Clone, Debug)]
enum Event {
    /// A worker counts requests of a name.
    Count { worker: usize, name: u8, requests: u32 },
    /// One of its requests fails.
    Fail { worker: usize, which: prop::sample::Index },
    /// It reads a shard, to merge into it.
    Read { worker: usize, shard: prop::sample::Index },
    /// It writes what it made of that, unless somebody else wrote meanwhile; then it reads again.
    Write { worker: usize },
    /// Time passes, in milliseconds.
    Pass(u64),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..WORKERS, 0..NAMES, 1..5_u32).prop_map(|(worker, name, requests)| Event::Count { worker, name, requests }),
        2 => (0..WORKERS, any::<prop::sample::Index>()).prop_map(|(worker, which)| Event::Fail { worker, which }),
        4 => (0..WORKERS, any::<prop::sample::Index>()).prop_map(|(worker, shard)| Event::Read { worker, shard }),
        4 => (0..WORKERS).prop_map(|worker| Event::Write { worker }),
        2 => (0..1_500_u64).prop_map(Event::Pass),
    ]
}

struct Worker {
    proxy: &'static Double,
    load: Load,
    counted: Vec<(u8, Counted)>,
    /// A merge that has been read and is yet to be written.
    under_way: Option<(usize, SharedValue)>,
}

impl Worker {
    fn read(&mut self, shard: usize) {
        let value = self.proxy.shared_data(&name(shard)).unwrap().unwrap();
        self.under_way = Some((shard, value));
    }

    /// The steps that [`Load::on_tick`] goes through for a shard, with a pause between reading and writing.
    fn write(&mut self, now: u64) {
        let Some((shard, value)) = self.under_way.take() else { return };
        let moment = self.load.clock.at(now);
        let Some(merged) = self.load.keys.merge(shard, &value.bytes, &moment) else { return };
        match self.proxy.set_shared_data(&name(shard), &merged.bytes, Some(value.cas)) {
            Ok(()) => self.load.keys.merged(shard, merged, &moment),
            Err(_) => self.read(shard),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_is_lost_and_nothing_doubled(events in vec(any_event(), 0..200)) {
        let one = Double::new();
        let class = class(600);
        let worker = |_| {
            let proxy = one.worker_beside();
            Worker { proxy, load: load(proxy, 1024), counted: Vec::new(), under_way: None }
        };
        let mut workers: Vec<Worker> = (0..WORKERS).map(worker).collect();
        let shards: Vec<usize> = {
            let mut probe = load(Double::new(), 1024);
            (0..NAMES).for_each(|name| drop(probe.request(&class, Some(&[name]), START)));
            probe.keys.to_merge(&probe.clock.at(START))
        };
        let mut now = START;
        let mut truth: HashMap<u8, (u64, u64)> = HashMap::new();
        for event in events {
            match event {
                Event::Count { worker, name, requests } => {
                    let worker = &mut workers[worker];
                    let judged = worker.load.requests(requests, &class, Some(&[name]), now);
                    worker.counted.extend((0..requests).map(|_| (name, judged.counted.clone())));
                    truth.entry(name).or_default().0 += u64::from(requests);
                }
                Event::Fail { worker, which } => {
                    let worker = &mut workers[worker];
                    if !worker.counted.is_empty() {
                        let (name, counted) = worker.counted.swap_remove(which.index(worker.counted.len()));
                        worker.load.error(counted);
                        truth.entry(name).or_default().1 += 1;
                    }
                }
                Event::Read { worker, shard } => workers[worker].read(shards[shard.index(shards.len())]),
                Event::Write { worker } => workers[worker].write(now),
                Event::Pass(millis) => {
                    now += millis * MILLI;
                    workers.iter_mut().for_each(|worker| { worker.load.clock.at(now); });
                }
            }
        }
        // Twice: the first to tick has not seen what the last then writes.
        for _ in 0..2 {
            for worker in &mut workers {
                shards.iter().for_each(|shard| { worker.read(*shard); worker.write(now); });
            }
        }
        for worker in &mut workers {
            let moment = worker.load.clock.at(now);
            for (name, (requests, errors)) in &truth {
                let counts = worker.load.keys.of_name(Key::named(7, &[*name]), &moment);
                let counts = counts.unwrap_or_else(|| {
                    // It never asked for this name: the shared value says it as well.
                    let mut fresh = Load::new(1024, worker.proxy, now).unwrap();
                    let moment = fresh.clock.at(now);
                    let _ = fresh.requests(0, &class, Some(&[*name]), now);
                    fresh.keys.of_name(Key::named(7, &[*name]), &moment).unwrap()
                });
                prop_assert_eq!(counts, (*requests, *errors), "name {}", name);
            }
        }
    }
}
