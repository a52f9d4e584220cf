//! Shared data and metrics.

use super::{Answer, BAD_ARGUMENT, ENV, NOT_FOUND, OK, code, serve, status};
use crate::memory::{bytes, give, put, text};
use crate::world::World;
use sluicegate_host::{Host, MetricId, MetricKind};
use wasmi::{Caller, Error, Linker};

pub(super) fn serve(linker: &mut Linker<World>) -> Result<(), Error> {
    serve!(linker, "proxy_get_shared_data", |caller, key: u32, key_len: u32, data: u32, len: u32, cas: u32| {
        let key = text(caller, key, key_len)?;
        match caller.data().proxy.shared_data(&key) {
            Ok(Some(value)) => {
                put(caller, cas, &value.cas.to_le_bytes())?;
                give(caller, &value.bytes, data, len).map(|()| OK)
            }
            Ok(None) => Ok(NOT_FOUND),
            Err(error) => Ok(code(error.status)),
        }
    });
    serve!(linker, "proxy_set_shared_data", |caller, key: u32, key_len: u32, data: u32, len: u32, cas: u32| {
        let (key, value) = (text(caller, key, key_len)?, bytes(caller, data, len)?);
        let cas = Some(cas).filter(|cas| *cas != 0);
        Ok(status(caller.data().proxy.set_shared_data(&key, &value, cas)))
    });
    serve!(linker, "proxy_define_metric", |caller, kind: u32, name: u32, name_len: u32, id: u32| {
        let name = text(caller, name, name_len)?;
        let kinds = [MetricKind::Counter, MetricKind::Gauge];
        let Some(kind) = kinds.into_iter().find(|known| *known as u32 == kind) else { return Ok(BAD_ARGUMENT) };
        match caller.data().proxy.define_metric(kind, &name) {
            Ok(MetricId(defined)) => put(caller, id, &defined.to_le_bytes()).map(|()| OK),
            Err(error) => Ok(code(error.status)),
        }
    });
    serve!(linker, "proxy_increment_metric", |caller, id: u32, by: i64| {
        Ok(status(caller.data().proxy.increment_metric(MetricId(id), by)))
    });
    serve!(linker, "proxy_record_metric", |caller, id: u32, value: u64| {
        Ok(status(caller.data().proxy.record_metric(MetricId(id), value)))
    });
    Ok(())
}
