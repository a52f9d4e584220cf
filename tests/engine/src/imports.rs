//! The hostcalls of the proxy-wasm ABI 0.2.1, served from the proxy in memory.
//!
//! Served are those that Sluicegate uses. A module imports the others too, because the SDK names them; to call one is a
//! trap.

mod callouts;
mod exchange;
mod state;

use crate::memory::{bytes, give, put};
use crate::wasi;
use crate::world::World;
use sluicegate_host::{Host, HostError, Status};
use std::time::Duration;
use wasmi::{Caller, Error, Linker, Module, Val};

/// The module that hostcalls are imported from.
const ENV: &str = "env";

/// The ABI's numbers of buffers.
const CALLOUT_RESPONSE_BODY: u32 = 4;
const GRPC_MESSAGE: u32 = 5;
const PLUGIN_CONFIGURATION: u32 = 7;

/// The ABI's statuses that are answered here beside those of the proxy.
const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const BAD_ARGUMENT: u32 = 2;
const INTERNAL_FAILURE: u32 = 10;

/// A status for the module, or a trap.
type Answer = Result<u32, Error>;

/// Serves a hostcall, and notes each call of it under the name that Envoy's trace has for it.
macro_rules! serve {
    ($linker:expr, $name:literal, |$caller:ident $(, $argument:ident: $type:ty)*| $body:expr) => {
        $linker.func_wrap(ENV, $name, |mut caller: Caller<'_, World> $(, $argument: $type)*| -> Answer {
            caller.data_mut().hostcalls.push(concat!("env.", $name));
            let $caller = &mut caller;
            $body
        })?
    };
}
use serve;

/// Everything that this module imports.
///
/// # Errors
/// When the engine does not take a signature.
pub(crate) fn linker(module: &Module) -> Result<Linker<World>, Error> {
    let mut linker = Linker::new(module.engine());
    exchange::serve(&mut linker)?;
    state::serve(&mut linker)?;
    callouts::serve(&mut linker)?;
    of_vm(&mut linker)?;
    wasi::serve(&mut linker)?;
    refuse_the_others(&mut linker, module);
    Ok(linker)
}

/// Log, clock, ticks, buffers.
fn of_vm(linker: &mut Linker<World>) -> Result<(), Error> {
    serve!(linker, "proxy_log", |caller, _level: u32, line: u32, line_len: u32| {
        let line = bytes(caller, line, line_len)?;
        caller.data_mut().log.push(String::from_utf8_lossy(&line).into_owned());
        Ok(OK)
    });
    serve!(linker, "proxy_get_current_time_nanoseconds", |caller, time: u32| {
        match caller.data().proxy.now() {
            Ok(now) => put(caller, time, &now.to_le_bytes()).map(|()| OK),
            Err(error) => Ok(code(error.status)),
        }
    });
    serve!(linker, "proxy_set_tick_period_milliseconds", |caller, period: u32| {
        Ok(status(caller.data().proxy.set_tick_period(Duration::from_millis(period.into()))))
    });
    // The proxy in memory does not ask which context a call belongs to.
    serve!(linker, "proxy_set_effective_context", |_caller, _context: u32| Ok(OK));
    serve!(linker, "proxy_get_buffer_bytes", |caller, buffer: u32, start: u32, max: u32, data: u32, len: u32| {
        let buffers = &caller.data().buffers;
        let buffer = match buffer {
            CALLOUT_RESPONSE_BODY => &buffers.callout_body,
            GRPC_MESSAGE => &buffers.grpc_message,
            PLUGIN_CONFIGURATION => &buffers.configuration,
            _ => return Ok(NOT_FOUND),
        };
        let from = buffer.get(start as usize..).unwrap_or_default();
        let piece = from.get(..max as usize).unwrap_or(from).to_vec();
        give(caller, &piece, data, len).map(|()| OK)
    });
    Ok(())
}

fn refuse_the_others(linker: &mut Linker<World>, module: &Module) {
    for import in module.imports() {
        let Some(function) = import.ty().func() else { continue };
        let name = format!("{}.{}", import.module(), import.name());
        let refuse = move |_: Caller<'_, World>, _: &[Val], _: &mut [Val]| {
            Err(Error::new(format!("called {name}, which nothing of ours calls")))
        };
        // What is served is defined already, and stays.
        _ = linker.func_new(import.module(), import.name(), function.clone(), refuse);
    }
}

/// Hands over what the proxy found.
fn returned(caller: &mut Caller<'_, World>, found: Result<Vec<u8>, HostError>, data: u32, len: u32) -> Answer {
    match found {
        Ok(bytes) => give(caller, &bytes, data, len).map(|()| OK),
        Err(error) => Ok(code(error.status)),
    }
}

fn status(result: Result<(), HostError>) -> u32 {
    result.map_or_else(|error| code(error.status), |()| OK)
}

/// The number of a status.
fn code(status: Status) -> u32 {
    match status {
        Status::Other(code) => code,
        status => (1..=12).find(|code| Status::from_code(*code) == Some(status)).unwrap_or(INTERNAL_FAILURE),
    }
}
