//! What spools are owed: follow-ups of records that are written as they come, whose outcome is in the store.
//!
//! The store keeps what is owed until the spool has it on disk. A process that ends in between finds it in the store once more, and the spool, which forgets a promise with
//! what was born of it, makes nothing of it a second time.

use crate::{
    bulk::BulkError,
    clock::Clock,
    store::{Owed, SqliteStore, spool::Spool},
};

/// How much is read at once.
const MOST: u32 = 1000;

/// Puts what is owed to the spool of a destination, by pipeline and id, into it.
pub(super) async fn pay(
    store: &SqliteStore,
    spool: &dyn Spool,
    (pipeline, destination): (&str, &str),
    clock: &Clock,
) -> Result<(), BulkError> {
    while let Some((last, owed)) = store.owed(pipeline, destination, MOST).await? {
        let promises = owed.into_iter().map(|Owed { promise, born, .. }| (promise, born)).collect();
        spool.bear(promises, clock.millis()).await?;
        store.paid(pipeline, destination, last).await?;
    }
    Ok(())
}
