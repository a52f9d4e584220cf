//! Headers, properties and the local reply.

use super::{Answer, BAD_ARGUMENT, ENV, INTERNAL_FAILURE, NOT_FOUND, OK, code, returned, serve, status};
use crate::memory::{bytes, give, text};
use crate::pairs;
use crate::world::World;
use sluicegate_host::{Host, LocalResponse, MapKind};
use wasmi::{Caller, Error, Linker};

pub(super) fn serve(linker: &mut Linker<World>) -> Result<(), Error> {
    serve!(linker, "proxy_get_header_map_pairs", |caller, map: u32, data: u32, len: u32| {
        let Some(map) = map_kind(map) else { return Ok(BAD_ARGUMENT) };
        let pairs = caller.data().proxy.header_map(map);
        returned(caller, pairs, data, len)
    });
    serve!(
        linker,
        "proxy_replace_header_map_value",
        |caller, map: u32, name: u32, name_len: u32, value: u32, value_len: u32| {
            let Some(map) = map_kind(map) else { return Ok(BAD_ARGUMENT) };
            let (name, value) = (text(caller, name, name_len)?, bytes(caller, value, value_len)?);
            Ok(status(caller.data().proxy.set_header(map, &name, &value)))
        }
    );
    serve!(linker, "proxy_remove_header_map_value", |caller, map: u32, name: u32, name_len: u32| {
        let Some(map) = map_kind(map) else { return Ok(BAD_ARGUMENT) };
        let name = text(caller, name, name_len)?;
        Ok(status(caller.data().proxy.remove_header(map, &name)))
    });
    serve!(linker, "proxy_get_property", |caller, path: u32, path_len: u32, data: u32, len: u32| {
        let path = text(caller, path, path_len)?;
        match caller.data().proxy.property(&path) {
            Ok(None) => Ok(NOT_FOUND),
            found => returned(caller, found.map(Option::unwrap_or_default), data, len),
        }
    });
    serve!(linker, "proxy_set_property", |caller, path: u32, path_len: u32, data: u32, len: u32| {
        let (path, value) = (text(caller, path, path_len)?, bytes(caller, data, len)?);
        let set = caller.data().proxy.set_property(&path, &value);
        if set.is_ok() {
            caller.data_mut().filter_state.insert(path, value);
        }
        Ok(status(set))
    });
    serve!(linker, "proxy_call_foreign_function", |caller,
                                                   name: u32,
                                                   name_len: u32,
                                                   argument: u32,
                                                   argument_len: u32,
                                                   data: u32,
                                                   len: u32| {
        let (name, argument) = (text(caller, name, name_len)?, bytes(caller, argument, argument_len)?);
        foreign(caller, &name, &argument, data, len)
    });
    serve!(linker, "proxy_send_local_response", |caller,
                                                 http: u32,
                                                 _details: u32,
                                                 _details_len: u32,
                                                 body: u32,
                                                 body_len: u32,
                                                 headers: u32,
                                                 headers_len: u32,
                                                 grpc: i32| {
        let (body, headers) = (bytes(caller, body, body_len)?, bytes(caller, headers, headers_len)?);
        let headers = pairs::read(&headers).ok_or_else(|| Error::new("handed over headers that are none"))?;
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let (Ok(status), grpc_status) = (u16::try_from(http), u32::try_from(grpc).ok()) else {
            return Ok(BAD_ARGUMENT);
        };
        let reply = LocalResponse { status, headers: &headers, body: &body, grpc_status };
        let sent = caller.data().proxy.send_local_response(&reply);
        caller.data_mut().is_replied |= sent.is_ok();
        Ok(super::status(sent))
    });
    Ok(())
}

/// A function of the proxy by name: those of expressions, and what else the proxy in memory has.
fn foreign(caller: &mut Caller<'_, World>, name: &str, argument: &[u8], data: u32, len: u32) -> Answer {
    let world = caller.data_mut();
    let result = match name {
        "expr_create" => {
            let expression = String::from_utf8_lossy(argument);
            let unknown = || Error::new(format!("an expression that is not known here: {expression}"));
            Ok(Some(world.expressions.create(&expression).ok_or_else(unknown)?))
        }
        "expr_evaluate" => world.expressions.evaluate(argument, world.proxy),
        "expr_delete" => Ok(world.expressions.delete(argument).then(Vec::new)),
        _ => world.proxy.call_foreign(name, argument).map(Some),
    };
    match result {
        Ok(Some(result)) => give(caller, &result, data, len).map(|()| OK),
        Ok(None) => Ok(INTERNAL_FAILURE),
        Err(error) => Ok(code(error.status)),
    }
}

fn map_kind(number: u32) -> Option<MapKind> {
    [MapKind::RequestHeaders, MapKind::ResponseHeaders, MapKind::CalloutResponseHeaders]
        .into_iter()
        .find(|kind| *kind as u32 == number)
}
