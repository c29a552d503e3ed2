//! Holds a JSON document against the few words of JSON Schema that the descriptor's schema uses.

use chrono::NaiveDate;
use serde_json::Value;

/// The descriptor's schema, as the contract has it.
const DESCRIPTOR: &str = include_str!("../../../wit/descriptor.schema.json");

/// What in a descriptor is not as the schema has it, each with where it stands.
pub(super) fn descriptor(document: &Value) -> Vec<String> {
    match serde_json::from_str::<Value>(DESCRIPTOR) {
        Ok(schema) => {
            let mut wrong = Vec::new();
            hold(&schema, &schema, document, "", &mut wrong);
            wrong
        }
        Err(error) => vec![format!("the schema cannot be read: {error}")],
    }
}

/// Every word of the schema that is looked at. What else stands in it is for people.
#[cfg(test)]
const WORDS: [&str; 14] = [
    "type",
    "const",
    "enum",
    "pattern",
    "format",
    "minLength",
    "minimum",
    "minItems",
    "required",
    "properties",
    "items",
    "$ref",
    "additionalProperties",
    "$defs",
];

fn hold(root: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let mut tell = |what: String| wrong.push(format!("{} {what}", if at.is_empty() { "the document" } else { at }));
    if let Some(kinds) = schema.get("type") {
        let kinds: Vec<&str> = match kinds {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            kind => kind.as_str().into_iter().collect(),
        };
        if !kinds.iter().any(|kind| is(value, kind)) {
            tell(format!("is not of type {}", kinds.join(" or ")));
            return;
        }
    }
    if let Some(due) = schema.get("const")
        && due != value
    {
        tell(format!("is {value}, not {due}"));
    }
    if let Some(Value::Array(allowed)) = schema.get("enum")
        && !allowed.contains(value)
    {
        tell(format!("is {value}, which is none of {}", allowed.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")));
    }
    if let Some(text) = value.as_str() {
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && !regex_lite::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
        {
            tell(format!("is {value}, which does not match {pattern}"));
        }
        if schema.get("format").and_then(Value::as_str) == Some("date") && text.parse::<NaiveDate>().is_err() {
            tell(format!("is {value}, which is no date"));
        }
        if least(schema, "minLength").is_some_and(|least| (text.chars().count() as u64) < least) {
            tell("is too short".into());
        }
    }
    if let (Some(least), Some(number)) = (schema.get("minimum").and_then(Value::as_f64), value.as_f64())
        && number < least
    {
        tell(format!("is {value}, which is below {least}"));
    }
    if let Some(items) = value.as_array() {
        if least(schema, "minItems").is_some_and(|least| (items.len() as u64) < least) {
            tell("has too few entries".into());
        }
        if let Some(each) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                hold(root, each, item, &format!("{at}[{index}]"), wrong);
            }
        }
    }
    if let Some(members) = value.as_object() {
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                wrong.push(format!("{} has no `{name}`", if at.is_empty() { "the document" } else { at }));
            }
        }
        for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if let Some(member) = members.get(name) {
                let below = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                hold(root, inner, member, &below, wrong);
            }
        }
    }
    if let Some(named) = schema.get("$ref").and_then(Value::as_str).and_then(|named| named.strip_prefix('#'))
        && let Some(inner) = root.pointer(named)
    {
        hold(root, inner, value, at, wrong);
    }
}

fn least(schema: &Value, word: &str) -> Option<u64> {
    schema.get(word).and_then(Value::as_u64)
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Words that a schema uses, wherever a schema stands.
    fn words(schema: &Value, used: &mut Vec<String>) {
        for (word, inner) in schema.as_object().into_iter().flatten() {
            used.push(word.clone());
            match word.as_str() {
                "properties" | "$defs" => inner.as_object().unwrap().values().for_each(|inner| words(inner, used)),
                "items" => words(inner, used),
                _ => {}
            }
        }
    }

    #[test]
    fn every_word_of_the_schema_is_looked_at() {
        let mut used = Vec::new();
        words(&serde_json::from_str(DESCRIPTOR).unwrap(), &mut used);
        let for_people = ["$schema", "$id", "title", "description", "default"];
        used.retain(|word| !WORDS.contains(&word.as_str()) && !for_people.contains(&word.as_str()));
        assert!(used.is_empty(), "{used:?}");
    }

    #[test]
    fn what_is_not_as_the_schema_has_it_is_named_with_its_place() {
        let about = || json!({"name": "a", "version": "1.0.0"});
        assert_eq!(descriptor(&json!({"format": 1, "about": about(), "future": 7})), Vec::<String>::new());
        for (document, due) in [
            (json!([]), "the document is not of type object"),
            (json!({"format": 1}), "the document has no `about`"),
            (json!({"format": 2, "about": about()}), "format is 2, not 1"),
            (json!({"format": 1, "about": {"name": "A", "version": "1.0.0"}}), "about.name is \"A\", which does not match"),
            (json!({"format": 1, "about": about(), "preferences": {"records": 0}}), "preferences.records is 0, which is below 1"),
            (json!({"format": 1, "about": about(), "parameters": [{"name": "x"}]}), "parameters[0] has no `type`"),
            (
                json!({"format": 1, "about": about(), "parameters": [{"name": "x", "type": "text"}]}),
                "parameters[0].type is \"text\"",
            ),
            (
                json!({"format": 1, "about": about(), "versions": [{"name": "", "deprecated": "2026-02-30"}]}),
                "versions[0].name is too short",
            ),
            (json!({"format": 1, "about": about(), "versions": [{"name": "1", "deprecated": "2026-02-30"}]}), "is no date"),
        ] {
            let wrong = descriptor(&document);
            assert!(wrong.iter().any(|what| what.contains(due)), "{due}: {wrong:?}");
        }
    }
}
