//! A destination that writes records into files of a granted directory, each record once.
//!
//! - [`settings`] is what an operator gives, [`layout`] makes of a record the name of its file and the bytes that it adds;
//! - [`store`] writes batches, with [`journal`] beside the files to know what was written;
//! - [`connector`] is what the host sees of it;
//! - [`disk`] is all that touches files, and [`trouble`] what is said when that fails.

pub mod batch;
pub mod connector;
pub mod csv;
pub mod date;
pub mod disk;
pub mod fields;
pub mod handles;
pub mod journal;
pub mod json_lines;
pub mod layout;
pub mod name;
pub mod settings;
pub mod store;
pub mod template;
pub mod trouble;

wharf_sdk::export_destination!(connector::Files);
