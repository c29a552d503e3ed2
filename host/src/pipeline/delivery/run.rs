//! A lane from its first portion to its last.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{
    DestinationError, Lane, LaneEnded, Left, PATIENCE, PAUSE,
    account::{Account, Dealt},
    queue::Next,
};
use crate::pipeline::{Stopping, gate::State};

/// What a step came to.
pub(super) enum Stepped {
    /// Something was sent, or waited for.
    On,
    /// A portion came.
    Took,
    /// All is done.
    Done,
}

impl Lane {
    /// Deals with portions until there are no more, tells the connector what is settled, and closes the session.
    pub async fn run(mut self, dealt: mpsc::Sender<(usize, Dealt)>) -> LaneEnded {
        let window = self.inlet.portions.max_capacity();
        let mut more = true;
        let ended = loop {
            let taken = self.take_in(&mut more, window);
            // Nobody may wait for what it took in, and then nothing else would tell. Whoever can hand it over does, and is asked behind that.
            if !self.goes_on() {
                self.let_go_of_what_nobody_waits_for();
            }
            let result = match taken {
                Ok(()) => match self.report(&dealt, false).await {
                    Ok(()) => self.step(&mut more, window).await,
                    Err(_gone) => return Ok(()),
                },
                Err(left) => Err(left),
            };
            // What has only just come is tried first.
            if !matches!(result, Ok(Stepped::Took)) {
                self.let_go_of_what_nobody_waits_for();
            }
            // Also where it failed: what was given up before is not lost by that.
            if self.report(&dealt, false).await.is_err() {
                return Ok(());
            }
            match result {
                Ok(Stepped::On | Stepped::Took) => {}
                Ok(Stepped::Done) => break Ok(()),
                Err(Left::Destination(error)) if self.outlet.delivery.best_effort => self.pause(&error, Some(PAUSE)),
                Err(left) => break Err(left),
            }
        };
        if self.report(&dealt, true).await.is_err() {
            return Ok(());
        }
        drop(dealt);
        self.log.finish();
        match &ended {
            Ok(()) => {}
            // What is left waits to be sent again, and what came through is still to be acknowledged.
            Err(Left::Asked) if *self.inlet.stop.borrow() == Stopping::Finish => {}
            Err(_) => return ended,
        }
        let mut ids = Vec::new();
        while let Some(number) = self.inlet.settled.recv().await {
            ids.extend(self.dealt.take(number));
        }
        let mut stop = self.inlet.stop.clone();
        let leave = async {
            self.tell(&ids).await;
            self.close().await;
        };
        tokio::select! {
            biased;
            () = leave => {}
            // Every record has been answered for: the instance goes as it is.
            _now = stop.wait_for(|stop| *stop == Stopping::Now) => {}
        }
        ended
    }

