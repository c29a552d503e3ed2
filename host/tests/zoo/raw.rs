//! Components made from WebAssembly text: for what no compiler emits.

/// What of a component is out of the ordinary; all else is as it should be, and everything that is written is delivered.
///
/// Instructions stand at the beginning of their function. They have `$now`, `$random` and `$threshold` to call, which are cheap calls of
/// the host, `$new` and `$drop` for sessions, and in `write` the locals `$i` and `$j`.
#[derive(Clone, Copy, Default)]
pub struct Raw {
    /// Further fields of the module.
    pub fields: &'static str,
    /// Further fields of the component, before all others.
    pub beside: &'static str,
    /// Instructions of `describe`.
    pub describe: &'static str,
    /// Instructions of `check`.
    pub check: &'static str,
    /// Instructions of `open`.
    pub open: &'static str,
    /// Instructions of `write`.
    pub write: &'static str,
    /// Instructions of `ack`.
    pub ack: &'static str,
    /// Instructions of `close`.
    pub close: &'static str,
    /// Instructions of `cabi_realloc`: old pointer, old size, alignment and new size are the parameters 0 to 3.
    pub realloc: &'static str,
    /// Instructions of what is called once `write`'s answer has been read.
    pub post_return: &'static str,
    /// Instructions of a session's destructor, which is a module of its own.
    pub destructor: &'static str,
    /// What `write` answers: bytes, laid out as the contract's `result<receipt, failure>` is. The receipt's lists lie at 512.
    pub answer: Option<&'static str>,
    /// What stands at 512.
    pub lists: &'static str,
    /// What `describe` answers: bytes, and how many they are said to be.
    pub described: Option<(&'static str, u32)>,
}

impl Raw {
    /// Its text.
    pub fn text(&self) -> String {
        let document = r#"{"format": 1, "about": {"name": "raw", "version": "1.2.3"}, "guarantees": {"order": "batch"}}"#;
        let ordinary = document.replace('"', "\\\"");
        let (described, length) = self.described.unwrap_or((&ordinary, document.len() as u32));
        let length: String = length.to_le_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect();
        // Delivered is one span, 0 .. 1, at 256; there is no verdict.
        let answer = self.answer.unwrap_or(r"\00\00\00\00 \00\01\00\00\01\00\00\00\00\00\00\00\00\00\00\00").replace(' ', "");
        let Self { fields, beside, describe, check, open, write, ack, close, realloc, post_return, destructor, lists, .. } = self;
        let module = format!(
            r#"(core module $main
                (import "[export]wharf:connector/destination@0.1.0" "[resource-new]session" (func $new (param i32) (result i32)))
                (import "[export]wharf:connector/destination@0.1.0" "[resource-drop]session" (func $drop (param i32)))
                (import "host" "now" (func $now (result i64)))
                (import "host" "random" (func $random (result i64)))
                (import "host" "threshold" (func $threshold (result i32)))
                (memory (export "memory") 2)
                (global $top (mut i32) (i32.const 65536))
                (data (i32.const 0) "\40\00\00\00{length}")
                (data (i32.const 64) "{described}")
                (data (i32.const 208) "{answer}")
                (data (i32.const 256) "\00\00\00\00\01\00\00\00")
                (data (i32.const 512) "{lists}")
                (data (i32.const 4096) "told to fail")
                {fields}
                (func (export "wharf:connector/connector@0.1.0#describe") (result i32) {describe} (i32.const 0))
                (func (export "wharf:connector/connector@0.1.0#check") (param i32 i32) (result i32) {check} (i32.const 16))
                (func (export "wharf:connector/destination@0.1.0#[static]session.open") (param i32 i32) (result i32)
                    {open}
                    (i32.store8 (i32.const 32) (i32.const 0))
                    (i32.store (i32.const 36) (call $new (i32.const 7)))
                    (i32.const 32))
                (func (export "wharf:connector/destination@0.1.0#[method]session.write")
                    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
                    (local $i i32) (local $j i32)
                    {write} (i32.const 208))
                (func (export "cabi_post_write") (param i32) {post_return})
                (func (export "wharf:connector/destination@0.1.0#[method]session.ack") (param i32 i32 i32) {ack})
                (func (export "wharf:connector/destination@0.1.0#[method]session.close") (param i32) (result i32)
                    {close} (i32.const 16))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (local $at i32)
                    {realloc}
                    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
                    (global.set $top (i32.add (local.get $at) (local.get 3)))
                    (local.get $at)))"#
        );
        include_str!("raw.wat").replace("{beside}", beside).replace("{destructor}", destructor).replace("{module}", &module)
    }

    /// Its bytes.
    pub fn component(&self) -> Vec<u8> {
        let text = self.text();
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
    }
}
