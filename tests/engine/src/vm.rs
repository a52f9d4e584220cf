//! An instance of a module, and what a crossing into it costs.

use crate::world::World;
use crate::{Module, imports};
use sluicegate_host::double::Double;
use std::fmt;
use wasmi::{Instance, Store, Val};

/// An instance of a module, with a root context for the policy in force.
pub struct Vm {
    store: Store<World>,
    instance: Instance,
    root: Option<i32>,
    contexts: i32,
}

/// A callback that was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Its name in the ABI.
    pub callback: &'static str,
    /// How many WebAssembly instructions it took, those included that gave the proxy memory for what its hostcalls
    /// return. Those that only give the code its shape (`block`, `loop`, `end`, `drop`, …) count nothing, copying and
    /// filling memory one for each 64 bytes. What the hostcalls themselves take is the proxy's.
    pub instructions: u64,
    /// The hostcalls that it made, in order, named as in Envoy's own trace: `env.proxy_get_property`.
    pub hostcalls: Vec<&'static str>,
}

/// What came of a policy.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The policy is in force. Else the one before still is.
    pub is_accepted: bool,
    /// The lines that the proxy's log got.
    pub log: Vec<String>,
    /// The callbacks: of the new root context, then of the one that ended.
    pub crossings: Vec<Crossing>,
}

/// A callback that did not return. Envoy would answer every further request of the worker with 503.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// The callback's name in the ABI; `_initialize` for the start of the instance.
    pub callback: &'static str,
    /// Why, as the engine has it.
    pub cause: String,
    /// What the module said last.
    pub said: String,
}

/// So many instructions in one callback are an endless loop: ten times what the dearest policy takes that a module reads to
/// its end.
const ENDLESS: u64 = 1_000_000_000;

const START: &str = "_initialize";

impl Vm {
    /// An instance on this proxy. A second worker is an instance on the proxy's [`Double::worker_beside`].
    ///
    /// # Errors
    /// When the module does not start.
    pub fn start(module: &Module, proxy: &'static Double) -> Result<Vm, Trap> {
        Vm::start_with(module, proxy, &[])
    }

    /// The same, with environment variables.
    ///
    /// # Errors
    /// When the module does not start.
    pub fn start_with(module: &Module, proxy: &'static Double, environment: &[(&str, &str)]) -> Result<Vm, Trap> {
        let failed = |error: wasmi::Error| Trap { callback: START, cause: error.to_string(), said: String::new() };
        let linker = imports::linker(&module.translated).map_err(failed)?;
        let environment = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut store = Store::new(module.translated.engine(), World::new(proxy, environment));
        store.set_fuel(ENDLESS).map_err(failed)?;
        let instance = linker.instantiate_and_start(&mut store, &module.translated).map_err(failed)?;
        let allocate = instance.get_typed_func(&store, "proxy_on_memory_allocate").map_err(failed)?;
        store.data_mut().memory = instance.get_memory(&store, "memory").map(|memory| (memory, allocate));
        let mut vm = Vm { store, instance, root: None, contexts: 0 };
        vm.enter(START, &[])?;
        Ok(vm)
    }

    /// Hands a policy over, in the bytes in which Envoy would, to a root context of its own. If that takes it, the root
    /// context of the policy before ends; else the new one does.
    ///
    /// # Errors
    /// When a callback does not return.
    pub fn configure(&mut self, policy: &[u8]) -> Result<Configured, Trap> {
        let root = self.next_context();
        self.world().buffers.configuration = policy.to_vec();
        let mut crossings = Vec::new();
        self.enter_into(&mut crossings, "proxy_on_context_create", &[root, 0])?;
        self.enter_into(&mut crossings, "proxy_on_vm_start", &[root, 0])?;
        let taken = self.enter_into(&mut crossings, "proxy_on_configure", &[root, length(policy)])?;
        let is_accepted = taken == Some(1);
        if let Some(ended) = if is_accepted { self.root.replace(root) } else { Some(root) } {
            self.end(ended, &mut crossings)?;
        }
        Ok(Configured { is_accepted, log: std::mem::take(&mut self.world().log), crossings })
    }

    /// A tick of the policy in force; `None` where there is none.
    ///
    /// # Errors
    /// When the callback does not return.
    pub fn tick(&mut self) -> Result<Option<Crossing>, Trap> {
        self.enter_root("proxy_on_tick", &[])
    }