    /// Sends something, or waits until there is something to do.
    async fn step(&mut self, more: &mut bool, window: usize) -> Result<Stepped, Left> {
        if *self.inlet.stop.borrow() == Stopping::Now {
            return Err(Left::Asked);
        }
        let now = self.clock.elapsed();
        self.outlet.gate.retry(now);
        let mut gate = self.outlet.gate.watch();
        let State { pause, resumed, held, .. } = gate.borrow_and_update().clone();
        if resumed != self.resumed {
            self.resumed = resumed;
            self.rest = Duration::ZERO;
            self.queue.hurry();
        }
        let shut = pause.is_some() || held.is_some();
        let until = match pause {
            // Whoever paused the whole pipeline says when it goes on, or ends.
            _ if held.is_some() => None,
            Some(pause) => {
                // Whoever stands before a shut gate has nothing more to do where nothing more comes.
                if !*more {
                    return self.end_paused(&pause);
                }
                pause.again
            }
            None if self.rest > now && !self.queue.is_empty() => Some(self.rest),
            None => match self.queue.next(now) {
                Next::Part(number, part) => {
                    self.counts().pause(None);
                    self.send(number, part).await?;
                    return Ok(Stepped::On);
                }
                Next::At(moment) => Some(moment),
                Next::Empty if self.accounts.iter().any(Account::has_suspects) => {
                    // Others may come that can be asked; not for ever.
                    let judged = *self.judged_at.get_or_insert(now + PATIENCE);
                    if !*more || self.accounts.len() >= window || judged <= now {
                        self.judged_at = None;
                        self.judge()?;
                        return Ok(Stepped::On);
                    }
                    Some(judged)
                }
                Next::Empty if !*more => {
                    // The source may have been at its end before anybody could tell it. Where that fails it is left to the next run.
                    if self.which.lane == 0 && self.outlet.far.is_told() && !self.outlet.is_reached() && self.unreached == 0 {
                        self.reach_ahead().await?;
                    }
                    return Ok(Stepped::Done);
                }
                // One asks for all.
                Next::Empty if self.which.lane == 0 && !self.outlet.is_reached() => {
                    if self.rest <= now {
                        self.reach_ahead().await?;
                        return Ok(Stepped::On);
                    }
                    Some(self.rest)
                }
                Next::Empty => None,
            },
        };
        // What only keeps to its rate is on its way: whoever asks it to stop says how long that may take.
        let paced = self.rest > now && self.rest == self.paced;
        let waits = shut || (until.is_some() && !paced);
        if waits && *self.inlet.stop.borrow() != Stopping::No {
            return Err(Left::Asked);
        }
        let clock = self.clock.clone();
        let wait = async {
            match until {
                Some(moment) => clock.sleep(moment.saturating_sub(now)).await,
                None => std::future::pending().await,
            }
        };
        let room = self.accounts.len() < window;
        // What is down since it had no room goes on once there is some, and waits for nothing else then.
        let (eases, down) = (&mut self.eases, self.down > 0);
        let eased = async {
            let changed = match eases.as_mut().filter(|_| down) {
                Some(eases) => eases.changed().await.is_ok(),
                None => false,
            };
            if !changed {
                std::future::pending::<()>().await;
            }
        };
        let come = tokio::select! {
            portion = self.inlet.portions.recv(), if *more && room => {
                *more = portion.is_some();
                portion
            }
            () = wait => None,
            _changed = gate.changed() => None,
            () = eased => {
                self.rest = now;
                None
            }
            // The senders outlive every lane.
            _asked = self.inlet.stop.wait_for(|stop| *stop != Stopping::No), if waits => return Err(Left::Asked),
            moved = self.inlet.let_go.changed(), if self.outlet.delivery.best_effort => {
                // The sender outlives every lane.
                let _moved = moved;
                None
            }
        };
        match come {
            Some(handed) => self.take(handed).map(|()| Stepped::Took),
            None => Ok(Stepped::On),
        }
    }

    /// No other record can be asked: those who ended an instance are to blame if the connector works otherwise.
    fn judge(&mut self) -> Result<(), Left> {
        match self.last.clone() {
            _ if self.suspicion.works() => {
                self.convict(u64::MAX);
                self.exceeded.take().map_or(Ok(()), |error| Err(error.into()))
            }
            Some(ended) if *self.inlet.stop.borrow() == Stopping::No => {
                let instances = self.suspicion.instances();
                Err(Left::Destination(DestinationError::Quarantined { ended, instances }))
            }
            _ => Err(Left::Asked),
        }
    }

    /// Reports the portions that are dealt with, or all of them as far as they are.
    async fn report(
        &mut self,
        dealt: &mpsc::Sender<(usize, Dealt)>,
        all: bool,
    ) -> Result<(), mpsc::error::SendError<(usize, Dealt)>> {
        let mut at = 0;
        while let Some(account) = self.accounts.get(at) {
            if !all && (account.has_suspects() || self.queue.has(account.number)) {
                at += 1;
                continue;
            }
            if let Some(account) = self.accounts.remove(at) {
                self.dealt.note(&account);
                dealt.send((self.which.column, account.report(&self.outlet.id))).await?;
            }
        }
        // What a lane that failed leaves behind grows older.
        if !all {
            self.notes_oldest();
        }
        Ok(())
    }
}
