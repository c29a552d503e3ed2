//! Telling a destination of its life: that a pipeline gained, changed or lost it.
//!
//! Each event has an id that is on disk before it is told, and is told until the destination has answered: a host that is killed in between tells it again, with the same
//! id. It is told before a session is opened, within the destination's grants and limits, in an instance that lives no longer. Where the settings changed while an event was not
//! answered for, that event is told to its end first, and the change behind it.

use std::{io, path::PathBuf, sync::Arc};

use tokio::sync::Mutex;

use super::{Connector, OpenError, Opening, Standing, settings};
use crate::{
    record::{Failure, FailureKind},
    sandbox::Host,
    store::{Due, KeptSettings, Notes, Told},
};

/// Where it is noted what one destination was told. Clones are of the same one.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    path: Arc<PathBuf>,
    /// Whether it was told all there is in this run.
    done: Arc<Mutex<bool>>,
}

/// Something that a destination is told, as the contract has it.
#[derive(Clone, Debug)]
pub struct LifeEvent {
    /// The same each time that it is told.
    pub id: String,
    /// What it is.
    pub what: Told,
    /// The settings from before, without secrets; of an update.
    pub before: Vec<(String, String)>,
}

impl Lifecycle {
    /// Notes are in this file.
    pub fn new(path: PathBuf) -> Self {
        Self { path: Arc::new(path), done: Arc::default() }
    }

    /// Tells that it is there, with its settings as they are, where that was not told.
    ///
    /// # Errors
    /// Where the destination fails, its instance ends, or it cannot be noted.
    pub async fn is_there(&self, connector: &Connector, opening: &Opening) -> Result<(), OpenError> {
        self.tell(connector, opening, true).await
    }

    /// Tells that it is deleted, where it was told that it is there.
    ///
    /// # Errors
    /// As [`Lifecycle::is_there`].
    pub async fn is_gone(&self, connector: &Connector, opening: &Opening) -> Result<(), OpenError> {
        self.tell(connector, opening, false).await
    }

    async fn tell(&self, connector: &Connector, opening: &Opening, is_there: bool) -> Result<(), OpenError> {
        if !connector.is_told_of_its_life() {
            return Ok(());
        }
        let mut done = self.done.lock().await;
        if *done {
            return Ok(());
        }
        let mut notes = self.read().await?;
        loop {
            if let Some(due) = notes.due.clone() {
                let before = match (&notes.known, due.what) {
                    (Some(known), Told::Updated) => known.settings.clone(),
                    _ => Vec::new(),
                };
                let event = LifeEvent { id: due.event, what: due.what, before };
                connector.tell(opening, &event).await?;
                tracing::debug!(destination = opening.scope.destination(), event = event.id, "told: {:?}", event.what);
                notes = Notes { known: (due.what != Told::Deleted).then_some(due.after), due: None, ..notes };
                self.write(&notes).await?;
            }
            let after = kept(connector, opening, notes.known.as_ref().map(|known| known.salt.as_str()));
            let what = match &notes.known {
                None if is_there => Told::Created,
                Some(_) if !is_there => Told::Deleted,
                Some(known) if *known != after => Told::Updated,
                _ => break,
            };
            notes.due = Some(Due { event: format!("{:032x}", fastrand::u128(..)), what, after });
            self.write(&notes).await?;
        }
        *done = true;
        Ok(())
    }

    async fn read(&self) -> Result<Notes, OpenError> {
        let path = self.path.clone();
        self.done(tokio::task::spawn_blocking(move || Notes::read(&path)).await, "read")
    }

    async fn write(&self, notes: &Notes) -> Result<(), OpenError> {
        let (path, notes) = (self.path.clone(), notes.clone());
        self.done(tokio::task::spawn_blocking(move || notes.write(&path)).await, "write")
    }

    /// What cannot be noted now may be later; nothing is told that is not noted.
    fn done<T>(&self, done: Result<io::Result<T>, tokio::task::JoinError>, doing: &str) -> Result<T, OpenError> {
        done.map_err(io::Error::other).and_then(|done| done).map_err(|error| {
            let message = format!("cannot {doing} what it was told of its life, {}: {error}", self.path.display());
            OpenError::Failed(Failure { kind: FailureKind::Transient, message, code: None, retry_after: None })
        })
    }
}

/// What is kept of the settings that a destination is opened with. A secret that stands within another setting is taken out of it.
fn kept(connector: &Connector, opening: &Opening, salt: Option<&str>) -> KeptSettings {
    let parameters = &connector.descriptor.parameters;
    let (secret, open): (Vec<_>, Vec<_>) =
        opening.settings.iter().partition(|(name, _)| settings::is_secret_setting(parameters, name));
    let redactor = &opening.grants.redactor;
    let open = open.into_iter().map(|(name, value)| (name.clone(), redactor.text(value).into_owned())).collect();
    let secret: Vec<_> = secret.into_iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    KeptSettings::new(open, &secret, salt, opening.scope.answer("api-version"))
}

impl Connector {
    /// Whether it wants to be told of its life.
    pub fn is_told_of_its_life(&self) -> bool {
        self.outline.offers("lifecycle")
    }

    /// Tells it of its life, in an instance with its grants that lives no longer.
    ///
    /// # Errors
    /// Where it fails, or its instance ends.
    pub async fn tell(&self, opening: &Opening, event: &LifeEvent) -> Result<(), OpenError> {
        let Opening { settings, grants, limits, scope, usage, .. } = opening;
        let host = Host::new(scope.clone(), limits, grants, usage.clone(), &self.clock)?;
        let standing = Standing { engine: &self.engine, host, limits: limits.clone() };
        self.component.tell(standing, event, settings).await?.map_err(|failure| {
            let message = format!("{}: {}", event.what.name(), failure.message);
            OpenError::Failed(Failure { message, ..failure })
        })
    }
}
