//! The id of the request: a trusted and well-formed one is kept, else one is made.

use crate::policy::IdKind;
use sluicegate_host::{RequestId, Vm};
use uuid::Builder;

/// A new id. Version 7 needs the clock; where the proxy does not tell the time, version 4 takes its place.
pub(crate) fn generate(kind: IdKind, vm: &Vm) -> Option<RequestId> {
    const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;
    let time = match kind {
        IdKind::UuidV7 => vm.now().ok(),
        IdKind::UuidV4 => None,
    };
    let uuid = match time {
        Some(now) => {
            let milliseconds = now / NANOSECONDS_PER_MILLISECOND;
            Builder::from_unix_timestamp_millis(milliseconds, &vm.entropy().bytes()).into_uuid()
        }
        None => Builder::from_random_bytes(vm.entropy().bytes()).into_uuid(),
    };
    let mut text = uuid::Uuid::encode_buffer();
    RequestId::parse(uuid.hyphenated().encode_lower(&mut text).as_bytes())
}

/// The one value of the header; none where it is absent, repeated or not well-formed.
pub(crate) fn incoming<'m>(mut values: impl Iterator<Item = &'m [u8]>) -> Option<RequestId> {
    match (values.next(), values.next()) {
        (Some(value), None) => RequestId::parse(value.trim_ascii()),
        _ => None,
    }
}
