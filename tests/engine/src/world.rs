//! What the imports of an instance share: the proxy behind them, and what of a proxy the one in memory leaves to others.

use crate::expressions::Expressions;
use sluicegate_host::double::Double;
use std::collections::BTreeMap;
use wasmi::{Memory, TypedFunc};

pub(crate) struct World {
    pub(crate) proxy: &'static Double,
    /// The module's own memory, and its function that gives a piece of it away. Known once it has been instantiated.
    pub(crate) memory: Option<(Memory, TypedFunc<u32, u32>)>,
    /// What is handed over in the callback under way.
    pub(crate) buffers: Buffers,
    pub(crate) expressions: Expressions,
    /// The hostcalls of the callback under way, in order, as Envoy's log names them.
    pub(crate) hostcalls: Vec<&'static str>,
    /// The properties that the exchange under way was given; they go with it.
    pub(crate) filter_state: BTreeMap<String, Vec<u8>>,
    /// The exchange under way was answered by the module.
    pub(crate) is_replied: bool,
    /// The lines for the proxy's log that nobody has taken yet.
    pub(crate) log: Vec<String>,
    /// What the module wrote to its standard output and error: the last words before a trap.
    pub(crate) said: Vec<u8>,
    /// As WASI hands it over: `NAME=value`.
    pub(crate) environment: Vec<String>,
}

/// The buffers of the ABI that our modules read.
#[derive(Default)]
pub(crate) struct Buffers {
    pub(crate) configuration: Vec<u8>,
    pub(crate) callout_body: Vec<u8>,
    pub(crate) grpc_message: Vec<u8>,
    pub(crate) grpc_status: (u32, String),
}

impl World {
    pub(crate) fn new(proxy: &'static Double, environment: Vec<String>) -> World {
        World {
            proxy,
            memory: None,
            buffers: Buffers::default(),
            expressions: Expressions::default(),
            hostcalls: Vec::new(),
            filter_state: BTreeMap::new(),
            is_replied: false,
            log: Vec::new(),
            said: Vec::new(),
            environment,
        }
    }
}
