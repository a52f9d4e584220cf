use crate::Attributes;
use crate::protobuf::{Writer, framed};

/// What stands around the records of a request: who made them (OTLP's resource), and with what (its scope).
///
/// `ExportLogsServiceRequest` and `ExportTraceServiceRequest` number their fields alike, so one envelope serves both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    resource: Vec<u8>,
    scope: Vec<u8>,
    schema_url: String,
}

impl Envelope {
    /// An envelope of this scope, which is the name and the version of the filter; `resource` adds the attributes of the
    /// resource. `schema_url` is that of the semantic conventions that all attributes keep to, empty for none.
    pub fn new(scope: (&str, &str), schema_url: &str, resource: impl FnOnce(&mut Attributes<'_, '_>)) -> Envelope {
        let mut envelope = Envelope { resource: Vec::new(), scope: Vec::new(), schema_url: schema_url.to_owned() };
        resource(&mut Attributes::new(&mut Writer(&mut envelope.resource), 1));
        let (name, version) = scope;
        let mut writer = Writer(&mut envelope.scope);
        writer.bytes_unless_empty(1, name.as_bytes());
        writer.bytes_unless_empty(2, version.as_bytes());
        envelope
    }

    /// The body of a request that carries these records, each framed by [`frame`].
    pub(crate) fn seal(&self, frames: &[u8]) -> Vec<u8> {
        // The records come last in their message, so all lengths are known and nothing is moved.
        let url = self.schema_url.as_bytes();
        let url_size = if url.is_empty() { 0 } else { framed(url.len()) };
        let inner = framed(self.scope.len()).saturating_add(url_size).saturating_add(frames.len());
        let outer = framed(self.resource.len()).saturating_add(url_size).saturating_add(framed(inner));
        let mut body = Vec::with_capacity(framed(outer));
        let mut writer = Writer(&mut body);
        writer.length(1, outer);
        writer.bytes(1, &self.resource);
        writer.bytes_unless_empty(3, url);
        writer.length(2, inner);
        writer.bytes(1, &self.scope);
        writer.bytes_unless_empty(3, url);
        body.extend_from_slice(frames);
        body
    }
}

/// Appends a record or a span to the others of a batch.
pub(crate) fn frame(frames: &mut Vec<u8>, record: &[u8]) {
    Writer(frames).bytes(2, record);
}

/// How many bytes a record takes in a batch.
pub(crate) fn framed_size(record: &[u8]) -> usize {
    framed(record.len())
}
