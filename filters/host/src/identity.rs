//! Where in the mesh the module sits, as the proxy tells.

use crate::{Host, property};
use sluicegate_policy::Direction;

/// The direction of the listener: Envoy's `core.v3.TrafficDirection`, 1 inbound, 2 outbound; a proxy that says neither
/// stands alone, a gateway. Known only while there is an exchange.
pub(crate) fn direction(host: &dyn Host) -> Direction {
    match property::integer(host, "xds\0listener_direction") {
        Some(1) => Direction::Inbound,
        Some(2) => Direction::Outbound,
        _ => Direction::Gateway,
    }
}

/// Names of the service, the most telling first: Istio's canonical name, its workload, then the node's cluster.
const SERVICE_NAMES: [&str; 3] = [
    "xds\0node\0metadata\0LABELS\0service.istio.io/canonical-name",
    "xds\0node\0metadata\0WORKLOAD_NAME",
    "xds\0node\0cluster",
];

/// OpenTelemetry's name for a service that nobody named.
const UNKNOWN_SERVICE: &str = "unknown_service";

pub(crate) fn service_name(host: &dyn Host) -> String {
    SERVICE_NAMES.iter().find_map(|path| property::text(host, path)).unwrap_or_else(|| UNKNOWN_SERVICE.to_owned())
}
