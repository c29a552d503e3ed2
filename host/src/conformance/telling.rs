//! Tells a destination of its life, as the host would: before a session is opened, in instances that live no longer.

use std::sync::atomic::Ordering::Relaxed;

use super::{
    case::{Stop, failed},
    rig::Rig,
};
use crate::{
    connector::{LifeEvent, OpenError, Opening, settings::is_secret_setting},
    record::Failure,
    store::Told,
};

impl Rig {
    /// An event that was never told before. The settings from before an update are those of now, as the host keeps them: without secrets.
    pub(super) fn event(&self, what: Told) -> Result<LifeEvent, Stop> {
        let parameters = &self.connector()?.descriptor.parameters;
        let mut before = Vec::new();
        if what == Told::Updated {
            before = self.opening()?.settings.to_vec();
            before.retain(|(name, _)| !is_secret_setting(parameters, name));
        }
        Ok(LifeEvent { id: format!("{:032x}", fastrand::u128(..)), what, before })
    }

    /// Tells it, in an instance of its own.
    pub(super) async fn tell(&self, event: &LifeEvent, did: &str) -> Result<Result<(), Failure>, Stop> {
        self.tell_with(event, did, &self.opening()?).await
    }

    /// The same, with another opening.
    pub(super) async fn tell_with(&self, event: &LifeEvent, did: &str, opening: &Opening) -> Result<Result<(), Failure>, Stop> {
        let told = self.connector()?.tell(opening, event).await;
        self.created.store(event.what != Told::Deleted, Relaxed);
        match told {
            Ok(()) => Ok(Ok(())),
            Err(OpenError::Failed(failure)) => {
                self.hear(event.what.name(), &failure.message);
                Ok(Err(failure))
            }
            Err(error) => Err(failed(did, format!("an answer to `{}`", event.what.name()), error.to_string())),
        }
    }

    /// Tells it that it is there, where it wants to be told. What comes of that other cases say.
    pub(super) async fn be_created(&self) {
        if self.outline.offers("lifecycle")
            && let Ok(event) = self.event(Told::Created)
        {
            let _elsewhere = self.tell(&event, "").await;
        }
    }
}
