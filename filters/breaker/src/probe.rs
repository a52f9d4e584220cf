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

/// A caller who has not sent all of a trial by then gives its slot to another, in nanoseconds.
const SENDING: Nanos = 1_000_000_000;

/// A trial that ended and says nothing of the upstream has its slot for so long, in nanoseconds: the upstream may work on it
/// yet, and who sends requests and leaves is not to have more of them sent there than probes are meant to be.
const LEFT: Nanos = 200_000_000;

/// How far a trial request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its caller has not sent all of it: that it is not answered does not speak against the upstream.
    Sending,
    /// The same, for so long that its slot is another's. How it ends still counts.
    Parked,
    /// It is whole, and the upstream is to answer.
    Waiting,
    /// Its response has begun, and not as a failure.
    Answered,
    /// It has ended and says nothing of the upstream, which may not have heard of that yet.
    Left,
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
    /// It ended and says nothing of the upstream.
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
        if !self.has_free(settings) || (stage == Stage::Sending && !self.has_free_to_send(settings)) {
            return None;
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.trials.push(Trial { number, since: now, stage });
        Some(number)
    }

    pub(crate) fn has_free(&self, settings: &Settings) -> bool {
        let taken = self.trials.iter().filter(|trial| trial.stage != Stage::Parked).count();
        taken < settings.probes as usize
    }

    /// Of several slots one is for requests that are whole: who begins requests and does not go on cannot have all.
    fn has_free_to_send(&self, settings: &Settings) -> bool {
        let sending = self.trials.iter().filter(|trial| trial.stage == Stage::Sending).count();
        sending < settings.probes.saturating_sub(1).max(1) as usize
    }

    /// Takes the reports in, then gives up the trials whose time is over. One that has not answered has failed, unless its
    /// caller has not sent all of it; of a stream that has begun well and goes on, that is as much success as there will be
    /// for now.
    pub(crate) fn settle(&mut self, reports: &[Report], settings: &Settings, now: Nanos) -> Settled {
        let mut settled = Settled { changed: self.rewind(now), ..Settled::default() };
        for report in reports {
            // It was given up before.
            let Some(at) = self.trials.iter().position(|trial| trial.number == report.number) else { continue };
            settled.changed = true;
            match report.news {
                News::Sent | News::Answered | News::Void => {
                    if let Some(trial) = self.trials.get_mut(at) {
                        trial.comes_to(report.news, now);
                    }
                    continue;
                }
                News::Succeeded => self.successes = self.successes.saturating_add(1),
                News::Failed => settled.failed = true,
            }
            self.trials.swap_remove(at);
        }
        let mut at = 0;
        while let Some(trial) = self.trials.get_mut(at) {
            if trial.due(settings) > now {
                at = at.saturating_add(1);
                continue;
            }
            settled.changed = true;
            match trial.stage {
                Stage::Sending if settings.probe_limit() > SENDING => {
                    trial.stage = Stage::Parked;
                    continue;
                }
                Stage::Sending | Stage::Parked | Stage::Left => {}
                Stage::Waiting => settled.given_up = true,
                Stage::Answered => self.successes = self.successes.saturating_add(1),
            }
            self.trials.swap_remove(at);
        }
        self.forget_parked(settings);
        settled
    }

    /// As many may be parked as there are slots: those that were claimed first go.
    fn forget_parked(&mut self, settings: &Settings) {
        let parked = |trial: &&Trial| trial.stage == Stage::Parked;
        while self.trials.iter().filter(parked).count() > settings.probes as usize {
            let first = self.trials.iter().filter(parked).min_by_key(|trial| trial.since).copied();
            self.trials.retain(|trial| Some(*trial) != first);
        }
    }

    /// When the next one is to be given up.
    pub(crate) fn due(&self, settings: &Settings) -> Option<Nanos> {
        self.trials.iter().map(|trial| trial.due(settings)).min()
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
            (Stage::Sending | Stage::Parked, News::Sent) => {
                *self = Trial { since: now, stage: Stage::Waiting, ..*self };
            }
            (Stage::Left, _) => {}
            (_, News::Answered) => self.stage = Stage::Answered,
            (_, News::Void) => *self = Trial { since: now, stage: Stage::Left, ..*self },
            _ => {}
        }
    }

    /// When its stage has lasted for too long.
    fn due(&self, settings: &Settings) -> Nanos {
        let limit = settings.probe_limit();
        self.since.saturating_add(match self.stage {
            Stage::Sending => limit.min(SENDING),
            Stage::Left => limit.min(LEFT),
            Stage::Parked | Stage::Waiting | Stage::Answered => limit,
        })
    }
}
