//! Records that are given up: because they fail, end instances, or are waited for by nobody.

use super::{
    DestinationError, LOGGED, Lane, Left,
    letter::{Letter, Why},
    parts::Part,
};
use crate::{
    pipeline::{Router, SPOOL, Way},
    record::Span,
};

impl Lane {
    /// Gives records of a part up, as far as the pipeline tolerates it. What goes to the spool is told of by the action that it waits for there.
    pub(super) fn give_up(&mut self, number: u64, part: &Part, records: Span, why: &Why<'_>) -> Result<(), Left> {
        let behind = self.outlet.behind.clone().filter(|_| part.action == SPOOL);
        let cut = self.account(number).and_then(|account| account.batch.clone());
        let (Some(behind), Some(cut)) = (behind, cut) else { return self.give_up_for(number, part, records, why) };
        let start = part.batch.start() + records.start;
        let ways = Router::new(&behind).ways(&cut.slice(start..start + records.len()));
        for (span, way) in ways {
            let action = if let Way::To(action) = way { action } else { SPOOL };
            let span = Span::new(records.start + span.start, records.start + span.end);
            self.give_up_for(number, &Part { action, ..part.clone() }, span, why)?;
        }
        Ok(())
    }

    fn give_up_for(&mut self, number: u64, part: &Part, records: Span, why: &Why<'_>) -> Result<(), Left> {
        let letter = self.letter(number, part, why);
        let accepted = self.outlet.tolerance().failed(records.len().into()) as u32;
        let whole = records;
        let records = Span::new(whole.start, whole.start + accepted);
        if accepted > 0 && self.logs(number) {
            let (pipeline, destination) = (&self.progress.pipeline, &self.outlet.id);
            tracing::warn!(%pipeline, %destination, batch = part.batch.id(), %records, "given up: {}", letter.reason);
        }
        if let Some(account) = self.account(number) {
            account.give_up(&part.batch, records, &letter);
        }
        if records == whole { Ok(()) } else { Err(self.too_many(&letter).into()) }
    }

    /// One record more failed than may.
    fn too_many(&self, letter: &Letter) -> DestinationError {
        let (window, tolerance) = self.outlet.delivery.tolerance;
        DestinationError::TooMany { window, tolerance, failure: letter.failure() }
    }

    /// Those who ended an instance by themselves are to blame, as far as the pipeline tolerates it.
    pub(super) fn convict(&mut self, before: u64) {
        let mut tolerance = self.outlet.tolerance();
        let mut last = None;
        for account in self.accounts.iter_mut().filter(|account| account.number < before) {
            last = last.or_else(|| account.convict(&mut tolerance));
        }
        drop(tolerance);
        if let Some(failure) = last {
            let (window, tolerance) = self.outlet.delivery.tolerance;
            self.exceeded.get_or_insert(DestinationError::TooMany { window, tolerance, failure });
        }
    }

    /// Whether a line about records of a portion may be written, which a connector caused: it takes its share of the log, and of one
    /// portion there are few.
    pub(super) fn logs(&mut self, number: u64) -> bool {
        let few = self.account(number).is_some_and(|account| {
            account.logged += 1;
            account.logged <= LOGGED
        });
        few && tracing::enabled!(tracing::Level::WARN) && self.log.admits()
    }

    pub(super) fn let_go_of_what_nobody_waits_for(&mut self) {
        let before = *self.inlet.let_go.borrow_and_update();
        // Once all others are done, whoever goes on and holds nobody up may finish.
        if before > 0 && !(before == u64::MAX && self.goes_on()) {
            self.miss_before(before);
        }
    }

    /// Whether something can be handed over now.
    pub(super) fn goes_on(&self) -> bool {
        let now = self.clock.elapsed();
        !self.cut_off && self.outlet.gate.is_open() && self.rest <= now && self.queue.is_ready(now)
    }

    /// Gives up all that is left of the portions before this one.
    pub(super) fn miss_before(&mut self, portion: u64) {
        for (number, part) in self.queue.take_before(portion) {
            let records = Span::new(0, part.batch.count());
            if part.unknown {
                self.counts().known(records.len().into());
            }
            let letter = self.letter(number, &part, &Why::Missed);
            if let Some(account) = self.account(number) {
                account.give_up(&part.batch, records, &letter);
            }
        }
        self.convict(portion);
    }
}
