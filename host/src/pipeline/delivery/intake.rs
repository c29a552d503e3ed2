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
    pipeline::{Delivery, Way, stage::Handed},
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
        let ways = self.router.ways(&batch);
        let shaped = shape(&batch, &self.outlet.delivery.format);
        let whole = Part::whole(&shaped.batch);
        let mut over = Vec::new();
        for (records, action) in shaped.shaped().flat_map(|records| routed(&ways, records)) {
            let part = Part { action, ..whole.slice(records) };
            let (parts, too_large) = part.within(self.bounds, |records| part.batch.bytes_of(records) as u64);
            for part in parts {
                self.queue.put(number, part, Duration::ZERO);
            }
            over.extend(too_large.into_iter().map(|(record, size)| (records.start + record, size, action)));
        }
        for Verdict { records, outcome } in &shaped.verdicts {
            if let Outcome::Failed(failure) = outcome {
                for (records, action) in routed(&ways, *records) {
                    self.give_up(number, &Part { action, ..whole.clone() }, records, &Why::Failed(failure))?;
                }
            }
        }
        self.leave_out(number, &whole, &ways)?;
        let largest = self.bounds.largest;
        for (record, size, action) in over {
            let message = format!("the record has {size} bytes, and this connector takes {largest} at the most");
            let part = Part { action, ..whole.clone() };
            self.give_up(number, &part, Span::new(record, record + 1), &Why::TooLarge(message))?;
        }
        Ok(())
    }
}

impl Lane {
    /// Deals with the records that go to no action.
    fn leave_out(&mut self, number: u64, whole: &Part, ways: &[(Span, Way)]) -> Result<(), Left> {
        for (records, way) in ways {
            match way {
                Way::To(_) => {}
                Way::Refused => self.give_up(number, whole, *records, &Why::Unrouted)?,
                Way::Filtered => {
                    let Some(account) = self.account(number) else { continue };
                    account.settle(&whole.batch, *records);
                    // Where several were made of one, that one is filtered once all of them are.
                    if !account.is_derived() {
                        self.counts().filtered(records.len().into());
                    }
                }
            }
        }
        Ok(())
    }
}

/// Of some records those that go to an action, cut where that changes.
fn routed(ways: &[(Span, Way)], records: Span) -> impl Iterator<Item = (Span, u32)> {
    ways.iter().filter_map(move |(span, way)| {
        let Way::To(action) = way else { return None };
        let both = Span::new(span.start.max(records.start), span.end.min(records.end));
        (both.start < both.end).then_some((both, *action))
    })
}
