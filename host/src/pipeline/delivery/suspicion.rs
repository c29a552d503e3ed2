//! Whose fault it is that instances end: a record's, or the connector's own.
//!
//! **Threat.** A connector that is broken, starved by a limit or cut off from its far side ends an instance at every record. Were each of
//! these records given up, the whole source would become dead letters. Were its instances started again without end, they would cost
//! more than the rest of the pipeline.
//! **Answer.** A record is found guilty only once another record comes through after it, or where others came before and none is left to ask.
//! Where [`CULPRITS`] records in a row are found and nothing comes through between them, it is the connector that is to blame: it is
//! quarantined, and these records are pending. Halving starts about as many instances as a batch has binary digits for each of them, so
//! that what a broken connector can cost is bounded; every other restart waits twice as long as the last.

use std::time::Duration;

use super::FIRST_WAIT;

/// How many records in a row may each end an instance before it is the connector that is to blame.
pub(in crate::pipeline) const CULPRITS: u32 = 5;

/// The longest wait before a fresh instance.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What is known of a destination's instances, over all of them in a run.
#[derive(Debug, Default)]
pub(crate) struct Suspicion {
    /// Whether any record came through.
    works: bool,
    /// How many instances ended since one came through.
    instances: u32,
    /// How often it was waited since.
    waits: u32,
    /// Of how many records in a row it was found, since, that they end an instance by themselves.
    culprits: u32,
}

impl Suspicion {
    /// A record came through: it was delivered, or answered for as rejected.
    pub fn came_through(&mut self) {
        *self = Self { works: true, ..Self::default() };
    }

    /// It was let alone for a while: those that it is tried with next are the first again.
    pub fn rested(&mut self) {
        *self = Self { works: self.works, ..Self::default() };
    }

    /// An instance ended.
    pub fn ended(&mut self) {
        self.instances += 1;
    }

    /// How many instances ended since a record came through.
    pub fn instances(&self) -> u32 {
        self.instances
    }

    /// How long to wait before a fresh instance: from one second, doubling as long as nothing comes through.
    pub fn wait(&mut self) -> Duration {
        self.waits += 1;
        FIRST_WAIT.saturating_mul(1 << (self.waits - 1).min(16)).min(LONGEST_WAIT)
    }

    /// A record was found to end an instance by itself. Gives how long to wait before the next one is tried, or `None` where it is
    /// the connector that is to blame.
    pub fn culprit(&mut self) -> Option<Duration> {
        self.culprits += 1;
        match self.culprits {
            CULPRITS.. => None,
            // It was halving that led here, and its other halves came through.
            1 if self.waits == 0 => Some(Duration::ZERO),
            _ => Some(self.wait()),
        }
    }

    /// Whether there are culprits after which nothing came through.
    pub fn pending(&self) -> bool {
        self.culprits > 0
    }

    /// Whether any record of this run came through.
    pub fn works(&self) -> bool {
        self.works
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(suspicion: &mut Suspicion) -> u64 {
        suspicion.wait().as_secs()
    }

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_once_a_record_comes_through() {
        let mut suspicion = Suspicion::default();
        let waits: Vec<u64> = (0..9).map(|_| seconds(&mut suspicion)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        suspicion.came_through();
        assert_eq!(seconds(&mut suspicion), 1);
        suspicion.waits = u32::MAX - 1;
        assert_eq!(seconds(&mut suspicion), 60);
    }

    #[test]
    fn the_connector_is_to_blame_where_nothing_comes_through_between_culprits() {
        let mut suspicion = Suspicion::default();
        for _ in 0..3 {
            assert!((1..CULPRITS).all(|_| suspicion.culprit().is_some()));
            suspicion.came_through();
        }
        assert!((1..CULPRITS).all(|_| suspicion.culprit().is_some()));
        assert_eq!(suspicion.culprit(), None);
    }
}
