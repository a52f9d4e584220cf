/// How bad it is, in OpenTelemetry's scale (Logs Data Model, `SeverityNumber`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// 5.
    Debug,
    /// 9: all went well.
    Info,
    /// 13: the caller did something wrong, or left.
    Warn,
    /// 17: the exchange failed.
    Error,
    /// 21: nothing works any more; never made here, for rules of a policy.
    Fatal,
}

impl Severity {
    /// All of them, the mildest first.
    pub const ALL: [Severity; 5] = [Severity::Debug, Severity::Info, Severity::Warn, Severity::Error, Severity::Fatal];

    /// OpenTelemetry's short name.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Debug => "DEBUG",
            Severity::Info => "INFO",
            Severity::Warn => "WARN",
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
        }
    }

    /// OpenTelemetry's number.
    pub fn number(self) -> u8 {
        match self {
            Severity::Debug => 5,
            Severity::Info => 9,
            Severity::Warn => 13,
            Severity::Error => 17,
            Severity::Fatal => 21,
        }
    }
}
