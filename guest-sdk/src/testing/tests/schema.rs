//! What the SDK writes is what `wit/descriptor.schema.json` allows, and what the schema names the SDK can write.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use crate::{
    Action, Batch, Context, Descriptor, Destination, Failure, Order, Parameters, Receipt, Redelivery, Secret, Size,
    testing::Harness,
};

const SCHEMA: &str = include_str!("../../../../wit/descriptor.schema.json");

/// Says all that a descriptor can say of a write destination.
struct Talks;

#[derive(Parameters)]
#[allow(dead_code, reason = "declared and never read")]
struct Config {
    /// A name, \ "quoted".
    #[parameter(default = "a", one_of("a", "b"), none_of("c"), pattern = "[a-z]", length(1..=3))]
    name: String,
    secret: Secret,
    #[parameter(default = 0.5, min = 0, max = 1.5)]
    ratio: f32,
    #[parameter(default = "1s", min = "10ms", max = "2m")]
    delay: Duration,
    lists: Vec<Size>,
}

impl Destination for Talks {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Talks.")
            .name("talks")
            .version("1.2.3-rc.1")
            .description("Much.")
            .author("Somebody")
            .action(Action::write("insert").summary("Inserts.").schedule("5m").retries(3))
            .action(Action::write("delete"))
            .default_action("insert")
            .api_version("v2")
            .deprecated_api_version("v1", "2026-01-31")
            .default_api_version("v2")
            .order(Order::Key)
            .redelivery(Redelivery::Idempotent)
            .prefer_records(500)
            .prefer_bytes(Size::mib(1))
            .prefer_delay(Duration::from_millis(1500))
            .prefer_parallel(2)
            .bound_records(1000)
            .bound_bytes(Size::mib(4))
            .bound_record_bytes(Size::kib(64))
            .request("http", "https://{name}.example.com:443", "records are sent there")
    }

    fn open(_: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        Ok(Receipt::all(batch))
    }
}

/// As much of JSON Schema as the schema uses. Notes each property that it meets.
fn validate(root: &Value, schema: &Value, at: &str, value: &Value, met: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference} leads nowhere"));
        validate(root, target, at, value, met);
    }
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        kind => panic!("the schema has the type {kind}"),
    };
    match &schema["type"] {
        Value::String(kind) => assert!(is(kind), "{at} is no {kind}: {value}"),
        Value::Array(kinds) => assert!(kinds.iter().any(|kind| is(kind.as_str().unwrap())), "{at} is none of {kinds:?}: {value}"),
        _ => {}
    }
    if let Some(constant) = schema.get("const") {
        assert_eq!(value, constant, "{at}");
    }
    if let Some(choices) = schema["enum"].as_array() {
        assert!(choices.contains(value), "{at} is none of {choices:?}: {value}");
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        assert!(
            regex_lite::Regex::new(pattern).unwrap().is_match(value.as_str().unwrap()),
            "{at} does not match {pattern}: {value}"
        );
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(required.as_str().unwrap()).is_some(), "{at} has no {required}");
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        if let Some(known) = schema["properties"].get(name) {
            met.insert(format!("{at}.{name}"));
            validate(root, known, &format!("{at}.{name}"), member, met);
        } else if schema.get("properties").is_some() {
            panic!("the schema does not know {at}.{name}");
        }
    }
    for entry in value.as_array().into_iter().flatten() {
        validate(root, &schema["items"], &format!("{at}[]"), entry, met);
    }
}

/// The paths of all properties that the schema names.
fn named(root: &Value, schema: &Value, at: &str, names: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        named(root, root.pointer(reference.trim_start_matches('#')).unwrap(), at, names);
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        names.insert(format!("{at}.{name}"));
        named(root, schema, &format!("{at}.{name}"), names);
    }
    if schema.get("items").is_some() {
        named(root, &schema["items"], &format!("{at}[]"), names);
    }
}

#[test]
fn the_sdk_writes_what_the_schema_names_and_nothing_else() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let (mut met, mut names) = (BTreeSet::new(), BTreeSet::new());
    validate(&schema, &schema, "", &Harness::<Talks>::new().descriptor(), &mut met);
    named(&schema, &schema, "", &mut names);
    // Of uploads alone, which this version of the SDK does not export.
    names.remove(".guarantees.reconciles");
    assert_eq!(met, names);
}

#[test]
fn a_descriptor_that_says_little_is_filled_in_and_short() {
    struct Silent;

    impl Destination for Silent {
        type Config = ();

        fn describe() -> Descriptor {
            Descriptor::new("")
        }

        fn open((): (), _: Context) -> Result<Self, Failure> {
            Ok(Self)
        }

        fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
            Ok(Receipt::all(batch))
        }
    }

    let descriptor = Harness::<Silent>::new().descriptor();
    let expected = serde_json::json!({ "format": 1, "about": { "name": "under-test", "version": "0.0.0", "summary": "" } });
    assert_eq!(descriptor, expected);
}

#[test]
fn values_are_written_as_the_schema_means_them() {
    let descriptor = Harness::<Talks>::new().descriptor();
    let parameter = |name: &str| {
        let parameters = descriptor["parameters"].as_array().unwrap();
        parameters.iter().find(|parameter| parameter["name"] == name).unwrap().clone()
    };
    assert_eq!(parameter("name")["summary"], "A name, \\ \"quoted\".");
    assert_eq!(parameter("ratio")["rules"], serde_json::json!({ "min": 0, "max": 1.5 }));
    assert_eq!(parameter("ratio")["default"], "0.5");
    assert_eq!(parameter("delay")["rules"], serde_json::json!({ "min": "10ms", "max": "2m" }));
    assert_eq!((&parameter("secret")["secret"], &parameter("secret")["required"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!((&parameter("lists")["type"], &parameter("lists.*")["type"]), (&Value::from("list"), &Value::from("size")));
    assert_eq!(descriptor["preferences"]["delay"], "1s500ms");
    assert_eq!(descriptor["bounds"]["record-bytes"], "64KiB");
    assert_eq!(descriptor["versions"][1]["deprecated"], "2026-01-31");
}
