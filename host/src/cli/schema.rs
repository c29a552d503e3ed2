//! `wharf schema`.

use super::{
    SETTLED,
    report::{self, Refusal},
};

/// Prints the JSON Schema of the pipeline file.
pub fn schema() -> Result<u8, Refusal> {
    report::print(&crate::config::schema());
    Ok(SETTLED)
}
