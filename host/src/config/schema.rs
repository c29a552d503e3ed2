//! The pipeline file as a JSON Schema, for editors.

use schemars::generate::SchemaSettings;

use super::file::File;

/// The JSON Schema (draft 2020-12) of a pipeline file, made from the types that read it.
///
/// It knows every key, its description, default and bounds; what spans several keys (unique ids, a key that suits the format) only
/// reading the file tells.
pub fn schema() -> serde_json::Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>();
    schema.insert("title".to_owned(), "Wharf pipeline file".into());
    schema.insert("description".to_owned(), "What is read, what it is cut into, and which components it goes to.".into());
    schema.to_value()
}
