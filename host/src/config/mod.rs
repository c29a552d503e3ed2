//! The pipeline file as written: shape, defaults, `${VAR}`.
