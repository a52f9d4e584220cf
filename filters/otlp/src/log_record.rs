use crate::Attributes;
use crate::Value;
use crate::protobuf::Writer;

/// A log record (`opentelemetry.proto.logs.v1.LogRecord`) but for its attributes, which [`LogRecord::encode`] asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogRecord<'a> {
    /// When it happened; nanoseconds since the Unix epoch, 0 for unknown.
    pub time_unix_nano: u64,
    /// When it was observed; nanoseconds since the Unix epoch.
    pub observed_time_unix_nano: u64,
    /// 1 to 24 (OpenTelemetry Logs Data Model, "SeverityNumber"): 5 DEBUG, 9 INFO, 13 WARN, 17 ERROR, 21 FATAL; 0 for
    /// none.
    pub severity_number: u8,
    /// The severity's name; empty for none.
    pub severity_text: &'a str,
    /// What is to be read first.
    pub body: Option<Value<'a>>,
    /// The trace that it belongs to.
    pub trace_id: Option<[u8; 16]>,
    /// The span that it belongs to.
    pub span_id: Option<[u8; 8]>,
    /// W3C trace flags, in the lowest 8 bits.
    pub flags: u32,
    /// How many attributes there were beside those that are given.
    pub dropped_attributes_count: u32,
}

impl LogRecord<'_> {
    /// Appends the record to `buffer`, in the form that [`crate::Exporter::add`] takes; `attributes` adds its attributes.
    pub fn encode(&self, buffer: &mut Vec<u8>, attributes: impl FnOnce(&mut Attributes<'_, '_>)) {
        let mut record = Writer(buffer);
        record.fixed64_unless_zero(1, self.time_unix_nano);
        record.fixed64_unless_zero(11, self.observed_time_unix_nano);
        record.varint_unless_zero(2, u64::from(self.severity_number));
        record.bytes_unless_empty(3, self.severity_text.as_bytes());
        if let Some(body) = self.body {
            body.write(5, &mut record);
        }
        attributes(&mut Attributes::new(&mut record, 6));
        record.varint_unless_zero(7, u64::from(self.dropped_attributes_count));
        record.fixed32_unless_zero(8, self.flags);
        if let Some(id) = self.trace_id {
            record.bytes(9, &id);
        }
        if let Some(id) = self.span_id {
            record.bytes(10, &id);
        }
    }
}
