//! What a span is called. Names group spans, so there are few of them, whatever callers send.

use sluicegate_host::GrpcStatus;
use sluicegate_telemetry::{Attributes, Text};
use std::borrow::Cow;

/// For a method that OpenTelemetry does not know.
const SOME_METHOD: &str = "HTTP";

/// For a call whose method is not to be believed.
const SOME_CALL: &str = "grpc";

/// The longest method of a call that names a span, in bytes.
const MAX_METHOD: usize = 256;

/// The name of the span of an exchange with these attributes: `{method} {route}` or `{method}`, and for a call over gRPC
/// `{package}.{service}/{method}`.
pub(super) fn of<'a>(attributes: &Attributes<'a>, grpc: bool) -> Cow<'a, str> {
    if grpc {
        let method = attributes.rpc_method.map(Text::whole);
        return method.filter(|method| is_served(method, attributes.grpc_status)).unwrap_or(Cow::Borrowed(SOME_CALL));
    }
    let method = attributes.known_method().unwrap_or(SOME_METHOD);
    match attributes.route_template {
        Some(route) => Cow::Owned(format!("{method} {}", route.whole())),
        None => Cow::Borrowed(method),
    }
}

/// Whether it reads as a method, and the service knows it: the path is the caller's to choose.
fn is_served(method: &str, status: Option<GrpcStatus>) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let reads_well =
        method.split_once('/').is_some_and(|(service, method)| service.split('.').all(is_word) && is_word(method));
    reads_well && method.len() <= MAX_METHOD && status != Some(GrpcStatus::Unimplemented)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_request_is_called_by_its_method_and_its_route() {
        for (method, route, name) in [
            ("GET", Some("/users/{id}"), "GET /users/{id}"),
            ("GET", None, "GET"),
            ("get", None, "HTTP"),
            ("PROPFIND", Some("/files"), "HTTP /files"),
        ] {
            let attributes = Attributes {
                method: Some(method.into()),
                path: Some("/users/7".into()),
                route_template: route.map(Text::from),
                ..Attributes::default()
            };
            assert_eq!(of(&attributes, false), name, "{method} {route:?}");
        }
        assert_eq!(of(&Attributes::default(), false), "HTTP");
    }

    #[test]
    fn a_call_is_called_by_its_method_if_it_is_one_that_is_served() {
        let long = format!("shop.Cart/{}", "x".repeat(MAX_METHOD));
        for (method, status, name) in [
            ("shop.v1.Cart/Add", None, "shop.v1.Cart/Add"),
            ("Cart/Add", Some(GrpcStatus::NotFound), "Cart/Add"),
            ("shop.Cart/Add", Some(GrpcStatus::Unimplemented), "grpc"),
            ("shop.Cart/[redacted]", None, "grpc"),
            ("shop.Cart", None, "grpc"),
            ("shop..Cart/Add", None, "grpc"),
            ("shop.Cart/", None, "grpc"),
            ("shop.Cart/Add/7", None, "grpc"),
            ("", None, "grpc"),
            (&long, None, "grpc"),
        ] {
            let attributes = Attributes {
                method: Some("POST".into()),
                rpc_method: Some(method.into()),
                grpc_status: status,
                route_template: Some("/shop".into()),
                ..Attributes::default()
            };
            assert_eq!(of(&attributes, true), name, "{method} {status:?}");
        }
        assert_eq!(of(&Attributes::default(), true), "grpc");
    }
}
