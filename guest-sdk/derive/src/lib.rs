//! Macros of `wharf-sdk`.
