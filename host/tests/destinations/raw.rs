//! Components made from WebAssembly text: for what no compiler emits.

use std::{fs, path::PathBuf};

use wharf_tests::Scratch;

/// What of a component's module is out of the ordinary; all else is as it should be, and everything that is written is delivered.
#[derive(Default)]
pub struct Raw {
    /// Further fields of the module.
    pub fields: &'static str,
    /// Instructions at the beginning of `describe`.
    pub describe: &'static str,
    /// Instructions at the beginning of `write`.
    pub write: &'static str,
    /// What `write` answers: bytes, laid out as the contract's `result<receipt, failure>` is. The receipt's lists lie at 512.
    pub answer: Option<&'static str>,
    /// What stands at 512.
    pub lists: &'static str,
}

impl Raw {
    pub fn component(&self, folder: &Scratch, name: &str) -> PathBuf {
        let document = r#"{"format": 1, "about": {"name": "raw", "version": "1.2.3"}}"#;
        let (escaped, length) = (document.replace('"', "\\\""), document.len());
        // Delivered is one span, 0 .. 1, at 256; there is no verdict.
        let answer = self.answer.unwrap_or(r"\00\00\00\00 \00\01\00\00\01\00\00\00\00\00\00\00\00\00\00\00").replace(' ', "");
        let Self { fields, describe, write, lists, .. } = self;
        let text = format!(
            r#"(core module $main
                (import "[export]wharf:connector/destination@0.1.0" "[resource-new]session" (func $new (param i32) (result i32)))
                (memory (export "memory") 2)
                (global $top (mut i32) (i32.const 65536))
                (data (i32.const 0) "\40\00\00\00\3b\00\00\00")
                (data (i32.const 64) "{escaped}")
                (data (i32.const 208) "{answer}")
                (data (i32.const 256) "\00\00\00\00\01\00\00\00")
                (data (i32.const 512) "{lists}")
                (data (i32.const 4096) "told to fail")
                {fields}
                (func (export "wharf:connector/connector@0.1.0#describe") (result i32) {describe} (i32.const 0))
                (func (export "wharf:connector/connector@0.1.0#check") (param i32 i32) (result i32) (i32.const 16))
                (func (export "wharf:connector/destination@0.1.0#[static]session.open") (param i32 i32) (result i32)
                    (i32.store8 (i32.const 32) (i32.const 0))
                    (i32.store (i32.const 36) (call $new (i32.const 7)))
                    (i32.const 32))
                (func (export "wharf:connector/destination@0.1.0#[method]session.write")
                    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
                    {write} (i32.const 208))
                (func (export "wharf:connector/destination@0.1.0#[method]session.ack") (param i32 i32 i32))
                (func (export "wharf:connector/destination@0.1.0#[method]session.close") (param i32) (result i32) (i32.const 16))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (local $at i32)
                    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
                    (global.set $top (i32.add (local.get $at) (local.get 3)))
                    (local.get $at)))"#
        );
        assert_eq!(length, 0x3b, "the length of the descriptor stands in the data");
        let wrapped = include_str!("raw.wat").replace("{module}", &text);
        let component = wat::parse_str(wrapped).unwrap_or_else(|error| panic!("{error}"));
        let path = folder.path(name);
        fs::write(&path, component).unwrap();
        path
    }
}
