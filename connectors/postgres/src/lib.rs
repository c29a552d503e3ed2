//! A destination that writes records into tables of PostgreSQL, each record once.
//!
//! - [`settings`] is what an operator gives;
//! - [`table`] is what the server says of a table, and how one is made and widened;
//! - [`value`] makes of a JSON value what a column of a type reads, [`rows`] of a record a row;
//! - [`writing`] writes rows in one transaction and finds those that the server refuses, [`progress`] keeps how far it got, in the same one;
//! - [`connector`] is what the host sees of it;
//! - [`client`] is all that touches the network.

pub mod client;
pub mod connector;
pub mod progress;
pub mod rows;
pub mod settings;
pub mod sql;
pub mod table;
pub mod value;
pub mod writing;

wharf_sdk::export_destination!(connector::Postgres, probe);
