//! What the whole of this room promises.
