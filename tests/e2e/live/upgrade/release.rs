//! Other releases of a module, made of its bytes.

use walrus::ir::{BinaryOp, ExtendedLoad, LoadKind, MemArg, StoreKind};
use walrus::{FunctionId, InstrSeqBuilder, LocalId, MemoryId, Module, ValType};

/// How what a release keeps in shared data differs from what the module itself keeps there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Not at all: only the module's bytes are others, which makes it another module to the proxy.
    Same,
    /// In all bytes of every value, of which the first is the version: 2 for 1.
    NextVersion,
    /// In all bytes but the version, which is a mistake.
    OtherOfTheSameVersion,
}

impl Layout {
    /// In which bits the first byte of a value differs, and in which the others.
    fn difference(self) -> (i32, i32) {
        match self {
            Layout::Same => (0, 0),
            Layout::NextVersion => (1 ^ 2, 0x5a),
            Layout::OtherOfTheSameVersion => (0, 0x5a),
        }
    }
}

/// The module as a release with this layout.
pub(super) fn release(module: &[u8], layout: Layout) -> Vec<u8> {
    if layout == Layout::Same {
        // A section of our own that says nothing: its id, its length, the length of its name, its name.
        return [module, b"\x00\x05\x04next"].concat();
    }
    let mut module = Module::from_buffer(module).unwrap();
    let memory = module.memories.iter().next().unwrap().id();
    let [status, value, size, at] = [(); 4].map(|()| module.locals.add(ValType::I32));
    let translation = |value, size| Translation { memory, layout, value, size, at };

    // proxy_get_shared_data(key, key_size, &mut value, &mut size, &mut cas) -> status: what the module reads.
    let (ours, proxys) = import(&mut module, "proxy_get_shared_data");
    let get = |(body, arguments): (&mut InstrSeqBuilder<'_>, &Vec<LocalId>)| {
        arguments.iter().for_each(|argument| _ = body.local_get(*argument));
        let read = |found: &mut InstrSeqBuilder<'_>| {
            for (to, variable) in [(arguments[2], value), (arguments[3], size)] {
                let word = MemArg { align: 4, offset: 0 };
                found.local_get(to).load(memory, LoadKind::I32 { atomic: false }, word).local_set(variable);
            }
            translation(value, size).write(found);
        };
        body.call(proxys).local_tee(status).if_else(None, |_| (), read).local_get(status);
    };
    module.replace_imported_func(ours, get).unwrap();

    // proxy_set_shared_data(key, key_size, value, size, cas) -> status: what it writes, and keeps for itself as it was.
    let (ours, proxys) = import(&mut module, "proxy_set_shared_data");
    let set = |(body, arguments): (&mut InstrSeqBuilder<'_>, &Vec<LocalId>)| {
        let translation = translation(arguments[2], arguments[3]);
        translation.write(body);
        arguments.iter().for_each(|argument| _ = body.local_get(*argument));
        body.call(proxys);
        translation.write(body);
    };
    module.replace_imported_func(ours, set).unwrap();
    module.emit_wasm()
}

/// The function that the module imports under this name, and another import of the same.
fn import(module: &mut Module, name: &str) -> (FunctionId, FunctionId) {
    let ours = module.imports.get_func("env", name).unwrap();
    let kind = module.funcs.get(ours).ty();
    (ours, module.add_import_func("env", name, kind).0)
}

/// Makes of a value in memory, of this layout, one of the other, and of that this one again.
struct Translation {
    memory: MemoryId,
    layout: Layout,
    value: LocalId,
    size: LocalId,
    at: LocalId,
}

impl Translation {
    fn write(&self, body: &mut InstrSeqBuilder<'_>) {
        let Translation { memory, layout, value, size, at } = *self;
        let (first, others) = layout.difference();
        let byte = MemArg { align: 1, offset: 0 };
        body.i32_const(0).local_set(at).block(None, |all| {
            let over = all.id();
            all.loop_(None, |each| {
                each.local_get(at).local_get(size).binop(BinaryOp::I32GeU).br_if(over);
                let address = |each: &mut InstrSeqBuilder<'_>| {
                    each.local_get(value).local_get(at).binop(BinaryOp::I32Add);
                };
                address(each);
                address(each);
                each.load(memory, LoadKind::I32_8 { kind: ExtendedLoad::ZeroExtend }, byte);
                each.i32_const(others).i32_const(first).local_get(at).select(None).binop(BinaryOp::I32Xor);
                each.store(memory, StoreKind::I32_8 { atomic: false }, byte);
                each.local_get(at).i32_const(1).binop(BinaryOp::I32Add).local_set(at);
                let next = each.id();
                each.br(next);
            });
        });
    }
}
