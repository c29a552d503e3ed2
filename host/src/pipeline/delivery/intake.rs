//! What a lane takes in: its share of each portion, in the shape that the connector gets.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{
    DestinationError, Lane, Left,
    account::{Account, Times},
    letter::Why,
    parts::Part,
    share,
};
use crate::{
    pipeline::{Delivery, stage::Handed},
    record::{Outcome, Span, Verdict, format::shape},
};

impl Lane {
    /// Takes in what has come and there is room for.
    pub(super) fn take_in(&mut self, more: &mut bool, window: usize) -> Result<(), Left> {
        while *more && self.accounts.len() < window {
            match self.inlet.portions.try_recv() {
                Ok(handed) => self.take(handed)?,
                Err(mpsc::error::TryRecvError::Disconnected) => *more = false,
                Err(mpsc::error::TryRecvError::Empty) => break,
            }
        }
        Ok(())
    }

    pub(super) fn take(&mut self, handed: Handed) -> Result<(), Left> {
        let Handed { number, portion, letters, partly, read_at } = handed;
        let derived = !partly.is_empty() || portion.batch.as_ref().is_some_and(|batch| !batch.ordinals().is_empty());
        let Delivery { lanes, ordered, .. } = *self.outlet.delivery;
        let own = |batch| share::share(&self.progress.pipeline, batch, number, (self.which.lane, lanes), ordered);
        let batch =
            portion.batch.as_ref().map(own).transpose().map_err(|full| DestinationError::Worker(full.to_string()))?.flatten();
        let batch = batch.map(Arc::new);
        self.judged_at = None;
        let times = Times { read: read_at, taken: self.clock.elapsed() };
        self.accounts.push_back(Account::new((number, portion), batch.clone(), letters, derived, times));
        self.notes_oldest();
        let Some(batch) = batch else { return Ok(()) };
        let shaped = shape(&batch, &self.outlet.delivery.format);
        let whole = Part::whole(&shaped.batch);
        let mut over = Vec::new();
        for records in shaped.shaped() {
            let part = whole.slice(records);
            let (parts, too_large) = part.within(self.bounds, |records| part.batch.bytes_of(records) as u64);
            for part in parts {
                self.queue.put(number, part, Duration::ZERO);
            }
            over.extend(too_large.into_iter().map(|(record, size)| (records.start + record, size)));
        }
        for Verdict { records, outcome } in &shaped.verdicts {
            if let Outcome::Failed(failure) = outcome {
                self.give_up(number, &whole, *records, &Why::Failed(failure))?;
            }
        }
        let largest = self.bounds.largest;
        for (record, size) in over {
            let message = format!("the record has {size} bytes, and this connector takes {largest} at the most");
            self.give_up(number, &whole, Span::new(record, record + 1), &Why::TooLarge(message))?;
        }
        Ok(())
    }
}
