use std::fmt;

/// What the proxy answered to a hostcall that failed (the proxy-wasm ABI's status codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The thing asked for does not exist.
    NotFound,
    /// An argument was not acceptable; also: not available in this callback.
    BadArgument,
    /// What was handed over could not be encoded.
    SerializationFailure,
    /// What was handed over could not be decoded.
    ParseFailure,
    /// The proxy could not read or write the module's memory.
    InvalidMemoryAccess,
    /// A queue was empty.
    Empty,
    /// Shared data was changed by someone else since it was read.
    CasMismatch,
    /// The answer does not fit what was expected.
    ResultMismatch,
    /// The proxy failed inside.
    InternalFailure,
    /// The proxy does not offer this.
    Unimplemented,
    /// A status that this version does not know.
    Other(u32),
}

impl Status {
    /// The status of a code as the ABI numbers them; `None` for 0, success.
    pub fn from_code(code: u32) -> Option<Status> {
        Some(match code {
            0 => return None,
            1 => Status::NotFound,
            2 => Status::BadArgument,
            3 => Status::SerializationFailure,
            4 => Status::ParseFailure,
            6 => Status::InvalidMemoryAccess,
            7 => Status::Empty,
            8 => Status::CasMismatch,
            9 => Status::ResultMismatch,
            10 => Status::InternalFailure,
            12 => Status::Unimplemented,
            other => Status::Other(other),
        })
    }
}

/// A hostcall that failed: which one, and what the proxy answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError {
    /// The name of the hostcall in the proxy-wasm ABI.
    pub call: &'static str,
    /// What the proxy answered.
    pub status: Status,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered {:?}", self.call, self.status)
    }
}

impl std::error::Error for HostError {}
