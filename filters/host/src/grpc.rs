/// A gRPC status code (gRPC, `statuscodes.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GrpcStatus {
    /// 0.
    Ok,
    /// 1.
    Cancelled,
    /// 2, and every code that gRPC does not define.
    Unknown,
    /// 3.
    InvalidArgument,
    /// 4.
    DeadlineExceeded,
    /// 5.
    NotFound,
    /// 6.
    AlreadyExists,
    /// 7.
    PermissionDenied,
    /// 8.
    ResourceExhausted,
    /// 9.
    FailedPrecondition,
    /// 10.
    Aborted,
    /// 11.
    OutOfRange,
    /// 12.
    Unimplemented,
    /// 13.
    Internal,
    /// 14.
    Unavailable,
    /// 15.
    DataLoss,
    /// 16.
    Unauthenticated,
}

impl GrpcStatus {
    /// All of them, in the order of their codes.
    pub const ALL: [GrpcStatus; 17] = [
        GrpcStatus::Ok,
        GrpcStatus::Cancelled,
        GrpcStatus::Unknown,
        GrpcStatus::InvalidArgument,
        GrpcStatus::DeadlineExceeded,
        GrpcStatus::NotFound,
        GrpcStatus::AlreadyExists,
        GrpcStatus::PermissionDenied,
        GrpcStatus::ResourceExhausted,
        GrpcStatus::FailedPrecondition,
        GrpcStatus::Aborted,
        GrpcStatus::OutOfRange,
        GrpcStatus::Unimplemented,
        GrpcStatus::Internal,
        GrpcStatus::Unavailable,
        GrpcStatus::DataLoss,
        GrpcStatus::Unauthenticated,
    ];

    /// Of the number in `grpc-status`. One that gRPC does not define is UNKNOWN, as gRPC has its clients read it.
    pub fn from_code(code: i64) -> GrpcStatus {
        usize::try_from(code).ok().and_then(|code| GrpcStatus::ALL.get(code)).copied().unwrap_or(GrpcStatus::Unknown)
    }

    /// The number in `grpc-status`.
    pub fn code(self) -> u32 {
        self as u32
    }

    /// The code's name, as OpenTelemetry's `rpc.response.status_code` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            GrpcStatus::Ok => "OK",
            GrpcStatus::Cancelled => "CANCELLED",
            GrpcStatus::Unknown => "UNKNOWN",
            GrpcStatus::InvalidArgument => "INVALID_ARGUMENT",
            GrpcStatus::DeadlineExceeded => "DEADLINE_EXCEEDED",
            GrpcStatus::NotFound => "NOT_FOUND",
            GrpcStatus::AlreadyExists => "ALREADY_EXISTS",
            GrpcStatus::PermissionDenied => "PERMISSION_DENIED",
            GrpcStatus::ResourceExhausted => "RESOURCE_EXHAUSTED",
            GrpcStatus::FailedPrecondition => "FAILED_PRECONDITION",
            GrpcStatus::Aborted => "ABORTED",
            GrpcStatus::OutOfRange => "OUT_OF_RANGE",
            GrpcStatus::Unimplemented => "UNIMPLEMENTED",
            GrpcStatus::Internal => "INTERNAL",
            GrpcStatus::Unavailable => "UNAVAILABLE",
            GrpcStatus::DataLoss => "DATA_LOSS",
            GrpcStatus::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// Whether the service failed, as against its caller: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL,
    /// UNAVAILABLE and DATA_LOSS, which OpenTelemetry has a server count as errors (gRPC spans, server). The others but
    /// OK are to gRPC what 4xx is to HTTP.
    pub fn fails(self) -> bool {
        matches!(
            self,
            GrpcStatus::Unknown
                | GrpcStatus::DeadlineExceeded
                | GrpcStatus::Unimplemented
                | GrpcStatus::Internal
                | GrpcStatus::Unavailable
                | GrpcStatus::DataLoss
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_name_and_some_are_failures() {
        let table = [
            (0, "OK", false),
            (1, "CANCELLED", false),
            (2, "UNKNOWN", true),
            (3, "INVALID_ARGUMENT", false),
            (4, "DEADLINE_EXCEEDED", true),
            (5, "NOT_FOUND", false),
            (6, "ALREADY_EXISTS", false),
            (7, "PERMISSION_DENIED", false),
            (8, "RESOURCE_EXHAUSTED", false),
            (9, "FAILED_PRECONDITION", false),
            (10, "ABORTED", false),
            (11, "OUT_OF_RANGE", false),
            (12, "UNIMPLEMENTED", true),
            (13, "INTERNAL", true),
            (14, "UNAVAILABLE", true),
            (15, "DATA_LOSS", true),
            (16, "UNAUTHENTICATED", false),
            (17, "UNKNOWN", true),
            (-1, "UNKNOWN", true),
            (i64::MAX, "UNKNOWN", true),
        ];
        for (code, name, fails) in table {
            let status = GrpcStatus::from_code(code);
            assert_eq!((status.as_str(), status.fails()), (name, fails), "{code}");
            if (0..17).contains(&code) {
                assert_eq!(i64::from(status.code()), code);
            }
        }
    }
}
