//! Two futures in one task, which wake each other without the executor.
//!
//! A task that is woken while it runs goes behind all others, and an idle thread is woken to take it over: for two that mostly wait for each other that costs more than
//! what they do. Here a wake from within has both looked at again at once, a few times; then others have their turn.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

/// How often both are looked at before others have their turn: far less than what a task may do in one turn.
const TURNS: usize = 8;

#[derive(Default)]
struct Own {
    /// Whether they are being looked at.
    looking: AtomicBool,
    /// Whether one was woken meanwhile.
    again: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wake for Own {
    fn wake(self: Arc<Self>) {
        self.again.store(true, SeqCst);
        if !self.looking.load(SeqCst) {
            let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(task) = task {
                task.wake();
            }
        }
    }
}

/// Runs both to their ends.
pub(super) async fn together<A: Future, B: Future>(one: A, other: B) -> (A::Output, B::Output) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    let own = Arc::new(Own::default());
    let waker = Waker::from(own.clone());
    poll_fn(|context| {
        {
            let mut task = own.task.lock().unwrap_or_else(PoisonError::into_inner);
            if !task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
                *task = Some(context.waker().clone());
            }
        }
        let mut within = Context::from_waker(&waker);
        for _ in 0..TURNS {
            own.looking.store(true, SeqCst);
            own.again.store(false, SeqCst);
            if first.is_none()
                && let Poll::Ready(done) = one.as_mut().poll(&mut within)
            {
                first = Some(done);
            }
            if second.is_none()
                && let Poll::Ready(done) = other.as_mut().poll(&mut within)
            {
                second = Some(done);
            }
            own.looking.store(false, SeqCst);
            if first.is_some()
                && second.is_some()
                && let Some(both) = first.take().zip(second.take())
            {
                return Poll::Ready(both);
            }
            if !own.again.load(SeqCst) {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}
