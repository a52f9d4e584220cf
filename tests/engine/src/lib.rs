//! The finished modules (`target/plugins/*.wasm`), run in a WebAssembly engine inside the test process, without Envoy.
//!
//! A [`Module`] is read and translated once; a [`Vm`] is an instance of it on a proxy in memory, the
//! [`Double`](sluicegate_host::double::Double) on which filters are tested natively as well. The VM is driven as Envoy
//! drives it: a root context for each policy, a context for each exchange, and only those callbacks that the module
//! exports. Every [`Crossing`] into the module tells which hostcalls it made, by name, and how many instructions it took:
//! the same number on every machine.
//!
//! ```no_run
//! use sluicegate_engine::{Module, Request, Vm};
//! use sluicegate_host::double::Double;
//!
//! let module = Module::shipped("suite")?;
//! let mut vm = Vm::start(&module, Double::new())?;
//! assert!(vm.configure(br#"{"version": "1.0"}"#)?.is_accepted);
//! let exchange = vm.exchange(&Request::get("/cart"))?;
//! for crossing in &exchange.crossings {
//!     println!("{}: {} instructions, {:?}", crossing.callback, crossing.instructions, crossing.hostcalls);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`module`] finds, reads and translates modules.
//! - [`vm`] is an instance: root contexts, ticks, answers to callouts; what a crossing cost, and what a trap is.
//! - [`exchange`] takes a request through the callbacks of its context.
//! - `imports` and `wasi` serve what a module imports, from the proxy in memory; `world` is what they share.
//! - `expressions` evaluates the lists of attributes that our modules have the proxy compile.

pub mod exchange;
mod expressions;
mod imports;
mod memory;
pub mod module;
mod pairs;
pub mod vm;
mod wasi;
mod world;

pub use exchange::{Exchange, Request};
pub use module::Module;
pub use vm::{Configured, Crossing, Trap, Vm};
