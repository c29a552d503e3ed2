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
mod error;
mod lifecycle;
mod loader;
mod processor;
pub mod settings;
mod v0_1;

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use crate::{
    clock::Clock,
    config::Limits,
    record::{Batch, Breach, Failure, FollowUps, Run},
    sandbox::{DirectoryError, Ended, Engine, Grants, Host, Redactor, Scope, Usage},
};

use self::{
    binary::Outline,
    descriptor::Descriptor,
    settings::{Given, Problem},
};

pub use self::bulk::{BulkSession, BulkTrouble, UploadContext};
pub use self::error::{LoadError, Loading, OpenError, ProbeError};
pub use self::lifecycle::{LifeEvent, Lifecycle};
pub use self::loader::{Asked, Loader};
pub use self::processor::{ProcessTrouble, Processor, ProcessorSession};

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
