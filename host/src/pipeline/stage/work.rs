//! Records that one processor is still to be given.

use crate::record::Batch;

/// Records that one processor is still to be given.
pub(super) struct Work {
    pub batch: Batch,
    pub sent: u32,
    pub attempts: u32,
    pub ends: u32,
}

impl Work {
    /// Its halves, cut where a sequence begins; `None` where it is of one sequence.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let count = self.batch.count();
        let middle = match self.batch.sequence_start(count / 2) {
            0 => {
                let first = self.batch.sequences()[0];
                self.batch.sequences().partition_point(|sequence| *sequence <= first) as u32
            }
            middle => middle,
        };
        let part = |range| Self { batch: self.batch.slice(range), sent: self.sent, attempts: self.attempts, ends: self.ends };
        (0 < middle && middle < count).then(|| [part(0..middle), part(middle..count)])
    }
}
