//! The pipeline file as a JSON Schema, for editors.

use schemars::{Schema, generate::SchemaSettings, transform::transform_subschemas};
use serde_json::Value;

use super::file::File;

/// The JSON Schema (draft 2020-12) of a pipeline file, made from the types that read it.
///
/// It knows every key, its description, default and bounds; what spans several keys (unique ids, a key that suits the format) and
/// the bounds of sizes and durations only reading the file tells. It is stricter than reading in one thing: a number must be
/// written as one, not as `${VAR}`.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>();
    tidy(&mut schema);
    schema.insert("title".to_owned(), "Wharf pipeline file".into());
    schema.insert("description".to_owned(), "What is read, what it is cut into, and which components it goes to.".into());
    schema.to_value()
}

/// Descriptions on one line, as they are shown; `kind` with one too, which is no field of a type; no default that is nothing.
fn tidy(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        let paragraphs = description.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
        *description = paragraphs.collect::<Vec<_>>().join("\n\n");
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(kind) = schema.pointer_mut("/properties/kind").and_then(Value::as_object_mut) {
        kind.entry("description").or_insert_with(|| "Which kind of source this is.".into());
    }
    transform_subschemas(&mut tidy, schema);
}
