//! What a request asks the service to do: the name by which `per: handler` gives each handler a target of its own.

use sluicegate_policy::RequestView;

/// Of a path; what is longer is told apart by its beginning.
const LONGEST: usize = 256;

/// For gRPC the service and method, `/shop.Cart/Add`, which is the path. For HTTP the method and the template of the path,
/// `GET /users/{id}`, or where there is none the path itself without its query: paths that hold ids want a template, or
/// each is a handler of its own until there is room for no more.
pub(crate) fn name(request: &dyn RequestView, is_grpc: bool, template: Option<&str>) -> Vec<u8> {
    let path = request.path().unwrap_or_default();
    let path = path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    let path = path.get(..LONGEST).unwrap_or(path);
    if is_grpc {
        return path.to_vec();
    }
    let method = request.method().unwrap_or_default();
    [method.get(..LONGEST).unwrap_or(&method), b" ", template.map_or(path, str::as_bytes)].concat()
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use sluicegate_host::HeaderMap;

    #[test]
    fn a_handler_is_a_grpc_method_or_a_method_and_a_path() {
        let long = format!("/{}", "x".repeat(1_000));
        for (method, path, is_grpc, template, expected) in [
            ("POST", "/shop.Cart/Add", true, None, "/shop.Cart/Add"),
            ("POST", "/shop.Cart/Add?x=1", true, Some("/{service}/{method}"), "/shop.Cart/Add"),
            ("GET", "/users/7?token=1", false, Some("/users/{id}"), "GET /users/{id}"),
            ("GET", "/users/7?token=1", false, None, "GET /users/7"),
            ("PUT", "/users/7#top", false, None, "PUT /users/7"),
            ("GET", &long, false, None, &format!("GET {}", &long[..256])),
        ] {
            let request = HeaderMap::from_pairs(&[(":method", method), (":path", path)]);
            assert_eq!(name(&request, is_grpc, template), expected.as_bytes(), "{method} {path}");
        }
        assert_eq!(name(&HeaderMap::default(), false, None), b" ");
    }
}
