//! JSON that is changed in its text: what is not touched stays byte for byte.
//!
//! Numbers keep all their digits and their spelling, strings their escapes, objects the order of their members. A document is checked
//! once from end to end; after that only the values on the way to a change are taken apart.
//!
//! ```
//! use wharf_json::{Json, Pointer};
//!
//! let pointer: Pointer = "/user/email".parse().unwrap();
//! let mut document = Json::parse(br#"{"id": 12345678901234567890.10, "user": {"email": "a@b", "n": 1e2}}"#).unwrap();
//! document.set(&pointer, Json::string("***")).unwrap();
//! assert_eq!(document.to_string(), r#"{"id":12345678901234567890.10,"user":{"email":"***","n":1e2}}"#);
//! ```
//!
//! A member that is named twice is there twice; it is found with its last value, as most readers have it, and removed with both.

mod number;
mod parts;
mod pointer;
mod scan;
mod template;
mod text;
mod value;

pub use number::compare;
pub use parts::{Part, change_each, parse, pointer, pointers};
pub use pointer::{Pointer, PointerError};
pub use scan::{Fault, plain};
pub use template::{Makes, Source, Template, percent_encode};
pub use text::{escape, unescape};
pub use value::{Json, Kind, Name, Unset};
