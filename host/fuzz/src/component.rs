//! The check of a component's bytes before anything is compiled.

use wasmparser::Validator;
use wharf::connector::binary::{NotAConnector, SERVED, outline};

/// Whatever the bytes are, they are told apart; what the whole validator accepts is never called damaged.
pub fn holds(bytes: &[u8]) {
    match outline(bytes) {
        Ok(outline) => {
            assert!(SERVED.contains(&outline.api));
            assert!(outline.offers("connector"));
            assert!(outline.imports.len() + outline.exports.len() <= 1000);
            assert!(bytes.starts_with(b"\0asm"));
        }
        Err(refusal) => {
            super::readable(&refusal.to_string(), 600);
            super::readable(refusal.hint(), 200);
            if matches!(refusal, NotAConnector::Damaged { .. }) && bytes.len() < 4096 {
                assert!(Validator::new().validate_all(bytes).is_err(), "called damaged and is valid: {refusal}");
            }
            if let NotAConnector::Damaged { at, size, .. } = refusal {
                assert!(at <= size && size == bytes.len() as u64);
            }
        }
    }
}
