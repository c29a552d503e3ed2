//! Giving records up that are in nobody's hands: by a person, by their age, or with their destination.
//!
//! **Threat.** One is given up that is on its way at that moment, so that it is delivered and a dead letter too; or the process ends in between. **Answer.** They
//! are reserved first, then dead letters, then discarded; what a process left reserved is recovered, and a dead letter that is written twice is one.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Selection, Settling, Spool, SpoolError};
use crate::{
    clock::Clock,
    store::{DeadLetter, Reason, StoreError},
};

/// Where records go that are given up. They are on disk when it returns; one that is written twice is one.
#[async_trait]
pub trait Letters: Send + Sync {
    /// Keeps dead letters: all or none.
    async fn give_up(&self, letters: Vec<DeadLetter>) -> Result<(), StoreError>;
}

/// Stretches that are given up at a time.
const AT_ONCE: u32 = 100;

/// Gives up what is selected and in nobody's hands, as dead letters of a destination, with that reason. Gives how many records that were.
///
/// # Errors
/// Where the spool fails, or dead letters cannot be kept; what is not a dead letter then is in the spool as it was.
pub async fn discard(
    spool: &dyn Spool,
    selection: &Selection,
    destination: &Arc<str>,
    reason: Arc<Reason>,
    clock: &Clock,
    letters: &dyn Letters,
) -> Result<u64, SpoolError> {
    let mut discarded = 0;
    loop {
        let now = clock.millis();
        let parts = spool.reserve(selection.clone(), AT_ONCE, now).await?;
        if parts.is_empty() {
            return Ok(discarded);
        }
        let at: Arc<str> = clock.rfc3339().into();
        let given = parts.iter().flat_map(|part| part.letters(destination.clone(), reason.clone(), at.clone())).collect();
        if let Err(error) = letters.give_up(given).await {
            let back = parts.iter().map(|part| (part.row, part.span)).collect();
            spool.give_back(back, now).await?;
            return Err(error.into());
        }
        let gone = Settling::Discarded(reason.message.clone());
        let settled = parts.iter().map(|part| (part.row, part.span, gone.clone())).collect();
        spool.settle(settled, now).await?;
        discarded += parts.iter().map(|part| u64::from(part.span.len())).sum::<u64>();
    }
}
