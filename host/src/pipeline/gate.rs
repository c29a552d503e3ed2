//! Whether a destination takes records, and why not.
//!
//! All lanes of a destination stand before one gate. It is shut by a failure that only a person can mend, or by hand, and opened by hand
//! or, where nobody comes, now and then for another try.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

/// The gate of one destination; clones are of the same one.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<State>>);

/// How a gate stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Why no records go through; `None` where they do, unless it is held.
    pub pause: Option<Pause>,
    /// Why none go through whatever else holds: the whole pipeline is paused.
    pub held: Option<Pause>,
    /// Whether nobody opens it any more in this start.
    pub closed: bool,
    /// How often it was opened by hand.
    pub resumed: u64,
}

/// Why no records go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// In words for a person.
    pub why: Arc<str>,
    /// Since when, by the clock's elapsed time.
    pub since: Duration,
    /// When it is tried again; `None` where only a person can say so.
    pub again: Option<Duration>,
    /// Whether a person shut it.
    pub by_hand: bool,
}

impl State {
    /// Why no records go through: the pause of the whole pipeline before its own.
    pub fn shut(&self) -> Option<&Pause> {
        self.held.as_ref().or(self.pause.as_ref())
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }
}

impl Gate {
    /// How it stands.
    pub fn state(&self) -> State {
        self.0.borrow().clone()
    }

    /// Whether records go through.
    pub fn is_open(&self) -> bool {
        self.0.borrow().shut().is_none()
    }

    /// Waits until records go through.
    pub async fn opened(&self) {
        // The sender is this gate's own.
        let mut state = self.watch();
        let _opened = state.wait_for(|state| state.shut().is_none()).await;
    }

    /// To be told when it changes.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }

    /// Shuts it. One that a person shut stays as it is. Tells whether it was open.
    pub fn shut(&self, pause: Pause) -> bool {
        let mut was_open = false;
        self.0.send_if_modified(|state| {
            was_open = state.pause.is_none();
            let changed = state.pause.as_ref().is_none_or(|before| !before.by_hand);
            if changed {
                state.pause = Some(pause);
            }
            changed
        });
        was_open
    }

    /// Shuts it for the rest of this start: what it was to let through was left behind.
    pub fn close(&self, pause: Pause) {
        self.0.send_modify(|state| (state.pause, state.closed) = (Some(pause), true));
    }

    /// Opens it for another try, where its time has come.
    pub fn retry(&self, now: Duration) {
        self.0.send_if_modified(|state| {
            let due = !state.closed && state.pause.as_ref().and_then(|pause| pause.again).is_some_and(|again| again <= now);
            if due {
                state.pause = None;
            }
            due
        });
    }

    /// Shuts it together with all others of its pipeline, or lets go of it again. What pauses it beside that stays as it is.
    pub fn hold(&self, pause: Option<Pause>) {
        self.0.send_if_modified(|state| {
            let changed = state.held != pause;
            state.held = pause;
            changed
        });
    }

    /// Opens it for whoever starts anew, unless a person shut it.
    pub fn begin(&self) {
        self.0.send_if_modified(|state| {
            state.closed = false;
            let own = state.pause.as_ref().is_some_and(|pause| !pause.by_hand);
            if own {
                state.pause = None;
            }
            own
        });
    }

    /// Opens it by hand; false where it was open.
    pub fn resume(&self) -> bool {
        self.0.send_if_modified(|state| {
            if state.closed {
                return false;
            }
            let shut = state.pause.take().is_some();
            state.resumed += u64::from(shut);
            shut
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(again: Option<u64>, by_hand: bool) -> Pause {
        Pause { why: "the credentials".into(), since: Duration::ZERO, again: again.map(Duration::from_secs), by_hand }
    }

    #[test]
    fn a_gate_opens_again_by_hand_or_once_its_time_has_come() {
        let gate = Gate::default();
        gate.shut(pause(Some(300), false));
        gate.retry(Duration::from_secs(299));
        assert!(!gate.is_open());
        gate.retry(Duration::from_secs(300));
        assert!(gate.is_open());
        gate.shut(pause(None, false));
        gate.retry(Duration::MAX);
        assert!(!gate.is_open());
        assert!(gate.resume() && gate.is_open() && !gate.resume());
        assert_eq!(gate.state().resumed, 1);
    }

    #[test]
    fn a_gate_that_is_held_with_its_pipeline_keeps_its_own_pause_beside_that() {
        let gate = Gate::default();
        gate.hold(Some(pause(None, true)));
        assert!(!gate.is_open() && !gate.resume());
        gate.shut(pause(Some(0), false));
        gate.hold(None);
        assert!(!gate.is_open());
        gate.begin();
        assert!(gate.is_open());
        gate.shut(pause(None, true));
        gate.begin();
        assert!(!gate.is_open(), "a person shut it");
    }

    #[test]
    fn what_a_person_shut_only_a_person_opens() {
        let gate = Gate::default();
        gate.shut(pause(None, true));
        gate.shut(pause(Some(0), false));
        gate.retry(Duration::MAX);
        assert!(!gate.is_open());
    }
}
