//! How many requests and errors there were lately.

use super::clock::Moment;
use super::formula::Rates;
use super::slots::{Second, Slot, Slots};

/// Counts of the last so many seconds, the second under way among them: a second leaves when its beginning is as old as
/// the window is long.
///
/// The rate is what was counted over the time that this covers (see [`Moment::covered`]), so that neither the part of a
/// second that is yet to come nor the time before anybody watched makes it too low.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    seconds: u16,
    slots: Slots,
}

impl Window {
    pub(crate) fn new(seconds: u16) -> Window {
        Window { seconds, slots: Slots::default() }
    }

    /// How long it is.
    pub(crate) fn seconds(&self) -> u16 {
        self.seconds
    }

    /// Forgets what is too old, and what lies in the future because the clock was set back.
    pub(crate) fn slide(&mut self, moment: &Moment) {
        self.slots.keep(moment.first(self.seconds.into()), moment.last());
    }

    /// So many requests come now.
    pub(crate) fn count(&mut self, requests: u32, moment: &Moment) {
        self.slots.add(Slot { second: moment.second(), requests, errors: 0 });
    }

    /// A request of that second failed. `false` where the second has left the window.
    pub(crate) fn fail(&mut self, second: Second) -> bool {
        let known = self.slots.has(second);
        if known {
            self.slots.add(Slot { second, requests: 0, errors: 1 });
        }
        known
    }

    /// Adds these counts.
    pub(crate) fn add_all(&mut self, more: &Slots) {
        self.slots.add_all(more);
    }

