//! The real proxy: the hostcalls of the proxy-wasm ABI 0.2.1, with every status a value.
//!
//! The SDK's own wrappers panic on a status that they do not expect, and a panic takes down the worker, so they are not
//! used; those that begin a callout are the exception, because the SDK must know the token to find its way back to us.

#![allow(unsafe_code)] // Hostcalls are foreign functions; each takes pointers to memory that is borrowed for the call.

use crate::{
    GrpcMethod, Host, HostError, HttpCall, Level, LocalResponse, MapKind, MetricId, MetricKind, SharedValue, Status,
    headers,
};
use std::cell::RefCell;
use std::ptr::{null, null_mut};
use std::time::Duration;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, line: *const u8, line_len: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(buffer: u32, start: usize, max: usize, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_len: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_len: usize, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_len: usize, data: *const u8, len: usize) -> u32;
    fn proxy_get_shared_data(key: *const u8, key_len: usize, data: *mut *mut u8, len: *mut usize, cas: *mut u32)
    -> u32;
    fn proxy_set_shared_data(key: *const u8, key_len: usize, data: *const u8, len: usize, cas: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_len: usize,
        body: *const u8,
        body_len: usize,
        headers: *const u8,
        headers_len: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_grpc_send(token: u32, message: *const u8, message_len: usize, end_stream: u32) -> u32;
    fn proxy_grpc_cancel(token: u32) -> u32;
    fn proxy_get_status(code: *mut u32, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_len: usize,
        argument: *const u8,
        argument_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(buffer: *mut u8, len: usize) -> i32;
}

/// The ABI's numbers of the buffers that we read.
const CALLOUT_RESPONSE_BODY: u32 = 4;
const GRPC_MESSAGE: u32 = 5;
const PLUGIN_CONFIGURATION: u32 = 7;

/// The ABI's "no gRPC status".
const NO_GRPC_STATUS: i32 = -1;

thread_local! {
    /// The metrics of this VM, by name. A filter's names come from a fixed set.
    static DEFINED: RefCell<Vec<(String, MetricId)>> = const { RefCell::new(Vec::new()) };
}

/// The proxy that runs this module.
pub(crate) struct Proxy;

fn check(call: &'static str, code: u32) -> Result<(), HostError> {
    match Status::from_code(code) {
        None => Ok(()),
        Some(status) => Err(HostError { call, status }),
    }
}

/// Runs a hostcall that returns bytes and takes over the memory they are in.
fn returned(call: &'static str, hostcall: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, HostError> {
    let (mut data, mut len) = (null_mut(), 0);
    check(call, hostcall(&mut data, &mut len))?;
    if data.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: the proxy got this memory from `proxy_on_memory_allocate`, a boxed slice of exactly `len` bytes that nobody
    // else owns, and has written all of it.
    Ok(unsafe { Vec::from_raw_parts(data, len, len) })
}

fn absent_is_none<T>(result: Result<T, HostError>) -> Result<Option<T>, HostError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(HostError { status: Status::NotFound, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the SDK says of a callout that did not begin. Of the statuses that it panics on, none can occur: its memory is its
/// own, and the headers that it serialises parse.
fn not_begun(call: &'static str) -> impl Fn(proxy_wasm::types::Status) -> HostError {
    move |status| HostError { call, status: Status::from_code(status as u32).unwrap_or(Status::InternalFailure) }
}

/// How Envoy is told of a gRPC service: as the message `envoy.config.core.v3.GrpcService`, whose field 1 is `envoy_grpc`,
/// whose field 1 is the cluster's name. A name alone would do for most, but Envoy first tries to read it as that message,
/// and there are names that are one.
fn grpc_service(call: &'static str, cluster: &str) -> Result<String, HostError> {
    const FIELD_1: char = '\x0a';
    let length = |length: usize| u8::try_from(length).ok().filter(u8::is_ascii).map(char::from);
    let fits = cluster.len() <= GrpcMethod::MAX_CLUSTER && cluster.is_ascii();
    let lengths = length(cluster.len().saturating_add(2)).zip(length(cluster.len())).filter(|_| fits);
    let (outer, inner) = lengths.ok_or(HostError { call, status: Status::BadArgument })?;
    Ok(format!("{FIELD_1}{outer}{FIELD_1}{inner}{cluster}"))
}

fn metadata<'a>(method: &GrpcMethod<'a>) -> Vec<(&'a str, &'a [u8])> {
    method.metadata.iter().map(|(name, value)| (*name, value.as_bytes())).collect()
}

fn buffer(number: u32, limit: usize) -> Result<Vec<u8>, HostError> {
    returned("proxy_get_buffer_bytes", |data, len| unsafe { proxy_get_buffer_bytes(number, 0, limit, data, len) })
}

impl Host for Proxy {
    fn header_map(&self, map: MapKind) -> Result<Vec<u8>, HostError> {
        returned("proxy_get_header_map_pairs", |data, len| unsafe { proxy_get_header_map_pairs(map as u32, data, len) })
    }

    fn set_header(&self, map: MapKind, name: &str, value: &[u8]) -> Result<(), HostError> {
        check("proxy_replace_header_map_value", unsafe {
            proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
        })
    }

    fn remove_header(&self, map: MapKind, name: &str) -> Result<(), HostError> {
        check("proxy_remove_header_map_value", unsafe {
            proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len())
        })
    }

    fn property(&self, path: &str) -> Result<Option<Vec<u8>>, HostError> {
        absent_is_none(returned("proxy_get_property", |data, len| unsafe {
            proxy_get_property(path.as_ptr(), path.len(), data, len)
        }))
    }

    fn set_property(&self, path: &str, value: &[u8]) -> Result<(), HostError> {
        check("proxy_set_property", unsafe {
            proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len())
        })
    }

    fn send_local_response(&self, response: &LocalResponse<'_>) -> Result<(), HostError> {
        let headers = response.headers.iter().map(|(name, value)| (name.as_bytes(), *value));
        let headers = headers::serialize(headers);
        let grpc_status = response.grpc_status.and_then(|status| i32::try_from(status).ok());
        check("proxy_send_local_response", unsafe {
            proxy_send_local_response(
                u32::from(response.status),
                null(),
                0,
                response.body.as_ptr(),
                response.body.len(),
                headers.as_ptr(),
                headers.len(),
                grpc_status.unwrap_or(NO_GRPC_STATUS),
            )
        })
    }

    fn now(&self) -> Result<u64, HostError> {
        let mut time = 0;
        check("proxy_get_current_time_nanoseconds", unsafe { proxy_get_current_time_nanoseconds(&mut time) })?;
        Ok(time)
    }

    fn random(&self, buffer: &mut [u8]) -> Result<(), HostError> {
        match unsafe { random_get(buffer.as_mut_ptr(), buffer.len()) } {
            0 => Ok(()),
            errno => Err(HostError { call: "random_get", status: Status::Other(errno.unsigned_abs()) }),
        }
    }

    fn shared_data(&self, key: &str) -> Result<Option<SharedValue>, HostError> {
        let mut cas = 0;
        let bytes = absent_is_none(returned("proxy_get_shared_data", |data, len| unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), data, len, &mut cas)
        }))?;
        Ok(bytes.map(|bytes| SharedValue { bytes, cas }))
    }

    fn set_shared_data(&self, key: &str, value: &[u8], cas: Option<u32>) -> Result<(), HostError> {
        check("proxy_set_shared_data", unsafe {
            proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas.unwrap_or(0))
        })
    }

    /// A metric that the proxy has defined is never freed, and defining it again takes memory each time; so a VM asks
    /// once, however many policies come and go.
    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId, HostError> {
        let known = DEFINED.with_borrow(|defined| defined.iter().find(|(n, _)| n == name).map(|(_, id)| *id));
        if let Some(id) = known {
            return Ok(id);
        }
        let mut id = 0;
        check("proxy_define_metric", unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &mut id) })?;
        DEFINED.with_borrow_mut(|defined| defined.push((name.to_owned(), MetricId(id))));
        Ok(MetricId(id))
    }

    fn increment_metric(&self, metric: MetricId, by: i64) -> Result<(), HostError> {
        check("proxy_increment_metric", unsafe { proxy_increment_metric(metric.0, by) })
    }

    fn record_metric(&self, metric: MetricId, value: u64) -> Result<(), HostError> {
        check("proxy_record_metric", unsafe { proxy_record_metric(metric.0, value) })
    }

    fn http_call(&self, call: &HttpCall<'_>) -> Result<u32, HostError> {
        proxy_wasm::hostcalls::dispatch_http_call(
            call.cluster,
            call.headers.to_vec(),
            Some(call.body),
            Vec::new(),
            call.timeout,
        )
        .map_err(not_begun("proxy_http_call"))
    }

    fn callout_body(&self, limit: usize) -> Result<Vec<u8>, HostError> {
        Ok(absent_is_none(buffer(CALLOUT_RESPONSE_BODY, limit))?.unwrap_or_default())
    }

    fn grpc_call(&self, method: &GrpcMethod<'_>, message: &[u8], timeout: Duration) -> Result<u32, HostError> {
        let service = grpc_service("proxy_grpc_call", method.cluster)?;
        let (name, metadata) = (method.service, metadata(method));
        proxy_wasm::hostcalls::dispatch_grpc_call(&service, name, method.method, metadata, Some(message), timeout)
            .map_err(not_begun("proxy_grpc_call"))
    }

    fn grpc_open(&self, method: &GrpcMethod<'_>) -> Result<u32, HostError> {
        let service = grpc_service("proxy_grpc_stream", method.cluster)?;
        proxy_wasm::hostcalls::open_grpc_stream(&service, method.service, method.method, metadata(method))
            .map_err(not_begun("proxy_grpc_stream"))
    }

    fn grpc_send(&self, stream: u32, message: &[u8]) -> Result<(), HostError> {
        check("proxy_grpc_send", unsafe { proxy_grpc_send(stream, message.as_ptr(), message.len(), 0) })
    }

    fn grpc_cancel(&self, token: u32) -> Result<(), HostError> {
        check("proxy_grpc_cancel", unsafe { proxy_grpc_cancel(token) })
    }

    fn grpc_message(&self, limit: usize) -> Result<Vec<u8>, HostError> {
        Ok(absent_is_none(buffer(GRPC_MESSAGE, limit))?.unwrap_or_default())
    }

    fn grpc_status_message(&self) -> String {
        let mut code = 0;
        let message = returned("proxy_get_status", |data, len| unsafe { proxy_get_status(&mut code, data, len) });
        String::from_utf8_lossy(&message.unwrap_or_default()).into_owned()
    }

    fn call_foreign(&self, function: &str, argument: &[u8]) -> Result<Vec<u8>, HostError> {
        returned("proxy_call_foreign_function", |data, len| unsafe {
            proxy_call_foreign_function(function.as_ptr(), function.len(), argument.as_ptr(), argument.len(), data, len)
        })
    }

    fn plugin_configuration(&self) -> Result<Vec<u8>, HostError> {
        Ok(absent_is_none(buffer(PLUGIN_CONFIGURATION, usize::MAX))?.unwrap_or_default())
    }

    fn set_tick_period(&self, period: Duration) -> Result<(), HostError> {
        let milliseconds = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
        check("proxy_set_tick_period_milliseconds", unsafe { proxy_set_tick_period_milliseconds(milliseconds) })
    }

    fn environment(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn log(&self, level: Level, line: &str) {
        // If the proxy cannot log, there is nobody left to tell.
        let _ = unsafe { proxy_log(level as u32, line.as_ptr(), line.len()) };
    }
}
