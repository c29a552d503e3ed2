//! `wharf schema`.

use super::{SETTLED, refusal::Refusal, stdout};

/// Prints the JSON Schema of the pipeline file.
pub fn schema() -> Result<u8, Refusal> {
    stdout::document(&crate::config::schema());
    Ok(SETTLED)
}