    /// Counts anew, from these.
    pub(crate) fn refill(&mut self, from: impl IntoIterator<Item = Slot>, and: &Slots, moment: &Moment) {
        self.slots.clear();
        from.into_iter().for_each(|slot| self.slots.add(slot));
        self.slots.add_all(and);
        self.slide(moment);
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// What the window says now, once it has slid.
    pub(crate) fn rates(&self, moment: &Moment) -> Rates {
        let (requests, errors) = (self.slots.requests(), self.slots.errors().min(self.slots.requests()));
        Rates {
            qps: requests as f64 / moment.covered(self.seconds.into()),
            error_rate: if requests == 0 { 0.0 } else { errors as f64 / requests as f64 },
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::super::clock::{Clock, Nanos};
    use super::*;

    const MILLI: Nanos = 1_000_000;

    /// A window of ten seconds on a clock that stands at 1,000 s and has always been watched.
    struct Watched {
        window: Window,
        clock: Clock,
        now: Nanos,
    }

    impl Watched {
        fn since(millis: Nanos) -> Watched {
            let now = 1_000_000 * MILLI;
            Watched { window: Window::new(10), clock: Clock::new(millis * MILLI, now), now }
        }

        fn always() -> Watched {
            Watched::since(0)
        }

        /// Moves the clock to so many milliseconds, in steps as a tick makes them.
        fn go_to(&mut self, millis: Nanos) -> Moment {
            while self.now + 250 * MILLI < millis * MILLI {
                self.now += 250 * MILLI;
                self.clock.at(self.now);
            }
            self.jump_to(millis)
        }

        fn jump_to(&mut self, millis: Nanos) -> Moment {
            self.now = millis * MILLI;
            let moment = self.clock.at(self.now);
            self.window.slide(&moment);
            moment
        }

        fn count(&mut self, requests: u32, millis: Nanos) {
            let moment = self.go_to(millis);
            self.window.count(requests, &moment);
        }

        fn requests(&mut self, millis: Nanos) -> u64 {
            self.go_to(millis);
            self.window.slots().requests()
        }

        fn qps(&mut self, millis: Nanos) -> f64 {
            let moment = self.go_to(millis);
            self.window.rates(&moment).qps
        }
    }

    #[test]
    fn a_second_leaves_when_its_beginning_is_as_old_as_the_window_is_long() {
        let mut watched = Watched::always();
        watched.count(1, 1_000_000);
        watched.count(2, 1_000_999);
        watched.count(4, 1_001_000);
        assert_eq!(watched.requests(1_009_999), 7);
        assert_eq!(watched.requests(1_010_000), 4);
        assert_eq!(watched.requests(1_010_999), 4);
        assert_eq!(watched.requests(1_011_000), 0);
        assert!(watched.window.slots().is_empty());
    }

    #[test]
    fn an_even_load_has_the_same_rate_at_every_moment() {
        let mut watched = Watched::always();
        for request in 0..2_000 {
            watched.count(1, 1_000_000 + request * 10);
            if request >= 1_000 {
                // 100 a second: the request itself is one more than the time covers.
                let qps = watched.qps(1_000_000 + request * 10);
                assert!((qps - 100.0).abs() <= 1.0 / 9.0 + 1e-9, "{request}: {qps}");
            }
        }
    }

    #[test]
    fn nothing_is_assumed_of_the_time_before_anybody_watched() {
        let mut watched = Watched::since(1_000_000);
        for request in 0..400 {
            watched.count(1, 1_000_000 + request * 10);
        }
        // 4 s of 100 a second, in a window of ten.
        assert!((watched.qps(1_004_000) - 100.0).abs() < 1e-9);
        // A first moment says too little: it counts as a second.
        let mut watched = Watched::since(1_000_000);
        watched.count(3, 1_000_001);
        assert!((watched.qps(1_000_002) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn the_error_rate_is_a_fraction_of_the_requests_in_the_window() {
        let mut watched = Watched::always();
        let moment = watched.go_to(1_000_000);
        assert_eq!(watched.window.rates(&moment).error_rate, 0.0);
        watched.count(4, 1_000_000);
        watched.count(4, 1_001_000);
        assert!(watched.window.fail(1_000));
        assert!(watched.window.fail(1_000));
        let rate = |watched: &mut Watched, millis| {
            let moment = watched.go_to(millis);
            watched.window.rates(&moment).error_rate
        };
        assert_eq!(rate(&mut watched, 1_002_000), 0.25);
        // They leave together, and what has left cannot fail any more.
        assert_eq!(rate(&mut watched, 1_010_000), 0.0);
        assert!(!watched.window.fail(1_000));
        assert_eq!(rate(&mut watched, 1_010_000), 0.0);
        // However many fail, the rate is a fraction.
        for _ in 0..9 {
            watched.window.fail(1_001);
        }
        assert_eq!(rate(&mut watched, 1_010_000), 1.0);
    }

    #[test]
    fn a_clock_that_is_set_back_or_forward_begins_a_new_window() {
        for to in [10_000_000, 1_006_000, 998_000, 5_000] {
            let mut watched = Watched::always();
            watched.count(5_000, 1_000_500);
            watched.jump_to(to);
            assert_eq!(watched.window.slots().requests(), 0, "{to}");
            watched.count(30, to);
            let qps = watched.qps(to + 3_000);
            assert!((qps - 10.0).abs() < 1e-9, "{to}: {qps}");
        }
    }

    #[test]
    fn a_clock_that_is_a_little_behind_changes_nothing() {
        let mut watched = Watched::always();
        watched.count(10, 1_000_000);
        watched.count(20, 1_001_100);
        watched.jump_to(1_000_900);
        watched.count(30, 1_000_950);
        assert_eq!(watched.requests(1_001_200), 60);
        assert_eq!(watched.requests(1_010_000), 20);
    }

    #[test]
    fn the_ends_of_time_are_times() {
        let mut window = Window::new(600);
        for now in [0, 1, Nanos::MAX, 0, Nanos::MAX] {
            let moment = Clock::new(0, now).at(now);
            window.slide(&moment);
            window.count(u32::MAX, &moment);
            let rates = window.rates(&moment);
            assert!(rates.qps.is_finite() && rates.qps > 0.0, "{now}: {rates:?}");
        }
    }
}
