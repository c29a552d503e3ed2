//! One call: what goes with it, and how it is left.

use std::time::Duration;

use super::{
    GRACE, Lane, Left,
    letter::Why,
    parts::{Part, in_memory, lowered, pushed},
};
use crate::{
    config::Isolation,
    connector::Room,
    pipeline::{Bounds, Stopping},
    record::Span,
};

impl Lane {
    /// Hands over a part, where it may go now, and weighs the answer.
    pub(super) async fn send(&mut self, number: u64, part: Part) -> Result<(), Left> {
        // What has ended an instance is not tried any more.
        if part.ends > 0 && *self.inlet.stop.borrow() != Stopping::No {
            return Err(Left::Asked);
        }
        let mut settled = Vec::new();
        while let Ok(number) = self.inlet.settled.try_recv() {
            settled.extend(self.dealt.take(number));
        }
        self.tell(&settled).await;
        let Some(part) = self.open(number, part).await? else { return Ok(()) };
        if !self.outlet.gate.is_open() {
            // Another lane found out meanwhile.
            self.queue.put(number, part, Duration::ZERO);
            return Ok(());
        }
        let room = self.session.as_ref().map(|session| session.room());
        let Some(part) = room.and_then(|room| self.fitting(number, part, room).transpose()).transpose()? else { return Ok(()) };
        let Some(part) = self.in_rate(number, part) else { return Ok(()) };
        let label = self.account(number).map(|account| account.portion.label.clone());
        let Some(session) = &mut self.session else { return Ok(()) };
        label.iter().for_each(|label| session.label(label));
        let best_effort = self.outlet.delivery.best_effort;
        let mut asked = self.inlet.stop.clone();
        let (stop, let_go, clock) = (&mut self.inlet.stop, &mut self.inlet.let_go, &self.clock);
        let answer = tokio::select! {
            biased;
            answer = session.write(&part.batch, part.action, part.sent + 1) => Some(answer),
            _now = stop.wait_for(|stop| *stop == Stopping::Now) => None,
            () = async {
                let asked = async {
                    let _asked = asked.wait_for(|stop| *stop != Stopping::No).await;
                };
                let let_go = async {
                    if let_go.wait_for(|before| number < *before).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    () = asked => {}
                    () = let_go => {}
                }
                clock.sleep(GRACE).await;
            }, if best_effort => None,
        };
        let Some(answer) = answer else {
            // Whatever became of it: the instance is gone with the call.
            self.session = None;
            self.cut_off = true;
            self.queue.put(number, Part { sent: part.sent + 1, ..part }, Duration::ZERO);
            return if *self.inlet.stop.borrow() == Stopping::No { Ok(()) } else { Err(Left::Asked) };
        };
        self.cut_off = false;
        let promised = session.promised();
        if let (false, Some(account)) = (promised.is_empty(), self.account(number)) {
            let replaced = account.promise(&part.batch, promised);
            if !replaced.is_empty() {
                self.outlet.far.forget(replaced).await;
            }
        }
        self.weigh(number, part, answer)?;
        if let Some(error) = self.exceeded.take() {
            return Err(error.into());
        }
        if self.outlet.delivery.isolation == Isolation::Batch && !self.queue.has(number) {
            self.close().await;
        }
        Ok(())
    }

    /// Cuts a part to what the component's memory has room for, and gives up the records that have no room in it. Gives the first piece.
    fn fitting(&mut self, number: u64, part: Part, room: Room) -> Result<Option<Part>, Left> {
        let (parts, _) = part.within(in_memory(room), |records| lowered(&part.batch, records));
        let mut first = None;
        for part in parts {
            let size = pushed(&part.batch);
            if part.batch.count() == 1 && size > room.most {
                let (limit, most) = (self.outlet.far.memory(), room.most);
                let message = format!(
                    "the record takes {size} bytes of memory, and of {limit} (limits.memory) the component has {most} left"
                );
                self.give_up(number, &part, Span::new(0, 1), &Why::TooLarge(message))?;
            } else if first.is_none() {
                first = Some(part);
            } else {
                self.queue.put(number, part, Duration::ZERO);
            }
        }
        Ok(first)
    }

    /// Cuts a part to what may go at once by the rate. `None` where nothing may yet.
    fn in_rate(&mut self, number: u64, part: Part) -> Option<Part> {
        let Some(rate) = self.outlet.delivery.rate.clone() else { return Some(part) };
        let (records, bytes) = rate.most();
        let bounds = Bounds { records, bytes, largest: u64::MAX };
        let (mut parts, _) = part.within(bounds, |records| part.batch.bytes_of(records) as u64);
        let first = parts.pop_front()?;
        for later in parts {
            self.queue.put(number, later, Duration::ZERO);
        }
        let now = self.clock.elapsed();
        match rate.take(now, first.batch.count(), first.batch.bytes() as u64) {
            Ok(()) => Some(first),
            Err(wait) => {
                self.rest = now + wait;
                self.paced = self.rest;
                self.queue.put(number, first, Duration::ZERO);
                None
            }
        }
    }
}
