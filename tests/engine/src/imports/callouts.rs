//! Requests of the module's own: over HTTP and gRPC.

use super::{Answer, ENV, OK, code, serve, status};
use crate::memory::{bytes, give, put, text};
use crate::pairs;
use crate::world::World;
use sluicegate_host::{GrpcMethod, Host, HostError, HttpCall};
use std::time::Duration;
use wasmi::{Caller, Error, Linker};

pub(super) fn serve(linker: &mut Linker<World>) -> Result<(), Error> {
    serve!(linker, "proxy_http_call", |caller,
                                       cluster: u32,
                                       cluster_len: u32,
                                       headers: u32,
                                       headers_len: u32,
                                       body: u32,
                                       body_len: u32,
                                       _trailers: u32,
                                       _trailers_len: u32,
                                       timeout: u32,
                                       token: u32| {
        let (cluster, body) = (text(caller, cluster, cluster_len)?, bytes(caller, body, body_len)?);
        let headers = texts(caller, headers, headers_len)?;
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let timeout = Duration::from_millis(timeout.into());
        let call = HttpCall { cluster: &cluster, headers: &headers, body: &body, timeout };
        let sent = caller.data().proxy.http_call(&call);
        begun(caller, sent, token)
    });
    serve!(linker, "proxy_grpc_call", |caller,
                                       cluster: u32,
                                       cluster_len: u32,
                                       service: u32,
                                       service_len: u32,
                                       method: u32,
                                       method_len: u32,
                                       metadata: u32,
                                       metadata_len: u32,
                                       message: u32,
                                       message_len: u32,
                                       timeout: u32,
                                       token: u32| {
        let names = [(cluster, cluster_len), (service, service_len), (method, method_len)];
        let message = bytes(caller, message, message_len)?;
        let sent = with_method(caller, names, (metadata, metadata_len), |proxy, method| {
            proxy.grpc_call(method, &message, Duration::from_millis(timeout.into()))
        })?;
        begun(caller, sent, token)
    });
    serve!(linker, "proxy_grpc_stream", |caller,
                                         cluster: u32,
                                         cluster_len: u32,
                                         service: u32,
                                         service_len: u32,
                                         method: u32,
                                         method_len: u32,
                                         metadata: u32,
                                         metadata_len: u32,
                                         token: u32| {
        let names = [(cluster, cluster_len), (service, service_len), (method, method_len)];
        let opened = with_method(caller, names, (metadata, metadata_len), |proxy, method| proxy.grpc_open(method))?;
        begun(caller, opened, token)
    });
    serve!(linker, "proxy_grpc_send", |caller, token: u32, message: u32, message_len: u32, _end: u32| {
        let message = bytes(caller, message, message_len)?;
        Ok(status(caller.data().proxy.grpc_send(token, &message)))
    });
    serve!(linker, "proxy_grpc_cancel", |caller, token: u32| Ok(status(caller.data().proxy.grpc_cancel(token))));
    serve!(linker, "proxy_get_status", |caller, number: u32, data: u32, len: u32| {
        let (status, message) = caller.data().buffers.grpc_status.clone();
        put(caller, number, &status.to_le_bytes())?;
        give(caller, message.as_bytes(), data, len).map(|()| OK)
    });
    Ok(())
}

/// Has the proxy do something with a gRPC method that a module names: cluster, service, method, and metadata.
fn with_method(
    caller: &Caller<'_, World>,
    [cluster, service, method]: [(u32, u32); 3],
    metadata: (u32, u32),
    run: impl FnOnce(&dyn Host, &GrpcMethod<'_>) -> Result<u32, HostError>,
) -> Result<Result<u32, HostError>, Error> {
    let named = |(at, len)| text(caller, at, len);
    let (cluster, service, method) = (cluster_of(&named(cluster)?)?, named(service)?, named(method)?);
    let metadata = texts(caller, metadata.0, metadata.1)?;
    let metadata: Vec<_> = metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let method = GrpcMethod { cluster: &cluster, service: &service, method: &method, metadata: &metadata };
    Ok(run(caller.data().proxy, &method))
}

/// The cluster in the message `GrpcService`, of which our modules write one field: `envoy_grpc.cluster_name`.
fn cluster_of(service: &str) -> Result<String, Error> {
    let cluster = match service.as_bytes() {
        [0x0a, _, 0x0a, length, cluster @ ..] if cluster.len() == usize::from(*length) => service.get(4..),
        _ => None,
    };
    cluster
        .map(str::to_owned)
        .ok_or_else(|| Error::new(format!("handed over a gRPC service that is none: {service:?}")))
}

/// Headers or metadata. Ours are text.
fn texts(caller: &Caller<'_, World>, at: u32, len: u32) -> Result<Vec<(String, String)>, Error> {
    let wrong = || Error::new("handed over headers that are none");
    let pairs = pairs::read(&bytes(caller, at, len)?).ok_or_else(wrong)?;
    let text = |(name, value)| Some((name, String::from_utf8(value).ok()?));
    pairs.into_iter().map(text).collect::<Option<_>>().ok_or_else(wrong)
}

fn begun(caller: &mut Caller<'_, World>, begun: Result<u32, HostError>, token: u32) -> Answer {
    match begun {
        Ok(number) => put(caller, token, &number.to_le_bytes()).map(|()| OK),
        Err(error) => Ok(code(error.status)),
    }
}
