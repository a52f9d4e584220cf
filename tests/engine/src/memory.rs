//! The memory of a module, as hostcalls read and write it.
//!
//! Envoy answers a pointer to outside of it with a status. Here it is a trap: a module of ours that hands one over is wrong.

use crate::world::World;
use wasmi::{Caller, Error};

/// The bytes that a hostcall is given.
pub(crate) fn bytes(caller: &Caller<'_, World>, at: u32, len: u32) -> Result<Vec<u8>, Error> {
    let (memory, _) = instance(caller)?;
    let range = at as usize..(at as usize).saturating_add(len as usize);
    let found = memory.data(caller).get(range).ok_or_else(|| outside(at, len))?;
    Ok(found.to_vec())
}

/// The text that a hostcall is given.
pub(crate) fn text(caller: &Caller<'_, World>, at: u32, len: u32) -> Result<String, Error> {
    String::from_utf8(bytes(caller, at, len)?).map_err(|error| Error::new(format!("handed over a name: {error}")))
}

/// Writes to where a hostcall wants something to be.
pub(crate) fn put(caller: &mut Caller<'_, World>, at: u32, bytes: &[u8]) -> Result<(), Error> {
    let (memory, _) = instance(caller)?;
    let end = (at as usize).saturating_add(bytes.len());
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let place = memory.data_mut(caller).get_mut(at as usize..end).ok_or_else(|| outside(at, len))?;
    place.copy_from_slice(bytes);
    Ok(())
}

/// Hands bytes over in memory that the module is asked for, and writes to where the hostcall wants their place and length.
pub(crate) fn give(caller: &mut Caller<'_, World>, bytes: &[u8], data: u32, len: u32) -> Result<(), Error> {
    let length = u32::try_from(bytes.len()).map_err(|_| Error::new("more bytes than fit into a module"))?;
    // Envoy asks for no memory where there is nothing to put into it.
    let mut at = 0;
    if length > 0 {
        let (_, allocate) = instance(caller)?;
        at = allocate.call(&mut *caller, length)?;
        put(caller, at, bytes)?;
    }
    put(caller, data, &at.to_le_bytes())?;
    put(caller, len, &length.to_le_bytes())
}

fn instance(caller: &Caller<'_, World>) -> Result<(wasmi::Memory, wasmi::TypedFunc<u32, u32>), Error> {
    caller.data().memory.ok_or_else(|| Error::new("a hostcall before the module has been instantiated"))
}

fn outside(at: u32, len: u32) -> Error {
    Error::new(format!("handed over {len} bytes at {at}, outside of its memory"))
}
