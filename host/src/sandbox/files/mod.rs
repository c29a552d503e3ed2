//! Files: the host's own layer over `wasi:filesystem`.
//!
//! What opens, makes, moves, removes or lengthens anything is done here, each by the kernel's own confinement (`beneath`); what only
//! looks is left to wasmtime-wasi, which confines paths as well.
//!
//! | what | where |
//! | --- | --- |
//! | paths that lead out, links that are swapped | `beneath` |
//! | FIFOs, devices, sockets | `open` |
//! | links made to outside, deep directories, one grant's files moved into another's | `names` |
//! | more bytes or names than there is room for | `quota`, `measure`, `writer` |
//! | huge directories | `listing` |
//! | threads that wait for a slow disk | `slots` |
//! | what is left behind | [`scratch`] |
//!
//! Every refusal is counted and told (`refusals`).

mod beneath;
mod layer;
mod listing;
mod measure;
mod names;
mod open;
mod quota;
mod refusals;
mod root;
pub mod scratch;
mod slots;
#[cfg(test)]
mod tests;
mod writer;

use std::{collections::HashMap, io, path::Path, sync::Arc};

pub use layer::Layer;
pub use quota::NAME;
pub(super) use root::{Root, Tree};

use wasmtime::component::Linker;
use wasmtime_wasi::p2::bindings::filesystem;

use self::{layer::Layered, quota::Held, refusals::Refusals, scratch::Scratch, writer::Writing};
use super::{Host, log::Log};

/// What the host keeps of one instance's files.
pub struct Files {
    /// In the order in which the component sees them.
    roots: Vec<Arc<Root>>,
    /// By the number of a descriptor, for as long as the component has it.
    places: HashMap<u32, Place>,
    writing: Writing,
    /// Gone with the instance.
    _scratch: Option<Scratch>,
}

/// Where a descriptor belongs.
struct Place {
    root: Arc<Root>,
    held: Option<Arc<Held>>,
}

impl Files {
    pub(super) fn new(roots: Vec<Root>, scratch: Option<Scratch>, log: Log) -> Self {
        let writing = Writing::new(Refusals::new(log));
        Self { roots: roots.into_iter().map(Arc::new).collect(), places: HashMap::new(), writing, _scratch: scratch }
    }
}

/// Lays this over what wasmtime-wasi brings.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    filesystem::types::add_to_linker::<Host, Layered>(linker, Host::files)?;
    filesystem::preopens::add_to_linker::<Host, Layered>(linker, Host::files)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Whether paths can be confined here.
pub(super) fn supported() -> io::Result<()> {
    beneath::supported()
}

/// Opens a directory of the host by its real path.
pub(super) fn open_real(path: &Path) -> io::Result<std::fs::File> {
    beneath::open_real(path)
}
