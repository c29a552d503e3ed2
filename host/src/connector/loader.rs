//! From a file to a component that has said who it is.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::{
    Connector, LoadError, Standing,
    binary::{self, Outline},
    descriptor::Descriptor,
    v0_1,
};
use crate::{
    clock::Clock,
    config::{Limits, Size},
    given_file,
    sandbox::{
        Compilations, Engine, EngineError, Host, Redactor, Scope,
        address::{Resolver, SystemResolver},
    },
};

/// Loads components; what all of them share.
#[derive(Clone)]
pub struct Loader {
    engine: Engine,
    clock: Clock,
    resolver: Arc<dyn Resolver>,
    v0_1: wasmtime::component::Linker<Host>,
}

impl Connector {
    /// What loads others in the way that this one was loaded.
    ///
    /// # Errors
    /// Where the engine does not offer what the host does.
    pub fn loader(&self) -> Result<Loader, EngineError> {
        Loader::new(self.engine.clone(), self.clock.clone())
    }
}

impl Loader {
    /// Loads with an engine; instances see the time of the clock.
    pub fn new(engine: Engine, clock: Clock) -> Result<Self, EngineError> {
        let v0_1 = v0_1::linker(&engine).map_err(EngineError::Start)?;
        Ok(Self { engine, clock, resolver: Arc::new(SystemResolver), v0_1 })
    }

    /// Has granted names looked up with another resolver than the system's.
    pub fn with_resolver(self, resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, ..self }
    }

    /// What looks up granted names.
    pub fn resolver(&self) -> &Arc<dyn Resolver> {
        &self.resolver
    }

    /// How components came by their code so far.
    pub fn compilations(&self) -> &Arc<Compilations> {
        self.engine.compilations()
    }

    /// The folder of compiled components, where there is one.
    pub fn compiled(&self) -> Option<&Path> {
        self.engine.compiled()
    }

    /// The clock that instances see.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Reads, checks, compiles and links a file, and asks it who it is, under the limits that hold where none are set.
    pub async fn load(&self, path: &Path) -> Result<Connector, LoadError> {
        self.load_within(path, Arc::new(Limits::default()), &Scope::default()).await
    }

    /// The same, under limits of the caller's, for whom the log names.
    pub async fn load_within(&self, path: &Path, limits: Arc<Limits>, scope: &Scope) -> Result<Connector, LoadError> {
        let prepared = self.prepare(path).await?;
        let mut documents = self.ask(&prepared, limits, scope, 1).await?;
        let document = documents.pop().unwrap_or_default();
        prepared.described(&document, self)
    }

    /// Asks a component who it is as often as `times` says, in one instance, and gives the documents as they came, beside the component itself
    /// or what is wrong with the first of them.
    ///
    /// # Errors
    /// Where the file is no component. One that ends its instance has said nothing.
    pub async fn ask_often(&self, path: &Path, times: u32) -> Result<Asked, LoadError> {
        let prepared = self.prepare(path).await?;
        let outline = prepared.outline.clone();
        let (documents, connector) = match self.ask(&prepared, Arc::new(Limits::default()), &Scope::default(), times).await {
            Ok(documents) => {
                let connector = prepared.described(documents.first().map_or("", String::as_str), self);
                (documents, connector)
            }
            Err(error) => (Vec::new(), Err(error)),
        };
        Ok(Asked { documents, outline, connector })
    }

    async fn prepare(&self, path: &Path) -> Result<Prepared, LoadError> {
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking({
            let (path, most) = (path.clone(), self.engine.process().component_size);
            move || read(path, most)
        });
        let read = read.await.map_err(|error| LoadError::Host { path: path.clone(), cause: error.to_string() })??;
        let Read { bytes, outline, digest } = read;
        let size = bytes.len() as u64;
        let compiled = self.engine.compile(&digest, bytes).await;
        let compiled = compiled.map_err(|cause| LoadError::Compile { path: path.clone(), cause })?;
        let component =
            v0_1::Component::link(&self.v0_1, &compiled).map_err(|cause| LoadError::Link { path: path.clone(), cause })?;
        Ok(Prepared { path, digest, size, outline, component })
    }

    async fn ask(&self, prepared: &Prepared, limits: Arc<Limits>, scope: &Scope, times: u32) -> Result<Vec<String>, LoadError> {
        let Prepared { path, outline, component, .. } = prepared;
        let scope = scope.before(path.display().to_string());
        let standing = Standing::bare(&self.engine, &self.clock, limits, scope, Redactor::default());
        let standing = standing.map_err(|error| LoadError::Host { path: path.clone(), cause: error.to_string() })?;
        let documents = component.describe(standing, outline, times).await;
        documents.map_err(|cause| LoadError::Describe { path: path.clone(), cause })
    }
}

/// A component that was loaded and asked who it is, whatever it said.
pub struct Asked {
    /// What it said, each time.
    pub documents: Vec<String>,
    /// Its imports, exports, and version of the contract.
    pub outline: Outline,
    /// The component, where the first of them can be read.
    pub connector: Result<Connector, LoadError>,
}

/// A component that was not asked yet.
struct Prepared {
    path: PathBuf,
    digest: String,
    size: u64,
    outline: Outline,
    component: v0_1::Component,
}

impl Prepared {
    fn described(self, document: &str, loader: &Loader) -> Result<Connector, LoadError> {
        let Self { path, digest, size, outline, component } = self;
        let descriptor = Descriptor::parse(document).map_err(|cause| LoadError::Descriptor { path: path.clone(), cause })?;
        let (engine, clock) = (loader.engine.clone(), loader.clock.clone());
        Ok(Connector { path, digest, size, outline, descriptor: descriptor.into(), component, engine, clock })
    }
}

/// A file that was read once: what was checked is what is compiled.
struct Read {
    bytes: Arc<[u8]>,
    outline: Outline,
    digest: String,
}

fn read(path: PathBuf, most: Size) -> Result<Read, LoadError> {
    let failed = |cause| LoadError::Read { path: path.clone(), cause };
    let opened = given_file::open(&path).map_err(failed)?;
    let found = opened.metadata().map_err(failed)?;
    if found.len() > most.bytes() {
        return Err(LoadError::TooLarge { path, size: found.len(), most });
    }
    let mut bytes = Vec::new();
    opened.take(most.bytes().saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most.bytes() {
        // It has grown meanwhile.
        return Err(LoadError::TooLarge { path, size: bytes.len() as u64, most });
    }
    let outline = binary::outline(&bytes).map_err(|cause| LoadError::NotAConnector { path: path.clone(), cause })?;
    let digest = hex(&Sha256::digest(&bytes));
    Ok(Read { bytes: bytes.into(), outline, digest })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
