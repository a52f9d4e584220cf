use super::json::Object;
use sluicegate_policy::Service;
use sluicegate_telemetry::{Text, Value};

/// Whose records they are, as JSON: the same for all of them, and so rendered once.
#[derive(Clone, Debug)]
pub struct Resource(String);

/// The longest value, in bytes: a policy's labels have at most 256 characters.
const MAX: usize = 1024;

impl Resource {
    /// Of the service beside the proxy.
    pub fn of(service: &Service) -> Resource {
        let mut json = String::new();
        let mut object = Object::open(&mut json);
        for (name, value) in sluicegate_telemetry::Resource::of(service).attributes() {
            object.value(name, Value::Text(Text::from(value).at_most(MAX)));
        }
        object.close();
        Resource(json)
    }

    pub(super) fn json(&self) -> &str {
        &self.0
    }
}
