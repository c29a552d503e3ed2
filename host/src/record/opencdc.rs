//! Names of OpenCDC's standard metadata that the host itself reads or writes, as Conduit has them.

/// Version of the record's format.
pub const VERSION: &str = "opencdc.version";

/// The version that is written where a record names none.
pub const VERSION_1: &str = "v1";

/// The collection that the entity is of, such as a table.
pub const COLLECTION: &str = "opencdc.collection";

/// When the entity was changed, in nanoseconds since 1970.
pub const CREATED_AT: &str = "opencdc.createdAt";

/// When the record was read from where it first stood, in nanoseconds since 1970.
pub const READ_AT: &str = "opencdc.readAt";

/// The position that a record brought along, in base64. OpenCDC has it beside the metadata and not among them, and so has each document
/// that is read or written.
pub const POSITION: &str = "opencdc.position";
