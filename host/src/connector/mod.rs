//! A loaded component and its life.
//!
//! A file is read, its outline checked, compiled (or its code taken from the cache), linked, and asked who it is in an instance that is
//! granted nothing. A session then is one instance with grants: opened, written to, closed. What a connector says is held against
//! the contract here; nothing outside sees the contract's generated types, of which there is a folder for each version served.
//!
//! Who comes from Conduit: its *Configure* is [`Connector::check`] and [`Connector::open`] here, its *Teardown* is [`Session::close`].

pub mod binary;
mod bulk;
pub mod descriptor;
mod lifecycle;
mod processor;
pub mod settings;
mod v0_1;

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    clock::Clock,
    config::{Limits, Size},
    given_file,
    record::{Batch, Breach, Failure, FollowUps, Run},
    sandbox::{
        Compilations, DirectoryError, Ended, Engine, EngineError, Grants, Host, Redactor, Scope, Usage,
        address::{Resolver, SystemResolver},
        output::told,
    },
};

use self::{
    binary::{NotAConnector, Outline},
    descriptor::{Descriptor, DescriptorError},
    settings::{Given, Problem},
};

pub use self::bulk::{BulkSession, BulkTrouble, UploadContext};
pub use self::lifecycle::{LifeEvent, Lifecycle};
pub use self::processor::{ProcessTrouble, Processor, ProcessorSession};

/// Loads components; what all of them share.
#[derive(Clone)]
pub struct Loader {
    engine: Engine,
    clock: Clock,
    resolver: Arc<dyn Resolver>,
    v0_1: wasmtime::component::Linker<Host>,
}

/// A component that was loaded and has said who it is.
#[derive(Clone)]
pub struct Connector {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the file, in hexadecimal digits.
    pub digest: String,
    /// Bytes of the file.
    pub size: u64,
    /// Its imports, exports, and version of the contract.
    pub outline: Outline,
    /// What it said of itself.
    pub descriptor: Arc<Descriptor>,
    component: v0_1::Component,
    engine: Engine,
    clock: Clock,
}

/// What an instance stands on.
pub struct Standing<'a> {
    engine: &'a Engine,
    host: Host,
    limits: Arc<Limits>,
}

/// What a session is opened with. By default: no settings, no grants, the usual limits, nobody's.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Settings, checked and with defaults filled in.
    pub settings: Vec<(String, String)>,
    /// What it may reach.
    pub grants: Grants,
    /// What it may use.
    pub limits: Arc<Limits>,
    /// Whom it works for: what `context` answers.
    pub scope: Scope,
    /// Counts what it uses and tries.
    pub usage: Arc<Usage>,
    /// Where it is noted what it was told of its life; `None` for one that is not told.
    pub lifecycle: Option<Lifecycle>,
}

impl Opening {
    /// The same for one of several instances that work side by side.
    #[must_use]
    pub fn for_lane(&self, lane: u32, lanes: u32) -> Self {
        let scope = self.scope.with([("instance", lane.to_string()), ("instances", lanes.to_string())]);
        Self { scope, ..self.clone() }
    }
}

/// A session of a destination. After a trouble that ended it, every call fails: open another.
pub struct Session {
    inner: v0_1::Session,
    title: Arc<str>,
}

/// How much memory is left to an instance, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// At its start: the limit without what it is made of. Nothing larger can be handed to it.
    pub most: u64,
    /// Once its session was open: what is left for records, where it gives back what it takes for them.
    pub usual: u64,
}

/// What became of records handed over: a run for every one, and what else there is to say.
#[derive(Debug)]
pub struct Answer {
    /// Fates of all records of the batch, in order and without a gap.
    pub runs: Vec<Run>,
    /// Why the call did not come out as it should.
    pub trouble: Option<Trouble>,
}

/// Why a call of `write` did not come out as it should.
#[derive(Debug)]
pub enum Trouble {
    /// The connector failed as a whole.
    Failed(Arc<Failure>),
    /// Its receipt breaks the contract.
    Breach(Breach),
    /// Its instance is gone.
    Ended(Ended),
}

/// Why a component could not be asked something.
#[derive(Debug, Error)]
pub enum Loading {
    /// It ended its instance.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// It lacks an export, or has it in another shape.
    #[error("does not export what the contract names, as it names it: {}", told(.0))]
    Exports(wasmtime::Error),
    /// It has ended before.
    #[error("its instance is gone")]
    Gone,
}

