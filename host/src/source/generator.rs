//! Records out of nothing, the same each time.

use std::{io::Write, num::NonZeroU64, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Checkpoints, Cut, Cuts, Portion, Source, SourceError, building::Building, pace::Pace};
use crate::{
    clock::Clock,
    record::{NewRecord, NoRoom, Operation, Value},
};

/// From so many bytes on a record is JSON: an index of any length fits then.
const JSON_BYTES: usize = 40;

/// Which records to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratorOptions {
    /// How many in all, over all runs.
    pub count: u64,
    /// Bytes of each: a JSON object from 40 on, else digits and letters. 256 MiB at most.
    pub size: usize,
    /// So many records a second at most.
    pub rate: Option<NonZeroU64>,
    /// Another seed makes other records, of another partition.
    pub seed: u64,
    /// How many entities they tell of, in turn; each record creates one of its own where it is not said.
    pub entities: Option<NonZeroU64>,
    /// When a batch is cut.
    pub cut: Cut,
}

/// Makes records that depend on nothing but seed, size and index.
///
/// The partition is `generator-<seed>-<size>`, a record's sequence its index, and its key the index in decimal. With `entities` the partition
/// is `generator-<seed>-<size>-<entities>`, and record `n` tells of entity `n` modulo their number, which is its key: the first creates
/// it, two more update it, the next deletes it, and then it is created again. A later run may have a larger count and goes on where the
/// one before ended.
#[derive(Debug)]
pub struct GeneratorSource {
    options: GeneratorOptions,
    pipeline: String,
    partition: Arc<str>,
    next: u64,
    building: Building,
    pace: Pace,
    clock: Clock,
    content_type: &'static str,
    /// The index in decimal.
    digits: Vec<u8>,
    /// The number of an entity in decimal, and what it became.
    entity: (Vec<u8>, Vec<u8>),
}

impl GeneratorSource {
    /// Makes what the options say, from the checkpoint on.
    pub fn new(mut options: GeneratorOptions, pipeline: &str, checkpoints: &Checkpoints, clock: Clock) -> Self {
        options.size = options.size.min(256 << 20);
        let mut partition = format!("generator-{}-{}", options.seed, options.size);
        if let Some(entities) = options.entities {
            partition += &format!("-{entities}");
        }
        let content_type = if options.size < JSON_BYTES { "text/plain" } else { "application/json" };
        Self {
            next: checkpoints.get(&partition).copied().unwrap_or(0),
            partition: partition.into(),
            pipeline: pipeline.to_owned(),
            building: Building::new(&options.cut, true, Some(content_type)),
            pace: Pace::new(options.rate),
            clock,
            content_type,
            digits: Vec::with_capacity(20),
            entity: (Vec::new(), Vec::new()),
            options,
        }
    }

    /// Makes the portions again that were cut so.
    #[must_use]
    pub fn cut_as(mut self, mut cuts: Cuts) -> Self {
        self.building.end_at(cuts.remove(&*self.partition).unwrap_or_default());
        self
    }

    /// Makes the next record.
    fn make(&mut self, now: Duration) -> Result<(), NoRoom> {
        let Self { options, building, next, content_type, digits, entity: (number, value), .. } = self;
        let mut letters = Letters::new(options.seed, *next);
        let Some(entities) = options.entities else {
            building.push_with(now, *next, Some(digits), |data| write_record(data, digits, options.size, &mut letters))?;
            return Ok(());
        };
        let operation = match (*next / entities) % 4 {
            0 => Operation::Create,
            1 | 2 => Operation::Update,
            _ => Operation::Delete,
        };
        number.clear();
        // Writing to a vector does not fail.
        write!(number, "{}", *next % entities).ok();
        value.clear();
        if operation != Operation::Delete {
            write_record(value, digits, options.size, &mut letters);
        }
        let after = (operation != Operation::Delete).then_some(Value { bytes: value, content_type: Some(content_type) });
        let key = Some(Value { bytes: number, content_type: None });
        building.push_record(
            now,
            &NewRecord { sequence: *next, operation, after, key, ..NewRecord::default() },
            std::iter::empty(),
        )
    }

    fn cut(&mut self) -> Option<Portion> {
        self.building.finish(&self.pipeline, &self.partition, &self.partition, self.next)
    }
}

#[async_trait]
impl Source for GeneratorSource {
    async fn read(&mut self) -> Result<Option<Portion>, SourceError> {
        loop {
            let now = self.clock.elapsed();
            self.pace.refill(now);
            if self.building.due().is_some_and(|due| due <= now) {
                return Ok(self.cut());
            }
            loop {
                if self.next >= self.options.count || self.building.ends_at(self.next) || self.building.is_full() {
                    return Ok(self.cut());
                }
                self.digits.clear();
                // Writing to a vector does not fail.
                write!(self.digits, "{}", self.next).ok();
                let (digits, size) = (&self.digits, self.options.size);
                if !self.building.has_room(size + digits.len()) {
                    return Ok(self.cut());
                }
                if !self.pace.take() {
                    break;
                }
                if let Err(cause) = self.make(now) {
                    let reason = format!("record {}: {cause}", self.next);
                    return Err(SourceError::Format { path: self.partition.to_string(), reason });
                }
                self.next += 1;
            }
            let next = self.pace.next(now);
            let until = self.building.due().map_or(next, |due| due.min(next));
            self.clock.sleep(until.saturating_sub(now)).await;
        }
    }

    fn rereads(&self) -> bool {
        true
    }
}

/// Appends exactly `size` bytes.
fn write_record(data: &mut Vec<u8>, digits: &[u8], size: usize, letters: &mut Letters) {
    let end = data.len() + size;
    if size < JSON_BYTES {
        data.extend_from_slice(&digits[digits.len().saturating_sub(size)..]);
        letters.fill(data, end);
        return;
    }
    for piece in [b"{\"n\":", digits, b",\"pad\":\""] {
        data.extend_from_slice(piece);
    }
    letters.fill(data, end - 2);
    data.extend_from_slice(b"\"}");
}

/// Letters that look like any others: wyrand (Wang Yi), four bits a letter, sixteen letters at a time. Whoever measures a destination
/// with these records does not want to measure how they are made.
struct Letters(u64);

impl Letters {
    fn new(seed: u64, index: u64) -> Self {
        let mut letters = Self(seed);
        let seed = letters.next();
        Self(seed ^ index.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0xa076_1d64_78bd_642f);
        let product = u128::from(self.0) * u128::from(self.0 ^ 0xe703_7ed1_a0b4_28db);
        (product >> 64) as u64 ^ product as u64
    }

    /// From `a` to `p`.
    fn sixteen(&mut self) -> [u8; 16] {
        let bits = self.next();
        let [low, high] = [bits, bits >> 4].map(|bits| (bits & 0x0f0f_0f0f_0f0f_0f0f) + 0x6161_6161_6161_6161);
        (u128::from(low) | u128::from(high) << 64).to_le_bytes()
    }

    /// Appends letters up to `end` bytes.
    fn fill(&mut self, data: &mut Vec<u8>, end: usize) {
        let start = data.len();
        data.resize(end.max(start), 0);
        let (whole, rest) = data[start..].as_chunks_mut();
        for letters in whole {
            *letters = self.sixteen();
        }
        let letters = self.sixteen();
        rest.copy_from_slice(&letters[..rest.len()]);
    }
}
