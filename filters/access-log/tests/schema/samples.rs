//! Records to write.

use sluicegate_access_log::record::{Record, Resource, Trace};
use sluicegate_host::BreakerState;
use sluicegate_host::{GrpcStatus, SpanId, TraceId};
use sluicegate_policy::{Direction, Service};
use sluicegate_telemetry::outcome::{ErrorKind, ErrorType, ResponseFlags, Severity, Signature};
use sluicegate_telemetry::{Attributes, Text};
use std::num::NonZeroU16;
use std::sync::LazyLock;

pub(super) static SIGNATURE: LazyLock<Signature> =
    LazyLock::new(|| Signature::of("checkout", b"/", ErrorKind::Timeout, b"response_timeout"));

pub(super) fn resource() -> Resource {
    let label = |text: &str| Some(text.to_owned());
    Resource::of(&Service {
        name: label("checkout"),
        version: label("2.3.0"),
        namespace: label("shop"),
        environment: label("prod"),
    })
}

pub(super) fn line(record: &Record<'_>, limit: usize) -> String {
    let mut line = String::new();
    _ = record.write(&resource(), limit, &mut line);
    line
}

/// A record with every field there is. No `..`: a field that is added must be added here.
pub(super) fn full() -> Record<'static> {
    let text = |text: &'static str| Some(Text::from(text));
    Record {
        timestamp: 1_700_000_000_000_000_000,
        severity: Severity::Error,
        trace: Some(Trace {
            trace_id: TraceId::new([1; 16]).expect("an id"),
            span_id: SpanId::new([2; 8]).expect("an id"),
            parent_span_id: SpanId::new([3; 8]),
            flags: 1,
        }),
        request_id: text("r-1"),
        attributes: Attributes {
            method: text("GeT"),
            path: text("/cart/7"),
            query: text("page=2"),
            scheme: text("https"),
            route_template: text("/cart/{id}"),
            server_address: text("shop.example.com"),
            server_port: NonZeroU16::new(443),
            client_address: text("203.0.113.0"),
            user_agent: text("curl/8.5.0"),
            protocol_name: text("http"),
            protocol_version: text("2"),
            status: Some(503),
            rpc_method: text("shop.Cart/Add"),
            grpc_status: Some(GrpcStatus::Unavailable),
            error_type: Some(ErrorType::Kind(ErrorKind::Timeout)),
            flags: ResponseFlags::from_bits(u64::MAX),
            code_details: text("response_timeout"),
            route_name: text("cart"),
            virtual_host_name: text("shop"),
            upstream_cluster: text("cart"),
            upstream_address: text("10.1.2.3:8080"),
            attempt_count: Some(3),
            transport_failure_reason: text("refused"),
            direction: Some(Direction::Inbound),
            duration: Some(12_345_678),
            time_to_response_headers: Some(12_000_000),
            upstream_duration: Some(1),
            request_size: Some(512),
            response_size: Some(u64::MAX),
            sampled_by: text("error"),
            sampling_probability: Some(1.0),
            breaker_state: Some(BreakerState::HalfOpen),
            shed: Some(false),
            policy_version: text("1.0"),
            error_kind: Some(ErrorKind::Timeout),
            error_signature: Some(&SIGNATURE),
            suppressed_count: Some(0),
        },
        custom: &[],
    }
}