/// Why a session could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The connector said why.
    #[error("open failed: {0}")]
    Failed(Failure),
    /// The connector was asked before whether its far side is there, and said why it is not.
    #[error("the far side is not there: {0}")]
    Unreachable(Failure),
    /// The component could not be asked.
    #[error(transparent)]
    Loading(#[from] Loading),
    /// A granted directory is gone.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Why a far side is not known to be there.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The connector says that it is not, and why.
    #[error("{0}")]
    Failed(Failure),
    /// The component could not be asked.
    #[error(transparent)]
    Loading(#[from] Loading),
    /// A granted directory is gone.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl From<ProbeError> for OpenError {
    /// A session that is not worth opening, or could not be.
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Failed(failure) => Self::Unreachable(failure),
            ProbeError::Loading(loading) => Self::Loading(loading),
            ProbeError::Directory(directory) => Self::Directory(directory),
        }
    }
}

impl From<Ended> for OpenError {
    fn from(ended: Ended) -> Self {
        Self::Loading(ended.into())
    }
}

/// Why a file is not a connector that can be run. Every message names the file.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the component {}: {cause}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What came back.
        cause: io::Error,
    },
    /// It is larger than any component should be.
    #[error("{} has {size} bytes, and a component may have {most} (process.component-size)", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Its bytes.
        size: u64,
        /// How large it may be.
        most: Size,
    },
    /// It is something else.
    #[error("{} {cause}", path.display())]
    NotAConnector {
        /// Which.
        path: PathBuf,
        /// What it is.
        cause: NotAConnector,
    },
    /// It is not valid, or uses what this host does not offer.
    #[error("{} cannot be compiled: {cause}", path.display())]
    Compile {
        /// Which.
        path: PathBuf,
        /// What came back.
        cause: EngineError,
    },
    /// It imports what this host does not offer, or in another shape.
    #[error("{} cannot be linked: {}", path.display(), told(cause))]
    Link {
        /// Which.
        path: PathBuf,
        /// What came back.
        cause: wasmtime::Error,
    },
    /// It could not say who it is.
    #[error("{}: {cause}", path.display())]
    Describe {
        /// Which.
        path: PathBuf,
        /// What came back.
        cause: Loading,
    },
    /// What it says of itself makes no sense.
    #[error("{}: {cause}", path.display())]
    Descriptor {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        cause: DescriptorError,
    },
    /// The host itself failed.
    #[error("cannot load {}: {cause}", path.display())]
    Host {
        /// Which.
        path: PathBuf,
        /// What came back.
        cause: String,
    },
}

impl LoadError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { cause, .. } if cause.kind() == io::ErrorKind::NotFound => {
                Some("build the component first, or correct the path".into())
            }
            Self::Read { .. } | Self::Host { .. } => None,
            Self::TooLarge { .. } => {
                Some("strip it of debugging information, or raise process.component-size in the pipeline file".into())
            }
            Self::NotAConnector { cause, .. } => Some(cause.hint().into()),
            Self::Compile { cause: EngineError::Compile(cause), .. } => Some(cause.hint().into()),
            Self::Compile { .. } => None,
            Self::Link { .. } => Some("build it against the contract of this host and WASI 0.2".into()),
            Self::Describe { cause: Loading::Ended(ended), .. } if ended.reason.is_limit() => {
                Some("raise that limit, or ask the connector's author".into())
            }
            Self::Describe { .. } | Self::Descriptor { .. } => {
                Some("ask the connector's author; `describe` has to work without any grant".into())
            }
        }
    }
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

impl<'a> Standing<'a> {
    /// Without any grant; what it says is searched for secrets all the same.
    fn bare(
        engine: &'a Engine,
        clock: &Clock,
        limits: Arc<Limits>,
        scope: Scope,
        redactor: Redactor,
    ) -> Result<Self, DirectoryError> {
        let grants = Grants { redactor, ..Grants::default() };
        let host = Host::new(scope, &limits, &grants, Arc::default(), clock)?;
        Ok(Self { engine, host, limits })
    }
}

impl Connector {
    /// Name and version, as errors begin.
    pub fn title(&self) -> String {
        self.descriptor.title()
    }

    /// What is wrong with settings: against what the connector declares, and then by its own word, in an instance that is granted nothing.
    /// Gives the settings with defaults filled in. Of the scope only the log hears.
    pub async fn check(
        &self,
        given: &BTreeMap<String, Given>,
        limits: &Arc<Limits>,
        scope: &Scope,
    ) -> Result<Result<Vec<(String, String)>, Vec<Problem>>, OpenError> {
        let settings = match settings::complete(&self.descriptor.parameters, given) {
            Ok(settings) => settings,
            Err(problems) => return Ok(Err(problems)),
        };
        // The connector's own words may hold what it was given.
        let redactor = Redactor::new(settings::secrets(&self.descriptor.parameters, given));
        let standing = Standing::bare(&self.engine, &self.clock, limits.clone(), scope.before(self.title()), redactor)?;
        let problems = self.component.check(standing, &settings).await?;
        Ok(if problems.is_empty() { Ok(settings) } else { Err(problems) })
    }

