/// The set of callbacks that a filter implements.
///
/// An exported callback is called for every exchange, whether it does anything or not, and a crossing into the module
/// costs about as much as real work. So a filter names what it needs here, once; the set is written into the module (a
/// custom section), and the build takes every other export away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callbacks(u32);

/// Long enough for every name.
const SECTION_LEN: usize = 256;

const NAMES: [(Callbacks, &str); 9] = [
    (Callbacks::REQUEST_HEADERS, "proxy_on_request_headers"),
    (Callbacks::REQUEST_END, "proxy_on_request_body"),
    (Callbacks::REQUEST_END, "proxy_on_request_trailers"),
    (Callbacks::RESPONSE_HEADERS, "proxy_on_response_headers"),
    (Callbacks::LOG, "proxy_on_log"),
    (Callbacks::TICK, "proxy_on_tick"),
    (Callbacks::CALLOUT_RESPONSE, "proxy_on_http_call_response"),
    (Callbacks::GRPC, "proxy_on_grpc_receive"),
    (Callbacks::GRPC, "proxy_on_grpc_close"),
];

impl Callbacks {
    /// Nothing beyond what every module needs.
    pub const NONE: Callbacks = Callbacks(0);
    /// The request's headers have come.
    pub const REQUEST_HEADERS: Callbacks = Callbacks(1);
    /// The response's headers have come.
    pub const RESPONSE_HEADERS: Callbacks = Callbacks(1 << 1);
    /// The exchange is over and may be logged.
    pub const LOG: Callbacks = Callbacks(1 << 2);
    /// Time passes.
    pub const TICK: Callbacks = Callbacks(1 << 3);
    /// A callout was answered, or given up.
    pub const CALLOUT_RESPONSE: Callbacks = Callbacks(1 << 4);
    /// All of the request has come. A request that is over with its headers is not entered once more for it; one with a
    /// body is, for each piece of it that the proxy gets.
    pub const REQUEST_END: Callbacks = Callbacks(1 << 5);

    /// A gRPC service answered, or has gone.
    pub(crate) const GRPC: Callbacks = Callbacks(1 << 6);
    /// What every module needs for a policy that changes. None of them is entered for an exchange.
    #[doc(hidden)]
    pub const OF_ROOT: Callbacks = Callbacks::TICK.and(Callbacks::CALLOUT_RESPONSE).and(Callbacks::GRPC);

    /// Both sets in one.
    pub const fn and(self, other: Callbacks) -> Callbacks {
        Callbacks(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Callbacks) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the exports, one a line, padded with NUL: the content of the module's section
    /// `sluicegate.callbacks`. Evaluated when a module is compiled, so a name that did not fit would not compile.
    #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
    #[doc(hidden)]
    pub const fn section(self) -> [u8; SECTION_LEN] {
        let mut section = [0; SECTION_LEN];
        let (mut end, mut name) = (0, 0);
        while name < NAMES.len() {
            let (callback, export) = NAMES[name];
            if self.contains(callback) {
                let (bytes, mut i) = (export.as_bytes(), 0);
                while i < bytes.len() {
                    section[end + i] = bytes[i];
                    i += 1;
                }
                end += bytes.len();
                section[end] = b'\n';
                end += 1;
            }
            name += 1;
        }
        section
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_names_what_is_in_the_set_and_nothing_else() {
        const SECTION: [u8; SECTION_LEN] = Callbacks::REQUEST_HEADERS.and(Callbacks::TICK).section();
        let text = std::str::from_utf8(&SECTION).unwrap().trim_end_matches('\0');
        assert_eq!(text, "proxy_on_request_headers\nproxy_on_tick\n");
    }

    #[test]
    fn every_name_fits() {
        let all = NAMES.iter().fold(Callbacks::NONE, |set, (callback, _)| set.and(*callback));
        assert!(all.section().ends_with(&[0]));
    }
}
