//! Several workers under a load that changes, in simulated time.

use sluicegate_host::double::Double;
use sluicegate_sampler::load::{Class, Load, TICK};
use std::time::Duration;

/// Arrivals that come in the same cell are judged together.
const CELL: Duration = Duration::from_millis(1);

/// When it all begins: not at the beginning of a second.
const START: Duration = Duration::from_millis(1_800_000_000_300);

/// A load that goes evenly from one rate to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) seconds: u32,
    /// Requests per second of all workers together.
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// The fraction of the requests that fail.
    pub(crate) errors: f64,
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// At the same distance.
    Even,
    /// At random: a Poisson process. Not in the figure, which is the same on every machine: logarithms need not be.
    #[allow(dead_code)]
    Random,
}

pub(crate) struct Simulation<'a> {
    pub(crate) class: Class,
    /// What part of the requests each worker gets.
    pub(crate) workers: &'a [f64],
    pub(crate) arrivals: Arrivals,
    pub(crate) phases: &'a [Phase],
}

/// What happened in a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Second {
    /// Requests that came.
    pub(crate) offered: u32,
    /// Requests that were recorded.
    pub(crate) sampled: u32,
    /// How many were to be expected: the sum of the probabilities.
    pub(crate) expected: f64,
}

struct Worker {
    proxy: &'static Double,
    load: Load,
    share: f64,
    /// The time until the next request, in units of the mean distance.
    until_next: f64,
    /// When it ticks next; not when the others do.
    tick: Duration,
}

/// SplitMix64.
struct Random(u64);

impl Phase {
    pub(crate) fn steady(seconds: u32, qps: f64) -> Phase {
        Phase { seconds, from: qps, to: qps, errors: 0.0 }
    }

    pub(crate) fn ramp(seconds: u32, from: f64, to: f64) -> Phase {
        Phase { seconds, from, to, errors: 0.0 }
    }

    pub(crate) fn failing(seconds: u32, qps: f64, errors: f64) -> Phase {
        Phase { seconds, from: qps, to: qps, errors }
    }

    fn qps(&self, after: Duration) -> f64 {
        self.from + (self.to - self.from) * after.as_secs_f64() / f64::from(self.seconds)
    }
}

impl Simulation<'_> {
    /// Every second of all phases; the same whenever it is run.
    pub(crate) fn run(&self) -> Vec<Second> {
        let mut random = Random(4711);
        let mut now = START;
        let mut workers = self.start(now);
        let mut seconds = Vec::new();
        for phase in self.phases {
            for second in 0..phase.seconds {
                let mut counts = Second::default();
                for cell in 0..1000 {
                    let qps = phase.qps(Duration::from_secs(second.into()) + CELL * cell);
                    for worker in &mut workers {
                        let mean = qps * worker.share * CELL.as_secs_f64();
                        let count = worker.arrivals(mean, self.arrivals, &mut random);
                        worker.handle(count, &self.class, phase.errors, now, &mut random, &mut counts);
                    }
                    now += CELL;
                }
                seconds.push(counts);
            }
        }
        seconds
    }

    fn start(&self, now: Duration) -> Vec<Worker> {
        let proxy = Double::new();
        let start = |(number, share): (u32, &f64)| Worker {
            proxy: proxy.worker_beside(),
            load: Load::new(1, proxy, nanos(now)).expect("shared data in memory"),
            share: *share,
            until_next: 0.5,
            tick: now + TICK * (number + 1) / self.workers.len() as u32,
        };
        (0..).zip(self.workers).map(start).collect()
    }
}

impl Worker {
    /// How many requests arrive in a cell in which so many are to be expected.
    fn arrivals(&mut self, mean: f64, arrivals: Arrivals, random: &mut Random) -> u32 {
        let mut count = 0;
        self.until_next -= mean;
        while self.until_next <= 0.0 {
            count += 1;
            self.until_next += match arrivals {
                Arrivals::Even => 1.0,
                Arrivals::Random => -(1.0 - random.fraction()).ln(),
            };
        }
        count
    }

    fn handle(
        &mut self,
        count: u32,
        class: &Class,
        errors: f64,
        now: Duration,
        random: &mut Random,
        second: &mut Second,
    ) {
        if now >= self.tick {
            self.tick += TICK;
            self.load.on_tick(self.proxy, nanos(now)).expect("shared data in memory");
        }
        if count == 0 {
            return;
        }
        let judged = self.load.requests(count, class, None, nanos(now));
        for _ in 0..count {
            second.sampled += u32::from(random.fraction() < judged.probability);
            if errors > 0.0 && random.fraction() < errors {
                self.load.error(judged.counted.clone());
            }
        }
        second.offered += count;
        second.expected += judged.probability * f64::from(count);
    }
}

impl Random {
    /// From 0 up to but not 1.
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
}