    /// The answer to a callout, by its number in [`Double::callouts`]. Its headers are those that the proxy has under
    /// [`MapKind::CalloutResponseHeaders`](sluicegate_host::MapKind).
    ///
    /// # Errors
    /// When the callback does not return.
    pub fn callout_response(&mut self, callout: i32, body: &[u8]) -> Result<Option<Crossing>, Trap> {
        self.world().buffers.callout_body = body.to_vec();
        // Ours read the headers, and do not ask how many there are.
        self.enter_root("proxy_on_http_call_response", &[callout, 1, length(body), 0])
    }

    /// A message from a gRPC service, by the number of the call or stream in [`Double::grpc`].
    ///
    /// # Errors
    /// When the callback does not return.
    pub fn grpc_message(&mut self, token: i32, message: &[u8]) -> Result<Option<Crossing>, Trap> {
        self.world().buffers.grpc_message = message.to_vec();
        self.enter_root("proxy_on_grpc_receive", &[token, length(message)])
    }

    /// A gRPC call has failed, or a stream ended, with this status and what the service says of it.
    ///
    /// # Errors
    /// When the callback does not return.
    pub fn grpc_closed(&mut self, token: i32, status: u8, message: &str) -> Result<Option<Crossing>, Trap> {
        self.world().buffers.grpc_status = (status.into(), message.to_owned());
        self.enter_root("proxy_on_grpc_close", &[token, status.into()])
    }

    /// The module's memory, in bytes. It never shrinks.
    pub fn memory(&self) -> usize {
        self.store.data().memory.map_or(0, |(memory, _)| memory.data_size(&self.store))
    }

    /// How many expressions the proxy keeps for the module.
    pub fn expressions(&self) -> usize {
        self.store.data().expressions.len()
    }

    /// Ends a context.
    pub(crate) fn end(&mut self, context: i32, crossings: &mut Vec<Crossing>) -> Result<(), Trap> {
        self.enter_into(crossings, "proxy_on_done", &[context])?;
        self.enter_into(crossings, "proxy_on_delete", &[context])?;
        Ok(())
    }

    pub(crate) fn world(&mut self) -> &mut World {
        self.store.data_mut()
    }

    /// The root context in force.
    pub(crate) fn root(&self) -> Option<i32> {
        self.root
    }

    pub(crate) fn next_context(&mut self) -> i32 {
        self.contexts = self.contexts.wrapping_add(1);
        self.contexts
    }

    /// Enters a callback if the module exports it, and keeps the crossing. Returns what it returned, if anything.
    pub(crate) fn enter_into(
        &mut self,
        crossings: &mut Vec<Crossing>,
        callback: &'static str,
        arguments: &[i32],
    ) -> Result<Option<i32>, Trap> {
        let Some((crossing, returned)) = self.enter(callback, arguments)? else { return Ok(None) };
        crossings.push(crossing);
        Ok(returned)
    }

    fn enter_root(&mut self, callback: &'static str, arguments: &[i32]) -> Result<Option<Crossing>, Trap> {
        let Some(root) = self.root else { return Ok(None) };
        let entered = self.enter(callback, &[&[root], arguments].concat())?;
        Ok(entered.map(|(crossing, _)| crossing))
    }

    fn enter(&mut self, callback: &'static str, arguments: &[i32]) -> Result<Option<(Crossing, Option<i32>)>, Trap> {
        let Some(function) = self.instance.get_func(&self.store, callback) else { return Ok(None) };
        let arguments: Vec<_> = arguments.iter().map(|argument| Val::I32(*argument)).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        self.world().hostcalls.clear();
        self.world().said.clear();
        let run = self.store.set_fuel(ENDLESS).and_then(|()| function.call(&mut self.store, &arguments, &mut results));
        let left = run.and_then(|()| self.store.get_fuel()).map_err(|error| Trap {
            callback,
            cause: error.to_string(),
            said: String::from_utf8_lossy(&self.store.data().said).into_owned(),
        })?;
        let hostcalls = std::mem::take(&mut self.world().hostcalls);
        let crossing = Crossing { callback, instructions: ENDLESS.saturating_sub(left), hostcalls };
        Ok(Some((crossing, results.first().and_then(Val::i32))))
    }
}

fn length(bytes: &[u8]) -> i32 {
    i32::try_from(bytes.len()).unwrap_or(i32::MAX)
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} did not return: {}", self.callback, self.cause)?;
        match self.said.trim() {
            "" => Ok(()),
            said => write!(f, " ({said})"),
        }
    }
}

impl std::error::Error for Trap {}
