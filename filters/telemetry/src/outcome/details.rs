//! Envoy's response code details: `route_not_found`, `upstream_reset_before_response_started{connection_termination}`.

use super::ErrorKind;

/// The whole response came from the upstream.
pub(super) fn via_upstream(details: &[u8]) -> bool {
    details == b"via_upstream"
}

const CODEC_ERROR: &[u8] = b"codec_error";

/// The error that the details tell of where Envoy's flags say less, or something else: `UO` for maintenance, `DC` for what
/// the proxy closed itself, `UAEX` for an authorisation service that could not be asked.
pub(super) fn better_known(details: &[u8]) -> Option<ErrorKind> {
    let starts = |name: &str| details.starts_with(name.as_bytes());
    if starts("maintenance_mode") {
        Some(ErrorKind::Overload)
    } else if starts("downstream_local_disconnect") {
        // With the reason: a client that broke the protocol, or a proxy that shuts down.
        let broken = details.windows(CODEC_ERROR.len()).any(|part| part == CODEC_ERROR);
        Some(if broken { ErrorKind::Rejected } else { ErrorKind::Reset })
    } else if starts("ext_authz_error") {
        Some(ErrorKind::AuthUnavailable)
    } else {
        None
    }
}

/// The error that the details tell of; `None` where only the status can tell, and for details that we do not know.
pub(super) fn kind(details: &[u8]) -> Option<ErrorKind> {
    let end = details.iter().position(|byte| b"{(["[..].contains(byte)).unwrap_or(details.len());
    let (name, rest) = details.split_at_checked(end)?;
    Some(match name {
        b"response_timeout"
        | b"upstream_per_try_timeout"
        | b"upstream_per_try_idle_timeout"
        | b"upstream_max_stream_duration_reached"
        | b"stream_idle_timeout"
        | b"max_duration_timeout"
        | b"request_overall_timeout"
        | b"request_header_timeout"
        | b"downstream_header_timeout"
        | b"duration_timeout" => ErrorKind::Timeout,
        b"upstream_reset_before_response_started" | b"upstream_reset_after_response_started" => of_reset(rest),
        b"no_healthy_upstream" => ErrorKind::NoHealthyUpstream,
        b"route_not_found" | b"route_configuration_not_found" | b"cluster_not_found" | b"filter_chain_not_found" => {
            ErrorKind::NoRoute
        }
        b"overload" | b"drop_overload" | b"unconditional_drop_overload" => ErrorKind::Overload,
        b"response_payload_too_large" | b"request_payload_exceeded_retry_buffer_limit" => ErrorKind::Overflow,
        b"downstream_remote_disconnect" => ErrorKind::ClientGone,
        b"request_payload_too_large"
        | b"low_version"
        | b"missing_host_header"
        | b"request_headers_failed_strict_check"
        | b"missing_path_rejected"
        | b"invalid_path"
        | b"absolute_path_rejected"
        | b"path_normalization_failed"
        | b"upgrade_failed"
        | b"early_connect_data"
        | b"rejecting_because_detection_failed" => ErrorKind::Rejected,
        b"ext_authz_denied" | b"rbac_access_denied_matched_policy" | b"jwt_authn_access_denied" => ErrorKind::Denied,
        b"request_rate_limited" | b"local_rate_limited" => ErrorKind::RateLimited,
        b"fault_filter_abort" => ErrorKind::FaultInjected,
        b"csrf_origin_mismatch" => ErrorKind::Denied,
        // Envoy's codecs: `http1.codec_error`, `http2.too_many_headers`, …
        _ if [CODEC_ERROR, b"http1.", b"http2.", b"http3."].iter().any(|codec| name.starts_with(codec)) => {
            ErrorKind::Rejected
        }
        _ => return None,
    })
}

/// The reason of a reset, in braces: `{remote_connection_failure|delayed_connect_error:_111}`.
fn of_reset(reason: &[u8]) -> ErrorKind {
    let reason = reason.strip_prefix(b"{").unwrap_or(reason);
    let end = reason.iter().position(|byte| b"}|"[..].contains(byte)).unwrap_or(reason.len());
    match reason.get(..end).unwrap_or_default() {
        b"connection_failure" | b"remote_connection_failure" | b"local_connection_failure" | b"connection_timeout" => {
            ErrorKind::Connect
        }
        b"overflow" => ErrorKind::Overflow,
        b"protocol_error" => ErrorKind::Protocol,
        _ => ErrorKind::Reset,
    }
}