    /// Whether it can be asked if its far side is there.
    pub fn can_be_probed(&self) -> bool {
        self.outline.offers("probe")
    }

    /// Asks whether the far side is there and takes the credentials, in an instance with its grants that lives no longer. `None` where the
    /// component cannot be asked.
    ///
    /// # Errors
    /// Where the far side is not there, or the component ended its instance.
    pub async fn probe(&self, opening: &Opening) -> Option<Result<(), ProbeError>> {
        if !self.can_be_probed() {
            return None;
        }
        let Opening { settings, grants, limits, scope, usage, .. } = opening;
        let host = match Host::new(scope.clone(), limits, grants, usage.clone(), &self.clock) {
            Ok(host) => host,
            Err(error) => return Some(Err(error.into())),
        };
        let standing = Standing { engine: &self.engine, host, limits: limits.clone() };
        Some(match self.component.probe(standing, settings).await {
            Ok(answer) => answer.map_err(ProbeError::Failed),
            Err(error) => Err(error.into()),
        })
    }

    /// The names of its actions, by index.
    fn actions(&self) -> Arc<[Arc<str>]> {
        self.descriptor.actions.iter().map(|action| action.name.as_str().into()).collect()
    }

    /// Tells it of its life where that is due, which goes before any session of it.
    ///
    /// # Errors
    /// Where it fails, its instance ends, or it cannot be noted what it was told.
    pub async fn announce(&self, opening: &Opening) -> Result<(), OpenError> {
        match &opening.lifecycle {
            Some(lifecycle) => lifecycle.is_there(self, opening).await,
            None => Ok(()),
        }
    }

    /// Starts an instance with its grants and opens a session in it.
    pub async fn open(&self, opening: &Opening) -> Result<Session, OpenError> {
        self.announce(opening).await?;
        let Opening { settings, grants, limits, scope, usage, .. } = opening;
        let mut host = Host::new(scope.clone(), limits, grants, usage.clone(), &self.clock)?;
        host.actions = self.actions();
        let standing = Standing { engine: &self.engine, host, limits: limits.clone() };
        let inner = v0_1::Session::open(&self.component, standing, settings).await?;
        Ok(Session { inner, title: self.title().into() })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("path", &self.path).field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Session {
    /// Name and version of the connector.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Hands over a batch or a part of one. `attempt` is 1 on the first delivery and one more on each that follows.
    pub async fn write(&mut self, batch: &Batch, attempt: u32) -> Answer {
        self.write_to(0, batch, attempt).await
    }

    /// The same for the action with that index into the descriptor's.
    pub async fn write_to(&mut self, action: u32, batch: &Batch, attempt: u32) -> Answer {
        self.inner.write(batch, action, attempt).await
    }

    /// From here on follow-ups are taken in `write`; whoever says so keeps them ([`take_follow_ups`](Self::take_follow_ups)). Without it they are not granted.
    #[must_use]
    pub fn taking_follow_ups(mut self) -> Self {
        self.inner.take_follow_ups_in_write();
        self
    }

    /// The follow-ups that the last call of `write` added; none where it failed, or broke the contract.
    pub fn take_follow_ups(&mut self) -> Vec<FollowUps> {
        self.inner.take_follow_ups()
    }

    /// Why follow-ups were not taken, as the component was told, since this was last asked: the first few.
    pub fn take_refused_follow_ups(&mut self) -> Vec<String> {
        self.inner.take_refused_follow_ups()
    }

    /// Tells that these cuts are settled and will not be asked for again.
    pub async fn ack(&mut self, batches: &[&str]) -> Result<(), Ended> {
        self.inner.ack(batches).await
    }

    /// Brings the session to an end, and its instance with it.
    pub async fn close(self) -> Result<Result<(), Failure>, Ended> {
        self.inner.close().await
    }

    /// How much memory is left to the instance for records.
    pub fn room(&self) -> Room {
        self.inner.room()
    }

    /// The most memory that the instance held so far, in bytes.
    pub fn memory_peak(&self) -> u64 {
        self.inner.memory_peak()
    }
}
