//! The sentence for people: `GET /cart answered 503 in 12.3 ms: timeout`.

use super::json::milliseconds;
use sluicegate_telemetry::{Attributes, Text};

/// As much of the method, and of the path, as a sentence bears, in bytes.
const MAX_METHOD: usize = 32;
const MAX_PATH: usize = 256;

pub(super) fn sentence(attributes: &Attributes<'_>, give: &mut dyn FnMut(&str)) {
    attributes.method.unwrap_or(Text::from("A request")).at_most(MAX_METHOD).each_piece(give);
    if let Some(path) = attributes.path {
        give(" ");
        path.at_most(MAX_PATH).each_piece(give);
    }
    match attributes.status {
        Some(status) => {
            give(" answered ");
            give(itoa::Buffer::new().format(status));
        }
        None => give(" got no answer"),
    }
    if let Some(grpc) = attributes.grpc_status {
        give(" ");
        give(grpc.as_str());
    }
    if let Some(duration) = attributes.duration {
        give(" in ");
        milliseconds(duration, give);
        give(" ms");
    }
    if let Some(kind) = attributes.error_kind {
        give(": ");
        give(kind.as_str());
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use sluicegate_host::GrpcStatus;
    use sluicegate_telemetry::outcome::ErrorKind;

    #[test]
    fn it_says_what_happened_as_far_as_it_is_known() {
        let get = Attributes { method: Some("GET".into()), path: Some("/cart".into()), ..Attributes::default() };
        let table = [
            (Attributes::default(), "A request got no answer"),
            (Attributes { status: Some(200), ..get }, "GET /cart answered 200"),
            (
                Attributes {
                    status: Some(504),
                    duration: Some(12_300_000),
                    error_kind: Some(ErrorKind::Timeout),
                    ..get
                },
                "GET /cart answered 504 in 12.3 ms: timeout",
            ),
            (
                Attributes { status: Some(200), grpc_status: Some(GrpcStatus::NotFound), ..get },
                "GET /cart answered 200 NOT_FOUND",
            ),
        ];
        for (attributes, expected) in table {
            let mut text = String::new();
            sentence(&attributes, &mut |piece| text.push_str(piece));
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn it_stays_short() {
        let long = "x".repeat(10_000);
        let attributes = Attributes {
            method: Some(long.as_str().into()),
            path: Some(long.as_str().into()),
            ..Attributes::default()
        };
        let mut text = String::new();
        sentence(&attributes, &mut |piece| text.push_str(piece));
        assert!(text.len() < 320, "{}", text.len());
    }
}
