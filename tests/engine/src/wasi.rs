//! The few functions of WASI that our modules import.

use crate::memory::{bytes, put};
use crate::world::World;
use sluicegate_host::Host;
use wasmi::{Caller, Error, Linker};

const WASI: &str = "wasi_snapshot_preview1";

/// WASI's errno for success, and for an input or output error.
const SUCCESS: u32 = 0;
const IO: u32 = 29;

type Answer = Result<u32, Error>;

pub(crate) fn serve(linker: &mut Linker<World>) -> Result<(), Error> {
    linker.func_wrap(WASI, "random_get", random_get)?;
    linker.func_wrap(WASI, "environ_sizes_get", environ_sizes_get)?;
    linker.func_wrap(WASI, "environ_get", environ_get)?;
    linker.func_wrap(WASI, "fd_write", fd_write)?;
    linker.func_wrap(WASI, "proc_exit", proc_exit)?;
    Ok(())
}

fn random_get(mut caller: Caller<'_, World>, at: u32, len: u32) -> Answer {
    caller.data_mut().hostcalls.push("wasi_snapshot_preview1.random_get");
    // What is asked for lies in the module's memory, or this fails before anything is allocated for it.
    let mut random = bytes(&caller, at, len)?;
    match caller.data().proxy.random(&mut random) {
        Ok(()) => put(&mut caller, at, &random).map(|()| SUCCESS),
        Err(_) => Ok(IO),
    }
}

fn environ_sizes_get(mut caller: Caller<'_, World>, count: u32, size: u32) -> Answer {
    let environment = &caller.data().environment;
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let variables = length(environment.len());
    let bytes = length(environment.iter().map(|variable| variable.len().saturating_add(1)).sum());
    put(&mut caller, count, &variables)?;
    put(&mut caller, size, &bytes).map(|()| SUCCESS)
}

fn environ_get(mut caller: Caller<'_, World>, mut places: u32, mut at: u32) -> Answer {
    for variable in caller.data().environment.clone() {
        put(&mut caller, places, &at.to_le_bytes())?;
        places = places.saturating_add(4);
        for part in [variable.as_bytes(), &[0]] {
            put(&mut caller, at, part)?;
            at = at.saturating_add(u32::try_from(part.len()).unwrap_or(u32::MAX));
        }
    }
    Ok(SUCCESS)
}

/// Standard output and error alike: a module writes there only to say why it panics.
fn fd_write(mut caller: Caller<'_, World>, _fd: u32, pieces: u32, count: u32, written: u32) -> Answer {
    let mut said = Vec::new();
    for piece in 0..count {
        let piece = bytes(&caller, pieces.saturating_add(piece.saturating_mul(8)), 8)?;
        let (at, len) = piece.split_at_checked(4).unwrap_or_default();
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
        said.extend(bytes(&caller, number(at), number(len))?);
    }
    let length = u32::try_from(said.len()).unwrap_or(u32::MAX);
    caller.data_mut().said.extend(said);
    put(&mut caller, written, &length.to_le_bytes()).map(|()| SUCCESS)
}

fn proc_exit(_: Caller<'_, World>, code: u32) -> Result<(), Error> {
    Err(Error::new(format!("exited with code {code}")))
}
