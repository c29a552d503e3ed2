//! .
pub struct Discard;
wharf_sdk::export_destination!(Discard);
