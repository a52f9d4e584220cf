/// Why a record was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reason {
    /// `queue` was full.
    QueueFull,
    /// The record alone exceeds `batch.max_bytes`.
    TooLarge,
    /// The collector answered with a status that another attempt does not change.
    Refused,
    /// The collector took the request, but not this record (`partial_success`).
    Rejected,
    /// `retry.attempts` were made.
    Attempts,
    /// Another attempt would come after `retry.max_age`.
    Expired,
    /// Nobody is left in this VM to send it: the exporter was switched off, or the VM ends.
    Stopped,
}

impl Reason {
    pub(crate) const ALL: [Reason; 7] = [
        Reason::QueueFull,
        Reason::TooLarge,
        Reason::Refused,
        Reason::Rejected,
        Reason::Attempts,
        Reason::Expired,
        Reason::Stopped,
    ];

    /// The value of the label `reason`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Reason::QueueFull => "queue_full",
            Reason::TooLarge => "too_large",
            Reason::Refused => "refused",
            Reason::Rejected => "rejected",
            Reason::Attempts => "attempts",
            Reason::Expired => "expired",
            Reason::Stopped => "stopped",
        }
    }
}

/// What became of the records so far. At every moment, sent + dropped + queued + under way = made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Records that were added.
    pub(crate) made: u64,
    /// Records that the collector took.
    pub(crate) sent: u64,
    /// Records in requests that were repeated; one that is repeated twice counts twice.
    pub(crate) retried: u64,
    /// Records that wait for their first or their next request.
    pub(crate) queued: u64,
    /// Records in requests that are not answered yet.
    pub(crate) under_way: u64,
    dropped: [u64; Reason::ALL.len()],
}

impl Counts {
    pub(crate) fn dropped(&self, reason: Reason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    pub(crate) fn dropped_in_all(&self) -> u64 {
        self.dropped.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    pub(crate) fn drop_records(&mut self, reason: Reason, records: u64) {
        if let Some(count) = self.dropped.get_mut(reason as usize) {
            *count = count.saturating_add(records);
        }
    }
}
