use super::json::Object;
use super::{Text, Value};
use sluicegate_policy::Service;

/// Whose records they are: the same for all of them, and so rendered once.
#[derive(Clone, Debug)]
pub struct Resource {
    attributes: Vec<(&'static str, String)>,
    json: String,
}

/// OpenTelemetry's name for a service that nobody named.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// The longest value, in bytes: a policy's labels have at most 256 characters.
const MAX: usize = 1024;

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
        let attributes: Vec<_> = all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let mut json = String::new();
        let mut object = Object::open(&mut json);
        for (name, value) in &attributes {
            object.value(name, Value::Text(Text::from(value.as_str()).at_most(MAX)));
        }
        object.close();
        Resource { attributes, json }
    }

    /// Name and value of each attribute.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.attributes.iter().map(|(name, value)| (*name, value.as_str()))
    }

    pub(super) fn json(&self) -> &str {
        &self.json
    }
}
