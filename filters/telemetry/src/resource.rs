use sluicegate_policy::Service;

/// Whose records and spans they are: the same for all of a proxy.
#[derive(Clone, Debug)]
pub struct Resource {
    attributes: Vec<(&'static str, String)>,
}

/// OpenTelemetry's name for a service that nobody named.
const UNKNOWN_SERVICE: &str = "unknown_service";

impl Resource {
    /// Of the service beside the proxy. What is absent or empty is left out, but for the name, which is then
    /// `unknown_service`.
    pub fn of(service: &Service) -> Resource {
        let known = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let name = known(&service.name).unwrap_or_else(|| UNKNOWN_SERVICE.to_owned());
        let all = [
            ("service.name", Some(name)),
            ("service.version", known(&service.version)),
            ("service.namespace", known(&service.namespace)),
            ("deployment.environment.name", known(&service.environment)),
            ("telemetry.sdk.name", Some("sluicegate".to_owned())),
            ("telemetry.sdk.language", Some("rust".to_owned())),
            ("telemetry.sdk.version", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ];
        Resource { attributes: all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect() }
    }

    /// Name and value of each attribute.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.attributes.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_service_that_nobody_named_has_opentelemetrys_name() {
        let resource = Resource::of(&Service { name: Some(String::new()), ..Service::default() });
        let names: Vec<_> = resource.attributes().map(|(name, _)| name).collect();
        assert_eq!(names, ["service.name", "telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version"]);
        assert_eq!(resource.attributes().next(), Some(("service.name", "unknown_service")));
    }
}
