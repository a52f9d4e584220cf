//! What happens to a module apart from exchanges: traps, the environment, and answers from outside.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod kit;
#[path = "../../../filters/sluicectl/tests/kit/mutated.rs"]
mod mutated;

use kit::{module, pass, proxy, start};
use mutated::{Numbers, garble};
use serde_json::json;
use sluicegate_engine::{Module, Request, Trap, Vm};
use sluicegate_host::MapKind;
use sluicegate_host::double::Double;
use std::time::Duration;

/// A module whose `proxy_on_configure` does this.
fn broken(configure: &str) -> Trap {
    let text = format!(
        r#"(module
            (import "env" "proxy_done" (func $done (result i32)))
            (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\08\00\00\00\09\00\00\00last word")
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 1024)
            (func (export "proxy_on_context_create") (param i32 i32))
            (func (export "proxy_on_configure") (param i32 i32) (result i32) {configure} i32.const 1)
            (func (export "proxy_on_delete") (param i32)))"#
    );
    let module = Module::read(&wat::parse_str(text).unwrap()).unwrap();
    Vm::start(&module, Double::new()).unwrap().configure(b"").unwrap_err()
}

#[test]
fn a_trap_names_the_callback_the_cause_and_the_last_words() {
    let says = "(drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 100)))";
    let trap = broken(&format!("{says} unreachable"));
    assert_eq!((trap.callback, trap.said.as_str()), ("proxy_on_configure", "last word"));
    let text = trap.to_string();
    assert!(text.starts_with("proxy_on_configure did not return: ") && text.ends_with("(last word)"), "{text}");
    for (configure, cause) in [
        ("(drop (call $done))", "env.proxy_done"),
        ("(drop (call $log (i32.const 2) (i32.const 65530) (i32.const 7)))", "7 bytes at 65530, outside of its memory"),
        ("(drop (call $log (i32.const 2) (i32.const 0) (i32.const -1)))", "outside of its memory"),
        // Filling memory counts for more than it takes.
        ("(loop (memory.fill (i32.const 2048) (i32.const 0) (i32.const 4096)) br 0)", "fuel"),
    ] {
        let trap = broken(configure);
        assert!(trap.callback == "proxy_on_configure" && trap.cause.contains(cause), "{trap:?}");
    }
}

#[test]
fn a_module_that_is_none_and_one_that_was_not_built_are_errors() {
    assert!(Module::read(b"\0asm\x02").is_err());
    let error = Module::shipped("no_such").err().unwrap().to_string();
    assert!(error.contains("no_such.wasm") && error.contains("scripts/build"), "{error}");
}

#[test]
fn a_secret_comes_from_the_environment() {
    let policy = json!({"version": "1.0", "sampling": {"force": {"secret": {"env": "FORCE"}}}}).to_string();
    let module = module("suite");
    for (environment, is_accepted) in
        [(&[][..], false), (&[("FORCE", "short")], false), (&[("OTHER", "x"), ("FORCE", "0123456789=abcdef")], true)]
    {
        let mut vm = Vm::start_with(&module, proxy(), environment).unwrap();
        let configured = vm.configure(policy.as_bytes()).unwrap();
        assert_eq!(configured.is_accepted, is_accepted, "{environment:?} {:?}", configured.log);
    }
}

#[test]
fn a_policy_that_goes_takes_its_expressions_with_it_and_leaves_no_memory_behind() {
    let mut vm = start(&module("suite"));
    let policy = br#"{"version": "1.0", "access_log": {"profile": "test"}}"#;
    let mut after = Vec::new();
    for _ in 0..200 {
        assert!(vm.configure(policy).unwrap().is_accepted);
        vm.exchange(&Request::get("/")).unwrap();
        after.push((vm.expressions(), vm.memory()));
    }
    assert!(after[0].0 > 0 && after[100] == after[199], "{:?} {:?}", after[100], after[199]);
}

#[test]
fn lines_go_to_a_collector_and_whatever_it_answers_does_no_harm() {
    let policy = json!({"version": "1.0", "access_log":
        {"profile": "test", "sinks": ["otlp"], "otlp": {"cluster": "collector"}}});
    let (module, proxy, mut numbers) = (module("suite"), proxy(), Numbers(17));
    let mut vm = Vm::start(&module, proxy).unwrap();
    assert!(vm.configure(policy.to_string().as_bytes()).unwrap().is_accepted);
    let mut answered = 0;
    for number in 0..300 {
        vm.exchange(&Request::get("/")).unwrap();
        pass(proxy, Duration::from_secs(10));
        vm.tick().unwrap().unwrap();
        while let Some(callout) = proxy.callouts().get(answered) {
            assert_eq!(callout.cluster, "collector");
            let statuses: [&[u8]; 6] = [b"200", b"503", b"", b"-1", b"\xff", b"99999999999999999999"];
            let headers = [(":status", statuses[number % statuses.len()]), ("retry-after", b"\xff1")];
            proxy.put_headers(MapKind::CalloutResponseHeaders, &headers);
            let body = garble(b"\x0a\x07\x08\x01\x12\x03why and further bytes", &mut numbers);
            vm.callout_response(i32::try_from(answered).unwrap(), &body).unwrap().unwrap();
            answered += 1;
        }
    }
    assert!(answered > 20, "{answered} batches");
}

#[test]
fn whatever_an_etcd_says_does_no_harm() {
    let policy = json!({"version": "1.0", "policy_source": {"etcd": {"cluster": "etcd", "key": "/policy"}}});
    let (module, proxy, mut numbers) = (module("suite"), proxy(), Numbers(19));
    let mut vm = Vm::start(&module, proxy).unwrap();
    assert!(vm.configure(policy.to_string().as_bytes()).unwrap().is_accepted);
    // A header with a revision, one key and value, a count: as an answer to a range and as a piece of a watch.
    let answer =
        b"\x0a\x04\x08\x01\x18\x09\x12\x22\x0a\x07/policy\x10\x05\x18\x07\x20\x01\x2a\x11{\"version\":\"1.0\"}\x20\x01";
    let mut answered = 0;
    for number in 0..600 {
        pass(proxy, Duration::from_millis(500));
        vm.tick().unwrap().unwrap();
        vm.exchange(&Request::get("/")).unwrap();
        let sent = proxy.grpc();
        for token in answered..sent.len() {
            let (token, bytes) = (i32::try_from(token).unwrap(), garble(answer, &mut numbers));
            match number % 3 {
                0 => _ = vm.grpc_closed(token, 14, "gone \u{fc}").unwrap().unwrap(),
                1 => _ = vm.grpc_message(token, answer).unwrap().unwrap(),
                _ => _ = vm.grpc_message(token, &bytes).unwrap().unwrap(),
            }
        }
        answered = sent.len();
    }
    assert!(answered > 10, "{answered} calls");
}
