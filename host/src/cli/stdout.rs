//! Standard output: lines for a person, or one document for a program.

use std::{
    io::{ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use serde_json::Value;

use super::{SETTLED, STOPPED};

/// Whether something that was to be printed is not.
static UNWRITTEN: AtomicBool = AtomicBool::new(false);

/// Notes what came of writing to standard output, and says where it failed. Whoever closed it does not want the rest.
pub fn written(done: std::io::Result<()>) {
    match done {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            UNWRITTEN.store(true, Relaxed);
            let _closed = writeln!(std::io::stderr(), "error: cannot write to standard output: {error}");
        }
        _ => {}
    }
}

/// The exit code where all that was to be printed was: what is cut short is no success.
pub fn exit(code: u8) -> u8 {
    if UNWRITTEN.load(Relaxed) && code == SETTLED { STOPPED } else { code }
}

/// Prints lines on standard output.
pub fn text(text: &str) {
    let mut to = std::io::stdout().lock();
    written(to.write_all(text.as_bytes()).and_then(|()| to.flush()));
}

/// Prints a document on standard output. Whoever closed it does not want it.
pub fn document(document: &Value) {
    text(&format!("{document:#}\n"));
}
