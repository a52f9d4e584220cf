//! Between the SDK's dispatcher and [`crate::module`].

use crate::proxy::Proxy;
use crate::{CalloutToken, Filter, Flow, GrpcToken, Root, Stream};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

/// Turns a filter into a module: `sluicegate_host::plugin!(TheFilter);`, once in a crate, where the crate is built as a
/// module of its own.
///
/// It exports what the proxy calls, and writes the filter's [`crate::Callbacks`] into the module's section
/// `sluicegate.callbacks`, from which the build learns which exports to keep.
#[macro_export]
macro_rules! plugin {
    ($filter:ty) => {
        #[allow(unsafe_code)] // Exports and sections are named for the proxy, which is outside of Rust's sight.
        const _: () = {
            unsafe extern "C" {
                fn __wasm_call_ctors();
            }

            #[unsafe(no_mangle)]
            extern "C" fn _initialize() {
                // SAFETY: the linker's constructors, run once, before anything else, by the contract of `_initialize`.
                unsafe { __wasm_call_ctors() };
                $crate::start::<$filter>();
            }

            #[used]
            #[unsafe(link_section = "sluicegate.callbacks")]
            static CALLBACKS: [u8; 256] =
                <$filter as $crate::Filter>::CALLBACKS.and($crate::Callbacks::OF_ROOT).section();
        };
    };
}

#[doc(hidden)]
pub fn start<F: Filter>() {
    proxy_wasm::set_root_context(|_| Box::new(RootCallbacks(Root::<F>::new(&Proxy))));
}

struct RootCallbacks<F: Filter>(Root<F>);

impl<F: Filter> Context for RootCallbacks<F> {
    fn on_http_call_response(&mut self, token: u32, _headers: usize, _body: usize, _trailers: usize) {
        self.0.callout_response(CalloutToken(token));
    }

    /// An answer, or that there is none.
    fn on_grpc_call_response(&mut self, token: u32, status: u32, _size: usize) {
        match status {
            0 => self.0.grpc_message(GrpcToken(token)),
            status => self.0.grpc_closed(GrpcToken(token), status),
        }
    }

    fn on_grpc_stream_message(&mut self, token: u32, _size: usize) {
        self.0.grpc_message(GrpcToken(token));
    }

    fn on_grpc_stream_close(&mut self, token: u32, status: u32) {
        self.0.grpc_closed(GrpcToken(token), status);
    }
}

impl<F: Filter> RootContext for RootCallbacks<F> {
    fn on_configure(&mut self, _size: usize) -> bool {
        self.0.configure()
    }

    fn on_tick(&mut self) {
        self.0.tick();
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(match self.0.stream() {
            Some(stream) => Box::new(StreamCallbacks(stream)),
            // The SDK would trap on None. Without a policy the proxy sends no traffic here; should it, let it pass.
            None => Box::new(Bypass),
        })
    }
}

struct StreamCallbacks<F: Filter>(Stream<F>);

impl<F: Filter> Context for StreamCallbacks<F> {}

impl<F: Filter> HttpContext for StreamCallbacks<F> {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        match self.0.request_headers(end_of_stream) {
            Flow::Continue => Action::Continue,
            Flow::Replied => Action::Pause,
        }
    }

    fn on_http_request_body(&mut self, _size: usize, end_of_stream: bool) -> Action {
        if end_of_stream {
            self.0.request_end();
        }
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        self.0.request_end();
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        self.0.response_headers();
        Action::Continue
    }

    fn on_log(&mut self) {
        self.0.log();
    }
}

struct Bypass;

impl Context for Bypass {}
impl HttpContext for Bypass {}
