//! The trial requests of a half-open breaker.

use crate::moment::{Nanos, lies_ahead};
use crate::settings::Settings;

/// The trial requests of one half-open period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Probes {
    /// The number of the next one. No number comes twice in a period, so that a late answer is not taken for another's.
    pub(crate) next: u32,
    /// How many succeeded; in a row, since a failure ends the period.
    pub(crate) successes: u32,
    /// Those under way.
    pub(crate) trials: Vec<Trial>,
}

/// A trial request that is under way: a slot that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trial {
    pub(crate) number: u32,
    /// When its stage began; of the last stage, when it was sent.
    pub(crate) since: Nanos,
    pub(crate) stage: Stage,
}

/// How far a trial request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its caller has not sent all of it: that it is not answered does not speak against the upstream.
    Sending,
    /// It is whole, and the upstream is to answer.
    Waiting,
    /// Its response has begun, and not as a failure.
    Answered,
}

/// What a worker has to say of a trial request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) number: u32,
    pub(crate) news: News,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// All of it was sent.
    Sent,
    /// Its response has begun, and not as a failure.
    Answered,
    Succeeded,
    Failed,
    /// It ended and says nothing of the upstream: its slot is free again.
    Void,
}

impl News {
    /// Whether nothing comes after it.
    pub(crate) fn is_last(self) -> bool {
        matches!(self, News::Succeeded | News::Failed | News::Void)
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) failed: bool,
    pub(crate) given_up: bool,
    /// Something is different now.
    pub(crate) changed: bool,
}

impl Probes {
    /// Takes a slot for a request at this stage; answers with its number, or `None` where all are taken.
    pub(crate) fn claim(&mut self, stage: Stage, settings: &Settings, now: Nanos) -> Option<u32> {
        if !self.has_free(settings) {
            return None;
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.trials.push(Trial { number, since: now, stage });
        Some(number)
    }

    pub(crate) fn has_free(&self, settings: &Settings) -> bool {
        self.trials.len() < settings.probes as usize
    }

    /// Takes the reports in, then gives up the trials whose time is over. One that has not answered has failed, unless its
    /// caller never sent all of it; of a stream that has begun well and goes on, that is as much success as there will be
    /// for now.
    pub(crate) fn settle(&mut self, reports: &[Report], settings: &Settings, now: Nanos) -> Settled {
        let mut settled = Settled { changed: self.rewind(now), ..Settled::default() };
        for report in reports {
            // It was given up before.
            let Some(at) = self.trials.iter().position(|trial| trial.number == report.number) else { continue };
            settled.changed = true;
            match report.news {
                News::Sent | News::Answered => {
                    if let Some(trial) = self.trials.get_mut(at) {
                        trial.comes_to(report.news, now);
                    }
                    continue;
                }
                News::Succeeded => self.successes = self.successes.saturating_add(1),
                News::Failed => settled.failed = true,
                News::Void => {}
            }
            self.trials.swap_remove(at);
        }
        let limit = settings.probe_limit();
        let mut at = 0;
        while let Some(trial) = self.trials.get(at).copied() {
            if trial.since.saturating_add(limit) > now {
                at = at.saturating_add(1);
                continue;
            }
            settled.changed = true;
            self.trials.swap_remove(at);
            match trial.stage {
                Stage::Sending => {}
                Stage::Waiting => settled.given_up = true,
                Stage::Answered => self.successes = self.successes.saturating_add(1),
            }
        }
        settled
    }

    /// When the next one is to be given up.
    pub(crate) fn due(&self, settings: &Settings) -> Option<Nanos> {
        self.trials.iter().map(|trial| trial.since.saturating_add(settings.probe_limit())).min()
    }

    /// The clock was set back: those that lie ahead are as if begun now.
    fn rewind(&mut self, now: Nanos) -> bool {
        let mut any = false;
        for trial in self.trials.iter_mut().filter(|trial| lies_ahead(trial.since, now)) {
            trial.since = now;
            any = true;
        }
        any
    }
}

impl Trial {
    fn comes_to(&mut self, news: News, now: Nanos) {
        match (self.stage, news) {
            // From here on the upstream is waited for.
            (Stage::Sending, News::Sent) => *self = Trial { since: now, stage: Stage::Waiting, ..*self },
            (_, News::Answered) => self.stage = Stage::Answered,
            _ => {}
        }
    }
}
