//! What mutants of every kind say of themselves, and what is wrong with that.

use serde_json::{Value, json};

use crate::mutant::Said;

/// What a mutant says of itself, with more.
pub fn descriptor(more: &Value) -> Value {
    let mut descriptor = json!({
        "format": 1,
        "about": {"name": "mutant", "version": "1.0.0", "summary": "Has a fault.", "author": "The Wharf authors"},
        "parameters": [
            {"name": "fault", "type": "string", "summary": "What is wrong with it.", "default": "none"},
            {"name": "address", "type": "string", "summary": "Where it sends to.", "required": true, "rules": {"pattern": ".+:[0-9]+"}},
            {"name": "token", "type": "string", "summary": "A secret.", "secret": true},
            {"name": "level", "type": "int", "summary": "A number.", "default": "3", "rules": {"min": 1, "max": 9}},
        ],
        "requests": [{"capability": "tcp", "pattern": "{address}", "reason": "the server is there"}],
    });
    for (name, value) in more.as_object().unwrap() {
        match (&mut descriptor[name], value) {
            (Value::Array(known), Value::Array(more)) => known.extend(more.iter().cloned()),
            (known, value) => *known = value.clone(),
        }
    }
    descriptor
}

/// Faults in what it says of itself, and the cases that fail; `elsewhere` is a delivery that it does not export.
pub fn said(descriptor: &Value, elsewhere: &str) -> Vec<Said> {
    // With another value at a place.
    let with = |pointer: &str, value: Value| {
        let mut descriptor = descriptor.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        descriptor.pointer_mut(parent).unwrap()[name] = value;
        descriptor.to_string()
    };
    // With one more of a list.
    let and = |name: &str, value: Value| {
        let mut descriptor = descriptor.clone();
        let listed = descriptor.as_object_mut().unwrap().entry(name).or_insert_with(|| json!([]));
        listed.as_array_mut().unwrap().push(value);
        descriptor.to_string()
    };
    let parameter = |value: Value| and("parameters", value);
    vec![
        ("describe-traps", "!trap".into(), &["W-DESC-001"]),
        ("a-level-of-no-type", parameter(json!({"name": "odd", "summary": "Has no type."})), &["W-DESC-002"]),
        ("no-semver", with("/about/version", json!("1.0")), &["W-DESC-002", "W-DESC-003"]),
        ("no-author", with("/about/author", json!(" ")), &["W-DESC-004"]),
        ("no-words", with("/parameters/3/summary", json!("")), &["W-DESC-005"]),
        ("one-name-twice", parameter(json!({"name": "level", "type": "int", "summary": "Again."})), &["W-DESC-006"]),
        ("a-default-that-is-refused", with("/parameters/3/default", json!("10")), &["W-DESC-007"]),
        ("another-each-time", format!("!count{descriptor}"), &["W-DESC-008"]),
        (
            "an-action-that-is-not-exported",
            and("actions", json!({"name": "elsewhere", "delivery": elsewhere, "summary": "Is not there."})),
            &["W-DESC-009"],
        ),
        ("no-reason", with("/requests/0/reason", json!(" ")), &["W-DESC-010"]),
        (
            "too-much-preferred",
            {
                let mut descriptor = descriptor.clone();
                descriptor["bounds"] = json!({"records": 20_000});
                descriptor["preferences"] = json!({"records": 30_000});
                descriptor.to_string()
            },
            &["W-DESC-011"],
        ),
        ("required-with-a-default", with("/parameters/1/default", json!("localhost:1")), &["W-SETT-002"]),
        ("a-bound-that-is-none", with("/parameters/3/rules/min", json!("little")), &["W-SETT-003"]),
        (
            "takes-anything",
            parameter(json!({"name": "*", "type": "string", "summary": "Anything."})),
            &["W-DESC-002", "W-SETT-004"],
        ),
    ]
}
